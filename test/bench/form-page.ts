// How long one visitor waits for the form page: 400 times, one after the other, with a glance between two. In a process of
// its own, so that no load of the bench is waited for. Arguments: the app's URL, and the address that the visitor has.
import { Agent, request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'

const [url = '', address = ''] = process.argv.slice(2)
const agent = new Agent({ keepAlive: true, maxSockets: 1 })

function once(): Promise<number> {
  return new Promise((resolve, reject) => {
    const since = performance.now()
    request(url, { agent, headers: { 'x-forwarded-for': address } }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`the form page answered ${answer.statusCode}`))
      answer.resume().on('end', () => resolve(performance.now() - since))
    })
      .on('error', reject)
      .end()
  })
}

for (let n = 0; n < 20; n += 1) await once()
const times: number[] = []
while (times.length < 400) {
  times.push(await once())
  await wait(5)
}
agent.destroy()
times.sort((a, b) => a - b)
process.stdout.write(JSON.stringify({ p99Ms: times[395] }))

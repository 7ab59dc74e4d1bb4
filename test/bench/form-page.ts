// The latency of the form page for one visitor: 400 requests, one after the other, 5 ms apart. In a process of its own,
// so that the load generator does not delay it. Arguments: the app's URL, and the visitor's address (X-Forwarded-For).
import { Agent, request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'

const [url = '', address = ''] = process.argv.slice(2)
const agent = new Agent({ keepAlive: true, maxSockets: 1 })

function requestMs(): Promise<number> {
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

for (let n = 0; n < 20; n += 1) await requestMs()
const times: number[] = []
while (times.length < 400) {
  times.push(await requestMs())
  await wait(5)
}
agent.destroy()
times.sort((a, b) => a - b)
process.stdout.write(JSON.stringify({ p99Ms: times[395] }))

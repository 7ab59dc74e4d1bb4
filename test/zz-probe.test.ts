import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { test } from 'vitest'
import { startApp } from './support/start-app.ts'

const get = (url: string, agent: Agent) =>
  new Promise<void>((resolve) =>
    request(url, { agent }, (r) => {
      r.resume()
      r.on('end', () => resolve())
    }).end(),
  )
async function run(what: string, before: (url: string, port: number) => Promise<unknown>) {
  const app = await startApp({})
  await before(app.url, Number(new URL(app.url).port))
  const since = performance.now()
  app.child.kill('SIGTERM')
  const r = await app.exited
  console.log(what, r, performance.now() - since)
}
test('a', async () => {
  await run('nothing', async () => {})
  await run('keepalive', (url) => get(url, new Agent({ keepAlive: true })))
  await run('raw socket', async (_u, port) => {
    const s = connect(port, '127.0.0.1')
    await once(s, 'connect')
    await new Promise((r) => setTimeout(r, 200))
  })
  await run('half a head', async (_u, port) => {
    const s = connect(port, '127.0.0.1')
    await once(s, 'connect')
    s.write('GET / HTTP/1.1\r\nHost: x\r\n')
    await new Promise((r) => setTimeout(r, 200))
  })
}, 60000)

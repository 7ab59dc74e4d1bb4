import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setInterval } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from './support/ask.ts'
import { type StartedApp, startApp } from './support/start-app.ts'

let app: StartedApp
let port: number
const sockets: Socket[] = []

beforeAll(async () => {
  app = await startApp({ RATE_LIMIT: 'off' })
  port = Number(new URL(app.url).port)
})
afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  await app.stop()
})

/** Headers get 10 s, whole requests 15 s, and what is late is found within 5 s more. */
const longestMs = 20_000
const slackMs = 5000
/** Nobody else waits long, on a busy machine either. */
const servedMs = 3000

type Held = { socket: Socket; closed: Promise<number> }

/** A connection that begins in this way, and how long it was left open. */
async function hold(begin: string): Promise<Held> {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => undefined).resume()
  await once(socket, 'connect')
  const since = performance.now()
  const closed = new Promise<number>((resolve) => {
    socket.once('close', () => resolve(performance.now() - since))
  })
  socket.write(begin)
  return { socket, closed }
}

const head = 'POST /get_avatar HTTP/1.1\r\nHost: localhost\r\n'
const form = 'Content-Type: application/x-www-form-urlencoded\r\n'

test('who sends a byte a second or nothing at all is hung up on, and others are served meanwhile', async () => {
  const held = await Promise.all([
    ...Array.from({ length: 500 }, () => hold('')),
    ...Array.from({ length: 10 }, () => hold('GET / HTTP/1.1\r\nX-Slow: ')),
    ...Array.from({ length: 10 }, () => hold(`${head}${form}Content-Length: 10000\r\n\r\n`)),
    ...Array.from({ length: 10 }, () => hold(`${head}${form}Transfer-Encoding: chunked\r\n\r\n`)),
  ])
  const [headers, bodies] = [held.slice(500, 520), held.slice(520)]
  let isOver = false
  const all = Promise.all(held.map(({ closed }) => closed)).finally(() => {
    isOver = true
  })
  let served = 0
  for await (const _ of setInterval(1000)) {
    if (isOver) break
    for (const { socket } of headers) if (socket.writable) socket.write('x')
    for (const { socket } of bodies) if (socket.writable) socket.write('1\r\nx\r\n')
    const since = performance.now()
    expect((await ask(app.url, '/licences')).status).toBe(200)
    expect(performance.now() - since).toBeLessThan(servedMs)
    served += 1
  }
  expect(served).toBeGreaterThan(5)
  for (const ms of await all) expect(ms).toBeLessThan(longestMs + slackMs)
}, 60_000)

test('a connection outlives the minute that a proxy keeps it, and a thousand requests', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const seen = new Set<Socket>()
  try {
    for (let turn = 0; turn < 1000; turn += 1) {
      const { answer, socket } = await healthOver(agent)
      seen.add(socket)
      expect(answer.statusCode).toBe(200)
      const keptS = Number(/timeout=(\d+)/.exec(String(answer.headers['keep-alive']))?.[1])
      expect(keptS).toBeGreaterThan(60)
    }
  } finally {
    agent.destroy()
  }
  expect(seen.size).toBe(1)
})

function healthOver(agent: Agent): Promise<{ answer: IncomingMessage; socket: Socket }> {
  return new Promise((resolve, reject) => {
    const asking = request(`${app.url}/healthz`, { agent }, (answer) => {
      answer.resume().on('end', () => resolve({ answer, socket: answer.socket }))
    })
    asking.on('error', reject).end()
  })
}

test('a head of more than 16 KiB is refused, and the next one served', async () => {
  for (const headers of [
    { Cookie: `state-0123456789abcdef=${'x'.repeat(17_000)}` },
    { 'X-Long': 'x'.repeat(20_000) },
  ]) {
    expect((await ask(app.url, '/', { headers })).status).toBe(431)
  }
  expect((await ask(app.url, '/', { headers: { Cookie: `x=${'x'.repeat(12_000)}` } })).status).toBe(200)
})

test('who expects what we do not know gets our page all the same', async () => {
  const answer = await ask(app.url, '/licences', { headers: { Expect: 'the-moon' } })
  expect(answer.status).toBe(200)
  expect(answer.headers['content-security-policy']).toContain("default-src 'none'")
})

describe('who waits for our "100 Continue"', () => {
  /** Sends the head alone, and the body once it may; gives the statuses, the 100 among them. */
  async function sendPatiently(length: number): Promise<number[]> {
    const { socket, closed } = await hold('')
    let got = ''
    socket.on('data', (part: Buffer) => {
      if (part.includes('100 Continue')) socket.write('style=rings&seed='.padEnd(length, 'x'))
      got += part
    })
    socket.write(`${head}${form}Content-Length: ${length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`)
    await closed
    return [...got.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status))
  }

  test('gets it, and then the answer', async () => {
    expect(await sendPatiently(100)).toEqual([100, 302])
  })

  test('is spared to send what is too long: the answer comes at once', async () => {
    expect(await sendPatiently(16 * 1024 + 1)).toEqual([413])
    expect(await sendPatiently(1024 ** 4)).toEqual([413])
  })
})

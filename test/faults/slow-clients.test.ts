import { once } from 'node:events'
import { Agent, type IncomingMessage, request, STATUS_CODES } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setInterval } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { ask } from '../support/ask.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'

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

type Held = { socket: Socket; got: () => string; closed: Promise<number> }

/** A connection that begins in this way, what came over it, and how long it was left open. */
async function hold(begin: string, at = port): Promise<Held> {
  const socket = connect(at, '127.0.0.1')
  sockets.push(socket)
  let got = ''
  socket
    .on('error', () => undefined)
    .on('data', (part: Buffer) => {
      got += part
    })
  await once(socket, 'connect')
  const since = performance.now()
  const closed = new Promise<number>((resolve) => {
    socket.once('close', () => resolve(performance.now() - since))
  })
  socket.write(begin)
  return { socket, got: () => got, closed }
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
  for (const { got } of held) isPageOfOurs(got(), 408, words.errors.tooSlow.title)
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
    const { status, text } = await ask(app.url, '/', { headers })
    expect([status, text]).toEqual([431, expect.stringContaining(words.errors.headTooLong.title)])
  }
  expect((await ask(app.url, '/', { headers: { Cookie: `x=${'x'.repeat(12_000)}` } })).status).toBe(200)
})

test('who expects what we do not know gets our page all the same', async () => {
  const answer = await ask(app.url, '/licences', { headers: { Expect: 'the-moon' } })
  expect(answer.status).toBe(200)
  expect(answer.headers['content-security-policy']).toContain("default-src 'none'")
})

/** One whole answer to who could not be understood: a page, guarded as all are, that ends the connection. */
function isPageOfOurs(got: string, status: number, title: string): void {
  const [head = '', page = '', ...more] = got.split('\r\n\r\n')
  const [first, ...lines] = head.split('\r\n')
  expect([first, more]).toEqual([`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, []])
  const headers = Object.fromEntries(lines.map((line) => line.toLowerCase().split(': ', 2)))
  expect(headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'content-length': String(Buffer.byteLength(page)),
    'content-security-policy': expect.stringMatching(/^default-src 'none';/),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'deny',
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
    connection: 'close',
  })
  expect(page).toContain(`<h1>${title}</h1>`)
  expect(page).toContain('href="/">Go to the form</a>')
  expect(page).toMatch(/Demo\..+stand-ins/)
}

describe('what cannot be read as a request is answered by a page all the same', () => {
  const { badValues, headTooLong, tooLarge } = words.errors
  const chunked = `${head}${form}Transfer-Encoding: chunked\r\n\r\n`

  test.each([
    ['no HTTP', 'evil\r\n\r\n', 400, badValues],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03evil', 400, badValues],
    ['a header that is none', 'GET / HTTP/1.1\r\nHost: localhost\r\nevil evil\r\n\r\n', 400, badValues],
    ['a body in pieces that are none', `${chunked}evil\r\n`, 400, badValues],
    ['a piece that has much to say about itself', `${chunked}1;${'evil'.repeat(5000)}\r\n`, 413, tooLarge],
    ['an address that is too long', `GET /?seed=${'evil'.repeat(4250)} HTTP/1.1\r\n\r\n`, 431, headTooLong],
    ['headers without end', `GET / HTTP/1.1\r\n${'X-Evil: evil\r\n'.repeat(100_000)}`, 431, headTooLong],
    ['a body that ends too soon', `${head}${form}Content-Length: 100\r\n\r\nevil`, 400, badValues],
  ])('%s', async (what, sent, status, { title }) => {
    const { socket, got, closed } = await hold(sent)
    if (what.includes('ends')) socket.end()
    expect(await closed).toBeLessThan(servedMs)
    isPageOfOurs(got(), status, title)
    expect(got()).not.toContain('evil')
  })

  test('on a connection that has been answered before', async () => {
    const { socket, got, closed } = await hold(`GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    await expect.poll(got).toContain('{"status":"ok"}')
    const before = got()
    socket.write('evil\r\n\r\n')
    await closed
    isPageOfOurs(got().slice(before.length), 400, badValues.title)
  })

  test('who does not hang up is hung up on', async () => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    sockets.push(socket)
    await once(socket, 'connect')
    const ended = once(socket.on('error', () => undefined).resume(), 'end')
    socket.write('evil\r\n\r\n')
    await ended
    await expect
      .poll(
        () => {
          if (socket.writable) socket.write('more')
          return socket.destroyed
        },
        { timeout: servedMs },
      )
      .toBe(true)
  })

  test('and nothing of it is logged', () => {
    expect(app.output.stdout).not.toContain('evil')
  })
})

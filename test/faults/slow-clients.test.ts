import { once } from 'node:events'
import { Agent, type IncomingMessage, request, STATUS_CODES } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setInterval } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { ask } from '../support/ask.ts'
import { connectRaw } from '../support/raw-connection.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'

let app: StartedApp

beforeAll(async () => {
  app = await startApp({ RATE_LIMIT: 'off' })
})
afterAll(() => app.stop())

/** The headers of a request may take 10 s, the whole request 15 s. The server looks for late requests every 5 s. */
const maxRequestMs = 20_000
/** Added to time limits, because the machine may be busy. */
const slackMs = 5000
const maxAnswerMs = 3000

const head = 'POST /get_avatar HTTP/1.1\r\nHost: localhost\r\n'
const form = 'Content-Type: application/x-www-form-urlencoded\r\n'

test('clients that send a byte per second, or nothing, are disconnected; others are served meanwhile', async () => {
  const connections = await Promise.all([
    ...Array.from({ length: 500 }, () => connectRaw(app.url)),
    ...Array.from({ length: 10 }, () => connectRaw(app.url, 'GET / HTTP/1.1\r\nX-Slow: ')),
    ...Array.from({ length: 10 }, () => connectRaw(app.url, `${head}${form}Content-Length: 10000\r\n\r\n`)),
    ...Array.from({ length: 10 }, () => connectRaw(app.url, `${head}${form}Transfer-Encoding: chunked\r\n\r\n`)),
  ])
  const [headers, bodies] = [connections.slice(500, 520), connections.slice(520)]
  let allClosed = false
  const durations = Promise.all(connections.map(({ closed }) => closed)).finally(() => {
    allClosed = true
  })
  let served = 0
  for await (const _ of setInterval(1000)) {
    if (allClosed) break
    for (const { socket } of headers) if (socket.writable) socket.write('x')
    for (const { socket } of bodies) if (socket.writable) socket.write('1\r\nx\r\n')
    const since = performance.now()
    expect((await ask(app.url, '/licences')).status).toBe(200)
    expect(performance.now() - since).toBeLessThan(maxAnswerMs)
    served += 1
  }
  expect(served).toBeGreaterThan(5)
  for (const [place, ms] of (await durations).entries()) {
    expect(ms).toBeLessThan(maxRequestMs + slackMs)
    // Clients on slow networks have this long.
    expect(ms).toBeGreaterThan(place < 520 ? 9500 : 14_500)
  }
  for (const { received } of connections) expectErrorPage(received(), 408, words.errors.requestTimeout.title)
}, 60_000)

test('a connection is kept for longer than a proxy’s 60 s, and for a thousand requests', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const sockets = new Set<Socket>()
  try {
    for (let sent = 0; sent < 1000; sent += 1) {
      const { answer, socket } = await getHealth(agent)
      sockets.add(socket)
      expect(answer.statusCode).toBe(200)
      const keepAliveS = Number(/timeout=(\d+)/.exec(String(answer.headers['keep-alive']))?.[1])
      expect(keepAliveS).toBeGreaterThan(60)
      expect(keepAliveS).toBeLessThan(120)
    }
  } finally {
    agent.destroy()
  }
  expect(sockets.size).toBe(1)
})

function getHealth(agent: Agent): Promise<{ answer: IncomingMessage; socket: Socket }> {
  return new Promise((resolve, reject) => {
    const sending = request(`${app.url}/healthz`, { agent }, (answer) => {
      answer.resume().on('end', () => resolve({ answer, socket: answer.socket }))
    })
    sending.on('error', reject).end()
  })
}

test('a request with headers of more than 16 KiB is refused', async () => {
  for (const headers of [
    { Cookie: `state-0123456789abcdef=${'x'.repeat(17_000)}` },
    { 'X-Long': 'x'.repeat(20_000) },
  ]) {
    const { status, text } = await ask(app.url, '/', { headers })
    expect([status, text]).toEqual([431, expect.stringContaining(words.errors.headersTooLarge.title)])
  }
  expect((await ask(app.url, '/', { headers: { Cookie: `x=${'x'.repeat(12_000)}` } })).status).toBe(200)
})

test('an unknown Expect header is ignored, and the answer has the security headers', async () => {
  const answer = await ask(app.url, '/licences', { headers: { Expect: 'the-moon' } })
  expect(answer.status).toBe(200)
  expect(answer.headers['content-security-policy']).toContain("default-src 'none'")
})

test.each([
  ['no Host header', ''],
  ['two Host headers', 'Host: localhost\r\nHost: localhost\r\n'],
  ['an empty Host header', 'Host:\r\n'],
  ['a Host header with a path', 'Host: localhost/evil\r\n'],
  ['a Host header with a user', 'Host: evil@localhost\r\n'],
  ['a Host header with a space', 'Host: local host\r\n'],
  ['a Host header whose port is no number', 'Host: localhost:evil\r\n'],
])('a request with %s gets an error page with the security headers', async (_what, host) => {
  const connection = await connectRaw(app.url, `GET /licences HTTP/1.1\r\n${host}Connection: close\r\n\r\n`)
  await connection.closed
  expect(connection.received()).toMatch(/^HTTP\/1\.1 400 /)
  expect(connection.received()).toContain("\r\nContent-Security-Policy: default-src 'none';")
  expect(connection.received()).toContain(words.errors.invalidValues.title)
})

test('a Host header may have a port, an IPv6 address, or any letter of a host name', async () => {
  for (const host of ['[::1]:3000', '127.0.0.1', 'my_app:', 'www.Avatars-2.example.']) {
    expect([host, (await ask(app.url, '/healthz', { headers: { Host: host } })).status]).toEqual([host, 200])
  }
})

test('a request of HTTP/1.0 needs no Host header', async () => {
  const connection = await connectRaw(app.url, 'GET /healthz HTTP/1.0\r\n\r\n')
  await connection.closed
  expect(connection.received()).toMatch(/^HTTP\/1\.1 200 /)
})

/** Checks that exactly one answer was received: an error page with the security headers and `Connection: close`. */
function expectErrorPage(received: string, status: number, title: string): void {
  const [head = '', page = '', ...more] = received.split('\r\n\r\n')
  const [first, ...lines] = head.split('\r\n')
  expect([first, more]).toEqual([`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, []])
  const headers = Object.fromEntries(lines.map((line) => line.toLowerCase().split(': ', 2)))
  expect(headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'content-length': String(Buffer.byteLength(page)),
    'content-security-policy':
      "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'deny',
    'referrer-policy': 'same-origin',
    'cross-origin-embedder-policy': 'credentialless',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
    connection: 'close',
  })
  expect(page).toContain(`<h1>${title}</h1>`)
  expect(page).toContain('href="/">Go to the form</a>')
  expect(page).toMatch(/Demo\..+stand-ins/)
  expect(page).toContain('<img class="sorry-face round" src="/surprised.svg" alt=""')
  expect(page).toMatch(/href="\/privacy".+<\/html>\s*$/s)
}

describe('a malformed request is answered with an error page', () => {
  const { invalidValues, headersTooLarge, tooLarge } = words.errors
  const chunked = `${head}${form}Transfer-Encoding: chunked\r\n\r\n`

  test.each([
    ['not HTTP', 'evil\r\n\r\n', 400, invalidValues],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03evil', 400, invalidValues],
    ['a malformed header', 'GET / HTTP/1.1\r\nHost: localhost\r\nevil evil\r\n\r\n', 400, invalidValues],
    ['a malformed chunk', `${chunked}evil\r\n`, 400, invalidValues],
    ['a chunk extension that is too long', `${chunked}1;${'evil'.repeat(5000)}\r\n`, 413, tooLarge],
    ['a request target that is too long', `GET /?seed=${'evil'.repeat(4250)} HTTP/1.1\r\n\r\n`, 431, headersTooLarge],
    ['headers without end', `GET / HTTP/1.1\r\n${'X-Evil: evil\r\n'.repeat(100_000)}`, 431, headersTooLarge],
    ['a body that ends too soon', `${head}${form}Content-Length: 100\r\n\r\nevil`, 400, invalidValues],
  ])('%s', async (what, sent, status, { title }) => {
    const { socket, received, closed } = await connectRaw(app.url, sent)
    if (what.includes('ends')) socket.end()
    expect(await closed).toBeLessThan(maxAnswerMs)
    expectErrorPage(received(), status, title)
    expect(received()).not.toContain('evil')
  })

  test('after an answer on the same connection', async () => {
    const { socket, received, closed } = await connectRaw(app.url, `GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    await expect.poll(received).toContain('{"status":"ok"}')
    const before = received()
    socket.write('evil\r\n\r\n')
    await closed
    expectErrorPage(received().slice(before.length), 400, invalidValues.title)
  })

  test.each([
    ['not HTTP', 'evil\r\n\r\n'],
    ['a malformed chunk', `${chunked}evil\r\n`],
  ])('after the answers to the requests before it: %s', async (_what, sent) => {
    const before = 'GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(2)
    const { received, closed } = await connectRaw(app.url, before + sent)
    await closed
    const [first, second, third = ''] = received().split(/(?=HTTP\/1\.1 )/)
    for (const answer of [first, second]) expect(answer).toMatch(/^HTTP\/1\.1 200 .+"status":"ok"/s)
    expectErrorPage(third, 400, invalidValues.title)
  })

  test('and its connection is closed, even if the client keeps sending', async () => {
    const socket = connect({ port: Number(new URL(app.url).port), host: '127.0.0.1', allowHalfOpen: true })
    onTestFinished(() => void socket.destroy())
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
        { timeout: maxAnswerMs },
      )
      .toBe(true)
  })

  test('and nothing of it is logged', () => {
    expect(app.output.stdout).not.toContain('evil')
  })
})

import { readFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ask, formOf } from '../support/ask.ts'
import { openLines, type RawRequest } from '../support/raw.ts'
import { connectRaw } from '../support/raw-connection.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'

const floodBytes = 8 * 1024 * 1024
/** Without a guard the same flood takes 300 to 2,600 MB. */
const maxGrowthMb = 100
/** How long to wait: the app has then destroyed the connection, or else has read and queued all requests. */
const floodMs = 5000

let app: StartedApp

beforeEach(async () => {
  app = await startApp({ LOG_LEVEL: 'warn' })
})
afterEach(() => app.stop())

/** Returns the app's peak memory (resident set size) in MB. */
async function peakMemoryMb(): Promise<number> {
  const status = await readFile(`/proc/${app.child.pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024
}

const get = (path: string, ...headers: string[]) =>
  ['GET ', path, ' HTTP/1.1\r\nHost: localhost\r\n', ...headers.map((line) => `${line}\r\n`), '\r\n'].join('')

const { body } = formOf({ style: 'rings', seed: 'fern' })
const post = [
  'POST /show_avatar HTTP/1.1',
  'Host: localhost',
  'Content-Type: application/x-www-form-urlencoded',
  `Content-Length: ${String(body).length}`,
  '',
  body,
].join('\r\n')

/** Sends `count` requests, one after the other: more than the rate limit allows in a minute. */
async function passLimit(target: string, count: number): Promise<void> {
  const headers: [string, string][] = [['Accept', 'application/json']]
  const form: [string, string] = ['Content-Type', 'application/x-www-form-urlencoded']
  const request: RawRequest =
    target === '/show_avatar'
      ? { method: 'POST', target, headers: [...headers, form], body: String(body) }
      : { method: 'GET', target, headers }
  const lines = openLines(Number(new URL(app.url).port), 1)
  const answers = await lines.ask(Array.from({ length: count }, () => request))
  lines.close()
  expect(answers.at(-1)?.status).toBe(429)
}

describe('8 MB of pipelined requests on one connection', () => {
  test.each([
    ['requests for the form, over its rate limit', get('/'), () => passLimit('/', 601)],
    ['requests that get 404, over their rate limit', get('/nope'), () => passLimit('/nope', 601)],
    [
      'requests for previews, over their rate limit',
      get('/preview.svg?style=rings'),
      () => passLimit('/preview.svg', 1201),
    ],
    ['restyles, over their rate limit', post, () => passLimit('/show_avatar', 31)],
    ['restyles', post, undefined],
    ['requests with an unknown Expect header', get('/', 'Expect: the-moon'), undefined],
    ['requests for /readyz, which has no rate limit', get('/readyz'), undefined],
    ['requests for /healthz, which has no rate limit', get('/healthz'), undefined],
    [
      'requests for the stand-in DiceBear, which has no rate limit',
      get('/demo/dicebear/10.x/rings/svg?seed=a'),
      undefined,
    ],
  ])(
    '%s: the connection is destroyed, the app takes little memory, and others are served',
    async (_what, request, prepare) => {
      await prepare?.()
      const beforeMb = await peakMemoryMb()
      const { socket, closed } = await connectRaw(app.url)
      socket.write(request.repeat(floodBytes / request.length))
      await Promise.race([closed, wait(floodMs)])
      expect((await ask(app.url, '/healthz')).status).toBe(200)
      expect((await peakMemoryMb()) - beforeMb).toBeLessThan(maxGrowthMb)
      expect(socket.destroyed).toBe(true)
    },
    60_000,
  )
})

test('up to 32 pipelined requests are all answered, in order', async () => {
  const targets: [path: string, status: number][] = [
    ['/readyz', 200],
    ['/preview.svg?style=adventurer&seed=not-drawn-before', 200],
    ['/nope', 404],
    ['/healthz', 200],
    ['/get_avatar', 303],
  ]
  const all = [...targets, ...targets, ...targets, ...targets]
  const { socket, received, closed } = await connectRaw(app.url)
  socket.write(all.map(([path], i) => get(path, ...(i === all.length - 1 ? ['Connection: close'] : []))).join(''))
  await closed
  const statuses = [...received().matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status))
  expect(statuses).toEqual(all.map(([, status]) => status))

  const answersTo = async (count: number) => {
    const { socket, received, closed } = await connectRaw(app.url)
    socket.write(get('/readyz').repeat(count - 1) + get('/readyz', 'Connection: close'))
    await closed
    return received().match(/HTTP\/1\.1 200 /g)?.length ?? 0
  }
  expect([await answersTo(32), await answersTo(33)]).toEqual([32, 0])
})

test('while a thousand refusals wait, connections with more are destroyed, and others are served', async () => {
  await passLimit('/nope', 601)
  const connections = await Promise.all(Array.from({ length: 100 }, () => connectRaw(app.url)))
  for (const { socket } of connections) socket.write(get('/nope').repeat(30))
  await Promise.race(connections.map(({ closed }) => closed))
  expect((await ask(app.url, '/healthz')).status).toBe(200)
  expect((await ask(app.url, '/preview.svg?style=rings')).status).toBe(200)
})

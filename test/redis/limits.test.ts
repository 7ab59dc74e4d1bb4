import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Asked, type AskOptions, ask, formOf } from '../support/ask.ts'
import { look, type OpenOptions, openApp, signIn, type TestApp } from '../support/open-app.ts'
import { openLines } from '../support/raw.ts'
import { openRedis, type Redis } from '../support/redis.ts'
import { keepsLook } from '../support/visits.ts'

const perMinute = { signIns: 30, files: 1200, others: 600 }

/** Opens an app for one test, for which no request has been counted yet. */
async function ownApp({ settings = {}, ...options }: OpenOptions = {}): Promise<TestApp> {
  const own = await openApp({ settings: { RATE_LIMIT: 'on', ...settings }, ...options })
  onTestFinished(() => own.close())
  return own
}

/** Sends this many requests, 20 at a time; returns their statuses in no particular order. */
async function times(count: number, send: (index: number) => Promise<{ status: number }>): Promise<number[]> {
  const statuses: number[] = []
  let sent = 0
  const worker = async () => {
    while (sent < count) {
      sent += 1
      statuses.push((await send(sent)).status)
    }
  }
  await Promise.all(Array.from({ length: 20 }, worker))
  return statuses
}

async function get(app: TestApp, path: string): Promise<Response> {
  // Errors in JSON, and pages that are not compressed, take the app least time.
  const headers = { Accept: 'application/json', 'Accept-Encoding': 'identity' }
  const answer = await fetch(app.url + path, { redirect: 'manual', headers })
  await answer.arrayBuffer()
  return answer
}

const start = (app: TestApp, headers: Record<string, string> = {}) => {
  const form = formOf(look)
  return ask(app.url, '/get_avatar', { ...form, headers: { ...form.headers, ...headers } })
}
const from = (address: string) => ({ 'X-Forwarded-For': address })

function expectRefusal(answer: Asked): void {
  expect(answer.status).toBe(429)
  const retryAfterS = Number(answer.headers['retry-after'])
  expect(retryAfterS).toBeGreaterThan(0)
  expect(retryAfterS).toBeLessThanOrEqual(60)
  expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
  expect(answer.headers['cache-control']).toBe('no-store')
  expect(answer.text).toContain('Too many requests came from your address')
  expect(answer.text).toContain(`Try again in ${retryAfterS} second`)
  expect(answer.headers['set-cookie']).toBeUndefined()
}

describe('sign-in starts and restyles', () => {
  test('are limited to thirty a minute; then a 429 page has Retry-After', async () => {
    const app = await ownApp()
    for (let i = 1; i <= perMinute.signIns; i += 1) expect((await start(app)).status).toBe(302)
    expectRefusal(await start(app))
    expectRefusal(await start(app))
    // A refusal is sent however many there were before.
    expect(new Set(await times(1100, () => start(app, { Accept: 'application/json' })))).toEqual(new Set([429]))
    const problem = await start(app, { Accept: 'application/json' })
    expect([problem.status, problem.headers['content-type']]).toEqual([429, 'application/problem+json; charset=utf-8'])
    expect(Number(problem.headers['retry-after'])).toBeGreaterThan(0)
  })

  test('are counted together, whatever the answer', async () => {
    const app = await ownApp()
    const visitor = app.visitor()
    await signIn(app, visitor)
    const form = formOf(look)
    const kinds: [number, string, AskOptions][] = [
      [302, '/get_avatar', form],
      [422, '/get_avatar', formOf({ style: 'nope' })],
      [403, '/get_avatar', { ...form, headers: { ...form.headers, Origin: 'https://evil.example' } }],
      [413, '/get_avatar', { ...form, body: 'x'.repeat(16 * 1024 + 1) }],
      [415, '/get_avatar', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }],
      [303, '/show_avatar', form],
      [403, '/show_avatar', { ...form, headers: { 'Sec-Fetch-Site': 'cross-site' } }],
    ]
    let counted = 1
    for (const [status, path, options] of [...kinds, ...kinds, ...kinds]) {
      expect((await ask(app.url, path, options)).status).toBe(status)
      counted += 1
    }
    for (; counted < perMinute.signIns; counted += 1) {
      expect((await visitor.post('/show_avatar').type('form').send(look)).status).toBe(303)
    }
    for (const [, path, options] of kinds) expectRefusal(await ask(app.url, path, options))
    expect((await visitor.post('/show_avatar').type('form').send(look)).status).toBe(429)
  })

  test.each(['/GET_AVATAR', '/Show_avatar', '/get_avatar/', '//get_avatar', '/get%5favatar', '/get_avatar?x'])(
    'another spelling of the path does not evade the limit: %s',
    async (path) => {
      const app = await ownApp()
      for (let i = 1; i <= perMinute.signIns; i += 1) await start(app)
      expect([404, 429]).toContain((await ask(app.url, path, formOf(look))).status)
    },
  )

  test('are counted without callbacks, the avatar’s page and sign-outs', async () => {
    const app = await ownApp()
    const visitor = app.visitor()
    for (let i = 1; i < perMinute.signIns; i += 1) await start(app)
    expect((await signIn(app, visitor)).headers.location).toBe('/show_avatar')
    expectRefusal(await start(app))
    expect((await visitor.get('/show_avatar')).status).toBe(200)
    expect((await visitor.post('/sign_out')).status).toBe(303)
  })
})

describe('the rate limits allow', () => {
  test('1200 files and previews per minute', async () => {
    const app = await ownApp()
    const paths = ['/preview.svg?style=rings&seed=a', '/style.css', `/avatars/${'0'.repeat(64)}.svg`, '/preview.svg']
    const statuses = await times(perMinute.files, (i) => get(app, paths[i % paths.length] ?? ''))
    expect(new Set(statuses)).toEqual(new Set([200, 404, 400]))
    for (const path of [...paths, `/avatars/${'0'.repeat(64)}.png`, '/favicon.svg'])
      expectRefusal(await ask(app.url, path))
    expect((await get(app, '/')).status).toBe(200)
    expect((await start(app)).status).toBe(302)
  })

  test('600 other requests per minute, and any number for health checks', async () => {
    const app = await ownApp()
    const paths = ['/', '/nope', '/licences', '/show_avatar', '/get_avatar?code=x']
    const statuses = await times(perMinute.others, (i) => get(app, paths[i % paths.length] ?? ''))
    expect(new Set(statuses)).toEqual(new Set([200, 404, 303, 400]))
    for (const path of paths) expectRefusal(await ask(app.url, path))
    expectRefusal(await ask(app.url, '/sign_out', { method: 'POST' }))
    expect((await get(app, '/preview.svg?style=rings')).status).toBe(200)
    expect((await start(app)).status).toBe(302)
    const health = await times(700, (i) => get(app, i % 2 ? '/healthz' : '/readyz'))
    expect(new Set(health)).toEqual(new Set([200]))
  })

  test('any number of requests with RATE_LIMIT=off', async () => {
    const app = await ownApp({ settings: { RATE_LIMIT: 'off' } })
    expect(new Set(await times(perMinute.signIns + 5, () => start(app)))).toEqual(new Set([302]))
    expect((await start(app)).headers.ratelimit).toBeUndefined()
    // All clients together may start 6000 sign-ins in a minute otherwise.
    const choice = { ...look, backgroundColor: 'ffd29d', animated: false }
    for (let i = 0; i < 6000; i += 1) await app.parts.states.start(choice)
    expect((await start(app)).status).toBe(302)
  })
})

test('a rate limit allows new requests after a minute, even if refused ones have gone on', async () => {
  const app = await ownApp()
  const clocks = [Date, performance].map((clock) => [clock, clock.now.bind(clock)] as const)
  onTestFinished(() => void vi.restoreAllMocks())
  const later = (ms: number) => {
    for (const [clock, now] of clocks) vi.spyOn(clock, 'now').mockImplementation(() => now() + ms)
  }
  const kinds = [
    [perMinute.signIns, 302, () => start(app)],
    [perMinute.others, 404, () => get(app, '/nope')],
  ] as const
  for (const [most, status, send] of kinds) expect(new Set(await times(most, send))).toEqual(new Set([status]))
  for (const ms of [0, 40_000]) {
    later(ms)
    for (const [, , send] of kinds) expect((await send()).status).toBe(429)
  }
  later(61_000)
  // The LRU cache reads the clock only once per millisecond, so the next window may begin a little later.
  for (const [, status, send] of kinds) await expect.poll(async () => (await send()).status).toBe(status)
})

describe('a client is identified by', () => {
  test('the address of its connection, whatever its headers say, if TRUST_PROXY is not set', async () => {
    const app = await ownApp()
    for (let i = 1; i <= perMinute.signIns; i += 1) {
      const names = { ...from(`10.0.0.${i}`), 'X-Real-IP': `10.0.1.${i}`, Forwarded: `for=10.0.2.${i}` }
      expect((await start(app, names)).status).toBe(302)
    }
    expectRefusal(await start(app, from('10.9.9.9')))
  })

  test.each([
    ['1', 'one proxy'],
    ['loopback', 'a proxy by its address'],
  ])('the address that the proxy names, with TRUST_PROXY=%s (%s)', async (trusted) => {
    const app = await ownApp({ settings: { TRUST_PROXY: trusted } })
    const someone = from('203.0.113.7')
    for (let i = 1; i <= perMinute.signIns; i += 1) expect((await start(app, someone)).status).toBe(302)
    expectRefusal(await start(app, someone))
    // Addresses that the client made up come before the address that the proxy appends.
    expectRefusal(await start(app, from('198.51.100.1, 203.0.113.7')))
    expect((await start(app, from('203.0.113.8'))).status).toBe(302)
    expect((await start(app)).status).toBe(302)
  })

  test('its /64 network, for IPv6', async () => {
    const app = await ownApp({ settings: { TRUST_PROXY: '1' } })
    for (let i = 1; i <= perMinute.signIns; i += 1) {
      expect((await start(app, from(`2001:db8:0:1::${i.toString(16)}`))).status).toBe(302)
    }
    expectRefusal(await start(app, from('2001:db8:0:1:ffff::1')))
    expect((await start(app, from('2001:db8:0:2::1'))).status).toBe(302)
  })
})

describe('with Redis', () => {
  let redis: Redis
  let client: Awaited<ReturnType<typeof connect>>
  const connect = () => createClient({ url: redis.url }).connect()

  beforeAll(async () => {
    redis = await openRedis()
    client = await connect()
  })
  afterEach(() => client.flushDb())
  afterAll(async () => {
    client.destroy()
    await redis.stop()
  })

  test('two instances count sign-ins together, until the window ends', async () => {
    const first = await ownApp({ redisUrl: redis.url })
    const second = await ownApp({ redisUrl: redis.url, beside: first })
    const both = [first, second]
    const statuses = await times(perMinute.signIns, (i) => start(i % 2 ? first : second))
    expect(new Set(statuses)).toEqual(new Set([302]))
    for (const app of both) expectRefusal(await start(app))

    const keys = await client.keys('limit:*')
    expect(keys).toHaveLength(1)
    for (const key of keys) {
      const leftS = await client.ttl(key)
      expect(leftS).toBeGreaterThan(0)
      expect(leftS).toBeLessThanOrEqual(60)
      await client.pExpire(key, 20_000)
      for (const app of both) expect(Number((await start(app)).headers['retry-after'])).toBeLessThanOrEqual(20)
      await client.pExpire(key, 1)
    }
    await expect.poll(() => client.keys('limit:*')).toEqual([])
    for (const app of both) expect((await start(app)).status).toBe(302)
  })

  test('a client that spreads requests over two instances has about one limit', async () => {
    const most = perMinute.others
    const path = '/nope'
    const first = await ownApp({ redisUrl: redis.url })
    const both = [first, await ownApp({ redisUrl: redis.url, beside: first })] as const
    const key = 'limit:page:127.0.0.1'
    const tenth = most / 10
    const statuses: number[] = []
    while (statuses.length < 1.5 * most) {
      statuses.push(...(await times(tenth, (i) => get(both[i % 2 ? 1 : 0], path))))
      // Each instance may count up to a twentieth of the limit by itself, and shares the rest within 0.1 s.
      const shared = Math.min(statuses.length - tenth, most)
      await expect.poll(async () => Number(await client.get(key)), { timeout: 5000 }).toBeGreaterThanOrEqual(shared)
    }
    const letIn = statuses.filter((status) => status !== 429).length
    expect(letIn).toBeGreaterThanOrEqual(most)
    expect(letIn).toBeLessThan(most * 1.3)

    // Both instances use the window of Redis.
    const leftS = await client.ttl(key)
    for (const app of both) {
      const refused = await ask(app.url, path)
      expectRefusal(refused)
      expect(Math.abs(Number(refused.headers['retry-after']) - leftS)).toBeLessThanOrEqual(2)
    }
  })

  test('pages and files of a normal visitor cause no commands to Redis, and many requests cause few', async () => {
    const app = await ownApp({ redisUrl: redis.url })
    const commands = async () => {
      const stats = await client.info('commandstats')
      return [...stats.matchAll(/^cmdstat_(?!info|hello|client|ping|select)\S+?:calls=(\d+)/gm)]
        .map(([, calls]) => Number(calls))
        .reduce((sum, calls) => sum + calls, 0)
    }
    expect((await get(app, '/readyz')).status).toBe(200)
    const before = await commands()
    await times(20, () => get(app, '/'))
    await times(40, () => get(app, '/preview.svg?style=rings'))
    expect(await commands()).toBe(before)
    // One request more than a twentieth of the limit.
    await times(11, () => get(app, '/'))
    await expect.poll(() => client.get('limit:page:127.0.0.1')).toBe('31')
    await times(500, () => get(app, '/nope'))
    expect((await commands()) - before).toBeLessThan(100)
    // Requests above the limit cause none, except for what was counted before.
    await times(100, () => get(app, '/nope'))
    await expect
      .poll(async () => Number(await client.get('limit:page:127.0.0.1')))
      .toBeGreaterThanOrEqual(perMinute.others)
    const beforeRefusals = await commands()
    expect(new Set(await times(200, () => get(app, '/nope')))).toEqual(new Set([429]))
    expect((await commands()) - beforeRefusals).toBeLessThanOrEqual(4)
  })

  test('while Redis is down sign-ins get 503 and keep the choice, and each process counts by itself', async () => {
    const app = await ownApp({ settings: { REDIS_URL: 'redis://127.0.0.1:1' } })
    const away = await start(app)
    expect([away.status, away.headers['retry-after']]).toEqual([503, '5'])
    expect(keepsLook(away.text)).toBe(true)
    for (let i = 2; i <= perMinute.signIns; i += 1) expect((await start(app)).status).toBe(503)
    expectRefusal(await start(app))
    const statuses = await times(perMinute.others, () => get(app, '/nope'))
    expect(new Set(statuses)).toEqual(new Set([404]))
    expectRefusal(await ask(app.url, '/'))
  })

  test('after an outage of Redis no request has been counted twice, and the limit holds', async () => {
    const own = await openRedis()
    const app = await ownApp({ redisUrl: own.url })
    onTestFinished(() => own.stop())
    await times(perMinute.others / 3, () => get(app, '/nope'))
    own.pause()
    await times(perMinute.others / 3, () => get(app, '/nope'))
    own.resume()
    await expect.poll(async () => (await get(app, '/readyz')).status).toBe(200)
    const statuses = await times(perMinute.others / 3, () => get(app, '/nope'))
    expect(new Set(statuses)).toEqual(new Set([404]))
    expectRefusal(await ask(app.url, '/nope'))
  })
})

test.each([
  ['/og.png', perMinute.files],
  ['/look.png', perMinute.files],
  ['/preview.svg', perMinute.files],
  ['/avatars/x.svg', perMinute.files],
  ['/style.css', perMinute.files],
  ['/licences', perMinute.others],
  ['/sign_out', perMinute.others], // GET gets 405
  ['/avatars/%ff.svg', perMinute.others],
  ['http://[', perMinute.others],
])('%s counts towards its own limit', async (path, most) => {
  const app = await ownApp()
  expect((await ask(app.url, path)).headers['ratelimit-policy']).toMatch(new RegExp(`; q=${most}; w=60\\b`))
})

test('every answer has RateLimit headers, except those of health checks', async () => {
  const app = await ownApp()
  const left = (answer: Asked) => Number(/^"[\w-]+"; r=(\d+); t=\d+$/.exec(String(answer.headers.ratelimit))?.[1])
  for (const [most, send] of [
    [perMinute.signIns, () => start(app)],
    [perMinute.files, () => ask(app.url, '/style.css', { method: 'HEAD' })],
    [perMinute.others, () => ask(app.url, '/nope')],
  ] as const) {
    const [first, second] = [await send(), await send()]
    expect([left(first), left(second)]).toEqual([most - 1, most - 2])
    expect(first.headers['ratelimit-policy']).toMatch(new RegExp(`; q=${most}; w=60\\b`))
    expect(Object.keys(first.headers).filter((name) => name.startsWith('x-ratelimit'))).toEqual([])
  }
  expect((await ask(app.url, '/healthz')).headers.ratelimit).toBeUndefined()
})

test('refusals for a client with many connections do not delay other clients', async () => {
  const app = await ownApp({ settings: { TRUST_PROXY: '1' } })
  const connections = Array.from({ length: 61 }, () => openLines(Number(new URL(app.url).port), 1))
  onTestFinished(() => {
    for (const connection of connections) connection.close()
  })
  const [single, ...many] = connections
  const getHome = async (connection: (typeof connections)[number] | undefined, address: string) => {
    const answers = await connection?.ask([{ method: 'GET', target: '/', headers: [['X-Forwarded-For', address]] }])
    return answers?.[0]?.status
  }
  const flood = () => many.map((connection) => getHome(connection, '203.0.113.66'))
  // This opens all connections, passes the limit, and warms up the page.
  for (let sent = 0; sent <= perMinute.others; sent += many.length) await Promise.all(flood())
  expect(await getHome(single, '203.0.113.1')).toBe(200)

  let refused = 0
  const refusals = flood().map(async (answer) => {
    const status = await answer
    refused += 1
    return status
  })
  expect(await getHome(single, '203.0.113.1')).toBe(200)
  expect(refused).toBeLessThan(many.length / 2)
  expect(new Set(await Promise.all(refusals))).toEqual(new Set([429]))
})

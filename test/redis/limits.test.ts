import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type Asked, type AskOptions, ask, formOf } from '../support/ask.ts'
import { look, type OpenOptions, openApp, signIn, type TestApp } from '../support/open-app.ts'
import { openLines } from '../support/raw.ts'
import { openRedis, type Redis } from '../support/redis.ts'
import { keepsLook } from '../support/visits.ts'

const perMinute = { signIns: 30, cards: 60, files: 1200, others: 600 }

/** An app for one test alone, with nobody counted yet. */
async function ownApp({ settings = {}, ...options }: OpenOptions = {}): Promise<TestApp> {
  const own = await openApp({ settings: { RATE_LIMIT: 'on', ...settings }, ...options })
  onTestFinished(() => own.close())
  return own
}

/** So many requests, a few at a time; gives the statuses, in no order. */
async function times(count: number, send: (turn: number) => Promise<{ status: number }>): Promise<number[]> {
  const statuses: number[] = []
  let turn = 0
  const lane = async () => {
    while (turn < count) {
      turn += 1
      statuses.push((await send(turn)).status)
    }
  }
  await Promise.all(Array.from({ length: 20 }, lane))
  return statuses
}

async function get(app: TestApp, path: string): Promise<Response> {
  // A failure in JSON is the cheapest answer there is.
  const headers = { Accept: 'application/json' }
  const answer = await fetch(app.url + path, { redirect: 'manual', headers })
  await answer.arrayBuffer()
  return answer
}

const start = (app: TestApp, headers: Record<string, string> = {}) => {
  const form = formOf(look)
  return ask(app.url, '/get_avatar', { ...form, headers: { ...form.headers, ...headers } })
}
const from = (address: string) => ({ 'X-Forwarded-For': address })

function refuses(answer: Asked): void {
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
  test('thirty a minute, then 429 with a page that says when', async () => {
    const app = await ownApp()
    for (let turn = 1; turn <= perMinute.signIns; turn += 1) expect((await start(app)).status).toBe(302)
    refuses(await start(app))
    refuses(await start(app))
    const problem = await start(app, { Accept: 'application/json' })
    expect([problem.status, problem.headers['content-type']]).toEqual([429, 'application/problem+json; charset=utf-8'])
    expect(Number(problem.headers['retry-after'])).toBeGreaterThan(0)
  })

  test('every answer counts, and both kinds together', async () => {
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
    for (const [, path, options] of kinds) refuses(await ask(app.url, path, options))
    expect((await visitor.post('/show_avatar').type('form').send(look)).status).toBe(429)
  })

  test.each(['/GET_AVATAR', '/Show_avatar', '/get_avatar/', '//get_avatar', '/get%5favatar', '/get_avatar?x'])(
    'no other spelling goes on: %s',
    async (path) => {
      const app = await ownApp()
      for (let turn = 1; turn <= perMinute.signIns; turn += 1) await start(app)
      expect([404, 429]).toContain((await ask(app.url, path, formOf(look))).status)
    },
  )

  test('coming back from Discord, looking and signing out are not among them', async () => {
    const app = await ownApp()
    const visitor = app.visitor()
    for (let turn = 1; turn < perMinute.signIns; turn += 1) await start(app)
    expect((await signIn(app, visitor)).headers.location).toBe('/show_avatar')
    refuses(await start(app))
    expect((await visitor.get('/show_avatar')).status).toBe(200)
    expect((await visitor.post('/sign_out')).status).toBe(303)
  })
})

describe('the rest', () => {
  test('1200 files and previews', async () => {
    const app = await ownApp()
    const paths = ['/preview.svg?style=rings&seed=a', '/style.css', `/avatars/${'0'.repeat(64)}.svg`, '/preview.svg']
    const statuses = await times(perMinute.files, (turn) => get(app, paths[turn % paths.length] ?? ''))
    expect(new Set(statuses)).toEqual(new Set([200, 404, 400]))
    for (const path of [...paths, `/avatars/${'0'.repeat(64)}.png`, '/favicon.svg']) refuses(await ask(app.url, path))
    expect((await get(app, '/')).status).toBe(200)
    expect((await start(app)).status).toBe(302)
  })

  test('600 of anything else; health is free', async () => {
    const app = await ownApp()
    const paths = ['/', '/nope', '/licences', '/show_avatar', '/get_avatar?code=x']
    const statuses = await times(perMinute.others, (turn) => get(app, paths[turn % paths.length] ?? ''))
    expect(new Set(statuses)).toEqual(new Set([200, 404, 303, 400]))
    for (const path of paths) refuses(await ask(app.url, path))
    refuses(await ask(app.url, '/sign_out', { method: 'POST' }))
    expect((await get(app, '/preview.svg?style=rings')).status).toBe(200)
    expect((await start(app)).status).toBe(302)
    const health = await times(700, (turn) => get(app, turn % 2 ? '/healthz' : '/readyz'))
    expect(new Set(health)).toEqual(new Set([200]))
  })

  test('60 pictures beside a link', async () => {
    const app = await ownApp()
    // With no style there is nothing to draw, and every answer counts.
    const statuses = await times(perMinute.cards, () => get(app, '/og.png'))
    expect(new Set(statuses)).toEqual(new Set([400]))
    refuses(await ask(app.url, '/og.png?style=rings'))
    expect((await get(app, '/preview.svg?style=rings')).status).toBe(200)
  })

  test('with RATE_LIMIT=off nobody is counted', async () => {
    const app = await ownApp({ settings: { RATE_LIMIT: 'off' } })
    expect(new Set(await times(perMinute.signIns + 5, () => start(app)))).toEqual(new Set([302]))
    expect((await start(app)).headers.ratelimit).toBeUndefined()
  })
})

test('the minute ends, though somebody goes on asking in it', async () => {
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
  // What keeps the counts looks at the clock once in a millisecond.
  for (const [, status, send] of kinds) await expect.poll(async () => (await send()).status).toBe(status)
})

describe('who is counted', () => {
  test('without TRUST_PROXY nobody hides behind a header', async () => {
    const app = await ownApp()
    for (let turn = 1; turn <= perMinute.signIns; turn += 1) {
      const names = { ...from(`10.0.0.${turn}`), 'X-Real-IP': `10.0.1.${turn}`, Forwarded: `for=10.0.2.${turn}` }
      expect((await start(app, names)).status).toBe(302)
    }
    refuses(await start(app, from('10.9.9.9')))
  })

  test.each([
    ['1', 'one proxy'],
    ['loopback', 'a proxy by its address'],
  ])('with TRUST_PROXY=%s, %s, each address that it names', async (trusted) => {
    const app = await ownApp({ settings: { TRUST_PROXY: trusted } })
    const someone = from('203.0.113.7')
    for (let turn = 1; turn <= perMinute.signIns; turn += 1) expect((await start(app, someone)).status).toBe(302)
    refuses(await start(app, someone))
    // What the visitor wrote there stands to the left of what the proxy wrote.
    refuses(await start(app, from('198.51.100.1, 203.0.113.7')))
    expect((await start(app, from('203.0.113.8'))).status).toBe(302)
    expect((await start(app)).status).toBe(302)
  })

  test('one home has many addresses of IPv6, and is one', async () => {
    const app = await ownApp({ settings: { TRUST_PROXY: '1' } })
    for (let turn = 1; turn <= perMinute.signIns; turn += 1) {
      expect((await start(app, from(`2001:db8:0:1::${turn.toString(16)}`))).status).toBe(302)
    }
    refuses(await start(app, from('2001:db8:0:1:ffff::1')))
    expect((await start(app, from('2001:db8:0:2::1'))).status).toBe(302)
  })
})

describe('on Redis', () => {
  let redis: Redis
  beforeAll(async () => {
    redis = await openRedis()
  })
  afterAll(() => redis.stop())

  test('two instances count sign-ins together, and the minute ends', async () => {
    const first = await ownApp({ redisUrl: redis.url })
    const second = await ownApp({ redisUrl: redis.url, beside: first })
    const both = [first, second]
    const statuses = await times(perMinute.signIns, (turn) => start(turn % 2 ? first : second))
    expect(new Set(statuses)).toEqual(new Set([302]))
    for (const app of both) refuses(await start(app))

    const client = await createClient({ url: redis.url }).connect()
    const keys = await client.keys('limit:*')
    expect(keys).toHaveLength(1)
    for (const key of keys) {
      const leftS = await client.ttl(key)
      expect(leftS).toBeGreaterThan(0)
      expect(leftS).toBeLessThanOrEqual(60)
      await client.pExpire(key, 1)
    }
    await expect.poll(() => client.keys('limit:*')).toEqual([])
    for (const app of both) expect((await start(app)).status).toBe(302)
    client.destroy()
  })

  test('who spreads requests over two instances has about one limit', async () => {
    const most = perMinute.others
    const path = '/nope'
    const first = await ownApp({ redisUrl: redis.url })
    const both = [first, await ownApp({ redisUrl: redis.url, beside: first })] as const
    await get(first, path) // the minute begins
    const statuses = await times(1.5 * most, (turn) => get(both[turn % 2 ? 1 : 0], path))
    const letIn = statuses.filter((status) => status !== 429).length
    expect(letIn).toBeGreaterThanOrEqual(most - 1)
    expect(letIn).toBeLessThan(most * 1.3)

    // The minute is the same at both, and it is the one that Redis keeps.
    const client = await createClient({ url: redis.url }).connect()
    const [key = 'no key'] = await client.keys('limit:*')
    const leftS = await client.ttl(key)
    for (const app of both) {
      const refused = await ask(app.url, path)
      refuses(refused)
      expect(Math.abs(Number(refused.headers['retry-after']) - leftS)).toBeLessThanOrEqual(2)
    }
    await client.flushDb()
    client.destroy()
  })

  test('a visitor’s pages and files ask no Redis, and many of them ask it seldom', async () => {
    const app = await ownApp({ redisUrl: redis.url })
    const client = await createClient({ url: redis.url }).connect()
    const commands = async () => {
      const stats = await client.info('commandstats')
      return [...stats.matchAll(/^cmdstat_(?!info|hello|client|ping|select)\S+?:calls=(\d+)/gm)]
        .map(([, calls]) => Number(calls))
        .reduce((sum, calls) => sum + calls, 0)
    }
    await get(app, '/readyz')
    const before = await commands()
    await times(20, () => get(app, '/'))
    await times(40, () => get(app, '/preview.svg?style=rings'))
    expect(await commands()).toBe(before)
    // A twentieth of the limit, and one more.
    await times(11, () => get(app, '/'))
    await expect.poll(() => client.get('limit:page:127.0.0.1')).toBe('31')
    await times(500, () => get(app, '/nope'))
    expect((await commands()) - before).toBeLessThan(100)
    client.destroy()
  })

  test('while Redis is away a sign-in is refused for that, with the look kept, and all are counted here', async () => {
    const app = await ownApp({ settings: { REDIS_URL: 'redis://127.0.0.1:1' } })
    const away = await start(app)
    expect([away.status, away.headers['retry-after']]).toEqual([503, '5'])
    expect(keepsLook(away.text)).toBe(true)
    for (let turn = 2; turn <= perMinute.signIns; turn += 1) expect((await start(app)).status).toBe(503)
    refuses(await start(app))
    const statuses = await times(perMinute.others, () => get(app, '/nope'))
    expect(new Set(statuses)).toEqual(new Set([404]))
    refuses(await ask(app.url, '/'))
  })

  test('while Redis comes and goes nobody is counted twice, and the limit holds', async () => {
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
    refuses(await ask(app.url, '/nope'))
  })
})

test.each([
  ['/og.png', perMinute.cards],
  ['/preview.svg', perMinute.files],
  ['/avatars/x.svg', perMinute.files],
  ['/style.css', perMinute.files],
  ['/licences', perMinute.others],
  ['/avatars/%ff.svg', perMinute.others],
  ['http://[', perMinute.others],
])('%s is counted for what it costs', async (path, most) => {
  const app = await ownApp()
  expect((await ask(app.url, path)).headers['ratelimit-policy']).toMatch(new RegExp(`; q=${most}; w=60\\b`))
})

test('each answer tells what is left', async () => {
  const app = await ownApp()
  const left = (answer: Asked) => Number(/^"[\w-]+"; r=(\d+); t=\d+$/.exec(String(answer.headers.ratelimit))?.[1])
  for (const [most, send] of [
    [perMinute.signIns, () => start(app)],
    [perMinute.files, () => ask(app.url, '/style.css')],
    [perMinute.others, () => ask(app.url, '/nope')],
  ] as const) {
    const [first, second] = [await send(), await send()]
    expect([left(first), left(second)]).toEqual([most - 1, most - 2])
    expect(first.headers['ratelimit-policy']).toMatch(new RegExp(`; q=${most}; w=60\\b`))
  }
  expect((await ask(app.url, '/healthz')).headers.ratelimit).toBeUndefined()
})

test('who asks on many connections at once waits for who asks on one', async () => {
  const app = await ownApp({ settings: { TRUST_PROXY: '1' } })
  const lines = Array.from({ length: 61 }, () => openLines(Number(new URL(app.url).port), 1))
  onTestFinished(() => {
    for (const line of lines) line.close()
  })
  const [polite, ...greedy] = lines
  const homePage = async (line: (typeof lines)[number] | undefined, address: string) => {
    const asked = await line?.ask([{ method: 'GET', target: '/', headers: [['X-Forwarded-For', address]] }])
    return asked?.[0]?.status
  }
  const storm = () => greedy.map((line) => homePage(line, '203.0.113.66'))
  // From here on all lines are open, the limit is passed, and both pages are known.
  for (let asked = 0; asked <= perMinute.others; asked += greedy.length) await Promise.all(storm())
  expect(await homePage(polite, '203.0.113.1')).toBe(200)

  let refused = 0
  const refusals = storm().map(async (asking) => {
    const status = await asking
    refused += 1
    return status
  })
  expect(await homePage(polite, '203.0.113.1')).toBe(200)
  expect(refused).toBeLessThan(greedy.length / 2)
  expect(new Set(await Promise.all(refusals))).toEqual(new Set([429]))
})

import { createClient } from 'redis'
import type { Response } from 'supertest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { createSealer } from '../../src/visitor/tokens.ts'
import { type AskOptions, ask, formOf } from '../support/ask.ts'
import { movableClocks } from '../support/clock.ts'
import { agreeAtDiscord } from '../support/consent.ts'
import { at, type Call, openDiscord } from '../support/doubles.ts'
import { type Fault, faults } from '../support/faults.ts'
import {
  clientId,
  clientSecret,
  comeBack,
  leave,
  look,
  openApp,
  sessionSecret,
  signIn,
  type TestApp,
  type Visitor,
} from '../support/open-app.ts'
import { openRedis, type Redis } from '../support/redis.ts'
import {
  cookiesOf,
  hasAvatar,
  keepsLook,
  locationOf,
  sameBrowserAt,
  send,
  sessionCookie,
  sessionIdIn,
  setCookie,
  setCookies,
  timed,
} from '../support/visits.ts'

const weekS = 604_800
/** While Redis is down a visitor must have a 503 within this time, plus the time that Discord itself takes. */
const soonMs = 2000
const backMs = 5000

let redis: Redis
let app: TestApp
let db: ReturnType<typeof client>

const client = () => {
  const connection = createClient({ url: redis.url })
  // Redis is stopped and started in these tests; the connection of the test reconnects by itself.
  connection.on('error', () => undefined)
  return connection
}

beforeAll(async () => {
  redis = await openRedis()
  // Rate limits are on, as in production, because they count in Redis, too.
  app = await openApp({ redisUrl: redis.url, settings: { RATE_LIMIT: 'on' } })
  db = client()
  await db.connect()
})
afterAll(async () => {
  db.destroy()
  await app.close()
  await redis.stop()
})
beforeEach(async () => {
  await db.flushDb()
  app.discord.calls.length = 0
})
afterEach(() => {
  app.discord.heal()
  app.dicebear.heal()
  app.discord.tokenLifeS = weekS
})

const later = { ...look, seed: 'later' }
const restyle = (visitor: Visitor, choice: Record<string, string> = later) =>
  visitor.post('/show_avatar').type('form').send(choice)

function expectLanding(answer: Response, status = 302): void {
  expect([answer.status, answer.headers.location]).toEqual([status, '/show_avatar'])
}

function expectAway({ answer, ms }: { answer: Response; ms: number }): void {
  expect(answer.status).toBe(503)
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
  expect(answer.get('Set-Cookie')).toBeUndefined()
  expect(answer.text).not.toContain('Juniper')
  expect(ms).toBeLessThan(soonMs)
}

/** Checks that the app does not know this visitor. */
async function expectStranger(visitor: Visitor, cookie?: string): Promise<void> {
  const asked = (path: string) => (cookie === undefined ? visitor.get(path) : visitor.get(path).set('Cookie', cookie))
  const page = await asked('/show_avatar')
  expect([cookie?.slice(0, 80), page.status, page.headers.location]).toEqual([
    cookie?.slice(0, 80),
    303,
    '/?notice=no-looks',
  ])
  const posting =
    cookie === undefined ? visitor.post('/show_avatar') : visitor.post('/show_avatar').set('Cookie', cookie)
  const restyled = await posting.type('form').send(look)
  expect([restyled.status, new URL(locationOf(restyled), app.url).pathname]).toEqual([303, '/'])
}

/** Returns the address of an avatar on the visitor's page, without its extension. */
async function avatarPath(visitor: Visitor): Promise<string> {
  const page = await visitor.get('/show_avatar')
  const path = /\/avatars\/[0-9a-f]{64}/.exec(page.text)?.[0]
  if (path === undefined) throw new Error('no avatar on the page')
  return path
}

/** Signs in with an access token that is about to expire. */
async function signInShortly(visitor: Visitor): Promise<void> {
  app.discord.tokenLifeS = 1
  expectLanding(await signIn(app, visitor))
  app.discord.tokenLifeS = weekS
  app.discord.calls.length = 0
}

const outages = [
  { how: 'is down', begin: () => redis.kill(), end: () => redis.restart(), forgets: true },
  { how: 'does not answer', begin: async () => redis.pause(), end: async () => redis.resume(), forgets: false },
]

describe.each(outages)('while Redis $how', ({ begin, end, forgets }) => {
  let visitor: Visitor
  let callback: string
  let path: string
  /** Whether the outage is going on. It must be ended even if a test fails. */
  let out = false

  async function fall(): Promise<void> {
    out = true
    await begin()
  }
  async function rise(): Promise<void> {
    await end()
    out = false
    await expect.poll(() => db.ping().catch(() => 'away'), { timeout: backMs }).toBe('PONG')
    await expect.poll(async () => (await app.visitor().get('/readyz')).status, { timeout: backMs }).toBe(200)
  }
  beforeEach(async () => {
    visitor = app.visitor()
    await signIn(app, visitor)
    path = await avatarPath(visitor)
    callback = app.discord.codeFor(await leave(visitor, later))
  })
  afterEach(async () => {
    if (out) await rise()
  })

  test('requests that need no session are served', async () => {
    await fall()
    const paths = ['/', '/?seed=fern&style=bottts', '/licences', '/style.css', '/favicon.svg', '/healthz']
    for (const asked of [...paths, '/preview.svg?seed=fern&style=bottts']) {
      const { answer, ms } = await timed(visitor.get(asked))
      expect([asked, answer.status]).toEqual([asked, 200])
      expect(ms).toBeLessThan(soonMs)
    }
    expect((await visitor.get('/nowhere')).status).toBe(404)
    expect((await visitor.get('/healthz')).body).toEqual({ status: 'ok' })
    const { answer, ms } = await timed(visitor.get('/readyz'))
    expect(answer.status).toBe(503)
    expect(answer.body).toMatchObject({ dependencies: { redis: 'down' } })
    expect(ms).toBeLessThan(soonMs)
  })

  test('requests that need a session get 503 within two seconds, and nothing changes', async () => {
    await fall()
    const asked = await Promise.all([
      timed(visitor.post('/get_avatar').type('form').send(look)),
      timed(app.visitor().post('/get_avatar').type('form').send(look)),
      timed(comeBack(visitor, callback)),
      timed(visitor.get('/show_avatar')),
      timed(restyle(visitor)),
      timed(visitor.get(`${path}.svg`)),
      timed(visitor.get(`${path}.png?size=128`)),
      timed(visitor.post(`${path}/forget`)),
      timed(visitor.post('/sign_out')),
    ])
    for (const waited of asked) expectAway(waited)
    const program = await visitor.get('/show_avatar').set('Accept', 'application/json')
    expect(program.headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(app.discord.count(at.revoke)).toBe(0)

    await rise()
    expect(await hasAvatar(visitor)).toBe(!forgets)
  })

  test('a restyle gets 503 and keeps the choice, which can be sent again', async () => {
    await fall()
    const choice = { ...look, style: 'bottts', seed: 'kept' }
    const answer = await restyle(visitor, choice)
    expect(answer.status).toBe(503)
    expect(keepsLook(answer.text, choice)).toBe(true)
  })

  test('a callback of another browser gets 503, too, and not 400', async () => {
    const stranger = app.visitor()
    const theirs = app.discord.codeFor(await leave(stranger))
    await fall()
    expectAway(await timed(comeBack(stranger, theirs)))
  })

  test('everything works again within five seconds of its return', async () => {
    await fall()
    expect((await visitor.get('/show_avatar')).status).toBe(503)
    await end()
    const since = performance.now()
    await expect.poll(async () => (await visitor.get('/readyz')).status, { timeout: backMs }).toBe(200)
    const newcomer = app.visitor()
    expectLanding(await signIn(app, newcomer))
    expect((await newcomer.get('/show_avatar')).status).toBe(200)
    expect(performance.now() - since).toBeLessThan(backMs)

    const returning = await comeBack(visitor, callback)
    if (forgets) {
      expect(returning.status).toBe(400)
      await expectStranger(visitor)
    } else {
      expectLanding(returning)
      expect(await hasAvatar(visitor, later)).toBe(true)
    }
  })

  test('the app starts all the same, and works within five seconds of Redis’s return', async () => {
    await fall()
    const since = performance.now()
    const early = await openApp({ redisUrl: redis.url, beside: app })
    try {
      // Connecting to a Redis that hangs is given up after four seconds. The start does not wait for this.
      expect(performance.now() - since).toBeLessThan(3000)
      expect((await early.visitor().get('/')).status).toBe(200)
      expect((await early.visitor().get('/healthz')).status).toBe(200)
      expect((await early.visitor().get('/readyz')).status).toBe(503)
      expectAway(await timed(early.visitor().post('/get_avatar').type('form').send(look)))
      await end()
      await expect.poll(async () => (await early.visitor().get('/readyz')).status, { timeout: backMs }).toBe(200)
      expectLanding(await signIn(early, early.visitor()))
    } finally {
      await early.close()
    }
  })
})

describe('Redis becomes unreachable', () => {
  let isKilled = false
  const kill = () => {
    isKilled = true
    return redis.kill()
  }
  const pause = async () => redis.pause()

  /** Brings Redis back, and waits until the app has noticed. */
  async function comeTo(): Promise<void> {
    if (isKilled) await redis.restart()
    isKilled = false
    redis.resume()
    app.discord.heal()
    await expect.poll(() => db.ping().catch(() => 'away'), { timeout: backMs }).toBe('PONG')
    await expect.poll(async () => (await app.visitor().get('/readyz')).status, { timeout: backMs }).toBe(200)
  }
  afterEach(comeTo)

  /** Stops Redis during a call to Discord. Returns the visitor's answer, and its delay after Discord's answer. */
  async function stopDuring(place: string, asking: () => PromiseLike<Response>, away: () => Promise<void> = pause) {
    const before = app.discord.count(place)
    const discordMs = 200
    app.discord.delay(place, discordMs)
    const waiting = send(asking())
    await expect.poll(() => app.discord.count(place), { interval: 5 }).toBe(before + 1)
    await away()
    const { answer, ms } = await timed(waiting)
    return { answer, ms: ms - discordMs }
  }

  /** Checks for a quick 503. A visitor who is signed in may get the session's cookie with it. */
  function expectSoonAway({ answer, ms }: { answer: Response; ms: number }): void {
    expect(answer.status).toBe(503)
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(ms).toBeLessThan(soonMs)
  }

  test('while the code of a new visitor is exchanged: 503 within two seconds', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    expectSoonAway(await stopDuring(at.token, () => comeBack(visitor, callback)))
    redis.resume()
    expectLanding(await signIn(app, visitor))
  })

  test('while the code of a known visitor is exchanged: 503 within two seconds', async () => {
    const visitor = app.visitor()
    await signInShortly(visitor)
    const callback = app.discord.codeFor(await leave(visitor))
    expectSoonAway(await stopDuring(at.token, () => comeBack(visitor, callback)))
    redis.resume()
    expectLanding(await signIn(app, visitor))
    expect(await hasAvatar(visitor)).toBe(true)
  })

  test('while Discord is asked for the user, in a browser with two tabs: 503 within two seconds', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    await leave(visitor)
    expectSoonAway(await stopDuring(at.user, () => comeBack(visitor, callback)))
    redis.resume()
    expectLanding(await signIn(app, visitor))
  })

  test('while a restyle refreshes the tokens: 503 within two seconds, and no lock is left', async () => {
    const visitor = app.visitor()
    await signInShortly(visitor)
    expectSoonAway(await stopDuring(at.token, () => restyle(visitor)))
    redis.resume()
    app.discord.heal()
    // The next restyle is quick, so no lock was left.
    const { answer, ms } = await timed(restyle(visitor))
    expect(answer.status).toBe(303)
    expect(ms).toBeLessThan(soonMs)
    expect(await hasAvatar(visitor)).toBe(true)
  })

  test('while a restyle asks for the user: 503 within two seconds', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    expectSoonAway(await stopDuring(at.user, () => restyle(visitor)))
    redis.resume()
    app.discord.heal()
    const { answer, ms } = await timed(restyle(visitor))
    expectLanding(answer, 303)
    expect(ms).toBeLessThan(soonMs)
  })

  test('while Discord refuses a visitor’s token: 503 within two seconds, and later a restyle succeeds', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    app.discord.fail(at.user, faults.json(401, { message: '401: Unauthorized', code: 0 }), { times: 1 })
    expectSoonAway(await stopDuring(at.user, () => restyle(visitor)))
    redis.resume()
    app.discord.heal()
    expectLanding(await restyle(visitor), 303)
    expect(await hasAvatar(visitor)).toBe(true)
  })

  test('for ever, while a new visitor signs in: 503 within two seconds', async () => {
    for (const place of [at.token, at.user]) {
      const visitor = app.visitor()
      const callback = app.discord.codeFor(await leave(visitor))
      expectSoonAway(await stopDuring(place, () => comeBack(visitor, callback), kill))
      await comeTo()
      await expectStranger(visitor)
      expectLanding(await signIn(app, visitor))
    }
  })

  test('for ever, while a restyle refreshes the tokens: 503 within two seconds', async () => {
    const visitor = app.visitor()
    await signInShortly(visitor)
    expectSoonAway(await stopDuring(at.token, () => restyle(visitor), kill))
    await comeTo()
    await expectStranger(visitor)
    expectLanding(await signIn(app, visitor))
  })

  test('while a sign-out revokes the tokens: the visitor is signed out all the same', async () => {
    const visitor = app.visitor()
    const cookies = cookiesOf(await signIn(app, visitor))
    const { answer, ms } = await stopDuring(at.revoke, () => visitor.post('/sign_out'))
    expect([answer.status, answer.headers.location]).toEqual([303, '/?notice=signed-out'])
    expect(ms).toBeLessThan(soonMs)
    await comeTo()
    await expectStranger(app.visitor(), cookies)
  })
})

/** Returns all keys and values in Redis as one text. */
async function dump(): Promise<string> {
  const parts: string[] = []
  for await (const keys of db.scanIterator()) {
    for (const key of keys) parts.push(key, JSON.stringify(await read(key)))
  }
  return parts.join('\n')
}

async function read(key: string): Promise<unknown> {
  const type = await db.type(key)
  switch (type) {
    case 'string':
      return db.get(key)
    case 'hash':
      return { ...(await db.hGetAll(key)) }
    case 'list':
      return db.lRange(key, 0, -1)
    case 'set':
      return db.sMembers(key)
    case 'zset':
      return db.zRangeWithScores(key, 0, -1)
    case 'stream':
      return db.xRange(key, '-', '+')
    default:
      throw new Error(`Redis holds a ${type}: the test does not know how to read it`)
  }
}

/** Returns the forms in which a secret may be part of a text. In base64 only the middle is the same at any offset. */
function writings(secret: string): string[] {
  const base64 = [0, 1, 2].flatMap((place) => {
    const packed = Buffer.concat([Buffer.alloc(place), Buffer.from(secret)]).toString('base64')
    const inner = packed.slice(place === 0 ? 0 : 4, Math.floor((place + Buffer.byteLength(secret)) / 3) * 4)
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')]
  })
  const hex = Buffer.from(secret).toString('hex')
  return [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), hex, hex.toUpperCase(), ...base64]
}

function expectNone(text: string, secrets: string[]): void {
  expect(secrets.length).toBeGreaterThan(0)
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThanOrEqual(16)
    for (const writing of writings(secret)) expect(text.includes(writing), `${writing} in what was kept`).toBe(false)
  }
}

const GivenTokens = z.object({ access_token: z.string(), refresh_token: z.string() })

function tokensIn(calls: Call[]): string[] {
  return calls.flatMap(({ answer }) => {
    const { data } = GivenTokens.safeParse(answer)
    return data ? [data.access_token, data.refresh_token] : []
  })
}

const fieldsIn = (calls: Call[], name: string) =>
  calls.flatMap(({ path, body }) => new URLSearchParams(path === at.token ? body : '').get(name) ?? [])

describe('what is stored in Redis', () => {
  /** Does everything that a visitor can do. Calls `looking` several times on the way. */
  async function walk(looking: () => Promise<unknown>): Promise<void> {
    const visitor = app.visitor()
    const [first, second] = [await leave(visitor), await leave(visitor, later)]
    await looking()
    app.discord.tokenLifeS = 1
    const returning = [first, second].map((address) => comeBack(visitor, app.discord.codeFor(address)))
    for (const answer of await Promise.all(returning)) expectLanding(answer)
    await looking()
    app.discord.tokenLifeS = weekS
    // `looking` is called while the tokens are refreshed, under a lock.
    app.discord.delay(at.token, 100)
    const before = app.discord.count(at.token)
    const restyling = send(restyle(visitor))
    await expect.poll(() => app.discord.count(at.token), { interval: 5 }).toBe(before + 1)
    await looking()
    expectLanding(await restyling, 303)
    app.discord.heal()
    expectLanding(await signIn(app, visitor, later))
    await looking()
    await visitor.post(`${await avatarPath(visitor)}/forget`)
    await comeBack(visitor, await agreeAtDiscord(await leave(visitor), { decision: 'decline' }))
    app.discord.fail(at.user, faults.rateLimited(30), { times: 1 })
    expect((await restyle(visitor)).status).toBe(503)
    // A visitor who is not known yet is limited by the token.
    app.discord.fail(at.user, faults.rateLimited(30), { times: 1 })
    expect((await signIn(app, app.visitor())).status).toBe(503)
    const leaver = app.visitor()
    await signIn(app, leaver, look, app.discord.accounts[1]?.id)
    await leaver.post('/sign_out')
    app.discord.fail(at.token, faults.rateLimited(30, { global: true }), { times: 1 })
    expect((await signIn(app, app.visitor())).status).toBe(503)
    await leave(visitor)
    await looking()
  }

  test('has a TTL: at most a week, or 90 days for the list of a user’s sessions', async () => {
    const kinds = new Set<string>()
    await walk(async () => {
      for (const key of await db.keys('*')) {
        kinds.add(key.split(':')[0] ?? '')
        const lifeS = await db.ttl(key)
        // The mark of a session that was replaced lives for longer than a request.
        expect(lifeS, key).toBeGreaterThan(key.startsWith('successor:') ? 40 : 0)
        expect(lifeS, key).toBeLessThanOrEqual(key.startsWith('sessions:') ? (90 * weekS) / 7 : weekS)
      }
    })
    const all = ['session', 'sessions', 'successor', 'lock', 'state', 'gate', 'limit']
    for (const kind of all) expect(kinds).toContain(kind)
  })

  test('expires a week after the last visit, not after the first', async () => {
    const visitor = app.visitor()
    const session = `session:${sessionIdIn(cookiesOf(await signIn(app, visitor)))}`
    expect(await db.ttl(session)).toBeGreaterThan(weekS - 60)
    const path = await avatarPath(visitor)
    const visits = [
      () => visitor.get('/show_avatar'),
      () => restyle(visitor),
      () => restyle(visitor, { ...later, style: 'no such style' }),
    ]
    for (const visit of visits) {
      await db.expire(session, 1000)
      const answer = await visit()
      expect(await db.ttl(session)).toBeGreaterThan(weekS - 60)
      const ends = Date.parse(/Expires=([^;]+)/.exec(setCookie(answer, sessionCookie(app)))?.[1] ?? '')
      expect(Math.abs(ends - Date.now() - weekS * 1000)).toBeLessThan(10_000)
    }
    // A request for a picture counts as a visit, too.
    await db.expire(session, 1000)
    expect((await visitor.get(`${path}.svg`)).status).toBe(200)
    expect(await db.ttl(session)).toBeGreaterThan(weekS - 60)
  })

  test('expires 90 days after the sign-in: TTL and cookie of a session become shorter until then', async () => {
    const visitor = app.visitor()
    const key = `session:${sessionIdIn(cookiesOf(await signIn(app, visitor)))}`
    const path = await avatarPath(visitor)
    const Stored = z.looseObject({ signedInAt: z.number() })
    /** Changes the session so that its sign-in was so long ago. */
    async function age(daysAgo: number): Promise<void> {
      const session = Stored.parse(JSON.parse((await db.get(key)) ?? ''))
      const signedInAt = Date.now() - daysAgo * (weekS / 7) * 1000
      await db.set(key, JSON.stringify({ ...session, signedInAt }), { expiration: { type: 'EX', value: weekS } })
    }
    const twoDaysS = (2 * weekS) / 7
    const visits = [
      () => visitor.get('/show_avatar'),
      () => restyle(visitor),
      () => restyle(visitor, { ...later, style: 'no such style' }),
      () => visitor.get(`${path}.svg`),
    ]
    for (const [place, visit] of visits.entries()) {
      await age(88)
      const answer = await visit()
      expect(answer.status).toBeLessThan(500)
      await expect.poll(() => db.ttl(key)).toBeLessThanOrEqual(twoDaysS)
      expect(await db.ttl(key)).toBeGreaterThan(twoDaysS - 60)
      if (place === 3) continue
      const [, maxAgeS] = /Max-Age=(\d+)$/.exec(setCookie(answer, sessionCookie(app))) ?? []
      expect(Number(maxAgeS)).toBeLessThanOrEqual(twoDaysS)
      expect(Number(maxAgeS)).toBeGreaterThan(twoDaysS - 60)
    }
    // Another sign-in begins another 90 days.
    const again = cookiesOf(await signIn(app, visitor, later))
    expect(await db.ttl(`session:${sessionIdIn(again)}`)).toBeGreaterThan(weekS - 60)

    const other = app.visitor()
    const otherKey = `session:${sessionIdIn(cookiesOf(await signIn(app, other)))}`
    const session = Stored.parse(JSON.parse((await db.get(otherKey)) ?? ''))
    const over = { ...session, signedInAt: Date.now() - 90 * (weekS / 7) * 1000 }
    await db.set(otherKey, JSON.stringify(over), { expiration: { type: 'EX', value: weekS } })
    expect((await other.get(`${path}.svg`)).status).toBe(404)
    await expectStranger(other)
  })

  test('expires after 90 days, even a session that version 1.0.0 stored without the time of its sign-in', async () => {
    const visitor = app.visitor()
    const key = `session:${sessionIdIn(cookiesOf(await signIn(app, visitor)))}`
    const Stored = z.looseObject({ signedInAt: z.number(), cookie: z.looseObject({}) })
    for (const [daysAgo, status] of [
      [88, 200],
      [91, 303],
    ] as const) {
      const { signedInAt: _, ...session } = { ...Stored.parse(JSON.parse((await db.get(key)) ?? '')) }
      const expires = new Date(Date.now() - (daysAgo - 7) * (weekS / 7) * 1000).toISOString()
      const old = { ...session, cookie: { ...session.cookie, expires } }
      await db.set(key, JSON.stringify(old), { expiration: { type: 'EX', value: weekS } })
      expect([daysAgo, (await visitor.get('/show_avatar')).status]).toEqual([daysAgo, status])
      await db.set(key, JSON.stringify({ ...old, signedInAt: Date.now() }))
    }
  })

  test('has a format that other versions of the app can read: the session, its history and its tokens', async () => {
    const visitor = app.visitor()
    const key = `session:${sessionIdIn(cookiesOf(await signIn(app, visitor)))}`
    const sealed =
      '4fL-jFg6jBd_oaUSvGLgXGXbCz3om6oyTwf64khhMs_iaDlDDaFo1CeEjqH8ALfoC0T0JKXMz3zHtFuSERc8WgisIEcv_2-0QvDqeQV8LGLC' +
      'XaDltdMuTqaqDLrtFOuNQWKOkfSJNIGYEk3_DKh7'
    const kept = ['fern', 'adventurer', 'ffd29d', 'happy', 0, 2]
    const typed = ['moss', 'sprouts', '', '', 1, 1, { flip: 'horizontal' }]
    const user = { id: '816822249063055437', username: 'juniper.moss', discriminator: '0' }
    const history = { avatars: [kept, typed], removed: { place: 1, avatar: ['rock', 'bottts', '', '', 0, 1] } }
    const session = {
      cookie: { originalMaxAge: weekS * 1000, path: '/' },
      visitor: { user, tokens: { sealed, expiresAt: Date.now() + 100_000 }, ...history },
      signedInAt: Date.now(),
    }
    await db.set(key, JSON.stringify(session), { expiration: { type: 'EX', value: weekS } })
    const [keptId, typedId, removedId] = [
      '6126af50d5493b60bc5e5e9f124ab42628d562c781153d627ac5c26b00cb6059',
      '3240d6177868d13a1723dbed5d130c7a8c84fe658b34d89a4db4e341c9a693a6',
      'c378b90943b0a0037a5a6677ce89a0d070b9665f0d7c219f75db10cbb59f99b8',
    ]
    await visitor.post(`/avatars/${removedId}/restore`).expect(303)
    const { text } = await visitor.get('/show_avatar').expect(200)
    const shown = [...text.matchAll(/href="\/show_avatar\?avatar=([0-9a-f]{64})/g)].map(([, id]) => id)
    expect(shown).toEqual([keptId, removedId, typedId])

    app.discord.fail(at.user, faults.json(200, { id: user.id, username: user.username }))
    app.discord.calls.length = 0
    expectLanding(await restyle(visitor), 303)
    expect(app.discord.calls.map(({ headers }) => headers.authorization)).toEqual(['Bearer kept-access-token'])
    const Written = z.object({ visitor: z.object({ avatars: z.array(z.unknown()) }) })
    expect(Written.parse(JSON.parse((await db.get(key)) ?? '')).visitor.avatars).toEqual([
      ['later', 'adventurer', 'ffd29d', 'happy', 0, 1],
      kept,
      history.removed.avatar,
      typed,
    ])
  })

  test('is the only place of a session: when its key is gone, the visitor is signed out', async () => {
    const visitor = app.visitor()
    const session = `session:${sessionIdIn(cookiesOf(await signIn(app, visitor)))}`
    await db.expire(session, 0)
    await expectStranger(visitor)
    expect(await db.exists(session)).toBe(0)
  })

  test('holds no token, verifier or secret, in plain text, base64 or hex', async () => {
    const dumps: string[] = []
    await walk(async () => dumps.push(await dump()))
    const leaving = await app.visitor().post('/get_avatar').type('form').send(look)
    dumps.push(await dump())
    expectNone(dumps.join('\n'), [
      cookiesOf(leaving).split('=')[1] ?? '',
      new URL(locationOf(leaving)).searchParams.get('state') ?? '',
    ])
    const kept = dumps.join('\n')
    expect(kept).toContain('juniper.moss')
    expectNone(kept, tokensIn(app.discord.calls))
    expectNone(kept, fieldsIn(app.discord.calls, 'code_verifier'))
    expectNone(kept, fieldsIn(app.discord.calls, 'code'))
    expectNone(kept, [clientSecret, sessionSecret])
  })
})

describe('commands to Redis', () => {
  let frugal: TestApp
  const timePasses = movableClocks()

  beforeAll(async () => {
    frugal = await openApp({ redisUrl: redis.url, beside: app })
  })
  afterAll(() => frugal.close())

  /** Returns how many commands of each kind an answer takes, as Redis counts them, without those of this test. */
  async function commandsFor(asking: () => PromiseLike<Response>): Promise<Record<string, number>> {
    await db.configResetStat()
    await asking()
    const stats = await db.info('commandstats')
    const counts = [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name = '', calls]) => [name, calls])
    const ours = counts.filter(([name]) => !/^(config|info|ping|hello|client|auth|select)\b/.test(name ?? ''))
    return Object.fromEntries(ours.map(([name, calls]) => [name, Number(calls)]))
  }

  test('are nine for a whole first visit, three of them scripts, and one for each page and picture', async () => {
    await signIn(frugal, frugal.visitor()) // the first use of each script also sends its text to Redis
    const visitor = frugal.visitor()
    let authorize = ''
    const leaving = await commandsFor(async () => {
      const answer = await visitor.post('/get_avatar').type('form').send(look)
      authorize = locationOf(answer)
      return answer
    })
    const returning = await commandsFor(() => comeBack(visitor, frugal.discord.codeFor(authorize)))
    let path = ''
    const page = await commandsFor(async () => {
      const answer = await visitor.get('/show_avatar')
      path = /\/avatars\/[0-9a-f]{64}/.exec(answer.text)?.[0] ?? ''
      return answer
    })
    const picture = await commandsFor(() => visitor.get(`${path}.svg`).expect(200))
    expect({ leaving, returning, page, picture }).toEqual({
      leaving: { set: 1 },
      // The lock and record of the state; Discord's rate limits; three scripts, which call others: the first adds the
      // session to the list of the user's sessions, the second stores the session, the third its outcome.
      returning: {
        ...{ set: 1, get: 1, mget: 1, evalsha: 3 },
        ...{ lpush: 1, expire: 1, lrange: 1, pexpiretime: 1 },
        ...{ get: 1 + 1 + 1, set: 1 + 1 + 1, del: 1 },
      },
      page: { getex: 1 },
      picture: { getex: 1 },
    })
    expect(await commandsFor(() => visitor.get(`${path}.png?size=128`))).toEqual({ getex: 1 })
    expect(await commandsFor(() => visitor.get('/'))).toEqual({})
  })

  test('are tried a few times at most by thirty requests for /readyz in a row', async () => {
    const tried = await commandsFor(async () => {
      for (let request = 1; request < 30; request += 1) await frugal.visitor().get('/readyz').expect(200)
      return frugal.visitor().get('/readyz')
    })
    expect(tried.getdel).toBeGreaterThan(0)
    expect(tried.getdel).toBeLessThan(10)
  })

  test('are tried for /readyz once a second, or five times a second after a failed try', async () => {
    const triesOf = async () => (await commandsFor(() => frugal.visitor().get('/readyz'))).getdel ?? 0
    timePasses(1.1)
    expect(await triesOf()).toBe(1)
    timePasses(0.5)
    expect(await triesOf()).toBe(0)
    timePasses(0.6)
    expect(await triesOf()).toBe(1)

    onTestFinished(async () => void (await db.configSet('maxmemory', '0')))
    await db.configSet('maxmemory', '1')
    timePasses(1.1)
    expect((await frugal.visitor().get('/readyz')).status).toBe(503)
    await db.configSet('maxmemory', '0')
    timePasses(0.4)
    expect((await frugal.visitor().get('/readyz')).status).toBe(200)
  })

  test('store a session with twelve avatars in at most 2 KB', async () => {
    const visitor = frugal.visitor()
    const [account] = frugal.discord.accounts
    const seeded = (roll: number) => ({
      seed: `seed of thirty-two characters ${String(roll).padStart(2, '0')}`,
      style: 'adventurer-neutral',
      backgroundColor: '#ffd29d',
      mood: 'surprised',
    })
    const key = `session:${sessionIdIn(cookiesOf(await signIn(frugal, visitor, seeded(0), account?.id)))}`
    for (let roll = 1; roll < 12; roll += 1) expectLanding(await restyle(visitor, seeded(roll)), 303)
    const page = await visitor.get('/show_avatar')
    expect(page.text.match(/href="\/show_avatar\?avatar=/g)).toHaveLength(12)
    expect(seeded(11).seed).toHaveLength(32)
    expect(await db.memoryUsage(key)).toBeLessThanOrEqual(2048)
  })
})

describe.each([
  { how: 'is full', setting: 'maxmemory', value: '1' },
  { how: 'has lost its replica', setting: 'min-replicas-to-write', value: '1' },
] as const)('while Redis $how and refuses writes', ({ setting, value }) => {
  let unlimited: TestApp

  beforeAll(async () => {
    unlimited = await openApp({ redisUrl: redis.url, beside: app })
  })
  afterAll(() => unlimited.close())
  afterEach(() => db.configSet(setting, '0'))

  test('avatars are shown, no sign-in is lost, and everything works when it accepts writes again', async () => {
    const visitor = unlimited.visitor()
    expectLanding(await signIn(unlimited, visitor))
    const path = await avatarPath(visitor)
    const newcomer = unlimited.visitor()
    const callback = unlimited.discord.codeFor(await leave(newcomer))

    await db.configSet(setting, value)
    for (const shown of ['/show_avatar', `${path}.svg`, `${path}.png?size=128`]) {
      expect([shown, (await visitor.get(shown)).status]).toEqual([shown, 200])
    }
    const refused = await unlimited.visitor().post('/get_avatar').type('form').send(look)
    const restyled = await restyle(visitor, look)
    for (const answer of [refused, restyled]) {
      expect([answer.status, keepsLook(answer.text)]).toEqual([503, true])
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    }
    expect((await comeBack(newcomer, callback)).status).toBe(503)
    expect(unlimited.discord.count(at.token)).toBe(1)

    await db.configSet(setting, '0')
    expectLanding(await comeBack(newcomer, callback))
    expectLanding(await restyle(visitor), 303)
    expectLanding(await signIn(unlimited, unlimited.visitor()))
  })

  test('new tokens that cannot be stored are not revoked, because that would end those of other devices', async () => {
    const visitor = unlimited.visitor()
    app.discord.tokenLifeS = 1
    expectLanding(await signIn(unlimited, visitor))
    const refusing: Fault = async (_req, res) => {
      await db.configSet(setting, value)
      res.json({ access_token: 'a', refresh_token: 'r', token_type: 'Bearer', expires_in: weekS, scope: 'identify' })
    }
    unlimited.discord.fail(at.token, refusing, { times: 1 })
    expect((await restyle(visitor)).status).toBe(503)
    expect(unlimited.discord.count(at.revoke)).toBe(0)
  })

  test('from the middle of a sign-in on, the visitor gets 503, and the same callback signs in afterwards', async () => {
    const visitor = unlimited.visitor()
    const callback = unlimited.discord.codeFor(await leave(visitor))
    unlimited.discord.delay(at.user, 200)
    const returning = send(comeBack(visitor, callback))
    await expect.poll(() => unlimited.discord.count(at.user), { interval: 5 }).toBe(1)
    await db.configSet(setting, value)
    const answer = await returning
    expect([answer.status, keepsLook(answer.text)]).toEqual([503, true])
    unlimited.discord.heal()
    await db.configSet(setting, '0')
    await expect
      .poll(async () => (await comeBack(visitor, callback)).headers.location, { timeout: 10_000 })
      .toBe('/show_avatar')
    await visitor.get('/show_avatar').expect(200)
    expect(unlimited.discord.count(at.token)).toBe(1)
  })
})

/** The part of a stored session that these tests change. */
const KeptSession = z.looseObject({
  visitor: z.looseObject({ tokens: z.looseObject({ sealed: z.string() }) }),
})

describe('a session that was damaged in Redis', () => {
  async function signedIn() {
    const visitor = app.visitor()
    const key = `session:${sessionIdIn(cookiesOf(await signIn(app, visitor)))}`
    return { visitor, key, kept: KeptSession.parse(JSON.parse((await db.get(key)) ?? '')) }
  }

  test('has one changed byte in its encrypted tokens: the visitor signs in again, and nothing breaks', async () => {
    const { visitor, key, kept } = await signedIn()
    const { sealed } = kept.visitor.tokens
    // One byte in the nonce, one in the text, one in the authentication tag.
    for (const place of [3, Math.floor(sealed.length / 2), sealed.length - 4]) {
      const flipped = sealed[place] === 'A' ? 'B' : 'A'
      kept.visitor.tokens.sealed = `${sealed.slice(0, place)}${flipped}${sealed.slice(place + 1)}`
      await db.set(key, JSON.stringify(kept), { expiration: 'KEEPTTL' })
      app.discord.calls.length = 0
      const restyled = await restyle(visitor)
      expect([restyled.status, new URL(locationOf(restyled), app.url).pathname]).toEqual([303, '/'])
      expect(app.discord.calls).toEqual([])
    }
    expect((await visitor.get('/show_avatar')).status).toBe(200)

    await db.set(key, JSON.stringify(kept), { expiration: 'KEEPTTL' })
    expectLanding(await signIn(app, visitor, later))
    expect(app.discord.count(at.token)).toBe(1)
    expect(await hasAvatar(visitor)).toBe(true)
  })

  test('has encrypted tokens in another format: the visitor signs in again, and nothing breaks', async () => {
    for (const text of ['no JSON', '{}', '{"accessToken":1,"expiresAt":"soon"}']) {
      const { visitor, key, kept } = await signedIn()
      kept.visitor.tokens.sealed = createSealer([sessionSecret]).seal(text)
      await db.set(key, JSON.stringify(kept), { expiration: 'KEEPTTL' })
      const restyled = await restyle(visitor)
      expect([text, restyled.status, new URL(locationOf(restyled), app.url).pathname]).toEqual([text, 303, '/'])
      expectLanding(await signIn(app, visitor))
    }
  })

  test('has damaged tokens: the visitor can sign out', async () => {
    const { visitor, key, kept } = await signedIn()
    kept.visitor.tokens.sealed = 'not sealed at all'
    await db.set(key, JSON.stringify(kept), { expiration: 'KEEPTTL' })
    expect((await visitor.post('/sign_out')).status).toBe(303)
    await expectStranger(visitor)
  })

  const cookie = { originalMaxAge: weekS * 1000, path: '/' }
  test.each([
    ['nothing', ''],
    ['no JSON', '{"cookie":'],
    ['null', 'null'],
    ['a list', '[]'],
    ['a word', '"session"'],
    ['an empty object', '{}'],
    ['no cookie', '{"visitor":{"avatars":[]}}'],
    ['null for its cookie', '{"cookie":null}'],
    ['a visitor that is a word', JSON.stringify({ cookie, visitor: 'juniper' })],
    ['avatars with an invalid id', JSON.stringify({ cookie, visitor: { avatars: [{ id: '../../etc/passwd' }] } })],
    ['a user without a name', JSON.stringify({ cookie, visitor: { avatars: [], user: { id: '1' } } })],
    ['an expiry that is no date', JSON.stringify({ cookie: { ...cookie, expires: 'soon' }, visitor: {} })],
  ])('consists of %s: the visitor is signed out, and can sign in again', async (_, text) => {
    const { visitor, key } = await signedIn()
    await db.set(key, text, { expiration: 'KEEPTTL' })
    await expectStranger(visitor)
    expect(await hasAvatar(visitor)).toBe(false)
    expectLanding(await signIn(app, visitor))
    expect(await hasAvatar(visitor)).toBe(true)
  })
})

describe('a new SESSION_SECRET', () => {
  const newSecret = 'another session secret of more than thirty-two characters'
  let both: TestApp
  let newOnly: TestApp

  beforeAll(async () => {
    const settings = (secrets: string) => ({ redisUrl: redis.url, settings: { SESSION_SECRET: secrets }, beside: app })
    both = await openApp(settings(`${newSecret},${sessionSecret}`))
    newOnly = await openApp(settings(newSecret))
  })
  afterAll(() => Promise.all([both.close(), newOnly.close()]))

  test('before the old one keeps sessions, tokens and sign-ins in progress valid', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const address = await leave(visitor, later)
    const there = sameBrowserAt(both, visitor)
    expect((await there.get('/show_avatar')).status).toBe(200)
    expectLanding(await restyle(there), 303)
    expectLanding(await comeBack(there, app.discord.codeFor(address)))
    // The stored tokens were decrypted: no code was exchanged, and nothing was refreshed.
    expect(app.discord.count(at.token)).toBe(1)

    // A session that was used since then is signed with the new secret, so the old one is not needed.
    expect((await sameBrowserAt(newOnly, visitor).get('/show_avatar')).status).toBe(200)
  })

  test('before the old one ends sessions whose cookie was signed with the old one, and encrypts with the new one', async () => {
    const visitor = app.visitor()
    const cookies = cookiesOf(await signIn(app, visitor))
    expect((await sameBrowserAt(both, visitor).post('/sign_out')).status).toBe(303)
    await expectStranger(app.visitor(), cookies)
    expect(app.discord.count(at.revoke)).toBe(1)

    const later = both.visitor()
    expectLanding(await signIn(both, later))
    const callback = app.discord.codeFor(await leave(later))
    const there = sameBrowserAt(newOnly, later)
    expectLanding(await restyle(there), 303)
    expectLanding(await comeBack(there, callback))
    expect(app.discord.count(at.token)).toBe(2)
  })

  test('without the old one signs visitors out, and sign-ins in progress start again', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const callback = app.discord.codeFor(await leave(visitor))
    const exchanges = app.discord.count(at.token)
    const there = sameBrowserAt(newOnly, visitor)
    expect((await comeBack(there, callback)).status).toBe(400)
    expect(app.discord.count(at.token)).toBe(exchanges)
    // A lock that was left would make the next request of this browser wait until it expires.
    await expect.poll(() => db.keys('lock:*')).toEqual([])
    await expectStranger(there)
    expectLanding(await signIn(newOnly, there))
  })
})

describe('the session cookie', () => {
  test('is sent to this site only, and hidden from scripts', async () => {
    const visitor = app.visitor()
    const returning = await signIn(app, visitor)
    const restyled = await restyle(visitor)
    for (const answer of [returning, await visitor.get('/show_avatar'), restyled]) {
      const [, ...attributes] = setCookie(answer, sessionCookie(app)).split('; ')
      expect(attributes).toEqual(expect.arrayContaining(['Path=/', 'HttpOnly', 'SameSite=Lax']))
      expect(attributes.join()).not.toMatch(/Domain|Secure/)
      expect(attributes.filter((attribute) => attribute.startsWith('Max-Age='))).toEqual([`Max-Age=${weekS}`])
      const ends = attributes.find((attribute) => attribute.startsWith('Expires='))?.slice('Expires='.length) ?? ''
      expect(Math.abs(Date.parse(ends) - Date.now() - weekS * 1000)).toBeLessThan(10_000)
    }
  })

  test('is Secure and __Host- if BASE_URL is https, whatever the proxy says', async () => {
    const url = 'https://avatars.example'
    const discord = await openDiscord({ clientId, clientSecret, redirectUri: `${url}/get_avatar` })
    const behindProxy = await openApp({ redisUrl: redis.url, beside: { url, discord, dicebear: app.dicebear } })
    try {
      await expect.poll(async () => (await behindProxy.visitor().get('/readyz')).status, { timeout: backMs }).toBe(200)
      for (const headers of [{}, { 'X-Forwarded-Proto': 'https' }, { 'X-Forwarded-Proto': 'http' }]) {
        const leaving = await behindProxy.visitor().post('/get_avatar').set(headers).type('form').send(look)
        const callback = discord.codeFor(locationOf(leaving))
        const returning = await comeBack(behindProxy.visitor(), callback).set(headers).set('Cookie', cookiesOf(leaving))
        expectLanding(returning)
        for (const line of [...setCookies(leaving), ...setCookies(returning)]) {
          expect(line).toMatch(/^__Host-/)
          expect(line.split('; ')).toEqual(expect.arrayContaining(['Path=/', 'HttpOnly', 'Secure', 'SameSite=Lax']))
          expect(line).not.toMatch(/Domain/)
        }
        const page = await behindProxy.visitor().get('/show_avatar').set(headers).set('Cookie', cookiesOf(returning))
        expect(page.status).toBe(200)
        const unprefixed = cookiesOf(returning).replaceAll('__Host-', '')
        await expectStranger(behindProxy.visitor(), unprefixed)
      }
      const warningsOf = ({ logged }: TestApp) =>
        logged.filter((line) => line.includes('X-Forwarded-Proto')).map((line) => JSON.parse(line).level)
      expect(warningsOf(behindProxy)).toEqual([40])
      const trusting = await openApp({
        redisUrl: redis.url,
        beside: { url, discord, dicebear: app.dicebear },
        settings: { TRUST_PROXY: '1' },
      })
      await trusting.visitor().get('/show_avatar').set('X-Forwarded-Proto', 'https').expect(303)
      await trusting.close()
      expect(warningsOf(trusting)).toEqual([])
    } finally {
      await behindProxy.close()
      await discord.close()
    }
  })

  test('is not set before there is something to store', async () => {
    const visitor = app.visitor()
    const paths = ['/', '/style.css', '/preview.svg?style=bottts', '/licences', '/nowhere', '/healthz', '/readyz']
    for (const path of [...paths, '/show_avatar', '/get_avatar', '/get_avatar?code=a&state=b', '/avatars/x.svg']) {
      const answer = await visitor.get(path)
      expect([path, answer.get('Set-Cookie')]).toEqual([path, undefined])
    }
    expect(await db.keys('session:*')).toEqual([])
  })

  test('opens no session and causes no error when it is made up, changed or very long', async () => {
    const visitor = app.visitor()
    const good =
      cookiesOf(await signIn(app, visitor))
        .split('; ')
        .find((pair) => pair.startsWith(sessionCookie(app))) ?? ''
    expect((await app.visitor().get('/show_avatar').set('Cookie', good)).status).toBe(200)
    const path = await avatarPath(visitor)
    const id = sessionIdIn(good)
    const signature = good.split('.').at(-1) ?? ''
    const other = cookiesOf(await signIn(app, app.visitor(), look, app.discord.accounts[1]?.id))
    const flipped = signature.startsWith('A') ? 'B' : 'A'
    const cookies = [
      `${sessionCookie(app)}=`,
      `${sessionCookie(app)}=guessed`,
      `${sessionCookie(app)}=${id}`,
      `${sessionCookie(app)}=s%3A${id}`,
      `${sessionCookie(app)}=s%3A${id}.`,
      `${sessionCookie(app)}=s%3A${id}.${flipped}${signature.slice(1)}`,
      `${sessionCookie(app)}=s%3A${sessionIdIn(other)}.${signature}`,
      `${sessionCookie(app)}=s%3A${id}x.${signature}`,
      `${sessionCookie(app)}=j%3A%7B%22id%22%3A%22${id}%22%7D`,
      `${sessionCookie(app)}=s%3A`,
      `${sessionCookie(app)}=%E0%A4%A`,
      `${sessionCookie(app)}=s%3A__proto__.x`,
      `${sessionCookie(app)}=s%3A*.${signature}`,
      `${sessionCookie(app)}=${'x'.repeat(5 * 1024)}`,
      `${sessionCookie(app)}=s%3A${'x'.repeat(5 * 1024)}.${signature}`,
      '=; ;;=session',
    ]
    for (const cookie of cookies) {
      await expectStranger(app.visitor(), cookie)
      const picture = await app.visitor().get(`${path}.svg`).set('Cookie', cookie)
      expect([cookie.slice(0, 80), picture.status]).toEqual([cookie.slice(0, 80), 404])
      const leaving = await app.visitor().get('/').set('Cookie', cookie)
      expect(leaving.status).toBe(200)
      // The rate limits count these requests, too.
      await db.del(await db.keys('limit:*'))
    }
  })
})

test('the log holds no code, token, state, verifier, secret or cookie, whatever goes wrong', async () => {
  const talkative = await openApp({ redisUrl: redis.url, settings: { LOG_LEVEL: 'trace' }, beside: app })
  const cookies: string[] = []
  const addresses: string[] = []
  const keep = (answer: Response) => {
    for (const pair of cookiesOf(answer).split('; ')) cookies.push(pair.slice(pair.indexOf('=') + 1))
    return answer
  }
  async function walk(visitor: Visitor): Promise<Response> {
    const authorize = locationOf(keep(await visitor.post('/get_avatar').type('form').send(look)))
    const callback = app.discord.codeFor(authorize)
    addresses.push(authorize, callback)
    return keep(await comeBack(visitor, callback))
  }
  try {
    const visitor = talkative.visitor()
    app.discord.tokenLifeS = 1
    expectLanding(await walk(visitor))
    expectLanding(keep(await restyle(visitor)), 303)
    app.discord.tokenLifeS = weekS
    expectLanding(keep(await restyle(visitor)), 303)
    await visitor.get(`${await avatarPath(visitor)}.svg`)

    // Invalid answers of Discord, from which a library might quote in its error message.
    const told = { access_token: 'an access token in bad JSON', refresh_token: 'a refresh token in bad JSON' }
    // So short that the JSON parser quotes all of it in its error.
    const quoted = 'token-in-plain-text!'
    expect(() => JSON.parse(quoted)).toThrow(quoted)
    for (const fault of [
      faults.answer(200, quoted, { 'content-type': 'application/json' }),
      faults.answer(200, JSON.stringify(told).slice(0, -1), { 'content-type': 'application/json' }),
      faults.json(200, told),
      faults.json(200, { ...told, token_type: 'MAC', expires_in: 1 }),
      faults.json(400, { error: 'invalid_grant', error_description: told.access_token }),
      faults.json(401, { error: 'invalid_client', error_description: told.access_token }),
      faults.json(500, { message: told.refresh_token }),
      faults.rateLimited(),
      faults.reset(JSON.stringify(told).slice(0, -1)),
    ]) {
      app.discord.fail(at.token, fault, { times: 1 })
      expect((await walk(talkative.visitor())).status).toBeGreaterThanOrEqual(400)
      await db.del('gate:token')
    }
    for (const fault of [faults.json(401, { message: told.access_token }), faults.malformed(), faults.rateLimited()]) {
      app.discord.fail(at.user, fault, { times: 1 })
      expect((await walk(talkative.visitor())).status).toBeGreaterThanOrEqual(400)
    }
    const callback = addresses.at(-1) ?? ''
    const own = locationOf(keep(await visitor.post('/get_avatar').type('form').send(look)))
    addresses.push(own)
    expect((await comeBack(talkative.visitor(), callback)).status).toBe(400)
    expect((await comeBack(visitor, `${callback}&code=twice`)).status).toBe(400)
    const { search } = new URL(callback)
    expect((await visitor.get(`/nowhere${search}`)).status).toBe(404)
    expect((await visitor.get(`/show_avatar${search}&avatar=x`)).status).toBe(404)
    expect((await visitor.get(`/get_avatar${search}`).set('Referer', callback)).status).toBe(400)

    redis.pause()
    expect((await walkWhilePaused(talkative, visitor, app.discord.codeFor(own))).status).toBe(503)
    redis.resume()
    await redis.restart()
    await expect.poll(async () => (await visitor.get('/readyz')).status, { timeout: backMs }).toBe(200)
    await visitor.post('/sign_out')

    const log = talkative.logged.join('')
    for (const line of talkative.logged) JSON.parse(line)
    expect(log).toContain('"path":"/get_avatar"')
    expect(log).toContain('"level":50')
    const queries = addresses.map((address) => new URL(address).searchParams)
    expectNone(
      log,
      queries.flatMap((query) => [query.getAll('state'), query.getAll('code')].flat()),
    )
    expectNone(log, [...tokensIn(app.discord.calls), ...Object.values(told), quoted])
    expectNone(log, fieldsIn(app.discord.calls, 'code_verifier'))
    expectNone(
      log,
      cookies.filter((value) => value.length > 1),
    )
    const sessions = cookies.flatMap((value) => /^s%3A([^.]+)\./.exec(value)?.[1] ?? [])
    expectNone(log, sessions)
    expectNone(log, [clientSecret, sessionSecret])
  } finally {
    redis.resume()
    await talkative.close()
    await expect.poll(() => db.ping().catch(() => 'away'), { timeout: backMs }).toBe('PONG')
  }
})

async function walkWhilePaused(there: TestApp, visitor: Visitor, callback: string): Promise<Response> {
  await Promise.all([there.visitor().post('/get_avatar').type('form').send(look), restyle(visitor)])
  return comeBack(visitor, callback)
}

test('the log has the reason of an error under the number that the visitor was shown', async () => {
  app.discord.fail(at.token, faults.malformed(), { times: 1 })
  const answer = await signIn(app, app.visitor())
  expect(answer.status).toBe(502)
  const number = /<bdi>502-([0-9a-f]{8})<\/bdi>/.exec(answer.text)?.[1] ?? 'no number on the page'
  const [line = '', ...others] = app.logged.filter((one) => one.includes(number) && one.includes('"res"'))
  expect(others).toEqual([])
  expect(JSON.parse(line)).toMatchObject({
    req: { method: 'GET', path: '/get_avatar' },
    res: { statusCode: 502 },
    err: {
      type: 'DiscordUnavailable',
      message: expect.stringMatching(/token (address|endpoint)/),
    },
  })
  expect(line).not.toContain('?')
})

test('each request is one line of JSON in the log, whatever line breaks and escapes it contains', async () => {
  const quiet = await openApp({ redisUrl: redis.url, beside: app })
  const forged = '{"level":60,"msg":"forged"}'
  const ends = ['\r\n', '\n', '\r', '\u2028', '\u0085', '\u001b[2K\u001b[1G', '\0', '"},\n']
  const headersOf = (value: string) => ({
    'User-Agent': value,
    Referer: value,
    'X-Request-Id': value,
    'X-Forwarded-For': value,
    'Sec-Fetch-Site': 'same-origin',
  })
  try {
    let asked = 0
    const send = async (path: string, options?: AskOptions) => {
      asked += 1
      expect((await ask(quiet.url, path, options)).status).toBeLessThan(500)
    }
    for (const end of ends) {
      const text = `${end}${forged}${end}`
      const inPath = encodeURIComponent(text)
      await send(`/?seed=${inPath}&style=bottts`)
      await send(`/${inPath}`)
      await send(`/avatars/${inPath}.svg`)
      await send(`/get_avatar?error=${inPath}&state=${inPath}`)
      await send('/get_avatar', formOf({ ...look, seed: text }))
      await send('/show_avatar', { headers: { Cookie: `${sessionCookie(app)}=${inPath}; state-x=${inPath}` } })
    }
    // Everything that HTTP allows in a header; a line break itself is refused.
    for (const value of [`\\r\\n${forged}`, `%0D%0A${forged}`, `\t"${forged}`, `\x85${forged}`, `\\u000a${forged}`]) {
      await send('/', { headers: headersOf(value) })
      await send('/nowhere', { headers: headersOf(value) })
    }
    // An error name from Discord that is printable ASCII is logged.
    const visitor = quiet.visitor()
    const state = new URL(await leave(visitor)).searchParams.get('state') ?? ''
    const error = '"}\\n{"level":60,"msg":"forged"}'
    expect((await visitor.get('/get_avatar').query({ error, state })).status).toBe(400)
    asked += 2

    const lines = quiet.logged.join('').split('\n')
    expect(lines.pop()).toBe('')
    const said = lines.map((line) => LogLine.parse(JSON.parse(line)))
    expect(said.filter(({ req }) => req !== undefined)).toHaveLength(asked)
    expect(said.filter(({ level, msg }) => level === 60 || msg === 'forged')).toEqual([])
    // Terminals take these characters for commands, and some log readers for line breaks.
    for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\u2028\u2029]/u)
  } finally {
    await quiet.close()
  }
})

const LogLine = z.looseObject({ level: z.number(), msg: z.string().optional(), req: z.unknown().optional() })

describe('without Redis, in memory', () => {
  let small: TestApp

  beforeAll(async () => {
    small = await openApp()
  })
  afterAll(() => small.close())
  afterEach(() => small.discord.heal())

  test('a whole visit works: form, Discord, avatar, restyle, declining, sign-out', async () => {
    const visitor = small.visitor()
    expectLanding(await signIn(small, visitor))
    expect((await visitor.get('/show_avatar')).text).toContain('Juniper Moss')
    expect(await hasAvatar(visitor)).toBe(true)
    expectLanding(await restyle(visitor), 303)
    expect(await hasAvatar(visitor, later)).toBe(true)
    expect(await hasAvatar(small.visitor(), later)).toBe(false)
    expect(small.discord.count(at.token)).toBe(1)

    const declined = await comeBack(visitor, await agreeAtDiscord(await leave(visitor), { decision: 'decline' }))
    expect([declined.status, new URL(locationOf(declined), small.url).pathname]).toEqual([303, '/'])
    expect((await visitor.get('/show_avatar')).status).toBe(200)

    const ready = await visitor.get('/readyz')
    expect([ready.status, ready.body]).toMatchObject([200, { dependencies: { redis: 'not used' } }])
    const cookies = cookiesOf(await visitor.get('/show_avatar'))
    expect((await small.visitor().get('/show_avatar').set('Cookie', cookies)).status).toBe(200)
    expect((await visitor.post('/sign_out')).status).toBe(303)
    await expectStranger(visitor)
    await expectStranger(small.visitor(), cookies)
    expect(small.discord.count(at.revoke)).toBe(1)
  })

  test('a second callback waits for the first, and leads to the same avatar', async () => {
    const visitor = small.visitor()
    const callback = small.discord.codeFor(await leave(visitor))
    const before = small.discord.count(at.token)
    small.discord.delay(at.token, 300)
    const first = send(comeBack(visitor, callback))
    await expect.poll(() => small.discord.count(at.token), { interval: 5 }).toBe(before + 1)
    const [second, third] = [comeBack(visitor, callback), comeBack(visitor, callback)]
    for (const answer of await Promise.all([first, second, third])) {
      expectLanding(answer)
      expect((await small.visitor().get('/show_avatar').set('Cookie', cookiesOf(answer))).status).toBe(200)
    }
    expectLanding(await comeBack(visitor, callback))
    expect((await comeBack(small.visitor(), callback)).status).toBe(400)
    expect(small.discord.count(at.token)).toBe(before + 1)
  })

  test('concurrent restyles with an expired token cause one refresh, and no avatar is lost', async () => {
    const visitor = small.visitor()
    small.discord.tokenLifeS = 1
    expectLanding(await signIn(small, visitor))
    small.discord.tokenLifeS = weekS
    const before = small.discord.count(at.token)
    const seeds = ['one', 'two', 'three', 'four']
    const answers = await Promise.all(seeds.map((seed) => restyle(visitor, { ...look, seed })))
    for (const answer of answers) expectLanding(answer, 303)
    expect(small.discord.count(at.token)).toBe(before + 1)
    for (const seed of seeds) expect([seed, await hasAvatar(visitor, { seed })]).toEqual([seed, true])
  })
})

// Every way in which Discord, DiceBear, Redis or the disk can fail, at each step that needs them. Tested are the answer
// to the visitor, the time that it takes, and that the next visitor is served.
import { spawnSync } from 'node:child_process'
import { open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient } from 'redis'
import type { Response } from 'supertest'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { movableClocks } from '../support/clock.ts'
import { at, type DiceBearDouble, openDiceBear } from '../support/doubles.ts'
import { drawn } from '../support/drawn.ts'
import { type Fault, faults } from '../support/faults.ts'
import { comeBack, leave, look, openApp, shownAvatar, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { openRedis, type Redis } from '../support/redis.ts'
import {
  cookiesOf,
  expectLanding,
  hasAvatar,
  keepsLook,
  locationOf,
  restyle,
  restyled,
  timed,
} from '../support/visits.ts'

/** UPSTREAM_TIMEOUT_MS: short for faults that time out, and long for others, which a slow machine may delay. */
const shortMs = 600
const longMs = 4000
/** A visitor must have an answer within the timeout plus this. */
const marginMs = 2000
const weekS = 604_800
const errorLevel = 50

/** The target of redirects, which must never be followed. */
let elsewhere: DiceBearDouble
beforeAll(async () => {
  elsewhere = await openDiceBear()
})
beforeAll(() => {
  // Compressing takes longer than the timeouts here, so it is done beforehand.
  faults.gzipBomb()
})
afterAll(() => elsewhere.close())
afterEach(() => expect(elsewhere.calls).toEqual([]))

/** A good response of the endpoint. */
type GoodResponse = { type: Record<string, string>; body: string }
type Row = {
  how: string
  /** With `undefined`, connections are refused. */
  fault: ((good: GoodResponse) => Fault) | undefined
  /** Status and title of the error page that the visitor gets when Discord fails in this way. */
  status: number
  title: string
  retryAfter?: string
  /** The numbers of requests that may be made; by default one, or none if connections are refused. */
  calls?: number[]
}

const expectCalls = (row: Row, calls: number) => expect(row.calls ?? [row.fault ? 1 : 0]).toContain(calls)

const unavailable = { status: 502, title: 'Discord is not answering' }
const timedOut = { status: 504, title: 'Discord is not answering' }
const refused = { status: 502, title: 'Discord turned us away' }
const rateLimited = (retryAfter: string) => ({ status: 503, title: 'Too many people at once', retryAfter })

const half = (text: string) => text.slice(0, text.length >> 1)
const page = { 'content-type': 'text/html' }
const redirected = (status: number) => () => faults.redirect(`${elsewhere.apiUrl}/bottts/svg?seed=elsewhere`, status)
const later =
  (ms: number, fault: Fault): Fault =>
  (req, res) =>
    setTimeout(() => fault(req, res), ms)

// biome-ignore format: a table
const rows: Row[] = [
  { how: 'refuses connections', ...unavailable, fault: undefined },
  { how: 'resets the connection at once', ...unavailable, calls: [1, 2], fault: () => (req) => req.socket.resetAndDestroy() },
  { how: 'resets it in the middle of the body', ...unavailable, fault: ({ type, body }) => faults.reset(half(body), type) },
  { how: 'does not answer', ...timedOut, fault: () => faults.hang() },
  { how: 'sends a byte at a time', ...timedOut, fault: ({ type }) => faults.drip(type, 50) },
  { how: 'sends a byte at a time after a late head', ...timedOut, fault: ({ type }) => later(shortMs * 0.7, faults.drip(type, 50)) },
  { how: 'answers 400', ...refused, fault: () => faults.json(400, { message: '400: Bad Request', code: 0 }) },
  { how: 'answers 403 of Cloudflare', ...refused, fault: () => faults.json(403, { message: 'internal network error', code: 40_333 }) },
  { how: 'answers 403 as a page', ...refused, fault: () => faults.answer(403, '<h1>blocked</h1>', page) },
  { how: 'answers 404', ...refused, fault: () => faults.json(404, { message: '404: Not Found', code: 0 }) },
  { how: 'answers 405', ...refused, fault: () => faults.json(405, { message: '405: Method Not Allowed', code: 0 }) },
  { how: 'answers 418 without a body', ...refused, fault: () => faults.answer(418) },
  { how: 'answers 500', ...unavailable, fault: () => faults.json(500, { message: '500: Internal Server Error', code: 0 }) },
  { how: 'answers 503 as a page', ...unavailable, fault: () => faults.answer(503, '<h1>upstream</h1>', page) },
  { how: 'answers 503 with a good body', ...unavailable, fault: ({ type, body }) => faults.answer(503, body, type) },
  { how: 'answers 520 without a body', ...unavailable, fault: () => faults.answer(520) },
  { how: 'answers 429 and names 20 seconds', ...rateLimited('20'), fault: () => faults.rateLimited(20) },
  { how: 'answers 429 and names no time', ...rateLimited('60'), fault: () => faults.rateLimited() },
  { how: 'answers 429 in plain text', ...rateLimited('60'), fault: () => faults.rateLimitedInPlainText() },
  { how: 'answers 429 as a page', ...rateLimited('60'), fault: () => faults.answer(429, '<h1>slow down</h1>', page) },
  { how: 'sends a page of Cloudflare', ...unavailable, fault: () => faults.wrongType() },
  { how: 'sends a good body as text/plain', ...unavailable, fault: ({ body }) => faults.wrongType(body, 'text/plain') },
  { how: 'sends 204', ...unavailable, fault: () => faults.answer(204) },
  { how: 'sends 200 without a body', ...unavailable, fault: ({ type }) => faults.answer(200, '', type) },
  { how: 'sends half a body as if complete', ...unavailable, fault: ({ type, body }) => faults.answer(200, half(body), type) },
  { how: 'sends null', ...unavailable, fault: ({ type }) => faults.answer(200, 'null', type) },
  { how: 'sends a list', ...unavailable, fault: ({ type }) => faults.answer(200, '[1,2,3]', type) },
  { how: 'sends less than its Content-Length', ...unavailable, fault: ({ type, body }) => faults.truncated(half(body), type) },
  { how: 'sends half a body without a length and closes', ...unavailable, fault: ({ type, body }) => faults.endedEarly(half(body), type) },
  { how: 'says that a plain body is gzip', ...unavailable, fault: ({ type, body }) => faults.answer(200, body, { ...type, 'content-encoding': 'gzip' }) },
  { how: 'sends 50 MB', ...unavailable, fault: ({ type }) => faults.huge(undefined, type) },
  { how: 'sends 50 MB in gzip', ...unavailable, fault: ({ type }) => faults.gzipBomb(undefined, type) },
  { how: 'redirects (302)', ...unavailable, fault: redirected(302) },
  { how: 'redirects (303)', ...unavailable, fault: redirected(303) },
  { how: 'redirects (307)', ...unavailable, fault: redirected(307) },
  { how: 'redirects (308)', ...unavailable, fault: redirected(308) },
]

const json = { 'content-type': 'application/json' }
const svg = { 'content-type': 'image/svg+xml' }
const goodTokens = { token_type: 'Bearer', access_token: 'a', expires_in: weekS, refresh_token: 'r', scope: 'identify' }
const good = {
  token: { type: json, body: JSON.stringify(goodTokens) },
  user: { type: json, body: JSON.stringify({ id: '80351110224678912', username: 'nelly', global_name: null }) },
  revoke: { type: json, body: '{}' },
  svg: { type: svg, body: '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="7"/></svg>' },
}

let app: TestApp
const timePasses = movableClocks()

/** Two instances of the site, one with a short and one with a long timeout. Each test uses the one for its fault. */
let slowApp: TestApp
let fastApp: TestApp
beforeAll(async () => {
  slowApp = await openApp({ settings: { UPSTREAM_TIMEOUT_MS: String(longMs) } })
  fastApp = await openApp({ settings: { UPSTREAM_TIMEOUT_MS: String(shortMs) }, beside: slowApp })
})
afterAll(async () => {
  await fastApp.close()
  await slowApp.close()
})

/** Returns the milliseconds within which a visitor must have an answer. */
function chooseApp(row: Row): number {
  app = row.status === timedOut.status ? fastApp : slowApp
  return app.config.upstreamTimeoutMs + marginMs
}

/** Runs `step` while the endpoint has the fault. */
async function withFault<T>(
  double: DiceBearDouble | TestApp['discord'],
  path: string | RegExp,
  row: Row,
  good: GoodResponse,
  step: () => Promise<T>,
) {
  if (row.fault) double.fail(path, row.fault(good))
  else await double.refuse()
  try {
    return await step()
  } finally {
    if (row.fault) double.heal()
    else await double.accept()
  }
}

const heading = (html: string) => /<h1>([^<]*)<\/h1>/.exec(html)?.[1]
async function signedIn(tokenLifeS = weekS): Promise<Visitor> {
  const visitor = app.visitor()
  app.discord.tokenLifeS = tokenLifeS
  expectLanding(await signIn(app, visitor))
  app.discord.tokenLifeS = weekS
  return visitor
}

/** Signs in another visitor. */
const nextOne = () => signIn(app, app.visitor(), look, app.discord.accounts[1]?.id)

const wasLoggedAsOurs = (line: number) =>
  app.logged.slice(line).some((text) => z.object({ level: z.number() }).parse(JSON.parse(text)).level === errorLevel)

/** A visitor whose next step calls Discord. */
type Arrived = {
  visitor: Visitor
  choice: Record<string, string>
  step: () => Promise<Response>
  /** The visitor's next try. */
  again: () => Promise<Response>
}

async function atCallback(): Promise<Arrived> {
  const visitor = app.visitor()
  const callback = app.discord.codeFor(await leave(visitor))
  const step = async () => comeBack(visitor, callback)
  return { visitor, choice: look, step, again: async () => signIn(app, visitor) }
}

async function atRestyle(tokenLifeS?: number): Promise<Arrived> {
  const visitor = await signedIn(tokenLifeS)
  const step = async () => restyle(visitor)
  return { visitor, choice: restyled, step, again: step }
}

const discordSteps = [
  {
    place: 'the token endpoint at a callback',
    name: 'token',
    arrive: atCallback,
    signedIn: false,
    stops: 'everybody',
  },
  {
    place: 'the token endpoint at a refresh',
    name: 'token',
    arrive: () => atRestyle(1),
    signedIn: true,
    stops: 'everybody',
  },
  {
    place: 'the user endpoint at a callback',
    name: 'user',
    arrive: atCallback,
    signedIn: false,
    stops: 'the visitor',
  },
  { place: 'the user endpoint at a restyle', name: 'user', arrive: atRestyle, signedIn: true, stops: 'the visitor' },
] as const

describe.each(discordSteps)('Discord, $place', ({ name, arrive, signedIn: isSignedIn, stops }) => {
  const path = at[name]

  test.each(rows)('$how: the visitor gets $status, "$title"', async (row) => {
    const { status, title, retryAfter } = row
    const maxMs = chooseApp(row)
    const { visitor, choice, step, again } = await arrive()
    const line = app.logged.length
    const before = app.discord.count(path)
    const { answer, ms } = await withFault(app.discord, path, row, good[name], () => timed(step()))
    expect([answer.status, heading(answer.text)]).toEqual([status, title])
    expect(ms).toBeLessThan(maxMs)
    expect(answer.headers['retry-after']).toBe(retryAfter)
    expect(keepsLook(answer.text, choice)).toBe(true)
    expect(answer.text).toContain('Try again')
    expect(wasLoggedAsOurs(line)).toBe(title === refused.title)
    // No call is repeated after any part of a response: the code may be used up, and Discord counts refused calls.
    const calls = app.discord.count(path)
    expectCalls(row, calls - before)
    expect(await hasAvatar(visitor)).toBe(isSignedIn)
    if (!isSignedIn) expect((await step()).status).toBe(400)

    if (retryAfter !== undefined) {
      for (const one of stops === 'everybody' ? [again, nextOne] : [again]) expect((await one()).status).toBe(503)
      expect(app.discord.count(path)).toBe(calls)
      if (stops === 'the visitor') expectLanding(await nextOne())
      timePasses(Number(retryAfter))
    }
    expectLanding(await nextOne())
    expectLanding(await again())
    expect((await visitor.get('/show_avatar')).status).toBe(200)
  })
})

describe('Discord, the revocation endpoint at a sign-out', () => {
  test.each(rows)('$how: the visitor is signed out', async (row) => {
    const maxMs = chooseApp(row)
    const visitor = app.visitor()
    const cookie = cookiesOf(await signIn(app, visitor))
    const before = app.discord.count(at.revoke)
    const { answer, ms } = await withFault(app.discord, at.revoke, row, good.revoke, () =>
      timed(visitor.post('/sign_out')),
    )
    expect([answer.status, locationOf(answer)]).toEqual([303, '/?notice=signed-out'])
    expect(ms).toBeLessThan(maxMs)
    const calls = app.discord.count(at.revoke)
    expectCalls(row, calls - before)
    expect(locationOf(await visitor.get('/show_avatar'))).toBe('/?notice=no-looks')
    expect(locationOf(await app.visitor().get('/show_avatar').set('Cookie', cookie))).toBe('/?notice=no-looks')

    const next = await signedIn()
    expect(locationOf(await next.post('/sign_out'))).toBe('/?notice=signed-out')
    expect(app.discord.count(at.revoke) - calls).toBe(row.retryAfter ? 0 : 1)
    timePasses(Number(row.retryAfter ?? 0))
  })
})

/** The steps that request a picture. Each returns a visitor just before that step. */
const dicebearSteps = [
  {
    place: 'at a callback',
    arrive: async (choice: Record<string, string>) => {
      const visitor = app.visitor()
      const callback = app.discord.codeFor(await leave(visitor, choice))
      return { visitor, step: async () => comeBack(visitor, callback) }
    },
  },
  {
    place: 'at a restyle',
    arrive: async (choice: Record<string, string>) => {
      const visitor = await signedIn()
      return { visitor, step: async () => restyle(visitor, choice) }
    },
  },
]

describe.each(dicebearSteps)('DiceBear $place', ({ place, arrive }) => {
  /** Runs `step`, and checks the visitor's new avatar. */
  async function newAvatar(choice: Record<string, string>, step: () => Promise<Response>, visitor: Visitor) {
    const before = app.dicebear.count(at.svg)
    const { answer, ms } = await timed(step())
    expectLanding(answer)
    const id = shownAvatar((await visitor.get('/show_avatar')).text)
    const { body } = await visitor.get(`/avatars/${id}.svg`)
    expect(String(body)).toBe(drawn({ ...look, ...choice }))
    return { ms, asked: app.dicebear.count(at.svg) - before, id }
  }

  test.each(rows)('$how: the visitor gets the avatar', async (row) => {
    const maxMs = chooseApp(row)
    const choice = { ...look, seed: `${row.how} ${place}` }
    const { visitor, step } = await arrive(choice)
    const first = await withFault(app.dicebear, at.svg, row, good.svg, () => newAvatar(choice, step, visitor))
    expect(first.ms).toBeLessThan(maxMs)
    expectCalls(row, first.asked)
    const file = await readFile(join(app.folder, app.parts.cache.path(first.id)), 'utf8')
    expect(file.startsWith(drawn(choice))).toBe(true)

    // The picture is cached like any other, so the next visitor with the same choice causes no request.
    const next = app.visitor()
    expectLanding(await signIn(app, next))
    expect(await newAvatar(choice, async () => restyle(next, choice), next)).toMatchObject({ asked: 0, id: first.id })
    if (row.retryAfter !== undefined) {
      const meanwhile = { ...choice, seed: `${choice.seed}, meanwhile` }
      expect(await newAvatar(meanwhile, async () => restyle(next, meanwhile), next)).toMatchObject({ asked: 0 })
      timePasses(30)
    }
    const another = { ...choice, seed: `${choice.seed}, the next one` }
    expect(await newAvatar(another, async () => restyle(next, another), next)).toMatchObject({ asked: 1 })
  })
})

/** The steps of a visit, and their status while Redis can still be read, and refuses to store anything. */
const stepsWhileRedisIsFull: [string, number, (known: Visitor, callback: string) => PromiseLike<Response>][] = [
  ['the form', 200, (known) => known.get('/')],
  ['leaving for Discord', 503, (known) => known.post('/get_avatar').type('form').send(look)],
  ['coming back', 503, (known, callback) => comeBack(known, callback)],
  ['the avatar', 200, (known) => known.get('/show_avatar')],
  ['a restyle', 503, (known) => restyle(known)],
]

describe('while Redis is full', () => {
  let redis: Redis
  let db: ReturnType<typeof createClient>
  beforeAll(async () => {
    redis = await openRedis()
    app = await openApp({ redisUrl: redis.url, settings: { UPSTREAM_TIMEOUT_MS: String(longMs) } })
    db = createClient({ url: redis.url })
    await db.connect()
  })
  afterEach(() => db.configSet('maxmemory', '0'))
  afterAll(async () => {
    db.destroy()
    await app.close()
    await redis.stop()
  })

  test.each(stepsWhileRedisIsFull)(
    '%s is answered with %i within two seconds, and the visit goes on afterwards',
    async (_, status, step) => {
      const known = await signedIn()
      const callback = app.discord.codeFor(await leave(known))
      const exchanges = app.discord.count(at.token)
      await db.configSet('maxmemory', '1')
      const { answer, ms } = await timed(step(known, callback))
      expect(answer.status).toBe(status)
      expect(ms).toBeLessThan(2000)
      expect(Number(answer.headers['retry-after'] ?? 0) > 0).toBe(status === 503)

      await db.configSet('maxmemory', '0')
      expect(app.discord.count(at.token)).toBe(exchanges)
      expectLanding(await comeBack(known, callback))
      expectLanding(await restyle(known))
      expectLanding(await nextOne())
    },
  )

  test.each([
    ['/sign_out', 'signed-out', []],
    ['/forget_me', 'forgotten', [40]],
  ])('POST %s succeeds all the same, with a warning if the user could not be marked', async (path, notice, levels) => {
    const known = await signedIn()
    await db.configSet('maxmemory', '1')
    const line = app.logged.length
    expect(locationOf(await known.post(path))).toBe(`/?notice=${notice}`)
    const warnings = app.logged.slice(line).filter((text) => text.includes('not marked as forgotten'))
    expect(warnings.map((text) => JSON.parse(text).level)).toEqual(levels)
    expect(locationOf(await known.get('/show_avatar'))).toBe('/?notice=no-looks')
  })
})

/** Ways in which the disk of the cache fails. Each function returns another that repairs it. */
const disks: [string, (folder: string) => Promise<() => Promise<unknown>>][] = [
  [
    'is full',
    (folder) =>
      mounted(folder, '', async () => {
        const filler = await open(join(folder, 'filler'), 'w')
        await expect(filler.writeFile(Buffer.alloc(1024 * 1024))).rejects.toThrow('ENOSPC')
        await filler.close()
      }),
  ],
  ['turns read-only', (folder) => mounted(folder, 'ro,')],
  ['is replaced by a file', takePlaceOf],
]

/** Mounts a disk of 64 KiB at the folder; without the permission to mount, puts a file in the place of the folder. */
async function mounted(folder: string, options: string, fill = async () => {}) {
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `${options}size=64k`, 'tmpfs', folder])
  if (mount.status !== 0) return takePlaceOf(folder)
  await fill()
  return async () => spawnSync('umount', ['-l', folder])
}

async function takePlaceOf(folder: string) {
  await rm(folder, { recursive: true })
  await writeFile(folder, 'no folder: this stops root too, unlike a mode')
  return () => rm(folder)
}

describe.each(disks)('when the disk %s', (_, spoil) => {
  beforeAll(async () => {
    app = await openApp({ settings: { UPSTREAM_TIMEOUT_MS: String(longMs) } })
  })
  afterAll(() => app.close())

  test('every picture is served all the same, and files are written again afterwards', async () => {
    const before = await signedIn()
    const worn = { ...look, seed: 'meanwhile' }
    const mend = await spoil(app.folder)
    try {
      const meanwhile = app.visitor()
      expectLanding(await signIn(app, meanwhile, worn))
      for (const [visitor, choice] of [
        [before, look],
        [meanwhile, worn],
      ] as const) {
        const id = shownAvatar((await visitor.get('/show_avatar')).text)
        expect(String((await visitor.get(`/avatars/${id}.svg`)).body)).toBe(drawn(choice))
        expect((await visitor.get(`/avatars/${id}.png`)).status).toBe(200)
      }
      expectLanding(await restyle(before))
      expect((await before.get('/readyz')).status).toBe(200)
    } finally {
      await mend()
    }
    const next = app.visitor()
    expectLanding(await signIn(app, next, worn))
    const id = shownAvatar((await next.get('/show_avatar')).text)
    expect((await readFile(join(app.folder, app.parts.cache.path(id)), 'utf8')).startsWith(drawn(worn))).toBe(true)
  })
})

// What the outside does to us: each way in which Discord, DiceBear, Redis or the disk can go wrong, at each step that
// needs them. What the visitor is told, how soon, and that the next one is served.
import { spawnSync } from 'node:child_process'
import { open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient } from 'redis'
import type { Response } from 'supertest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { at, type DiceBearDouble, openDiceBear } from '../support/doubles.ts'
import { drawn } from '../support/drawn.ts'
import { type Fault, faults } from '../support/faults.ts'
import { comeBack, leave, look, openApp, shownAvatar, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { openRedis, type Redis } from '../support/redis.ts'
import { cookiesOf, hasAvatar, keepsLook, locationOf, timed } from '../support/visits.ts'

/** UPSTREAM_TIMEOUT_MS: short where we wait for its end, long where an answer should be there before, however busy the machine. */
const shortMs = 600
const longMs = 4000
/** An answer is there within the time limit and this. */
const marginMs = 1000
const weekS = 604_800
const errorLevel = 50

/** Where a redirect leads to: nobody goes there. */
let elsewhere: DiceBearDouble
beforeAll(async () => {
  elsewhere = await openDiceBear()
})
beforeAll(() => {
  // The packing takes longer than any time limit here, and is done once.
  faults.gzipBomb()
})
afterAll(() => elsewhere.close())
afterEach(() => expect(elsewhere.calls).toEqual([]))

/** What an upstream would answer, were it well. */
type Well = { type: Record<string, string>; body: string }
type Row = {
  how: string
  /** Undefined: nobody listens. */
  fault: ((well: Well) => Fault) | undefined
  /** What a visitor is told where Discord is asked. */
  status: number
  title: string
  retryAfter?: string
  /** How many requests may be made; one, unless nobody listens. */
  calls?: number[]
}

const expectCalls = (row: Row, calls: number) => expect(row.calls ?? [row.fault ? 1 : 0]).toContain(calls)

const away = { status: 502, title: 'Discord is not answering' }
const silent = { status: 504, title: 'Discord is not answering' }
const refused = { status: 502, title: 'Discord turned us away' }
const busy = (retryAfter: string) => ({ status: 503, title: 'Too many people at once', retryAfter })

const half = (text: string) => text.slice(0, text.length >> 1)
const page = { 'content-type': 'text/html' }
const redirected = (status: number) => () => faults.redirect(`${elsewhere.apiUrl}/bottts/svg?seed=elsewhere`, status)
const later =
  (ms: number, fault: Fault): Fault =>
  (req, res) =>
    setTimeout(() => fault(req, res), ms)

// biome-ignore format: a table
const rows: Row[] = [
  { how: 'refuses connections', ...away, fault: undefined },
  { how: 'resets the connection at once', ...away, calls: [1, 2], fault: () => (req) => req.socket.resetAndDestroy() },
  { how: 'resets it in the middle of the body', ...away, fault: ({ type, body }) => faults.reset(half(body), type) },
  { how: 'says nothing', ...silent, fault: () => faults.hang() },
  { how: 'drips', ...silent, fault: ({ type }) => faults.drip(type, 50) },
  { how: 'drips after a late head', ...silent, fault: ({ type }) => later(shortMs * 0.7, faults.drip(type, 50)) },
  { how: 'answers 400', ...refused, fault: () => faults.json(400, { message: '400: Bad Request', code: 0 }) },
  { how: 'answers 403 of Cloudflare', ...refused, fault: () => faults.json(403, { message: 'internal network error', code: 40_333 }) },
  { how: 'answers 403 as a page', ...refused, fault: () => faults.answer(403, '<h1>blocked</h1>', page) },
  { how: 'answers 404', ...refused, fault: () => faults.json(404, { message: '404: Not Found', code: 0 }) },
  { how: 'answers 405', ...refused, fault: () => faults.json(405, { message: '405: Method Not Allowed', code: 0 }) },
  { how: 'answers 418 without a body', ...refused, fault: () => faults.answer(418) },
  { how: 'answers 500', ...away, fault: () => faults.json(500, { message: '500: Internal Server Error', code: 0 }) },
  { how: 'answers 503 as a page', ...away, fault: () => faults.answer(503, '<h1>upstream</h1>', page) },
  { how: 'answers 503 with what is good', ...away, fault: ({ type, body }) => faults.answer(503, body, type) },
  { how: 'answers 520 without a body', ...away, fault: () => faults.answer(520) },
  { how: 'answers 429 and names 20 seconds', ...busy('20'), fault: () => faults.rateLimited(20) },
  { how: 'answers 429 and names no time', ...busy('60'), fault: () => faults.rateLimited() },
  { how: 'answers 429 in plain text', ...busy('60'), fault: () => faults.rateLimitedInPlainText() },
  { how: 'answers 429 as a page', ...busy('60'), fault: () => faults.answer(429, '<h1>slow down</h1>', page) },
  { how: 'sends a page of Cloudflare’s', ...away, fault: () => faults.wrongType() },
  { how: 'calls what is good a text', ...away, fault: ({ body }) => faults.wrongType(body, 'text/plain') },
  { how: 'sends nothing with 204', ...away, fault: () => faults.answer(204) },
  { how: 'sends nothing with 200', ...away, fault: ({ type }) => faults.answer(200, '', type) },
  { how: 'sends the half, as if whole', ...away, fault: ({ type, body }) => faults.answer(200, half(body), type) },
  { how: 'sends null', ...away, fault: ({ type }) => faults.answer(200, 'null', type) },
  { how: 'sends a list', ...away, fault: ({ type }) => faults.answer(200, '[1,2,3]', type) },
  { how: 'sends less than it says', ...away, fault: ({ type, body }) => faults.truncated(half(body), type) },
  { how: 'sends the half and closes, no length told', ...away, fault: ({ type, body }) => faults.endedEarly(half(body), type) },
  { how: 'says it is gzip and it is not', ...away, fault: ({ type, body }) => faults.answer(200, body, { ...type, 'content-encoding': 'gzip' }) },
  { how: 'sends 50 MB', ...away, fault: ({ type }) => faults.huge(undefined, type) },
  { how: 'sends 50 MB in gzip', ...away, fault: ({ type }) => faults.gzipBomb(undefined, type) },
  { how: 'leads elsewhere (302)', ...away, fault: redirected(302) },
  { how: 'leads elsewhere (303)', ...away, fault: redirected(303) },
  { how: 'leads elsewhere (307)', ...away, fault: redirected(307) },
  { how: 'leads elsewhere for good (308)', ...away, fault: redirected(308) },
]

const json = { 'content-type': 'application/json' }
const svg = { 'content-type': 'image/svg+xml' }
const goodTokens = { token_type: 'Bearer', access_token: 'a', expires_in: weekS, refresh_token: 'r', scope: 'identify' }
const well = {
  token: { type: json, body: JSON.stringify(goodTokens) },
  user: { type: json, body: JSON.stringify({ id: '80351110224678912', username: 'nelly', global_name: null }) },
  revoke: { type: json, body: '{}' },
  svg: { type: svg, body: '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="7"/></svg>' },
}

let app: TestApp
/** How far ahead of the real ones the app's clocks are, so that no test waits for the end of a pause. */
let aheadMs = 0
beforeEach(() => {
  for (const clock of [Date, performance]) {
    const now = clock.now.bind(clock)
    vi.spyOn(clock, 'now').mockImplementation(() => now() + aheadMs)
  }
})
afterEach(() => vi.restoreAllMocks())
const timePasses = (seconds: number) => {
  aheadMs += seconds * 1000
}

/** Two instances of the site, with a long and a short time limit; each test has the one that suits its fault. */
function ownApps() {
  let patient: TestApp
  let hasty: TestApp
  beforeAll(async () => {
    patient = await openApp({ settings: { UPSTREAM_TIMEOUT_MS: String(longMs) } })
    hasty = await openApp({ settings: { UPSTREAM_TIMEOUT_MS: String(shortMs) }, beside: patient })
  })
  afterAll(async () => {
    await hasty.close()
    await patient.close()
  })
  return (row: Row) => {
    app = row.status === silent.status ? hasty : patient
    return app.config.upstreamTimeoutMs + marginMs
  }
}

/** Takes the step while an upstream is as unwell as told. */
async function during<T>(
  double: DiceBearDouble | TestApp['discord'],
  path: string | RegExp,
  row: Row,
  well: Well,
  step: () => Promise<T>,
) {
  if (row.fault) double.fail(path, row.fault(well))
  else await double.refuse()
  try {
    return await step()
  } finally {
    if (row.fault) double.heal()
    else await double.accept()
  }
}

const heading = (html: string) => /<h1>([^<]*)<\/h1>/.exec(html)?.[1]
const restyled = { ...look, style: 'bottts', seed: 'restyled' }
const restyle = (visitor: Visitor, choice: Record<string, string> = restyled) =>
  visitor.post('/show_avatar').type('form').send(choice)

function expectLanding(answer: Response): void {
  expect([[302, 303].includes(answer.status), answer.headers.location]).toEqual([true, '/show_avatar'])
}

async function signedIn(tokenLifeS = weekS): Promise<Visitor> {
  const visitor = app.visitor()
  app.discord.tokenLifeS = tokenLifeS
  expectLanding(await signIn(app, visitor))
  app.discord.tokenLifeS = weekS
  return visitor
}

/** Somebody else, who comes next. */
const nextOne = () => signIn(app, app.visitor(), look, app.discord.accounts[1]?.id)

const wasLoggedAsOurs = (line: number) =>
  app.logged.slice(line).some((text) => z.object({ level: z.number() }).parse(JSON.parse(text)).level === errorLevel)

/** A visitor on the way to where Discord is asked. */
type Arrived = {
  visitor: Visitor
  choice: Record<string, string>
  step: () => Promise<Response>
  /** The same, for the visitor's next try. */
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

const discordsPlaces = [
  { place: 'the token address, at a callback', name: 'token', arrive: atCallback, signedIn: false, stops: 'everybody' },
  {
    place: 'the token address, at a refresh',
    name: 'token',
    arrive: () => atRestyle(1),
    signedIn: true,
    stops: 'everybody',
  },
  { place: 'the user address, at a callback', name: 'user', arrive: atCallback, signedIn: false, stops: 'the visitor' },
  { place: 'the user address, at a restyle', name: 'user', arrive: atRestyle, signedIn: true, stops: 'the visitor' },
] as const

describe.each(discordsPlaces)('Discord: $place', ({ name, arrive, signedIn: isSignedIn, stops }) => {
  const path = at[name]
  const appFor = ownApps()

  test.each(rows)('$how: $status, "$title"', async (row) => {
    const { status, title, retryAfter } = row
    const soonMs = appFor(row)
    const { visitor, choice, step, again } = await arrive()
    const line = app.logged.length
    const before = app.discord.count(path)
    const { answer, ms } = await during(app.discord, path, row, well[name], () => timed(step()))
    expect([answer.status, heading(answer.text)]).toEqual([status, title])
    expect(ms).toBeLessThan(soonMs)
    expect(answer.headers['retry-after']).toBe(retryAfter)
    expect(keepsLook(answer.text, choice)).toBe(true)
    expect(answer.text).toContain('Try again')
    expect(wasLoggedAsOurs(line)).toBe(title === refused.title)
    // Not repeated after any part of a response: the code may be spent, and refused calls count against us.
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

describe('Discord: the revoke address, at a sign-out', () => {
  const appFor = ownApps()

  test.each(rows)('$how: signed out all the same', async (row) => {
    const soonMs = appFor(row)
    const visitor = app.visitor()
    const cookie = cookiesOf(await signIn(app, visitor))
    const before = app.discord.count(at.revoke)
    const { answer, ms } = await during(app.discord, at.revoke, row, well.revoke, () =>
      timed(visitor.post('/sign_out')),
    )
    expect([answer.status, locationOf(answer)]).toEqual([303, '/'])
    expect(ms).toBeLessThan(soonMs)
    const calls = app.discord.count(at.revoke)
    expectCalls(row, calls - before)
    expect(locationOf(await visitor.get('/show_avatar'))).toBe('/')
    expect(locationOf(await app.visitor().get('/show_avatar').set('Cookie', cookie))).toBe('/')

    const next = await signedIn()
    expect(locationOf(await next.post('/sign_out'))).toBe('/')
    expect(app.discord.count(at.revoke) - calls).toBe(row.retryAfter ? 0 : 1)
    timePasses(Number(row.retryAfter ?? 0))
  })
})

/** Ways to a picture: each gives a visitor who asks for it at the last step. */
const dicebearsPlaces = [
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

describe.each(dicebearsPlaces)('DiceBear, $place', ({ place, arrive }) => {
  const appFor = ownApps()

  /** The visitor's new avatar, and what it took. */
  async function wearing(choice: Record<string, string>, step: () => Promise<Response>, visitor: Visitor) {
    const before = app.dicebear.count(at.svg)
    const { answer, ms } = await timed(step())
    expectLanding(answer)
    const id = shownAvatar((await visitor.get('/show_avatar')).text)
    const { body } = await visitor.get(`/avatars/${id}.svg`)
    expect(String(body)).toBe(drawn({ ...look, ...choice }))
    return { ms, asked: app.dicebear.count(at.svg) - before, id }
  }

  test.each(rows)('$how: the visitor gets the picture', async (row) => {
    const soonMs = appFor(row)
    const choice = { ...look, seed: `${row.how} ${place}` }
    const { visitor, step } = await arrive(choice)
    const first = await during(app.dicebear, at.svg, row, well.svg, () => wearing(choice, step, visitor))
    expect(first.ms).toBeLessThan(soonMs)
    expectCalls(row, first.asked)
    const file = await readFile(join(app.folder, app.parts.cache.path(first.id)), 'utf8')
    expect(file.startsWith(drawn(choice))).toBe(true)

    // Kept like any other: who wants the same asks nobody.
    const next = app.visitor()
    expectLanding(await signIn(app, next))
    expect(await wearing(choice, async () => restyle(next, choice), next)).toMatchObject({ asked: 0, id: first.id })
    if (row.retryAfter !== undefined) {
      const meanwhile = { ...choice, seed: `${choice.seed}, meanwhile` }
      expect(await wearing(meanwhile, async () => restyle(next, meanwhile), next)).toMatchObject({ asked: 0 })
      timePasses(30)
    }
    const another = { ...choice, seed: `${choice.seed}, the next one` }
    expect(await wearing(another, async () => restyle(next, another), next)).toMatchObject({ asked: 1 })
  })
})

/** What a visitor does, step by step, and what is answered while nothing can be stored: reading goes on. */
const stepsWhileRedisIsFull: [string, number, (known: Visitor, callback: string) => PromiseLike<Response>][] = [
  ['the form', 200, (known) => known.get('/')],
  ['leaving for Discord', 503, (known) => known.post('/get_avatar').type('form').send(look)],
  ['coming back', 503, (known, callback) => comeBack(known, callback)],
  ['the avatar', 200, (known) => known.get('/show_avatar')],
  ['a restyle', 503, (known) => restyle(known)],
]

describe('Redis is full', () => {
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
    '%s: %i within two seconds, and the visit goes on after it',
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

  test('signing out: signed out', async () => {
    const known = await signedIn()
    await db.configSet('maxmemory', '1')
    expect(locationOf(await known.post('/sign_out'))).toBe('/')
    expect(locationOf(await known.get('/show_avatar'))).toBe('/')
  })
})

/** Ways for the disk under the cache to go wrong; each gives the way back. */
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
  ['is gone, and something else in its place', takePlaceOf],
]

/** A disk of 64 KiB over the folder. Where we may not mount one, something else that cannot be written to. */
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

describe.each(disks)('the disk %s', (_, spoil) => {
  beforeAll(async () => {
    app = await openApp({ settings: { UPSTREAM_TIMEOUT_MS: String(longMs) } })
  })
  afterAll(() => app.close())

  test('the visitor gets each picture all the same, and it is kept when it can be', async () => {
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

// Discord or DiceBear fails several times in a row: what visitors see, the circuit breaker, and the log.
import type { Response } from 'supertest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { movableClocks } from '../support/clock.ts'
import { at } from '../support/doubles.ts'
import { drawn } from '../support/drawn.ts'
import { type Fault, faults } from '../support/faults.ts'
import { comeBack, leave, look, openApp, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { expectLanding, hasAvatar, keepsLook, restyle, restyled, setCookies } from '../support/visits.ts'

const timeoutMs = 1000

const timePasses = movableClocks()

let app: TestApp
beforeEach(async () => {
  app = await openApp({ settings: { UPSTREAM_TIMEOUT_MS: String(timeoutMs) } })
})
afterEach(() => app.close())

async function signedIn(): Promise<Visitor> {
  const visitor = app.visitor()
  expectLanding(await signIn(app, visitor))
  return visitor
}

const Line = z.object({ msg: z.string(), level: z.number(), upstream: z.string(), state: z.string() })
const loggedBreakerStates = () =>
  app.logged.flatMap((line) => {
    const { data } = Line.safeParse(JSON.parse(line))
    return data?.msg === 'breaker' ? [`${data.level} ${data.upstream} ${data.state}`] : []
  })

type Ask = () => Promise<Response>

/** For each endpoint of Discord, a visitor whose next request calls it. */
const discordEndpoints = [
  { name: 'token', choice: look, arrive: comingBack },
  {
    name: 'user',
    choice: restyled,
    arrive: async (): Promise<Ask> => {
      const visitor = await signedIn()
      return async () => restyle(visitor)
    },
  },
] as const

async function comingBack(): Promise<Ask> {
  const visitor = app.visitor()
  const callback = app.discord.codeFor(await leave(visitor))
  return async () => comeBack(visitor, callback)
}

const many = (count: number, arrive: () => Promise<Ask>) => Promise.all(Array.from({ length: count }, arrive))
const atOnce = (asking: Ask[]) => Promise.all(asking.map((ask) => ask()))

describe.each(discordEndpoints)('Discord’s $name endpoint', ({ name, choice, arrive }) => {
  const path = at[name]
  const oneMore = async () => (await arrive())()

  async function expectTimeouts(asking: Ask[]): Promise<void> {
    for (const answer of await atOnce(asking)) {
      expect(answer.status).toBe(504)
      expect(answer.text).toContain('Discord is not answering')
      expect(keepsLook(answer.text, choice)).toBe(true)
    }
  }

  test('is not called for two seconds after five timeouts; then one request tries it', async () => {
    const [first, second, third, fourth] = [
      await many(5, arrive),
      await many(3, arrive),
      await many(3, arrive),
      await many(3, arrive),
    ]
    app.discord.fail(path, faults.hang())
    const before = app.discord.count(path)
    const asked = () => app.discord.count(path) - before
    await expectTimeouts(first)
    expect(asked()).toBe(5)
    await expectTimeouts(second)
    expect(asked()).toBe(5)

    timePasses(2)
    await expectTimeouts(third)
    expect(asked()).toBe(6)
    await expectTimeouts(fourth)
    expect(asked()).toBe(6)

    app.discord.heal()
    timePasses(2)
    expectLanding(await oneMore())
    expectLanding(await oneMore())
    expect(loggedBreakerStates()).toEqual(
      ['open', 'half-open', 'open', 'half-open', 'closed'].map((state) => `40 discord-${name} ${state}`),
    )
  })

  test('starts counting timeouts again after a response', async () => {
    for (const _ of [1, 2]) {
      const asking = await many(4, arrive)
      app.discord.fail(path, faults.hang())
      await expectTimeouts(asking)
      app.discord.heal()
      expectLanding(await oneMore())
    }
    expect(loggedBreakerStates()).toEqual([])
  })

  test.each<[string, () => Fault]>([
    ['status 500', () => faults.answer(500)],
    ['a reset in the middle of the body', () => faults.reset()],
    ['status 403', () => faults.answer(403)],
  ])('is called each time while it answers at once with %s', async (_, fault) => {
    const asking = await many(7, arrive)
    app.discord.fail(path, fault())
    const before = app.discord.count(path)
    for (const ask of asking) expect((await ask()).status).toBe(502)
    expect(app.discord.count(path) - before).toBe(7)
    app.discord.heal()
    expectLanding(await oneMore())
    expect(loggedBreakerStates()).toEqual([])
  })
})

describe('while the circuit of Discord’s token endpoint is open', () => {
  test('signed-in visitors can restyle, and a callback succeeds when reloaded after the circuit closed', async () => {
    const known = await signedIn()
    const [five, spared] = [await many(5, comingBack), await comingBack()]
    app.discord.fail(at.token, faults.hang())
    await atOnce(five)
    expectLanding(await restyle(known))
    const before = app.discord.count(at.token)
    for (const _ of [1, 2]) {
      const answer = await spared()
      expect(answer.status).toBe(504)
      expect(answer.text).toContain('Discord is not answering')
      expect(answer.text).toContain('we did not ask it for you')
      expect(setCookies(answer)).toEqual([])
    }
    expect(app.discord.count(at.token)).toBe(before)
    // These codes may have reached Discord, so they are not sent again.
    for (const answer of await atOnce(five)) expect(answer.status).toBe(400)
    app.discord.heal()
    timePasses(2)
    expectLanding(await spared())
  })
})

test('while the circuit of Discord’s user endpoint is open, a callback keeps its tokens for a reload', async () => {
  const [five, spared] = [await many(5, comingBack), await comingBack()]
  app.discord.fail(at.user, faults.hang())
  await atOnce(five)
  const before = app.discord.count(at.token)
  expect((await spared()).text).toContain('we did not ask it for you')
  app.discord.heal()
  timePasses(2)
  expectLanding(await spared())
  expect(app.discord.count(at.token)).toBe(before + 1)
})

test.each(['token', 'user', 'revoke', 'svg'] as const)(
  'a kept-alive connection that is just being closed ends no visit: %s',
  async (endpoint) => {
    await signedIn()
    const before = app.logged.length
    const double = endpoint === 'svg' ? app.dicebear : app.discord
    double.fail(at[endpoint], (req) => req.socket.end(), { times: 1 })
    const visitor = app.visitor()
    expectLanding(await signIn(app, visitor, { ...look, seed: endpoint }))
    await visitor.post('/sign_out')
    expect(double.count(at[endpoint])).toBeGreaterThan(1)
    expect(app.logged.slice(before).join()).not.toMatch(/drawn here|not revoked/)
  },
)

describe('DiceBear', () => {
  let seeds = 0
  async function wear(visitor: Visitor) {
    seeds += 1
    const choice = { ...look, seed: `seed ${seeds}` }
    expectLanding(await restyle(visitor, choice))
    expect(await hasAvatar(visitor, choice)).toBe(true)
    return choice
  }

  test.each<[string, () => Fault, number]>([
    ['three timeouts', () => faults.hang(), 3],
    ['three resets', () => faults.reset('<svg', { 'content-type': 'image/svg+xml' }), 3],
    ['three responses of status 500', () => faults.answer(500), 3],
    ['three responses that are too large', () => faults.huge(300 * 1024, { 'content-type': 'image/svg+xml' }), 3],
    ['one 429', () => faults.rateLimited(3600), 1],
  ])('is not called for half a minute after %s; then one request tries it', async (_, fault, calls) => {
    const visitor = await signedIn()
    const before = app.dicebear.count(at.svg)
    const asked = () => app.dicebear.count(at.svg) - before
    app.dicebear.fail(at.svg, fault())
    for (let i = 0; i < calls + 3; i++) await wear(visitor)
    expect(asked()).toBe(calls)
    timePasses(29)
    await wear(visitor)
    expect(asked()).toBe(calls)

    timePasses(1)
    app.dicebear.heal()
    app.dicebear.delay(at.svg, 200)
    await Promise.all([wear(visitor), wear(visitor), wear(visitor)])
    expect(asked()).toBe(calls + 1)
    await wear(visitor)
    expect(asked()).toBe(calls + 2)
    expect(loggedBreakerStates()).toEqual(['open', 'half-open', 'closed'].map((state) => `40 dicebear ${state}`))
  })

  test('answers 429 to requests at the same time: only the first one opens the circuit', async () => {
    const visitors = [await signedIn(), await signedIn()]
    app.dicebear.fail(at.svg, faults.rateLimited(3600))
    app.dicebear.delay(at.svg, 200)
    await Promise.all(visitors.map(wear))
    expect(loggedBreakerStates()).toEqual(['40 dicebear open'])
  })

  test('is asked again after the time that its 429 names, if that is shorter than half a minute', async () => {
    const visitor = await signedIn()
    app.dicebear.fail(at.svg, faults.rateLimited(20), { times: 1 })
    await wear(visitor)
    timePasses(19)
    await wear(visitor)
    expect(loggedBreakerStates()).toEqual(['40 dicebear open'])
    timePasses(1)
    await wear(visitor)
    expect(loggedBreakerStates().slice(1)).toEqual(['40 dicebear half-open', '40 dicebear closed'])
  })

  test('is not counted as failed when Discord has used up the time for the request', async () => {
    const before = app.dicebear.count(at.svg)
    for (const seed of ['late 1', 'late 2', 'late 3', 'late 4', '']) {
      const choice = { ...look, seed, backgroundColor: '', animated: false }
      await app.parts.avatars.begin(choice, performance.now())('kit')
    }
    expect(app.dicebear.count(at.svg)).toBe(before)
    await wear(await signedIn())
    expect(app.dicebear.count(at.svg)).toBeGreaterThan(before)
  })

  const refused = { type: 'DiceBearRefused' }
  const failed = (type: string, more = {}) => ({ type: 'DiceBearUnavailable', cause: { type, ...more } })
  test.each<[string, Fault, number, object]>([
    ['a request that DiceBear refuses (400) is logged as an error of this app', faults.answer(400), 50, refused],
    ['a style that DiceBear does not know (404) is logged as an error of this app', faults.answer(404), 50, refused],
    ['a rate limit of DiceBear (429) is logged as a warning', faults.rateLimited(1), 40, failed('UpstreamRateLimited')],
    ['a failure of DiceBear (500) is logged as a warning', faults.answer(500), 40, failed('UpstreamUnavailable')],
    [
      'a connection that is reset is logged as a warning, with the code of the error',
      faults.reset('<svg'),
      40,
      failed('UpstreamUnavailable', { cause: { type: 'Error', code: 'ECONNRESET' } }),
    ],
  ])('%s', async (_, fault, level, err) => {
    const visitor = await signedIn()
    const before = app.logged.length
    app.dicebear.fail(at.svg, fault)
    await wear(visitor)
    const fallbacks = app.logged.slice(before).filter((line) => line.includes('drawn here'))
    expect(fallbacks.map((line) => JSON.parse(line))).toMatchObject([{ level, err }])
  })

  test('is called each time while it sends unsafe SVGs, which do not count as failures', async () => {
    const visitor = await signedIn()
    const before = app.dicebear.count(at.svg)
    app.dicebear.replaceSvg('<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>')
    for (let i = 0; i < 5; i++) await wear(visitor)
    expect(app.dicebear.count(at.svg) - before).toBe(5)
    const choice = await wear(visitor)
    const picture = await visitor.get(`/preview.svg?${new URLSearchParams(choice)}`)
    expect(String(picture.body)).toBe(drawn(choice))
  })
})

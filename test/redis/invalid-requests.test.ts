import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { at } from '../support/doubles.ts'
import { faults } from '../support/faults.ts'
import { comeBack, leave, look, openApp, signIn, type TestApp } from '../support/open-app.ts'
import { openRedis, type Redis } from '../support/redis.ts'
import { sameBrowserAt } from '../support/visits.ts'

let redis: Redis
/** Two instances of one site. */
let app: TestApp
let other: TestApp

beforeAll(async () => {
  redis = await openRedis()
})
afterAll(() => redis.stop())
beforeEach(async () => {
  app = await openApp({ redisUrl: redis.url })
  other = await openApp({ redisUrl: redis.url, beside: app })
})
afterEach(async () => {
  vi.useRealTimers()
  await app.parts.store.delete('gate:sign-in')
  await app.parts.store.delete('gate:token')
  await app.parts.store.delete('gate:everywhere')
  await app.parts.store.delete('invalid:discord')
  await Promise.all([other.close(), app.close()])
})

const unauthorized = faults.json(401, { message: '401: Unauthorized', code: 0 })

describe('invalid requests at Discord (401, 403, 429), on all instances together', () => {
  test.each([
    ['401', at.token, faults.json(401, { error: 'invalid_client' })],
    ['403', at.token, faults.json(403, { message: 'internal network error', code: 40333 })],
    ['429', at.token, faults.rateLimited(1)],
    ['401 of the user endpoint', at.user, unauthorized],
  ])('past 2,000 in ten minutes, the last one a %s, stop new sign-ins (503)', async (_, path, fault) => {
    const waiting = other.visitor()
    const callback = other.discord.codeFor(await leave(waiting))
    await app.parts.store.count('invalid:discord', 1999, 600_000)
    app.discord.fail(path, fault, { times: 1 })
    await signIn(app, app.visitor())
    app.discord.heal()

    const refused = await app.visitor().post('/get_avatar').type('form').send(look)
    expect(refused.status).toBe(503)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(500)

    // A visitor who was at Discord comes back to another instance: the code is not exchanged, and can be used later.
    const exchanges = app.discord.count(at.token)
    await app.parts.store.delete('gate:token')
    expect((await comeBack(waiting, callback)).status).toBe(503)
    expect(app.discord.count(at.token)).toBe(exchanges)
    expect((await other.visitor().post('/get_avatar').type('form').send(look)).status).toBe(503)
  })

  test('do not stop sign-ins while there are fewer than 2,000', async () => {
    app.discord.fail(at.token, faults.json(401, { error: 'invalid_client' }), { times: 2 })
    expect((await signIn(app, app.visitor())).status).toBe(502)
    // The first of them has begun the ten minutes.
    expect((await app.parts.store.count('invalid:discord', 1990, 1000)).resetMs).toBeGreaterThan(590_000)
    expect((await signIn(app, app.visitor())).status).toBe(502)
    expect((await signIn(app, app.visitor())).status).toBe(302)
  })

  test('do not include valid requests', async () => {
    await signIn(app, app.visitor())
    expect((await app.parts.store.count('invalid:discord', 1, 600_000)).hits).toBe(1)
  })
})

test('a token that Discord has refused is never sent again, by any instance', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor)
  app.discord.deauthorize(app.discord.accounts[0]?.id ?? '')
  const before = app.discord.count(at.user)
  for (const instance of [app, other, app, other]) {
    const callback = new URL(app.discord.codeFor(await leave(sameBrowserAt(instance, visitor))))
    callback.searchParams.set('code', 'not-a-code-of-Discord')
    expect((await comeBack(sameBrowserAt(instance, visitor), callback.href)).status).toBe(400)
  }
  expect(app.discord.count(at.user)).toBe(before + 1)
})

test.each([3_600_000, -3_600_000])(
  'the time that a 429 names does not end earlier if the system clock is moved by %i ms',
  async (byMs) => {
    app.discord.fail(at.token, faults.rateLimited(30), { times: 1 })
    await signIn(app, app.visitor())
    vi.useFakeTimers({ toFake: ['Date'] })
    vi.setSystemTime(Date.now() + byMs)
    const exchanges = app.discord.count(at.token)
    const refused = await signIn(other, other.visitor())
    expect([refused.status, app.discord.count(at.token)]).toEqual([503, exchanges])
    const waitS = Number(refused.headers['retry-after'])
    expect(waitS).toBeGreaterThan(20)
    expect(waitS).toBeLessThanOrEqual(30)
  },
)

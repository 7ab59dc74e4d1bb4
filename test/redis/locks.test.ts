import { agent } from 'supertest'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createSharedCounter } from '../../src/store/counters.ts'
import { lockTtlS, tryLock, withLock } from '../../src/store/lock.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { lockKey, type Store } from '../../src/store/store.ts'
import { at } from '../support/doubles.ts'
import {
  clientId,
  clientSecret,
  comeBack,
  leave,
  look,
  openApp,
  sessionSecret,
  signIn,
  type Visitor,
} from '../support/open-app.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'
import { app, db, redis, useTwoInstances } from '../support/two-instances.ts'
import {
  cookiesOf,
  expectLanding,
  hasAvatar,
  locationOf,
  restyle,
  send,
  sessionIdIn,
  timed,
} from '../support/visits.ts'

useTwoInstances()

const kinds: [string, () => Store][] = [
  ['in Redis', () => app.parts.store],
  ['in memory', () => memoryStore()],
]

describe.each(kinds)('a lock %s', (_, open) => {
  test('is held by one owner at a time, and released after the work, whether this succeeds or fails', async () => {
    const store = open()
    const order: string[] = []
    const work = (name: string) => async () => {
      order.push(`${name} begins`)
      await new Promise((resolve) => setImmediate(resolve))
      order.push(`${name} ends`)
      if (name === 'first') throw new Error('failed')
    }
    const first = withLock(store, 'thing:1', { waitMs: 2000 }, work('first'))
    const second = withLock(store, 'thing:1', { waitMs: 2000 }, work('second'))
    await expect(first).rejects.toThrow('failed')
    // It would wait longer than it may for a lock that is not released, until the end of its TTL.
    await second
    expect(order).toEqual(['first begins', 'first ends', 'second begins', 'second ends'])
    expect(await tryLock(store, 'thing:1')).toBeDefined()
  })

  test('is waited for no longer than waitMs', async () => {
    const store = open()
    await tryLock(store, 'thing:1')
    const waiting = withLock(store, 'thing:1', { waitMs: 50 }, async () => 'done')
    await expect(waiting).rejects.toMatchObject({ name: 'StoreUnavailable' })
  })

  test('that has expired belongs to the next owner: the old owner cannot renew or release it, nor write', async () => {
    const store = open()
    await store.set('thing:1', 'old', 60)
    const slow = await tryLock(store, 'thing:1')
    // As if its owner had been stopped for longer than the TTL.
    await store.delete(lockKey('thing:1'))
    const next = await tryLock(store, 'thing:1')
    if (!slow || !next) throw new Error('the lock was not free')

    expect(await store.extendIfEqual(lockKey('thing:1'), slow.owner, lockTtlS)).toBe(false)
    await slow.release()
    expect(await store.get(lockKey('thing:1'))).toBe(next.owner)
    await expect(store.replace(slow, 'late', 60)).rejects.toMatchObject({ name: 'LockLost' })
    expect(await store.get('thing:1')).toBe('old')

    expect(await store.replace(next, 'during', 90)).toBe(true)
    expect(await store.get(lockKey('thing:1'))).toBe(next.owner)
    expect(await store.remainingMs('thing:1')).toBeGreaterThan(60_000)
    expect(await next.replaceAndRelease('new', 60)).toBe(true)
    expect(await store.get('thing:1')).toBe('new')
    expect(await store.remainingMs('thing:1')).toBeLessThanOrEqual(60_000)
    expect(await store.get(lockKey('thing:1'))).toBeUndefined()
  })

  test('does not allow a write to a key that was deleted', async () => {
    const store = open()
    const lock = await tryLock(store, 'thing:1')
    if (!lock) throw new Error('the lock was not free')
    expect(await store.replace(lock, 'new', 60)).toBe(false)
    expect(await store.get('thing:1')).toBeUndefined()
    await lock.release()
  })
})

describe.each(kinds)('a store %s', (_, open) => {
  /** Checks that a key lives for about this long from now on. */
  async function expectTtl(store: Store, key: string, ttlS: number): Promise<void> {
    const leftMs = await store.remainingMs(key)
    expect(leftMs).toBeGreaterThan(1000 * ttlS - 1000)
    expect(leftMs).toBeLessThanOrEqual(1000 * ttlS)
  }

  test('extends a TTL only by the commands for it, not when a key is only read', async () => {
    const store = open()
    await store.set('thing:1', 'one', 10)
    expect(await store.getMany(['thing:2', 'thing:1'])).toEqual([undefined, 'one'])
    await expectTtl(store, 'thing:1', 10)
    expect(await store.getAndExtend('thing:1', 60)).toBe('one')
    await expectTtl(store, 'thing:1', 60)
    expect(await store.extendIfEqual('thing:1', 'other', 90)).toBe(false)
    await expectTtl(store, 'thing:1', 60)
    expect(await store.extendIfEqual('thing:1', 'one', 90)).toBe(true)
    await expectTtl(store, 'thing:1', 90)
    for (const ttlS of [60, 120]) await store.setForAtLeast('thing:1', `for ${ttlS}`, ttlS)
    await expectTtl(store, 'thing:1', 120)
    await store.setForAtLeast('thing:1', 'for less', 110)
    expect(await store.get('thing:1')).toBe('for 120')
    await expectTtl(store, 'thing:1', 120)

    expect(await store.getAndExtend('thing:2', 60)).toBeUndefined()
    expect(await store.extendIfEqual('thing:2', 'one', 60)).toBe(false)
    expect([await store.get('thing:2'), await store.expiresAt('thing:2')]).toEqual([undefined, undefined])
    expect(await store.remainingMs('thing:2')).toBeLessThanOrEqual(0)
  })

  test('sets a key only if the condition holds, and returns the previous value', async () => {
    const store = open()
    expect(await store.setIfAbsent('thing:1', 'one', 60)).toBe(true)
    expect(await store.setIfAbsent('thing:1', 'two', 90)).toBe(false)
    expect(await store.get('thing:1')).toBe('one')
    await expectTtl(store, 'thing:1', 60)
    expect(await store.getAndSet('thing:1', 'three', 90)).toBe('one')
    expect(await store.getAndSet('thing:{2}', 'four', 90)).toBeUndefined()
    await expectTtl(store, 'thing:1', 90)
    expect(await store.setUnless('other:{2}', 'five', 60, 'thing:{2}')).toBe(false)
    expect(await store.get('other:{2}')).toBeUndefined()
    expect(await store.deleteIfEqual('thing:{2}', 'three')).toBe(false)
    expect(await store.deleteIfEqual('thing:{2}', 'four')).toBe(true)
    expect(await store.setUnless('other:{2}', 'five', 60, 'thing:{2}')).toBe(true)
    await expectTtl(store, 'other:{2}', 60)
    expect(await store.getAndDelete('other:{2}')).toBe('five')
    expect(await store.getAndDelete('other:{2}')).toBeUndefined()
  })

  test('keeps a list, the newest item first, and tells when a mark expires', async () => {
    const store = open()
    const add = (item: string) => store.addToList('list:{1}', item, { max: 3, ttlS: 90 }, 'mark:{1}')
    expect(await store.list('list:{1}')).toEqual([])
    for (const item of ['one', 'two', 'three']) {
      expect(await add(item)).toEqual({ excess: [], markExpiresAt: undefined })
    }
    await store.set('mark:{1}', 'marked', 60)
    const { excess, markExpiresAt } = await add('four')
    expect(excess).toEqual(['one'])
    expect(markExpiresAt).toBeCloseTo((await store.expiresAt('mark:{1}')) ?? 0, 0)
    await store.removeFromList('list:{1}', 'three')
    expect(await store.list('list:{1}')).toEqual(['four', 'two', 'one'])
    await expectTtl(store, 'list:{1}', 90)
    for (const item of ['four', 'two', 'one', 'gone']) await store.removeFromList('list:{1}', item)
    expect(await store.expiresAt('list:{1}')).toBeUndefined()
  })

  test('counts in a window that does not slide', async () => {
    const store = open()
    expect((await store.count('count:1', 2, 60_000)).hits).toBe(2)
    const { hits, resetMs } = await store.count('count:1', 3, 90_000)
    expect(hits).toBe(5)
    expect(resetMs).toBeGreaterThan(59_000)
    expect(resetMs).toBeLessThanOrEqual(60_000)
    expect((await store.count('count:2', 1, 1000)).hits).toBe(1)
  })
})

test('what a process has counted stays counted there if Redis loses its count', async () => {
  const count = createSharedCounter(app.parts.store, 100)
  const countTimes = (times: number) => Array.from({ length: times }, () => count('limit:lost').hits).at(-1)
  const inRedis = () => db.get('limit:lost')
  expect(countTimes(50)).toBe(50)
  await expect.poll(inRedis).toBe('50')
  await db.del('limit:lost')
  expect(countTimes(20)).toBe(70)
  await expect.poll(inRedis).toBe('20')
  expect(countTimes(1)).toBe(71)
})

test('a visitor whose session was locked by a killed process waits until the lock expires', async () => {
  const visitor = app.visitor()
  const id = sessionIdIn(cookiesOf(await signIn(app, visitor)))
  // The lock expires later than the time for which a visitor waits for Discord.
  const expiration = { type: 'EX', value: 3 } as const
  await db.set(lockKey(`session:${id}`), 'a killed process', { expiration })
  expectLanding(await restyle(visitor), 303)
})

test('a token that a killed process was refreshing is refreshed as soon as the lock expires', async () => {
  const timeoutMs = 5000
  const settings = { UPSTREAM_TIMEOUT_MS: String(timeoutMs) }
  const patient = await openApp({ redisUrl: redis.url, settings, beside: app })
  onTestFinished(() => patient.close())
  const visitor = patient.visitor()
  app.discord.tokenLifeS = 1
  const id = sessionIdIn(cookiesOf(await signIn(patient, visitor)))
  app.discord.tokenLifeS = 604_800
  const expiration = { type: 'EX', value: lockTtlS } as const
  await db.set(lockKey(`session:${id}`), 'a killed process', { expiration })
  const { answer, ms } = await timed(restyle(visitor))
  expectLanding(answer, 303)
  expect(ms).toBeLessThan(timeoutMs + 2000)
})

describe('an instance that is stopped for longer than its locks last', () => {
  let stopped: StartedApp

  beforeEach(async () => {
    stopped = await startApp({
      BASE_URL: app.url,
      REDIS_URL: redis.url,
      SESSION_SECRET: sessionSecret,
      DISCORD_CLIENT_ID: clientId,
      DISCORD_CLIENT_SECRET: clientSecret,
      DISCORD_API_URL: app.discord.apiUrl,
      DISCORD_AUTHORIZE_URL: app.discord.authorizeUrl,
      DICEBEAR_URL: app.dicebear.apiUrl,
      UPSTREAM_TIMEOUT_MS: '10000',
    })
  })
  afterEach(() => stopped.stop())

  const there = (visitor: Visitor) => {
    const browser = agent(stopped.url.replace('localhost', '127.0.0.1')).redirects(0)
    browser.jar = visitor.jar
    return browser
  }

  /** Stops the instance while Discord is about to answer, until its locks have expired. */
  async function stopWhileDiscordAnswers(path: string, count: number): Promise<void> {
    await expect.poll(() => app.discord.count(path)).toBe(count)
    stopped.child.kill('SIGSTOP')
    app.discord.heal()
    const locks = await db.keys('lock:*')
    expect(locks).not.toEqual([])
    await db.del(locks)
  }

  test('in the middle of a sign-in does not overwrite the sign-in that was reloaded at another instance', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const authorize = await leave(visitor, { ...look, seed: 'second' })
    const newcomer = app.visitor()
    const first = await leave(newcomer)
    app.discord.delay(at.user, 500)
    const before = app.discord.count(at.user)
    const late = [
      send(comeBack(there(visitor), app.discord.codeFor(authorize))),
      send(comeBack(there(newcomer), app.discord.codeFor(first))),
    ]
    await stopWhileDiscordAnswers(at.user, before + 2)

    expectLanding(await comeBack(newcomer, app.discord.codeFor(first)))
    const reload = await comeBack(visitor, app.discord.codeFor(authorize))
    expect([reload.status, reload.headers.location]).toEqual([302, '/show_avatar'])
    await visitor
      .post('/show_avatar')
      .type('form')
      .send({ ...look, seed: 'third' })
      .expect(303)
    const records = await db.keys('state:*')
    const outcomes = await db.mGet(records)

    stopped.child.kill('SIGCONT')
    for (const { status } of await Promise.all(late)) expect(status).toBe(503)
    expect(await db.mGet(records)).toEqual(outcomes)
    // No session is left of the late sign-ins.
    await expect.poll(() => db.keys('session:*')).toHaveLength(2)
    expect(await hasAvatar(newcomer)).toBe(true)
    for (const seed of ['fern', 'second', 'third']) expect(await hasAvatar(visitor, { seed })).toBe(true)
  })

  test('in the middle of a refresh does not overwrite the tokens that another instance has refreshed', async () => {
    const visitor = app.visitor()
    app.discord.tokenLifeS = 1
    await signIn(app, visitor)
    app.discord.tokenLifeS = 604_800
    app.discord.delay(at.token, 500)
    const before = app.discord.count(at.token)
    const late = send(
      there(visitor)
        .post('/show_avatar')
        .type('form')
        .send({ ...look, seed: 'second' }),
    )
    await stopWhileDiscordAnswers(at.token, before + 1)

    await visitor
      .post('/show_avatar')
      .type('form')
      .send({ ...look, seed: 'third' })
      .expect(303)
    stopped.child.kill('SIGCONT')
    expect((await late).status).toBe(503)
    const restyled = await visitor
      .post('/show_avatar')
      .type('form')
      .send({ ...look, seed: 'fourth' })
    expect([restyled.status, locationOf(restyled)]).toEqual([303, '/show_avatar'])
    for (const seed of ['fern', 'third', 'fourth']) expect(await hasAvatar(visitor, { seed })).toBe(true)
  })
})

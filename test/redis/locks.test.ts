import { agent } from 'supertest'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
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
  sessionSecret,
  signIn,
  type Visitor,
} from '../support/open-app.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'
import { app, db, redis } from '../support/two-instances.ts'
import { cookiesOf, expectLanding, hasAvatar, locationOf, restyle, send, sessionIdIn } from '../support/visits.ts'

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

    expect(await next.replaceAndRelease('new', 60)).toBe(true)
    expect(await store.get('thing:1')).toBe('new')
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

test('a visitor whose session was locked by a killed process waits until the lock expires', async () => {
  const visitor = app.visitor()
  const id = sessionIdIn(cookiesOf(await signIn(app, visitor)))
  // The lock expires later than the time for which a visitor waits for Discord.
  const expiration = { type: 'EX', value: 3 } as const
  await db.set(lockKey(`session:${id}`), 'a killed process', { expiration })
  expectLanding(await restyle(visitor), 303)
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
  async function stopWhileDiscordAnswers(path: string, before: number): Promise<void> {
    await expect.poll(() => app.discord.count(path)).toBe(before + 1)
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
    app.discord.delay(at.user, 500)
    const before = app.discord.count(at.user)
    const late = send(comeBack(there(visitor), app.discord.codeFor(authorize)))
    await stopWhileDiscordAnswers(at.user, before)

    const reload = await comeBack(visitor, app.discord.codeFor(authorize))
    expect([reload.status, reload.headers.location]).toEqual([302, '/show_avatar'])
    await visitor
      .post('/show_avatar')
      .type('form')
      .send({ ...look, seed: 'third' })
      .expect(303)
    const [record = ''] = await db.keys('state:*')
    const outcome = await db.get(record)

    stopped.child.kill('SIGCONT')
    await late
    expect(await db.get(record)).toBe(outcome)
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
    await stopWhileDiscordAnswers(at.token, before)

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

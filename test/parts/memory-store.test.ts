import { CookieAccessInfo } from 'cookiejar'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createDiscordLimits } from '../../src/discord/rate-limits.ts'
import { LockLost } from '../../src/errors.ts'
import { words } from '../../src/pages/words.ts'
import { createSharedCounter } from '../../src/store/counters.ts'
import { tryLock } from '../../src/store/lock.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { openApp, signIn } from '../support/open-app.ts'
import { sessionCookie, setCookie } from '../support/visits.ts'

const dayMs = 24 * 60 * 60 * 1000

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] })
  vi.advanceTimersByTime(1000) // because lru-cache takes 0, where the fake clock begins, for no time
})
afterEach(() => {
  vi.useRealTimers()
})

test('a flood of keys of one kind evicts no key of another kind', async () => {
  const store = memoryStore()
  await store.set('session:1', 'visitor', 60)
  await store.set('gate:token', 'closed', 60)
  for (let i = 0; i < 60_000; i += 1) await store.set(`state:${i}`, 'pending', 60)
  expect(await store.getMany(['session:1', 'gate:token', 'state:59999'])).toEqual(['visitor', 'closed', 'pending'])
  // The number of keys of the flooding kind is bounded.
  expect(await store.get('state:0')).toBeUndefined()
})

test('a key expires after its TTL, even if the system clock is set back', async () => {
  const store = memoryStore()
  await store.set('lock:1', 'owner', 5)
  vi.advanceTimersByTime(4900)
  vi.setSystemTime(Date.now() - 3_600_000)
  expect(await store.get('lock:1')).toBe('owner')
  vi.advanceTimersByTime(200)
  expect(await store.get('lock:1')).toBeUndefined()
})

test('a counter’s window begins with its first count and does not slide', async () => {
  const store = memoryStore()
  expect(await store.count('limit:1', 1, 60_000)).toEqual({ hits: 1, resetMs: 60_000 })
  vi.advanceTimersByTime(40_000)
  expect(await store.count('limit:1', 2, 60_000)).toEqual({ hits: 3, resetMs: 20_000 })
  vi.advanceTimersByTime(20_001)
  expect(await store.count('limit:1', 1, 60_000)).toEqual({ hits: 1, resetMs: 60_000 })
})

test('a list says which items are too many, and keeps its TTL when one is removed', async () => {
  const store = memoryStore()
  const add = (item: string) => store.addToList('sessions:{1}', item, { max: 2, ttlS: 60 }, 'forgotten:{1}')
  for (const item of ['first', 'second']) expect((await add(item)).excess).toEqual([])
  vi.advanceTimersByTime(10_000)
  expect(await add('third')).toEqual({ excess: ['first'], markExpiresAt: undefined })
  expect(await store.list('sessions:{1}')).toEqual(['third', 'second', 'first'])
  await store.removeFromList('sessions:{1}', 'first')
  vi.advanceTimersByTime(40_000)
  await store.removeFromList('sessions:{1}', 'third')
  expect(await store.list('sessions:{1}')).toEqual(['second'])
  expect(await store.remainingMs('sessions:{1}')).toBe(20_000)
  await store.set('forgotten:{1}', 'forgotten', 60)
  expect((await add('fourth')).markExpiresAt).toBe(performance.now() + 60_000)
})

test('a lock is held until its owner releases it, alone or in the same step as a write', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'Date', 'setInterval', 'clearInterval'] })
  const store = memoryStore()
  await store.set('session:1', 'before', 60)
  const lock = await tryLock(store, 'session:1')
  if (lock === undefined) throw new Error('no lock')
  expect(await tryLock(store, 'session:1')).toBeUndefined()
  await expect(store.replace({ key: 'session:1', owner: 'another' }, 'theirs', 60)).rejects.toThrow(LockLost)
  expect(await store.replace(lock, 'during', 60)).toBe(true)
  expect(await tryLock(store, 'session:1')).toBeUndefined()
  expect(await lock.replaceAndRelease('after', 60)).toBe(true)
  expect(vi.getTimerCount()).toBe(0)
  expect(await store.get('session:1')).toBe('after')
  const next = await tryLock(store, 'session:1')
  // A late release by the first owner does not release the lock of the next owner.
  await lock.release()
  expect(await tryLock(store, 'session:1')).toBeUndefined()
  await next?.release()
  const last = await tryLock(store, 'session:1')
  expect(last).toBeDefined()
  await last?.release()
  // No lock is renewed after its release.
  expect(vi.getTimerCount()).toBe(0)
})

test('a count that is shared late in its window does not make the window longer', async () => {
  const store = memoryStore()
  const count = createSharedCounter(store, 20)
  count('limit:1')
  vi.advanceTimersByTime(40_000)
  expect(count('limit:1')).toEqual({ hits: 2, endsInMs: 20_000 })
  await new Promise((resolve) => setImmediate(resolve))
  expect(await store.count('limit:1', 1, 60_000)).toEqual({ hits: 3, resetMs: 20_000 })
})

test('what must wait for Discord waits for whole seconds, rounded up', async () => {
  const store = memoryStore()
  const limits = createDiscordLimits(store)
  await store.count('invalid:discord', 1999, 500)
  await limits.recordInvalid()
  await expect(limits.check(['sign-in'])).rejects.toMatchObject({ retryAfterS: 1 })
  vi.advanceTimersByTime(1001)
  await limits.check(['sign-in'])
  limits.checkSignIn()

  await limits.limit('token', 30)
  vi.advanceTimersByTime(29_600)
  await expect(limits.check(['token'])).rejects.toMatchObject({ retryAfterS: 1 })
  vi.advanceTimersByTime(401)
  await limits.check(['token'])
})

test('without Redis a session expires seven days after the last visit', async () => {
  vi.useRealTimers()
  const app = await openApp()
  try {
    const visitor = app.visitor()
    await signIn(app, visitor)
    // Only the clock of the TTLs is moved: by its own clock the browser would drop the cookie after seven days, too.
    vi.useFakeTimers({ toFake: ['performance'] })
    vi.advanceTimersByTime(6 * dayMs)
    expect((await visitor.get('/show_avatar')).status).toBe(200)
    vi.advanceTimersByTime(6 * dayMs)
    expect((await visitor.get('/show_avatar')).status).toBe(200)
    vi.advanceTimersByTime(7 * dayMs + 1000)
    expect((await visitor.get('/show_avatar')).status).toBe(303)
  } finally {
    vi.useRealTimers()
    await app.close()
  }
})

test('a session ends 90 days after the sign-in, however often it is used, and cookie and page say so', async () => {
  vi.useRealTimers()
  const app = await openApp()
  try {
    const visitor = app.visitor()
    await signIn(app, visitor)
    // The clock of the browser's cookies is moved, too.
    vi.useFakeTimers({ toFake: ['performance', 'Date'] })
    for (let day = 5; day <= 85; day += 5) {
      vi.advanceTimersByTime(5 * dayMs)
      const page = await visitor.get('/show_avatar')
      const left = Math.min(7, 90 - day) * (dayMs / 1000)
      expect([day, page.status, setCookie(page, sessionCookie(app))]).toEqual([
        day,
        200,
        expect.stringMatching(new RegExp(`; Max-Age=(${left}|${left - 1})$`)),
      ])
      const hints = [left, left - 1].map((leftS) => words.show.historyHint(new Date(Date.now() + 1000 * leftS)))
      expect([day, hints.some((hint) => page.text.includes(hint))]).toEqual([day, true])
    }
    const cookie = visitor.jar.getCookies(CookieAccessInfo.All).map(String).join('; ')
    vi.advanceTimersByTime(5 * dayMs - 5000)
    expect((await visitor.get('/show_avatar')).status).toBe(200)
    vi.advanceTimersByTime(5000)
    expect((await visitor.get('/show_avatar')).status).toBe(303)
    // A copy of the cookie that was kept for longer is not accepted.
    expect((await app.visitor().get('/show_avatar').set('Cookie', cookie)).status).toBe(303)
  } finally {
    vi.useRealTimers()
    await app.close()
  }
})

import { setTimeout as wait } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { StoreUnavailable } from '../errors.ts'
import type { Redis } from './redis.ts'

/** What is remembered between requests, by key and for a time: in Redis, or in this process's memory. */
export type Store = {
  get(key: string): Promise<string | undefined>
  getMany(keys: string[]): Promise<(string | undefined)[]>
  set(key: string, value: string, ttlS: number): Promise<void>
  /** True for the one caller that finds the key free. */
  setIfAbsent(key: string, value: string, ttlS: number): Promise<boolean>
  delete(key: string): Promise<void>
  /** Counts so many more under the key and gives the total; the count starts anew `windowMs` after its first. */
  count(key: string, hits: number, windowMs: number): Promise<{ hits: number; resetMs: number }>
  ping(): Promise<void>
  close(): Promise<void>
}

/** Remembers in Redis. Every call throws StoreUnavailable when Redis does not answer. */
export function redisStore({ ask, close }: Redis): Store {
  const lasting = (ttlS: number) => ({ expiration: { type: 'EX' as const, value: ttlS } })
  return {
    async get(key) {
      return (await ask((redis) => redis.get(key))) ?? undefined
    },
    async getMany(keys) {
      const values = await ask((redis) => redis.mGet(keys))
      return values.map((value) => value ?? undefined)
    },
    async set(key, value, ttlS) {
      await ask((redis) => redis.set(key, value, lasting(ttlS)))
    },
    async setIfAbsent(key, value, ttlS) {
      const answer = await ask(
        (redis) => redis.set(key, value, { ...lasting(ttlS), condition: 'NX' }),
        async (set) => set !== null && ask((redis) => redis.del(key)),
      )
      return answer !== null
    },
    async delete(key) {
      await ask((redis) => redis.del(key))
    },
    async count(key, hits, windowMs) {
      const [total = 0, resetMs = 0] = await ask((redis) => redis.count(key, hits, windowMs))
      return { hits: total, resetMs }
    },
    async ping() {
      await ask((redis) => redis.ping())
    },
    close,
  }
}

/** Remembers in this process: bounded, expiring, gone at a restart. */
export function memoryStore(): Store {
  const max = 50_000
  const kept = new LRUCache<string, string>({ max })
  const counts = new LRUCache<string, { hits: number }>({ max })
  return {
    get: async (key) => kept.get(key),
    getMany: async (keys) => keys.map((key) => kept.get(key)),
    async set(key, value, ttlS) {
      kept.set(key, value, { ttl: ttlS * 1000 })
    },
    async setIfAbsent(key, value, ttlS) {
      if (kept.has(key)) return false
      kept.set(key, value, { ttl: ttlS * 1000 })
      return true
    },
    async delete(key) {
      kept.delete(key)
    },
    async count(key, hits, windowMs) {
      const running = counts.get(key) ?? { hits: 0 }
      if (running.hits === 0) counts.set(key, running, { ttl: windowMs })
      running.hits += hits
      return { hits: running.hits, resetMs: counts.getRemainingTTL(key) }
    },
    ping: async () => undefined,
    close: async () => undefined,
  }
}

/** What was stored as JSON; what cannot be read is as good as gone. */
export function readJson(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

/** How long a key that is held outlives its holder. */
export const holdS = 5
const renewMs = 1500

/**
 * Holds a key that was free and has `holdS` to live, until `letGo`. When the process is killed it ends by itself soon, and
 * whoever waits for it goes on.
 */
export function hold(store: Store, key: string, value: string): { letGo(): Promise<void>; stop(): void } {
  let heldUntil = Date.now() + holdS * 1000
  const renewing = setInterval(() => {
    const until = Date.now() + holdS * 1000
    store.set(key, value, holdS).then(
      () => {
        heldUntil = until
      },
      () => undefined,
    )
  }, renewMs).unref()
  const stop = () => clearInterval(renewing)
  return {
    /** Holds it no longer; it ends by itself. */
    stop,
    /** Frees it. Past its time it may be another's, and if Redis is away it ends by itself. */
    async letGo() {
      stop()
      if (Date.now() < heldUntil) await store.delete(key).catch(() => undefined)
    },
  }
}

const lockPollMs = 25

/**
 * Runs the work while nobody else runs work under this name, in any process. Waits at most `patienceMs` for its turn,
 * then throws StoreUnavailable.
 */
export async function alone<T>(store: Store, name: string, patienceMs: number, work: () => Promise<T>): Promise<T> {
  const key = `lock:${name}`
  const waitUntil = Date.now() + patienceMs
  while (!(await store.setIfAbsent(key, '1', holdS))) {
    if (Date.now() > waitUntil) throw new StoreUnavailable(`waited too long for ${name.split(':')[0]}`)
    await wait(lockPollMs)
  }
  const { letGo } = hold(store, key, '1')
  // Nobody waits for the answer: whoever is next in this process asks on the same connection, after it.
  return work().finally(() => void letGo())
}

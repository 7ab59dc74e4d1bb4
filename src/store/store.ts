import { LockLost } from '../errors.ts'
import type { Redis, RedisState } from './redis.ts'
import type { LockAfter } from './redis-commands.ts'

/**
 * A key-value store with TTLs: Redis, which all instances share, or this process's memory. Every method throws
 * StoreUnavailable if Redis is down, does not reply in time, or refuses the command.
 */
export type Store = {
  get(key: string): Promise<string | undefined>
  getMany(keys: string[]): Promise<(string | undefined)[]>
  /** Reads a key and renews its TTL. */
  getAndExtend(key: string, ttlS: number): Promise<string | undefined>
  getAndDelete(key: string): Promise<string | undefined>
  set(key: string, value: string, ttlS: number): Promise<void>
  /** Sets a key, unless it has a longer TTL already. */
  setForAtLeast(key: string, value: string, ttlS: number): Promise<void>
  /** Sets a key and returns the value that it had before. */
  getAndSet(key: string, value: string, ttlS: number): Promise<string | undefined>
  /** Sets a key if it does not exist. Returns whether it was set. */
  setIfAbsent(key: string, value: string, ttlS: number): Promise<boolean>
  /** Sets a key unless the key `mark` exists. Returns whether it was set. Both keys must share a slot. */
  setUnless(key: string, value: string, ttlS: number, mark: string): Promise<boolean>
  delete(key: string): Promise<void>
  /**
   * Adds an item at the front of a list and renews the list's TTL. If the list then has more than `max` items, returns
   * the oldest ones as `excess`. Also returns when the key `mark` expires, see `expiresAt`. The keys must share a slot.
   */
  addToList(
    key: string,
    item: string,
    limits: { max: number; ttlS: number },
    mark: string,
  ): Promise<{ excess: string[]; markExpiresAt?: number | undefined }>
  /** The items of a list, the newest first. */
  list(key: string): Promise<string[]>
  removeFromList(key: string, item: string): Promise<void>
  /** When the key expires, in milliseconds by the store's own clock; undefined if there is no such key. */
  expiresAt(key: string): Promise<number | undefined>
  /** Milliseconds until the key expires, by the store's own clock; 0 or less if there is no such key. */
  remainingMs(key: string): Promise<number>
  extendIfEqual(key: string, value: string, ttlS: number): Promise<boolean>
  deleteIfEqual(key: string, value: string): Promise<boolean>
  /**
   * Replaces the value of a key under its lock; false if there is no such key. Throws LockLost if the lock has another
   * owner or none.
   */
  replace(lock: Lock, value: string, ttlS: number, then?: LockAfter): Promise<boolean>
  /** Adds `hits` and returns the total. The count ends `windowMs` after its first hit, and `resetMs` from now. */
  count(key: string, hits: number, windowMs: number): Promise<{ hits: number; resetMs: number }>
  /** Finds out whether the store accepts all commands. Never rejects. */
  state(): Promise<RedisState>
  close(): Promise<void>
}

/** A lock of a key. Only its owner knows the owner token. */
export type Lock = { key: string; owner: string }

/** The braces are a hash tag, by which lock and key share a slot of a cluster, so that one script can use both. */
export const lockKey = (key: string) => `lock:{${key}}`

export function redisStore({ run, noteRefusal, state, close }: Redis): Store {
  /** The reply of PEXPIRETIME is negative if the key does not exist. */
  const expiryTime = (reply: number) => (reply < 0 ? undefined : reply)
  const expiration = (ttlS: number) => ({ type: 'EX' as const, value: ttlS })
  return {
    async get(key) {
      return (await run((redis) => redis.get(key))) ?? undefined
    },
    async getMany(keys) {
      const values = await run((redis) => redis.mGet(keys))
      return values.map((value) => value ?? undefined)
    },
    async getAndExtend(key, ttlS) {
      const value = await run(async (redis) => {
        try {
          return await redis.getEx(key, expiration(ttlS))
        } catch (error) {
          // GETEX counts as a write, so a Redis that refuses writes refuses it. GET still works.
          if (noteRefusal(error)) return redis.get(key)
          throw error
        }
      })
      return value ?? undefined
    },
    async getAndDelete(key) {
      return (await run((redis) => redis.getDel(key))) ?? undefined
    },
    async set(key, value, ttlS) {
      await run((redis) => redis.set(key, value, { expiration: expiration(ttlS) }))
    },
    async setForAtLeast(key, value, ttlS) {
      await run((redis) => redis.setForAtLeast(key, value, ttlS))
    },
    async getAndSet(key, value, ttlS) {
      return (await run((redis) => redis.set(key, value, { expiration: expiration(ttlS), GET: true }))) ?? undefined
    },
    async setIfAbsent(key, value, ttlS) {
      const answer = await run(
        (redis) => redis.set(key, value, { expiration: expiration(ttlS), condition: 'NX' }),
        // Redis may set the key after the timeout has been reported. The key is then deleted again.
        async (set) => set !== null && run((redis) => redis.deleteIfEqual(key, value)),
      )
      return answer !== null
    },
    async setUnless(key, value, ttlS, mark) {
      return (await run((redis) => redis.setUnless(key, mark, value, ttlS))) === 1
    },
    async delete(key) {
      await run((redis) => redis.del(key))
    },
    async addToList(key, item, { max, ttlS }, mark) {
      const [expiresAt, ...excess] = await run((redis) => redis.addToList(key, mark, item, max, ttlS))
      return { excess: excess.map(String), markExpiresAt: expiryTime(Number(expiresAt)) }
    },
    list: (key) => run((redis) => redis.lRange(key, 0, -1)),
    async removeFromList(key, item) {
      await run((redis) => redis.lRem(key, 0, item))
    },
    expiresAt: async (key) => expiryTime(await run((redis) => redis.pExpireTime(key))),
    remainingMs: (key) => run((redis) => redis.pTTL(key)),
    async extendIfEqual(key, value, ttlS) {
      return (await run((redis) => redis.expireIfEqual(key, value, ttlS))) === 1
    },
    async deleteIfEqual(key, value) {
      return (await run((redis) => redis.deleteIfEqual(key, value))) === 1
    },
    async replace({ key, owner }, value, ttlS, then = 'keep') {
      const result = await run((redis) => redis.replaceIfLocked(lockKey(key), key, owner, value, ttlS, then))
      if (result < 0) throw new LockLost(`the lock of a ${key.split(':')[0]} was lost before the write`)
      return result === 1
    },
    async count(key, hits, windowMs) {
      const [total = 0, resetMs = 0] = await run((redis) => redis.count(key, hits, windowMs))
      return { hits: total, resetMs }
    },
    state,
    close,
  }
}

/** Parses a stored text; undefined if it is missing or not JSON. */
export function readJson(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

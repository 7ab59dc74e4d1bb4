import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { LockLost } from '../errors.ts'
import { lockKey, readJson, type Store } from './store.ts'

/** TTLs are measured by performance.now(). With `ttlResolution: 0` the cache reads it on every call. */
const cacheOptions = { max: 50_000, ttlResolution: 0, perf: { now: () => performance.now() } }

/**
 * The store in this process's memory. It is bounded, and a restart loses it. Each kind of key (`session:…`, `lock:…`)
 * has its own LRU cache, so that a flood of one kind does not evict keys of another.
 */
export function memoryStore(): Store {
  const kinds = new Map<string, LRUCache<string, string>>()
  const counts = new LRUCache<string, { hits: number }>(cacheOptions)

  function kindOf(key: string): LRUCache<string, string> {
    const name = key.split(':', 1)[0] ?? ''
    const kind = kinds.get(name) ?? new LRUCache<string, string>(cacheOptions)
    kinds.set(name, kind)
    return kind
  }

  const get = (key: string) => kindOf(key).get(key)
  const remove = (key: string) => kindOf(key).delete(key)
  const set = (key: string, value: string, ttlS: number) => kindOf(key).set(key, value, { ttl: ttlS * 1000 })
  const listOf = (key: string) =>
    z
      .array(z.string())
      .catch([])
      .parse(readJson(get(key)))
  const expiresAt = (key: string) =>
    kindOf(key).has(key) ? performance.now() + kindOf(key).getRemainingTTL(key) : undefined
  const replaceExisting = (key: string, value: string, ttlS: number) => {
    if (!kindOf(key).has(key)) return false
    set(key, value, ttlS)
    return true
  }

  return {
    get: async (key) => get(key),
    getMany: async (keys) => keys.map((key) => get(key)),
    async getAndExtend(key, ttlS) {
      const value = get(key)
      if (value !== undefined) set(key, value, ttlS)
      return value
    },
    async getAndDelete(key) {
      const value = get(key)
      remove(key)
      return value
    },
    async set(key, value, ttlS) {
      set(key, value, ttlS)
    },
    async setForAtLeast(key, value, ttlS) {
      if (kindOf(key).getRemainingTTL(key) < 1000 * ttlS) set(key, value, ttlS)
    },
    async getAndSet(key, value, ttlS) {
      const before = get(key)
      set(key, value, ttlS)
      return before
    },
    async setIfAbsent(key, value, ttlS) {
      if (kindOf(key).has(key)) return false
      set(key, value, ttlS)
      return true
    },
    async setUnless(key, value, ttlS, mark) {
      if (kindOf(mark).has(mark)) return false
      set(key, value, ttlS)
      return true
    },
    async delete(key) {
      remove(key)
    },
    async addToList(key, item, { max, ttlS }, mark) {
      const items = [item, ...listOf(key)]
      set(key, JSON.stringify(items), ttlS)
      return { excess: items.slice(max), markExpiresAt: expiresAt(mark) }
    },
    list: async (key) => listOf(key),
    async removeFromList(key, item) {
      const left = listOf(key).filter((one) => one !== item)
      if (left.length === 0) remove(key)
      else set(key, JSON.stringify(left), kindOf(key).getRemainingTTL(key) / 1000)
    },
    expiresAt: async (key) => expiresAt(key),
    remainingMs: async (key) => kindOf(key).getRemainingTTL(key),
    async extendIfEqual(key, value, ttlS) {
      return get(key) === value && replaceExisting(key, value, ttlS)
    },
    async deleteIfEqual(key, value) {
      return get(key) === value && remove(key)
    },
    async replace({ key, owner }, value, ttlS, then = 'keep') {
      if (get(lockKey(key)) !== owner) throw new LockLost('the lock was lost before the write')
      const isReplaced = replaceExisting(key, value, ttlS)
      if (isReplaced && then === 'release') remove(lockKey(key))
      return isReplaced
    },
    async count(key, hits, windowMs) {
      const running = counts.get(key) ?? { hits: 0 }
      if (running.hits === 0) counts.set(key, running, { ttl: windowMs })
      running.hits += hits
      return { hits: running.hits, resetMs: counts.getRemainingTTL(key) }
    },
    state: async () => 'ok',
    close: async () => undefined,
  }
}

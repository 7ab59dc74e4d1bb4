import { LRUCache } from 'lru-cache'
import { LockLost } from '../errors.ts'
import { lockKey, type Store } from './store.ts'

const maxKeys = 50_000

/** The store in this process: bounded, its keys expire, and a restart loses all of them. */
export function memoryStore(): Store {
  const values = new LRUCache<string, string>({ max: maxKeys })
  const counts = new LRUCache<string, { hits: number }>({ max: maxKeys })

  const set = (key: string, value: string, ttlS: number) => values.set(key, value, { ttl: ttlS * 1000 })
  const replaceExisting = (key: string, value: string, ttlS: number) => {
    if (!values.has(key)) return false
    set(key, value, ttlS)
    return true
  }

  return {
    get: async (key) => values.get(key),
    getMany: async (keys) => keys.map((key) => values.get(key)),
    async getAndExtend(key, ttlS) {
      const value = values.get(key)
      if (value !== undefined) set(key, value, ttlS)
      return value
    },
    async getAndDelete(key) {
      const value = values.get(key)
      values.delete(key)
      return value
    },
    async set(key, value, ttlS) {
      set(key, value, ttlS)
    },
    async getAndSet(key, value, ttlS) {
      const before = values.get(key)
      set(key, value, ttlS)
      return before
    },
    async setIfAbsent(key, value, ttlS) {
      if (values.has(key)) return false
      set(key, value, ttlS)
      return true
    },
    async delete(key) {
      values.delete(key)
    },
    async extendIfEqual(key, value, ttlS) {
      return values.get(key) === value && replaceExisting(key, value, ttlS)
    },
    async deleteIfEqual(key, value) {
      return values.get(key) === value && values.delete(key)
    },
    async replace({ key, owner }, value, ttlS, then = 'keep') {
      if (values.get(lockKey(key)) !== owner) throw new LockLost('the lock was lost before the write')
      const isReplaced = replaceExisting(key, value, ttlS)
      if (then === 'release') values.delete(lockKey(key))
      return isReplaced
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

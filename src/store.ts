import { setTimeout as wait } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { createClient } from 'redis'
import { z } from 'zod'
import { StoreAway } from './errors.ts'

/** What is remembered between requests, by key and for a time: in Redis, or in this process's memory. */
export type Store = {
  get(key: string): Promise<string | undefined>
  getMany(keys: string[]): Promise<(string | undefined)[]>
  set(key: string, value: string, ttlS: number): Promise<void>
  /** True for the one caller that finds the key free. */
  setIfAbsent(key: string, value: string, ttlS: number): Promise<boolean>
  /**
   * The value, to one caller only: read and deleted in one atomic step. If the caller had to be told that Redis is away
   * and Redis took it all the same, it is put back for `putBackS` seconds.
   */
  take(key: string, putBackS: number): Promise<string | undefined>
  delete(key: string): Promise<void>
  ping(): Promise<void>
  close(): Promise<void>
  /** Counts under many keys at once; gives each one's total. A count starts anew `ttlMs` after its first. */
  addMany(counts: Count[]): Promise<{ hits: number; resetMs: number }[]>
}
type Count = { key: string; hits: number; ttlMs: number }

/** The longest that one command may keep a visitor waiting, so that "Redis is away" is said within two seconds. */
const commandTimeoutMs = 900
/** And while Redis is silent: a visitor waits once, not as long again at each step. */
const silentTimeoutMs = 200

/** Gives a command's answer, or StoreAway: Redis said no, is away, or does not answer in time. */
export type InTime = <T>(command: Promise<T>) => Promise<T>

function createInTime(): InTime {
  let isSilent = false
  return (command) =>
    new Promise((resolve, reject) => {
      const giveUp = () => {
        isSilent = true
        reject(new StoreAway('Redis did not answer in time'))
      }
      const timeUp = setTimeout(giveUp, isSilent ? silentTimeoutMs : commandTimeoutMs)
      const settled = () => {
        isSilent = false
        clearTimeout(timeUp)
      }
      command.then(resolve, (cause) => reject(new StoreAway('Redis is away', { cause }))).finally(settled)
    })
}

/**
 * The same for a command that changes something. A stopped Redis still reads it when it wakes, long after the visitor
 * was told to try again: then `undo` gets the answer and takes the change back.
 */
async function inTimeOrUndone<T>(inTime: InTime, command: Promise<T>, undo: (answer: T) => Promise<unknown>) {
  try {
    return await inTime(command)
  } catch (error) {
    command.then(undo).catch(() => undefined)
    throw error
  }
}

/**
 * A connection to Redis that never queues while it is away, and comes back by itself.
 * Not connected yet: call connect(), and do not wait for it.
 */
export function openRedis(url: string, onTrouble: (error: unknown) => void) {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    // Finds a connection that died without a word.
    pingInterval: 10_000,
    socket: { connectTimeout: 2000, reconnectStrategy: (retries) => Math.min(100 * 2 ** retries, 1000) },
  })
  client.on('error', onTrouble)
  return { client, inTime: createInTime() }
}
export type Redis = ReturnType<typeof openRedis>

/** Remembers in Redis. Every call throws StoreAway when Redis does not answer. */
export function redisStore({ client, inTime }: Redis): Store {
  return {
    async get(key) {
      return (await inTime(client.get(key))) ?? undefined
    },
    async getMany(keys) {
      const values = await inTime(client.mGet(keys))
      return values.map((value) => value ?? undefined)
    },
    async set(key, value, ttlS) {
      await inTime(client.set(key, value, { expiration: { type: 'EX', value: ttlS } }))
    },
    async setIfAbsent(key, value, ttlS) {
      const command = client.set(key, value, { expiration: { type: 'EX', value: ttlS }, condition: 'NX' })
      const answer = await inTimeOrUndone(inTime, command, async (set) => set !== null && client.del(key))
      return answer !== null
    },
    async take(key, putBackS) {
      const value = await inTimeOrUndone(
        inTime,
        client.getDel(key),
        async (taken) => taken !== null && client.set(key, taken, { expiration: { type: 'EX', value: putBackS } }),
      )
      return value ?? undefined
    },
    async delete(key) {
      await inTime(client.del(key))
    },
    async ping() {
      await inTime(client.ping())
    },
    async close() {
      client.destroy()
    },
    addMany(counts) {
      // Sent in one go; each key by itself, because a cluster may have them in different places.
      return Promise.all(
        counts.map(async ({ key, hits, ttlMs }) => {
          const script = { keys: [key], arguments: [String(hits), String(ttlMs)] }
          const [total, resetMs] = Added.parse(await inTime(client.eval(addScript, script)))
          return { hits: total, resetMs }
        }),
      )
    },
  }
}

/** A script, not MULTI: that one waits in a queue while Redis is away. */
const addScript = `
  local hits = redis.call('INCRBY', KEYS[1], ARGV[1])
  if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
  return { hits, redis.call('PTTL', KEYS[1]) }`
const Added = z.tuple([z.number(), z.number()])

/** Remembers in this process: bounded, expiring, gone at a restart. */
export function memoryStore(maxEntries = 50_000): Store {
  const kept = new LRUCache<string, string>({ max: maxEntries })
  const counts = new LRUCache<string, { hits: number }>({ max: maxEntries })
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
    async take(key) {
      const value = kept.get(key)
      kept.delete(key)
      return value
    },
    async delete(key) {
      kept.delete(key)
    },
    ping: async () => undefined,
    close: async () => undefined,
    async addMany(many) {
      return many.map(({ key, hits, ttlMs }) => {
        const running = counts.get(key) ?? { hits: 0 }
        if (running.hits === 0) counts.set(key, running, { ttl: ttlMs })
        running.hits += hits
        return { hits: running.hits, resetMs: counts.getRemainingTTL(key) }
      })
    },
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

const lockPollMs = 25

/**
 * Runs the work while nobody else runs work under this name, in any process. Waits at most `patienceMs` for its turn,
 * then throws StoreAway. The lock ends by itself after 30 s, longer than any work here may take.
 */
export async function alone<T>(store: Store, name: string, patienceMs: number, work: () => Promise<T>): Promise<T> {
  const key = `lock:${name}`
  const lockS = 30
  const waitUntil = Date.now() + patienceMs
  while (!(await store.setIfAbsent(key, '1', lockS))) {
    if (Date.now() > waitUntil) throw new StoreAway(`waited too long for ${name.split(':')[0]}`)
    await wait(lockPollMs)
  }
  const since = Date.now()
  try {
    return await work()
  } finally {
    // Past its time the lock may be another's. If Redis is away it ends by itself.
    if (Date.now() - since < lockS * 1000) await store.delete(key).catch(() => undefined)
  }
}

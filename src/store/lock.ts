import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { StoreUnavailable } from '../errors.ts'
import { type Lock, lockKey, type Store } from './store.ts'

/** TTL of a lock. Its owner renews it; if the owner's process was killed, it expires. */
export const lockTtlS = 5
const renewEveryMs = 1500
const pollEveryMs = 25

export type HeldLock = Lock & {
  release(): Promise<void>
  /** Like `store.replace`, and releases the lock in the same step. */
  replaceAndRelease(value: string, ttlS: number): Promise<boolean>
}

/**
 * Takes the lock of a key, if it is free, and renews it until `release`. Renewing and releasing compare the owner
 * token, so a process that was stopped for longer than the TTL does not touch the lock of the next owner;
 * `store.replace` refuses its writes.
 */
export async function tryLock(store: Store, key: string): Promise<HeldLock | undefined> {
  const owner = randomUUID()
  if (!(await store.setIfAbsent(lockKey(key), owner, lockTtlS))) return undefined
  const renewing = setInterval(() => {
    store.extendIfEqual(lockKey(key), owner, lockTtlS).catch(() => undefined)
  }, renewEveryMs).unref()
  return {
    key,
    owner,
    async release() {
      clearInterval(renewing)
      // If Redis is down, the lock expires by itself.
      await store.deleteIfEqual(lockKey(key), owner).catch(() => undefined)
    },
    async replaceAndRelease(value, ttlS) {
      clearInterval(renewing)
      return store.replace({ key, owner }, value, ttlS, 'release')
    },
  }
}

/** Runs the work while it holds the lock of a key. Throws StoreUnavailable after `waitMs` without the lock. */
export async function withLock<T>(
  store: Store,
  key: string,
  { waitMs }: { waitMs: number },
  work: (lock: Lock) => Promise<T>,
): Promise<T> {
  const giveUpAt = performance.now() + waitMs
  let lock = await tryLock(store, key)
  while (lock === undefined) {
    if (performance.now() > giveUpAt) throw new StoreUnavailable(`no lock of a ${key.split(':')[0]} in time`)
    await wait(pollEveryMs)
    lock = await tryLock(store, key)
  }
  const { release } = lock
  // The caller need not wait for the release, because its next command is sent on the same connection after it.
  return work(lock).finally(() => void release())
}

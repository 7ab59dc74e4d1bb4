import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { StoreUnavailable } from '../errors.ts'
import { type Lock, lockKey, type Store } from './store.ts'

/**
 * TTL of a lock. The owner renews the lock; if the owner's process is killed, the lock expires. The TTL is shorter than
 * the time after which account.ts stops waiting for a lock (4 s by default), so that the visitor's next request can
 * still refresh the tokens.
 */
export const lockTtlS = 3
const renewEveryMs = 1000
const pollEveryMs = 25

export type HeldLock = Lock & {
  release(): Promise<void>
  /** Like `store.replace`, and releases the lock in the same step. */
  replaceAndRelease(value: string, ttlS: number): Promise<boolean>
}

/**
 * Takes the lock of a key if it is free, and renews it until `release`; undefined if it is not free. Renewing and
 * releasing compare the owner token, so a process that was stopped for longer than the TTL does not touch the lock of
 * the next owner, and `store.replace` refuses its writes.
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
      // A failure is ignored, because the lock then expires by itself.
      await store.deleteIfEqual(lockKey(key), owner).catch(() => undefined)
    },
    async replaceAndRelease(value, ttlS) {
      clearInterval(renewing)
      return store.replace({ key, owner }, value, ttlS, 'release')
    },
  }
}

/** Runs `work` under the lock of a key. Throws StoreUnavailable if the lock is not free within `waitMs`. */
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

import { setTimeout as wait } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { StoreUnavailable } from '../errors.ts'
import type { Store } from './store.ts'

/** The number of events under one key in its current window of a minute, and when that window ends. */
export type Count = { hits: number; endsInMs: number }

export const windowMs = 60_000

/**
 * The current window of a key, as far as this process knows it. `unsharedHits` are not added to the store yet.
 * `endsAtMs` is a time of the monotonic clock, so that no window becomes longer if the system clock is set back.
 */
type Window = { hits: number; unsharedHits: number; endsAtMs: number }

/** Returns a function that finds or begins the window of a key. Only 50,000 windows are remembered. */
function createWindows(): (key: string) => Window {
  const windows = new LRUCache<string, Window>({ max: 50_000 })
  return (key) => {
    const current = windows.get(key)
    if (current && current.endsAtMs > performance.now()) return current
    const window = { hits: 0, unsharedHits: 0, endsAtMs: performance.now() + windowMs }
    windows.set(key, window)
    return window
  }
}

const countOf = ({ hits, endsAtMs }: Window): Count => ({ hits, endsInMs: endsAtMs - performance.now() })

/** Returns a function that counts an event in the store. While Redis is down, each process has its own count. */
export function createExactCounter(store: Store): (key: string) => Promise<Count> {
  const windowOf = createWindows()
  return async (key) => {
    const window = windowOf(key)
    window.hits += 1
    try {
      const total = await store.count(key, 1, windowMs)
      window.hits = total.hits
      window.endsAtMs = performance.now() + total.resetMs
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
    }
    return countOf(window)
  }
}

const shareEveryMs = 100

/**
 * Returns a function that counts an event in this process. The events are added to the store in the background once
 * they exceed 5 % of what is left of the limit `max`. One process accepts exactly as many events as the limit allows.
 * Several processes together may accept more: a twentieth of the limit for each other process, and what arrives within
 * `shareEveryMs`. Counting every event in Redis would be exact, but would cost a Redis command per request. test/bench
 * allows none for the page /, and only one for an avatar, which reads the session.
 */
export function createSharedCounter(store: Store, max: number): (key: string) => Count {
  const windowOf = createWindows()
  const toShare = new Map<string, Window>()
  let isSharing = false
  return (key) => {
    const window = windowOf(key)
    window.hits += 1
    window.unsharedHits += 1
    const leftWhenShared = max - (window.hits - window.unsharedHits)
    if (leftWhenShared > 0 && window.unsharedHits > leftWhenShared / 20) toShare.set(key, window)
    if (toShare.size > 0 && !isSharing) void shareAll()
    return countOf(window)
  }

  async function shareAll(): Promise<void> {
    isSharing = true
    while (toShare.size > 0) {
      const batch = [...toShare]
      toShare.clear()
      // If Redis fails, the events stay counted in this process.
      await Promise.allSettled(batch.map(([key, window]) => share(key, window)))
      await wait(shareEveryMs, undefined, { ref: false })
    }
    isSharing = false
  }

  async function share(key: string, window: Window): Promise<void> {
    const hits = window.unsharedHits
    window.unsharedHits = 0
    const total = await store.count(key, hits, Math.max(Math.ceil(window.endsAtMs - performance.now()), 1))
    window.hits = Math.max(total.hits + window.unsharedHits, window.hits)
    window.endsAtMs = performance.now() + total.resetMs
  }
}

import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import type { Request, RequestHandler } from 'express'
import { type ClientRateLimitInfo, ipKeyGenerator, rateLimit } from 'express-rate-limit'
import { LRUCache } from 'lru-cache'
import type { Config } from '../config.ts'
import { RateLimited, StoreUnavailable } from '../errors.ts'
import type { Store } from '../store/store.ts'

const windowMs = 60_000

/**
 * Requests per client address and minute, for all instances together. A card is a hundred times the work of a preview.
 */
const maxPerMinute = { 'sign-in': 30, card: 60, file: 1200, page: 600 }

export type LimitName = keyof typeof maxPerMinute | 'none'
export type RateLimits = Record<LimitName, RequestHandler>

/**
 * A middleware for each limit, which answers 429 past it. Sign-ins cause calls to Discord, so they are counted exactly.
 */
export function createRateLimits(config: Config, store: Store): RateLimits {
  const none: RequestHandler = (_req, _res, next) => next()
  if (!config.rateLimit) return { 'sign-in': none, card: none, file: none, page: none, none }
  return {
    'sign-in': limit('sign-in', countInRedis(store)),
    card: limit('card', countHere(store, maxPerMinute.card)),
    file: limit('file', countHere(store, maxPerMinute.file)),
    page: limit('page', countHere(store, maxPerMinute.page)),
    none,
  }
}

/** Identifies a client: by its address, for IPv6 by its /64, because a household has a whole network. */
export const clientOf = (req: Request) => ipKeyGenerator(req.ip ?? '', 64)

/** Each waiting refusal holds its request in memory. Past this many, connections are destroyed without an answer. */
const maxWaitingRefusals = 1000
let waitingRefusals = 0
let lastRefusal: Promise<unknown> = Promise.resolve()

/**
 * Delays each 429 to an event loop iteration of its own, so that a burst of refused requests does not delay other
 * clients.
 */
async function waitForTurn(): Promise<void> {
  waitingRefusals += 1
  lastRefusal = lastRefusal.then(() => nextTurn())
  await lastRefusal
  waitingRefusals -= 1
}

type Count = (key: string) => ClientRateLimitInfo | Promise<ClientRateLimitInfo>

function limit(name: keyof typeof maxPerMinute, count: Count): RequestHandler {
  return rateLimit({
    windowMs,
    limit: maxPerMinute[name],
    identifier: name,
    keyGenerator: (req) => `limit:${name}:${clientOf(req)}`,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    // decrement and resetKey are required by the type and never called: every response counts.
    store: { localKeys: false, increment: count, decrement: () => undefined, resetKey: () => undefined },
    handler: async (req, res, next) => {
      if (waitingRefusals >= maxWaitingRefusals) return void req.socket.destroy()
      await waitForTurn()
      next(new RateLimited('too many requests from one address', Number(res.get('Retry-After')) || windowMs / 1000))
    },
  })
}

/**
 * A client's requests in its current minute, as far as this process knows. `endsAtMs` is on the monotonic clock, so
 * that a clock that is set back prolongs no window.
 */
type Window = { hits: number; unsharedHits: number; endsAtMs: number }

/** The windows of the clients of this process; past 50,000 the least recently used go. */
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

const limitInfo = ({ hits, endsAtMs }: Window): ClientRateLimitInfo => ({
  totalHits: hits,
  resetTime: new Date(Date.now() + endsAtMs - performance.now()),
})

/** Counts each request in Redis before it is handled. While Redis is down this process counts alone. */
function countInRedis(store: Store): Count {
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
    return limitInfo(window)
  }
}

const shareEveryMs = 100

/**
 * Counts in this process, and shares the count through Redis in the background, as soon as a client's unshared requests
 * exceed 5 % of its remaining limit (60 files, 30 pages). Most visitors stay below that and cause no Redis command; a
 * client that spreads requests over instances gets about one limit.
 */
function countHere(store: Store, max: number): Count {
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
    return limitInfo(window)
  }

  async function shareAll(): Promise<void> {
    isSharing = true
    while (toShare.size > 0) {
      const batch = [...toShare]
      toShare.clear()
      // If Redis fails, the hits stay counted in this process.
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

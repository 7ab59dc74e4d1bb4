import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Request, type RequestHandler, Router } from 'express'
import { ipKeyGenerator, rateLimit } from 'express-rate-limit'
import type { Config } from '../config.ts'
import { RateLimited } from '../errors.ts'
import { type Count, createExactCounter, createSharedCounter, windowMs } from '../store/counters.ts'
import type { Store } from '../store/store.ts'

/**
 * Requests per client address and minute, for all instances together. A card is a hundred times the work of a preview.
 */
const maxPerMinute = { 'sign-in': 30, card: 60, file: 1200, page: 600 }

export type LimitName = keyof typeof maxPerMinute | 'none'
export type RateLimits = Record<LimitName, RequestHandler>

/**
 * How many times the limit of a client whole networks of IPv6 have, by the length of their prefix. One customer may get a
 * /56 or a /48, which hold 256 and 65,536 networks of households.
 */
const networks = [
  { prefix: 56, factor: 4 },
  { prefix: 48, factor: 16 },
]

/** A middleware for each limit, which answers 429 past it. */
export function createRateLimits(config: Config, store: Store): RateLimits {
  const none: RequestHandler = (_req, _res, next) => next()
  if (!config.rateLimit) return { 'sign-in': none, card: none, file: none, page: none, none }
  return {
    // Sign-ins cause calls to Discord, so they are counted exactly.
    'sign-in': limits('sign-in', store, createExactCounter(store)),
    card: limits('card', store),
    file: limits('file', store),
    page: limits('page', store),
    none,
  }
}

/** Counts requests to the demo's stand-ins, but for the app's own. Pictures are drawn for each request. */
export function limitDemo(limits: RateLimits, ownUserAgent: string): RequestHandler {
  return (req, res, next) => {
    if (req.get('user-agent') === ownUserAgent) return next()
    const isPicture = /^\/(dicebear|discord\/cdn)\//.test(req.path)
    return limits[isPicture ? 'file' : 'page'](req, res, next)
  }
}

/** Identifies a client: by its address, for IPv6 by its /64, because a household has a whole network. */
export const clientOf = (req: Request) => networkOf(req, 64)

/** The network of an IPv6 address, or the address of a client with IPv4. */
const networkOf = (req: Request, prefix: number) => ipKeyGenerator(req.ip ?? '', prefix)

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

/** Counts for the client, then for the networks that it is in: what the client's own limit refuses does not harm others. */
function limits(name: keyof typeof maxPerMinute, store: Store, countClient?: Counter): RequestHandler {
  const max = maxPerMinute[name]
  const wider = networks.map(({ prefix, factor }) => {
    const networkMax = factor * max
    return limit({ name: `${name}-${prefix}`, max: networkMax, prefix, count: createSharedCounter(store, networkMax) })
  })
  const client = limit({ name, max, prefix: 64, count: countClient ?? createSharedCounter(store, max) })
  return Router().use(client, ...wider)
}

type Counter = (key: string) => Count | Promise<Count>
type Limit = { name: string; max: number; prefix: number; count: Counter }

function limit({ name, max, prefix, count }: Limit): RequestHandler {
  return rateLimit({
    windowMs,
    limit: max,
    identifier: name,
    keyGenerator: (req) => `limit:${name}:${networkOf(req, prefix)}`,
    // An IPv4 address is in no network that is known to be one customer's.
    skip: (req) => prefix < 64 && !networkOf(req, prefix).includes('/'),
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    store: {
      localKeys: false,
      async increment(key) {
        const { hits, endsInMs } = await count(key)
        return { totalHits: hits, resetTime: new Date(Date.now() + endsInMs) }
      },
      // Required by the type and never called: every response counts.
      decrement: () => undefined,
      resetKey: () => undefined,
    },
    handler: async (req, res, next) => {
      if (waitingRefusals >= maxWaitingRefusals) return void req.socket.destroy()
      await waitForTurn()
      next(new RateLimited('too many requests from one address', Number(res.get('Retry-After')) || windowMs / 1000))
    },
  })
}

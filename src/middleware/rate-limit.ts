import { setImmediate as nextIteration } from 'node:timers/promises'
import { type Request, type RequestHandler, Router } from 'express'
import { ipKeyGenerator, rateLimit } from 'express-rate-limit'
import type { Config } from '../config.ts'
import { RateLimited } from '../errors.ts'
import { type Count, createExactCounter, createSharedCounter, windowMs } from '../store/counters.ts'
import type { Store } from '../store/store.ts'

/** Limits of requests per client address and minute, for all instances together. */
const maxPerMinute = { 'sign-in': 30, file: 1200, page: 600 }

export type LimitName = keyof typeof maxPerMinute | 'none'
export type RateLimits = Record<LimitName, RequestHandler>

/** Limits of whole IPv6 networks, as multiples of a client's limit: one customer may have a /56, or even a /48. */
const networks = [
  { prefix: 56, factor: 4 },
  { prefix: 48, factor: 16 },
]

/** Returns a middleware for each limit. A middleware throws RateLimited if its limit is exceeded. */
export function createRateLimits(config: Config, store: Store): RateLimits {
  const none: RequestHandler = (_req, _res, next) => next()
  if (!config.rateLimit) return { 'sign-in': none, file: none, page: none, none }
  return {
    // Sign-ins cause calls to Discord, so they are counted exactly.
    'sign-in': limitClient('sign-in', store, createExactCounter(store)),
    file: limitClient('file', store),
    page: limitClient('page', store),
    none,
  }
}

/** Rate limits of the demo's stand-ins, because drawing pictures takes time. The app's own requests do not count. */
export function limitDemo(limits: RateLimits, ownUserAgent: string): RequestHandler {
  return (req, res, next) => {
    if (req.get('user-agent') === ownUserAgent) return next()
    const isPicture = /^\/(dicebear|discord\/cdn)\//.test(req.path)
    return limits[isPicture ? 'file' : 'page'](req, res, next)
  }
}

/** Identifies a client: by its IPv4 address, or by its IPv6 /64 network, because a household has a whole /64. */
export const clientOf = (req: Request) => networkOf(req, 64)

/** The network of an IPv6 address, or the IPv4 address itself. */
const networkOf = (req: Request, prefix: number) => ipKeyGenerator(req.ip ?? '', prefix)

/** Limit of 429s that wait to be sent, because each takes memory. Above it connections are destroyed. */
const maxWaitingRefusals = 1000
let waitingRefusals = 0
let lastRefusal: Promise<unknown> = Promise.resolve()

/** Lets one 429 pass per iteration of the event loop, so that a burst of them does not delay other clients. */
async function waitForOwnIteration(): Promise<void> {
  waitingRefusals += 1
  lastRefusal = lastRefusal.then(() => nextIteration())
  await lastRefusal
  waitingRefusals -= 1
}

/**
 * Counts a request for its client and then for the networks that contain the client. A request that the client's own
 * limit refuses is not counted for the networks, so that the client does not use up its neighbours' limit.
 */
function limitClient(name: keyof typeof maxPerMinute, store: Store, count?: Counter): RequestHandler {
  const max = maxPerMinute[name]
  const client = limitNetwork({ name, max, prefix: 64, store, count })
  const wider = networks.map(({ prefix, factor }) =>
    limitNetwork({ name: `${name}-${prefix}`, max: factor * max, prefix, store }),
  )
  return Router().use(client, ...wider)
}

type Counter = (key: string) => Count | Promise<Count>
type NetworkLimit = { name: string; max: number; prefix: number; store: Store; count?: Counter | undefined }

function limitNetwork({ name, max, prefix, store, count = createSharedCounter(store, max) }: NetworkLimit) {
  return rateLimit({
    windowMs,
    limit: max,
    identifier: name,
    keyGenerator: (req) => `limit:${name}:${networkOf(req, prefix)}`,
    // The limits of wider networks are for IPv6 only, because an IPv4 network may belong to many customers.
    skip: (req) => prefix < 64 && !networkOf(req, prefix).includes('/'),
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    store: {
      localKeys: false,
      async increment(key) {
        const { hits, endsInMs } = await count(key)
        return { totalHits: hits, resetTime: new Date(Date.now() + endsInMs) }
      },
      // express-rate-limit requires these two methods, but does not call them with these options.
      decrement: () => undefined,
      resetKey: () => undefined,
    },
    handler: async (req, res, next) => {
      if (waitingRefusals >= maxWaitingRefusals) return void req.socket.destroy()
      await waitForOwnIteration()
      next(new RateLimited('too many requests from one address', Number(res.get('Retry-After')) || windowMs / 1000))
    },
  })
}

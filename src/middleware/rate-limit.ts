import type { Request, RequestHandler } from 'express'
import { type ClientRateLimitInfo, type Store as Counter, ipKeyGenerator, rateLimit } from 'express-rate-limit'
import type { Config } from '../config.ts'
import { TooManyVisits } from '../errors.ts'
import type { Store } from '../store.ts'

const windowS = 60

/**
 * Limits by client address and minute. Sign-ins and restyles cost calls at Discord, so they are counted for all
 * instances together; the rest is counted here, so that it asks no Redis.
 */
export function limits(config: Config, store: Store): RequestHandler[] {
  if (!config.rateLimit) return []
  return [
    limit('sign-in', 30, isSignIn, counted(store)),
    limit('card', 60, isCard),
    limit('file', 1200, isFile),
    limit('page', 600, (req) => !isSignIn(req) && !isCard(req) && !isFile(req)),
  ]
}

const isSignIn = (req: Request) => req.method === 'POST' && /^\/(get|show)_avatar\/?$/.test(req.path)
// The picture beside a link takes a hundred times the work of a preview.
const isCard = (req: Request) => req.path === '/og.png'
const isFile = (req: Request) => !isCard(req) && /^\/avatars\/.+\.(svg|png|gif)$|^\/[^/]+\.\w+$/.test(req.path)

function limit(name: string, perMinute: number, applies: (req: Request) => boolean, counter?: Counter): RequestHandler {
  return rateLimit({
    windowMs: windowS * 1000,
    limit: perMinute,
    identifier: name,
    // One home has a whole network of IPv6 addresses.
    keyGenerator: (req) => `${name}:${ipKeyGenerator(req.ip ?? '', 64)}`,
    skip: (req) => !applies(req),
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    ...(counter ? { store: counter } : {}),
    handler: (_req, res, next) => {
      next(new TooManyVisits('too many requests from one address', Number(res.get('Retry-After')) || windowS))
    },
  })
}

function counted(store: Store): Counter {
  return {
    localKeys: false,
    async increment(key): Promise<ClientRateLimitInfo> {
      const { hits, resetMs } = await store.count(`limit:${key}`, windowS)
      return { totalHits: hits, resetTime: new Date(Date.now() + resetMs) }
    },
    // Every answer counts: nothing is ever taken back.
    decrement: () => undefined,
    resetKey: () => undefined,
  }
}

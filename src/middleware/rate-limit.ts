import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import type { Request, RequestHandler } from 'express'
import { type ClientRateLimitInfo, type Store as Counter, ipKeyGenerator, rateLimit } from 'express-rate-limit'
import { promise as lineOf } from 'fastq'
import { LRUCache } from 'lru-cache'
import type { Config } from '../config.ts'
import { RateLimited, StoreUnavailable } from '../errors.ts'
import type { Store } from '../store/store.ts'

const windowMs = 60_000

/**
 * Limits by client address and minute, for all instances together. Sign-ins and restyles cost calls at Discord, so each
 * is counted in Redis before it is let in; the rest is counted here and told to Redis in the background.
 */
export function limits(config: Config, store: Store): RequestHandler[] {
  if (!config.rateLimit) return []
  return [
    limit('sign-in', 30, isSignIn, countedAtOnce(store)),
    limit('card', 60, isCard, countedBeside(store, 60)),
    limit('file', 1200, isFile, countedBeside(store, 1200)),
    limit('page', 600, (req) => !isSignIn(req) && !isCard(req) && !isFile(req), countedBeside(store, 600)),
  ]
}

const isSignIn = (req: Request) => req.method === 'POST' && /^\/(get|show)_avatar\/?$/.test(req.path)
// The picture beside a link takes a hundred times the work of a preview.
const isCard = (req: Request) => /^\/og\.png\/?$/.test(req.path)
const isFile = (req: Request) => !isCard(req) && /^\/(avatars\/.+\.(svg|png|gif)|[^/]+\.\w+)\/?$/.test(req.path)

/** One refusal in each turn of the event loop: a client that asks a hundred times at once waits for those that ask once. */
const refusals = lineOf(() => turn(), 1)
/** Each waiting refusal holds its request in memory; connections past these many are destroyed, unanswered. */
const maxWaitingRefusals = 1000

/** What we tell clients apart by: the address, and of IPv6 the network, for one home has a whole one. */
export const clientOf = (req: Request) => ipKeyGenerator(req.ip ?? '', 64)

type Count = (key: string) => ClientRateLimitInfo | Promise<ClientRateLimitInfo>

function limit(name: string, perMinute: number, applies: (req: Request) => boolean, count: Count): RequestHandler {
  const counter: Counter = {
    localKeys: false,
    increment: count,
    // Every answer counts: nothing is ever taken back.
    decrement: () => undefined,
    resetKey: () => undefined,
  }
  return rateLimit({
    windowMs,
    limit: perMinute,
    identifier: name,
    keyGenerator: (req) => `limit:${name}:${clientOf(req)}`,
    skip: (req) => !applies(req),
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    store: counter,
    handler: async (req, res, next) => {
      if (refusals.length() >= maxWaitingRefusals) return void req.socket.destroy()
      await refusals.push(undefined)
      next(new RateLimited('too many requests from one address', Number(res.get('Retry-After')) || windowMs / 1000))
    },
  })
}

/** One address in its running minute. `untold`: the hits of it that Redis has not heard of. */
type Client = { hits: number; untold: number; resetAt: number }

/** The clients that this process has seen within the minute; past so many at once the longest idle are forgotten. */
function clients(): (key: string) => Client {
  const seen = new LRUCache<string, Client>({ max: 50_000 })
  return (key) => {
    const running = seen.get(key)
    if (running && running.resetAt > Date.now()) return running
    const client = { hits: 0, untold: 0, resetAt: Date.now() + windowMs }
    seen.set(key, client)
    return client
  }
}

/** What all instances know together: the minute is the one that began first. */
function learn(client: Client, { hits, resetMs }: { hits: number; resetMs: number }): void {
  client.hits = hits
  client.resetAt = Date.now() + resetMs
}

const told = ({ hits, resetAt }: Client): ClientRateLimitInfo => ({ totalHits: hits, resetTime: new Date(resetAt) })

/** Counts in Redis, and goes on here while Redis is away: the page itself says so then, with the form at hand. */
function countedAtOnce(store: Store): Count {
  const here = clients()
  return async (key) => {
    const client = here(key)
    client.hits += 1
    try {
      learn(client, await store.count(key, 1, windowMs))
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
    }
    return told(client)
  }
}

/** Redis hears of its clients no more often than this. */
const tellEveryMs = 100

/**
 * Counts here, and tells Redis once a client has used a twentieth of what it had left when Redis last heard of it: a
 * visitor costs Redis next to nothing, and who spreads requests over instances is stopped at about the limit.
 */
function countedBeside(store: Store, perMinute: number): Count {
  const here = clients()
  const due = new Map<string, Client>()
  let isTelling = false
  return (key) => {
    const client = here(key)
    client.hits += 1
    client.untold += 1
    const left = perMinute - (client.hits - client.untold)
    if (left > 0 && client.untold > left / 20) due.set(key, client)
    if (due.size > 0 && !isTelling) void tell()
    return told(client)
  }

  async function tell(): Promise<void> {
    isTelling = true
    while (due.size > 0) {
      const batch = [...due].map(([key, client]) => ({ key, client, hits: client.untold }))
      due.clear()
      for (const { client } of batch) client.untold = 0
      const counting = batch.map(async ({ key, hits, client }) => {
        const total = await store.count(key, hits, Math.max(client.resetAt - Date.now(), 1))
        learn(client, { ...total, hits: Math.max(total.hits + client.untold, client.hits) })
      })
      // What Redis does not take stays counted here.
      await Promise.allSettled(counting)
      await wait(tellEveryMs, undefined, { ref: false })
    }
    isTelling = false
  }
}

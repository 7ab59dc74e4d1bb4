import type { ErrorRequestHandler, Request, RequestHandler } from 'express'
import { LRUCache } from 'lru-cache'
import {
  CrossSiteRequest,
  DiscordCircuitOpen,
  DiscordRateLimited,
  DiscordRefusedClient,
  DiscordTimeout,
  DiscordUnavailable,
  GrantRefused,
  InvalidCallback,
  InvalidValues,
  MethodNotAllowed,
  NotFound,
  NotSignedIn,
  Overloaded,
  RateLimited,
  SignInFailed,
  StoreUnavailable,
  UnknownState,
  UnsupportedMediaType,
} from '../errors.ts'
import { rendered } from './views.ts'
import { words } from './words.ts'

type Said = { title: string; advice: string }
type Answer = Said & { status: number; retryAfterS?: number }

const said = words.errors

/** How soon Redis may be back. */
const storeRetryS = 5
/** How soon a line of drawings is shorter. */
const busyRetryS = 2

const answers = new Map<unknown, { status: number; said: Said }>([
  [InvalidCallback, { status: 400, said: said.badValues }],
  [InvalidValues, { status: 400, said: said.badValues }],
  [UnknownState, { status: 400, said: said.lostTrack }],
  [SignInFailed, { status: 400, said: said.signInFailed }],
  [GrantRefused, { status: 400, said: said.grantRefused }],
  [NotSignedIn, { status: 400, said: said.lostTrack }],
  [CrossSiteRequest, { status: 403, said: said.crossSite }],
  [NotFound, { status: 404, said: said.notFound }],
  [MethodNotAllowed, { status: 405, said: said.wrongMethod }],
  [UnsupportedMediaType, { status: 415, said: said.notAForm }],
  [DiscordRefusedClient, { status: 502, said: said.discordRefusedUs }],
  [DiscordUnavailable, { status: 502, said: said.discordAway }],
])

/** What Express and its body parser refuse: their status, in our words. */
const refusals = new Map<unknown, Said>([
  [413, said.tooLarge],
  [415, said.notAForm],
])

function answerTo(error: unknown, timeoutMs: number): Answer {
  if (error instanceof DiscordCircuitOpen) return { status: 504, ...said.discordSpared }
  if (error instanceof DiscordTimeout) return { status: 504, ...said.discordSilent(Math.ceil(timeoutMs / 1000)) }
  if (error instanceof DiscordRateLimited) return later(503, said.discordBusy, error.retryAfterS)
  if (error instanceof RateLimited) return later(429, said.tooManyVisits, error.retryAfterS)
  if (error instanceof Overloaded) return later(503, said.tooBusy, busyRetryS)
  if (error instanceof StoreUnavailable) return later(503, said.storeAway, storeRetryS)
  const known = error instanceof Error ? answers.get(error.constructor) : undefined
  if (known) return { status: known.status, ...known.said }
  const status = error instanceof Error && 'status' in error ? error.status : undefined
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return { status, ...(refusals.get(status) ?? said.badValues) }
  }
  return { status: 500, ...said.ourFault }
}

/** Whether a failure is for us to mend: none of those that we expect, or Discord does not take our credentials. */
export function isOurs(error: unknown): boolean {
  return answerTo(error, 0).status === 500 || error instanceof DiscordRefusedClient
}

const later = (status: number, say: (seconds: number) => Said, seconds: number): Answer => ({
  status,
  ...say(seconds),
  retryAfterS: seconds,
})

/** Stands in the number's place in a page that is kept: it begins with a control character, as no text of ours does. */
const numberToCome = '\u0001number'

/**
 * Every failure as a page, or as problem+json (RFC 9457) for a program; the cause goes to the log alone. A page without a
 * look is made once: whoever sends thousands of requests too many is told so thousands of times.
 */
export function errorPage(timeoutMs: number): ErrorRequestHandler {
  const pages = new LRUCache<string, string>({ max: 200 })
  return async (error, req, res, next) => {
    if (res.headersSent) return next(error)
    const answer = answerTo(error, timeoutMs)
    const errorNumber = `${answer.status}-${String(req.id).slice(0, 8)}`
    // The request's one log line tells the failure.
    res.err = error
    // A file that failed on its way has said already what it would have been.
    for (const name of ['Content-Type', 'Content-Disposition', 'ETag', 'Last-Modified']) res.removeHeader(name)
    res.status(answer.status).set('Cache-Control', 'no-store').vary('Accept')
    if (answer.retryAfterS !== undefined) res.set('Retry-After', String(answer.retryAfterS))
    if (wantsJson(req)) {
      const { status, title, advice: detail } = answer
      return res
        .type('application/problem+json')
        .send(JSON.stringify({ type: 'about:blank', status, title, detail, errorNumber }))
    }
    if (res.locals.choice) return res.render('error-page', { ...answer, choice: res.locals.choice, errorNumber })
    const key = answer.title + answer.advice
    const html = pages.get(key) ?? (await rendered(res, 'error-page', { ...answer, errorNumber: numberToCome }))
    pages.set(key, html)
    res.send(html.replace(numberToCome, errorNumber))
  }
}

/** Whether a program asks, not a browser. It may name JSON, or the very kind that it gets. */
export function wantsJson(req: Request): boolean {
  const wanted = req.accepts(['html', 'json', 'application/problem+json'])
  return wanted !== false && wanted !== 'html'
}

/** Whatever no page answered. */
export const notFound: RequestHandler = () => {
  throw new NotFound('no such page')
}

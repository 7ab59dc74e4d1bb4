import type { ErrorRequestHandler, Request, RequestHandler, Response } from 'express'
import type { Config } from '../config.ts'
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
  PicturesUnavailable,
  RateLimited,
  SignInFailed,
  StoreUnavailable,
  TooManySignIns,
  UnknownState,
  UnsupportedMediaType,
} from '../errors.ts'
import type { Problem } from './form.ts'
import { choiceView } from './form-view.ts'
import { words } from './words.ts'

type Texts = { title: string; advice: string }
type Answer = { status: number; texts: Texts; retryAfterS?: number }

const texts = words.errors

/** Retry-After while Redis is down. The app reconnects within 5 s after Redis is back. */
const storeRetryS = 5
/** Retry-After if a queue is full. */
const queueRetryS = 2

/** The responses to errors by their class, for classes whose response is always the same. */
const answers = new Map<unknown, Answer>([
  [InvalidCallback, { status: 400, texts: texts.invalidValues }],
  [InvalidValues, { status: 400, texts: texts.invalidValues }],
  [UnknownState, { status: 400, texts: texts.unknownState }],
  [SignInFailed, { status: 400, texts: texts.signInFailed }],
  [GrantRefused, { status: 400, texts: texts.grantRefused }],
  [NotSignedIn, { status: 400, texts: texts.unknownState }],
  [CrossSiteRequest, { status: 403, texts: texts.crossSiteRequest }],
  [NotFound, { status: 404, texts: texts.notFound }],
  [MethodNotAllowed, { status: 405, texts: texts.methodNotAllowed }],
  [UnsupportedMediaType, { status: 415, texts: texts.unsupportedMediaType }],
  [DiscordRefusedClient, { status: 502, texts: texts.discordRefusedClient }],
  [DiscordUnavailable, { status: 502, texts: texts.discordUnavailable }],
  [PicturesUnavailable, { status: 503, texts: texts.picturesUnavailable, retryAfterS: 60 }],
])

/** Texts for errors of Express and its body parser, by their status. */
const textsOfStatus = new Map<number, Texts>([
  [413, texts.tooLarge],
  [415, texts.unsupportedMediaType],
])

function answerTo(error: unknown, timeoutMs: number): Answer {
  if (error instanceof DiscordCircuitOpen) return { status: 504, texts: texts.discordCircuitOpen }
  if (error instanceof DiscordTimeout) return { status: 504, texts: texts.discordTimeout(Math.ceil(timeoutMs / 1000)) }
  if (error instanceof DiscordRateLimited) return retryLater(503, texts.discordRateLimited, error.retryAfterS)
  if (error instanceof RateLimited) return retryLater(429, texts.rateLimited, error.retryAfterS)
  if (error instanceof TooManySignIns) return retryLater(503, texts.tooManySignIns, error.retryAfterS)
  if (error instanceof Overloaded) return retryLater(503, texts.overloaded, queueRetryS)
  if (error instanceof StoreUnavailable) return retryLater(503, texts.storeUnavailable, storeRetryS)
  const answer = error instanceof Error ? answers.get(error.constructor) : undefined
  if (answer) return answer
  const status = error instanceof Error && 'status' in error ? error.status : undefined
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return { status, texts: textsOfStatus.get(status) ?? texts.invalidValues }
  }
  return { status: 500, texts: texts.unexpectedError }
}

function retryLater(status: number, textsFor: (seconds: number) => Texts, retryAfterS: number): Answer {
  return { status, texts: textsFor(retryAfterS), retryAfterS }
}

/** Whether an operator must act: the error is unexpected, or the credentials or the installation are wrong. */
export function isOurFault(error: unknown): boolean {
  const isMisconfigured = error instanceof DiscordRefusedClient || error instanceof PicturesUnavailable
  return isMisconfigured || answerTo(error, 0).status === 500
}

/** Sends an error page, or problem+json. The message and cause of the error are logged, but not sent. */
export function errorPage({ upstreamTimeoutMs, contact }: Config): ErrorRequestHandler {
  return (error, req, res, next) => {
    if (res.headersSent) return next(error)
    const { status, texts, retryAfterS } = answerTo(error, upstreamTimeoutMs)
    const errorNumber = `${status}-${String(req.id).slice(0, 8)}`
    res.err = error
    // res.sendFile has set these headers if it failed after it had found the file.
    for (const name of ['Content-Type', 'Last-Modified']) res.removeHeader(name)
    res.status(status).set('Cache-Control', 'no-store')
    if (retryAfterS !== undefined) res.set('Retry-After', String(retryAfterS))
    const { choice } = res.locals
    const page = { ...texts, errorNumber, retryAfterS, look: choice && choiceView(choice) }
    const problem = { status, title: texts.title, detail: texts.advice, errorNumber, contact: contact?.href }
    sendPageOrProblem(req, res, 'error-page', page, problem)
  }
}

/** Sends a 422: the page, with the form filled in as it was sent, or the problems as JSON to a program. */
export function formRefused(req: Request, res: Response, view: string, page: { form: { problems: Problem[] } }): void {
  const { problems } = page.form
  const title = words.problems.summary(problems.length)
  sendPageOrProblem(req, res.status(422), view, page, { status: 422, title, errors: problems })
}

/** The parameters of media types in the header Accept, except q: `;charset=utf-8`, `;profile="a,b"`. */
const mediaTypeParameters = /;(?!\s*q\s*=)[^;,="]*(=\s*("[^"]*"|[^;,"]*))?/gi

/** Sends a page, or problem+json (RFC 9457) if the client prefers JSON, which programs do but browsers do not. */
function sendPageOrProblem(req: Request, res: Response, view: string, page: object, problem: object): void {
  res.vary('Accept')
  // With a parameter, a type in the header would match none of the types below.
  req.headers.accept = req.headers.accept?.replace(mediaTypeParameters, '')
  const preferred = req.accepts(['html', 'json', 'application/problem+json'])
  if (preferred === false || preferred === 'html') res.render(view, page)
  else res.type('application/problem+json').send(JSON.stringify({ type: 'about:blank', ...problem }))
}

export const notFound: RequestHandler = () => {
  throw new NotFound('no such page')
}

import type { IncomingHttpHeaders } from 'node:http'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib'
import {
  BrokenCircuitError,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhen,
} from 'cockatiel'
import type { Dispatcher } from 'undici'
import { CircuitOpen, DeadlineExceeded, UpstreamRateLimited, UpstreamTimeout, UpstreamUnavailable } from '../errors.ts'

/** Whom we call, by the names that the log and the metrics use. */
type UpstreamName = 'discord-token' | 'discord-user' | 'discord-revoke' | 'dicebear'

/**
 * What came of a call: a 2xx, a 4xx, a 429, no whole answer or a 3xx or 5xx, none in time; or it was not made, because
 * the calls before it went wrong.
 */
type Outcome = 'ok' | 'refused' | 'rate-limited' | 'unavailable' | 'timeout' | 'circuit-open'

type BreakerState = 'closed' | 'open' | 'half-open'

export type Called = { upstream: UpstreamName; outcome: Outcome; durationMs: number }
export type BreakerChange = { upstream: UpstreamName; state: BreakerState }

/** Who is told of the calls to the outside. */
export type Observers = {
  onCall?: ((call: Called) => void) | undefined
  onBreaker?: ((change: BreakerChange) => void) | undefined
}

export type BreakerOptions = {
  /** After so many failures in a row no call is made. */
  failures: number
  /** How long, in milliseconds; then one call is let through, and shows whether it was long enough. */
  pauseMs: number
  /** What is a failure here. A 429, where it is one, is enough by itself, and may name a shorter pause. */
  opensOn: (error: unknown) => boolean
}

export type UpstreamOptions = Observers & {
  name: UpstreamName
  /** Time limit in milliseconds over the whole answer, head and body. */
  timeoutMs: number
  /** Size limit in bytes, after unpacking. */
  maxBytes: number
  dispatcher: Dispatcher
  /** None: every call is made. */
  breaker?: BreakerOptions
}

export type Answer = { status: number; headers: IncomingHttpHeaders; body: Buffer }

export type Question = {
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: string
  /** When a visitor has waited long enough, by `performance.now()`: for several calls, not for each as long. */
  until?: number | undefined
}

/**
 * A way to the outside. `ask` makes one call and gives a whole answer of 2xx or 4xx; it follows no redirect, because it
 * could lead anywhere, and never asks twice. Throws UpstreamRateLimited for a 429, UpstreamTimeout when the time is up,
 * CircuitOpen when it was not asked, and UpstreamUnavailable for everything else.
 */
export function createUpstream({ name, timeoutMs, maxBytes, dispatcher, breaker, ...observers }: UpstreamOptions) {
  const { onCall, onBreaker } = observers
  const unlessDown = breaker
    ? createBreaker(breaker, (state) => onBreaker?.({ upstream: name, state }))
    : (call: () => Promise<Answer>) => call()

  return async function ask(url: string | URL, question: Question = {}): Promise<Answer> {
    const since = performance.now()
    let outcome: Outcome = 'unavailable'
    try {
      const answer = await unlessDown(() => call(url, question))
      outcome = answer.status < 400 ? 'ok' : 'refused'
      return answer
    } catch (error) {
      outcome = outcomeOf(error)
      throw error
    } finally {
      onCall?.({ upstream: name, outcome, durationMs: performance.now() - since })
    }
  }

  async function call(url: string | URL, question: Question): Promise<Answer> {
    const answer = await wholeAnswer(url, question)
    const { status } = answer
    if (status === 429) throw new UpstreamRateLimited('answered 429', answer, retryAfterS(answer))
    if (status >= 500 || (status >= 300 && status < 400)) throw new UpstreamUnavailable(`answered ${status}`)
    return answer
  }

  async function wholeAnswer(url: string | URL, { until = Infinity, headers, ...question }: Question): Promise<Answer> {
    const leftMs = Math.min(timeoutMs, until - performance.now())
    if (leftMs <= 0) throw new DeadlineExceeded('no time left to ask')
    const { origin, pathname, search } = new URL(url)
    const options = { method: 'GET' as const, ...question, origin, path: `${pathname}${search}` }
    const asked = { ...options, headers: { 'accept-encoding': 'identity', ...headers } }
    const { body, broken, ...answer } = await receive(dispatcher, asked, maxBytes, leftMs)
    try {
      if (broken) throw broken
      return { ...answer, body: await unpacked(body, packingsOf(answer.headers), maxBytes) }
    } catch (cause) {
      if (saidByStatus.has(answer.status)) return { ...answer, body: Buffer.alloc(0) }
      if (cause instanceof UpstreamUnavailable) throw cause
      const Silent = leftMs < timeoutMs ? DeadlineExceeded : UpstreamTimeout
      if (cause instanceof TimeUp) throw new Silent('no answer in time', { cause })
      throw new UpstreamUnavailable('no whole answer', { cause })
    }
  }
}
export type Upstream = ReturnType<typeof createUpstream>

/** "Not with this token" and "not now" are to be heard, whatever becomes of the words that follow. */
const saidByStatus = new Set([401, 429])

class TimeUp extends Error {}

/** An answer as far as it came; `broken` where that is not all of it, or more than was wanted. Status 0: nothing came. */
type Received = Answer & { broken?: Error }

/**
 * Asks, and takes what comes until it ends or the time is up. Not by undici's `request`, which makes a stream of each
 * answer and an event of each end of time: that takes half as long again, and all of an answer is wanted at once.
 */
function receive(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  maxBytes: number,
  leftMs: number,
): Promise<Received> {
  const { promise, resolve } = Promise.withResolvers<Received>()
  let head: Pick<Answer, 'status' | 'headers'> = { status: 0, headers: {} }
  const parts: Buffer[] = []
  let size = 0
  let call: Dispatcher.DispatchController | undefined
  let isOver = false
  function end(broken?: Error) {
    if (isOver) return
    isOver = true
    clearTimeout(timer)
    resolve({ ...head, body: Buffer.concat(parts), ...(broken && { broken }) })
    if (broken) call?.abort(broken)
  }
  const timer = setTimeout(() => end(new TimeUp()), leftMs)
  dispatcher.dispatch(options, {
    onRequestStart(controller) {
      call = controller
      // It waited for a connection until then.
      if (isOver) controller.abort(new TimeUp())
    },
    onResponseStart(_, status, headers) {
      head = { status, headers }
    },
    onResponseData(_, part) {
      size += part.byteLength
      parts.push(part)
      if (size > maxBytes) end(tooLong(maxBytes))
    },
    onResponseEnd: () => end(),
    onResponseError: (_, error) => end(error),
  })
  return promise
}

const tooLong = (maxBytes: number) => new UpstreamUnavailable(`answer over ${maxBytes} bytes`)

/** How an answer is packed, though it was asked not to be, in the order of unpacking (RFC 9110, 8.4). */
function packingsOf({ 'content-encoding': named = '' }: IncomingHttpHeaders): string[] {
  const packings = named.split(',').map((packing) => packing.trim().toLowerCase())
  return packings.filter((packing) => packing !== '' && packing !== 'identity').reverse()
}

type Unpack = (packed: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>
const unpackers = new Map<string, Unpack>([
  ['gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['br', promisify(brotliDecompress)],
  ['zstd', promisify(zstdDecompress)],
])

/** The limit is on unpacked bytes: 64 KiB of gzip can hold 60 MiB. */
async function unpacked(body: Buffer, packings: string[], maxBytes: number): Promise<Buffer> {
  let inner = body
  for (const packing of packings) {
    const unpack = unpackers.get(packing)
    if (!unpack) throw new UpstreamUnavailable(`packed in ${packing.slice(0, 20)}`)
    inner = await unpack(inner, { maxOutputLength: maxBytes }).catch((error) => {
      throw error instanceof RangeError ? tooLong(maxBytes) : error
    })
  }
  return inner
}

/** A header's value; sent twice, both, as RFC 9110, 5.3, puts them together. Empty where it was not sent. */
export function headerOf({ headers }: Pick<Answer, 'headers'>, name: string): string {
  return [headers[name] ?? []].flat().join(', ')
}

/** What a 429 asks for, in seconds: a number, or a date (RFC 9110, 10.2.3). Undefined where it names no time to come. */
function retryAfterS(answer: Answer): number | undefined {
  const named = headerOf(answer, 'retry-after')
  const seconds = Number.isNaN(Number(named)) ? (Date.parse(named) - Date.now()) / 1000 : Number(named)
  return seconds > 0 ? seconds : undefined
}

const outcomes = new Map<unknown, Outcome>([
  [UpstreamRateLimited, 'rate-limited'],
  [UpstreamTimeout, 'timeout'],
  [DeadlineExceeded, 'timeout'],
  [CircuitOpen, 'circuit-open'],
])

function outcomeOf(error: unknown): Outcome {
  return (error instanceof Error ? outcomes.get(error.constructor) : undefined) ?? 'unavailable'
}

const stateNames: Record<CircuitState, BreakerState> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.Isolated]: 'open',
  [CircuitState.HalfOpen]: 'half-open',
}

/** Spares visitors the wait for an upstream that is down: it is left in peace for a while, then tried by one of them. */
function createBreaker({ failures, pauseMs, opensOn }: BreakerOptions, onState: (state: BreakerState) => void) {
  const inARow = new ConsecutiveBreaker(failures)
  const breaker = circuitBreaker(handleWhen(opensOn), {
    breaker: inARow,
    halfOpenAfter: new DelegateBackoff(({ result }) => pauseAfter('error' in result ? result.error : undefined)),
  })
  breaker.onStateChange((state) => onState(stateNames[state]))

  function pauseAfter(error: unknown): number {
    const namedS = error instanceof UpstreamRateLimited ? error.retryAfterS : undefined
    return namedS === undefined ? pauseMs : Math.min(namedS * 1000, pauseMs)
  }

  return async function unlessDown<T>(call: () => Promise<T>): Promise<T> {
    // By itself the library would have the others wait for the one that tries.
    if (breaker.state === CircuitState.HalfOpen) throw new CircuitOpen('another one is trying')
    try {
      return await breaker.execute(() => call().catch(failed))
    } catch (error) {
      if (error instanceof BrokenCircuitError) throw new CircuitOpen('the last calls went wrong', { cause: error })
      throw error
    }
  }

  function failed(error: unknown): never {
    if (error instanceof UpstreamRateLimited && opensOn(error)) inARow.state = failures
    throw error
  }
}

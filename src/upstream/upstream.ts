import { CircuitOpen, UpstreamRateLimited, UpstreamTimeout, UpstreamUnavailable } from '../errors.ts'
import { type BreakerOptions, type BreakerState, createBreaker } from './breaker.ts'
import { type CallOptions, call, headerOf, type UpstreamRequest, type UpstreamResponse } from './call.ts'

/** The endpoints that this app calls, by the names that its log and metrics use. */
export const upstreamNames = ['discord-token', 'discord-user', 'discord-revoke', 'dicebear'] as const
type UpstreamName = (typeof upstreamNames)[number]

/**
 * How a request ended. `ok` is a 2xx, `refused` a 4xx, `rate-limited` a 429, `unavailable` a 3xx, a 5xx or no complete
 * response. `circuit-open` means that no request was made, because the circuit breaker was open.
 */
export const callOutcomes = ['ok', 'refused', 'rate-limited', 'unavailable', 'timeout', 'circuit-open'] as const
type CallOutcome = (typeof callOutcomes)[number]

export type Called = { upstream: UpstreamName; outcome: CallOutcome; durationMs: number }
export type BreakerChange = { upstream: UpstreamName; state: BreakerState }

/** `onCall` is called after each request, `onBreaker` when a circuit breaker changes its state. */
export type Observers = {
  onCall?: ((call: Called) => void) | undefined
  onBreaker?: ((change: BreakerChange) => void) | undefined
}

export type UpstreamOptions = Observers &
  CallOptions & {
    name: UpstreamName
    /** If there is no circuit breaker, every request is made. */
    breaker?: Omit<BreakerOptions, 'onState'>
  }

/**
 * Returns a function that makes one request to an upstream server and resolves with a complete response of status 2xx
 * or 4xx. It throws UpstreamRateLimited for a 429, UpstreamTimeout or DeadlineExceeded when the time is up, CircuitOpen
 * when no request was made, and UpstreamUnavailable for everything else.
 */
export function createUpstream({ name, breaker, onCall, onBreaker, ...options }: UpstreamOptions) {
  const guarded = breaker
    ? createBreaker({ ...breaker, onState: (state) => onBreaker?.({ upstream: name, state }) })
    : <T>(request: () => Promise<T>) => request()

  return async (url: string, request: UpstreamRequest = {}): Promise<UpstreamResponse> => {
    const startMs = performance.now()
    const report = (outcome: CallOutcome) =>
      onCall?.({ upstream: name, outcome, durationMs: performance.now() - startMs })
    try {
      const response = await guarded(async () => checkStatus(await call(new URL(url), request, options)))
      report(response.status < 400 ? 'ok' : 'refused')
      return response
    } catch (error) {
      report(outcomeOf(error))
      throw error
    }
  }
}

function checkStatus(response: UpstreamResponse): UpstreamResponse {
  const { status } = response
  if (status === 429) throw new UpstreamRateLimited('answered 429', response, retryAfterS(response))
  if ((status >= 300 && status < 400) || status >= 500) throw new UpstreamUnavailable(`answered ${status}`)
  return response
}

/**
 * The header Retry-After in seconds; undefined if it is missing or not in the future. It may be a number or a date (RFC
 * 9110, 10.2.3). A date is compared with the server's own clock, which its header Date tells.
 */
function retryAfterS(response: UpstreamResponse): number | undefined {
  const value = headerOf(response, 'retry-after')
  const sentAt = Date.parse(headerOf(response, 'date')) || Date.now()
  const seconds = Number.isNaN(Number(value)) ? (Date.parse(value) - sentAt) / 1000 : Number(value)
  return seconds > 0 ? seconds : undefined
}

function outcomeOf(error: unknown): CallOutcome {
  if (error instanceof UpstreamRateLimited) return 'rate-limited'
  if (error instanceof UpstreamTimeout) return 'timeout'
  if (error instanceof CircuitOpen) return 'circuit-open'
  return 'unavailable'
}

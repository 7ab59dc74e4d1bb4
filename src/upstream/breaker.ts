import { CircuitOpen, UpstreamRateLimited } from '../errors.ts'

export const breakerStates = ['closed', 'open', 'half-open'] as const
export type BreakerState = (typeof breakerStates)[number]

export type BreakerOptions = {
  /** How many failures in a row open the circuit. A single 429 opens it, too. `isFailure` tells which errors count. */
  failures: number
  /** How long the circuit stays open. After a 429 the time in Retry-After replaces this one if it is shorter. */
  pauseMs: number
  isFailure: (error: unknown) => boolean
  onState: (state: BreakerState) => void
}

/**
 * A circuit breaker, so that visitors do not wait for a server that has just failed for others. While it is open each
 * call throws CircuitOpen at once. After the pause it is half-open, until the result of one trial call closes or opens
 * it. https://learn.microsoft.com/en-us/azure/architecture/patterns/circuit-breaker
 */
export function createBreaker({ failures, pauseMs, isFailure, onState }: BreakerOptions) {
  let state: BreakerState = 'closed'
  let failuresInARow = 0
  /** When a trial call is allowed, by `performance.now()`, which does not change if the system clock is set. */
  let trialAtMs = 0

  function change(next: BreakerState): void {
    state = next
    failuresInARow = 0
    onState(next)
  }

  function open(error: unknown): void {
    const retryAfterMs = error instanceof UpstreamRateLimited && error.retryAfterS ? error.retryAfterS * 1000 : pauseMs
    trialAtMs = performance.now() + Math.min(retryAfterMs, pauseMs)
    change('open')
  }

  // Calls that started before the circuit opened do not change its state when they end.
  function succeeded(isTrial: boolean): void {
    if (isTrial) change('closed')
    else if (state === 'closed') failuresInARow = 0
  }

  function failed(error: unknown, isTrial: boolean): void {
    if (state === 'closed') failuresInARow += 1
    const isEnough = error instanceof UpstreamRateLimited || failuresInARow >= failures
    if (isTrial || (state === 'closed' && isEnough)) open(error)
  }

  /** Makes the call and passes on its result or error, or throws CircuitOpen without making the call. */
  return async function guarded<T>(call: () => Promise<T>): Promise<T> {
    const isTrial = state === 'open' && performance.now() >= trialAtMs
    if (state !== 'closed' && !isTrial) throw new CircuitOpen(`circuit breaker is ${state}`)
    if (isTrial) change('half-open')
    try {
      const result = await call()
      succeeded(isTrial)
      return result
    } catch (error) {
      if (isFailure(error)) failed(error, isTrial)
      else succeeded(isTrial)
      throw error
    }
  }
}

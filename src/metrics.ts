import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestHandler } from 'express'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import * as errors from './errors.ts'
import { breakerStates } from './upstream/breaker.ts'
import { type BreakerChange, type Called, callOutcomes, upstreamNames } from './upstream/upstream.ts'

// Metrics for Prometheus (https://prometheus.io/docs/practices/naming/). Every label has a fixed set of values, so that
// no request can create a new time series.

const methods = new Set(['GET', 'HEAD', 'POST'])
/** Revocations have no circuit breaker. */
const breakers = upstreamNames.filter((name) => name !== 'discord-revoke')
const caches = ['file', 'preview', 'png', 'gif', 'card'] as const
const signInOutcomes = ['signed-in', 'declined', 'failed'] as const
const fallbackReasons = ['DiceBearUnavailable', 'DiceBearRefused', 'UnsafeSvg', 'Overloaded']
const serverErrors = [500, 502, 503, 504]
/** All values that `nameOf` returns. */
const failures = [...Object.keys(errors).filter((name) => name !== 'Failure'), 'Refused', 'Unexpected']

function defineMetrics(registry: Registry) {
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ registers, name, help, labelNames })
  const histogram = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Histogram({ registers, name, help, labelNames })
  const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Gauge({ registers, name, help, labelNames })
  return {
    requests: counter(
      'http_requests_total',
      'Answers by route, method and status; "aborted" where the client closed the connection first.',
      'route',
      'method',
      'status',
    ),
    requestSeconds: histogram(
      'http_request_duration_seconds',
      'Time from the headers of a request to the end of its answer.',
      'route',
      'method',
    ),
    failures: counter(
      'http_failures_total',
      'Requests that ended on an error page, by the name of the error.',
      'failure',
    ),
    signInsStarted: counter(
      'sign_ins_started_total',
      'Visitors sent to Discord. They may come back to another instance: sum over all of them.',
    ),
    signIns: counter('sign_ins_total', 'Visitors who came back from Discord, by outcome.', 'outcome'),
    calls: counter(
      'upstream_requests_total',
      'Requests to Discord and DiceBear by outcome; "circuit-open" was not made, because the circuit breaker was open.',
      'upstream',
      'outcome',
    ),
    callSeconds: histogram(
      'upstream_request_duration_seconds',
      'Duration of the requests to Discord and DiceBear that were made.',
      'upstream',
    ),
    breaker: gauge(
      'upstream_breaker_state',
      '1 for the state that the circuit breaker is in, 0 for the others.',
      'upstream',
      'state',
    ),
    cache: counter('avatar_cache_total', 'Cache lookups for pictures; after a miss one is drawn.', 'cache', 'result'),
    fallbacks: counter(
      'avatar_fallbacks_total',
      'Avatars drawn here because DiceBear gave none, by reason; "DiceBearRefused" is a fault of this app.',
      'reason',
    ),
    storeFailures: counter('store_failures_total', 'Commands that Redis refused, or did not answer in time.'),
  }
}

/** The metrics of one app, in a registry of their own, and the functions that count the app's events. */
export function createMetrics() {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const metrics = defineMetrics(registry)

  function onBreaker({ upstream, state }: BreakerChange): void {
    for (const one of breakerStates) metrics.breaker.set({ upstream, state: one }, one === state ? 1 : 0)
  }

  // Every time series is created at the start, because rate() does not count the event that creates one.
  for (const upstream of breakers) onBreaker({ upstream, state: 'closed' })
  for (const upstream of upstreamNames) for (const outcome of callOutcomes) metrics.calls.inc({ upstream, outcome }, 0)
  for (const outcome of signInOutcomes) metrics.signIns.inc({ outcome }, 0)
  for (const reason of fallbackReasons) metrics.fallbacks.inc({ reason }, 0)
  for (const cache of caches) for (const result of ['hit', 'miss']) metrics.cache.inc({ cache, result }, 0)
  for (const failure of failures) metrics.failures.inc({ failure }, 0)
  onRoute('other', ['GET', 'POST'])

  /** Creates the time series of a route's server errors, at 0. */
  function onRoute(route: string, methods: string[]): void {
    for (const method of methods) for (const status of serverErrors) metrics.requests.inc({ route, method, status }, 0)
  }

  const countRequest: RequestHandler = (req, res, next) => {
    const since = performance.now()
    res.once('close', () => {
      const labels = { route: res.routeName ?? 'other', method: methods.has(req.method) ? req.method : 'other' }
      metrics.requests.inc({ ...labels, status: res.writableFinished ? res.statusCode : 'aborted' })
      metrics.requestSeconds.observe(labels, (performance.now() - since) / 1000)
      if (res.err !== undefined) metrics.failures.inc({ failure: nameOf(res.err) })
    })
    next()
  }

  return {
    registry,
    onRoute,
    countRequest,
    onBadRequest: (status: number) => metrics.requests.inc({ route: 'other', method: 'other', status }),
    onSignInStart: () => metrics.signInsStarted.inc(),
    onSignInEnd: (outcome: (typeof signInOutcomes)[number]) => metrics.signIns.inc({ outcome }),
    onCall({ upstream, outcome, durationMs }: Called): void {
      metrics.calls.inc({ upstream, outcome })
      if (outcome !== 'circuit-open') metrics.callSeconds.observe({ upstream }, durationMs / 1000)
    },
    onBreaker,
    onCache: (cache: (typeof caches)[number], found: boolean) =>
      metrics.cache.inc({ cache, result: found ? 'hit' : 'miss' }),
    onFallback: (error: unknown) => metrics.fallbacks.inc({ reason: nameOf(error) }),
    onStoreFailure: () => metrics.storeFailures.inc(),
    /** Adds a metric that finds out the state of Redis each time the metrics are read. */
    watchRedis(state: () => Promise<string>): void {
      new Gauge({
        registers: [registry],
        name: 'redis_up',
        help: '1 while Redis answers and accepts all commands.',
        async collect() {
          this.set((await state()) === 'ok' ? 1 : 0)
        },
      })
    },
  }
}
export type Metrics = ReturnType<typeof createMetrics>

/** Answers GET /metrics and nothing else, on a port of its own that visitors do not reach. */
export function metricsPage({ registry }: Metrics) {
  return async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const isMetrics = (req.method === 'GET' || req.method === 'HEAD') && /^\/metrics(\?|$)/.test(req.url ?? '')
    if (!isMetrics) return void res.writeHead(404).end()
    const text = await registry.metrics().catch(() => undefined)
    res.writeHead(text === undefined ? 500 : 200, { 'Content-Type': registry.contentType }).end(text)
  }
}

/** The class name of a `Failure`; "Refused" for a client error that Express found, "Unexpected" for anything else. */
function nameOf(error: unknown): string {
  if (error instanceof errors.Failure) return error.name
  const status = error instanceof Error && 'status' in error ? Number(error.status) : 500
  return status >= 400 && status < 500 ? 'Refused' : 'Unexpected'
}

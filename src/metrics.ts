import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestHandler } from 'express'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { Failure } from './errors.ts'
import type { BreakerChange, Called } from './upstream/upstream.ts'

// What is counted for Prometheus. Each label has its values from a fixed list: no visitor can make a new series.
// https://prometheus.io/docs/practices/naming/

const methods = new Set(['GET', 'HEAD', 'POST'])

const upstreams: Called['upstream'][] = ['discord-token', 'discord-user', 'discord-revoke', 'dicebear']
const callOutcomes: Called['outcome'][] = ['ok', 'refused', 'rate-limited', 'unavailable', 'timeout', 'circuit-open']
/** Nobody waits long for a revocation: that one has no breaker. */
const breakers: BreakerChange['upstream'][] = ['discord-token', 'discord-user', 'dicebear']
const breakerStates: BreakerChange['state'][] = ['closed', 'open', 'half-open']
const caches = ['file', 'preview', 'png', 'gif', 'card'] as const
const signInEnds = ['signed-in', 'declined', 'failed'] as const

/** The app's counts, in a registry of their own: two apps in one process count apart. */
export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })

  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ registers, name, help, labelNames })

  const requestsTotal = counter(
    'http_requests_total',
    'Answers by route, method and status; "aborted" where the visitor did not wait.',
    'route',
    'method',
    'status',
  )
  const requestSeconds = new Histogram({
    registers,
    name: 'http_request_duration_seconds',
    help: 'Time from the head of a request to the end of its answer.',
    labelNames: ['route', 'method'],
  })
  const failuresTotal = counter(
    'http_failures_total',
    'Requests that ended on the error page, by the name of what went wrong.',
    'failure',
  )
  const signInsStartedTotal = counter(
    'sign_ins_started_total',
    'Visitors sent to Discord. They may come back at another instance: sum over all of them.',
  )
  const signInsTotal = counter(
    'sign_ins_total',
    'Visitors who came back from Discord, by the way their visit ended.',
    'outcome',
  )
  const callsTotal = counter(
    'upstream_requests_total',
    'Calls to Discord and DiceBear by their outcome; "circuit-open" was not made, because the circuit breaker was open.',
    'upstream',
    'outcome',
  )
  const callSeconds = new Histogram({
    registers,
    name: 'upstream_request_duration_seconds',
    help: 'Time until a call that was made was over.',
    labelNames: ['upstream'],
  })
  const breaker = new Gauge({
    registers,
    name: 'upstream_breaker_state',
    help: '1 for the state that the circuit breaker is in, 0 for the others.',
    labelNames: ['upstream', 'state'],
  })
  const cacheTotal = counter(
    'avatar_cache_total',
    'Pictures asked for, by the cache and whether it had them; a miss is a new drawing.',
    'cache',
    'result',
  )
  const fallbacksTotal = counter(
    'avatar_fallbacks_total',
    'Avatars drawn here because DiceBear gave none, by reason; "DiceBearRefused" is a fault of this app.',
    'reason',
  )
  const storeFailuresTotal = counter('store_failures_total', 'Commands that Redis refused, or did not answer in time.')

  /** Tells the state that a breaker is in now. */
  function onBreaker({ upstream, state }: BreakerChange): void {
    for (const one of breakerStates) breaker.set({ upstream, state: one }, one === state ? 1 : 0)
  }

  // A counter that is not there before its first event hides that event from rate().
  for (const upstream of breakers) onBreaker({ upstream, state: 'closed' })
  for (const upstream of upstreams) for (const outcome of callOutcomes) callsTotal.inc({ upstream, outcome }, 0)
  for (const outcome of signInEnds) signInsTotal.inc({ outcome }, 0)
  for (const reason of ['DiceBearUnavailable', 'DiceBearRefused', 'UnsafeSvg']) fallbacksTotal.inc({ reason }, 0)
  for (const cache of caches) for (const result of ['hit', 'miss']) cacheTotal.inc({ cache, result }, 0)

  return {
    registry,

    /** Counts each answer. */
    requests: ((req, res, next) => {
      const since = performance.now()
      res.once('close', () => {
        const labels = { route: res.routeName ?? 'other', method: methods.has(req.method) ? req.method : 'other' }
        requestsTotal.inc({ ...labels, status: res.writableFinished ? res.statusCode : 'aborted' })
        requestSeconds.observe(labels, (performance.now() - since) / 1000)
        if (res.err !== undefined) failuresTotal.inc({ failure: nameOf(res.err) })
      })
      next()
    }) satisfies RequestHandler,

    /** Counts an answer to a malformed request. */
    onBadRequest: (status: number) => requestsTotal.inc({ route: 'other', method: 'other', status }),

    onSignInStart: () => signInsStartedTotal.inc(),
    onSignInEnd: (outcome: (typeof signInEnds)[number]) => signInsTotal.inc({ outcome }),

    /** One call to an upstream is over. */
    onCall({ upstream, outcome, durationMs }: Called): void {
      callsTotal.inc({ upstream, outcome })
      if (outcome !== 'circuit-open') callSeconds.observe({ upstream }, durationMs / 1000)
    },
    onBreaker,

    onCache: (cache: (typeof caches)[number], found: boolean) =>
      cacheTotal.inc({ cache, result: found ? 'hit' : 'miss' }),
    onFallback: (why: unknown) => fallbacksTotal.inc({ reason: nameOf(why) }),
    onStoreFailure: () => storeFailuresTotal.inc(),

    /** From now on each look at the metrics asks Redis whether it is there. */
    watchRedis(ping: () => Promise<void>): void {
      new Gauge({
        registers,
        name: 'redis_up',
        help: '1 while Redis answers.',
        async collect() {
          const isUp = await ping().then(
            () => true,
            () => false,
          )
          this.set(isUp ? 1 : 0)
        },
      })
    },
  }
}
type Metrics = ReturnType<typeof createMetrics>

/** Answers GET /metrics, and nothing else: for a port of its own that no visitor reaches. */
export function metricsPage({ registry }: Metrics) {
  return async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const isAsked = (req.method === 'GET' || req.method === 'HEAD') && /^\/metrics(\?|$)/.test(req.url ?? '')
    if (!isAsked) return void res.writeHead(404).end()
    const text = await registry.metrics().catch(() => undefined)
    res.writeHead(text === undefined ? 500 : 200, { 'Content-Type': registry.contentType }).end(text)
  }
}

/** Failures that we expect by their names; Express's own refusals, and our faults, have none that we know. */
function nameOf(error: unknown): string {
  if (error instanceof Failure) return error.name
  const status = error instanceof Error && 'status' in error ? Number(error.status) : 500
  return status >= 400 && status < 500 ? 'Refused' : 'Unexpected'
}

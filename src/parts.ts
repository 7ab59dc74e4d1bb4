import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import packageJson from '../package.json' with { type: 'json' }
import { createAvatars } from './avatar/avatars.ts'
import { createDiceBear } from './avatar/dicebear.ts'
import { openFileCache } from './avatar/file-cache.ts'
import { createRenderers } from './avatar/renderers.ts'
import { availableMemoryMb, capacityFor } from './capacity.ts'
import type { Config } from './config.ts'
import { createDiscord } from './discord/client.ts'
import { createDiscordLimits } from './discord/rate-limits.ts'
import { DiceBearRefused } from './errors.ts'
import type { Metrics } from './metrics.ts'
import { lockTtlS } from './store/lock.ts'
import { memoryStore } from './store/memory.ts'
import { openRedis } from './store/redis.ts'
import { redisStore, type Store } from './store/store.ts'
import { createConnections } from './upstream/call.ts'
import type { BreakerChange } from './upstream/upstream.ts'
import { createAccounts } from './visitor/account.ts'
import { createSessions } from './visitor/session.ts'
import { createStates } from './visitor/states.ts'
import { createSealer } from './visitor/tokens.ts'
import { createUserSessions } from './visitor/user-sessions.ts'

/** Time for Redis, files and rendering, added to the upstream timeout. The contract allows 2 s. */
const marginMs = 1500

/** The start waits at most this long for the first connection to Redis. */
const connectRedisMs = 300

/** Opens Redis, or the in-memory store. Waits at most `connectRedisMs`; Redis may be connected later. */
async function openStore(config: Config, log: Logger, metrics: Metrics | undefined): Promise<Store> {
  if (config.redis === undefined) return memoryStore()
  const redis = openRedis(config.redis, {
    onError: (err) => log.warn({ err }, 'redis'),
    onFailure: metrics?.onStoreFailure,
    onState: (state) => log[state === 'ok' ? 'info' : 'error']({ redis: state }, 'redis'),
  })
  metrics?.watchRedis(redis.state)
  const connecting = redis.connect().catch((err: unknown) => log.error({ err }, 'redis'))
  await Promise.race([connecting, wait(connectRedisMs)])
  return redisStore(redis)
}

/** Creates the parts of the app, which live as long as the process. (The parts of a face are in avatar/parts.ts.) */
export async function openParts(config: Config, log: Logger) {
  // prom-client is imported only if METRICS_PORT is set: loading it takes a tenth of the start-up time.
  const metrics = config.metricsPort === undefined ? undefined : (await import('./metrics.ts')).createMetrics()
  const store = await openStore(config, log, metrics)
  const cache = await openFileCache({
    folder: config.cacheDir,
    maxBytes: config.cacheMaxBytes,
    onError: (err) => log.warn({ err }, 'avatar cache'),
  })
  const capacity = capacityFor(availableMemoryMb())
  const renderers = createRenderers({
    ...capacity,
    program: new URL('renderer.ts', import.meta.url),
    onFailure: (err) => log.warn({ err }, 'renderer'),
    onState: (state, err) => log[state === 'ok' ? 'info' : 'error']({ pictures: state, err }, 'pictures'),
  })
  const timeoutMs = config.upstreamTimeoutMs
  // Discord prescribes the format (https://discord.com/developers/docs/reference#user-agent). In the demo a random part
  // distinguishes the app's own calls to the stand-ins from those of other clients.
  const userAgent = `DiscordBot (${config.baseUrl}, ${packageJson.version})${config.demo ? ` ${randomUUID()}` : ''}`
  const callOptions = {
    timeoutMs,
    connections: createConnections(config.proxyEnv),
    userAgent,
    onCall: metrics?.onCall,
    onBreaker(change: BreakerChange) {
      log.warn(change, 'breaker')
      metrics?.onBreaker(change)
    },
  }
  // How long a request waits for a lock whose owner makes this many upstream calls. It waits for longer than the TTL of
  // the lock, because the lock of a killed process is free only after that time.
  const lockWaitMs = (calls: number) => Math.max(calls * timeoutMs, lockTtlS * 1000) + marginMs
  const secrets = config.sessionSecrets
  const sealer = createSealer(secrets)
  const userSessions = createUserSessions({ store, secrets, log })
  const sessions = createSessions({ config, store, userSessions, log, waitMs: lockWaitMs(1) })
  const discord = createDiscord({
    ...config.discord,
    ...callOptions,
    redirectUri: `${config.baseUrl}/get_avatar`,
    limits: createDiscordLimits(store),
  })
  return {
    config,
    log,
    /** Aborted when the process begins to shut down. */
    closing: new AbortController(),
    metrics,
    store,
    sessions,
    /** How long a visitor waits at most for Discord and DiceBear together, in milliseconds. */
    visitTimeoutMs: timeoutMs + marginMs,
    cache,
    renderers,
    capacity,
    /** The `User-Agent` of the app's own requests. */
    userAgent,
    states: createStates({
      store,
      sealer,
      log,
      // A callback may take three upstream timeouts, for its calls and for two locks.
      waitMs: lockWaitMs(3),
      isLimited: config.rateLimit,
      onStart: metrics?.onSignInStart,
      onEnd: metrics?.onSignInEnd,
    }),
    discord,
    accounts: createAccounts({ discord, sessions, sealer, secrets, log, upstreamTimeoutMs: timeoutMs }),
    avatars: createAvatars({
      askDiceBear:
        config.dicebearUrl === undefined
          ? undefined
          : createDiceBear({ ...callOptions, url: config.dicebearUrl, check: renderers.check }),
      cache,
      onRead: (found) => metrics?.onCache('file', found),
      onFallback(err) {
        const level = err instanceof DiceBearRefused ? 'error' : 'warn'
        log[level]({ err }, 'drawn here instead of at DiceBear')
        metrics?.onFallback(err)
      },
    }),
    async close() {
      callOptions.connections.close()
      renderers.close()
      await Promise.all([cache.close(), store.close()])
    },
  }
}
export type Parts = Awaited<ReturnType<typeof openParts>>

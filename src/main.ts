import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { Router } from 'express'
import { type Logger, pino } from 'pino'
import { createApp } from './app.ts'
import { type Config, readConfig } from './config.ts'
import { readEnvFile } from './env-file.ts'
import { logSerializers } from './log.ts'
import { answerBadRequest } from './pages/bad-request.ts'
import { openParts, type Parts } from './parts.ts'

/** After SIGTERM connections are still accepted for this long, so that load balancers notice the 503 of /readyz. */
const drainMs = 1000
/** Connections still open this long after SIGTERM are closed. The contract allows 10 s for the shutdown. */
const closeMs = 9000
/** A second signal within this time is ignored: at Ctrl-C the terminal and npm send one each. */
const sameSignalMs = 1000

function readSettings(): Config {
  const config = readConfig({ ...readEnvFile('.env'), ...process.env })
  if (!config.demo) return config
  // In the demo the app calls stand-ins of Discord and DiceBear over HTTP, with the same clients as the real servers.
  const standInsUrl = `${ownOrigin(config)}/demo`
  return {
    ...config,
    discord: {
      ...config.discord,
      apiUrl: `${standInsUrl}/discord/api/v10`,
      authorizeUrl: `${config.baseUrl}/demo/discord/oauth2/authorize`,
      cdnUrl: `${config.baseUrl}/demo/discord/cdn`,
    },
    dicebearUrl: config.dicebearUrl && `${standInsUrl}/dicebear/10.x`,
  }
}

/** The origin at which this process can call itself. */
function ownOrigin({ host, port }: Config): string {
  const address = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host
  return `http://${isIPv6(address) ? `[${address}]` : address}:${port}`
}

/** The demo's Discord and DiceBear. They are imported here, so that only the demo loads them. */
async function createStandIns(config: Config): Promise<Router> {
  const { standInDiscord } = await import('./demo/discord.ts')
  const { standInDiceBear } = await import('./demo/dicebear.ts')
  const { clientId, clientSecret } = config.discord
  const discord = standInDiscord({ clientId, clientSecret, redirectUri: `${config.baseUrl}/get_avatar` })
  return Router().use('/discord', discord.router).use('/dicebear', standInDiceBear())
}

async function start(): Promise<void> {
  const config = readSettings()
  const log = pino({ level: config.logLevel, serializers: logSerializers })
  for (const warning of config.warnings) log.warn(warning)
  const parts = await openParts(config, log)
  const server = createAppServer(parts, config.demo ? await createStandIns(config) : undefined)
  if (parts.metrics) {
    const { metricsPage } = await import('./metrics.ts')
    const metrics = createServer(metricsPage(parts.metrics)).unref()
    metrics.on('error', cannotListen(`HOST=${config.host}, METRICS_PORT=${config.metricsPort}`))
    metrics.listen(config.metricsPort, config.host)
  }
  server.on('error', cannotListen(`HOST=${config.host}, PORT=${config.port}`))
  server.listen(config.port, config.host, () => {
    log.info({ address: config.baseUrl, demo: config.demo }, 'listening')
    notifyWatchdog(log)
    void parts.renderers.picturesState() // an error is logged now, not only at a visitor's first picture
    // In production standard error is collected as a log, whose lines must be JSON.
    if (config.production && !process.stderr.isTTY) return
    process.stderr.write(
      `Open ${config.baseUrl} in a browser${config.demo ? ' (demo: no Discord, no DiceBear)' : ''}\n`,
    )
  })
  const closeServer = gracefulClose(server)
  closeOnSignal(log, async () => {
    parts.closing.abort()
    await closeServer()
    await parts.close()
  })
}

/**
 * Tells systemd, twice in each WatchdogSec, that the event loop runs. Without this message systemd restarts the
 * process. systemd's own program sends the message, because Node does not support datagrams on Unix sockets.
 * https://www.freedesktop.org/software/systemd/man/sd_notify
 */
function notifyWatchdog(log: Logger): void {
  const intervalMs = Number(process.env.WATCHDOG_USEC) / 1000 / 2
  if (!(intervalMs > 0)) return
  setInterval(() => {
    execFile('systemd-notify', ['WATCHDOG=1'], (err) => err && log.warn({ err }, 'watchdog'))
  }, intervalMs).unref()
}

function createAppServer(parts: Parts, standIns: Router | undefined): Server {
  const app = createApp(parts, standIns)
  // The app itself refuses requests without a Host header.
  const server = createServer({ connectionsCheckingInterval: 5000, requireHostHeader: false }, app)
  // Without this listener Node would answer an unknown Expect header with 417, without our headers (SECURITY.md, H8).
  // The header may be ignored (RFC 9110, 10.1.1).
  server.on('checkExpectation', app)
  server.on('clientError', answerBadRequest(parts))
  // Proxies close idle connections after 60 s. This server waits longer, so that no proxy sends a request on a
  // connection that the server is closing (SECURITY.md, U5).
  server.keepAliveTimeout = 65_000
  // Limits for slow clients (SECURITY.md, U4). Node checks them every `connectionsCheckingInterval`.
  server.headersTimeout = 10_000
  server.requestTimeout = 15_000
  // Idle timeout of a socket. It runs while a response waits for Discord, so it exceeds all upstream timeouts.
  server.timeout = Math.max(20_000, 4 * parts.config.upstreamTimeoutMs)
  return server
}

/** Returns a function that stops accepting connections, and resolves when all connections are closed. */
function gracefulClose(server: Server): () => Promise<void> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return async () => {
    await wait(drainMs)
    const closed = once(server, 'close')
    server.close()
    // server.close() closes idle connections, but not those that a browser has opened in advance and never used.
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
    setTimeout(() => server.closeAllConnections(), closeMs - drainMs).unref()
    await closed
  }
}

/** A signal (exit code 0) or uncaught error (1) shuts down gracefully. A second signal (1) ends the process at once. */
function closeOnSignal(log: Logger, close: () => Promise<void>): void {
  let closingSince: number | undefined
  let exitCode = 0

  function end(): void {
    closingSince = performance.now()
    log.info('closing')
    close().then(
      () => process.exit(exitCode),
      (err: unknown) => {
        log.fatal({ err }, 'not closed')
        process.exit(1)
      },
    )
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (closingSince === undefined) return end()
      if (performance.now() - closingSince > sameSignalMs) process.exit(1)
    })
  }
  // Unhandled rejections end here, too, because Node raises them as uncaught exceptions.
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'uncaught')
    exitCode = 1
    if (closingSince === undefined) end()
  })
}

const cannotListen = (settings: string) => (error: Error) => fail(`Cannot listen at ${settings}: ${error.message}`)

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

start().catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)))

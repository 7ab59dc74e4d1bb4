import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { Router } from 'express'
import { type Logger, pino } from 'pino'
import { createApp } from './app.ts'
import { type Config, readConfig } from './config.ts'
import { standInDiceBear } from './demo/dicebear.ts'
import { standInDiscord } from './demo/discord.ts'
import { logSerializers } from './log.ts'
import { metricsPage } from './metrics.ts'
import { openParts } from './parts.ts'

/** Open requests get this long to finish after SIGTERM. */
const closingMs = 9000
/** How often connections without a request are dropped meanwhile; late enough for one that is on its way. */
const idleClosingMs = 500

function settings(): Config {
  if (existsSync('.env')) process.loadEnvFile('.env')
  const config = readConfig(process.env)
  if (!config.demo) return config
  // The stand-ins are other addresses, not other code.
  const here = `http://${config.host.includes(':') ? `[${ownAddress(config)}]` : ownAddress(config)}:${config.port}/demo`
  return {
    ...config,
    discord: {
      ...config.discord,
      apiUrl: `${here}/discord/api/v10`,
      authorizeUrl: `${config.baseUrl}/demo/discord/oauth2/authorize`,
      cdnUrl: `${config.baseUrl}/demo/discord/cdn`,
    },
    dicebearUrl: config.dicebearUrl && `${here}/dicebear/10.x`,
  }
}

const ownAddress = ({ host }: Config) => ({ '0.0.0.0': '127.0.0.1', '::': '::1' })[host] ?? host

function standIns(config: Config): Router {
  const { clientId, clientSecret } = config.discord
  const discord = standInDiscord({ clientId, clientSecret, redirectUri: `${config.baseUrl}/get_avatar` })
  return Router().use('/discord', discord.router).use('/dicebear', standInDiceBear())
}

async function start(): Promise<void> {
  const config = settings()
  const log = pino({ level: config.logLevel, serializers: logSerializers })
  const parts = await openParts(config, log)
  const app = createApp(parts, config.demo ? standIns(config) : undefined)
  const server = createServer({ connectionsCheckingInterval: 5000 }, app)
  // Longer than a proxy's 60 s, so that it never writes into a connection that we have just closed.
  server.keepAliveTimeout = 65_000
  server.headersTimeout = 10_000
  server.requestTimeout = 15_000
  // A socket that says nothing; while we wait for the outside it has a reason to.
  server.timeout = Math.max(20_000, 4 * config.upstreamTimeoutMs)
  if (parts.metrics) {
    const metrics = createServer(metricsPage(parts.metrics)).unref()
    metrics.on('error', (error) => fail(`Cannot listen at ${config.host}:${config.metricsPort}: ${error.message}`))
    metrics.listen(config.metricsPort, config.host)
  }
  server.on('error', (error) => fail(`Cannot listen at ${config.host}:${config.port}: ${error.message}`))
  server.listen(config.port, config.host, () => {
    log.info({ address: config.baseUrl, demo: config.demo }, 'listening')
    process.stderr.write(
      `Open ${config.baseUrl} in a browser${config.demo ? ' (demo: no Discord, no DiceBear)' : ''}\n`,
    )
  })
  const dropIdle = idleConnections(server)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => close(server, dropIdle, parts, log))
  }
}

/** Drops the connections that wait for a request: browsers open some in advance and never say a word on them. */
function idleConnections(server: Server): () => void {
  const idle = new Set<Socket>()
  server.on('connection', (socket) => {
    idle.add(socket)
    socket.once('close', () => idle.delete(socket))
  })
  server.on('request', ({ socket }, res) => {
    idle.delete(socket)
    res.once('close', () => !socket.destroyed && idle.add(socket))
  })
  return () => {
    for (const socket of idle) socket.destroy()
  }
}

/** Takes no new visitors, lets the present ones finish, and ends. */
function close(server: Server, dropIdle: () => void, parts: { close(): Promise<void> }, log: Logger): void {
  log.info('closing')
  setInterval(dropIdle, idleClosingMs).unref()
  setTimeout(() => server.closeAllConnections(), closingMs).unref()
  server.close(async () => {
    await parts.close()
    process.exit(0)
  })
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

start().catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)))

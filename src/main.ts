import { existsSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { Router } from 'express'
import { type Logger, pino } from 'pino'
import { createApp } from './app.ts'
import { type Config, readConfig } from './config.ts'
import { logSerializers } from './log.ts'
import { isTooLong } from './middleware/form-body.ts'
import { unreadable } from './pages/bad-request.ts'
import { openParts } from './parts.ts'

/** New connections are still taken for so long after SIGTERM: who is on the way arrives, while /readyz says no already. */
const lastCallMs = 200
/** Then a connection is dropped that has been without a request for so long; our proxies let go of theirs after 2 s. */
const idleMs = 3000
/** Open requests get this long to finish after SIGTERM. */
const closingMs = 9000
/** npm repeats a signal that the process has had already; one that comes later is from somebody who will not wait. */
const sameSignalMs = 1000

// V8 puts what a line of code makes straight among the old objects, once many of its kind have outlived a collection
// (pretenuring). For what a request makes that is wrong: it is dead soon, and until the next slow collection it keeps alive
// all that it refers to. Collections took 13 ms instead of 5.
setFlagsFromString('--no-allocation-site-pretenuring')

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

/** Imported by the demo alone. */
async function standIns(config: Config): Promise<Router> {
  const { standInDiscord } = await import('./demo/discord.ts')
  const { standInDiceBear } = await import('./demo/dicebear.ts')
  const { clientId, clientSecret } = config.discord
  const discord = standInDiscord({ clientId, clientSecret, redirectUri: `${config.baseUrl}/get_avatar` })
  return Router().use('/discord', discord.router).use('/dicebear', standInDiceBear())
}

async function start(): Promise<void> {
  const config = settings()
  const log = pino({ level: config.logLevel, serializers: logSerializers })
  const parts = await openParts(config, log)
  const app = createApp(parts, config.demo ? await standIns(config) : undefined)
  const server = createServer({ connectionsCheckingInterval: 5000 })
  const letGo = letsGo(server)
  server.on('request', app)
  // Expectations that we don't know are passed over, RFC 9110, 10.1.1; Node's own refusal is none of our pages.
  server.on('checkExpectation', (req, res) => server.emit('request', req, res))
  // Node would say "100 Continue" whatever the length; what is too long need not be sent to be refused.
  server.on('checkContinue', (req, res) => {
    if (!isTooLong(req)) res.writeContinue()
    server.emit('request', req, res)
  })
  server.on('clientError', unreadable(parts))
  // Longer than a proxy's 60 s, so that it never writes into a connection that we have just closed.
  server.keepAliveTimeout = 65_000
  server.headersTimeout = 10_000
  server.requestTimeout = 15_000
  // A socket that says nothing; while we wait for the outside it has a reason to.
  server.timeout = Math.max(20_000, 4 * config.upstreamTimeoutMs)
  if (parts.metrics) {
    const { metricsPage } = await import('./metrics.ts')
    const metrics = createServer(metricsPage(parts.metrics)).unref()
    metrics.on('error', cannotListen(`HOST=${config.host}, METRICS_PORT=${config.metricsPort}`))
    metrics.listen(config.metricsPort, config.host)
  }
  server.on('error', cannotListen(`HOST=${config.host}, PORT=${config.port}`))
  server.listen(config.port, config.host, () => {
    log.info({ address: config.baseUrl, demo: config.demo }, 'listening')
    process.stderr.write(
      `Open ${config.baseUrl} in a browser${config.demo ? ' (demo: no Discord, no DiceBear)' : ''}\n`,
    )
  })
  endsWell(log, async () => {
    parts.closing.abort()
    await letGo()
    await parts.close()
  })
}

/**
 * Closes the server so that nothing sent to it is lost. Every answer from now on ends its connection; one without a
 * request stays long enough for the other side to use it or to let go of it, because what is written just as we drop it
 * would go unanswered. Resolves when the last connection is gone.
 */
function letsGo(server: Server): () => Promise<void> {
  // By connection, not by request: what a Set loses in each moment, V8's quick collections keep alive until the next slow
  // one, and with a response all that its request has made.
  const connections = new Map<Socket, { answering: ServerResponse | undefined; idleSince: number }>()
  let isLast = false

  server.on('connection', (socket) => {
    // Browsers open some in advance and never say a word on them.
    connections.set(socket, { answering: undefined, idleSince: performance.now() })
    socket.once('close', () => connections.delete(socket))
  })
  server.on('request', ({ socket }, res) => {
    const connection = connections.get(socket)
    if (connection) connection.answering = res
    if (isLast) res.setHeader('Connection', 'close')
    res.once('close', () => {
      if (connection?.answering !== res) return
      connection.answering = undefined
      connection.idleSince = performance.now()
    })
  })

  function dropIdle(): void {
    for (const [socket, { answering, idleSince }] of connections) {
      if (!answering && performance.now() - idleSince > idleMs) socket.destroy()
    }
  }

  return () => {
    isLast = true
    for (const { answering } of connections.values()) {
      if (answering?.headersSent === false) answering.setHeader('Connection', 'close')
    }
    setInterval(dropIdle, lastCallMs).unref()
    setTimeout(() => server.closeAllConnections(), closingMs).unref()
    return new Promise((resolve) => {
      // Right after the connections that wait have been taken. The http server's own close() would drop the idle ones.
      const stopListening = () => NetServer.prototype.close.call(server, () => resolve())
      setTimeout(() => setImmediate(stopListening), lastCallMs)
    })
  }
}

/** SIGTERM and SIGINT end the process with 0, a second one at once; an error that nobody caught ends it with 1. */
function endsWell(log: Logger, close: () => Promise<void>): void {
  let since: number | undefined
  let exitCode = 0

  function end(): void {
    since = performance.now()
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
      if (since === undefined) return end()
      if (performance.now() - since > sameSignalMs) process.exit(1)
    })
  }
  // Promises too: Node makes a rejection that nobody handles an exception.
  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'uncaught')
    exitCode = 1
    if (since === undefined) end()
  })
}

const cannotListen = (settings: string) => (error: Error) => fail(`Cannot listen at ${settings}: ${error.message}`)

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

start().catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)))

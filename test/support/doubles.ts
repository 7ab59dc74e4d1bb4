import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import express, { type RequestHandler } from 'express'
import { standInDiceBear } from '../../src/demo/dicebear.ts'
import { type DiscordOptions, standInDiscord } from '../../src/demo/discord.ts'
import { PlainConsentPage } from './consent.ts'
import { type Body, type Fault, faults } from './faults.ts'
import { checkAuthorizeUrl, strictDiscord } from './strict-discord.ts'

/** A request that a double received. */
export type Call = {
  method: string
  /** The path without the query. */
  path: string
  query: URLSearchParams
  headers: IncomingHttpHeaders
  body: string
  /** The connection on which the request came. */
  socket: Socket
  /** When the headers of the request had arrived, by Date.now(). */
  at: number
  /** The body of the response, if it was JSON, such as the tokens or the user. */
  answer?: unknown
}

type PlannedFault = { path: string | RegExp; fault: Fault; timesLeft: number }

/** Starts a server on loopback around a stand-in. It logs the requests, and fails when a test tells it to. */
async function openDouble(...standIn: RequestHandler[]) {
  const calls: Call[] = []
  const callOf = new WeakMap<IncomingMessage, Call>()
  const plannedFaults: PlannedFault[] = []
  const delays: { path: string | RegExp; ms: number }[] = []

  const log: RequestHandler = (req, res, next) => {
    const { method, path, headers } = req
    const query = new URLSearchParams(req.url.split('?').slice(1).join('?'))
    const call: Call = { method, path, query, headers, body: '', socket: req.socket, at: Date.now() }
    calls.push(call)
    callOf.set(req, call)
    const sendJson = res.json.bind(res)
    res.json = (answer) => {
      call.answer = answer
      return sendJson(answer)
    }
    next()
  }

  // The body is read before any fault, so that the log has it. The stand-in does not read it again.
  const verify = (req: IncomingMessage, _res: unknown, bytes: Buffer) => {
    const call = callOf.get(req)
    if (call) call.body = bytes.toString('utf8')
  }
  const readBody: RequestHandler[] = [
    express.urlencoded({ extended: false, limit: '1mb', verify }),
    express.text({ type: () => true, limit: '1mb', verify }),
  ]

  const fail: RequestHandler = async (req, res, next) => {
    const delayMs = delays.find(({ path }) => matches(path, req.path))?.ms ?? 0
    if (delayMs > 0) await wait(delayMs, undefined, { ref: false })
    const planned = plannedFaults.find(({ path, timesLeft }) => timesLeft > 0 && matches(path, req.path))
    if (planned === undefined) return next()
    planned.timesLeft -= 1
    await planned.fault(req, res)
  }

  const app = express()
  app.disable('x-powered-by')
  app.set('view', PlainConsentPage)
  app.use(log, ...readBody, fail, ...standIn)
  const server = createServer(app)
  const port = await listen(server, 0)

  return {
    url: `http://127.0.0.1:${port}`,
    calls,

    /** Returns the number of requests to a path. */
    count(path: string | RegExp, method?: string): number {
      return calls.filter((call) => matches(path, call.path) && (method ?? call.method) === call.method).length
    },

    /**
     * Lets the next `times` requests to the path fail, or all until `heal`. Faults that were added earlier come first.
     */
    fail(path: string | RegExp, fault: Fault, { times = Number.POSITIVE_INFINITY } = {}): void {
      plannedFaults.push({ path, fault, timesLeft: times })
    },

    /** Ends the faults and delays of a path, or of all paths. */
    heal(path?: string | RegExp): void {
      const others = <Kept extends { path: string | RegExp }>(kept: Kept[]) =>
        path === undefined ? [] : kept.filter((one) => String(one.path) !== String(path))
      plannedFaults.splice(0, plannedFaults.length, ...others(plannedFaults))
      delays.splice(0, delays.length, ...others(delays))
    },

    /** Delays each response at the path. */
    delay(path: string | RegExp, ms: number): void {
      delays.unshift({ path, ms })
    },

    /** Returns the number of open connections. */
    connections: () =>
      new Promise<number>((resolve, reject) => {
        server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
      }),

    /** Closes all connections and refuses new ones until `accept`. */
    refuse: () => shutDown(server),

    /** Listens again at the same port. */
    async accept(): Promise<void> {
      await listen(server, port)
    },

    /** Closes the server and all connections at once. */
    close: () => shutDown(server),
  }
}

function matches(wanted: string | RegExp, path: string): boolean {
  return typeof wanted === 'string' ? wanted === path : wanted.test(path)
}

/** Listens on loopback. Returns the port. */
export async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    })
  })
  const address: AddressInfo | string | null = server.address()
  if (address === null || typeof address === 'string') throw new Error('The double has no port')
  return address.port
}

/** Closes a server and all its connections. */
export async function shutDown(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  await closed
}

/** Paths of the doubles, for `fail`, `delay` and `count`. */
export const at = {
  authorize: '/oauth2/authorize',
  token: '/api/v10/oauth2/token',
  revoke: '/api/v10/oauth2/token/revoke',
  user: '/api/v10/users/@me',
  svg: /^\/10\.x\/[^/]+\/svg$/,
}

/** Starts a Discord on loopback that is as strict as the real one: the demo's stand-in with a log and faults. */
export async function openDiscord(options: DiscordOptions) {
  /** The `expires_in` of token responses, which a test may change. */
  const life = { tokenLifeS: 604_800 }
  const standIn = standInDiscord(options)
  const setLifetime: RequestHandler = (_req, res, next) => {
    const sendJson = res.json.bind(res)
    res.json = (body) => sendJson(body?.expires_in ? { ...body, expires_in: life.tokenLifeS } : body)
    next()
  }
  const double = await openDouble(strictDiscord(options), setLifetime, standIn.router)
  return Object.assign(life, double, {
    authorizeUrl: `${double.url}${at.authorize}`,
    apiUrl: `${double.url}/api/v10`,
    cdnUrl: `${double.url}/cdn`,
    accounts: standIn.accounts,

    /** Returns the callback address as if the visitor had agreed at this authorize address, without a request. */
    codeFor(authorizeUrl: string, accountId = standIn.accounts[0]?.id ?? ''): string {
      checkAuthorizeUrl(authorizeUrl, options)
      return standIn.agree(authorizeUrl, accountId)
    },

    /** Revokes all tokens of an account, as Discord does when a user removes the app in the settings. */
    deauthorize: standIn.revokeAll,
  })
}
export type DiscordDouble = Awaited<ReturnType<typeof openDiscord>>

/** Starts a DiceBear on loopback: the demo's stand-in with a log and faults. */
export async function openDiceBear() {
  const double = await openDouble(standInDiceBear())
  return Object.assign(double, {
    /** The value for the setting DICEBEAR_URL. */
    apiUrl: `${double.url}/10.x`,

    /** Sends this body in every response until `heal`. */
    replaceSvg(svg: Body, type = 'image/svg+xml'): void {
      double.heal(at.svg)
      double.fail(at.svg, faults.answer(200, svg, { 'content-type': type }))
    },
  })
}
export type DiceBearDouble = Awaited<ReturnType<typeof openDiceBear>>

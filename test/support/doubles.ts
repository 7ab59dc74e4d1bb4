import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import ejs from 'ejs'
import express, { type Request, type RequestHandler, type Response } from 'express'
import { standInDiceBear } from '../../src/demo/dicebear.ts'
import { type DiscordOptions, standInDiscord } from '../../src/demo/discord.ts'
import { checkAuthorizeUrl, strictDiscord } from './strict-discord.ts'

/** One request that a double was sent. */
export type Call = {
  method: string
  /** Without the query. */
  path: string
  query: URLSearchParams
  headers: IncomingHttpHeaders
  body: string
  /** The connection that it came on. */
  socket: Socket
  /** Date.now() when its head was there. */
  at: number
  /** What the double answered, where that was JSON: the tokens, the user. */
  answer?: unknown
}

/** Answers in place of the stand-in, or never does. */
export type Fault = (req: Request, res: Response) => unknown

type Headers = Record<string, string>
type Body = string | Buffer

const json = { 'content-type': 'application/json' }
const tokensCutShort = '{"token_type":"Bearer","access_token":"'

/** The ways in which the outside can go wrong; each gives a Fault. */
export const faults = {
  /** Any status, headers and body. */
  answer:
    (status: number, body: Body = '', headers: Headers = {}): Fault =>
    (_req, res) =>
      res.writeHead(status, headers).end(body),

  /** Any status with a body as JSON. */
  json:
    (status: number, body: unknown, headers: Headers = {}): Fault =>
    (_req, res) =>
      res.writeHead(status, { ...json, ...headers }).end(JSON.stringify(body)),

  /** Discord's 429. With no `retryAfterS` it names no time at all. */
  busy: (retryAfterS?: number, { global = false, header = true } = {}): Fault => {
    const body = { message: 'You are being rate limited.', global }
    if (retryAfterS === undefined) return faults.json(429, body)
    const headers: Headers = header ? { 'retry-after': String(Math.ceil(retryAfterS)) } : {}
    return faults.json(429, { ...body, retry_after: retryAfterS }, headers)
  },

  /** Cloudflare's 429: no header, no JSON. */
  busyInPlainText: (): Fault => faults.answer(429, 'error code: 1015', { 'content-type': 'text/plain; charset=UTF-8' }),

  /** Takes the request and never says a word. */
  silent: (): Fault => () => undefined,

  /** A head at once, then a byte every `everyMs`, without end. */
  drip:
    (headers: Headers = json, everyMs = 1000): Fault =>
    (_req, res) => {
      res.writeHead(200, headers).flushHeaders()
      const dripping = setInterval(() => res.write(' '), everyMs)
      res.on('close', () => clearInterval(dripping))
    },

  /** A head and half a body, then the connection is reset. */
  reset:
    (half: Body = tokensCutShort, headers: Headers = json): Fault =>
    (req, res) => {
      res.writeHead(200, headers).write(half, () => req.socket.resetAndDestroy())
    },

  /** Promises more bytes than it sends, and ends the connection in an orderly way. */
  truncated:
    (half: Body = tokensCutShort, headers: Headers = json): Fault =>
    (req, res) => {
      res.writeHead(200, { ...headers, 'content-length': String(Buffer.byteLength(half) + 100) })
      res.write(half, () => req.socket.end())
    },

  /** Ends as if whole, and is no JSON. */
  malformed: (): Fault => faults.answer(200, tokensCutShort, json),

  wrongType: (body: Body = '<!doctype html><title>Just a moment…</title>', type = 'text/html'): Fault =>
    faults.answer(200, body, { 'content-type': type }),

  /** As many bytes as told, as fast as they are taken. */
  huge:
    (bytes = 50 * 1024 * 1024, headers: Headers = json): Fault =>
    (_req, res) => {
      res.writeHead(200, headers)
      Readable.from(spaces(bytes)).pipe(res)
    },

  /** Ends in the middle as if that were the end: no length told, and the connection closed in an orderly way. */
  cut:
    (half: Body = tokensCutShort, headers: Headers = json): Fault =>
    (req) => {
      const lines = Object.entries({ ...headers, connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`)
      req.socket.end(`HTTP/1.1 200 OK\r\n${lines.join('')}\r\n${half}`)
    },

  /** A small answer that decodes to as many zeros as told. */
  bomb: (bytes = 50 * 1024 * 1024, headers: Headers = json): Fault =>
    faults.answer(200, gzipped(bytes), { ...headers, 'content-encoding': 'gzip' }),

  redirect: (to: string, status = 302): Fault => faults.answer(status, '', { location: to }),
}

const gzippedBefore = new Map<number, Buffer>()

function gzipped(bytes: number): Buffer {
  const body = gzippedBefore.get(bytes) ?? gzipSync(Buffer.alloc(bytes))
  gzippedBefore.set(bytes, body)
  return body
}

function* spaces(bytes: number): Generator<Buffer> {
  const part = Buffer.alloc(64 * 1024, ' ')
  for (let sent = 0; sent < bytes; sent += part.length) yield part.subarray(0, bytes - sent)
}

type Trouble = { path: string | RegExp; fault: Fault; left: number }

/** A real server on loopback around a stand-in: it keeps a log of what it was sent, and misbehaves when told to. */
async function openDouble(...standIn: RequestHandler[]) {
  const calls: Call[] = []
  const callOf = new WeakMap<IncomingMessage, Call>()
  const troubles: Trouble[] = []
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

  // Read here, so that the log has it even when nobody answers; what is parsed already, the stand-in does not parse again.
  const verify = (req: IncomingMessage, _res: unknown, bytes: Buffer) => {
    const call = callOf.get(req)
    if (call) call.body = bytes.toString('utf8')
  }
  const readBody: RequestHandler[] = [
    express.urlencoded({ extended: false, limit: '1mb', verify }),
    express.text({ type: () => true, limit: '1mb', verify }),
  ]

  const misbehave: RequestHandler = async (req, res, next) => {
    const delayMs = delays.find(({ path }) => matches(path, req.path))?.ms ?? 0
    if (delayMs > 0) await wait(delayMs, undefined, { ref: false })
    const trouble = troubles.find(({ path, left }) => left > 0 && matches(path, req.path))
    if (trouble === undefined) return next()
    trouble.left -= 1
    await trouble.fault(req, res)
  }

  const app = express()
  app.disable('x-powered-by')
  app.set('view', PlainConsent)
  app.use(log, ...readBody, misbehave, ...standIn)
  const server = createServer(app)
  const port = await listen(server, 0)

  return {
    url: `http://127.0.0.1:${port}`,
    calls,

    /** How often a path was asked for. */
    count(path: string | RegExp, method?: string): number {
      return calls.filter((call) => matches(path, call.path) && (method ?? call.method) === call.method).length
    },

    /** From now on the path goes wrong in this way: for the next `times` calls, or until `heal`. First come, first served. */
    fail(path: string | RegExp, fault: Fault, { times = Number.POSITIVE_INFINITY } = {}): void {
      troubles.push({ path, fault, left: times })
    },

    /** No more faults or delays, at this path or anywhere. */
    heal(path?: string | RegExp): void {
      const others = <Kept extends { path: string | RegExp }>(kept: Kept[]) =>
        path === undefined ? [] : kept.filter((one) => String(one.path) !== String(path))
      troubles.splice(0, troubles.length, ...others(troubles))
      delays.splice(0, delays.length, ...others(delays))
    },

    /** Each answer at the path waits this long. */
    delay(path: string | RegExp, ms: number): void {
      delays.unshift({ path, ms })
    },

    /** How many connections are open. */
    connections: () =>
      new Promise<number>((resolve, reject) => {
        server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
      }),

    /** Nobody listens any more, and open connections are cut: connections are refused until `accept`. */
    refuse: () => shut(server),

    /** Listens again, at the same port. */
    async accept(): Promise<void> {
      await listen(server, port)
    },

    /** Ends at once, whatever is still open. */
    close: () => shut(server),
  }
}

function matches(wanted: string | RegExp, path: string): boolean {
  return typeof wanted === 'string' ? wanted === path : wanted.test(path)
}

async function listen(server: Server, port: number): Promise<number> {
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

async function shut(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  await closed
}

const consentPage = `<!doctype html><title><%= name %></title>
<form method="post" action="<%= action %>">
<% for (const { id, username, displayName, pictureUrl } of accounts) { %>
<label><input type="radio" name="account" value="<%= id %>"<% if (id === chosen) { %> checked<% } %>>
<img src="<%= pictureUrl %>" alt=""><%= displayName %> (<%= username %>)</label>
<% } %>
<button name="decision" value="agree">Agree</button>
<button name="decision" value="decline">Decline</button>
</form>`

/** Stands where Express looks for a view, so that a double needs none of the app's templates. */
class PlainConsent {
  readonly path = 'a page of the doubles'
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
  render(locals: Record<string, unknown>, done: (error: unknown, html?: string) => void): void {
    done(null, ejs.render(consentPage, { ...locals, name: this.name }))
  }
}

/** Where the doubles' addresses lie: for `fail`, `delay` and `count`. */
export const at = {
  authorize: '/oauth2/authorize',
  token: '/api/v10/oauth2/token',
  revoke: '/api/v10/oauth2/token/revoke',
  user: '/api/v10/users/@me',
  svg: /^\/10\.x\/[^/]+\/svg$/,
}

/** A Discord on loopback that is as strict as the real one: the demo's stand-in, with a log and faults. */
export async function openDiscord(options: DiscordOptions) {
  /** Seconds that each access token to come says it lives. */
  const life = { tokenLifeS: 604_800 }
  const standIn = standInDiscord(options)
  const shortenLife: RequestHandler = (_req, res, next) => {
    const sendJson = res.json.bind(res)
    res.json = (body) => sendJson(body?.expires_in ? { ...body, expires_in: life.tokenLifeS } : body)
    next()
  }
  const double = await openDouble(strictDiscord(options), shortenLife, standIn.router)
  return Object.assign(life, double, {
    authorizeUrl: `${double.url}${at.authorize}`,
    apiUrl: `${double.url}/api/v10`,
    cdnUrl: `${double.url}/cdn`,
    accounts: standIn.accounts,

    /** The callback address, as if the visitor had agreed at this authorize address: no page, no HTTP. */
    codeFor(authorizeUrl: string, accountId = standIn.accounts[0]?.id ?? ''): string {
      checkAuthorizeUrl(authorizeUrl, options)
      return standIn.agree(authorizeUrl, accountId)
    },

    /** The visitor removes the app in Discord's settings: all their tokens are dead. */
    deauthorize: standIn.revokeAll,
  })
}
export type DiscordDouble = Awaited<ReturnType<typeof openDiscord>>

/** A DiceBear on loopback: the stand-in, its log and its faults. */
export async function openDiceBear() {
  const double = await openDouble(standInDiceBear())
  return Object.assign(double, {
    /** Base address, as in the setting DICEBEAR_URL. */
    apiUrl: `${double.url}/10.x`,

    /** This in place of every SVG, until `heal`. */
    replaceSvg(svg: Body, type = 'image/svg+xml'): void {
      double.heal(at.svg)
      double.fail(at.svg, faults.answer(200, svg, { 'content-type': type }))
    },
  })
}
export type DiceBearDouble = Awaited<ReturnType<typeof openDiceBear>>

/** What a browser remembers of one stand-in: enough for its one cookie. */
export class CookieJar {
  readonly #cookies = new Map<string, { value: string; path: string }>()

  /** The Cookie header for an address, or undefined where there is none to send. */
  header(url: string | URL): string | undefined {
    const { host, pathname } = new URL(url)
    const mine = [...this.#cookies].filter(
      ([key, { path }]) => key.startsWith(`${host} `) && (path === '/' || `${pathname}/`.startsWith(`${path}/`)),
    )
    return mine.map(([key, { value }]) => `${key.slice(host.length + 1)}=${value}`).join('; ') || undefined
  }

  keep(url: string | URL, response: globalThis.Response): void {
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
      const [name = '', value = ''] = pair.split('=')
      const path = attributes.find((attribute) => /^path=/i.test(attribute))?.slice('path='.length) ?? '/'
      this.#cookies.set(`${new URL(url).host} ${name}`, { value, path })
    }
  }
}

export type Consent = {
  /** Account id; the one chosen on the page unless told. */
  account?: string
  decision?: 'agree' | 'decline'
  cookieJar?: CookieJar
}

/**
 * Walks the stand-in's page over HTTP, as a browser would, and gives the address that it sends the browser back to.
 * A jar that remembers an agreement passes without a page when the app asks for `prompt=none`.
 */
export async function agreeAtDiscord(authorizeUrl: string, consent: Consent = {}): Promise<string> {
  const { decision = 'agree', cookieJar = new CookieJar() } = consent
  const arrived = await visit(authorizeUrl, cookieJar)
  if (arrived.status === 302) return locationOf(arrived)
  if (arrived.status !== 200) throw await unexpected('authorize page', arrived)

  const page = await arrived.text()
  const form = new URLSearchParams({ account: consent.account ?? chosenAccount(page), decision })
  const action = new URL(attribute(/<form[^>]*\saction="([^"]*)"/, page), authorizeUrl)
  const left = await visit(action, cookieJar, form)
  if (left.status !== 303) throw await unexpected('consent form', left)
  return locationOf(left)
}

async function visit(url: string | URL, jar: CookieJar, form?: URLSearchParams): Promise<globalThis.Response> {
  const cookie = jar.header(url)
  const headers = { 'user-agent': 'Mozilla/5.0 (a test)', ...(cookie === undefined ? {} : { cookie }) }
  const request = form === undefined ? {} : { method: 'POST', body: form }
  const response = await fetch(url, { ...request, headers, redirect: 'manual' })
  jar.keep(url, response)
  return response
}

function locationOf(response: globalThis.Response): string {
  const location = response.headers.get('location')
  if (location === null) throw new Error('Discord redirects to nowhere')
  return location
}

async function unexpected(what: string, response: globalThis.Response): Promise<Error> {
  return new Error(`Discord's ${what} answered ${response.status}: ${await response.text()}`)
}

const chosenAccount = (page: string) => attribute(/<input[^>]*\sname="account"\svalue="([^"]*)"\s+checked/, page)

function attribute(pattern: RegExp, page: string): string {
  const value = pattern.exec(page)?.[1]
  if (value === undefined) throw new Error(`Discord's page has no ${pattern}`)
  return value.replaceAll('&#34;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&')
}

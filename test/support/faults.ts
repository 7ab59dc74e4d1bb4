import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import type { Request, Response } from 'express'

/** Answers a request in place of the stand-in, or does not answer at all. */
export type Fault = (req: Request, res: Response) => unknown

type Headers = Record<string, string>
export type Body = string | Buffer

const json = { 'content-type': 'application/json' }
const tokensCutShort = '{"token_type":"Bearer","access_token":"'

/** The ways in which a server fails. Each function returns a Fault. The defaults are for Discord's token endpoint. */
export const faults = {
  /** Answers with any status, headers and body. */
  answer:
    (status: number, body: Body = '', headers: Headers = {}): Fault =>
    (_req, res) =>
      res.writeHead(status, headers).end(body),

  /** Answers with any status and a JSON body. */
  json:
    (status: number, body: unknown, headers: Headers = {}): Fault =>
    (_req, res) =>
      res.writeHead(status, { ...json, ...headers }).end(JSON.stringify(body)),

  /** Answers with Discord's 429. Without `retryAfterS` it names no time. */
  rateLimited: (retryAfterS?: number, { global = false, header = true } = {}): Fault => {
    const body = { message: 'You are being rate limited.', global }
    if (retryAfterS === undefined) return faults.json(429, body)
    const headers: Headers = header ? { 'retry-after': String(Math.ceil(retryAfterS)) } : {}
    return faults.json(429, { ...body, retry_after: retryAfterS }, headers)
  },

  /** Answers with Cloudflare's 429, which has no Retry-After and no JSON. */
  rateLimitedInPlainText: (): Fault =>
    faults.answer(429, 'error code: 1015', { 'content-type': 'text/plain; charset=UTF-8' }),

  /** Accepts the request and never answers. */
  hang: (): Fault => () => undefined,

  /** Sends the headers at once, then a byte every `everyMs`, without end. */
  drip:
    (headers: Headers = json, everyMs = 1000): Fault =>
    (_req, res) => {
      res.writeHead(200, headers).flushHeaders()
      const dripping = setInterval(() => res.write(' '), everyMs)
      res.on('close', () => clearInterval(dripping))
    },

  /** Sends the headers and half a body, then resets the connection. */
  reset:
    (half: Body = tokensCutShort, headers: Headers = json): Fault =>
    (req, res) => {
      res.writeHead(200, headers).write(half, () => req.socket.resetAndDestroy())
    },

  /** Sends less than its Content-Length, then closes the connection. */
  truncated:
    (half: Body = tokensCutShort, headers: Headers = json): Fault =>
    (req, res) => {
      res.writeHead(200, { ...headers, 'content-length': String(Buffer.byteLength(half) + 100) })
      res.write(half, () => req.socket.end())
    },

  /** Sends half a body without a length and closes the connection, so that it looks complete to the client. */
  endedEarly:
    (half: Body = tokensCutShort, headers: Headers = json): Fault =>
    (req) => {
      const lines = Object.entries({ ...headers, connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`)
      req.socket.end(`HTTP/1.1 200 OK\r\n${lines.join('')}\r\n${half}`)
    },

  /** Sends a complete response whose body is not JSON. */
  malformed: (): Fault => faults.answer(200, tokensCutShort, json),

  wrongType: (body: Body = '<!doctype html><title>Just a moment…</title>', type = 'text/html'): Fault =>
    faults.answer(200, body, { 'content-type': type }),

  /** Sends a body of this many spaces. */
  huge:
    (bytes = 50 * 1024 * 1024, headers: Headers = json): Fault =>
    (_req, res) => {
      res.writeHead(200, headers)
      Readable.from(spaces(bytes)).pipe(res)
    },

  /** Sends a small gzip body that decodes to this many zeros. */
  gzipBomb: (bytes = 50 * 1024 * 1024, headers: Headers = json): Fault =>
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
  const chunk = Buffer.alloc(64 * 1024, ' ')
  for (let sent = 0; sent < bytes; sent += chunk.length) yield chunk.subarray(0, bytes - sent)
}

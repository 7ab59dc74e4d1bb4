import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import type { Request, Response } from 'express'

/** Answers a request instead of the stand-in, or does not answer at all. */
export type Fault = (req: Request, res: Response) => unknown

type Headers = Record<string, string>
export type Body = string | Buffer

const json = { 'content-type': 'application/json' }
const tokensCutShort = '{"token_type":"Bearer","access_token":"'

/** Ways in which a server fails. Each function returns a Fault; without arguments it suits Discord's token endpoint. */
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

  /** Discord's 429; without `retryAfterS` it names no time. */
  rateLimited: (retryAfterS?: number, { global = false, header = true } = {}): Fault => {
    const body = { message: 'You are being rate limited.', global }
    if (retryAfterS === undefined) return faults.json(429, body)
    const headers: Headers = header ? { 'retry-after': String(Math.ceil(retryAfterS)) } : {}
    return faults.json(429, { ...body, retry_after: retryAfterS }, headers)
  },

  /** Cloudflare's 429: no header, no JSON. */
  rateLimitedInPlainText: (): Fault =>
    faults.answer(429, 'error code: 1015', { 'content-type': 'text/plain; charset=UTF-8' }),

  /** Takes the request and never answers. */
  hang: (): Fault => () => undefined,

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

  /** Promises more bytes than it sends, then closes the connection. */
  truncated:
    (half: Body = tokensCutShort, headers: Headers = json): Fault =>
    (req, res) => {
      res.writeHead(200, { ...headers, 'content-length': String(Buffer.byteLength(half) + 100) })
      res.write(half, () => req.socket.end())
    },

  /** Half a body without a length, ended by closing the connection: to the client it looks complete. */
  endedEarly:
    (half: Body = tokensCutShort, headers: Headers = json): Fault =>
    (req) => {
      const lines = Object.entries({ ...headers, connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`)
      req.socket.end(`HTTP/1.1 200 OK\r\n${lines.join('')}\r\n${half}`)
    },

  /** A complete response whose body is no JSON. */
  malformed: (): Fault => faults.answer(200, tokensCutShort, json),

  wrongType: (body: Body = '<!doctype html><title>Just a moment…</title>', type = 'text/html'): Fault =>
    faults.answer(200, body, { 'content-type': type }),

  /** A body of this many spaces. */
  huge:
    (bytes = 50 * 1024 * 1024, headers: Headers = json): Fault =>
    (_req, res) => {
      res.writeHead(200, headers)
      Readable.from(spaces(bytes)).pipe(res)
    },

  /** A small body that decodes to this many zeros. */
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

import { STATUS_CODES } from 'node:http'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { Config } from '../config.ts'
import { lastOpenResponse } from '../middleware/pipelining.ts'
import type { Parts } from '../parts.ts'
import { viewRenderer } from './views.ts'
import { words } from './words.ts'

const view = join(import.meta.dirname, '../../views/bad-request.ejs')

const { invalidValues, headersTooLarge, tooLarge, requestTimeout } = words.errors

const malformed = { status: 400, texts: invalidValues }
/** The responses by the code of Node's error. All other codes mean a malformed request. */
const answers = new Map<unknown, typeof malformed>([
  ['ERR_HTTP_REQUEST_TIMEOUT', { status: 408, texts: requestTimeout }],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', { status: 413, texts: tooLarge }],
  ['HPE_HEADER_OVERFLOW', { status: 431, texts: headersTooLarge }],
])

/** The headers that SECURITY.md demands (H1 to H7), for a page that loads only a stylesheet and a picture. */
const headers = (config: Config) => ({
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'Cross-Origin-Embedder-Policy': 'credentialless',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'same-origin',
  ...(config.https && { 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' }),
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Cache-Control': 'no-store',
  Connection: 'close',
})

/** How long the socket stays open after the response. A client that is still sending would otherwise not get it. */
const lingerMs = 1000

/**
 * Returns a listener for 'clientError' (https://nodejs.org/api/http.html#event-clienterror). If Node cannot parse a
 * request, which then reaches no middleware, the listener sends an error page and closes the connection.
 */
export function answerBadRequest({ config, log, metrics }: Pick<Parts, 'config' | 'log' | 'metrics'>) {
  const render = viewRenderer()
  // The pages are rendered at the start, because an error in an event listener would end the process.
  const pages = new Map([malformed, ...answers.values()].map(({ status, texts }) => [status, page(texts)]))
  const head = Object.entries(headers(config))
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')

  function page(texts: typeof malformed.texts): string {
    return render(view, {
      ...texts,
      words,
      demo: config.demo,
      contact: config.contact,
      asset: (file: string) => `/${file}`,
    })
  }

  return function answer(error: Error, socket: Duplex): void {
    if (!socket.writable) {
      // The response has been sent already. Data that still arrives is discarded.
      if (!socket.writableEnded) socket.destroy()
      return
    }
    const open = lastOpenResponse(socket)
    if (open) {
      // The client expects the answers to earlier requests first. Meanwhile nothing more is read.
      socket.pause()
      open.once('close', () => answer(error, socket))
      return
    }
    const code = 'code' in error ? error.code : undefined
    const { status } = answers.get(code) ?? malformed
    // The error itself is not logged, because it contains what the client has sent, including cookies.
    log.info({ res: { statusCode: status }, code }, 'malformed request')
    metrics?.onBadRequest(status)
    const body = pages.get(status) ?? ''
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nDate: ${new Date().toUTCString()}\r\n${head}` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
    setTimeout(() => socket.destroy(), lingerMs).unref()
  }
}

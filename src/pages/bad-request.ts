import { ServerResponse, STATUS_CODES } from 'node:http'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { securityHeaders } from '../middleware/headers.ts'
import type { Parts } from '../parts.ts'
import { viewRenderer } from './views.ts'
import { words } from './words.ts'

const view = join(import.meta.dirname, '../../views/bad-request.ejs')

const said = words.errors

const broken = { status: 400, said: said.badValues }
/** By Node's code for what is wrong; whatever has another is broken. */
const known = new Map<unknown, typeof broken>([
  ['ERR_HTTP_REQUEST_TIMEOUT', { status: 408, said: said.tooSlow }],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', { status: 413, said: said.tooLarge }],
  ['HPE_HEADER_OVERFLOW', { status: 431, said: said.headTooLong }],
])

/** Who is still sending is listened to for so long: hung up on at once, a client drops what we have said unread. */
const lingerMs = 1000

/**
 * Answers what Node cannot read as a request, which is no request to the app then. A page with nothing of what came in it;
 * Node's own answers are a bare line.
 */
export function unreadable({ config, log, metrics }: Pick<Parts, 'config' | 'log' | 'metrics'>) {
  const render = viewRenderer()
  const headers = [
    ...securityHeaders(config),
    ['Cache-Control', 'no-store'],
    ['Content-Type', 'text/html; charset=utf-8'],
    ['Connection', 'close'],
  ].map(([name, value]) => `${name}: ${value}\r\n`)

  // All are made at the start: what fails in here later, such as a file that can't be read, ends the process.
  const pages = new Map([broken, ...known.values()].map(({ status, said }) => [status, pageOf(said)]))

  function pageOf(said: typeof broken.said): string {
    const page = render(view, { ...said, words, demo: config.demo, asset: (file: string) => `/${file}` })
    return `${headers.join('')}Content-Length: ${Buffer.byteLength(page)}\r\n\r\n${page}`
  }

  function answerTo(error: Error): string {
    const code = 'code' in error ? error.code : undefined
    const { status } = known.get(code) ?? broken
    // Not the error itself: it holds what was sent, cookies too.
    log.info({ res: { statusCode: status }, code }, 'request unreadable')
    metrics?.onUnreadable(status)
    return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nDate: ${new Date().toUTCString()}\r\n${pages.get(status)}`
  }

  return (error: Error, socket: Duplex): void => {
    // It has been told; what it goes on to send is thrown away.
    if (socket.writableEnded) return
    if (!socket.writable || isAnswering(socket)) {
      socket.destroy()
      return
    }
    socket.end(answerTo(error))
    setTimeout(() => socket.destroy(), lingerMs).unref()
  }
}

/** Whether an answer has begun on it, and ours would be taken for a part of that. Node looks there, too. */
function isAnswering(socket: Duplex): boolean {
  return '_httpMessage' in socket && socket._httpMessage instanceof ServerResponse && socket._httpMessage.headersSent
}

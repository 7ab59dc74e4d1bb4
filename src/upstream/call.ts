import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import https from 'node:https'
import { DeadlineExceeded, UpstreamTimeout, UpstreamUnavailable } from '../errors.ts'

export type UpstreamRequest = {
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: string
  /** When the complete response must have arrived, by `performance.now()`. One visit has one deadline. */
  deadline?: number | undefined
}

export type UpstreamResponse = { status: number; headers: IncomingHttpHeaders; body: Buffer }

/** The value of a header, or '' if there is none. */
export function headerOf({ headers }: Pick<UpstreamResponse, 'headers'>, name: string): string {
  return [headers[name] ?? []].flat().join(', ')
}

export type Connections = ReturnType<typeof createConnections>

/**
 * The HTTP agents of all upstream calls. Connections of `kept` stay open between requests; those of `single` are for
 * one request each. https calls are made through the proxy, if there is one.
 * https://nodejs.org/api/http.html#built-in-proxy-support
 */
export function createConnections(proxyEnv: http.ProxyEnv = {}) {
  const kept = agents({ proxyEnv, keepAlive: true, timeout: idleTimeoutMs })
  return {
    kept,
    single: agents({ proxyEnv, timeout: idleTimeoutMs }),
    close() {
      for (const agent of Object.values(kept)) agent.destroy()
    },
  }
}

function agents(options: https.AgentOptions) {
  return { 'http:': new http.Agent(options), 'https:': new https.Agent(options) }
}

/** Idle connections are closed after this time. Most servers wait longer, so few requests meet a closing connection. */
const idleTimeoutMs = 4000

export type CallOptions = {
  connections: Connections
  /** Time limit of the whole response, head and body. */
  timeoutMs: number
  maxBytes: number
}

/**
 * Makes one HTTP request and returns the complete response, whatever its status. Redirects are not followed. Throws
 * UpstreamTimeout or DeadlineExceeded when the time is up, and UpstreamUnavailable for every other failure.
 */
export async function call(url: URL, request: UpstreamRequest, options: CallOptions): Promise<UpstreamResponse> {
  const { connections, timeoutMs, maxBytes } = options
  const leftMs = (request.deadline ?? Infinity) - performance.now()
  if (leftMs <= 0) throw new DeadlineExceeded('no time left for a request')
  const timeout = new AbortController()
  const Timeout = leftMs < timeoutMs ? DeadlineExceeded : UpstreamTimeout
  const timer = setTimeout(() => timeout.abort(), Math.min(leftMs, timeoutMs))
  try {
    const response = await send(url, request, connections, timeout.signal)
    return await readResponse(response, maxBytes)
  } catch (cause) {
    if (timeout.signal.aborted) throw new Timeout('no complete response in time', { cause })
    if (cause instanceof UpstreamUnavailable) throw cause
    throw new UpstreamUnavailable('no complete response', { cause })
  } finally {
    clearTimeout(timer)
  }
}

/** The server closed a kept-alive connection while a request was sent on it, before any byte of the response. */
class StaleConnection extends Error {}

/**
 * Sends a request and resolves with the head of the response. If the connection was stale, the request is sent once
 * more on a new one. Node's http client is used, because fetch does not tell whether a connection was used before.
 * https://nodejs.org/api/http.html#requestreusedsocket
 */
async function send(url: URL, request: UpstreamRequest, connections: Connections, signal: AbortSignal) {
  const { kept, single } = connections
  const protocol = url.protocol === 'https:' ? 'https:' : 'http:'
  const open = protocol === 'https:' ? https.request : http.request
  const attempt = (agent: http.Agent) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const { method = 'GET', headers, body } = request
      const sent = open(url, { method, signal, agent, headers: { 'accept-encoding': 'identity', ...headers } })
      // Aborting destroys the request's socket, but there is none yet while a tunnel through the proxy is being made.
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      let bytesBefore = 0
      sent.on('socket', (socket) => {
        bytesBefore = socket.bytesRead
      })
      sent.on('response', resolve)
      sent.on('error', (cause) => {
        const isStale = sent.reusedSocket && sent.socket?.bytesRead === bytesBefore
        reject(isStale ? new StaleConnection('closed by the server', { cause }) : cause)
      })
      sent.end(body)
    })
  return attempt(kept[protocol]).catch((error) => {
    if (error instanceof StaleConnection) return attempt(single[protocol])
    throw error
  })
}

/** Responses with these statuses are used even if their body is incomplete, because only the status matters. */
const statusesThatNeedNoBody = new Set([401, 429])

async function readResponse(response: IncomingMessage, maxBytes: number): Promise<UpstreamResponse> {
  const { statusCode: status = 0, headers } = response
  const body = await readBody(response, maxBytes).catch((error) => {
    if (statusesThatNeedNoBody.has(status)) return Buffer.alloc(0)
    throw error
  })
  return { status, headers, body }
}

async function readBody(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const encoding = headerOf(response, 'content-encoding')
  if (!/^(identity)?$/i.test(encoding)) {
    response.destroy()
    // No compressed body was requested. It is refused, because 64 KiB of gzip can expand to 60 MiB.
    throw new UpstreamUnavailable(`content-encoding ${encoding.slice(0, 20)}`)
  }
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > maxBytes) throw new UpstreamUnavailable(`response over ${maxBytes} bytes`)
  }
  return Buffer.concat(chunks)
}

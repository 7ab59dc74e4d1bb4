import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { brotliDecompressSync, unzipSync } from 'node:zlib'

export type RawAnswer = { status: number; headers: Map<string, string[]>; body: Buffer }

/** A request that is sent unchanged: nothing is validated or encoded. Only Content-Length is added. */
export type RawRequest = { method: string; target: string; headers: [name: string, value: string][]; body?: string }

/** Opens keep-alive connections, each of which carries one request at a time. */
export function openLines(port: number, count: number) {
  const lines = Array.from({ length: count }, () => openLine(port))
  return {
    /** Sends the requests, and returns the answers in the same order. */
    async ask(requests: RawRequest[]): Promise<RawAnswer[]> {
      const answers: RawAnswer[] = []
      const waiting = [...requests.entries()]
      await Promise.all(
        lines.map(async (line) => {
          for (let next = waiting.shift(); next; next = waiting.shift()) answers[next[0]] = await line.ask(next[1])
        }),
      )
      return answers
    },
    close(): void {
      for (const line of lines) line.close()
    },
  }
}

function openLine(port: number) {
  let socket: Socket | undefined
  return {
    async ask(request: RawRequest): Promise<RawAnswer> {
      if (!socket?.writable) {
        socket = connect(port, '127.0.0.1').setNoDelay()
        await once(socket, 'connect')
      }
      return answerOn(socket, request)
    },
    close: () => socket?.destroy(),
  }
}

function answerOn(socket: Socket, request: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0)
    const finish = (settle: () => void) => {
      socket.off('data', take).off('close', ended).off('error', ended)
      settle()
    }
    const take = (part: Buffer) => {
      received = received.length === 0 ? part : Buffer.concat([received, part])
      const answer = readAnswer(received, request.method)
      if (answer === undefined) return
      if (answer.headers.get('connection')?.includes('close')) socket.destroy()
      finish(() => resolve(answer))
    }
    const ended = () =>
      finish(() => reject(new Error(`The connection was closed after ${received.length} bytes of an answer`)))
    socket.on('data', take).on('close', ended).on('error', ended)
    socket.write(bytesOf(request))
  })
}

function bytesOf({ method, target, headers, body }: RawRequest): Buffer {
  const content = Buffer.from(body ?? '', 'latin1')
  const length: typeof headers = body === undefined ? [] : [['Content-Length', String(content.length)]]
  const lines = [['Host', 'avatars.example'], ...headers, ...length].map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), content])
}

/** Returns a complete answer, or undefined while a part of it is missing. */
function readAnswer(got: Buffer, method: string): RawAnswer | undefined {
  const headEnd = got.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const [first = '', ...lines] = got.toString('latin1', 0, headEnd).split('\r\n')
  const status = Number(first.split(' ')[1])
  if (status < 200) return readAnswer(got.subarray(headEnd + 4), method)
  const headers = new Map<string, string[]>()
  for (const line of lines) {
    const [name = ''] = line.split(':', 1)
    const value = line.slice(name.length + 1).trim()
    headers.set(name.toLowerCase(), [...(headers.get(name.toLowerCase()) ?? []), value])
  }
  const rest = got.subarray(headEnd + 4)
  const isEmpty = method === 'HEAD' || status === 204 || status === 304
  const isChunked = !isEmpty && headers.get('transfer-encoding')?.[0] === 'chunked'
  const body = isChunked
    ? dechunked(rest)
    : firstOf(rest, isEmpty ? 0 : Number(headers.get('content-length')?.[0] ?? 0))
  return body && { status, headers, body: isEmpty ? body : decompressed(body, headers.get('content-encoding')?.[0]) }
}

const firstOf = (bytes: Buffer, length: number) => (bytes.length < length ? undefined : bytes.subarray(0, length))

/** Decodes a chunked body (RFC 9112, 7.1). Undefined while the last chunk is missing. */
function dechunked(got: Buffer): Buffer | undefined {
  const parts: Buffer[] = []
  for (let at = 0; ; ) {
    const lineEnd = got.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const length = Number.parseInt(got.toString('latin1', at, lineEnd), 16)
    const end = lineEnd + 2 + length + 2
    if (got.length < end) return undefined
    if (length === 0) return Buffer.concat(parts)
    parts.push(got.subarray(lineEnd + 2, end - 2))
    at = end
  }
}

function decompressed(body: Buffer, encoding: string | undefined): Buffer {
  if (encoding === 'br') return brotliDecompressSync(body)
  return encoding === 'gzip' || encoding === 'deflate' ? unzipSync(body) : body
}

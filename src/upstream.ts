import { type Dispatcher, fetch } from 'undici'
import { UpstreamAway, UpstreamSilent } from './errors.ts'

export type Upstream = {
  /** Time limit in milliseconds over the whole answer, head and body. */
  timeoutMs: number
  /** Size limit in bytes, after unpacking. */
  maxBytes: number
  dispatcher: Dispatcher
}

export type Answer = { status: number; headers: Headers; body: Buffer }

export type Question = {
  method?: string
  headers?: Record<string, string>
  body?: string
}

/**
 * One call to the outside. Gives the answer whatever its status; follows no redirect, because it could lead anywhere.
 * Throws UpstreamSilent when the time is up, UpstreamAway for everything else that is not a whole answer.
 */
export async function ask(url: string | URL, question: Question, upstream: Upstream): Promise<Answer> {
  const signal = AbortSignal.timeout(upstream.timeoutMs)
  try {
    const response = await fetch(url, { ...question, redirect: 'manual', signal, dispatcher: upstream.dispatcher })
    const body = await readBody(response.body, upstream.maxBytes)
    return { status: response.status, headers: new Headers([...response.headers]), body }
  } catch (cause) {
    if (cause instanceof UpstreamAway) throw cause
    if (signal.aborted) throw new UpstreamSilent('no answer in time', { cause })
    throw new UpstreamAway('no whole answer', { cause })
  }
}

// The limit is on unpacked bytes: undici's own maxResponseSize counts packed ones, and 64 KiB of gzip can hold 60 MiB.
async function readBody(stream: AsyncIterable<Uint8Array> | null, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of stream ?? []) {
    size += part.byteLength
    if (size > maxBytes) throw new UpstreamAway(`answer over ${maxBytes} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

import type { Dispatcher } from 'undici'
import { DiceBearAway, UnsafeSvg } from '../errors.ts'
import { ask } from '../upstream.ts'
import { type Choice, dicebearOptions } from './choice.ts'
import { checkSvg, MAX_SVG_BYTES } from './safe-svg.ts'

export type DiceBearOptions = { url: string; userAgent: string; timeoutMs: number; dispatcher: Dispatcher }

/** The longest that a 429 keeps us from asking again. */
const longestRestMs = 30_000

/**
 * DiceBear's HTTP API, version 10. https://www.dicebear.com/how-to-use/http-api/
 * Gives the SVG, checked. Throws DiceBearAway or UnsafeSvg; the caller draws the picture itself then.
 */
export function createDiceBear(options: DiceBearOptions) {
  const { url, userAgent, timeoutMs, dispatcher } = options
  let restUntil = 0

  return async function askDiceBear(choice: Choice): Promise<string> {
    if (Date.now() < restUntil) throw new DiceBearAway('left in peace after a 429')
    const headers = { accept: 'image/svg+xml', 'user-agent': userAgent }
    const upstream = { timeoutMs, maxBytes: MAX_SVG_BYTES, dispatcher }
    const answer = await ask(`${url}/${choice.style}/svg?${query(choice)}`, { headers }, upstream).catch((cause) => {
      throw new DiceBearAway('no answer', { cause })
    })
    if (answer.status === 429) {
      const namedMs = (Number(answer.headers.get('retry-after')) || longestRestMs / 1000) * 1000
      restUntil = Date.now() + Math.min(namedMs, longestRestMs)
    }
    // A refused query is JSON with a status of its own; only an SVG with a 200 is a picture.
    if (answer.status !== 200 || !answer.headers.get('content-type')?.startsWith('image/svg+xml')) {
      throw new DiceBearAway(`answered ${answer.status}, ${answer.headers.get('content-type')?.slice(0, 40)}`)
    }
    const svg = decode(answer.body)
    checkSvg(svg)
    return svg
  }
}

function query(choice: Choice): string {
  const parameters = new URLSearchParams()
  // The API takes a list as one value with commas.
  for (const [name, value] of Object.entries(dicebearOptions(choice))) parameters.set(name, String(value))
  return parameters.toString()
}

function decode(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch (cause) {
    throw new UnsafeSvg('not UTF-8', { cause })
  }
}

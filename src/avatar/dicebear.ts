import type { Dispatcher } from 'undici'
import { DeadlineExceeded, DiceBearRefused, DiceBearUnavailable, UnsafeSvg } from '../errors.ts'
import { createUpstream, headerOf, type Observers } from '../upstream/upstream.ts'
import { type Choice, dicebearOptions } from './choice.ts'
import { MAX_SVG_BYTES } from './safe-svg.ts'
import { checkInWorker } from './worker.ts'

export type DiceBearOptions = Observers & { url: string; userAgent: string; timeoutMs: number; dispatcher: Dispatcher }

/**
 * When it is left in peace: after a 429, or after failures in a row of any kind. A whole answer is none, even if it is
 * not a picture that we take: what is wrong with that one may be right with the next. Nor is it DiceBear's fault when
 * Discord has left it no time.
 */
const breaker = {
  failures: 3,
  pauseMs: 30_000,
  opensOn: (error: unknown) => !(error instanceof DeadlineExceeded),
}

/**
 * DiceBear's HTTP API, version 10. https://www.dicebear.com/how-to-use/http-api/
 * Gives the SVG, checked. `until` is when the visitor has waited long enough, by `performance.now()`. Throws
 * DiceBearUnavailable, DiceBearRefused or UnsafeSvg; the caller draws the picture itself then.
 */
export function createDiceBear({ url, userAgent, ...calls }: DiceBearOptions) {
  const ask = createUpstream({ ...calls, name: 'dicebear', maxBytes: MAX_SVG_BYTES, breaker })

  return async function askDiceBear(choice: Choice, until?: number): Promise<Buffer> {
    const headers = { accept: 'image/svg+xml', 'user-agent': userAgent }
    const answer = await ask(`${url}/${choice.style}/svg?${query(choice)}`, { headers, until }).catch((cause) => {
      throw new DiceBearUnavailable('no picture', { cause })
    })
    if (answer.status >= 400)
      throw new DiceBearRefused(`answered ${answer.status} (style ${choice.style}, mood ${choice.mood})`)
    const type = headerOf(answer, 'content-type')
    if (answer.status !== 200 || !type.startsWith('image/svg+xml')) {
      throw new DiceBearUnavailable(`answered ${answer.status}, ${type.slice(0, 40)}`)
    }
    const wrong = await checkInWorker(answer.body)
    if (wrong !== undefined) throw new UnsafeSvg(wrong)
    return answer.body
  }
}

/** Commas separate the items of a list, so those inside an item are encoded: servers differ on an encoded separator. */
function query(choice: Choice): string {
  const parameters = Object.entries(dicebearOptions(choice)).map(([name, value]) => {
    const items = [value].flat().map(encodeURIComponent)
    return `${name}=${items.join(',')}`
  })
  return parameters.join('&')
}

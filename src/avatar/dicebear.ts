import { DeadlineExceeded, DiceBearRefused, DiceBearUnavailable, UnsafeSvg } from '../errors.ts'
import { type CallOptions, headerOf } from '../upstream/call.ts'
import { createUpstream, type Observers } from '../upstream/upstream.ts'
import { type Choice, dicebearOptions } from './choice.ts'
import { MAX_SVG_BYTES } from './safe-svg.ts'

/** DiceBear's own server, for non-commercial use. https://www.dicebear.com/how-to-use/http-api/ */
export const publicApiUrl = 'https://api.dicebear.com/10.x'

export type DiceBearOptions = Observers &
  Omit<CallOptions, 'maxBytes'> & {
    url: string
    userAgent: string
    /** Resolves with what is wrong with an SVG; undefined if the SVG is safe. */
    check: (svg: Buffer) => Promise<string | undefined>
  }

/**
 * A 2xx or 4xx without a usable picture is no failure of the server, because the next picture may be fine. A missed
 * deadline is no failure either, because the calls to Discord may have used up the time.
 */
const breaker = {
  failures: 3,
  pauseMs: 30_000,
  isFailure: (error: unknown) => !(error instanceof DeadlineExceeded),
}

/**
 * Returns a function that requests an SVG from DiceBear's HTTP API, version 10, and checks it. `deadline` is when the
 * visitor must have an answer, by `performance.now()`. The function throws DiceBearUnavailable, DiceBearRefused,
 * UnsafeSvg, or Overloaded if the check took too much time or memory. https://www.dicebear.com/how-to-use/http-api/
 */
export function createDiceBear({ url, userAgent, check, ...options }: DiceBearOptions) {
  const request = createUpstream({ ...options, name: 'dicebear', maxBytes: MAX_SVG_BYTES, breaker })
  const headers = { accept: 'image/svg+xml', 'user-agent': userAgent }

  return async function requestSvg(choice: Choice, deadline?: number): Promise<Buffer> {
    const response = await request(svgUrl(url, choice), { headers, deadline }).catch((cause) => {
      throw new DiceBearUnavailable('no picture', { cause })
    })
    if (response.status >= 400) {
      throw new DiceBearRefused(`answered ${response.status} (style ${choice.style}, mood ${choice.mood})`)
    }
    const type = headerOf(response, 'content-type')
    if (response.status !== 200 || !type.startsWith('image/svg+xml')) {
      throw new DiceBearUnavailable(`answered ${response.status}, ${type.slice(0, 40)}`)
    }
    const problem = await check(response.body)
    if (problem !== undefined) throw new UnsafeSvg(problem)
    return response.body
  }
}

/** The address of a picture in DiceBear's HTTP API. */
export const svgUrl = (apiUrl: string, choice: Choice) => `${apiUrl}/${choice.style}/svg?${query(choice)}`

/** The options as a query. Commas in lists are not encoded, because some servers take %2C as a part of an item. */
function query(choice: Choice): string {
  const parameters = Object.entries(dicebearOptions(choice)).map(([name, value]) => {
    const items = [value].flat().map(encodeURIComponent)
    return `${name}=${items.join(',')}`
  })
  return parameters.join('&')
}

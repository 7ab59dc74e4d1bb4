// Creates load with autocannon: single requests at full speed, and whole visits as sequences of requests.
import autocannon, { type Request } from 'autocannon'
import { z } from 'zod'

export type Load = {
  perSecond: number
  requests: number
  /** How many requests were answered with 503. */
  unavailable: number
  p50Ms: number
  p99Ms: number
}

type LoadOptions = {
  url: string
  requests: Request[]
  seconds?: number
  /** The number of requests, instead of a time. */
  amount?: number
  connections?: number
  /** The expected status codes. */
  statuses?: number[]
}

/** Sends each request as soon as the previous response has arrived. Throws if a response has an unexpected status. */
export async function load({ url, requests, seconds = 2, amount, connections = 20, statuses = [200] }: LoadOptions) {
  const length = amount === undefined ? { duration: seconds } : { amount }
  const startedAt = performance.now()
  const result = await autocannon({ url, connections, requests, ...length })
  const seen = Object.entries(result.statusCodeStats ?? {})
  const total = seen.reduce((sum, [, stats]) => sum + (stats?.count ?? 0), 0)
  const unexpected = seen.filter(([status]) => !statuses.includes(Number(status)))
  if (unexpected.length > 0 || result.errors > 0 || total === 0) {
    throw new Error(
      `${url}${requests[0]?.path}: ${result.errors} errors, statuses ${JSON.stringify(result.statusCodeStats)}`,
    )
  }
  const tookS = (performance.now() - startedAt) / 1000
  return {
    perSecond: total / tookS,
    requests: total,
    unavailable: seen.find(([status]) => status === '503')?.[1]?.count ?? 0,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  } satisfies Load
}

type Browser = { cookies?: Record<string, string>; state?: string; avatar?: string }

const cookieHeader = ({ cookies = {} }: Browser) =>
  Object.entries(cookies)
    .map(([name, value]) => `${name}=${value}`)
    .join('; ')

function keepCookies(browser: Browser, headers: object): void {
  const sent = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])).get('set-cookie')
  browser.cookies ??= {}
  for (const line of z.array(z.string()).parse(sent === undefined ? [] : [sent].flat())) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    if (name && value !== undefined) browser.cookies[name] = value
  }
}

const location = (headers: object) =>
  String(new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])).get('location'))

let visits = 0

/** Returns the five requests of a visit: form, post, callback, page and picture, with a new seed each time. */
export function visit(): Request[] {
  return [
    { method: 'GET', path: '/' },
    {
      setupRequest: (request) => {
        visits += 1
        const body = `seed=visit+${visits}&style=adventurer&backgroundColor=%23ffd29d&mood=happy`
        const headers = { 'content-type': 'application/x-www-form-urlencoded' }
        return { ...request, method: 'POST', path: '/get_avatar', headers, body }
      },
      onResponse: (_status, _body, browser: Browser, headers = {}) => {
        keepCookies(browser, headers)
        // If there was no redirect, `load` throws because of the status.
        browser.state = URL.parse(location(headers))?.searchParams.get('state') ?? ''
      },
    },
    {
      setupRequest: (request, browser: Browser) => ({
        ...request,
        path: `/get_avatar?code=c0de&state=${encodeURIComponent(browser.state ?? '')}`,
        headers: { cookie: cookieHeader(browser) },
      }),
      onResponse: (_status, _body, browser: Browser, headers = {}) => keepCookies(browser, headers),
    },
    {
      setupRequest: (request, browser: Browser) => ({
        ...request,
        path: '/show_avatar',
        headers: { cookie: cookieHeader(browser) },
      }),
      onResponse: (_status, body, browser: Browser) => {
        browser.avatar = /\/avatars\/[0-9a-f-]+\.svg/.exec(body)?.[0] ?? ''
      },
    },
    {
      setupRequest: (request, browser: Browser) => ({
        ...request,
        path: browser.avatar ?? '/no-avatar',
        headers: { cookie: cookieHeader(browser) },
      }),
    },
  ]
}
export const visitRequests = 5

/** Returns the seven requests of a visit with a new preview and a download as PNG. */
export function visitWithPictures(): Request[] {
  const [form = {}, ...others] = visit()
  const preview: Request = {
    setupRequest: (request) => ({ ...request, path: `/preview.svg?seed=visit+${visits}&style=adventurer` }),
  }
  const png: Request = {
    setupRequest: (request, browser: Browser) => ({
      ...request,
      path: (browser.avatar ?? '/no-avatar').replace('.svg', '.png'),
      headers: { cookie: cookieHeader(browser) },
    }),
  }
  return [form, preview, ...others, png]
}
export const visitWithPicturesRequests = 7

/** Makes one visit. Returns the browser's cookies at its end, and how long the callback took. */
export async function visitOnce(url: string, seed = 'fern') {
  const browser: Browser = {}
  const send = async (path: string, init: RequestInit = {}) => {
    const headers = { ...init.headers, cookie: cookieHeader(browser) }
    const answer = await fetch(`${url}${path}`, { redirect: 'manual', ...init, headers })
    keepCookies(browser, { 'set-cookie': answer.headers.getSetCookie() })
    return answer
  }
  const body = new URLSearchParams({ seed, style: 'adventurer', backgroundColor: 'ffd29d', mood: 'happy' })
  const leaving = await send('/get_avatar', { method: 'POST', body })
  const state = new URL(leaving.headers.get('location') ?? '').searchParams.get('state') ?? ''
  const startedAt = performance.now()
  const callback = await send(`/get_avatar?${new URLSearchParams({ code: 'c0de', state })}`)
  const callbackMs = performance.now() - startedAt
  if (callback.status !== 302) throw new Error(`The callback answered ${callback.status}`)
  const page = await (await send('/show_avatar')).text()
  const picture = /\/avatars\/[0-9a-f-]+\.svg/.exec(page)?.[0] ?? ''
  return { send, cookie: cookieHeader(browser), page, picture, callbackMs }
}

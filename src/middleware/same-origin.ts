import type { Request, RequestHandler } from 'express'
import type { Config } from '../config.ts'
import { CrossSiteRequest } from '../errors.ts'

/**
 * Throws CrossSiteRequest for a POST that no page of this site sent. `Sec-Fetch-Site` decides, without it `Origin`; a client
 * that sends neither is no browser. `otherNames` accepts posts for which `isFromOtherName` is true, too.
 * https://developer.mozilla.org/docs/Web/HTTP/Headers/Sec-Fetch-Site
 */
export function refuseCrossSite(config: Config, { otherNames }: { otherNames: boolean }): RequestHandler {
  return (req, _res, next) => {
    if (req.method !== 'POST' || isFromThisSite(req, config) || (otherNames && isFromOtherName(req, config))) {
      return next()
    }
    throw new CrossSiteRequest('a POST from another site')
  }
}

function isFromThisSite(req: Request, { baseUrl }: Config): boolean {
  const site = req.get('sec-fetch-site')
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  const origin = req.get('origin')
  return origin === undefined || origin === baseUrl
}

/**
 * Whether a request comes from a page of this site under another name than BASE_URL's, to that name. Cookies set there do
 * not reach BASE_URL, where Discord sends the visitor back to. The Host alone does not tell: a proxy may send its own.
 */
export function isFromOtherName(req: Request, config: Config): boolean {
  const origin = URL.parse(req.get('origin') ?? '')
  const base = new URL(config.baseUrl)
  if (origin === null || origin.origin === base.origin) return false
  // An https page is no other name of a plain http site, which may be another program.
  if (origin.protocol !== base.protocol && origin.protocol !== 'http:') return false
  if (siteOf(origin) !== siteOf(base)) return false
  return req.get('sec-fetch-site') === undefined ? origin.hostname === req.hostname : isFromThisSite(req, config)
}

/** Whether a Host header has another name of this site than BASE_URL's. */
export function isOtherName(host: string | undefined, { baseUrl }: Config): boolean {
  const base = new URL(baseUrl)
  const url = URL.parse(`${base.protocol}//${host}`)
  return url !== null && url.host !== base.host && siteOf(url) === siteOf(base)
}

/** The host and port, the same for all names of a site: with or without `www.`, or any loopback name. */
function siteOf({ hostname, port }: URL): string {
  const name = hostname.replace(/\.$/, '').replace(/^www\./, '')
  const isOwn = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(name)
  return `${isOwn ? 'localhost' : name}:${port}`
}

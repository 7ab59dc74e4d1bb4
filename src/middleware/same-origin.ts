import type { Request, RequestHandler } from 'express'
import type { Config } from '../config.ts'
import { CrossSiteRequest } from '../errors.ts'

/**
 * Throws CrossSiteRequest for a POST that does not come from a page of this site. The header `Sec-Fetch-Site` decides
 * or, if it is missing, `Origin`. A request with neither does not come from a browser, and is accepted. With
 * `otherNames` posts from other names of this site are accepted, too (see `isFromOtherName`).
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
 * Whether a page at another name of this site, such as one with `www.`, sent this request to that name. A sign-in must
 * not start there, because its cookies would not be sent to BASE_URL, to which Discord redirects the visitor. The Host
 * header alone is no proof, because a proxy may replace it.
 */
export function isFromOtherName(req: Request, config: Config): boolean {
  const origin = URL.parse(req.get('origin') ?? '')
  const base = new URL(config.baseUrl)
  if (origin === null || origin.origin === base.origin) return false
  // An http page of an https site is accepted. An https page of an http site may belong to another program.
  if (origin.protocol !== base.protocol && origin.protocol !== 'http:') return false
  if (siteOf(origin) !== siteOf(base)) return false
  return req.get('sec-fetch-site') === undefined ? origin.hostname === req.hostname : isFromThisSite(req, config)
}

/** Whether a Host header contains another name of this site than BASE_URL's. */
export function isOtherName(host: string | undefined, { baseUrl }: Config): boolean {
  if (baseUrl.endsWith(`//${host}`)) return false // most requests end here, before a URL is parsed
  const base = new URL(baseUrl)
  const url = URL.parse(`${base.protocol}//${host}`)
  return url !== null && url.host !== base.host && siteOf(url) === siteOf(base)
}

/** Host and port in a form that is equal for all names of one site: with and without `www.`, and all loopback names. */
function siteOf({ hostname, port }: URL): string {
  const name = hostname.replace(/\.$/, '').replace(/^www\./, '')
  const isLoopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(name)
  return `${isLoopback ? 'localhost' : name}:${port}`
}

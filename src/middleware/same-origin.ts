import type { RequestHandler } from 'express'
import type { Config } from '../config.ts'
import { CrossSiteRequest } from '../errors.ts'

/**
 * Throws CrossSiteRequest for a POST that no page of this site sent. `Sec-Fetch-Site` decides, without it `Origin`; a client
 * that sends neither is no browser. https://developer.mozilla.org/docs/Web/HTTP/Headers/Sec-Fetch-Site
 */
export function refuseCrossSite(config: Config): RequestHandler {
  return (req, _res, next) => {
    const isSameOrigin = isFromThisSite(req.get('sec-fetch-site'), req.get('origin'), config.baseUrl)
    if (req.method !== 'POST' || isSameOrigin) return next()
    throw new CrossSiteRequest('a POST from another site')
  }
}

function isFromThisSite(site: string | undefined, origin: string | undefined, baseUrl: string): boolean {
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  return origin === undefined || origin === baseUrl
}

import type { RequestHandler } from 'express'
import type { Config } from '../config.ts'
import { CrossSiteRequest } from '../errors.ts'

/**
 * Lets a POST pass only from our own pages. `Sec-Fetch-Site` decides; in its absence `Origin`; with neither it is no
 * browser. https://developer.mozilla.org/docs/Web/HTTP/Headers/Sec-Fetch-Site
 */
export function sameOrigin(config: Config): RequestHandler {
  return (req, _res, next) => {
    if (req.method !== 'POST' || isOurs(req.get('sec-fetch-site'), req.get('origin'), config.baseUrl)) return next()
    throw new CrossSiteRequest('a POST from another site')
  }
}

function isOurs(site: string | undefined, origin: string | undefined, baseUrl: string): boolean {
  if (site !== undefined) return site === 'same-origin' || site === 'none'
  return origin === undefined || origin === baseUrl
}

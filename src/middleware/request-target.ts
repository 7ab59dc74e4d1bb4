import type { RequestListener } from 'node:http'
import type { RequestHandler } from 'express'
import { InvalidValues } from '../errors.ts'

/** A host name or address, with or without a port (RFC 3986, 3.2.2). */
const hostFormat = /^(\[[\w.:]+\]|[\w.~!$&'()*+,;=%-]+)(:\d*)?$/

/**
 * Refuses requests without one valid Host header (RFC 9112, 3.2), which only HTTP/1.0 may lack. Node would answer
 * those without a Host header itself, without our headers and rate limits.
 */
export function requireHost(limit: RequestHandler): RequestHandler {
  return (req, res, next) => {
    const [host, another] = req.headersDistinct.host ?? []
    const isValid = host === undefined ? req.httpVersion === '1.0' : hostFormat.test(host)
    if (isValid && another === undefined) return next()
    limit(req, res, (error?: unknown) => next(error ?? new InvalidValues('not one valid Host header')))
  }
}

/** A path that matches no route, so it gets our 404. */
const noPage = '/%'

/**
 * Replaces a request target that Express cannot parse, such as `http://[`, or whose path it cannot decode. Express
 * would answer it without our middleware, and so without our headers and rate limits (SECURITY.md, H8).
 */
export function withRequestTarget(app: RequestListener): RequestListener {
  return (req, res) => {
    const target = pathAndQuery(req.url ?? '/')
    req.url = isDecodable(target) ? target : noPage
    app(req, res)
  }
}

/** The path and query of a request target in origin form or absolute form (RFC 9112, 3.2). */
function pathAndQuery(target: string): string {
  if (target.startsWith('/')) return target
  const url = URL.parse(target)
  return url?.pathname.startsWith('/') ? url.pathname + url.search : noPage
}

function isDecodable(target: string): boolean {
  try {
    decodeURIComponent(target.split('?', 1)[0] ?? '')
    return true
  } catch {
    return false
  }
}

import type { Express, IRoute, RequestHandler } from 'express'
import type { Config } from '../config.ts'
import { MethodNotAllowed } from '../errors.ts'
import type { LimitName, RateLimits } from './rate-limit.ts'
import { refuseCrossSite } from './same-origin.ts'

declare module 'node:http' {
  interface ServerResponse {
    /** Name of the route that answers, for the metrics: its path unless it has another name. */
    routeName?: string
  }
}

/** The methods of a route, and the rate limit that each counts for. GET includes HEAD. */
export type RouteOptions = {
  GET?: LimitName
  POST?: LimitName
  name?: string
  /** Accepts posts from pages of this site under another name than BASE_URL's. */
  otherNames?: boolean
}

/**
 * Adds a route to the app. Every request to its path is counted; 405 for other methods, 403 for posts of other sites.
 */
export type AddRoute = (path: string, options: RouteOptions) => IRoute

type OnRoute = ((name: string, methods: string[]) => void) | undefined

/** Returns the only function with which pages add routes, so that every route has these checks. */
export function guardedRoutes(app: Express, config: Config, limits: RateLimits, onRoute: OnRoute): AddRoute {
  return (path, { name = path, otherNames = false, ...methods }) => {
    const limitOf = (method: string) => (method === 'POST' ? methods.POST : methods.GET) ?? 'page'
    const count: RequestHandler = (req, res, next) => {
      res.routeName = name
      limits[limitOf(req.method)](req, res, next)
    }
    onRoute?.(name, Object.keys(methods))
    const allowed = [...(methods.GET ? ['GET', 'HEAD'] : []), ...(methods.POST ? ['POST'] : [])]
    return app.route(path).all(count, refuseOtherMethods(allowed), refuseCrossSite(config, { otherNames }))
  }
}

/** Names what answers under a prefix, without any check. */
export function nameRoute(name: string): RequestHandler {
  return (_req, res, next) => {
    res.routeName = name
    next()
  }
}

function refuseOtherMethods(allowed: string[]): RequestHandler {
  return (req, res, next) => {
    if (allowed.includes(req.method)) return next()
    res.set('Allow', allowed.join(', '))
    throw new MethodNotAllowed('no such method here')
  }
}

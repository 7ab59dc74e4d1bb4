import type { Express, IRoute, RequestHandler } from 'express'
import type { Config } from '../config.ts'
import { MethodNotAllowed } from '../errors.ts'
import type { LimitName, RateLimits } from './rate-limit.ts'
import { refuseCrossSite } from './same-origin.ts'

declare module 'node:http' {
  interface ServerResponse {
    /** Name of the route in the metrics. By default it is the route's path. */
    routeName?: string
  }
}

/** The methods of a route, each with the name of its rate limit. GET includes HEAD. */
type RouteOptions = {
  GET?: LimitName
  POST?: LimitName
  name?: string
  /** Whether posts from other names of this site are accepted, see `isFromOtherName`. */
  otherNames?: boolean
}

/** Adds a route. Its rate limits count all requests; other methods get 405, posts from other sites 403. */
export type AddRoute = (path: string, options: RouteOptions) => IRoute

type OnRoute = ((name: string, methods: string[]) => void) | undefined

/** Returns the function by which all pages add their routes, so that no route lacks these checks. */
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

/** Sets the route's name in the metrics for handlers that are not added by `AddRoute`. */
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

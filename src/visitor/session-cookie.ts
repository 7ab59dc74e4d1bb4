import { promisify } from 'node:util'
import { parseCookie } from 'cookie'
import { unsign } from 'cookie-signature'
import type { Request, RequestHandler, Response } from 'express'
import session from 'express-session'
import onHeaders from 'on-headers'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { cookieName, cookieOptions } from './cookies.ts'
import { type SessionStore, secondsLeft, sessionTtlS } from './session-store.ts'
import { readVisitor, type Visitor } from './visitor.ts'

declare module 'express-session' {
  interface SessionData {
    /** The visitor as `writeVisitor` returns it. */
    visitor?: unknown
  }
}

declare module 'express-serve-static-core' {
  interface Request {
    /**
     * The visitor as the session held it when it was loaded, or as this request has changed it since. It is `stranger`
     * if there is no session.
     */
    visitor: Visitor
  }
}

/** The session cookie, set and read by express-session. */
export function sessionCookie(config: Config, store: SessionStore, log: Logger) {
  const name = cookieName(config, 'avatar-session')
  const middleware = (rolling: boolean) =>
    session({
      name,
      secret: config.sessionSecrets,
      store,
      resave: false,
      saveUninitialized: false,
      rolling,
      cookie: cookieOptions(config, sessionTtlS),
    })
  const withCookie = middleware(true)
  const withoutCookie = middleware(false)
  let hasWarned = false

  /**
   * Loads the session into `req.visitor`. With `rolling` the response renews the session's cookie. Pictures are loaded
   * without it, because their responses may arrive late and would replace the cookie of a newer session.
   */
  function load({ rolling }: { rolling: boolean }): RequestHandler {
    const handler = rolling ? withCookie : withoutCookie
    return (req, res, next) => {
      onHeaders(res, () => completeCookie(req, res))
      if (config.https && !req.secure) trustBaseUrl(req)
      handler(req, res, (error?: unknown) => {
        if (error === undefined) req.visitor = readVisitor(req.session.visitor)
        next(error)
      })
    }
  }

  /**
   * Adds Max-Age to the session's cookie. express-session sets only Expires, and for a browser whose clock is wrong
   * that time may already have passed (RFC 6265, 5.3). Removes the cookie from an error page that would only renew it,
   * because the page may arrive late, too.
   */
  function completeCookie(req: Request, res: Response): void {
    const cookies = [res.get('Set-Cookie') ?? []].flat()
    const isOurs = (cookie: string) => cookie.startsWith(`${name}=s`)
    if (!cookies.some(isOurs)) return
    const isUnwanted = res.err !== undefined && req.sessionID === idOf(req)
    const complete = (cookie: string) => (isUnwanted ? [] : `${cookie}; Max-Age=${secondsLeft(req.session)}`)
    res.set(
      'Set-Cookie',
      cookies.flatMap((cookie) => (isOurs(cookie) ? complete(cookie) : cookie)),
    )
  }

  /**
   * Treats the request as https, because BASE_URL is. Behind a proxy that does not send X-Forwarded-Proto,
   * express-session would otherwise set no cookie, and report no error.
   */
  function trustBaseUrl(req: Request): void {
    if (!hasWarned)
      log.warn('BASE_URL is https, but the proxy does not say so: check TRUST_PROXY and X-Forwarded-Proto')
    hasWarned = true
    Object.defineProperty(req, 'secure', { value: true })
  }

  const cookieValue = (req: Request) => parseCookie(req.get('cookie') ?? '')[name]

  /** The session id in the signed cookie; undefined without a valid one. The session may have ended. */
  function idOf(req: Request): string | undefined {
    const value = cookieValue(req) ?? ''
    if (!value.startsWith('s:')) return undefined
    const ids = config.sessionSecrets.map((secret) => unsign(value.slice(2), secret))
    return ids.find((id) => id !== false)
  }

  return {
    load,
    loadNow: promisify(load({ rolling: true })),

    /** Whether the browser sent a session cookie, valid or not. */
    isSent: (req: Request) => cookieValue(req) !== undefined,

    idOf,

    clear: (res: Response) => res.clearCookie(name, cookieOptions(config, 0)),
  }
}

import { hash } from 'node:crypto'
import { parseCookie } from 'cookie'
import type { CookieOptions, Request, Response } from 'express'
import type { Config } from '../config.ts'

/** How long a visitor may stay at Discord. */
export const stateTtlS = 600
/** How long the outcome of a callback is kept for a second request of the same browser. */
export const outcomeTtlS = 60

/** Limit of sign-ins in progress in one browser (SECURITY.md, S5). */
const maxStates = 20
/** Cookies cleared by one response: its header must fit into a proxy's buffer. */
const maxCleared = 10

/**
 * A cookie's name. With https the prefix keeps other hosts and plain http from setting it. Without https the port
 * distinguishes this app from another one on the same host, because cookies know no ports (RFC 6265, 8.5).
 */
export function cookieName({ https, baseUrl }: Config, name: string): string {
  return https ? `__Host-${name}` : `${name}-${new URL(baseUrl).port || 80}`
}

/** Prefix of a state cookie's name. It needs no port: the name contains a hash of the state. */
const statePrefix = ({ https }: Config) => (https ? '__Host-' : '')

/** The attributes of every cookie of this app. */
export function cookieOptions(config: Config, maxAgeS: number): CookieOptions {
  return { httpOnly: true, sameSite: 'lax', path: '/', secure: config.https, maxAge: maxAgeS * 1000 }
}

/** Binds a state to a browser: the name is derived from the state, the value is known to this browser only. */
export type StateCookie = { name: string; value: string }

/** Each state has a cookie of its own, so that two tabs do not overwrite each other's. */
export function stateCookieName(state: string): string {
  return `state-${hash('sha256', state, 'base64url').slice(0, 16)}`
}

const stateCookie = /^state-[\w-]{16}$/

/** Reads and sets the state cookies of a browser. */
export function stateCookies(config: Config) {
  const prefix = statePrefix(config)

  /** The newest state cookies of this browser, oldest first: browsers send them so (RFC 6265, 5.4). */
  function all(req: Request, max = maxStates): StateCookie[] {
    const found = Object.entries(cookiesOf(req)).flatMap(([fullName, value = '']) => {
      const name = fullName.slice(prefix.length)
      return fullName.startsWith(prefix) && stateCookie.test(name) && value !== '' ? [{ name, value }] : []
    })
    return found.slice(-max)
  }

  function set(res: Response, { name, value }: StateCookie, maxAgeS = stateTtlS): void {
    res.cookie(`${prefix}${name}`, value, cookieOptions(config, maxAgeS))
  }

  /** Clears as many of the cookies as one response can. Returns these. */
  function clear(res: Response, cookies: StateCookie[]): StateCookie[] {
    const cleared = cookies.slice(0, maxCleared)
    for (const { name } of cleared) res.clearCookie(`${prefix}${name}`, cookieOptions(config, 0))
    return cleared
  }

  return {
    all,
    set,
    clear,

    /** This browser's cookie for the state, if it has one. */
    of(req: Request, state: string): StateCookie | undefined {
      const name = stateCookieName(state)
      return all(req, Number.POSITIVE_INFINITY).find((cookie) => cookie.name === name)
    },

    /** Clears the oldest cookies if there are too many for one more. Returns them. */
    clearOldest(req: Request, res: Response): StateCookie[] {
      const cookies = all(req, Number.POSITIVE_INFINITY)
      return clear(res, cookies.slice(0, Math.max(cookies.length - maxStates + 1, 0)))
    },

    /** Shortens the cookie's lifetime to that of the stored outcome, which a second request of this browser reads. */
    expireWithOutcome(res: Response, cookie: StateCookie, endsInMs = outcomeTtlS * 1000): void {
      set(res, cookie, Math.floor(endsInMs / 1000))
    },
  }
}

const dayS = 24 * 60 * 60

/**
 * Asks for `prompt=consent` at the next sign-in: after a sign-out, so that another account can be chosen, and where
 * Discord refused `prompt=none`.
 */
export function consentCookie(config: Config) {
  const name = cookieName(config, 'avatar-switch-account')
  const isSet = (req: Request) => cookiesOf(req)[name] !== undefined
  return {
    isSet,
    set: (res: Response) => res.cookie(name, '1', cookieOptions(config, dayS)),
    clear(req: Request, res: Response): void {
      if (isSet(req)) res.clearCookie(name, cookieOptions(config, 0))
    },
  }
}

const cookiesOf = (req: Request) => parseCookie(req.get('cookie') ?? '')

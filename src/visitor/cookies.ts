import { hash } from 'node:crypto'
import { parseCookie } from 'cookie'
import type { CookieOptions, Request, Response } from 'express'
import type { Config } from '../config.ts'

/** How long a visitor may stay at Discord. */
export const stateTtlS = 600
/** How long the outcome of a callback is kept for a second request of the same browser. */
export const outcomeTtlS = 60

/** Limit of unfinished sign-ins in one browser (SECURITY.md, S5). */
const maxStates = 20
/** How many cookies one response clears: its headers must fit into the buffer of a proxy. */
const maxCleared = 10

/**
 * The full name of a cookie. With https the prefix prevents that other hosts or plain http set it. Without https the
 * port tells this app from another one on the same host, because cookies do not have ports (RFC 6265, 8.5).
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

  /**
   * The newest state cookies of this browser, oldest first, which is the order in which browsers send them (RFC 6265,
   * 5.4).
   */
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

  /** Clears as many of the cookies as fit into one response. Returns these. */
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

    /** Clears the oldest cookies if there is no room for one more. Returns those that were cleared. */
    clearOldest(req: Request, res: Response): StateCookie[] {
      const cookies = all(req, Number.POSITIVE_INFINITY)
      return clear(res, cookies.slice(0, Math.max(cookies.length - maxStates + 1, 0)))
    },

    /**
     * Shortens the lifetime of the cookie to that of the stored outcome, for which a second request of this browser
     * needs it.
     */
    expireWithOutcome(res: Response, cookie: StateCookie, endsInMs = outcomeTtlS * 1000): void {
      set(res, cookie, Math.floor(endsInMs / 1000))
    },
  }
}

const dayS = 24 * 60 * 60

/**
 * A cookie that makes the next sign-in ask for `prompt=consent`: set after a sign-out, so that another account can be
 * chosen, and after Discord has refused `prompt=none`.
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

import { hash } from 'node:crypto'
import { parseCookie } from 'cookie'
import type { CookieOptions, Request, Response } from 'express'
import type { Config } from '../config.ts'

/** How long a visitor may take to sign in at Discord. */
export const stateTtlS = 600
/** How long the outcome of a callback is kept, in case the browser requests the same callback again. */
export const outcomeTtlS = 60

/** How many sign-ins of one browser may be unfinished (SECURITY.md, S5). */
const maxStates = 20
/** How many cookies one response clears at most, because its headers must fit into the buffer of a proxy. */
const maxCleared = 10

/**
 * The full name of a cookie. With https the prefix keeps other hosts, and plain http, from setting it. Without https
 * the port distinguishes the cookies of apps on the same host (RFC 6265, 8.5).
 */
export function cookieName({ https, baseUrl }: Config, name: string): string {
  return https ? `__Host-${name}` : `${name}-${new URL(baseUrl).port || 80}`
}

/** Prefix of a state cookie's name, which needs no port, because it contains a hash of the state. */
export const statePrefix = ({ https }: Config) => (https ? '__Host-' : '')

/** The attributes of every cookie of this app. */
export function cookieOptions(config: Config, maxAgeS: number): CookieOptions {
  return { httpOnly: true, sameSite: 'lax', path: '/', secure: config.https, maxAge: maxAgeS * 1000 }
}

/** Binds a state to a browser. The name is derived from the state; only this browser knows the value. */
export type StateCookie = { name: string; value: string }

/** The name of a state's cookie. Each state has its own, so that two tabs do not overwrite each other's. */
export function stateCookieName(state: string): string {
  return `state-${hash('sha256', state, 'base64url').slice(0, 16)}`
}

const stateCookie = /^state-[\w-]{16}$/

/** Reads and sets the state cookies of a browser. */
export function stateCookies(config: Config) {
  const prefix = statePrefix(config)

  /** The state cookies that this browser sent. The oldest comes first (RFC 6265, 5.4). */
  function sent(req: Request): StateCookie[] {
    return Object.entries(cookiesOf(req)).flatMap(([fullName, value = '']) => {
      const name = fullName.slice(prefix.length)
      return fullName.startsWith(prefix) && stateCookie.test(name) ? [{ name, value }] : []
    })
  }

  function set(res: Response, { name, value }: StateCookie, maxAgeS = stateTtlS): void {
    res.cookie(`${prefix}${name}`, value, cookieOptions(config, maxAgeS))
  }

  /** Clears as many of these cookies as fit into one response, and returns those that were cleared. */
  function clear(res: Response, cookies: StateCookie[]): StateCookie[] {
    const cleared = cookies.slice(0, maxCleared)
    for (const { name } of cleared) res.clearCookie(`${prefix}${name}`, cookieOptions(config, 0))
    return cleared
  }

  return {
    set,
    clear,

    /** This browser's cookie for the state, if it has one. */
    of(req: Request, state: string): StateCookie | undefined {
      const name = stateCookieName(state)
      return sent(req).find((cookie) => cookie.name === name)
    },

    /** The newest state cookies of this browser, at most `maxStates`, so that many made-up ones cause no work. */
    all: (req: Request): StateCookie[] => sent(req).slice(-maxStates),

    /** Clears the oldest cookies if there is no room for one more, and returns those that were cleared. */
    clearOldest: (req: Request, res: Response): StateCookie[] => clear(res, sent(req).slice(0, 1 - maxStates)),

    /** Shortens the cookie's lifetime to that of the outcome, which only a second request of the callback needs. */
    expireWithOutcome(res: Response, cookie: StateCookie, endsInMs = outcomeTtlS * 1000): void {
      set(res, cookie, Math.floor(endsInMs / 1000))
    },
  }
}

const dayS = 24 * 60 * 60

/** A cookie that causes `prompt=consent`. It is set after a sign-out, and after Discord refused `prompt=none`. */
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

import { parseCookie } from 'cookie'
import type { Request, Response } from 'express'
import type { Config } from '../config.ts'
import { cookieName, cookieOptions } from './session.ts'
import { isStateCookie, outcomeS, pendingS, type StateCookie, stateCookieName } from './states.ts'

/** A browser is away at Discord in so many tabs at most. */
const mostAway = 20
/** Cookies cleared by one answer: its head must fit into a proxy's buffer. */
const mostCleared = 10

/** Cookies that bind each state to the browser that asked for it. */
export function stateCookies(config: Config) {
  const prefix = cookieName(config, '')

  /** All that this browser has, oldest first: browsers send them so (RFC 6265, 5.4). */
  function all(req: Request): StateCookie[] {
    return Object.entries(cookiesOf(req)).flatMap(([full, value = '']) => {
      const name = full.slice(prefix.length)
      return full.startsWith(prefix) && isStateCookie(name) ? [{ name, value }] : []
    })
  }

  return {
    set(res: Response, { name, value }: StateCookie): void {
      res.cookie(`${prefix}${name}`, value, cookieOptions(config, pendingS))
    },

    /** Clears the oldest ones where there is no room for one more, and gives them. */
    makeRoom(req: Request, res: Response): StateCookie[] {
      const kept = all(req)
      const excess = kept.slice(0, Math.max(kept.length - mostAway + 1, 0)).slice(0, mostCleared)
      for (const { name } of excess) res.clearCookie(`${prefix}${name}`, cookieOptions(config, 0))
      return excess
    },

    /** This browser's cookie for the state, if it has one. */
    of(req: Request, state: string): StateCookie | undefined {
      const name = stateCookieName(state)
      const value = cookiesOf(req)[`${prefix}${name}`]
      return value ? { name, value } : undefined
    },

    /** Its cookies for other states: one for each tab that is away at Discord or just came back. */
    besides(req: Request, own: StateCookie): StateCookie[] {
      return all(req)
        .filter(({ name, value }) => name !== own.name && value !== '')
        .slice(-mostAway)
    },

    /** Keeps the cookie for as long as the outcome, for a second request of this browser. */
    letGo(res: Response, { name, value }: StateCookie, until = Date.now() + outcomeS * 1000): void {
      res.cookie(`${prefix}${name}`, value, cookieOptions(config, Math.max(Math.floor((until - Date.now()) / 1000), 0)))
    },
  }
}

const switchAccount = 'switch-account'
const dayS = 24 * 60 * 60

/** After a sign-out Discord is to ask anew, so that another account can be chosen. */
export function accountSwitch(config: Config) {
  const name = cookieName(config, switchAccount)
  return {
    ask: (res: Response) => res.cookie(name, '1', cookieOptions(config, dayS)),
    isAsked: (req: Request) => cookiesOf(req)[name] !== undefined,
    done: (req: Request, res: Response) => {
      if (cookiesOf(req)[name] !== undefined) res.clearCookie(name, cookieOptions(config, 0))
    },
  }
}

const cookiesOf = (req: Request) => parseCookie(req.get('cookie') ?? '')

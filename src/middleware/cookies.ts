import { parseCookie } from 'cookie'
import type { Request, Response } from 'express'
import type { Config } from '../config.ts'
import { outcomeS, pendingS, type StateCookie, stateCookieName } from '../discord/pending.ts'
import { cookieName, cookieOptions } from './session.ts'

/** Cookies that bind each state to the browser that asked for it. */
export function stateCookies(config: Config) {
  const prefix = cookieName(config, '')
  return {
    set(res: Response, { name, value }: StateCookie): void {
      res.cookie(`${prefix}${name}`, value, cookieOptions(config, pendingS))
    },

    /** This browser's cookie for the state, if it has one. */
    of(req: Request, state: string): StateCookie | undefined {
      const name = stateCookieName(state)
      const value = cookiesOf(req)[`${prefix}${name}`]
      return value ? { name, value } : undefined
    },

    /** Its cookies for other states: one for each tab that is away at Discord or just came back. */
    besides(req: Request, own: StateCookie): StateCookie[] {
      return Object.entries(cookiesOf(req)).flatMap(([full, value]) => {
        const name = full.slice(prefix.length)
        const isOther = full.startsWith(`${prefix}state-`) && name !== own.name
        return isOther && value ? [{ name, value }] : []
      })
    },

    /** Keeps the cookie as long as the outcome, for a second request of this browser. */
    letGo(res: Response, { name, value }: StateCookie): void {
      res.cookie(`${prefix}${name}`, value, cookieOptions(config, outcomeS))
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

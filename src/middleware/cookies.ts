import { parseCookie } from 'cookie'
import type { Request, Response } from 'express'
import type { Config } from '../config.ts'
import { outcomeS, pendingS, stateCookieName } from '../discord/pending.ts'
import { cookieName, cookieOptions } from './session.ts'

/** Cookies that bind each state to the browser that asked for it. */
export function stateCookies(config: Config) {
  const prefix = cookieName(config, 'state')
  return {
    set(res: Response, { name, value }: { name: string; value: string }): void {
      res.cookie(cookieName(config, name), value, cookieOptions(config, pendingS))
    },

    /** The secret that this browser holds for the state. */
    secretOf(req: Request, state: string): string | undefined {
      return cookiesOf(req)[cookieName(config, stateCookieName(state))]
    },

    /** Every secret that this browser holds: one for each tab that is or was just away at Discord. */
    allSecrets(req: Request): string[] {
      const cookies = Object.entries(cookiesOf(req))
      return cookies.flatMap(([name, value]) => (name.startsWith(prefix) && value ? [value] : [])).sort()
    },

    /** Keeps the cookie as long as the outcome, for a second request of this browser. */
    letGo(res: Response, state: string, secret: string): void {
      res.cookie(cookieName(config, stateCookieName(state)), secret, cookieOptions(config, outcomeS))
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

import { Router } from 'express'
import { onlyBy } from '../middleware/methods.ts'
import type { Parts } from '../parts.ts'
import { consentCookie, stateCookies } from '../visitor/cookies.ts'

/**
 * POST /sign_out ends the session here, then at Discord. Requests that began before do not end signed in: their states are
 * forgotten and their sessions marked as signed out.
 */
export function signOut({ config, states, sessions, accounts }: Parts): Router {
  const cookies = stateCookies(config)
  const consent = consentCookie(config)
  const router = Router({ caseSensitive: true })
  router.post('/sign_out', async (req, res) => {
    const otherTabs = await states.forget(cookies.all(req))
    const tokens = await sessions.signOut(req, res, otherTabs)
    cookies.clear(res, cookies.all(req))
    consent.set(res)
    await accounts.revoke(tokens)
    res.redirect(303, '/')
  })
  router.all('/sign_out', onlyBy('POST'))
  return router
}

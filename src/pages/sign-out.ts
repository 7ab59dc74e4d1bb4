import type { AddRoute } from '../middleware/routes.ts'
import type { Parts } from '../parts.ts'
import { consentCookie, stateCookies } from '../visitor/cookies.ts'

/**
 * POST /sign_out ends the session here, then at Discord. Requests that began before do not end signed in: their states are
 * forgotten and their sessions marked as signed out.
 */
export function signOut(route: AddRoute, { config, states, sessions, accounts }: Parts): void {
  const cookies = stateCookies(config)
  const consent = consentCookie(config)
  route('/sign_out', { POST: 'page' }).post(async (req, res) => {
    const otherTabs = await states.forget(cookies.all(req))
    const tokens = await sessions.signOut(req, res, otherTabs)
    cookies.clear(res, cookies.all(req))
    consent.set(res)
    await accounts.revoke(tokens)
    res.redirect(303, '/?notice=signed-out')
  })
}

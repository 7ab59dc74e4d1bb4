import type { Request, Response } from 'express'
import type { User } from '../discord/user.ts'
import { form } from '../middleware/form-body.ts'
import type { AddRoute } from '../middleware/routes.ts'
import type { Parts } from '../parts.ts'
import { consentCookie, stateCookies } from '../visitor/cookies.ts'
import type { Visitor } from '../visitor/visitor.ts'

/**
 * POST /sign_out ends the session, or with `devices=all` all sessions of this Discord user, and then revokes the
 * tokens. POST /forget_me also ends all sessions of the user, and deletes what else is kept about the user.
 */
export function signOut(route: AddRoute, parts: Parts): void {
  const { sessions, avatars } = parts

  route('/sign_out', { POST: 'page' }).post(...form, async (req, res) => {
    const isEverywhere = req.body?.devices === 'all'
    if (isEverywhere) await sessions.loadNow(req, res)
    await endSessions(parts, req, res, isEverywhere ? req.visitor.user : undefined)
    res.redirect(303, isEverywhere ? '/?notice=signed-out-everywhere' : '/?notice=signed-out')
  })

  route('/forget_me', { POST: 'page' }).post(sessions.load({ rolling: false }), async (req, res) => {
    const { user } = req.visitor
    if (user === undefined) return res.redirect(303, '/?notice=not-signed-in')
    const ended = await endSessions(parts, req, res, user)
    const looks = ended.flatMap((visitor) => [...visitor.avatars, visitor.removed?.avatar ?? []].flat())
    await avatars.deleteFiles(looks.map(({ id }) => id))
    // Makes the browser delete its copies of the avatars, which it might otherwise keep for a year.
    res.set('Clear-Site-Data', '"cache"').redirect(303, '/?notice=forgotten')
  })
}

/**
 * Ends the browser's session, or all sessions of the user `everywhere`. A request that began before cannot sign in
 * afterwards: its state is deleted, and its session or user is marked as signed out or forgotten. Returns the visitors
 * in the ended sessions.
 */
async function endSessions(parts: Parts, req: Request, res: Response, everywhere?: User): Promise<Visitor[]> {
  const { config, states, sessions, accounts } = parts
  const cookies = stateCookies(config)
  const otherTabs = await states.forget(cookies.all(req))
  const ended = await sessions.signOut(req, res, { otherTabs, everywhere })
  cookies.clear(res, cookies.all(req))
  consentCookie(config).set(res)
  await accounts.revoke(ended.flatMap(({ tokens }) => tokens ?? []))
  return ended
}

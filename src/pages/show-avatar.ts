import type { Request, Response } from 'express'
import type { Choice } from '../avatar/choice.ts'
import { NotFound, NotSignedIn } from '../errors.ts'
import { form } from '../middleware/form-body.ts'
import type { AddRoute } from '../middleware/routes.ts'
import type { Parts } from '../parts.ts'
import { stateCookies } from '../visitor/cookies.ts'
import { withNewAvatar } from '../visitor/visitor.ts'
import { formRefused } from './error-page.ts'
import { type ReadForm, readForm, readLook } from './form.ts'
import { validEntered } from './form-view.ts'
import { homeView } from './home.ts'
import { lookUrl } from './look.ts'
import { createShowView } from './show-view.ts'

/**
 * GET /show_avatar shows an avatar as it will look on Discord. POST /show_avatar makes another avatar with the
 * session's access token.
 */
export function showAvatarPage(route: AddRoute, parts: Parts): void {
  const { config, states, sessions, accounts, avatars, visitTimeoutMs } = parts
  const cookies = stateCookies(config)
  const view = createShowView(parts)

  const showAvatar = route('/show_avatar', { GET: 'page', POST: 'sign-in' })

  showAvatar.get(sessions.load({ rolling: true }), async (req, res) => {
    const { user, avatars: history } = req.visitor
    const named = req.query.avatar
    const avatar = named === undefined ? history[0] : history.find(({ id }) => id === named)
    if (user === undefined || history.length === 0) {
      // If the visitor has just signed in but the browser sends no session cookie, it has not kept the cookie.
      const hasSignedIn = !sessions.hasCookie(req) && (await states.sessionIds(cookies.all(req))).length > 0
      return res.redirect(303, `/?notice=${hasSignedIn ? 'no-session' : 'no-looks'}`)
    }
    if (avatar === undefined) throw new NotFound('not an avatar of this visitor')
    const since = performance.now()
    const page = await view.pageOf(req, user, avatar)
    // While a page waits for a renderer, another tab may replace the session. The other pages save the Redis command
    // that finds this out.
    if (performance.now() - since > 50) await sessions.detachIfReplaced(req)
    res.render('show-avatar', page)
  })

  showAvatar.post(...form, async (req, res) => {
    const read = readForm(req.body)
    // This is set before anything can fail, because the error page offers the choice again.
    res.locals.choice = read.choice
    await sessions.loadNow(req, res)
    if (!req.visitor.user || !req.visitor.tokens) return signInAgain(res, read)
    if (!read.choice) return showProblems(req, res, read)
    const isSignedIn = await restyle(req, read.choice).catch((error) => {
      if (error instanceof NotSignedIn) return false // signed out meanwhile, in another tab
      throw error
    })
    if (isSignedIn) res.redirect(303, '/show_avatar')
    else signInAgain(res, read)
  })

  /**
   * Makes an avatar as a callback does, without sending the visitor to Discord: user -> DiceBear -> file -> session.
   * Returns false if Discord refuses the tokens.
   */
  async function restyle(req: Request, choice: Choice): Promise<boolean> {
    const deadline = performance.now() + visitTimeoutMs
    const finishAvatar = avatars.begin(choice, deadline)
    const user = await accounts.identify(req, deadline)
    if (user === undefined) return false
    const avatar = await finishAvatar(user.username)
    await sessions.change(req, (visitor) => withNewAvatar(visitor, user, avatar))
    return true
  }

  /**
   * Shows the form again with its problems: on this page or, for a visitor who has removed every avatar, on the page /.
   */
  async function showProblems(req: Request, res: Response, { entered, problems }: ReadForm): Promise<void> {
    const { user, avatars } = req.visitor
    const [newest] = avatars
    if (!user || !newest) return formRefused(req, res, 'home', homeView(entered, problems))
    const page = await view.pageOf(req, user, newest)
    const fields = await view.fieldsWithAccent(user, entered, problems)
    await sessions.detachIfReplaced(req)
    formRefused(req, res, 'show-avatar', { ...page, ...fields })
  }
}

/** The address keeps only what the chosen style knows, because browsers and proxies refuse a long Location. */
function signInAgain(res: Response, read: ReadForm): void {
  const valid = validEntered(read)
  const kept = read.choice ?? readLook(valid).choice ?? { ...valid, pins: {} }
  res.redirect(303, `${lookUrl(kept)}&notice=sign-in`)
}

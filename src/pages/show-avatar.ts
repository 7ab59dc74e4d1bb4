import type { Request, Response } from 'express'
import { fittingFraming } from '../../public/js/circle.js'
import { lookWith } from '../../public/js/look.js'
import type { Avatar } from '../avatar/avatars.ts'
import { findStyle } from '../avatar/catalogue.ts'
import { type Choice, isSeeThrough } from '../avatar/choice.ts'
import type { Renderers } from '../avatar/renderers.ts'
import type { User } from '../discord/responses.ts'
import { NotFound, NotSignedIn } from '../errors.ts'
import { form } from '../middleware/form-body.ts'
import type { AddRoute } from '../middleware/routes.ts'
import type { Parts } from '../parts.ts'
import { stateCookies } from '../visitor/cookies.ts'
import { keptUntil } from '../visitor/session-store.ts'
import { isKeptFull, type OwnAvatar, withNewAvatar } from '../visitor/visitor.ts'
import { fileName, otherPngSizes } from './avatar-files.ts'
import { drawnText, textOfLook } from './drawn.ts'
import { elsewhereView } from './elsewhere.ts'
import { formRefused } from './error-page.ts'
import { shortened } from './fields.ts'
import { type Entered, type Problem, type ReadForm, readForm } from './form.ts'
import { validEntered, wallView } from './form-view.ts'
import { fieldsView, homeView, isLink } from './home.ts'
import { lookQuery, lookUrl, nameOfLook, pictureUrl } from './look.ts'
import { profileView, withAccent } from './profile.ts'
import { words } from './words.ts'

/**
 * GET /show_avatar shows an avatar as it will look on Discord. POST /show_avatar makes another avatar with the
 * session's access token.
 */
export function showAvatarPage(route: AddRoute, parts: Parts): void {
  const { config, states, sessions, accounts, avatars, renderers, visitTimeoutMs } = parts
  const cookies = stateCookies(config)

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
    res.render('show-avatar', await pageOf(req, user, avatar))
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
    const page = await pageOf(req, user, newest)
    formRefused(req, res, 'show-avatar', { ...page, ...(await fieldsWithAccent(renderers, user, entered, problems)) })
  }

  /**
   * The letters that the PNG and the GIF lack, for a notice. Empty if they could not be found out in time, because the
   * page is useful without the notice.
   */
  async function lettersWithoutFont({ choice }: Avatar): Promise<string[]> {
    const hasLetters = findStyle(choice.style)?.group === 'text'
    return hasLetters ? renderers.lettersWithoutFont(choice).catch(() => []) : []
  }

  /**
   * The description of the drawing and, if Discord's round crop cuts something off, the avatar's choice with a framing
   * that fits.
   */
  async function drawn(avatar: Avatar) {
    const { choice } = avatar
    const { fittingScale = Number.POSITIVE_INFINITY, parts = [] } = (await avatars.drawing(avatar)) ?? {}
    const fitting = fittingFraming(choice, fittingScale)
    return {
      described: lookWith(words.script, nameOfLook(choice), drawnText(choice, parts)),
      fitting: fitting && { ...choiceOf(avatar), ...fitting },
    }
  }

  /** The address of the GIF; undefined if nothing in the avatar moves, or if that could not be found out in time. */
  async function gifUrl({ id, choice }: Avatar): Promise<string | undefined> {
    const moves = choice.animated && (await renderers.moves(choice).catch(() => false))
    return moves ? `/avatars/${id}.gif` : undefined
  }

  async function pageOf(req: Request, user: User, avatar: OwnAvatar) {
    const { visitor } = req
    return {
      user: profileView(config.discord.cdnUrl, user),
      avatar: {
        ...avatarView(avatar, user),
        ...(await drawn(avatar)),
        gifUrl: await gifUrl(avatar),
        shortSeed: shortened(avatar.choice.seed || user.username),
        otherPngSizes,
        pngName: fileName(user, avatar.choice, 'png'),
        lettersWithoutFont: await lettersWithoutFont(avatar),
      },
      avatars: visitor.avatars.map((one) => avatarView(one, user)),
      removed: visitor.removed && avatarView(visitor.removed.avatar, user),
      isKeptFull: isKeptFull(visitor),
      keptUntil: keptUntil(req),
      wall: wallOf(avatar, req.query.wall),
      ...(await changeView(renderers, req, avatar, user)),
      friends,
      links: linksTo(avatar, user),
      elsewhere: elsewhereView(config, avatar),
    }
  }
}

function signInAgain(res: Response, read: ReadForm): void {
  res.redirect(303, `${lookUrl(read.choice ?? validEntered(read))}&notice=sign-in`)
}

/** The choice from which an avatar was made. Its seed is empty if the avatar's seed is the Discord username. */
function choiceOf({ choice, seedTyped }: Avatar): Choice {
  return { ...choice, seed: seedTyped ? choice.seed : '' }
}

/**
 * Links to the form filled in with this look. If the seed is the visitor's username, the page also offers a link
 * without the seed.
 */
function linksTo({ choice, seedTyped }: Avatar, { username }: User) {
  return {
    isName: !seedTyped || choice.seed === username,
    withSeed: lookUrl(choice),
    withoutSeed: lookUrl({ ...choice, seed: '' }),
  }
}

/**
 * Twelve other faces in the look of an avatar. The visitor may choose one of them. `entered` is the number of the wall
 * in the query.
 */
function wallOf({ id, choice }: Avatar, entered: unknown) {
  const look = { ...choice, animated: false }
  const opened = wallView(entered, look)
  const { faces = [], next = 1 } = opened ?? wallView('1', look) ?? {}
  const query = new URLSearchParams({ wall: String(next), avatar: id })
  return { isOpen: opened !== undefined, faces, moreUrl: `/show_avatar?${query}#twelve` }
}

function avatarView(avatar: OwnAvatar, user: User) {
  const { id, choice } = avatar
  const style = findStyle(choice.style)
  return {
    ...avatar,
    style,
    name: nameOfLook(choice),
    seed: choice.seed || user.username,
    seeThrough: isSeeThrough(choice),
    isMoving: choice.animated && style?.animated,
    svgUrl: `/avatars/${id}.svg`,
    pngUrl: `/avatars/${id}.png`,
  }
}

/**
 * The form for another look, which is shown if the address contains a look. Otherwise the page has only a link to it,
 * because the form is longer than the rest of the page.
 */
async function changeView(renderers: Renderers, { query }: Request, avatar: Avatar, user: User) {
  const look = lookQuery(choiceOf(avatar))
  look.set('avatar', avatar.id)
  const changeUrl = `/show_avatar?${look}#here`
  if (!isLink(query)) return { changeUrl, form: { problems: [] } }
  const valid = validEntered(readForm(query))
  const entered = { ...valid, style: valid.style || avatar.choice.style }
  return { changeUrl, ...(await fieldsWithAccent(renderers, user, entered, [], query)) }
}

/** The values of the form's cards, with the accent colour of the visitor's profile among the swatches. */
async function fieldsWithAccent(renderers: Renderers, user: User, entered: Entered, problems: Problem[], query = {}) {
  const fields = fieldsView(entered, problems, query, user.username)
  const { look, name, background: cards } = fields.form
  const background = { ...cards, first: withAccent(cards.first, user) }
  const described = lookWith(words.script, name, await textOfLook(renderers, look))
  return { ...fields, form: { ...fields.form, background, described } }
}

/** The pictures of the other people in the drawn chat and list of members. */
const friends = {
  first: pictureUrl({ seed: 'kit', style: 'bottts', backgroundColor: 'a9d6f5' }),
  second: pictureUrl({ seed: 'lena', style: 'notionists', backgroundColor: 'c9c3f5' }),
}

import type { Request } from 'express'
import { fittingFraming } from '../../public/js/circle.js'
import { lookWith } from '../../public/js/look.js'
import type { Avatar } from '../avatar/avatars.ts'
import { findStyle } from '../avatar/catalogue.ts'
import { type Choice, isSeeThrough } from '../avatar/choice.ts'
import type { User } from '../discord/user.ts'
import type { Parts } from '../parts.ts'
import { secondsLeft } from '../visitor/session-store.ts'
import { isKeptFull, type OwnAvatar } from '../visitor/visitor.ts'
import { fileName, otherPngSizes } from './avatar-files.ts'
import { describeLook, descriptionOf } from './description.ts'
import { elsewhereView } from './elsewhere.ts'
import { shortened } from './field-schemas.ts'
import { fieldsView } from './fields-view.ts'
import { type Entered, isLink, type Problem, readForm } from './form.ts'
import { validEntered, wallView } from './form-view.ts'
import { lookQuery, lookUrl, nameOfLook, pictureUrl } from './look.ts'
import { profileView, withAccent } from './profile.ts'
import { words } from './words.ts'

/** Functions that return the values of the view `show-avatar`. */
export function createShowView({ config, avatars, renderers }: Parts) {
  /**
   * The letters that the PNG and the GIF lack, for a notice. If they cannot be found out in time, there is no notice.
   */
  async function lettersWithoutFont({ choice }: Avatar): Promise<string[]> {
    const hasLetters = findStyle(choice.style)?.group === 'text'
    return hasLetters ? renderers.lettersWithoutFont(choice).catch(() => []) : []
  }

  /**
   * The description of the drawing, whether it shows anything and, if Discord's round crop cuts something off, the
   * avatar's choice with a framing that fits.
   */
  async function drawn(avatar: Avatar) {
    const { choice } = avatar
    const drawing = await avatars.drawing(avatar)
    const { fittingScale = Number.POSITIVE_INFINITY, parts = [], isEmpty = false } = drawing ?? {}
    const fitting = fittingFraming(choice, fittingScale)
    return {
      described: lookWith(words.script, nameOfLook(choice), descriptionOf(choice, parts)),
      isEmpty,
      fitting: fitting && { ...choiceOf(avatar), ...fitting },
    }
  }

  /** The address of the GIF; undefined if nothing in the avatar moves, or if that could not be found out in time. */
  async function gifUrl({ id, choice }: Avatar): Promise<string | undefined> {
    const moves = choice.animated && (await renderers.moves(choice).catch(() => false))
    return moves ? `/avatars/${id}.gif` : undefined
  }

  /**
   * The form for another look. It is shown only if the address contains a look, because it is longer than the rest of
   * the page. Otherwise there is a link to it.
   */
  async function changeView({ query }: Request, avatar: Avatar, user: User) {
    const look = lookQuery(choiceOf(avatar))
    look.set('avatar', avatar.id)
    const changeUrl = `/show_avatar?${look}#here`
    if (!isLink(query)) return { changeUrl, form: { problems: [] } }
    const valid = validEntered(readForm(query))
    const entered = { ...valid, style: valid.style || avatar.choice.style }
    return { changeUrl, ...(await fieldsWithAccent(user, entered, [], query)) }
  }

  /** The values of the form's cards, with the accent colour of the visitor's profile among the swatches. */
  async function fieldsWithAccent(user: User, entered: Entered, problems: Problem[], query = {}) {
    const fields = fieldsView(entered, problems, query, user.username)
    const { look, name } = fields.form
    const background = { ...fields.form.background, first: withAccent(fields.form.background.first, user) }
    // Without a style the preview is an example, and has no name.
    const described = name && lookWith(words.script, name, await describeLook(renderers, look))
    return { ...fields, form: { ...fields.form, background, described } }
  }

  /** The values of the view for an avatar. */
  async function pageOf(req: Request, user: User, avatar: OwnAvatar) {
    const { visitor } = req
    const [drawing, gif, letters, change] = await Promise.all([
      drawn(avatar),
      gifUrl(avatar),
      lettersWithoutFont(avatar),
      changeView(req, avatar, user),
    ])
    return {
      user: profileView(config.discord.cdnUrl, user),
      avatar: {
        ...avatarView(avatar, user),
        ...drawing,
        gifUrl: gif,
        shortSeed: shortened(avatar.choice.seed || user.username),
        otherPngSizes,
        pngName: fileName(user, avatar.choice, 'png'),
        lettersWithoutFont: letters,
      },
      avatars: visitor.avatars.map((one) => avatarView(one, user)),
      removed: visitor.removed && avatarView(visitor.removed.avatar, user),
      isKeptFull: isKeptFull(visitor),
      // When the visitor's avatars will be deleted if no further request comes.
      keptUntil: new Date(Date.now() + 1000 * secondsLeft(req.session)),
      wall: wallOf(avatar, req.query.wall),
      ...change,
      friends,
      links: linksTo(avatar, user),
      elsewhere: elsewhereView(config, avatar),
    }
  }

  return { pageOf, fieldsWithAccent }
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
 * The wall: twelve other faces in the look of an avatar, of which the visitor may choose one. `entered` is the number
 * of the wall in the query; without one the wall is closed.
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

/** The pictures of two other members in the preview of a chat and of a list of members. */
const friends = {
  first: pictureUrl({ seed: 'kit', style: 'bottts', backgroundColor: 'a9d6f5' }),
  second: pictureUrl({ seed: 'lena', style: 'notionists', backgroundColor: 'c9c3f5' }),
}

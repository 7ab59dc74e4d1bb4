import { randomInt } from 'node:crypto'
import { type Request, type RequestHandler, type Response, Router } from 'express'
import { LRUCache } from 'lru-cache'
import type { Avatar } from '../avatar/avatars.ts'
import { type Choice, isSeeThrough } from '../avatar/choice.ts'
import { findStyle } from '../avatar/styles.ts'
import type { Tokens, User } from '../discord/client.ts'
import { pictureOf } from '../discord/picture.ts'
import { DiscordTimeout, GrantRefused, NotFound, NotSignedIn, TokenRefused } from '../errors.ts'
import { onlyBy } from '../middleware/methods.ts'
import type { Parts } from '../parts.ts'
import { historyOf, withAvatar } from '../visitor/history.ts'
import { change, load, type Visitor, visitorOf } from '../visitor/session.ts'
import { fresh, openTokens, sealTokens } from '../visitor/tokens.ts'
import { type Entered, formRefused, goodPart, type Problem, type ReadForm, readForm } from './form.ts'
import { lookUrl } from './look.ts'
import { rendered } from './views.ts'
import { words } from './words.ts'

/** Room for the pages that were shown last. Most people look once, so one is kept from its second time on. */
const pageBytes = 8 * 1024 * 1024
/** Stands in the fresh seed's place in a page that is kept. Nobody can enter it: it begins with a control character. */
const seedToCome = '\u0001seed'

/** GET /show_avatar: the avatar where Discord shows it. POST: another one, without a trip to Discord. */
export function showAvatarPage(parts: Parts, form: RequestHandler[], session: RequestHandler): Router {
  const { config, sealer, discord, avatars, patienceMs } = parts
  const refreshing = new Map<string, Promise<Tokens | undefined>>()
  // A session that changed is read anew, so the avatar in hand stands for all that was read with it.
  const pages = new LRUCache<Avatar, Buffer[] | 'shown once'>({
    maxSize: pageBytes,
    sizeCalculation: (known) => (known === 'shown once' ? 500 : known.reduce((sum, { length }) => sum + length, 500)),
  })
  const router = Router({ caseSensitive: true })

  router.get('/show_avatar', session, async (req, res) => {
    const { user, avatars: kept } = visitorOf(req)
    const [newest] = kept
    if (user === undefined || newest === undefined) return res.redirect(303, '/')
    const named = req.query.avatar
    const avatar = named === undefined ? newest : kept.find(({ id }) => id === named)
    if (avatar === undefined) throw new NotFound('not an avatar of this visitor')
    const html = (seed: string) => page(user, avatar, kept, seed).then((shown) => rendered(res, 'show-avatar', shown))
    const known = pages.get(avatar)
    if (known === undefined) {
      pages.set(avatar, 'shown once')
      return res.type('html').send(await html(freshSeed()))
    }
    const around = known === 'shown once' ? aroundSeed(await html(seedToCome)) : known
    pages.set(avatar, around)
    const seed = Buffer.from(freshSeed())
    res.type('html').send(Buffer.concat(around.flatMap((part, i) => (i === 0 ? [part] : [seed, part]))))
  })

  router.post('/show_avatar', ...form, async (req, res) => {
    const read = readForm(req.body)
    const { choice, entered, problems } = read
    // Before the session is asked for: whatever fails, the look is kept.
    res.locals.choice = choice
    await load(session, req, res)
    const visitor = visitorOf(req)
    if (!visitor.user || !visitor.tokens) return signInAgain(res, read)
    if (!choice) return refused(req, res, visitor, entered, problems)
    const isSignedIn = await restyled(req, visitor.user, choice).catch((error) => {
      // Signed out meanwhile, in another tab.
      if (error instanceof NotSignedIn) return false
      throw error
    })
    if (isSignedIn) res.redirect(303, '/show_avatar')
    else signInAgain(res, read)
  })

  router.all('/show_avatar', onlyBy('GET', 'HEAD', 'POST'))

  /** Another avatar in the session; false when the visitor has to sign in again. */
  async function restyled(req: Request, knownUser: User, choice: Choice): Promise<boolean> {
    // Up to four calls to Discord and one to DiceBear, and the visitor waits for all of them.
    const until = performance.now() + patienceMs
    const early = choice.seed === '' ? undefined : avatars.make(choice, true, until)
    early?.catch(() => undefined)
    const user = await whoIsIt(req, knownUser, until)
    if (user === undefined) return false
    const avatar = await (early ?? avatars.make({ ...choice, seed: user.username }, false, until))
    await change(req, parts, (known) => ({
      ...known,
      choice,
      user,
      avatars: withAvatar(historyOf(known, user), avatar),
    }))
    return true
  }

  /** The user, asked anew; undefined when the visitor has to sign in again. */
  async function whoIsIt(req: Request, user: User, until: number): Promise<User | undefined> {
    const tokens = await freshTokens(req, until)
    if (tokens === undefined) return undefined
    try {
      return await discord.fetchUser(tokens.accessToken, user.id, { until })
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error
    }
    const renewed = await freshTokens(req, until, tokens.accessToken)
    if (renewed === undefined) return undefined
    try {
      return await discord.fetchUser(renewed.accessToken, user.id, { until })
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error
      await change(req, parts, withoutTokens)
      return undefined
    }
  }

  /** Tokens that Discord should take: those of the session, refreshed where they have ended or were refused. */
  async function freshTokens(req: Request, until: number, refused?: string): Promise<Tokens | undefined> {
    const known = openTokens(sealer, visitorOf(req).tokens)
    const good = (tokens: Tokens) => fresh(tokens) && tokens.accessToken !== refused
    if (known && good(known)) return known
    // Who asks meanwhile shares the answer, a failure too.
    const { sessionID } = req
    const underWay =
      refreshing.get(sessionID) ?? refreshedIn(req, until, good).finally(() => refreshing.delete(sessionID))
    refreshing.set(sessionID, underWay)
    return underWay
  }

  async function refreshedIn(
    req: Request,
    until: number,
    good: (tokens: Tokens) => boolean,
  ): Promise<Tokens | undefined> {
    let tokens: Tokens | undefined
    const since = Date.now()
    // A refresh token works once, so one request refreshes; another instance that waited finds the new tokens.
    await change(req, parts, async (visitor) => {
      tokens = openTokens(sealer, visitor.tokens)
      if (tokens && good(tokens)) return visitor
      // Another instance has just waited for Discord in vain; this visitor has waited as long.
      if (Date.now() - since > config.upstreamTimeoutMs / 2) throw new DiscordTimeout('waited for another refresh')
      tokens = tokens && (await refreshed(tokens.refreshToken, until))
      return tokens ? { ...visitor, tokens: sealTokens(sealer, tokens) } : withoutTokens(visitor)
    })
    return tokens
  }

  async function refreshed(refreshToken: string | undefined, until: number): Promise<Tokens | undefined> {
    if (refreshToken === undefined) return undefined
    try {
      return await discord.refresh(refreshToken, until)
    } catch (error) {
      if (error instanceof GrantRefused) return undefined
      throw error
    }
  }

  /** The form again: on this page, or on the first one where every avatar was forgotten. */
  async function refused(req: Request, res: Response, visitor: Visitor, entered: Entered, problems: Problem[]) {
    const [newest] = visitor.avatars
    const there = visitor.user && newest && (await page(visitor.user, newest, visitor.avatars, freshSeed()))
    formRefused(req, res, there ? 'show-avatar' : 'home', {
      notices: [],
      ...there,
      choice: entered,
      problems,
    })
  }

  async function page(user: User, avatar: Avatar, kept: Avatar[], seed: string) {
    return {
      user: {
        displayName: user.globalName ?? user.username,
        username: user.username,
        pictureUrl: pictureOf(config.discord.cdnUrl, user),
      },
      avatar: {
        ...shown(avatar),
        cutOff: await avatars.isCutByCircle(avatar),
        gifUrl: await gifUrl(avatar),
      },
      avatars: kept.map(shown),
      problems: [],
      notices: [],
      freshSeed: seed,
      lookLink: lookUrl({ ...avatar.choice, seed: avatar.seedTyped ? avatar.choice.seed : '' }),
    }
  }

  return router
}

function signInAgain(res: Response, read: ReadForm): void {
  res.redirect(303, `${lookUrl(goodPart(read))}&notice=sign-in`)
}

function withoutTokens({ tokens: _, ...visitor }: Visitor): Visitor {
  return visitor
}

/** Where the look can be had as a picture that moves. What finds that out is imported only where it may. */
async function gifUrl({ id, choice }: Avatar): Promise<string | undefined> {
  if (!choice.animated) return undefined
  const { moves } = await import('../pictures/gif.ts')
  return (await moves(choice)) ? `/avatars/${id}.gif` : undefined
}

function shown(avatar: Avatar) {
  return {
    ...avatar,
    seeThrough: isSeeThrough(avatar.choice),
    styleTitle: findStyle(avatar.choice.style)?.title ?? avatar.choice.style,
    svgUrl: `/avatars/${avatar.id}.svg`,
    pngUrl: `/avatars/${avatar.id}.png`,
  }
}

/** A page in parts, in bytes as they are sent: a fresh seed goes in between. */
const aroundSeed = (html: string) => html.split(seedToCome).map((part) => Buffer.from(part))

function freshSeed(): string {
  const pick = (list: string) => {
    const all = list.split(' ')
    return all[randomInt(all.length)] ?? ''
  }
  return `${pick(words.script.rollFirst)} ${pick(words.script.rollSecond)}`
}

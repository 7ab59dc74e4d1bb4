import { hash } from 'node:crypto'
import { type Request, type RequestHandler, type Response, Router } from 'express'
import { z } from 'zod'
import type { Choice } from '../avatar/choice.ts'
import { issuer, type Tokens, type User } from '../discord/client.ts'
import {
  DiscordCircuitOpen,
  DiscordRateLimitActive,
  DiscordRefusedClient,
  InvalidCallback,
  SignInFailed,
  StoreUnavailable,
  TokenRefused,
  UnknownState,
} from '../errors.ts'
import { onlyBy } from '../middleware/methods.ts'
import type { Parts } from '../parts.ts'
import { accountSwitch, stateCookies } from '../visitor/cookies.ts'
import { historyOf, withAvatar } from '../visitor/history.ts'
import { adopt, changeIn, load, renew, type Visitor, visitorOf } from '../visitor/session.ts'
import type { Outcome, StateCookie } from '../visitor/states.ts'
import { fresh, openTokens, sealTokens } from '../visitor/tokens.ts'
import { formRefused, readForm } from './form.ts'
import { lookUrl } from './look.ts'

/** POST /get_avatar: off to Discord. GET /get_avatar: back again, with an avatar at the end. */
export function getAvatarPage(parts: Parts, form: RequestHandler[], session: RequestHandler): Router {
  const { config, log, sealer, pending, discord, avatars, patienceMs } = parts
  const cookies = stateCookies(config)
  const accounts = accountSwitch(config)
  const router = Router({ caseSensitive: true })

  router.post('/get_avatar', ...form, async (req, res) => {
    const { choice, entered, problems } = readForm(req.body)
    if (!choice) return formRefused(req, res, 'home', { choice: entered, problems, notices: [] })
    res.locals.choice = choice
    const { state, verifier, cookie } = await pending.start(choice)
    await pending.forget(cookies.makeRoom(req, res))
    cookies.set(res, cookie)
    const prompt = accounts.isAsked(req) ? 'consent' : 'none'
    res.redirect(302, discord.authorizeUrl(state, verifier, prompt))
  })

  router.get('/get_avatar', untouched, async (req, res) => {
    const callback = readCallback(req.query)
    if (callback === undefined) return res.redirect(303, '/')
    const cookie = cookies.of(req, callback.state)
    if (cookie === undefined) throw new UnknownState('no state cookie for this state')
    // Both ask Redis, and neither needs the other.
    const loaded = load(session, req, res)
    loaded.catch(() => undefined)
    const visit = await pending.take(cookie)
    if (visit.ended) {
      await loaded
      cookies.letGo(res, cookie, visit.ended.until)
      return land(req, res, visit.ended.choice, visit.ended.outcome)
    }
    res.locals.choice = visit.choice
    try {
      await loaded
      const outcome = await comeBack(req, callback, cookie, visit)
      await settle(req, visit, outcome)
      cookies.letGo(res, cookie)
      await land(req, res, visit.choice, outcome)
    } catch (error) {
      if (reloadable.some((Reason) => error instanceof Reason)) await visit.giveBack()
      else {
        await settle(req, visit, { end: 'failed' })
        cookies.letGo(res, cookie)
      }
      throw error
    }
  })

  router.all('/get_avatar', onlyBy('GET', 'HEAD', 'POST'))

  /** Keeps how the visit ended, for a second request. The visitor's own answer stands without it. */
  async function settle(req: Request, visit: { settle(outcome: Outcome): Promise<void> }, outcome: Outcome) {
    await visit.settle(outcome).catch((err) => log.warn({ err, reqId: req.id }, 'outcome not kept'))
  }

  async function comeBack(
    req: Request,
    callback: Callback,
    cookie: StateCookie,
    { choice, verifier, since }: { choice: Choice; verifier: string; since: number },
  ): Promise<Outcome> {
    if (callback.error === 'access_denied') return { end: 'declined' }
    if (callback.code === undefined) {
      log.warn({ reqId: req.id, error: callback.error?.slice(0, 40) }, 'Discord came back with an error')
      throw new SignInFailed('Discord came back with an error')
    }
    // A typed seed is all that DiceBear needs: it is asked while Discord is. An empty one waits for the name.
    // Up to three calls to Discord and one to DiceBear, and the visitor waits for all of them.
    const until = performance.now() + patienceMs
    const early = choice.seed === '' ? undefined : avatars.make(choice, true, until)
    early?.catch(() => undefined)
    const { user, tokens } = await signIn(req, callback.code, callback.state, verifier, until)
    const avatar = await (early ?? avatars.make({ ...choice, seed: user.username }, false, until))
    const beside = await pending.signedInBeside(cookies.besides(req, cookie), since)
    await keep(req, user, beside, (known) => ({
      choice,
      user,
      tokens,
      avatars: withAvatar(historyOf(known, user), avatar),
    }))
    return { end: 'signed-in', sessionId: req.sessionID }
  }

  /** Who the visitor is: by the token that the session holds while it is good, else by the code in hand. */
  async function signIn(req: Request, code: string, state: string, verifier: string, until: number) {
    const visitor = visitorOf(req)
    const cached = openTokens(sealer, visitor.tokens)
    if (cached && visitor.tokens && fresh(cached)) {
      const user = await whoIs(visitor, cached, until).catch((error) => {
        if (error instanceof TokenRefused) return undefined
        throw error
      })
      if (user) return { user, tokens: visitor.tokens }
    }
    const tokens = await discord.exchangeCode(code, state, verifier, until)
    const sealed = sealTokens(sealer, tokens)
    try {
      const user = await whoIs(visitor, tokens, until, visitor.user === undefined)
      return { user, tokens: sealed }
    } catch (error) {
      if (error instanceof TokenRefused)
        throw new DiscordRefusedClient('Discord refuses its own fresh token', { cause: error })
      // The tokens are good, and the next try needs no exchange.
      await renew(req, parts, (known) => ({ ...known, tokens: sealed }))
      throw error
    }
  }

  function whoIs(visitor: Visitor, tokens: Tokens, until: number, isNew = false): Promise<User> {
    return discord.fetchUser(tokens.accessToken, visitor.user?.id ?? hash('sha256', tokens.accessToken, 'base64url'), {
      until,
      isNew,
    })
  }

  /** Keeps the visitor under a new session id, or where another tab of this browser has just signed the same user in. */
  async function keep(req: Request, user: User, beside: string[], next: (known: Visitor) => Visitor): Promise<void> {
    for (const id of beside) {
      if (id !== req.sessionID && (await changeIn(req, parts, id, next, user))) return
    }
    await renew(req, parts, next)
  }

  /** Where a visit ends, for its first request and for a second one of the same browser. */
  async function land(req: Request, res: Response, choice: Choice, outcome: Outcome): Promise<void> {
    if (outcome.end === 'declined') return res.redirect(303, `${lookUrl(choice)}&notice=declined`)
    res.locals.choice = choice
    if (outcome.end === 'failed') throw new UnknownState('this visit ended without an avatar')
    // Another tab may have put a newer session in the place of the one that this visit ended with.
    const isHere = outcome.sessionId === req.sessionID || (await adopt(req, outcome.sessionId)) || visitorOf(req).user
    if (!isHere) throw new UnknownState('the session of this visit has ended')
    accounts.done(req, res)
    res.redirect(302, '/show_avatar')
  }

  return router
}

// What could not be kept, or was not asked, may be tried again, by a reload of this very address.
const reloadable = [StoreUnavailable, DiscordRateLimitActive, DiscordCircuitOpen]

// A browser that looks ahead must not use up the code, nor must a HEAD.
const untouched: RequestHandler = (req, res, next) => {
  const ahead = `${req.get('sec-purpose') ?? ''} ${req.get('purpose') ?? ''}`.includes('prefetch')
  if (req.method === 'HEAD' || ahead) res.status(204).end()
  else next()
}

// Visible ASCII, RFC 6749 appendix A; Discord's codes have 30 characters, and may grow.
const once = z.string().regex(/^[\x21-\x7e]{1,1024}$/)

const CallbackQuery = z
  .object({ code: once, state: once, error: once, iss: z.literal(issuer) })
  .partial()
  .refine(({ code, error }) => code === undefined || error === undefined)

type Callback = { state: string; code?: string | undefined; error?: string | undefined }

/** What Discord's redirect says (RFC 6749, 4.1.2), or undefined when it is no redirect of Discord's at all. */
function readCallback(query: unknown): Callback | undefined {
  const read = CallbackQuery.safeParse(query)
  if (!read.success) throw new InvalidCallback('a wrong, repeated or overlong parameter')
  const { code, state, error } = read.data
  if (code === undefined && state === undefined && error === undefined) return undefined
  if (state === undefined || (code === undefined && error === undefined))
    throw new InvalidCallback('state, code or error is missing')
  return { state, code, error }
}

import type { Request, RequestHandler, Response } from 'express'
import { z } from 'zod'
import { issuer } from '../discord/client.ts'
import {
  DiscordCircuitOpen,
  DiscordRateLimitActive,
  InvalidCallback,
  LockLost,
  NotSignedIn,
  SignInFailed,
  StoreUnavailable,
  UnknownState,
} from '../errors.ts'
import { form } from '../middleware/form-body.ts'
import type { AddRoute } from '../middleware/routes.ts'
import { isFromOtherName } from '../middleware/same-origin.ts'
import type { Parts } from '../parts.ts'
import { consentCookie, type StateCookie, stateCookies } from '../visitor/cookies.ts'
import type { Ended, Outcome, TakenState } from '../visitor/states.ts'
import { withNewAvatar } from '../visitor/visitor.ts'
import { formRefused } from './error-page.ts'
import { readForm } from './form.ts'
import { homeView } from './home.ts'
import { lookUrl } from './look.ts'

/** POST /get_avatar sends the visitor to Discord. Discord sends the visitor back to GET /get_avatar, the callback. */
export function getAvatarPage(route: AddRoute, parts: Parts): void {
  const { config, log, states, sessions, accounts, discord, avatars, visitTimeoutMs } = parts
  const cookies = stateCookies(config)
  const consent = consentCookie(config)

  const getAvatar = route('/get_avatar', { GET: 'page', POST: 'sign-in', otherNames: true })

  getAvatar.post(...form, async (req, res) => {
    const { choice, entered, problems } = readForm(req.body)
    if (!choice) return formRefused(req, res, 'home', homeView(entered, problems))
    if (isFromOtherName(req, config)) return res.redirect(303, `${config.baseUrl}${lookUrl(choice)}&notice=address`)
    res.locals.choice = choice
    discord.checkSignIn()
    const { state, verifier, cookie } = await states.start(choice)
    await states.forget(cookies.clearOldest(req, res))
    cookies.set(res, cookie)
    res.redirect(302, discord.authorizeUrl(state, verifier, consent.isSet(req) ? 'consent' : 'none'))
  })

  getAvatar.get(refusePrefetch, async (req, res) => {
    const callback = readCallback(req.query)
    if (callback === undefined) return res.redirect(303, '/')
    const cookie = cookies.of(req, callback.state)
    if (cookie === undefined) throw new UnknownState('no cookie of this state')
    await sessions.loadNow(req, res)
    const taken = await states.take(cookie)
    if ('ended' in taken) {
      cookies.expireWithOutcome(res, cookie, taken.endsInMs)
      return respond(req, res, taken.ended)
    }
    res.locals.choice = taken.choice
    const ended = await completeSignIn(req, res, callback, taken).catch(async (error) => {
      await handleFailure(req, res, cookie, taken, error)
      throw error
    })
    cookies.expireWithOutcome(res, cookie)
    await respond(req, res, ended)
  })

  /** The sequence of a sign-in: Discord -> user -> DiceBear -> file -> session. Returns the stored outcome. */
  async function completeSignIn(req: Request, res: Response, callback: Callback, taken: TakenState) {
    if (callback.error === 'access_denied') return storeOutcome(taken, { end: 'declined' })
    if (callback.code === undefined) {
      log.warn({ reqId: req.id, error: callback.error?.slice(0, 40) }, 'Discord came back with an error')
      if (needsConsent.has(callback.error)) consent.set(res)
      throw new SignInFailed('Discord came back with an error')
    }
    const { choice, verifier, key, startedAt } = taken
    const { code } = callback
    const deadline = performance.now() + visitTimeoutMs
    const isStranger = req.visitor.user === undefined
    const finishAvatar = avatars.begin(choice, deadline)
    const { user, tokens, isNew } = await accounts.identifyByCode(req, res, { code, verifier }, deadline)
    const avatar = await finishAvatar(user.username)
    try {
      return await states.withOtherTabs(key, cookies.all(req), async (otherTabs) => {
        const sessionId = await sessions.signIn(req, res, { user, otherTabs, startedAt }, (visitor) => ({
          ...withNewAvatar(visitor, user, avatar),
          tokens,
        }))
        return storeOutcome(taken, { end: 'signed-in', sessionId })
      })
    } catch (error) {
      // Another request has taken the state, or the visitor has signed out. A session created here is deleted again.
      if (isStranger && (error instanceof NotSignedIn || error instanceof LockLost)) await sessions.discard(req)
      if (!(error instanceof NotSignedIn)) throw error
      if (isNew) await accounts.revoke([tokens])
      throw new UnknownState('signed out meanwhile', { cause: error })
    }
  }

  async function storeOutcome(taken: TakenState, outcome: Outcome) {
    const ended = await taken.storeOutcome(outcome)
    if (ended === undefined) throw new NotSignedIn('the state was forgotten meanwhile')
    return ended
  }

  /** Ends the sign-in as failed, unless a reload of the same address may succeed. */
  async function handleFailure(req: Request, res: Response, cookie: StateCookie, taken: TakenState, error: unknown) {
    if (reloadable.some((Reason) => error instanceof Reason)) return taken.release()
    if (await taken.storeOutcome({ end: 'failed' })) return cookies.expireWithOutcome(res, cookie)
    // The visitor has signed out meanwhile, so the tokens that were stored for the next attempt must not be used.
    const { user, tokens } = req.visitor
    if (user !== undefined || tokens === undefined) return
    await sessions.discard(req)
    await accounts.revoke([tokens])
  }

  /** Sends the response for an outcome, to the first request of a callback or to a later one. */
  async function respond(req: Request, res: Response, { choice, outcome }: Ended): Promise<void> {
    if (outcome.end === 'declined') return res.redirect(303, `${lookUrl(choice)}&notice=declined`)
    res.locals.choice = choice
    if (outcome.end === 'failed') throw new UnknownState('this visit ended without an avatar')
    const isHere = outcome.sessionId === req.sessionID || (await sessions.continueIn(req, res, outcome.sessionId))
    if (!isHere && req.visitor.user === undefined) throw new UnknownState('the session of this visit has ended')
    consent.clear(req, res)
    res.redirect(302, '/show_avatar')
  }
}

/** After these errors of `prompt=none` the next sign-in uses `prompt=consent` (OpenID Connect Core, 3.1.2.6). */
const needsConsent = new Set<unknown>(['login_required', 'consent_required', 'interaction_required'])

// After these errors nothing was sent to Discord, or the result was not stored: code and state may still be valid.
const reloadable = [StoreUnavailable, DiscordRateLimitActive, DiscordCircuitOpen]

/** HEAD and prefetches must not use up the code. https://developer.mozilla.org/docs/Web/HTTP/Headers/Sec-Purpose */
const refusePrefetch: RequestHandler = (req, res, next) => {
  const purpose = `${req.get('sec-purpose') ?? ''} ${req.get('purpose') ?? ''}`
  if (req.method === 'HEAD' || purpose.includes('prefetch')) res.status(204).end()
  else next()
}

// Visible ASCII (RFC 6749, appendix A). Discord's codes have 30 characters now, but may become longer.
const parameter = z.string().regex(/^[\x21-\x7e]{1,1024}$/)

const CallbackQuery = z
  .object({ code: parameter, state: parameter, error: parameter, iss: z.literal(issuer) })
  .partial()
  .refine(({ code, error }) => code === undefined || error === undefined)

type Callback = { state: string; code?: string | undefined; error?: string | undefined }

/** The parameters of Discord's redirect (RFC 6749, 4.1.2); undefined if there are none. Throws InvalidCallback. */
function readCallback(query: unknown): Callback | undefined {
  const read = CallbackQuery.safeParse(query)
  if (!read.success) throw new InvalidCallback('a wrong, repeated or overlong parameter')
  const { code, state, error } = read.data
  if (code === undefined && state === undefined && error === undefined) return undefined
  if (state === undefined || (code === undefined && error === undefined)) {
    throw new InvalidCallback('state, code or error is missing')
  }
  return { state, code, error }
}

import { hash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Request, Response } from 'express'
import { LRUCache } from 'lru-cache'
import type { Logger } from 'pino'
import type { Discord } from '../discord/client.ts'
import type { Tokens } from '../discord/responses.ts'
import type { User } from '../discord/user.ts'
import { DiscordRefusedClient, DiscordTimeout, GrantRefused, NotSignedIn, TokenRefused } from '../errors.ts'
import type { Sessions } from './session.ts'
import { isFresh, openTokens, type SealedTokens, type Sealer, sealTokens } from './tokens.ts'
import { userHasher } from './user-sessions.ts'
import type { Visitor } from './visitor.ts'

/** How long a sign-out waits until Discord has revoked the tokens. */
const revokeTimeoutMs = 1500

type AccountParts = {
  discord: Discord
  sessions: Sessions
  sealer: Sealer
  secrets: string[]
  log: Logger
  upstreamTimeoutMs: number
}

/** A user and the tokens that identify the user. With `isNew` the tokens are new, and not stored in the session yet. */
type Identity = { user: User; tokens: SealedTokens; isNew: boolean }

/**
 * The life of a token: a callback exchanges the code for the token, the session stores it, a request refreshes it after
 * it has expired or was refused, and a sign-out revokes it. For `deadline` see `UpstreamRequest`.
 */
export function createAccounts({ discord, sessions, sealer, secrets, log, upstreamTimeoutMs }: AccountParts) {
  const hashesOf = userHasher(secrets)
  /**
   * Tokens that Discord has just issued, by the PKCE verifier of the code, or by the sealed tokens that were refreshed.
   * Code and refresh token are then used up. If Redis fails before new tokens are stored, the visitor's next request to
   * this process finds them here, for a minute.
   */
  const issued = new LRUCache<string, Tokens>({ max: 1000, ttl: 60_000 })

  async function issueOnce(key: string, request: () => Promise<Tokens>): Promise<Tokens> {
    const tokens = issued.get(key) ?? (await request())
    issued.set(key, tokens)
    return tokens
  }

  /**
   * Identifies the user who returns from Discord: by the session's access token if it is still valid, otherwise by the
   * authorization code. If the exchange of the code succeeds and users/@me fails, the new tokens are stored for the
   * next attempt. Throws GrantRefused if Discord does not accept the code, and the other errors of Discord's client.
   */
  async function identifyByCode(
    req: Request,
    res: Response,
    { code, verifier }: { code: string; verifier: string },
    deadline: number,
  ): Promise<Identity> {
    const { user: knownUser, tokens: sealed } = req.visitor
    const cached = openTokens(sealer, sealed)
    if (cached && sealed && isFresh(cached)) {
      const user = await undefinedIfRefused(fetchUser(cached, knownUser, deadline))
      if (user) return { user, tokens: sealed, isNew: false }
    }
    const newTokens = await issueOnce(verifier, () => discord.exchangeCode(code, verifier, deadline))
    const tokens = sealTokens(sealer, newTokens)
    try {
      const user = await fetchUser(newTokens, knownUser, deadline, knownUser === undefined)
      return { user, tokens, isNew: true }
    } catch (error) {
      if (error instanceof TokenRefused) {
        throw new DiscordRefusedClient('Discord refused a token that it has just issued', { cause: error })
      }
      await sessions.signIn(req, res, {}, (visitor) => ({ ...visitor, tokens }))
      throw error
    }
  }

  /** Asks Discord for the user; undefined if Discord refuses the tokens. `refused` is a token that was just refused. */
  async function identify(req: Request, deadline: number, refused?: string): Promise<User | undefined> {
    const tokens = await usableTokens(req, deadline, refused)
    if (tokens === undefined) return undefined
    const user = await undefinedIfRefused(fetchUser(tokens, req.visitor.user, deadline))
    if (user) return user
    // The tokens are refreshed once. If Discord refuses the new ones, too, they are useless.
    if (refused === undefined) return identify(req, deadline, tokens.accessToken)
    await sessions.change(req, (visitor) => ({ ...visitor, tokens: undefined }))
    return undefined
  }

  /** The session's tokens, refreshed if the access token has expired or is the one that was refused. */
  async function usableTokens(req: Request, deadline: number, refused?: string): Promise<Tokens | undefined> {
    const isUsable = (tokens: Tokens) => isFresh(tokens) && tokens.accessToken !== refused
    const cached = openTokens(sealer, req.visitor.tokens)
    if (cached && isUsable(cached)) return cached
    const since = performance.now()
    let newTokens: SealedTokens | undefined
    try {
      // A refresh token can be used once. So one request refreshes under the session's lock, others find its tokens.
      const { tokens } = await sessions.change(req, async (visitor) => {
        const stored = openTokens(sealer, visitor.tokens)
        if (stored && isUsable(stored)) return visitor
        // A request that has waited this long for the lock gives up, because the request that had the lock has waited
        // in vain for Discord. The lock of a killed process ends sooner, after `lockTtlS`.
        if (performance.now() - since > 0.8 * upstreamTimeoutMs) throw new DiscordTimeout('waited for another refresh')
        const refreshed = await refresh(visitor, deadline)
        newTokens = refreshed && sealTokens(sealer, refreshed)
        return { ...visitor, tokens: newTokens }
      })
      return openTokens(sealer, tokens)
    } catch (error) {
      // The session ended during the refresh, so a sign-out has not seen the new tokens, and nothing will use them.
      if (error instanceof NotSignedIn && newTokens) await revoke([newTokens])
      throw error
    }
  }

  /** Returns undefined if there is no refresh token, or if Discord does not accept it. */
  async function refresh({ user, tokens: sealed }: Visitor, deadline: number): Promise<Tokens | undefined> {
    const tokens = openTokens(sealer, sealed)
    const refreshToken = tokens?.refreshToken
    if (!sealed || !tokens || refreshToken === undefined) return undefined
    const request = () => discord.refresh(refreshToken, limitKeyOf(tokens, user), deadline)
    return undefinedIfRefused(issueOnce(sealed.sealed, request))
  }

  function fetchUser(tokens: Tokens, known: User | undefined, deadline: number, isNew = false): Promise<User> {
    return discord.fetchUser(tokens.accessToken, limitKeyOf(tokens, known), deadline, isNew)
  }

  /** The key of a user in Discord's limit per user: a hash of the id, or of the token if the id is unknown. */
  function limitKeyOf(tokens: Tokens, known: User | undefined): string {
    const [hashOfUser] = known ? hashesOf(known.id) : []
    return hashOfUser ?? hash('sha256', tokens.accessToken, 'base64url')
  }

  /** Revokes tokens of a session that has ended. Never rejects, and waits at most `revokeTimeoutMs`. */
  async function revoke(tokens: SealedTokens[]): Promise<void> {
    const opened = tokens.flatMap((sealed) => openTokens(sealer, sealed) ?? [])
    const revoking = opened.map(({ refreshToken, accessToken }) =>
      discord.revoke(refreshToken ?? accessToken).catch((err) => log.warn({ err }, 'tokens not revoked')),
    )
    await Promise.race([Promise.all(revoking), wait(revokeTimeoutMs)])
  }

  return { identifyByCode, identify, revoke }
}

/** Resolves with the answer of Discord, or with undefined if Discord refused the access token or refresh token. */
async function undefinedIfRefused<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof TokenRefused || error instanceof GrantRefused) return undefined
    throw error
  }
}

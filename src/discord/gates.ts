import { hash } from 'node:crypto'
import { DiscordRateLimitActive, DiscordRateLimited, TokenRefused } from '../errors.ts'
import type { Store } from '../store/store.ts'

/**
 * The scope of a rate limit: the token or revocation endpoint for everybody, the user endpoint for one visitor, or
 * all of them. `sign-in` is closed by this app itself. https://discord.com/developers/docs/topics/rate-limits
 */
export type Gate = 'everywhere' | 'token' | 'revoke' | 'sign-in' | `user:${string}`

const key = (gate: Gate) => `gate:${gate}`
/** For messages: without the visitor's id. */
const nameOf = (gate: Gate) => gate.split(':')[0]

// Discord bans an IP address for a while after 10,000 invalid requests (401, 403, 429) in ten minutes.
const maxInvalid = 2000
const invalidWindowMs = 600_000

/** As long as Discord's access tokens live. */
const refusedTtlS = 7 * 24 * 60 * 60
const refusedKey = (accessToken: string) => `refused:${hash('sha256', accessToken, 'base64url')}`

/**
 * Rate limits of Discord and refused tokens, shared by all instances. Each is a key whose TTL is the remaining time.
 */
export function createGates(store: Store) {
  /**
   * Copy of the `sign-in` limit in this process, so that starting a sign-in needs no extra Redis command (the bench
   * allows 8 per visit).
   */
  let signInOpensAt = 0

  const closed = (gate: Gate, leftS: number) =>
    new DiscordRateLimitActive(`waiting after a 429 or too many invalid requests (${nameOf(gate)})`, leftS)

  return {
    /**
     * Throws DiscordRateLimitActive while one of the gates, or the one for all endpoints, is closed, and TokenRefused
     * for a token that Discord has refused before.
     */
    async check(gates: Gate[], accessToken?: string): Promise<void> {
      const all: Gate[] = ['everywhere', ...gates]
      const keys = [...all.map(key), ...(accessToken === undefined ? [] : [refusedKey(accessToken)])]
      const values = await store.getMany(keys)
      const first = all.find((_, place) => values[place] !== undefined)
      if (first !== undefined) {
        const leftMs = await store.remainingMs(key(first))
        if (first === 'sign-in') signInOpensAt = performance.now() + leftMs
        if (leftMs > 0) throw closed(first, Math.ceil(leftMs / 1000))
      }
      if (values[all.length] !== undefined) throw new TokenRefused('Discord has refused this access token before')
    },

    /** Closes the gate for `waitS` seconds and returns the failure to throw. */
    async close(gate: Gate, waitS: number): Promise<DiscordRateLimited> {
      await store.set(key(gate), 'closed', waitS)
      return new DiscordRateLimited(`Discord answered 429 (${nameOf(gate)})`, waitS)
    },

    /** Counts a 401, 403 or 429. At `maxInvalid` new sign-ins are refused until the window ends. */
    async countInvalid(): Promise<void> {
      const { hits, resetMs } = await store.count('invalid:discord', 1, invalidWindowMs)
      if (hits < maxInvalid) return
      signInOpensAt = performance.now() + resetMs
      await store.set(key('sign-in'), 'closed', Math.ceil(resetMs / 1000))
    },

    /** Throws DiscordRateLimitActive while this process knows that `sign-in` is closed. */
    checkSignIn(): void {
      const leftMs = signInOpensAt - performance.now()
      if (leftMs > 0) throw closed('sign-in', Math.ceil(leftMs / 1000))
    },

    /** Remembers a token that is not to be sent again. */
    refuse: (accessToken: string) => store.set(refusedKey(accessToken), 'refused', refusedTtlS),
  }
}
export type Gates = ReturnType<typeof createGates>

import { hash } from 'node:crypto'
import { DiscordRateLimitActive, DiscordRateLimited, TokenRefused } from '../errors.ts'
import type { Store } from '../store/store.ts'

/**
 * What a rate limit covers: the token or revocation endpoint for everybody, the user endpoint for one visitor, or all
 * of them. The bucket `sign-in` is this app's own, see `countInvalid`.
 * https://discord.com/developers/docs/topics/rate-limits
 */
export type Bucket = 'everywhere' | 'token' | 'revoke' | 'sign-in' | `user:${string}`

/** Key in the store; it exists as long as requests of this bucket must wait. */
const keyOf = (bucket: Bucket) => `gate:${bucket}`
/** The bucket in error messages, which do not name the visitor. */
const nameOf = (bucket: Bucket) => bucket.split(':')[0]

// Discord bans an IP address for a while after 10,000 invalid requests (401, 403, 429) in ten minutes.
const maxInvalid = 2000
const invalidWindowMs = 600_000

/** Discord's access tokens expire after the same time. */
const refusedTtlS = 7 * 24 * 60 * 60
const refusedKey = (accessToken: string) => `refused:${hash('sha256', accessToken, 'base64url')}`

/** Discord's rate limits and the tokens that it has refused, shared by all instances through the store. */
export function createDiscordLimits(store: Store) {
  /**
   * When the wait of the bucket `sign-in` ends, by `performance.now()`: a copy in this process, so that starting a
   * sign-in needs no extra Redis command (the bench limits the commands of a visit).
   */
  let signInWaitsUntil = 0

  const mustWait = (bucket: Bucket, leftMs: number) =>
    new DiscordRateLimitActive(
      `waiting after a 429 or too many invalid requests (${nameOf(bucket)})`,
      Math.ceil(leftMs / 1000),
    )

  return {
    /**
     * Throws DiscordRateLimitActive while requests of one of the buckets, or of all, must wait, and TokenRefused for a
     * token that Discord has refused before.
     */
    async check(buckets: Bucket[], accessToken?: string): Promise<void> {
      const all: Bucket[] = ['everywhere', ...buckets]
      const keys = [...all.map(keyOf), ...(accessToken === undefined ? [] : [refusedKey(accessToken)])]
      const values = await store.getMany(keys)
      const limited = all.find((_, place) => values[place] !== undefined)
      if (limited !== undefined) {
        const leftMs = await store.remainingMs(keyOf(limited))
        if (limited === 'sign-in') signInWaitsUntil = performance.now() + leftMs
        if (leftMs > 0) throw mustWait(limited, leftMs)
      }
      if (values[all.length] !== undefined) throw new TokenRefused('Discord has refused this access token before')
    },

    /** After a 429: requests of this bucket wait for `waitS` seconds. Returns the error to throw. */
    async limit(bucket: Bucket, waitS: number): Promise<DiscordRateLimited> {
      await store.set(keyOf(bucket), 'closed', waitS)
      return new DiscordRateLimited(`Discord answered 429 (${nameOf(bucket)})`, waitS)
    },

    /**
     * Counts a 401, 403 or 429 of Discord. Once there are `maxInvalid`, new sign-ins are refused until the window ends.
     */
    async countInvalid(): Promise<void> {
      const { hits, resetMs } = await store.count('invalid:discord', 1, invalidWindowMs)
      if (hits < maxInvalid) return
      signInWaitsUntil = performance.now() + resetMs
      await store.set(keyOf('sign-in'), 'closed', Math.ceil(resetMs / 1000))
    },

    /** Throws DiscordRateLimitActive while this process knows that sign-ins must wait. */
    checkSignIn(): void {
      const leftMs = signInWaitsUntil - performance.now()
      if (leftMs > 0) throw mustWait('sign-in', leftMs)
    },

    /** Remembers a token that is not to be sent again. */
    refuse: (accessToken: string) => store.set(refusedKey(accessToken), 'refused', refusedTtlS),
  }
}
export type DiscordLimits = ReturnType<typeof createDiscordLimits>

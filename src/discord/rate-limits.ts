import { hash } from 'node:crypto'
import { DiscordRateLimitActive, DiscordRateLimited, TokenRefused } from '../errors.ts'
import type { Store } from '../store/store.ts'

/**
 * The requests that share a rate limit: all of them, those to the token or revocation endpoint, or those to the user
 * endpoint for one user. The bucket `sign-in` is not Discord's but this app's own, see `recordInvalid`.
 * https://discord.com/developers/docs/topics/rate-limits
 */
export type Bucket = 'everywhere' | 'token' | 'revoke' | 'sign-in' | `user:${string}`

/** Key in the store. It exists as long as requests of this bucket must wait. */
const keyOf = (bucket: Bucket) => `gate:${bucket}`
/** The name of the bucket in error messages, without the part that identifies a user. */
const nameOf = (bucket: Bucket) => bucket.split(':')[0]

// Discord blocks an IP address after 10,000 invalid requests (401, 403, 429) in ten minutes. Sign-ins stop at a fifth.
// https://discord.com/developers/docs/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans
const maxInvalid = 2000
const invalidWindowMs = 600_000

/** A refused token is remembered for as long as Discord's access tokens are valid. */
const refusedTtlS = 7 * 24 * 60 * 60
const refusedKey = (accessToken: string) => `refused:${hash('sha256', accessToken, 'base64url')}`

/** Discord's rate limits and the tokens that it has refused, shared by all instances through the store. */
export function createDiscordLimits(store: Store) {
  /** Until when sign-ins must wait, by `performance.now()`. A copy in this process saves a Redis command per visit. */
  let signInWaitsUntil = 0

  const waitError = (bucket: Bucket, leftMs: number) =>
    new DiscordRateLimitActive(
      `waiting after a 429 or too many invalid requests (${nameOf(bucket)})`,
      Math.ceil(leftMs / 1000),
    )

  /**
   * Counts a 401, 403 or 429. After `maxInvalid` of them sign-ins are refused until the window ends. Also remembers an
   * access token that Discord has refused, so that it is not sent again.
   */
  async function recordInvalid(refusedToken?: string): Promise<void> {
    const remembering = refusedToken && store.set(refusedKey(refusedToken), 'refused', refusedTtlS)
    const [{ hits, resetMs }] = await Promise.all([store.count('invalid:discord', 1, invalidWindowMs), remembering])
    if (hits < maxInvalid) return
    signInWaitsUntil = performance.now() + resetMs
    await store.set(keyOf('sign-in'), 'closed', Math.ceil(resetMs / 1000))
  }

  return {
    /** Throws DiscordRateLimitActive while one of these buckets must wait, TokenRefused for a token refused before. */
    async check(buckets: Bucket[], accessToken?: string): Promise<void> {
      const all: Bucket[] = ['everywhere', ...buckets]
      const tokenKeys = accessToken === undefined ? [] : [refusedKey(accessToken)]
      const values = await store.getMany([...all.map(keyOf), ...tokenKeys])
      const limited = all.find((_, place) => values[place] !== undefined)
      if (limited !== undefined) {
        const leftMs = await store.remainingMs(keyOf(limited))
        if (limited === 'sign-in') signInWaitsUntil = performance.now() + leftMs
        if (leftMs > 0) throw waitError(limited, leftMs)
      }
      const refused = values[all.length] // the value of the token's key, which is the last one
      if (refused !== undefined) throw new TokenRefused('Discord has refused this access token before')
    },

    /** Counts a 429. Requests of this bucket must then wait for `waitS` seconds or more. Returns the error to throw. */
    async limit(bucket: Bucket, waitS: number): Promise<DiscordRateLimited> {
      await Promise.all([store.setForAtLeast(keyOf(bucket), 'closed', waitS), recordInvalid()])
      return new DiscordRateLimited(`Discord answered 429 (${nameOf(bucket)})`, waitS)
    },

    recordInvalid,

    /** Throws DiscordRateLimitActive while this process knows that sign-ins must wait. */
    checkSignIn(): void {
      const leftMs = signInWaitsUntil - performance.now()
      if (leftMs > 0) throw waitError('sign-in', leftMs)
    },
  }
}
export type DiscordLimits = ReturnType<typeof createDiscordLimits>

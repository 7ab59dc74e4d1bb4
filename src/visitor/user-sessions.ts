import { createHmac } from 'node:crypto'
import type { Logger } from 'pino'
import { StoreUnavailable } from '../errors.ts'
import type { Store } from '../store/store.ts'
import { stateTtlS } from './cookies.ts'
import { sessionMaxAgeS } from './session-store.ts'

/** Limit of sessions of one user, so that the list stays small. Above it the oldest session ends. */
const maxSessions = 1000

/** TTL of the mark `forgotten:{user}`. It is longer than any sign-in can take that began before the mark was set. */
const forgottenTtlS = stateTtlS + 60

// The braces are a hash tag, by which list and mark share a slot of a cluster, so that one script can use both.
const listKey = (userHash: string) => `sessions:{${userHash}}`
const markKey = (userHash: string) => `forgotten:{${userHash}}`

/** Returns a function that hashes a Discord user id for keys in Redis, once with each secret, the newest first. */
export function userHasher(secrets: string[]) {
  return (userId: string) => secrets.map((secret) => createHmac('sha256', secret).update(userId).digest('base64url'))
}

type UserSessionsParts = { store: Store; secrets: string[]; log: Logger }

/**
 * Lists the session ids of each Discord user, on all devices, so that all of the sessions can be ended. A list lives as
 * long as its newest session may. It may contain ids of sessions that have ended.
 *
 * A sign-in adds its session here before it stores the session, so that a killed process leaves no session unlisted.
 * `forget` first marks the user as forgotten, and then reads the list. A sign-in at the same time either finds the mark
 * and fails, or is in the list, so that its session is ended or never stored.
 */
export function createUserSessions({ store, secrets, log }: UserSessionsParts) {
  const hashesOf = userHasher(secrets)

  return {
    /**
     * Adds a session. `excess` are the oldest sessions, which must end because there are too many. `forgottenAt` is the
     * time at which the user was last forgotten, in milliseconds by the store's clock. It is missing if that has never
     * happened, or so long ago that no sign-in from before it can be under way.
     */
    async add(userId: string, sessionId: string): Promise<{ excess: string[]; forgottenAt?: number }> {
      const [hash = ''] = hashesOf(userId)
      const limits = { max: maxSessions, ttlS: sessionMaxAgeS }
      const { excess, markExpiresAt } = await store.addToList(listKey(hash), sessionId, limits, markKey(hash))
      return {
        excess,
        ...(markExpiresAt !== undefined && { forgottenAt: markExpiresAt - 1000 * forgottenTtlS }),
      }
    },

    /** Marks the user as forgotten, so that earlier sign-ins are refused. Returns the user's session ids. */
    async forget(userId: string): Promise<string[]> {
      const hashes = hashesOf(userId)
      await Promise.all(hashes.map((hash) => store.set(markKey(hash), 'forgotten', forgottenTtlS))).catch((err) => {
        // If Redis is full, it refuses to store the mark, but also every new session. Reading and deleting still work.
        if (!(err instanceof StoreUnavailable)) throw err
        log.warn({ err }, 'not marked as forgotten')
      })
      return (await Promise.all(hashes.map((hash) => store.list(listKey(hash))))).flat()
    },

    /** Removes an ended session from the list. Never rejects, because an ended session there is harmless. */
    async remove(userId: string, sessionId: string): Promise<void> {
      const removing = hashesOf(userId).map((hash) => store.removeFromList(listKey(hash), sessionId))
      await Promise.all(removing).catch((err) => log.warn({ err }, 'an ended session is still listed'))
    },
  }
}
export type UserSessions = ReturnType<typeof createUserSessions>

import { createHmac } from 'node:crypto'
import type { Logger } from 'pino'
import { StoreUnavailable } from '../errors.ts'
import type { Store } from '../store/store.ts'
import { stateTtlS } from './cookies.ts'
import { sessionMaxAgeS } from './session-store.ts'

/** Limit of sessions of one user. Above it the oldest session ends. The id of a session takes some 40 bytes. */
const maxSessions = 1000

/** TTL of the mark `forgotten:{user}`. It is longer than any sign-in can take that began before the mark was set. */
const forgottenTtlS = stateTtlS + 60

// The braces are a hash tag, by which list and mark share a slot of a cluster, so that one script can use both.
const listKey = (user: string) => `sessions:{${user}}`
const markKey = (user: string) => `forgotten:{${user}}`

/** Returns a function that hashes a Discord user id for keys in Redis, once with each secret, the newest first. */
export function userHasher(secrets: string[]) {
  return (userId: string) => secrets.map((secret) => createHmac('sha256', secret).update(userId).digest('base64url'))
}

type UserSessionsParts = { store: Store; secrets: string[]; log: Logger }

/**
 * Lists the session ids of each Discord user, on all devices, so that all of the sessions can be ended. A list lives as
 * long as its newest session may. It may contain ids of sessions that have ended.
 *
 * A sign-in adds its session here before it stores it, so that a killed process leaves no session that is not listed.
 * Adding also tells when the user was last forgotten. `forget` first sets the mark that tells this, and then reads the
 * list. So either the sign-in finds the mark, or the list has its session, which is then ended, or not stored any more.
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
      const [user = ''] = hashesOf(userId)
      const limits = { max: maxSessions, ttlS: sessionMaxAgeS }
      const { excess, markExpiresAt } = await store.addToList(listKey(user), sessionId, limits, markKey(user))
      return {
        excess,
        ...(markExpiresAt !== undefined && { forgottenAt: markExpiresAt - 1000 * forgottenTtlS }),
      }
    },

    /** Marks the user as forgotten, so that earlier sign-ins are refused. Returns the user's session ids. */
    async forget(userId: string): Promise<string[]> {
      const users = hashesOf(userId)
      await Promise.all(users.map((user) => store.set(markKey(user), 'forgotten', forgottenTtlS))).catch((err) => {
        // If Redis is full, it refuses to store the mark, but also every new session. Reading and deleting still work.
        if (!(err instanceof StoreUnavailable)) throw err
        log.warn({ err }, 'not marked as forgotten')
      })
      return (await Promise.all(users.map((user) => store.list(listKey(user))))).flat()
    },

    /** Removes an ended session from the list. Never rejects, because an ended session there is harmless. */
    async remove(userId: string, sessionId: string): Promise<void> {
      const removing = hashesOf(userId).map((user) => store.removeFromList(listKey(user), sessionId))
      await Promise.all(removing).catch((err) => log.warn({ err }, 'an ended session is still listed'))
    },
  }
}
export type UserSessions = ReturnType<typeof createUserSessions>

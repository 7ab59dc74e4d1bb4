import { createHmac } from 'node:crypto'
import type { Logger } from 'pino'
import { StoreUnavailable } from '../errors.ts'
import type { Store } from '../store/store.ts'
import { stateTtlS } from './cookies.ts'
import { sessionMaxAgeS } from './session-store.ts'

/** Limit of the sessions of one user; beyond it the oldest session ends. An id takes some 40 bytes. */
const maxSessions = 1000

/** TTL of the mark `forgotten:{user}`: longer than a sign-in can take that began before the mark. */
const forgottenTtlS = stateTtlS + 60

// The braces are a cluster hash tag: list and mark share a slot, so one script can use both.
const listKey = (user: string) => `sessions:{${user}}`
const markKey = (user: string) => `forgotten:{${user}}`

/**
 * A hash of a Discord user id, for keys. Without SESSION_SECRET nobody can tell from Redis whose keys they are. There
 * is one hash for each secret, the newest first.
 */
export function userHasher(secrets: string[]) {
  return (userId: string) => secrets.map((secret) => createHmac('sha256', secret).update(userId).digest('base64url'))
}

type UserSessionsParts = { store: Store; secrets: string[]; log: Logger }

/**
 * The ids of each Discord user's sessions, on all devices, so that all of them can be ended. A list lives as long as the
 * newest of its sessions may. Some of the ids may be of sessions that have ended.
 *
 * A sign-in writes its session first and then adds it here, which also tells when the user was last forgotten;
 * `forget` sets that mark first and then reads the list. So one of the two always finds the other.
 */
export function createUserSessions({ store, secrets, log }: UserSessionsParts) {
  const hashesOf = userHasher(secrets)

  return {
    /**
     * Adds a session. Returns the id of the session that must end because there are too many, and when the user was
     * last forgotten, in milliseconds by the store's clock; undefined if every sign-in under way began later.
     */
    async add(userId: string, sessionId: string): Promise<{ excess?: string; forgottenAt?: number }> {
      const [user = ''] = hashesOf(userId)
      const limits = { max: maxSessions, ttlS: sessionMaxAgeS }
      const { excess, markExpiresAt } = await store.addToList(listKey(user), sessionId, limits, markKey(user))
      return {
        ...(excess !== undefined && { excess }),
        ...(markExpiresAt !== undefined && { forgottenAt: markExpiresAt - 1000 * forgottenTtlS }),
      }
    },

    /** Marks the user as forgotten: sign-ins that began before are refused. Returns the ids of the user's sessions. */
    async forget(userId: string): Promise<string[]> {
      const users = hashesOf(userId)
      await Promise.all(users.map((user) => store.set(markKey(user), 'forgotten', forgottenTtlS))).catch((err) => {
        // A Redis that is full refuses to store the mark, but it reads and deletes. It refuses to store a new session,
        // too.
        if (!(err instanceof StoreUnavailable)) throw err
        log.warn({ err }, 'not marked as forgotten')
      })
      return (await Promise.all(users.map((user) => store.list(listKey(user))))).flat()
    },

    /** Removes a session that has ended. Never rejects, because an ended session in the list does no harm. */
    async remove(userId: string, sessionId: string): Promise<void> {
      const removing = hashesOf(userId).map((user) => store.removeFromList(listKey(user), sessionId))
      await Promise.all(removing).catch((err) => log.warn({ err }, 'an ended session is still listed'))
    },
  }
}
export type UserSessions = ReturnType<typeof createUserSessions>

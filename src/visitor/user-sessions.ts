import { createHmac } from 'node:crypto'
import type { Logger } from 'pino'
import { StoreUnavailable } from '../errors.ts'
import type { Store } from '../store/store.ts'
import { stateTtlS } from './cookies.ts'
import { sessionMaxAgeS } from './session-store.ts'

/** Past this many sessions of one user the oldest ends. An id takes some 40 bytes. */
const maxSessions = 1000

/** TTL of the mark `forgotten`: longer than a sign-in that began before it can last. */
const forgottenTtlS = stateTtlS + 60

// The braces are a cluster hash tag: list and mark share a slot, so one script can use both.
const listKey = (user: string) => `sessions:{${user}}`
const markKey = (user: string) => `forgotten:{${user}}`

/**
 * Stands for a Discord user in keys: whoever reads Redis without SESSION_SECRET cannot tell whose they are. One hash for
 * each secret, the newest first.
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
     * Adds a session. Returns the id of one that has to end for it, and when the user was last forgotten, in
     * milliseconds by the store's clock; undefined if no sign-in of today can have begun before that.
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
        // A Redis that is full refuses the mark, as it does a new session; it still reads and deletes.
        if (!(err instanceof StoreUnavailable)) throw err
        log.warn({ err }, 'not marked as forgotten')
      })
      return (await Promise.all(users.map((user) => store.list(listKey(user))))).flat()
    },

    /** Removes an ended session. Never rejects: a session that is listed and has ended does no harm. */
    async remove(userId: string, sessionId: string): Promise<void> {
      const removing = hashesOf(userId).map((user) => store.removeFromList(listKey(user), sessionId))
      await Promise.all(removing).catch((err) => log.warn({ err }, 'an ended session is still listed'))
    },
  }
}
export type UserSessions = ReturnType<typeof createUserSessions>

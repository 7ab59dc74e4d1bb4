import { RedisStore } from 'connect-redis'
import type { SessionData } from 'express-session'
import { z } from 'zod'
import { readJson, type Store } from '../store/store.ts'

/** Lifetime of a session after its last request; Discord's access tokens live as long. */
export const sessionTtlS = 7 * 24 * 60 * 60

export const sessionKey = (id: string) => `session:${id}`

const Stored = z.looseObject({
  cookie: z.looseObject({ originalMaxAge: z.number().nullable() }),
  visitor: z.unknown().optional(),
})
const isSessionData = (stored: unknown): stored is SessionData => Stored.safeParse(stored).success

/** A stored session; undefined if there is none or it cannot be read. */
export function parseSession(text: string | undefined): SessionData | undefined {
  const stored = readJson(text)
  return isSessionData(stored) ? stored : undefined
}

/** express-session takes an error with this code for a session that does not exist. */
const noSession = Object.assign(new Error('a session that cannot be read'), { code: 'ENOENT' })

/**
 * express-session's store: connect-redis over this app's `Store`, which adds a timeout to each command and, without
 * Redis, keeps everything in memory. Reading a session extends its TTL in the same command. `set`, `touch` and
 * `destroy` do nothing: express-session calls them without a lock, at times when another request may have changed or
 * ended the session.
 */
export class SessionStore extends RedisStore {
  constructor(store: Store) {
    super({
      client: { get: (key: string) => store.getAndExtend(key, sessionTtlS) },
      prefix: sessionKey(''),
      serializer: {
        parse(text) {
          const session = parseSession(text)
          if (session === undefined) throw noSession
          return session
        },
        stringify: JSON.stringify,
      },
    })
  }

  override async set(_id: string, _session: SessionData, callback?: (error?: unknown) => void): Promise<void> {
    callback?.()
  }

  override async touch(_id: string, _session: SessionData, callback?: (error?: unknown) => void): Promise<void> {
    callback?.()
  }

  override async destroy(_id: string, callback?: (error?: unknown) => void): Promise<void> {
    callback?.()
  }
}

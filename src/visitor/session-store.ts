import { RedisStore } from 'connect-redis'
import type { Request } from 'express'
import type { Session, SessionData } from 'express-session'
import { z } from 'zod'
import { readJson, type Store } from '../store/store.ts'

const dayS = 24 * 60 * 60

/** Lifetime of a session after its last request. Discord's access tokens are valid for the same time. */
export const sessionTtlS = 7 * dayS
/** Lifetime of a session after its sign-in, even if it is still used. */
export const sessionMaxAgeS = 90 * dayS

declare module 'express-session' {
  interface SessionData {
    /** When the visitor signed in, in milliseconds since 1970. */
    signedInAt?: number
  }
}

/** In how many seconds a session ends if no further request uses it; 0 or less if it has ended. */
export function secondsLeft({ signedInAt = 0 }: SessionData): number {
  return Math.min(sessionTtlS, Math.floor((signedInAt - Date.now()) / 1000) + sessionMaxAgeS)
}

/** The TTL of a session that is written or read. It is at least a second, because Redis accepts no less. */
export const ttlS = (session: SessionData) => Math.max(secondsLeft(session), 1)

export const sessionKey = (id: string) => `session:${id}`

const Stored = z.looseObject({
  cookie: z.looseObject({ originalMaxAge: z.number().nullable() }),
  visitor: z.unknown().optional(),
  signedInAt: z.number().optional(),
})
const isSessionData = (stored: unknown): stored is SessionData => Stored.safeParse(stored).success

/** Parses a stored session; undefined if there is none, or if it cannot be read or has ended. */
export function parseSession(text: string | undefined): SessionData | undefined {
  const stored = readJson(text)
  if (!isSessionData(stored)) return undefined
  // Version 1.0.0 did not store the time of the sign-in. It follows from the expiry of the cookie, which was set at the
  // sign-in.
  stored.signedInAt ??= new Date(stored.cookie.expires ?? 0).getTime() - 1000 * sessionTtlS
  return secondsLeft(stored) > 0 ? stored : undefined
}

/** express-session treats an error with this code as a session that does not exist. */
const noSession = Object.assign(new Error('a session that cannot be read'), { code: 'ENOENT' })

/**
 * The session store of express-session: connect-redis over this app's `Store`, which adds a timeout to each command, or
 * keeps sessions in memory if there is no Redis. Reading a session extends its TTL in the same command. `set`, `touch`
 * and `destroy` do nothing, because express-session calls them without a lock, and another request may have changed or
 * ended the session meanwhile. session.ts writes sessions.
 */
export class SessionStore extends RedisStore {
  readonly #store: Store

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
    this.#store = store
  }

  /**
   * Called for each session that was read. Shortens the lifetime of the cookie, which express-session renews, and the
   * TTL, so that they do not outlive the session, which ends after `sessionMaxAgeS`.
   */
  override createSession(req: Request, data: SessionData): Session & SessionData {
    const leftS = secondsLeft(data)
    const session = super.createSession(req, data)
    session.cookie.maxAge = 1000 * leftS
    // The command that read the session has set the full TTL, because the session's end was not known yet.
    if (leftS < sessionTtlS) this.#store.getAndExtend(sessionKey(req.sessionID), ttlS(data)).catch(() => undefined)
    return session
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

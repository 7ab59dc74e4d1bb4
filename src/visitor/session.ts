import { hash } from 'node:crypto'
import { RedisStore } from 'connect-redis'
import type { CookieOptions, Request, RequestHandler, Response } from 'express'
import session, { type SessionData, Store as SessionStore } from 'express-session'
import { LRUCache } from 'lru-cache'
import type { Logger } from 'pino'
import { z } from 'zod'
import { Avatar, avatarId } from '../avatar/avatars.ts'
import { Choice } from '../avatar/choice.ts'
import type { Config } from '../config.ts'
import { User } from '../discord/client.ts'
import { NotSignedIn } from '../errors.ts'
import type { Commands, Redis } from '../store/redis.ts'
import { alone, type Store } from '../store/store.ts'
import { SealedTokens } from './tokens.ts'

/** What a session holds: what we know of a visitor. */
const Visitor = z.object({
  /** The last form data. */
  choice: Choice.optional(),
  user: User.optional(),
  tokens: SealedTokens.optional(),
  /** Newest first. */
  avatars: z.array(Avatar),
})
export type Visitor = z.infer<typeof Visitor>

declare module 'express-session' {
  interface SessionData {
    visitor?: Visitor
  }
}

export type Sessions = SessionStore & {
  /** Writes a session in its own place. False where it has ended meanwhile: it stays ended. */
  replace(id: string, session: SessionData): Promise<boolean>
}

/** From the last visit, like Discord's access tokens. */
const sessionS = 7 * 24 * 60 * 60

/** A name in the browser, with https under the prefix that keeps other hosts and plain http from setting it. */
export function cookieName(config: Config, name: string): string {
  return config.https ? `__Host-${name}` : name
}

/** How our cookies are set. */
export function cookieOptions(config: Config, maxAgeS: number): CookieOptions {
  return { httpOnly: true, sameSite: 'lax', path: '/', secure: config.https, maxAge: maxAgeS * 1000 }
}

/**
 * The visitor's session, for the routes that need one; nothing is stored or set before there is something to keep.
 * `rolling` sends the cookie anew with each answer, for seven more days; not with files, which may come late and put an
 * old session in the place of a new one.
 */
export function visitorSession(
  { config, sessions, log }: { config: Config; sessions: SessionStore; log: Logger },
  rolling: boolean,
): RequestHandler {
  const handler = session({
    name: cookieName(config, 'session'),
    secret: config.sessionSecrets,
    store: sessions,
    resave: false,
    saveUninitialized: false,
    rolling,
    cookie: cookieOptions(config, sessionS),
  })
  let warned = false
  return (req, res, next) => {
    if (config.https && !req.secure) {
      if (!warned) log.warn('BASE_URL is https, but the proxy does not say so: check TRUST_PROXY and X-Forwarded-Proto')
      warned = true
      // express-session would silently set no cookie; BASE_URL decides, not a header that a proxy may leave out.
      Object.defineProperty(req, 'secure', { value: true })
    }
    handler(req, res, next)
  }
}

/** Loads the session now, for a handler that first has to see whether it needs one. */
export function load(session: RequestHandler, req: Request, res: Response): Promise<void> {
  return done((callback) => session(req, res, callback))
}

/** What we know of this visitor; of a stranger, or from a session of an older form, nothing. Checked as it was read. */
export function visitorOf(req: Request): Visitor {
  return req.session.visitor ?? { avatars: [] }
}

async function save(req: Request, visitor: Visitor): Promise<void> {
  const { session } = req
  session.visitor = visitor
  beingSaved.add(session)
  try {
    await done((callback) => session.save(callback))
  } finally {
    beingSaved.delete(session)
  }
}

// express-session saves or touches once more when the answer is on its way, long after its turn: what another request
// changed meanwhile would be undone. Only what comes from save() is written, and to read a session is to touch it.
const beingSaved = new WeakSet<object>()

function onlyInTurn<Kept extends SessionStore>(sessions: Kept): Kept {
  const set = sessions.set.bind(sessions)
  sessions.set = (id, data, callback) => (beingSaved.has(data) ? set(id, data, callback) : callback?.())
  Object.assign(sessions, { touch: undefined })
  return sessions
}

/** How long a session's successor is known, for requests that were under way. */
const successorS = 60
const successorKey = (id: string) => `successor:${hash('sha256', id, 'base64url')}`

/** Goes on in the session of this id, as it is stored now. False when it is gone. */
export async function adopt(req: Request, id: string): Promise<boolean> {
  const kept = await stored(req, id)
  if (!kept) return false
  req.sessionID = id
  req.sessionStore.createSession(req, kept)
  return true
}

type Alter = (visitor: Visitor) => Visitor | Promise<Visitor>
type Turn = { store: Store; sessions: Sessions; patienceMs: number }

/**
 * Changes what the session holds, one request at a time and from what is stored now: express-session writes a session
 * whole, and two requests would lose each other's change. Where a sign-in in another tab has just put a new session in
 * its place, and it is the same user's, that one is changed. Throws NotSignedIn when the session has ended.
 */
export async function change(req: Request, turn: Turn, alter: Alter): Promise<Visitor> {
  const { user } = visitorOf(req)
  const visitor = await changeIn(req, turn, req.sessionID, alter, user)
  if (visitor) return visitor
  const successor = await turn.store.get(successorKey(req.sessionID))
  const there = successor && user && (await changeIn(req, turn, successor, alter, user))
  if (there) return there
  // Nor is its cookie sent again.
  Object.assign(req, { session: undefined })
  throw new NotSignedIn('the session has ended')
}

/** Changes the session of this id and goes on in it. Undefined when it has ended, or is another user's. */
export async function changeIn(req: Request, turn: Turn, id: string, alter: Alter, user: User | undefined) {
  const { store, sessions, patienceMs } = turn
  return alone(store, `session:${id}`, patienceMs, async () => {
    const there = (await stored(req, id))?.visitor
    if (there === undefined || there.user?.id !== user?.id || !(await adopt(req, id))) return undefined
    const visitor = await alter(there)
    req.session.visitor = visitor
    return (await sessions.replace(id, req.session)) ? visitor : undefined
  })
}

/** Stores the visitor under a new session id; the old id opens nothing any more. */
export async function renew(req: Request, { store, patienceMs }: Turn, alter: Alter): Promise<void> {
  // A stranger's session has a new id already, which nobody knows.
  if (req.session.visitor === undefined) return save(req, await alter(visitorOf(req)))
  const old = req.sessionID
  await alone(store, `session:${old}`, patienceMs, async () => {
    await adopt(req, old)
    const visitor = await alter(visitorOf(req))
    await done((callback) => req.session.regenerate(callback))
    await Promise.all([save(req, visitor), store.set(successorKey(old), req.sessionID, successorS)])
  })
}

/** Ends the session, here and in the browser. */
export async function end(req: Request, res: Response, config: Config): Promise<void> {
  await done((callback) => req.session.destroy(callback))
  res.clearCookie(cookieName(config, 'session'), cookieOptions(config, 0))
}

/** Sessions in Redis. */
export function redisSessions({ ask }: Redis): Sessions {
  const prefix = 'session:'
  const texts = serializer()
  const sessions = new RedisStore({
    // connect-redis calls these three; each with an end in time.
    client: {
      get: (key: string) => ask((redis) => readOn(redis, key)),
      set: (...args: Parameters<Commands['set']>) => ask((redis) => redis.set(...args)),
      del: (keys: string[]) => ask((redis) => redis.del(keys)),
    },
    prefix,
    ttl: sessionS,
    serializer: texts,
  })
  return Object.assign(onlyInTurn(sessions), {
    async replace(id: string, session: SessionData) {
      const ifThere = { expiration: { type: 'EX', value: sessionS }, condition: 'XX' } as const
      return (await ask((redis) => redis.set(`${prefix}${id}`, texts.stringify(session), ifThere))) !== null
    },
  })
}

/** Whoever reads a session is a visitor: it lasts anew. A Redis that takes no writes for a while is still read. */
async function readOn(redis: Commands, key: string): Promise<string | null> {
  try {
    return await redis.getEx(key, { type: 'EX', value: sessionS })
  } catch (error) {
    if (error instanceof Error && /^(MISCONF|NOREPLICAS)/.test(error.message)) return redis.get(key)
    throw error
  }
}

/** Sessions in this process: bounded, expiring, gone at a restart. */
export function memorySessions(): Sessions {
  return onlyInTurn(new MemorySessions(serializer()))
}

class MemorySessions extends SessionStore {
  readonly #serializer: Serializer
  readonly #kept = new LRUCache<string, string>({ max: 10_000, ttl: sessionS * 1000, updateAgeOnGet: true })

  constructor(serializer: Serializer) {
    super()
    this.#serializer = serializer
  }

  get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void {
    const text = this.#kept.get(id)
    callback(null, text === undefined ? null : this.#serializer.parse(text))
  }

  set(id: string, data: SessionData, callback?: (error?: unknown) => void): void {
    this.#kept.set(id, this.#serializer.stringify(data))
    callback?.()
  }

  async replace(id: string, session: SessionData): Promise<boolean> {
    if (!this.#kept.has(id)) return false
    this.#kept.set(id, this.#serializer.stringify(session))
    return true
  }

  destroy(id: string, callback?: (error?: unknown) => void): void {
    this.#kept.delete(id)
    callback?.()
  }
}

type Serializer = ReturnType<typeof serializer>

// Made once: to make a schema takes a hundred times as long as to use it.
const WithCookie = z.looseObject({ cookie: z.looseObject({ originalMaxAge: z.number().nullable() }) })
const StoredSession = z.custom<SessionData>((value) => WithCookie.safeParse(value).success)

// By this code express-session takes a session that cannot be read as one that is not there.
const unreadable = Object.assign(new Error('unreadable session'), { code: 'ENOENT' })

/** Room for the sessions that were read last: an avatar's page and its pictures are asked for in one go. */
const readBytes = 1024 * 1024

/** Sessions as texts, with twelve avatars in 2 KB. */
function serializer() {
  const sessions = new LRUCache<string, SessionData>({
    maxSize: readBytes,
    sizeCalculation: (_, text) => text.length,
    memoMethod: read,
  })

  function read(text: string): SessionData {
    const session = StoredSession.parse(JSON.parse(text))
    const visitor = StoredVisitor.parse(session.visitor)
    // express-session hashes what a session holds twice for each request, to see whether it changed. A visitor is never
    // changed in place, so the text that it was read from tells it from any other.
    Object.defineProperty(visitor, 'toJSON', { value: () => text })
    return { ...session, visitor: Object.freeze(visitor) }
  }

  return {
    stringify: (session: SessionData) =>
      JSON.stringify({ ...session, visitor: session.visitor && z.encode(StoredVisitor, session.visitor) }),
    parse(text: string): SessionData {
      try {
        return { ...sessions.memo(text) }
      } catch {
        throw unreadable
      }
    },
  }
}

const bit = z.union([z.literal(0), z.literal(1)])
const { seed, style, backgroundColor, mood } = Choice.shape

/** An avatar as it is stored: without what follows from its choice. */
const ShortAvatar = z.tuple([seed, style, backgroundColor, mood, bit, bit])

const StoredAvatar = z.codec(ShortAvatar, Avatar, {
  decode([seed, style, backgroundColor, mood, animated, seedTyped]) {
    const choice = { seed, style, backgroundColor, mood, animated: animated === 1 }
    return { id: avatarId(choice), choice, seedTyped: seedTyped === 1 }
  },
  encode({ choice: { seed, style, backgroundColor, mood, animated }, seedTyped }): z.infer<typeof ShortAvatar> {
    return [seed, style, backgroundColor, mood, animated ? 1 : 0, seedTyped ? 1 : 0]
  },
})

const StoredVisitor = Visitor.extend({ avatars: z.array(z.union([StoredAvatar, Avatar])) })

function stored(req: Request, id: string): Promise<SessionData | null | undefined> {
  return new Promise((resolve, reject) => {
    req.sessionStore.get(id, (error, kept) => (error && error !== unreadable ? reject(error) : resolve(kept)))
  })
}

function done(run: (callback: (error?: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => run((error) => (error ? reject(error) : resolve())))
}

import { hash } from 'node:crypto'
import type { Request, Response } from 'express'
import type { SessionData } from 'express-session'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import type { User } from '../discord/responses.ts'
import { NotSignedIn, StoreUnavailable } from '../errors.ts'
import { withLock } from '../store/lock.ts'
import type { Lock, Store } from '../store/store.ts'
import { sessionCookie } from './session-cookie.ts'
import { parseSession, SessionStore, sessionKey, sessionTtlS, stringifySession, ttlS } from './session-store.ts'
import type { UserSessions } from './user-sessions.ts'
import { readVisitor, stranger, type Visitor, writeVisitor } from './visitor.ts'

/** TTL of `successor:{id}`: longer than a request that began with the old id can take. */
const successorTtlS = 60
/** Value of `successor:{id}` after a sign-out, instead of an id. */
const signedOut = 'signed out'

const successorKey = (id: string) => `successor:${hash('sha256', id, 'base64url')}`

type SessionParts = {
  config: Config
  userSessions: UserSessions
  store: Store
  log: Logger
  /** How long a request waits for another one that changes the same session. */
  waitMs: number
}

/**
 * Sessions: express-session reads the session and sets its cookie, this module writes it.
 *
 * - A session is changed under its lock, from what is stored at that time, and only while it exists.
 * - At sign-in the visitor moves to a session with a new id. First the new session is written, then `successor:{old}`
 *   names it, and after the response the old one is deleted: a process that is killed at any step loses nothing.
 * - `successor:{id}` is set once, by a sign-in or by a sign-out. Requests that began with the old id go on in the
 *   successor if it is the same user's; a sign-in that finds the mark of a sign-out ends signed out.
 */
export function createSessions({ config, store, userSessions, log, waitMs }: SessionParts) {
  const sessionStore = new SessionStore(store)
  const cookie = sessionCookie(config, sessionStore, log)

  const stored = async (id: string) => parseSession(await store.getAndExtend(sessionKey(id), sessionTtlS))

  /** Continues the request in another session; the response sets its cookie. */
  function adopt(req: Request, id: string, data: SessionData): void {
    req.sessionID = id
    sessionStore.createSession(req, data)
    req.visitor = readVisitor(data.visitor)
  }

  /** Continues the request in the session of this id or its successor. Returns false if it has ended. */
  async function continueIn(req: Request, res: Response, id: string): Promise<boolean> {
    const [data, successor] = await Promise.all([stored(id), store.get(successorKey(id))])
    if (successor !== undefined) return successor !== signedOut && continueIn(req, res, successor)
    if (data === undefined) return false
    const before = req.sessionID
    if (before !== id) {
      adopt(req, id, data)
      res.once('finish', () => forget(before))
    }
    return true
  }

  /**
   * Changes the visitor's session, or its successor if a sign-in in another tab has just replaced it for the same user.
   * Throws NotSignedIn if the session has ended.
   */
  async function change(req: Request, alter: Alter): Promise<Visitor> {
    const { user } = req.visitor
    const id = await changeFrom(req, req.sessionID, user, alter)
    if (id !== undefined) return req.visitor
    // express-session would renew the cookie of the ended session.
    Object.assign(req, { session: undefined })
    throw new NotSignedIn('the session has ended')
  }

  /**
   * Changes a session or its successor. Returns the id of the changed one; undefined if it has ended or is another
   * user's.
   */
  async function changeFrom(
    req: Request,
    id: string,
    user: User | undefined,
    alter: Alter,
  ): Promise<string | undefined> {
    const next = await withLock(store, sessionKey(id), { waitMs }, async (lock) => {
      const [data, successor] = await Promise.all([stored(id), store.get(successorKey(id))])
      if (successor !== undefined) return successor
      return (await changeLocked(req, lock, id, data, user, alter)) ? id : undefined
    })
    if (next === id) return id
    return next && next !== signedOut && user ? changeFrom(req, next, user, alter) : undefined
  }

  async function changeLocked(
    req: Request,
    lock: Lock,
    id: string,
    data: SessionData | undefined,
    user: User | undefined,
    alter: Alter,
  ): Promise<boolean> {
    const visitor = readVisitor(data?.visitor)
    if (data === undefined || visitor.user?.id !== user?.id) return false
    const changed = { ...data, visitor: writeVisitor(await alter(visitor)) }
    if (!(await store.replace(lock, stringifySession(changed), ttlS(changed)))) return false
    adopt(req, id, changed)
    return true
  }

  /**
   * Moves the visitor to a session with a new id, for a sign-in; the old id is deleted after the response. If another
   * tab has just signed the same user in, its session (one of `otherTabs`) is changed instead. Returns the id of the
   * session. Throws NotSignedIn if the visitor has signed out meanwhile.
   */
  async function signIn(req: Request, res: Response, begun: SignIn, alter: Alter): Promise<string> {
    const { user, otherTabs = [] } = begun
    const before = req.session.visitor === undefined ? undefined : req.sessionID
    for (const id of otherTabs) {
      const changed = id !== before && user && (await changeFrom(req, id, user, alter))
      if (changed) return changed
    }
    const id =
      before === undefined ? await create(req, await alter(stranger), begun) : await replace(req, before, begun, alter)
    if (before !== undefined) res.once('finish', () => forget(before))
    return id
  }

  async function create(req: Request, visitor: Visitor, begun: SignIn): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      req.session.regenerate((error?: unknown) => (error ? reject(error) : resolve()))
    })
    req.session.visitor = writeVisitor(visitor)
    req.session.signedInAt = Date.now()
    req.visitor = visitor
    const { sessionID } = req
    try {
      await store.setIfAbsent(sessionKey(sessionID), stringifySession(req.session), sessionTtlS)
      if (visitor.user) await addToUser(visitor.user, sessionID, begun)
    } catch (error) {
      // It is not known whether the new session was stored. The error page must not replace the cookie of the old
      // session by its cookie.
      Object.assign(req, { session: undefined })
      forget(sessionID)
      throw error
    }
    return sessionID
  }

  /** Adds the session to the user's sessions. Throws NotSignedIn if the user was forgotten after this sign-in began. */
  async function addToUser(user: User, id: string, { startedAt }: SignIn): Promise<void> {
    const { excess, forgottenAt } = await userSessions.add(user.id, id)
    if (excess !== undefined) forget(excess)
    if (startedAt === undefined || forgottenAt === undefined) return
    if ((await startedAt()) > forgottenAt) return
    await userSessions.remove(user.id, id)
    throw new NotSignedIn('the user was forgotten meanwhile')
  }

  async function replace(req: Request, old: string, begun: SignIn, alter: Alter): Promise<string> {
    const successor = await withLock(store, sessionKey(old), { waitMs }, async () => {
      const [data, successor] = await Promise.all([stored(old), store.get(successorKey(old))])
      if (successor !== undefined) return { id: successor, isOurs: false }
      const id = await create(req, await alter(readVisitor(data?.visitor)), begun)
      if (await store.setIfAbsent(successorKey(old), id, successorTtlS)) return { id, isOurs: true }
      await store.delete(sessionKey(id))
      return { id: (await store.get(successorKey(old))) ?? signedOut, isOurs: false }
    })
    if (successor.id === signedOut) throw new NotSignedIn('signed out in another tab')
    if (successor.isOurs) return successor.id
    return (await changeFrom(req, successor.id, begun.user, alter)) ?? replace(req, successor.id, begun, alter)
  }

  /** Deletes the session that this request has created, after its sign-in was superseded or cancelled. */
  async function discard(req: Request): Promise<void> {
    const { sessionID } = req
    Object.assign(req, { session: undefined })
    await store.delete(sessionKey(sessionID))
  }

  /** Deletes a session without failing the visit; while Redis is away the session expires by itself. */
  function forget(id: string): void {
    store.delete(sessionKey(id)).catch((err) => log.warn({ err }, 'an old session was not deleted'))
  }

  /**
   * Ends the browser's session, its successors and those of `otherTabs`; with `everywhere` all sessions of that user,
   * on all devices. Returns what they held. A request that began before finds no session, or the mark of the sign-out.
   */
  async function signOut(req: Request, res: Response, { otherTabs, everywhere }: SignOut): Promise<Visitor[]> {
    const visitors: Visitor[] = []
    const ended = new Set<string>([signedOut])
    const elsewhere = everywhere ? await userSessions.forget(everywhere.id) : []
    const own = cookie.idOf(req)
    // The browser's own session last: if one of the others cannot be ended, the visitor can try again.
    const ids = [...elsewhere, ...otherTabs].filter((id) => id !== own)
    if (own !== undefined) ids.push(own)
    for (let id = ids.shift(); id !== undefined; id = ids.shift()) {
      if (ended.has(id)) continue
      ended.add(id)
      const successor = await markAsSignedOut(id)
      if (successor !== undefined) ids.push(successor)
      const data = parseSession(await store.getAndDelete(sessionKey(id)))
      const visitor = readVisitor(data?.visitor)
      visitors.push(visitor)
      const user = visitor.user ?? everywhere
      if (user) await userSessions.remove(user.id, id)
    }
    cookie.clear(res)
    Object.assign(req, { session: undefined })
    return visitors
  }

  /** Marks a session as signed out. Returns its successor, if it has one. */
  async function markAsSignedOut(id: string): Promise<string | undefined> {
    try {
      return await store.getAndSet(successorKey(id), signedOut, successorTtlS)
    } catch (error) {
      // A Redis that is full refuses to store the mark, but it deletes. It refuses to store a new session, too, so none
      // can follow.
      if (error instanceof StoreUnavailable) return store.get(successorKey(id))
      throw error
    }
  }

  return {
    load: cookie.load,
    loadNow: cookie.loadNow,
    hasCookie: cookie.isSent,
    continueIn,
    change,
    signIn,
    discard,
    signOut,
  }
}
export type Sessions = ReturnType<typeof createSessions>

type Alter = (visitor: Visitor) => Visitor | Promise<Visitor>
type SignIn = {
  user?: User
  otherTabs?: string[]
  /** When the sign-in began, in milliseconds by the store's clock. */
  startedAt?: () => Promise<number>
}
type SignOut = { otherTabs: string[]; everywhere?: User | undefined }

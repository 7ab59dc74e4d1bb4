import type { Request, Response } from 'express'
import type { SessionData } from 'express-session'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import type { User } from '../discord/user.ts'
import { NotSignedIn, StoreUnavailable } from '../errors.ts'
import { withLock } from '../store/lock.ts'
import type { Store } from '../store/store.ts'
import { sessionCookie } from './session-cookie.ts'
import { parseSession, SessionStore, sessionKey, sessionTtlS, ttlS } from './session-store.ts'
import type { UserSessions } from './user-sessions.ts'
import { readVisitor, stranger, type Visitor, writeVisitor } from './visitor.ts'

/** TTL of `successor:{id}`. It is longer than any request can take that began with the old id. */
const successorTtlS = 60
/** The value of `successor:{id}` after a sign-out, instead of the id of a new session. */
const signedOut = 'signed out'

// The braces are a hash tag, by which a session and its successor's key share a slot of a cluster, so that one script
// can use both.
const successorKey = (id: string) => `successor:{${sessionKey(id)}}`

type SessionParts = {
  config: Config
  userSessions: UserSessions
  store: Store
  log: Logger
  /** How long a request waits for another request that is changing the same session. */
  waitMs: number
}

/**
 * Sessions: express-session reads the session and sets its cookie, this module writes it.
 *
 * - A session is changed under its lock, from what is stored at that time, and only while it exists.
 * - At a sign-in the visitor moves to a session with a new id. The new session is written first. Then `successor:{id}`
 *   of the old id is set to the new one, and after the response the old session is deleted. So nothing is lost if the
 *   process is killed at any step.
 * - A request that began with the old id continues in the successor, if that belongs to the same user.
 * - A sign-out sets `successor:{id}` to `signedOut`, so that a sign-in that began before it fails.
 */
export function createSessions({ config, store, userSessions, log, waitMs }: SessionParts) {
  const sessionStore = new SessionStore(store)
  const cookie = sessionCookie(config, sessionStore, log)

  /** Reads a session and the value of `successor:{id}`: the id of its successor, `signedOut`, or undefined. */
  async function read(id: string) {
    const [text, successor] = await store.getMany([sessionKey(id), successorKey(id)])
    return { data: parseSession(text), successor }
  }

  /** Continues the request in the session of this id. The response sets the session's cookie. */
  function adopt(req: Request, id: string, data: SessionData): void {
    req.sessionID = id
    sessionStore.createSession(req, data)
    req.visitor = readVisitor(data.visitor)
  }

  /** Continues the request in the session of this id, or in its successor. Returns false if the session has ended. */
  async function continueIn(req: Request, res: Response, id: string): Promise<boolean> {
    const { data, successor } = await read(id)
    if (successor !== undefined) return successor !== signedOut && continueIn(req, res, successor)
    if (data === undefined) return false
    const before = req.sessionID
    if (before !== id) {
      adopt(req, id, data)
      res.once('finish', () => deleteInBackground(before))
    }
    return true
  }

  /**
   * Detaches the session from a request that took long, if another tab has replaced the session meanwhile. The response
   * would otherwise set the cookie of the old session, which would sign the visitor out.
   */
  async function detachIfReplaced(req: Request): Promise<void> {
    if ((await store.get(successorKey(req.sessionID))) !== undefined) detach(req)
  }

  /**
   * Changes the visitor's session, or its successor if a sign-in in another tab has just replaced it for the same user.
   * Throws NotSignedIn if the session has ended.
   */
  async function change(req: Request, alter: Alter): Promise<Visitor> {
    const { user } = req.visitor
    const id = await changeFrom(req, req.sessionID, user, alter)
    if (id !== undefined) return req.visitor
    detach(req)
    throw new NotSignedIn('the session has ended')
  }

  /**
   * Changes a session or its successor, and returns the id of the changed one. Returns undefined if the session has
   * ended or belongs to another user.
   */
  async function changeFrom(
    req: Request,
    id: string,
    user: User | undefined,
    alter: Alter,
  ): Promise<string | undefined> {
    const next = await withLock(store, sessionKey(id), { waitMs }, async (lock) => {
      const { data, successor } = await read(id)
      if (successor !== undefined) return successor
      const visitor = readVisitor(data?.visitor)
      if (data === undefined || visitor.user?.id !== user?.id) return undefined
      const changed = { ...data, visitor: writeVisitor(await alter(visitor)) }
      if (!(await store.replace(lock, JSON.stringify(changed), ttlS(changed)))) return undefined
      adopt(req, id, changed)
      return id
    })
    if (next === id) return id
    return next && next !== signedOut && user ? changeFrom(req, next, user, alter) : undefined
  }

  /**
   * Moves the visitor to a session with a new id at a sign-in. If another tab has just signed in the same user, that
   * tab's session (one of `otherTabs`) is changed instead. Returns the id of the session. Throws NotSignedIn if the
   * visitor has signed out meanwhile.
   */
  async function signIn(req: Request, res: Response, details: SignIn, alter: Alter): Promise<string> {
    const { user, otherTabs = [] } = details
    const before = req.session.visitor === undefined ? undefined : req.sessionID
    for (const id of otherTabs) {
      if (id === before || user === undefined) continue
      const changed = await changeFrom(req, id, user, alter)
      if (changed !== undefined) return changed
    }
    return before === undefined
      ? create(req, await alter(stranger), details)
      : replace(req, res, before, details, alter)
  }

  async function create(req: Request, visitor: Visitor, details: SignIn): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      req.session.regenerate((error?: unknown) => (error ? reject(error) : resolve()))
    })
    req.session.visitor = writeVisitor(visitor)
    req.session.signedInAt = Date.now()
    req.visitor = visitor
    const { sessionID } = req
    try {
      const excess = visitor.user ? await addToUser(visitor.user, sessionID, details) : []
      // If the user was forgotten after that, `markAsSignedOut` has set the mark, and the session is not stored.
      const [key, mark] = [sessionKey(sessionID), successorKey(sessionID)]
      const isStored = await store.setUnless(key, JSON.stringify(req.session), sessionTtlS, mark)
      if (!isStored) throw new NotSignedIn('the user was forgotten meanwhile')
      for (const id of excess) deleteInBackground(id, visitor.user)
    } catch (error) {
      // It is not known whether the new session was stored. It is deleted, and the error page must not send its cookie,
      // which would replace the cookie of the old session.
      detach(req)
      deleteInBackground(sessionID)
      throw error
    }
    return sessionID
  }

  /**
   * Adds the session to the list of the user's sessions. Returns the ids of the oldest sessions, which must end once
   * this one is stored, because there are too many. Throws NotSignedIn if the user was forgotten after this sign-in
   * began.
   */
  async function addToUser(user: User, id: string, { startedAt }: SignIn): Promise<string[]> {
    const { excess, forgottenAt } = await userSessions.add(user.id, id)
    if (startedAt === undefined || forgottenAt === undefined) return excess
    if ((await startedAt()) > forgottenAt) return excess
    await userSessions.remove(user.id, id)
    throw new NotSignedIn('the user was forgotten meanwhile')
  }

  /** Replaces a session by one with a new id. The old session is deleted after the response. */
  async function replace(req: Request, res: Response, old: string, details: SignIn, alter: Alter): Promise<string> {
    const successor = await withLock(store, sessionKey(old), { waitMs }, async () => {
      const { data, successor } = await read(old)
      if (successor !== undefined) return { id: successor, isCreatedHere: false }
      const id = await create(req, await alter(readVisitor(data?.visitor)), details)
      if (await store.setIfAbsent(successorKey(old), id, successorTtlS)) return { id, isCreatedHere: true }
      await store.delete(sessionKey(id))
      return { id: (await store.get(successorKey(old))) ?? signedOut, isCreatedHere: false }
    })
    if (successor.id === signedOut) throw new NotSignedIn('signed out in another tab')
    const id = successor.isCreatedHere ? successor.id : await changeFrom(req, successor.id, details.user, alter)
    // A successor that has ended or belongs to another user is replaced by this sign-in, too.
    const current = id ?? (await replace(req, res, successor.id, details, alter))
    res.once('finish', () => deleteInBackground(old))
    return current
  }

  /**
   * Deletes the session that this request has created, because another request has taken over the sign-in or the
   * visitor has signed out.
   */
  async function discard(req: Request): Promise<void> {
    const { sessionID } = req
    detach(req)
    await store.delete(sessionKey(sessionID))
  }

  /**
   * Deletes a session in the background, and then removes it from the list of `user`. A failure does not fail the
   * request, because the session expires by itself.
   */
  function deleteInBackground(id: string, user?: User): void {
    const deleting = store.delete(sessionKey(id)).then(() => user && userSessions.remove(user.id, id))
    deleting.catch((err) => log.warn({ err }, 'an old session was not deleted'))
  }

  /**
   * Ends the browser's session and those of `otherTabs`, with their successors. With `everywhere` also ends all
   * sessions of that user, on all devices. Returns the visitors in the ended sessions. A request that began before then
   * finds no session, and a sign-in that began before finds `signedOut` as its session's successor.
   */
  async function signOut(req: Request, res: Response, { otherTabs, everywhere }: SignOut): Promise<Visitor[]> {
    const visitors: Visitor[] = []
    const elsewhere = everywhere ? await userSessions.forget(everywhere.id) : []
    const own = cookie.idOf(req)
    // The browser's own session is ended after these, so that the visitor can try again if one of them cannot be ended.
    const ids = new Set([...elsewhere, ...otherTabs].filter((id) => id !== own))
    if (own !== undefined) ids.add(own)
    for (const id of ids) {
      const successor = await markAsSignedOut(id)
      if (successor !== undefined && successor !== signedOut) ids.add(successor) // this loop reaches it, too
      const data = parseSession(await store.getAndDelete(sessionKey(id)))
      const visitor = readVisitor(data?.visitor)
      visitors.push(visitor)
      const user = visitor.user ?? everywhere
      if (user) await userSessions.remove(user.id, id)
    }
    cookie.clear(res)
    detach(req)
    return visitors
  }

  /** Sets `successor:{id}` to `signedOut`. Returns the previous value. */
  async function markAsSignedOut(id: string): Promise<string | undefined> {
    try {
      return await store.getAndSet(successorKey(id), signedOut, successorTtlS)
    } catch (error) {
      // If Redis is full, it refuses to set the key, but also to store a new session, so there can be no successor
      // later. Deleting still works.
      if (error instanceof StoreUnavailable) return store.get(successorKey(id))
      throw error
    }
  }

  return {
    load: cookie.load,
    loadNow: cookie.loadNow,
    hasCookie: cookie.isSent,
    continueIn,
    detachIfReplaced,
    change,
    signIn,
    discard,
    signOut,
  }
}
export type Sessions = ReturnType<typeof createSessions>

/** Removes the session from the request, so that express-session does not set its cookie in the response. */
function detach(req: Request): void {
  Object.assign(req, { session: undefined })
}

type Alter = (visitor: Visitor) => Visitor | Promise<Visitor>
type SignIn = {
  user?: User
  otherTabs?: string[]
  /** Finds out when the sign-in began, in milliseconds by the store's clock. */
  startedAt?: () => Promise<number>
}
type SignOut = { otherTabs: string[]; everywhere?: User | undefined }

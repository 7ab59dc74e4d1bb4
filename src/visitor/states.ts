import { hash, randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import { z } from 'zod'
import { Choice } from '../avatar/choice.ts'
import { LockLost, StoreUnavailable, TooManySignIns, UnknownState } from '../errors.ts'
import { createSharedCounter } from '../store/counters.ts'
import { type HeldLock, tryLock, withLock } from '../store/lock.ts'
import { readJson, type Store } from '../store/store.ts'
import { outcomeTtlS, type StateCookie, stateCookieName, stateTtlS } from './cookies.ts'
import type { Sealer } from './tokens.ts'

const pollEveryMs = 50

/**
 * How many sign-ins may start per minute, of all clients together. Each stores a record of 0.4 to 0.9 KB for ten
 * minutes, so all of them take less than 60 MB of Redis; 240 MB at worst, since one with many variants takes 4 KB.
 */
const maxStartsPerMinute = 6000

/** 256 random bits as 43 characters, the least that RFC 7636, 4.1, allows for a PKCE verifier. */
const randomToken = () => randomBytes(32).toString('base64url')

/** How a visit to Discord ended. */
const Outcome = z.union([
  z.object({ end: z.literal('signed-in'), sessionId: z.string() }),
  z.object({ end: z.literal('declined') }),
  z.object({ end: z.literal('failed') }),
])
export type Outcome = z.infer<typeof Outcome>

const Pending = z.object({ choice: Choice, verifier: z.string() })
const Ended = z.object({ choice: Choice, outcome: Outcome })
type Ended = z.infer<typeof Ended>
const StoredState = z.union([Ended, Pending])

// The key is a hash of the cookie, so another browser cannot find the record, nor use it up.
const keyOf = ({ name, value }: StateCookie) => `state:${hash('sha256', `${name}=${value}`, 'base64url')}`

type StatesParts = {
  store: Store
  sealer: Sealer
  log: Logger
  /** How long a second request waits for the first, which may take this long. */
  waitMs: number
  /** Whether the number of sign-ins per minute is limited. */
  isLimited: boolean
  onStart?: (() => void) | undefined
  /** Called once for each state that ended. */
  onEnd?: ((end: Outcome['end']) => void) | undefined
}

/**
 * Visitors away at Discord. A state's record holds the form data and the PKCE verifier (RFC 7636) for ten minutes.
 *
 * 1. `start` writes the record. Its key follows from the state's cookie, so it belongs to one browser.
 * 2. `take` locks the record for one request. A second request of the browser waits, and gets the outcome.
 * 3. `settle` puts the outcome in the record's place, for a minute. The first answer may never have arrived.
 * 4. `release` leaves the record to the browser's next request, if nothing was used up.
 * 5. `forget` deletes records: at sign-out, and of the oldest tabs. A request that has taken one cannot settle it.
 */
export function createStates({ store, sealer, log, waitMs, isLimited, onStart, onEnd }: StatesParts) {
  const countStart = createSharedCounter(store, maxStartsPerMinute)

  /** Writes the record of a visitor who is about to go to Discord. Throws TooManySignIns. */
  async function start(choice: Choice) {
    if (isLimited) limitStarts()
    const state = randomToken()
    const verifier = randomToken()
    const cookie: StateCookie = { name: stateCookieName(state), value: randomToken() }
    const record: z.infer<typeof Pending> = { choice, verifier: sealer.seal(verifier) }
    await store.set(keyOf(cookie), JSON.stringify(record), stateTtlS)
    onStart?.()
    return { state, verifier, cookie }
  }

  function limitStarts(): void {
    const { hits, endsInMs } = countStart('limit:starts')
    if (hits > maxStartsPerMinute) throw new TooManySignIns('too many sign-ins at once', Math.ceil(endsInMs / 1000))
  }

  /**
   * Locks the state for this request, or returns its outcome if it has one. Throws UnknownState if there is no record:
   * the state is unknown, used or expired.
   */
  async function take(cookie: StateCookie) {
    const giveUpAt = performance.now() + waitMs
    while (performance.now() < giveUpAt) {
      const { lock, record } = await lockAndRead(keyOf(cookie))
      if ('outcome' in record) {
        void lock?.release()
        return { ended: record, endsInMs: await store.remainingMs(keyOf(cookie)) }
      }
      if (lock) return taken(lock, record)
      await wait(pollEveryMs)
    }
    throw new StoreUnavailable('the first request of this callback has not ended')
  }

  /** Sends both commands at once. The lock's TTL is far longer than they take. */
  async function lockAndRead(key: string) {
    const locking = tryLock(store, key)
    try {
      const [lock, text] = await Promise.all([locking, store.get(key)])
      const record = StoredState.safeParse(readJson(text))
      if (!record.success) throw new UnknownState('no record of this state: unknown, used or expired')
      return { lock, record: record.data }
    } catch (error) {
      const lock = await locking.catch(() => undefined)
      await lock?.release()
      throw error
    }
  }

  async function taken(lock: HeldLock, record: z.infer<typeof Pending>) {
    const verifier = sealer.open(record.verifier)
    if (verifier === undefined) {
      await lock.release()
      throw new UnknownState('a verifier that cannot be opened')
    }
    return { key: lock.key, choice: record.choice, verifier, startedAt, settle, release: lock.release }

    /** When the visitor was sent to Discord, in milliseconds by the store's clock; 0 if the record has expired. */
    async function startedAt(): Promise<number> {
      const expiresAt = await store.expiresAt(lock.key)
      return expiresAt === undefined ? 0 : expiresAt - 1000 * stateTtlS
    }

    /**
     * Stores the outcome for a second request. Undefined if the record was forgotten meanwhile. Throws LockLost if this
     * request was stopped for so long that a second one has taken the state.
     */
    async function settle(outcome: Outcome): Promise<Ended | undefined> {
      const ended: Ended = { choice: record.choice, outcome }
      const isKept = await lock.replaceAndRelease(JSON.stringify(ended), outcomeTtlS).catch((err) => {
        if (err instanceof LockLost) throw err
        log.warn({ err }, 'the outcome of a callback was not kept')
        return true // this request's own answer stands
      })
      onEnd?.(isKept ? outcome.end : 'failed')
      return isKept ? ended : undefined
    }
  }

  /**
   * Runs `work` with the session ids of other tabs of this browser that have just signed in. Callbacks of one browser
   * run one after the other: each takes the lock of the browser's oldest state. The tab whose state that is holds the
   * lock already, from `take`.
   */
  async function withOtherTabs<T>(
    own: string,
    cookies: StateCookie[],
    work: (ids: string[]) => Promise<T>,
  ): Promise<T> {
    const keys = cookies.map(keyOf)
    const others = keys.filter((key) => key !== own)
    const run = async () => work(await readSessionIds(others))
    const [oldest = own] = keys
    return oldest === own ? run() : withLock(store, oldest, { waitMs }, run)
  }

  /** The ids of the sessions into which the sign-ins of these cookies have just led. */
  const sessionIds = (cookies: StateCookie[]) => readSessionIds(cookies.map(keyOf))

  async function readSessionIds(keys: string[]): Promise<string[]> {
    return keys.length === 0 ? [] : sessionIdsIn(await store.getMany(keys))
  }

  /** Deletes the records of these states. Returns the ids of the sessions into which those sign-ins have led. */
  async function forget(cookies: StateCookie[]): Promise<string[]> {
    return sessionIdsIn(await Promise.all(cookies.map((cookie) => store.getAndDelete(keyOf(cookie)))))
  }

  return { start, take, withOtherTabs, sessionIds, forget }
}

/** The ids of the sessions in the outcomes of these records. */
function sessionIdsIn(records: (string | undefined)[]): string[] {
  const outcomes = records.flatMap((text) => Ended.safeParse(readJson(text)).data?.outcome ?? [])
  return outcomes.flatMap((outcome) => (outcome.end === 'signed-in' ? [outcome.sessionId] : []))
}

export type States = ReturnType<typeof createStates>
export type TakenState = Extract<Awaited<ReturnType<States['take']>>, { key: string }>

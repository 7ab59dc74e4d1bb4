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
 * How many sign-ins of all clients may start per minute. The records of ten minutes take less than 60 MB, or 240 MB if
 * each has many chosen variants (4 KB).
 */
const maxStartsPerMinute = 6000

/** 256 random bits as 43 characters, the fewest that a PKCE verifier may have (RFC 7636, 4.1). */
const randomToken = () => randomBytes(32).toString('base64url')

/** How a sign-in at Discord ended. */
const Outcome = z.union([
  z.object({ end: z.literal('signed-in'), sessionId: z.string() }),
  z.object({ end: z.literal('declined') }),
  z.object({ end: z.literal('failed') }),
])
export type Outcome = z.infer<typeof Outcome>

const Pending = z.object({ choice: Choice, verifier: z.string() })
const Ended = z.object({ choice: Choice, outcome: Outcome })
export type Ended = z.infer<typeof Ended>

// The key of a record is a hash of the state's cookie, so another browser can neither find nor use up the record.
const keyOf = ({ name, value }: StateCookie) => `state:${hash('sha256', `${name}=${value}`, 'base64url')}`

type StatesParts = {
  store: Store
  sealer: Sealer
  log: Logger
  /** How long a second request of the same callback waits for the first one, which may take this long. */
  waitMs: number
  /** Whether the number of sign-ins per minute is limited. */
  isLimited: boolean
  onStart?: (() => void) | undefined
  /** Called once for each sign-in that ended. */
  onEnd?: ((end: Outcome['end']) => void) | undefined
}

/**
 * The sign-ins that are under way at Discord, one for each OAuth parameter `state`. A state's record holds the
 * visitor's choice and the PKCE verifier (RFC 7636) for ten minutes.
 *
 * 1. `start` writes the record, whose key only this browser knows.
 * 2. `take` locks the record for one request. A second request of the browser waits for the outcome of the first one.
 * 3. `storeOutcome` replaces the record by the outcome, for a minute, in case the first response is lost.
 * 4. `release` unlocks the record for the browser's next request, if neither code nor state was used up.
 * 5. `forget` deletes records: at a sign-out, and the oldest ones if a browser has too many. A sign-in whose record was
 *    deleted cannot store its outcome, and fails.
 */
export function createStates({ store, sealer, log, waitMs, isLimited, onStart, onEnd }: StatesParts) {
  const countStart = createSharedCounter(store, maxStartsPerMinute)
  const Decrypted = z.string().transform(sealer.open).pipe(z.string())
  const StoredState = z.union([Ended, Pending.extend({ verifier: Decrypted })])

  /** Writes the record of a visitor who is sent to Discord. Throws TooManySignIns. */
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

  /** Locks the state's record for this request, or returns its outcome. Throws UnknownState if there is no record. */
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

  /** Takes the lock, if it is free, and then reads the record. */
  async function lockAndRead(key: string) {
    const lock = await tryLock(store, key)
    try {
      const record = StoredState.safeParse(readJson(await store.get(key)))
      if (!record.success) throw new UnknownState('no record of this state: unknown, used, expired or unreadable')
      return { lock, record: record.data }
    } catch (error) {
      await lock?.release()
      throw error
    }
  }

  function taken(lock: HeldLock, { choice, verifier }: z.infer<typeof Pending>) {
    /** When the record was written, in milliseconds by the store's clock; 0 if the record has expired. */
    async function startedAt(): Promise<number> {
      const expiresAt = await store.expiresAt(lock.key)
      return expiresAt === undefined ? 0 : expiresAt - 1000 * stateTtlS
    }

    /**
     * Stores the outcome for a second request and returns it. Returns undefined if the record was forgotten meanwhile.
     * Throws LockLost if this request was stopped for so long that a second one has taken the lock.
     */
    async function storeOutcome(outcome: Outcome): Promise<Ended | undefined> {
      const ended: Ended = { choice, outcome }
      const isKept = await lock.replaceAndRelease(JSON.stringify(ended), outcomeTtlS).catch((err) => {
        if (err instanceof LockLost) throw err
        log.warn({ err }, 'the outcome of a callback was not kept')
        return true // only a second request needs the stored outcome
      })
      // If the record of a sign-in was forgotten, the caller stores the outcome `failed` next, which is then counted.
      if (isKept || outcome.end === 'failed') onEnd?.(outcome.end)
      return isKept ? ended : undefined
    }

    return { key: lock.key, choice, verifier, startedAt, storeOutcome, release: lock.release }
  }

  /**
   * Runs `work` with the ids of the sessions in which other tabs have just signed in. The callbacks of a browser run it
   * one after the other, under the lock of the browser's oldest state. The callback of that state already has the lock.
   * `own` is the key of this callback's record.
   */
  async function withOtherTabs<T>(
    own: string,
    cookies: StateCookie[],
    work: (ids: string[]) => Promise<T>,
  ): Promise<T> {
    const run = async () => work(await sessionIds(cookies.filter((cookie) => keyOf(cookie) !== own)))
    const [oldest = own] = cookies.map(keyOf)
    return oldest === own ? run() : withLock(store, oldest, { waitMs }, run)
  }

  /** The ids of the sessions that the sign-ins of these cookies have just created or changed. */
  async function sessionIds(cookies: StateCookie[]): Promise<string[]> {
    return cookies.length === 0 ? [] : sessionIdsIn(await store.getMany(cookies.map(keyOf)))
  }

  /** Deletes the records of these states. Returns the session ids in their outcomes, see `sessionIds`. */
  async function forget(cookies: StateCookie[]): Promise<string[]> {
    return sessionIdsIn(await Promise.all(cookies.map((cookie) => store.getAndDelete(keyOf(cookie)))))
  }

  return { start, take, withOtherTabs, sessionIds, forget }
}

/** The session ids in the outcomes among these records. */
function sessionIdsIn(records: (string | undefined)[]): string[] {
  const outcomes = records.flatMap((text) => Ended.safeParse(readJson(text)).data?.outcome ?? [])
  return outcomes.flatMap((outcome) => (outcome.end === 'signed-in' ? [outcome.sessionId] : []))
}

export type States = ReturnType<typeof createStates>
export type TakenState = Extract<Awaited<ReturnType<States['take']>>, { key: string }>

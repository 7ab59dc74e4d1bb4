import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import * as oauth from 'oauth4webapi'
import { z } from 'zod'
import { StoreAway, UnknownState } from '../errors.ts'
import { readJson, type Store } from '../store.ts'
import type { Sealer } from './tokens.ts'

/** How long a visitor may stay at Discord. */
export const pendingS = 600
/** How long the way a visit ended is kept for the same browser's second request. */
export const outcomeS = 60

const pollMs = 50

/** How a visit ended: with a session, a "no", or a failure. */
const Outcome = z.union([
  z.object({ end: z.literal('signed-in'), sessionId: z.string() }),
  z.object({ end: z.literal('declined') }),
  z.object({ end: z.literal('failed') }),
])
export type Outcome = z.infer<typeof Outcome>

/** What binds a state to a browser: the name tells which state, the value is known to this browser only. */
export type StateCookie = { name: string; value: string }

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')

/** Each state has a cookie of its own, so that two tabs don't lose each other's. */
export function stateCookieName(state: string): string {
  return `state-${sha256(state).slice(0, 16)}`
}

/** Whether a cookie of this name can be one of those. */
export const isStateCookie = (name: string) => /^state-[\w-]{16}$/.test(name)

// A record lies under a hash of its cookie: another browser asks for another key, and uses nothing up.
const keys = ({ name, value }: StateCookie) => {
  const hash = sha256(`${name}=${value}`)
  return { record: `pending:${hash}`, outcome: `outcome:${hash}` }
}

/** Stands in the outcome's place until there is one, with the time of its beginning. */
const working = (since: number) => `working ${since}`
const workingSince = (outcome: string | undefined) =>
  Number(/^working ([\d.]+)$/.exec(outcome ?? '')?.[1] ?? Number.NaN)

type PendingOptions<Choice> = {
  store: Store
  sealer: Sealer
  choice: z.ZodType<Choice>
  /** How long a second request waits for the first. */
  patienceMs: number
}

/**
 * Visitors away at Discord. Each state has a record of its own, with what was chosen and the PKCE verifier, because a
 * session is rewritten whole and two tabs would lose each other's.
 */
export function createPending<Choice>({ store, sealer, choice, patienceMs }: PendingOptions<Choice>) {
  const Record = z.object({ choice, verifier: z.string() })
  const Ended = z.object({ choice, outcome: Outcome })

  /** Remembers a visitor who is sent to Discord. */
  async function start(chosen: Choice) {
    const state = oauth.generateRandomState()
    const verifier = oauth.generateRandomCodeVerifier()
    const cookie: StateCookie = { name: stateCookieName(state), value: oauth.generateRandomState() }
    const record: z.infer<typeof Record> = { choice: chosen, verifier: await sealer.seal(verifier) }
    await store.set(keys(cookie).record, JSON.stringify(record), pendingS)
    return { state, verifier, cookie }
  }

  /** Lets visitors go who will not come back. Their records would end by themselves, too. */
  async function forget(cookies: StateCookie[]): Promise<void> {
    await Promise.all(cookies.map((cookie) => store.delete(keys(cookie).record).catch(() => undefined)))
  }

  /**
   * Takes a visit up again, once. Who comes second waits for the first and gets the way it ended.
   * Throws UnknownState when it is spent or too old.
   */
  async function take(cookie: StateCookie) {
    const key = keys(cookie)
    const waitUntil = Date.now() + patienceMs
    for (;;) {
      // Two tabs may come back in one millisecond, and one must be the earlier.
      const since = Date.now() + Math.random()
      const isFirst = await store.setIfAbsent(key.outcome, working(since), outcomeS)
      if (isFirst) return { since, ...(await record(key)) }
      const outcome = await store.get(key.outcome)
      // Where it has vanished the first one could not begin after all, and this one may.
      if (outcome === undefined) continue
      if (Number.isNaN(workingSince(outcome))) return { ended: readOutcome(outcome) }
      if (Date.now() > waitUntil) throw new StoreAway('the first request has not ended')
      await wait(pollMs)
    }
  }

  function readOutcome(text: string) {
    const ended = Ended.safeParse(readJson(text))
    if (!ended.success) throw new UnknownState('an outcome that cannot be read')
    return ended.data
  }

  async function record(key: ReturnType<typeof keys>) {
    try {
      const kept = Record.safeParse(readJson(await store.take(key.record, pendingS)))
      const verifier = kept.data && (await sealer.open(kept.data.verifier))
      if (!kept.success || verifier === undefined) throw new UnknownState('state unknown, spent or too old')
      const { choice } = kept.data
      const settle = (outcome: Outcome) => store.set(key.outcome, JSON.stringify({ choice, outcome }), outcomeS)
      return { choice, verifier, settle }
    } catch (error) {
      await store.delete(key.outcome).catch(() => undefined)
      throw error
    }
  }

  /**
   * Ids of the sessions in which other tabs of this browser have just signed in. Waits for those that came back
   * before us, so that one of two tabs always sees the other.
   */
  async function signedInBeside(others: StateCookie[], since: number): Promise<string[]> {
    if (others.length === 0) return []
    const waitUntil = Date.now() + patienceMs
    for (;;) {
      const outcomes = await store.getMany(others.map((cookie) => keys(cookie).outcome))
      const isBusy = outcomes.some((outcome) => workingSince(outcome) < since)
      if (!isBusy || Date.now() > waitUntil) return outcomes.flatMap(signedInSession)
      await wait(pollMs)
    }
  }

  function signedInSession(outcome: string | undefined): string[] {
    const ended = Ended.safeParse(readJson(outcome)).data?.outcome
    return ended?.end === 'signed-in' ? [ended.sessionId] : []
  }

  return { start, forget, take, signedInBeside }
}
export type Pending<Choice> = ReturnType<typeof createPending<Choice>>

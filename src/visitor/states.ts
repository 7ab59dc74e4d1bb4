import { hash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import * as oauth from 'oauth4webapi'
import { z } from 'zod'
import { StoreUnavailable, UnknownState } from '../errors.ts'
import { hold, holdS, readJson, type Store } from '../store/store.ts'
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

const sha256 = (text: string) => hash('sha256', text, 'base64url')

/** Each state has a cookie of its own, so that two tabs don't lose each other's. */
export function stateCookieName(state: string): string {
  return `state-${sha256(state).slice(0, 16)}`
}

/** Whether a cookie of this name can be one of those. */
export const isStateCookie = (name: string) => /^state-[\w-]{16}$/.test(name)

// A visit lies under a hash of its cookie: another browser asks for another key, and uses nothing up.
const keys = ({ name, value }: StateCookie) => {
  const id = sha256(`${name}=${value}`)
  return { visit: `visit:${id}`, claim: `claim:${id}` }
}

type Keys = ReturnType<typeof keys>

type PendingOptions<Choice> = {
  store: Store
  sealer: Sealer
  choice: z.ZodType<Choice>
  /** How long a second request waits for the first. */
  patienceMs: number
  /** A visitor is sent to Discord. */
  onStart?: (() => void) | undefined
  /** A visitor's way has ended; told once for each. */
  onEnd?: ((end: Outcome['end']) => void) | undefined
}

/**
 * Visitors away at Discord. Each state has a key of its own, because a session is rewritten whole and two tabs would lose
 * each other's: what was chosen and the PKCE verifier, and in their place, once the visit is over, how it ended.
 */
export function createPending<Choice>(options: PendingOptions<Choice>) {
  const { store, sealer, choice, patienceMs } = options
  const Record = z.object({ choice, verifier: z.string() })
  /** `until`: how long it is kept, in milliseconds since 1970. */
  const Ended = z.object({ choice, outcome: Outcome, until: z.number() })
  const Visit = z.union([Ended, Record])

  /** Remembers a visitor who is sent to Discord. */
  async function start(chosen: Choice) {
    const state = oauth.generateRandomState()
    const verifier = oauth.generateRandomCodeVerifier()
    const cookie: StateCookie = { name: stateCookieName(state), value: oauth.generateRandomState() }
    const record: z.infer<typeof Record> = { choice: chosen, verifier: sealer.seal(verifier) }
    await store.set(keys(cookie).visit, JSON.stringify(record), pendingS)
    options.onStart?.()
    return { state, verifier, cookie }
  }

  /** Lets visitors go who will not come back. Their records would end by themselves, too. */
  async function forget(cookies: StateCookie[]): Promise<void> {
    await Promise.all(cookies.map((cookie) => store.delete(keys(cookie).visit).catch(() => undefined)))
  }

  /**
   * Takes a visit up again, one request at a time. Who comes second waits for the first and gets the way it ended.
   * Throws UnknownState when it is spent or too old.
   */
  async function take(cookie: StateCookie) {
    const key = keys(cookie)
    const waitUntil = Date.now() + patienceMs
    for (;;) {
      // Two tabs may come back in one millisecond, and one must be the earlier.
      const since = Date.now() + Math.random()
      const [isFirst, visit] = await claimed(key, since)
      if ('outcome' in visit) return { ended: visit }
      if (isFirst) return { since, ...(await takenUp(key, visit, since)) }
      if (Date.now() > waitUntil) throw new StoreUnavailable('the first request has not ended')
      await wait(pollMs)
    }
  }

  /** Claims the visit and reads it, at once: a claim lasts longer by far than two commands take. */
  async function claimed(key: Keys, since: number) {
    const claiming = store.setIfAbsent(key.claim, String(since), holdS)
    try {
      const [isFirst, text] = await Promise.all([claiming, store.get(key.visit)])
      const visit = Visit.safeParse(readJson(text))
      if (!visit.success) throw new UnknownState('state unknown, spent or too old')
      return [isFirst, visit.data] as const
    } catch (error) {
      if (await claiming.catch(() => false)) await store.delete(key.claim).catch(() => undefined)
      throw error
    }
  }

  async function takenUp(key: Keys, record: z.infer<typeof Record>, since: number) {
    const claim = hold(store, key.claim, String(since))
    const verifier = sealer.open(record.verifier)
    if (verifier === undefined) {
      await claim.letGo()
      throw new UnknownState('a verifier that cannot be opened')
    }
    let isTold = false
    return {
      choice: record.choice,
      verifier,
      /** Keeps how the visit ended. From then on nobody needs the claim. */
      async settle(outcome: Outcome): Promise<void> {
        claim.stop()
        // An outcome that cannot be kept is followed by a failed one: only the first tells how it was.
        if (!isTold) options.onEnd?.(outcome.end)
        isTold = true
        const ended: z.infer<typeof Ended> = { choice: record.choice, outcome, until: Date.now() + outcomeS * 1000 }
        await store.set(key.visit, JSON.stringify(ended), outcomeS)
      },
      /** Leaves the visit to the browser's next request. */
      giveBack: claim.letGo,
    }
  }

  /**
   * Ids of the sessions in which other tabs of this browser have just signed in. Waits for those that came back
   * before us, so that one of two tabs always sees the other.
   */
  async function signedInBeside(others: StateCookie[], since: number): Promise<string[]> {
    if (others.length === 0) return []
    const waitUntil = Date.now() + patienceMs
    const names = others.map(keys)
    for (;;) {
      const texts = await store.getMany([...names.map(({ visit }) => visit), ...names.map(({ claim }) => claim)])
      const ended = texts.slice(0, names.length).map((text) => Ended.safeParse(readJson(text)).data?.outcome)
      const claims = texts.slice(names.length)
      const isBusy = ended.some((outcome, tab) => outcome === undefined && Number(claims[tab] ?? Number.NaN) < since)
      if (!isBusy || Date.now() > waitUntil) {
        return ended.flatMap((outcome) => (outcome?.end === 'signed-in' ? [outcome.sessionId] : []))
      }
      await wait(pollMs)
    }
  }

  return { start, forget, take, signedInBeside }
}

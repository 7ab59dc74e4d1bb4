import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import * as oauth from 'oauth4webapi'
import { z } from 'zod'
import { StoreAway, UnknownState } from '../errors.ts'
import type { Store } from '../store.ts'
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

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')

/**
 * Visitors away at Discord. Each state has a record of its own, with what was chosen and the PKCE verifier, because a
 * session is rewritten whole and two tabs would lose each other's. A record lies under a hash of the state and of the
 * secret in the browser's state cookie: another browser asks for another key, and uses nothing up.
 */
export function createPending<Choice>(options: {
  store: Store
  sealer: Sealer
  choice: z.ZodType<Choice>
  patienceMs: number
}) {
  const { store, sealer, patienceMs } = options
  const Record = z.object({ choice: options.choice, verifier: z.string() })
  const Ended = z.object({ choice: options.choice, outcome: Outcome })
  const working = 'working'

  const keys = (state: string, secret: string) => {
    const hash = sha256(`${state} ${secret}`)
    return { record: `pending:${hash}`, outcome: `outcome:${hash}` }
  }

  return {
    /** Remembers a visitor who is sent to Discord; the cookie binds the state to this browser. */
    async start(choice: Choice) {
      const state = oauth.generateRandomState()
      const secret = oauth.generateRandomState()
      const verifier = oauth.generateRandomCodeVerifier()
      const record: z.infer<typeof Record> = { choice, verifier: await sealer.seal(verifier) }
      await store.set(keys(state, secret).record, JSON.stringify(record), pendingS)
      return { state, verifier, cookie: { name: stateCookieName(state), value: secret } }
    },

    /**
     * Takes a visit up again, once. Who comes second waits for the first and gets the way it ended.
     * Throws UnknownState for a state that is foreign, spent or too old.
     */
    async take(state: string, secret: string | undefined) {
      if (!secret) throw new UnknownState('no state cookie for this state')
      const key = keys(state, secret)
      const first = await store.setIfAbsent(key.outcome, working, outcomeS)
      if (!first) return { ended: await outcomeOf(key.outcome) }
      const kept = await store.take(key.record, pendingS).catch(async (error) => {
        await store.delete(key.outcome).catch(() => undefined)
        throw error
      })
      const record = kept === undefined ? undefined : Record.parse(JSON.parse(kept))
      const verifier = record && (await sealer.open(record.verifier))
      if (record === undefined || verifier === undefined) {
        await store.delete(key.outcome)
        throw new UnknownState('state unknown, spent or too old')
      }
      const settle = (outcome: Outcome) =>
        store.set(key.outcome, JSON.stringify({ choice: record.choice, outcome }), outcomeS)
      return { choice: record.choice, verifier, settle }
    },
  }

  async function outcomeOf(key: string) {
    const waitUntil = Date.now() + patienceMs
    for (;;) {
      const kept = await store.get(key)
      if (kept === undefined) throw new UnknownState('state unknown, spent or too old')
      if (kept !== working) return Ended.parse(JSON.parse(kept))
      if (Date.now() > waitUntil) throw new StoreAway('the first request has not ended')
      await wait(pollMs)
    }
  }
}
export type Pending<Choice> = ReturnType<typeof createPending<Choice>>

/** Each state has a cookie of its own, so that two tabs don't lose each other's. */
export function stateCookieName(state: string): string {
  return `state-${sha256(state).slice(0, 16)}`
}

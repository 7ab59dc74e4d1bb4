import { DiscordBusy } from '../errors.ts'
import type { Store } from '../store.ts'

/**
 * Whom a limit of Discord stops: everybody at the token or revoke address, one visitor at the user address, or
 * everybody everywhere. https://discord.com/developers/docs/topics/rate-limits
 */
export type Gate = 'everywhere' | 'token' | 'revoke' | `user:${string}`

const key = (gate: Gate) => `gate:${gate}`

/** Where Discord names no time. */
const defaultWaitS = 60
const longestWaitS = 3600

/** Gates shut by Discord's 429, for all instances. */
export function createGates(store: Store) {
  return {
    /** Throws DiscordBusy while the gate, or the one for everywhere, is shut. */
    async pass(gate: Gate): Promise<void> {
      const ends = await store.getMany([key('everywhere'), key(gate)])
      const opensAt = Math.max(...ends.map((end) => Number(end ?? 0)))
      const leftS = Math.ceil((opensAt - Date.now()) / 1000)
      if (leftS > 0) throw new DiscordBusy(`Discord asked us to wait (${gate.split(':')[0]})`, leftS)
    },

    /** Shuts the gate for as long as the larger of header and body says, and gives the failure to throw. */
    async shut(gate: Gate, headers: Headers, body: { retry_after?: number | undefined; global?: boolean | undefined }) {
      const named = Math.max(Number(headers.get('retry-after')) || 0, body.retry_after ?? 0)
      const waitS = Math.min(Math.ceil(named) || defaultWaitS, longestWaitS)
      const global = body.global === true || headers.get('x-ratelimit-global') === 'true'
      await store.set(key(global ? 'everywhere' : gate), String(Date.now() + waitS * 1000), waitS)
      return new DiscordBusy(`Discord answered 429 (${gate.split(':')[0]})`, waitS)
    },
  }
}
export type Gates = ReturnType<typeof createGates>

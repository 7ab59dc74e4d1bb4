import { DiscordRateLimitActive, DiscordRateLimited } from '../errors.ts'
import type { Store } from '../store/store.ts'

/**
 * Whom a limit of Discord stops: everybody at the token or revoke address, one visitor at the user address, or
 * everybody everywhere. https://discord.com/developers/docs/topics/rate-limits
 */
export type Gate = 'everywhere' | 'token' | 'revoke' | `user:${string}`

const key = (gate: Gate) => `gate:${gate}`

/** Gates shut by Discord's 429, for all instances. */
export function createGates(store: Store) {
  return {
    /** Throws DiscordRateLimitActive while the gate, or the one for everywhere, is shut. */
    async pass(gate: Gate): Promise<void> {
      const ends = await store.getMany([key('everywhere'), key(gate)])
      const opensAt = Math.max(...ends.map((end) => Number(end ?? 0)))
      const leftS = Math.ceil((opensAt - Date.now()) / 1000)
      if (leftS > 0) throw new DiscordRateLimitActive(`Discord asked us to wait (${gate.split(':')[0]})`, leftS)
    },

    /** Shuts the gate for so long, and gives the failure to throw. */
    async shut(gate: Gate, waitS: number): Promise<DiscordRateLimited> {
      await store.set(key(gate), String(Date.now() + waitS * 1000), waitS)
      return new DiscordRateLimited(`Discord answered 429 (${gate.split(':')[0]})`, waitS)
    },
  }
}
export type Gates = ReturnType<typeof createGates>

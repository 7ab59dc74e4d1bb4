import { DiscordRateLimitActive, DiscordRateLimited } from '../errors.ts'
import type { Store } from '../store/store.ts'

/**
 * What one 429 of Discord closes: the token or revocation endpoint for everybody, the user endpoint for one visitor, or
 * all of them. https://discord.com/developers/docs/topics/rate-limits
 */
export type Gate = 'everywhere' | 'token' | 'revoke' | `user:${string}`

const key = (gate: Gate) => `gate:${gate}`
/** For messages: without the visitor's id. */
const nameOf = (gate: Gate) => gate.split(':')[0]

/** Remembers until when Discord wants no more requests, for all instances of this app. */
export function createGates(store: Store) {
  return {
    /** Throws DiscordRateLimitActive while this gate, or the one for all endpoints, is closed. */
    async check(gate: Gate): Promise<void> {
      const opening = await store.getMany([key('everywhere'), key(gate)])
      const opensAt = Math.max(...opening.map((at) => Number(at ?? 0)))
      const leftS = Math.ceil((opensAt - Date.now()) / 1000)
      if (leftS > 0) throw new DiscordRateLimitActive(`waiting after a 429 (${nameOf(gate)})`, leftS)
    },

    /** Closes the gate for `waitS` seconds and returns the failure to throw. */
    async close(gate: Gate, waitS: number): Promise<DiscordRateLimited> {
      await store.set(key(gate), String(Date.now() + waitS * 1000), waitS)
      return new DiscordRateLimited(`Discord answered 429 (${nameOf(gate)})`, waitS)
    },
  }
}
export type Gates = ReturnType<typeof createGates>

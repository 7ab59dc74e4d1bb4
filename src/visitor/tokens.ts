import { hkdfSync } from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { managedNonce } from '@noble/ciphers/utils.js'
import { z } from 'zod'
import { Tokens } from '../discord/responses.ts'
import { readJson } from '../store/store.ts'

/** Tokens as they are stored: the expiry readable, the tokens encrypted. */
export const SealedTokens = z.object({ sealed: z.string(), expiresAt: z.number() })
export type SealedTokens = z.infer<typeof SealedTokens>

/** An access token this close to its expiry could expire on the way to Discord. */
const marginMs = 1000

/**
 * Whether the access token has not expired, by this machine's clock. Where the clock is wrong, a good token is refreshed, or
 * Discord refuses an expired one (401) and it is refreshed then.
 */
export function isFresh(tokens: { expiresAt: number }): boolean {
  return Date.now() < tokens.expiresAt - marginMs
}

export type Sealer = {
  seal(text: string): string
  /** The text; undefined if it was changed, or sealed with a secret that is no longer in the settings. */
  open(sealed: string): string | undefined
}

/**
 * Encrypts and authenticates short texts (XChaCha20-Poly1305, with the nonce in front). It seals with the first secret and
 * opens with any, so that secrets can be rotated.
 */
export function createSealer(secrets: string[]): Sealer {
  const ciphers = secrets.map((secret) =>
    managedNonce(xchacha20poly1305)(new Uint8Array(hkdfSync('sha256', secret, '', 'sealed texts', 32))),
  )
  const [newest] = ciphers
  if (newest === undefined) throw new Error('a sealer needs a secret')
  return {
    seal: (text) => Buffer.from(newest.encrypt(Buffer.from(text))).toString('base64url'),
    open(sealed) {
      for (const cipher of ciphers) {
        try {
          return Buffer.from(cipher.decrypt(Buffer.from(sealed, 'base64url'))).toString()
        } catch {
          // Sealed with another secret: the next one is tried.
        }
      }
      return undefined
    },
  }
}

/** The tokens as they may be stored. */
export function sealTokens(sealer: Sealer, tokens: Tokens): SealedTokens {
  return { sealed: sealer.seal(JSON.stringify(tokens)), expiresAt: tokens.expiresAt }
}

/** The tokens to use; undefined if there are none or they cannot be opened, and the visitor has to sign in again. */
export function openTokens(sealer: Sealer, stored: SealedTokens | undefined): Tokens | undefined {
  return Tokens.safeParse(readJson(stored && sealer.open(stored.sealed))).data
}

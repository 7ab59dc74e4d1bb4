import { hkdfSync } from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { managedNonce } from '@noble/ciphers/utils.js'
import { z } from 'zod'
import { Tokens } from '../discord/responses.ts'
import { readJson } from '../store/store.ts'

/** Tokens as they are stored: encrypted, with a readable expiry. */
export const SealedTokens = z.object({ sealed: z.string(), expiresAt: z.number() })
export type SealedTokens = z.infer<typeof SealedTokens>

/** A token that expires within this time could expire on its way to Discord. */
const marginMs = 1000

/** Whether the access token has not expired by this server's clock. If the clock is wrong, a 401 leads to a refresh. */
export function isFresh(tokens: { expiresAt: number }): boolean {
  return Date.now() < tokens.expiresAt - marginMs
}

export type Sealer = {
  seal(text: string): string
  /** Decrypts a text; undefined if it was changed, or encrypted with a secret that is no longer in the settings. */
  open(sealed: string): string | undefined
}

/**
 * Encrypts and authenticates texts (XChaCha20-Poly1305, with the nonce in front), by the first secret. Decrypts texts
 * of any of the secrets, so that secrets can be rotated.
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
          // The text was encrypted with another secret, so the next one is tried.
        }
      }
      return undefined
    },
  }
}

/** What is encrypted, as JSON: the access token and the refresh token. */
const Secrets = Tokens.omit({ expiresAt: true })

/** Encrypts tokens for the session. */
export function sealTokens(sealer: Sealer, { expiresAt, ...secrets }: Tokens): SealedTokens {
  return { sealed: sealer.seal(JSON.stringify(secrets)), expiresAt }
}

/** Decrypts the tokens of a session. Undefined if there are none, or if they cannot be decrypted. */
export function openTokens(sealer: Sealer, stored: SealedTokens | undefined): Tokens | undefined {
  const secrets = stored && Secrets.safeParse(readJson(sealer.open(stored.sealed))).data
  return secrets && { ...secrets, expiresAt: stored.expiresAt }
}

import { hkdfSync } from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { managedNonce } from '@noble/ciphers/utils.js'
import { z } from 'zod'
import { Tokens } from '../discord/responses.ts'
import { readJson } from '../store/store.ts'

/** Tokens as they are stored: encrypted, with a readable expiry. */
export const SealedTokens = z.object({ sealed: z.string(), expiresAt: z.number() })
export type SealedTokens = z.infer<typeof SealedTokens>

/** A token that expires this soon could expire on the way to Discord. */
const marginMs = 1000

/**
 * Whether the access token has not expired by the server's own clock. With a wrong clock either a valid token is
 * refreshed too early, or Discord refuses an expired one (401), which is then refreshed.
 */
export function isFresh(tokens: { expiresAt: number }): boolean {
  return Date.now() < tokens.expiresAt - marginMs
}

export type Sealer = {
  seal(text: string): string
  /** Decrypts a text; undefined if it was changed, or encrypted with a secret that is no longer in the settings. */
  open(sealed: string): string | undefined
}

/**
 * Encrypts and authenticates short texts (XChaCha20-Poly1305, with the nonce in front). It encrypts with the first
 * secret and decrypts with any, so that secrets can be rotated.
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
          // Encrypted with another secret: try the next one.
        }
      }
      return undefined
    },
  }
}

/** The text that is encrypted: access and refresh token. */
const Pair = z.tuple([z.string(), z.string().nullable()])

/** Encrypts tokens for the session. */
export function sealTokens(sealer: Sealer, tokens: Tokens): SealedTokens {
  const { accessToken, refreshToken, expiresAt } = tokens
  return { sealed: sealer.seal(JSON.stringify([accessToken, refreshToken])), expiresAt }
}

/**
 * Decrypts the tokens of a session; undefined if there are none or they cannot be decrypted, and the visitor has to
 * sign in again.
 */
export function openTokens(sealer: Sealer, stored: SealedTokens | undefined): Tokens | undefined {
  if (stored === undefined) return undefined
  const opened = readJson(sealer.open(stored.sealed))
  const [accessToken, refreshToken] = Pair.safeParse(opened).data ?? []
  // Version 1.0.0 encrypted an object.
  if (accessToken === undefined) return Tokens.safeParse(opened).data
  return { accessToken, refreshToken: refreshToken ?? undefined, expiresAt: stored.expiresAt }
}

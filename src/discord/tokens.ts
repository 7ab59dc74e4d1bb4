import { hkdfSync, subtle } from 'node:crypto'
import { CompactEncrypt, compactDecrypt } from 'jose'
import { z } from 'zod'
import { readJson } from '../store.ts'

/** Discord's tokens, in the clear: never stored or logged like this. */
export const Tokens = z.object({
  accessToken: z.string(),
  /** Discord always gives one; RFC 6749 lets a server leave it out. */
  refreshToken: z.string().optional(),
  /** When the access token ends, milliseconds since 1970. */
  expiresAt: z.number(),
})
export type Tokens = z.infer<typeof Tokens>

/** How tokens are kept: the expiry readable, the tokens not. */
export const SealedTokens = z.object({ sealed: z.string(), expiresAt: z.number() })
export type SealedTokens = z.infer<typeof SealedTokens>

/** An access token this close to its end would end on the way to Discord. */
const marginMs = 1000

/** Whether the access token can still be used. */
export function fresh(tokens: { expiresAt: number }): boolean {
  return Date.now() < tokens.expiresAt - marginMs
}

export type Sealer = {
  seal(text: string): Promise<string>
  /** The text, or undefined when it was changed or sealed with a secret that we no longer have. */
  open(sealed: string): Promise<string | undefined>
}

/**
 * Encrypts and authenticates short texts (JWE, RFC 7516, `dir` with A256GCM). Seals with the first secret and opens with
 * any, so that secrets can be rotated.
 */
export function createSealer(secrets: string[]): Sealer {
  // Made once: jose makes one for each call out of bare bytes, and that takes longer than to seal.
  const keys = secrets.map((secret) =>
    subtle.importKey('raw', hkdfSync('sha256', secret, '', 'sealed texts', 32), 'AES-GCM', false, [
      'encrypt',
      'decrypt',
    ]),
  )
  const [newest] = keys
  if (newest === undefined) throw new Error('a sealer needs a secret')
  return {
    async seal(text) {
      const header = { alg: 'dir', enc: 'A256GCM' }
      return new CompactEncrypt(new TextEncoder().encode(text)).setProtectedHeader(header).encrypt(await newest)
    },
    async open(sealed) {
      for (const key of keys) {
        const opened = await compactDecrypt(sealed, await key).catch(() => undefined)
        if (opened !== undefined) return new TextDecoder().decode(opened.plaintext)
      }
      return undefined
    },
  }
}

/** The tokens as they may be stored. */
export async function sealTokens(sealer: Sealer, tokens: Tokens): Promise<SealedTokens> {
  return { sealed: await sealer.seal(JSON.stringify(tokens)), expiresAt: tokens.expiresAt }
}

/** The tokens to use, or undefined when there are none or they cannot be read: the visitor signs in again. */
export async function openTokens(sealer: Sealer, kept: SealedTokens | undefined): Promise<Tokens | undefined> {
  const text = kept && (await sealer.open(kept.sealed))
  return Tokens.safeParse(readJson(text)).data
}

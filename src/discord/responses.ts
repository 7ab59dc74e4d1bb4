// The schemas of Discord's responses and of the tokens in them. The schema of the user is in user.ts.
import { z } from 'zod'
import type { UpstreamRateLimited } from '../errors.ts'
import { headerOf, type UpstreamResponse } from '../upstream/call.ts'

/** Discord's tokens in plain text. They are neither stored nor logged in this form. */
export const Tokens = z.object({
  accessToken: z.string(),
  /** Discord always sends a refresh token, but it is optional in RFC 6749. */
  refreshToken: z.string().optional(),
  /** When the access token expires, in milliseconds since 1970. */
  expiresAt: z.number(),
})
export type Tokens = z.infer<typeof Tokens>

/** The granted scopes. If the field is missing, they are those requested (RFC 6749, 5.1). */
const Scope = z
  .string()
  .default('identify')
  .refine((scope) => scope.split(' ').includes('identify'))

/**
 * An access or refresh token (RFC 6749, appendix A). A text that no header can carry is refused here. If it were
 * stored, each later request with it would fail.
 */
const Token = z.string().regex(/^[\x21-\x7e]{1,4096}$/)

/** The token response of RFC 6749, 5.1. Other fields, such as an `id_token`, are ignored, as the RFC demands. */
export const TokenResponse = z
  .object({
    access_token: Token,
    token_type: z.string().regex(/^bearer$/i),
    expires_in: z.coerce.number().positive().max(1e9),
    refresh_token: Token.optional(),
    scope: Scope,
  })
  .transform((tokens) => ({
    accessToken: tokens.access_token,
    ...(tokens.refresh_token && { refreshToken: tokens.refresh_token }),
    expiresAt: Date.now() + tokens.expires_in * 1000,
  }))

/** The error response of RFC 6749, 5.2. */
export const ErrorResponse = z.object({ error: z.string().optional() }).catch({})

/** The body of a 429. A malformed field counts as missing. */
const RateLimitResponse = z
  .object({
    retry_after: z.number().nonnegative().optional().catch(undefined),
    global: z.boolean().optional().catch(undefined),
  })
  .catch({})

/** Parses the body of a response; undefined if it is not JSON, such as an HTML page of Cloudflare. */
export function readJsonBody(response: Pick<UpstreamResponse, 'headers' | 'body'>): unknown {
  // The media type may also end in +json (RFC 6839), such as application/problem+json.
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(headerOf(response, 'content-type'))) return undefined
  try {
    // TextDecoder drops a byte order mark, which JSON.parse would refuse.
    return JSON.parse(new TextDecoder().decode(response.body))
  } catch {
    return undefined
  }
}

/** How long to wait after a 429 that names no time. */
const defaultWaitS = 60
const maxWaitS = 3600

/**
 * How long to wait after a 429, and whether its limit is global. If header and body say different times, the longer one
 * counts. https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit
 */
export function readRateLimit({ response, retryAfterS = 0 }: UpstreamRateLimited): {
  waitS: number
  isGlobal: boolean
} {
  const { retry_after: bodyS = 0, global } = RateLimitResponse.parse(readJsonBody(response))
  const header = (name: string) => headerOf(response, `x-ratelimit-${name}`)
  return {
    waitS: Math.min(Math.ceil(Math.max(bodyS, retryAfterS)) || defaultWaitS, maxWaitS),
    isGlobal: global === true || header('global') === 'true' || header('scope') === 'global',
  }
}

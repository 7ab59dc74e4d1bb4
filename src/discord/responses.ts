// The schemas of Discord's responses, and of what the app keeps of them.
import { z } from 'zod'
import type { UpstreamRateLimited } from '../errors.ts'
import { headerOf, type UpstreamResponse } from '../upstream/call.ts'

/** The longest name, in characters. Discord's own limit is 32. */
const maxNameLength = 200
/**
 * A username that is too long is cut, because nobody can sign in without a username. Above this length it is refused.
 */
const maxUncutLength = 1000

/**
 * A name. Control characters and lone surrogates are removed, because names are shown in pages and sent to DiceBear.
 */
const nameUpTo = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .transform((name) =>
      name
        .toWellFormed()
        .replace(/\p{Cc}+/gu, ' ')
        .trim(),
    )

const Username = nameUpTo(maxUncutLength)
  .transform((name) => [...name].slice(0, maxNameLength).join(''))
  .pipe(z.string().min(1))

/** A visible character: no space, control or format character, Hangul filler or blank Braille pattern. */
const visible = /[^\p{Z}\p{C}\p{Default_Ignorable_Code_Point}\u2800]/u

/** The hash of a banner or decoration. Other characters are refused, because the hash becomes part of an address. */
const Hash = z.string().regex(/^(\w{1,4}_){0,2}[0-9a-f]{8,64}$/)

/** Discord's names of the colours of a nameplate, which is behind a name in the list of members. */
export const nameplatePalettes = [
  ...(['crimson', 'berry', 'sky', 'teal', 'forest', 'bubble_gum'] as const),
  ...(['violet', 'cobalt', 'clover', 'lemon', 'white'] as const),
]

/** The longest server tag, in characters. */
const maxTagLength = 4

/** A server tag: a few letters that the members of a server may show beside their name. */
const Tag = nameUpTo(maxNameLength).pipe(
  z
    .string()
    .regex(visible)
    .refine((tag) => [...tag].length <= maxTagLength),
)

/** How a user's profile looks on Discord. A field that is null or malformed counts as missing. */
const profileFields = {
  banner: Hash.optional().catch(undefined),
  accent_color: z.int().min(0).max(0xffffff).optional().catch(undefined),
  avatar_decoration_data: z.object({ asset: Hash }).optional().catch(undefined),
  collectibles: z
    .object({ nameplate: z.object({ palette: z.enum(nameplatePalettes) }) })
    .optional()
    .catch(undefined),
  primary_guild: z
    .object({ identity_enabled: z.literal(true), tag: Tag })
    .optional()
    .catch(undefined),
  premium_type: z.literal([0, 1, 2, 3]).optional().catch(undefined),
}

/**
 * The fields of Discord's user object that this app uses. Only id and username are necessary for a sign-in: any other
 * field that is malformed counts as missing. https://discord.com/developers/docs/resources/user
 */
export const UserResponse = z
  .object({
    id: z.string().regex(/^\d{1,20}$/),
    username: Username,
    global_name: nameUpTo(maxNameLength).pipe(z.string().regex(visible)).optional().catch(undefined),
    discriminator: z
      .string()
      .regex(/^\d{1,4}$/)
      .catch('0'),
    avatar: z
      .string()
      .regex(/^\w{1,100}$/)
      .optional()
      .catch(undefined),
    ...profileFields,
  })
  .transform(({ id, username, global_name, discriminator, avatar, ...profile }) => ({
    ...{ id, username, globalName: global_name, discriminator, avatar },
    banner: profile.banner,
    accentColor: profile.accent_color,
    decoration: profile.avatar_decoration_data?.asset,
    nameplate: profile.collectibles?.nameplate.palette,
    tag: profile.primary_guild?.tag,
    // 1 is Nitro Classic, 2 Nitro, 3 Nitro Basic. A 0 does not tell that a user has no Nitro: Discord answers 0 for
    // everybody unless the app has a scope that is for partners only.
    hasNitro: profile.premium_type ? true : undefined,
  }))

/** A Discord user as a session stores it: what pages show, and no more. */
export const User = z.object({
  id: z.string(),
  username: z.string(),
  globalName: z.string().optional(),
  /** '0', or four digits in old accounts. */
  discriminator: z.string(),
  /** Hash of the user's present picture. */
  avatar: z.string().optional(),
  /** Hash of the banner, the picture at the top of the profile. */
  banner: z.string().optional(),
  /** As 0xRRGGBB. It is shown at the top of a profile that has no banner. */
  accentColor: z.int().optional(),
  /** Hash of the decoration, the frame around the picture. */
  decoration: z.string().optional(),
  nameplate: z.enum(nameplatePalettes).optional(),
  tag: z.string().optional(),
  hasNitro: z.boolean().optional(),
})
export type User = z.infer<typeof User>

/** Discord's tokens in plain text. They are neither stored nor logged like this. */
export const Tokens = z.object({
  accessToken: z.string(),
  /** Discord always sends a refresh token, but it is optional in RFC 6749. */
  refreshToken: z.string().optional(),
  /** When the access token expires, in milliseconds since 1970. */
  expiresAt: z.number(),
})
export type Tokens = z.infer<typeof Tokens>

/**
 * The granted scopes, which may be more than `identify`. If the field is missing, the requested scopes were granted
 * (RFC 6749, 5.1).
 */
const Scope = z
  .string()
  .default('identify')
  .refine((scope) => scope.split(' ').includes('identify'))

/**
 * An access or refresh token (RFC 6749, appendix A). A text that cannot be sent in a header is refused here, because
 * once it is stored, each later visit would fail.
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

/**
 * Parses the body of a response; undefined if it is not JSON, such as the plain text of a 429 or an HTML page of
 * Cloudflare.
 */
export function readJson(response: Pick<UpstreamResponse, 'headers' | 'body'>): unknown {
  // The media type may also end in +json (RFC 6839), such as application/problem+json.
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(headerOf(response, 'content-type'))) return undefined
  try {
    // TextDecoder drops a byte order mark, which JSON.parse would refuse.
    return JSON.parse(new TextDecoder().decode(response.body))
  } catch {
    return undefined
  }
}

/** How long to wait if a 429 does not say. */
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
  const { retry_after: bodyS = 0, global } = RateLimitResponse.parse(readJson(response))
  const header = (name: string) => headerOf(response, `x-ratelimit-${name}`)
  return {
    waitS: Math.min(Math.ceil(Math.max(bodyS, retryAfterS)) || defaultWaitS, maxWaitS),
    isGlobal: global === true || header('global') === 'true' || header('scope') === 'global',
  }
}

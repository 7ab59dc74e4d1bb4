// The schemas of Discord's responses, and of the parts that the app keeps.
import { z } from 'zod'
import type { UpstreamRateLimited } from '../errors.ts'
import { headerOf, type UpstreamResponse } from '../upstream/call.ts'

/** In characters. Discord's own limit is 32. */
const maxNameLength = 200
/**
 * A username is needed to sign in, so one that is too long is cut. Beyond this length it is not taken for a username.
 */
const maxUncutLength = 1000

/** A name without control characters and lone surrogates, because names are shown in pages and sent to DiceBear. */
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

/** Hash of a banner or decoration; it becomes part of an address. */
const Hash = z.string().regex(/^(\w{1,4}_){0,2}[0-9a-f]{8,64}$/)

/** Discord's own names of the colours behind a name in the list of members. */
export const nameplatePalettes = [
  ...(['crimson', 'berry', 'sky', 'teal', 'forest', 'bubble_gum'] as const),
  ...(['violet', 'cobalt', 'clover', 'lemon', 'white'] as const),
]

/** In characters. */
const maxTagLength = 4

/** A server tag: a few letters that the members of a server may show beside their name. */
const Tag = nameUpTo(maxNameLength).pipe(
  z
    .string()
    .regex(visible)
    .refine((tag) => [...tag].length <= maxTagLength),
)

/**
 * The appearance of a user's profile at Discord. Each field may be null, missing or malformed, and then counts as
 * absent.
 */
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
 * The fields that we use of Discord's user object. Only id and username decide a sign-in: without a good value the
 * other fields count as absent. https://discord.com/developers/docs/resources/user
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
    // 1 is Nitro Classic, 2 Nitro, 3 Nitro Basic. Without a scope that only partners have, Discord answers 0 for
    // everybody, so 0 means nothing.
    hasNitro: profile.premium_type ? true : undefined,
  }))

/** A Discord user as a session stores it: what pages show, and no more. */
export const User = z.object({
  id: z.string(),
  username: z.string(),
  globalName: z.string().optional(),
  /** '0', or four digits in old accounts. */
  discriminator: z.string(),
  /** Hash of the present picture. */
  avatar: z.string().optional(),
  /** Hash of the banner, the picture at the top of the profile. */
  banner: z.string().optional(),
  /** 0xRRGGBB; shown at the top of a profile without a banner. */
  accentColor: z.int().optional(),
  /** Name of the frame around the picture. */
  decoration: z.string().optional(),
  nameplate: z.enum(nameplatePalettes).optional(),
  tag: z.string().optional(),
  hasNitro: z.boolean().optional(),
})
export type User = z.infer<typeof User>

/** Discord's tokens in plain text: never stored or logged like this. */
export const Tokens = z.object({
  accessToken: z.string(),
  /** Discord always sends one; RFC 6749 makes it optional. */
  refreshToken: z.string().optional(),
  /** When the access token expires, in milliseconds since 1970. */
  expiresAt: z.number(),
})
export type Tokens = z.infer<typeof Tokens>

/**
 * The granted scopes. Discord may grant more than `identify`; if the field is missing, those asked for were granted
 * (RFC 6749, 5.1).
 */
const Scope = z
  .string()
  .default('identify')
  .refine((scope) => scope.split(' ').includes('identify'))

/** The token response of RFC 6749, 5.1. As it demands, other fields are ignored, such as an `id_token`. */
export const TokenResponse = z
  .object({
    access_token: z.string().min(1),
    token_type: z.string().regex(/^bearer$/i),
    expires_in: z.coerce.number().positive().max(1e9),
    refresh_token: z.string().min(1).optional(),
    scope: Scope,
  })
  .transform((tokens) => ({
    accessToken: tokens.access_token,
    ...(tokens.refresh_token && { refreshToken: tokens.refresh_token }),
    expiresAt: Date.now() + tokens.expires_in * 1000,
  }))

/** The error response of RFC 6749, 5.2. */
export const ErrorResponse = z.object({ error: z.string().optional() }).catch({})

/** The body of a 429. Fields that are missing or malformed count as absent. */
const RateLimitResponse = z
  .object({
    retry_after: z.number().nonnegative().optional().catch(undefined),
    global: z.boolean().optional().catch(undefined),
  })
  .catch({})

/** The body as JSON, or undefined: a 429 may be plain text, and a 5xx an HTML page from Cloudflare. */
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

/** Used when a 429 has no Retry-After. */
const defaultWaitS = 60
const maxWaitS = 3600

/**
 * How long to wait, the larger value of header and body, and whether the limit is global.
 * https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit
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

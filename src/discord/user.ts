// The schemas of a Discord user: of Discord's response, and of what the app keeps of it.
import { z } from 'zod'
import { maxSeedLength } from '../../public/js/look.js'

/** The longest display name and tag, in characters. Discord's own limit is 32. */
const maxNameLength = 200
/** A username longer than a seed may be is cut, because it may become one. Above this length it is refused. */
const maxUncutLength = 1000

/** A name without control characters and lone surrogates, as it is shown in pages and sent to DiceBear. */
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
  .transform((name) => [...name].slice(0, maxSeedLength).join('').trim())
  .pipe(z.string().min(1))

/** A visible character: no space, control or format character, Hangul filler or blank Braille pattern. */
const visible = /[^\p{Z}\p{C}\p{Default_Ignorable_Code_Point}\u2800]/u

/** The hash of a banner or decoration. Other characters are refused, because the hash becomes part of an address. */
const Hash = z.string().regex(/^(\w{1,4}_){0,2}[0-9a-f]{8,64}$/)

/** Discord's names of the colours of a nameplate, which is behind a name in the list of members. */
const nameplatePalettes = [
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
 * The fields of Discord's user object that this app uses. Only id and username are necessary for a sign-in. Any other
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

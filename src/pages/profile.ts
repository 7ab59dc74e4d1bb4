import { bannerUrl, decorationUrls, discordPictureUrl } from '../discord/picture.ts'
import type { User } from '../discord/user.ts'
import { words } from './words.ts'

/** Colours similar to those of Discord's nameplates. */
const nameplateColours: Record<NonNullable<User['nameplate']>, string> = {
  crimson: 'e7040f',
  berry: 'b11fcf',
  sky: '56ccff',
  teal: '7deed7',
  forest: '6aa624',
  bubble_gum: 'f957b3',
  violet: '972fed',
  cobalt: '4278ff',
  clover: '63cd5a',
  lemon: 'fed400',
  white: 'ffffff',
}

/** The values of a user for views: the name, the present picture, and how the profile looks on Discord. */
export function profileView(cdnUrl: string, user: User) {
  const { username, globalName, nameplate, tag, hasNitro } = user
  return {
    displayName: globalName ?? username,
    username,
    pictureUrl: discordPictureUrl(cdnUrl, user),
    bannerUrl: bannerUrl(cdnUrl, user),
    accent: accentOf(user),
    decoration: decorationUrls(cdnUrl, user),
    nameplate: nameplate && nameplateColours[nameplate],
    tag,
    hasNitro,
  }
}

/** The accent colour of the user's profile, as six hex digits. */
const accentOf = ({ accentColor }: User) => accentColor?.toString(16).padStart(6, '0')

type Colours = {
  swatches: { value: string; title: string | undefined; isChosen: boolean }[]
  ownColour?: string | undefined
}

/** Puts the accent colour of the user's profile in front of the colours to choose from. */
export function withAccent<Some extends Colours>(colours: Some, user: User): Some {
  const value = accentOf(user)
  if (value === undefined || colours.swatches.some((swatch) => swatch.value === value)) return colours
  const isChosen = colours.ownColour === value
  const accent = { value, title: words.profile.accent, isChosen }
  return { ...colours, swatches: [accent, ...colours.swatches], ...(isChosen && { ownColour: undefined }) }
}

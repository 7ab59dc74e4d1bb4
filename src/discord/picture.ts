import type { User } from './user.ts'

/** The picture's address, or that of a default one. https://discord.com/developers/docs/reference#image-formatting */
export function discordPictureUrl(cdnUrl: string, user: User): string {
  if (user.avatar) return `${cdnUrl}/avatars/${user.id}/${user.avatar}.png?size=128`
  const old = Number(user.discriminator)
  const number = old > 0 ? old % 5 : Number((BigInt(user.id) >> 22n) % 6n)
  return `${cdnUrl}/embed/avatars/${number}.png`
}

/** Width in pixels: twice the width on the page, for screens with two pixels per CSS pixel. */
const bannerSize = 512

/** Address of the user's banner, not animated. https://discord.com/developers/docs/reference#image-formatting */
export function bannerUrl(cdnUrl: string, { id, banner }: User): string | undefined {
  return banner && `${cdnUrl}/banners/${id}/${banner}.png?size=${bannerSize}`
}

/** Addresses of the decoration, the frame around the picture: an animated PNG, and its first frame. */
export function decorationUrls(cdnUrl: string, { decoration }: User): { url: string; stillUrl: string } | undefined {
  if (decoration === undefined) return undefined
  const url = `${cdnUrl}/avatar-decoration-presets/${decoration}.png`
  return { url, stillUrl: `${url}?passthrough=false` }
}

import type { User } from './responses.ts'

/**
 * Address of the picture that a user has on Discord now, or of the default one that Discord shows.
 * https://discord.com/developers/docs/reference#image-formatting
 */
export function discordPictureUrl(cdnUrl: string, user: User): string {
  if (user.avatar) return `${cdnUrl}/avatars/${user.id}/${user.avatar}.png?size=128`
  const old = Number(user.discriminator)
  const number = old > 0 ? old % 5 : Number((BigInt(user.id) >> 22n) % 6n)
  return `${cdnUrl}/embed/avatars/${number}.png`
}

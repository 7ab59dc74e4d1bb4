import type { Avatar } from '../avatar/avatars.ts'

/** A visitor keeps this many avatars. */
const longest = 12

/** The history with this avatar as its newest; one that was there already moves to the front. */
export function withAvatar(avatars: Avatar[], avatar: Avatar): Avatar[] {
  return [avatar, ...withoutAvatar(avatars, avatar.id)].slice(0, longest)
}

export function withoutAvatar(avatars: Avatar[], id: string): Avatar[] {
  return avatars.filter((one) => one.id !== id)
}

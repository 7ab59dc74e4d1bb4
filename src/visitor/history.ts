import type { Avatar } from '../avatar/avatars.ts'
import type { User } from '../discord/client.ts'
import type { Visitor } from './session.ts'

/** A visitor keeps this many avatars. */
const longest = 12

/** The avatars that this user has made; another user in the same browser begins anew. */
export function historyOf(known: Visitor, user: User): Avatar[] {
  return known.user?.id === user.id ? known.avatars : []
}

/** The history with this avatar as its newest; one that was there already moves to the front. */
export function withAvatar(avatars: Avatar[], avatar: Avatar): Avatar[] {
  return [avatar, ...withoutAvatar(avatars, avatar.id)].slice(0, longest)
}

export function withoutAvatar(avatars: Avatar[], id: string): Avatar[] {
  return avatars.filter((one) => one.id !== id)
}

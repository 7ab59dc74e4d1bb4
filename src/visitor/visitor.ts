import { z } from 'zod'
import { Avatar, avatarId } from '../avatar/avatars.ts'
import { Choice } from '../avatar/choice.ts'
import { User } from '../discord/user.ts'
import { SealedTokens } from './tokens.ts'

const maxAvatars = 12
/** Fewer than `maxAvatars`, so that there is always an avatar that a new one can replace. */
const maxKept = 6

/** An avatar in a visitor's history. */
const OwnAvatar = Avatar.extend({
  /** Whether the avatar stays in the history when newer ones are added. */
  kept: z.boolean(),
})
export type OwnAvatar = z.infer<typeof OwnAvatar>

/** What a session remembers of a visitor. */
const Visitor = z.object({
  user: User.optional(),
  tokens: SealedTokens.optional(),
  /** The history: at most `maxAvatars`, the newest first. The newest choice is the visitor's last form data. */
  avatars: z.array(OwnAvatar),
  /** The avatar that was removed last, and its place. A later removal replaces it, a new avatar deletes it. */
  removed: z.object({ place: z.int().nonnegative(), avatar: OwnAvatar }).optional(),
})
export type Visitor = z.infer<typeof Visitor>

/** A visitor about whom nothing is known. */
export const stranger: Visitor = { avatars: [] }

const flag = z.union([z.literal(0), z.literal(1)])
const { seed, style, backgroundColor, mood } = Choice.shape
/** The other fields of a choice. Most avatars have none of them, because a field is left out if it has its default. */
const Rest = Choice.omit({ seed: true, style: true, backgroundColor: true, mood: true, animated: true })

/** The sum of 1 if the seed was typed and 2 if the avatar is kept. */
const flags = z.int().min(0).max(3)

const AvatarTuple = z.tuple([seed, style, backgroundColor, mood, flag, flags, Rest.optional()])

/** An avatar as a list without names, so that twelve take less than 2 KB. Id and path follow from the choice. */
const StoredAvatar = z.codec(AvatarTuple, OwnAvatar, {
  decode([seed, style, backgroundColor, mood, animated, flags, rest]) {
    const choice = { seed, style, backgroundColor, mood, animated: animated === 1, ...rest }
    return { id: avatarId(choice), choice, seedTyped: (flags & 1) === 1, kept: (flags & 2) === 2 }
  },
  encode({ choice, seedTyped, kept }): z.infer<typeof AvatarTuple> {
    const { seed, style, backgroundColor, mood, animated, ...rest } = choice
    const always = [seed, style, backgroundColor, mood, animated ? 1 : 0, (seedTyped ? 1 : 0) | (kept ? 2 : 0)] as const
    return Object.values(rest).some((value) => value !== undefined) ? [...always, rest] : [...always]
  },
})

const StoredVisitor = Visitor.extend({
  avatars: z.array(StoredAvatar),
  removed: Visitor.shape.removed.unwrap().extend({ avatar: StoredAvatar }).optional(),
})

/** The visitor in a session's data. Data in another format, such as that of an older version, counts as none. */
export function readVisitor(stored: unknown): Visitor {
  return StoredVisitor.safeParse(stored).data ?? stranger
}

/** Converts a visitor to the format that a session stores. */
export const writeVisitor = (visitor: Visitor) => z.encode(StoredVisitor, visitor)

/** The visitor with a new avatar at the front of the history. If another user has signed in, the history is dropped. */
export function withNewAvatar(visitor: Visitor, user: User, avatar: Avatar): Visitor {
  const before = visitor.user?.id === user.id ? visitor.avatars : []
  const kept = before.some((one) => one.id === avatar.id && one.kept)
  const avatars = [{ ...avatar, kept }, ...without(before, avatar.id)]
  return { ...visitor, user, avatars: withinLimit(avatars), removed: undefined }
}

/** Drops the oldest avatar that is not kept, if there are too many. */
function withinLimit(avatars: OwnAvatar[]): OwnAvatar[] {
  if (avatars.length <= maxAvatars) return avatars
  return avatars.toSpliced(
    avatars.findLastIndex(({ kept }) => !kept),
    1,
  )
}

/** Removes an avatar from the history and remembers it as `removed`. */
export function withoutAvatar(visitor: Visitor, id: string): Visitor {
  const place = visitor.avatars.findIndex((avatar) => avatar.id === id)
  const avatar = visitor.avatars[place]
  return avatar ? { ...visitor, avatars: without(visitor.avatars, id), removed: { place, avatar } } : visitor
}

/** Puts the removed avatar back in its place. It is no longer kept if the limit of kept avatars is reached. */
export function withRestored(visitor: Visitor, id: string): Visitor {
  const { avatars, removed } = visitor
  if (removed?.avatar.id !== id) return visitor
  const avatar = { ...removed.avatar, kept: removed.avatar.kept && !isKeptFull(visitor) }
  return { ...visitor, avatars: avatars.toSpliced(removed.place, 0, avatar), removed: undefined }
}

/** Marks an avatar as kept or not kept. Nothing changes if the limit of kept avatars is reached. */
export function withKept(visitor: Visitor, id: string, kept: boolean): Visitor {
  if (kept && isKeptFull(visitor)) return visitor
  return { ...visitor, avatars: visitor.avatars.map((avatar) => (avatar.id === id ? { ...avatar, kept } : avatar)) }
}

/** Whether no further avatar can be kept. */
export const isKeptFull = ({ avatars }: Visitor) => avatars.filter(({ kept }) => kept).length >= maxKept

const without = (avatars: OwnAvatar[], id: string) => avatars.filter((avatar) => avatar.id !== id)

import { z } from 'zod'
import { Avatar, avatarId } from '../avatar/avatars.ts'
import { Choice } from '../avatar/choice.ts'
import { User } from '../discord/responses.ts'
import { SealedTokens } from './tokens.ts'

const maxAvatars = 12

/** What a session holds of a visitor. */
const Visitor = z.object({
  /** The form data of the last avatar, with which the form on the avatar page opens. */
  choice: Choice.optional(),
  user: User.optional(),
  tokens: SealedTokens.optional(),
  /** Newest first, at most twelve. */
  avatars: z.array(Avatar),
})
export type Visitor = z.infer<typeof Visitor>

/** A visitor of whom nothing is known. */
export const stranger: Visitor = { avatars: [] }

const flag = z.union([z.literal(0), z.literal(1)])
const { seed, style, backgroundColor, mood } = Choice.shape
/** Absent at their default, so in most avatars. */
const Rest = Choice.omit({ seed: true, style: true, backgroundColor: true, mood: true, animated: true })

const AvatarTuple = z.tuple([seed, style, backgroundColor, mood, flag, flag, Rest.optional()])

/**
 * An avatar as a session stores it. Its id and the path of its file follow from the choice, so twelve take less than 2
 * KB.
 */
const StoredAvatar = z.codec(AvatarTuple, Avatar, {
  decode([seed, style, backgroundColor, mood, animated, seedTyped, rest]) {
    const choice = { seed, style, backgroundColor, mood, animated: animated === 1, ...rest }
    return { id: avatarId(choice), choice, seedTyped: seedTyped === 1 }
  },
  encode({ choice, seedTyped }): z.infer<typeof AvatarTuple> {
    const { seed, style, backgroundColor, mood, animated, ...rest } = choice
    const always = [seed, style, backgroundColor, mood, animated ? 1 : 0, seedTyped ? 1 : 0] as const
    return Object.values(rest).some((value) => value !== undefined) ? [...always, rest] : [...always]
  },
})
const StoredVisitor = Visitor.extend({ avatars: z.array(StoredAvatar) })

/**
 * Reads what a session stores of a visitor; data in another format, such as an older version's, is treated as no data.
 */
export function readVisitor(stored: unknown): Visitor {
  return StoredVisitor.safeParse(stored).data ?? stranger
}

/** What a session stores of a visitor. */
export const writeVisitor = (visitor: Visitor) => z.encode(StoredVisitor, visitor)

/** The visitor with a new avatar in front of the history. The history of another user of this browser is dropped. */
export function withNewAvatar(
  visitor: Visitor,
  { user, choice, avatar }: { user: User; choice: Choice; avatar: Avatar },
): Visitor {
  const avatars = visitor.user?.id === user.id ? visitor.avatars : []
  return { ...visitor, user, choice, avatars: [avatar, ...without(avatars, avatar.id)].slice(0, maxAvatars) }
}

/** The visitor without one of the avatars. */
export function withoutAvatar(visitor: Visitor, id: string): Visitor {
  return { ...visitor, avatars: without(visitor.avatars, id) }
}

const without = (avatars: Avatar[], id: string) => avatars.filter((avatar) => avatar.id !== id)

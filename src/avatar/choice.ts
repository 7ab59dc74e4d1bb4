import { z } from 'zod'
import { moodOptions, moods } from './moods.ts'
import { findStyle } from './styles.ts'

/** What a visitor chose, checked and spelled our way. */
export const Choice = z.object({
  /** Empty until we know the Discord username. */
  seed: z.string(),
  style: z.string().refine((name) => findStyle(name) !== undefined),
  /** Six lower-case hex digits, or empty for none. */
  backgroundColor: z.string().regex(/^([0-9a-f]{6})?$/),
  /** Empty for any. */
  mood: z.string().refine((name) => name === '' || moods.includes(name)),
  animated: z.boolean(),
})
export type Choice = z.infer<typeof Choice>

/** DiceBear has no word for none, but takes a colour with no opacity. */
const noColour = 'ffffff00'

/** Light on dark, and next to nothing on the page's own ground: where no colour is picked, their own shows. */
const needOwnBackground = new Set(['constellation', 'glass'])

/**
 * The choice in DiceBear's words, the same for its HTTP API and its library.
 * Names and types: https://www.dicebear.com/guides/core-options/
 */
export function dicebearOptions(choice: Choice): Record<string, string | number | string[]> {
  return {
    seed: choice.seed,
    ...background(choice),
    ...moodOptions(choice.style, choice.mood),
    ...(choice.animated && findStyle(choice.style)?.animated ? { tags: ['animation'] } : {}),
  }
}

/** Whether the look has no ground at all, and takes on the colour of whoever looks at it. */
export function isSeeThrough({ style, backgroundColor }: Choice): boolean {
  return backgroundColor === '' && !needOwnBackground.has(style)
}

function background({ style, backgroundColor }: Choice): { backgroundColor?: string[] } {
  if (backgroundColor === '' && needOwnBackground.has(style)) return {}
  return { backgroundColor: [backgroundColor || noColour] }
}

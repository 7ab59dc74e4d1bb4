import { z } from 'zod'
import { findStyle, moodOptions, moods } from './catalogue.ts'

/** What a visitor chose, checked and normalised. */
export const Choice = z.object({
  /** Empty until the Discord username is known. */
  seed: z.string(),
  style: z.string().refine((name) => findStyle(name) !== undefined),
  /** Six lower-case hex digits, or empty for none. */
  backgroundColor: z.string().regex(/^([0-9a-f]{6})?$/),
  /** Empty for any. */
  mood: z.string().refine((name) => name === '' || moods.includes(name)),
  animated: z.boolean(),
})
export type Choice = z.infer<typeof Choice>

/** DiceBear has no option for "no background"; a fully transparent colour has that effect. */
const transparent = 'ffffff00'

/**
 * Styles that are light on dark or nearly invisible without a background: if no colour is chosen they keep DiceBear's.
 */
const stylesWithOwnBackground = new Set(['constellation', 'glass'])

/**
 * The choice as DiceBear's options, the same for its HTTP API and its library.
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

/** Whether the avatar has no background, so that the page behind it shows. */
export function isSeeThrough({ style, backgroundColor }: Pick<Choice, 'style' | 'backgroundColor'>): boolean {
  return backgroundColor === '' && !stylesWithOwnBackground.has(style)
}

function background(choice: Choice): { backgroundColor?: string[] } {
  if (isSeeThrough(choice)) return { backgroundColor: [transparent] }
  return choice.backgroundColor === '' ? {} : { backgroundColor: [choice.backgroundColor] }
}

import { z } from 'zod'
import { flips, gradients } from '../../public/js/look.js'
import { findStyle, moodOptions, moods } from './catalogue.ts'
import { pinOptions } from './parts.ts'

/** What a visitor chose. An optional field is left out if it has DiceBear's default. */
export const Choice = z.object({
  /** Empty if the Discord username is to become the seed. */
  seed: z.string(),
  style: z.string().refine((name) => findStyle(name) !== undefined),
  /** Six lower-case hex digits, `own` for the style's own background, or empty for none. */
  backgroundColor: z.string().regex(/^([0-9a-f]{6}|own)?$/),
  /** Empty if no mood was chosen. */
  mood: z.string().refine((name) => name === '' || moods.includes(name)),
  animated: z.boolean(),
  /** The kind of gradient from `backgroundColor` to `backgroundColor2`. If it is missing, there is one colour. */
  backgroundColorFill: z.enum(gradients).optional(),
  backgroundColor2: z
    .string()
    .regex(/^[0-9a-f]{6}$/)
    .optional(),
  /** In degrees. */
  backgroundColorAngle: z.number().optional(),
  scale: z.number().optional(),
  /** In percent of the picture. */
  translateX: z.number().optional(),
  translateY: z.number().optional(),
  /** In degrees. */
  rotate: z.number().optional(),
  flip: z.enum(flips).optional(),
  /** The chosen parts and colours, see `Pins`. */
  pins: z.record(z.string(), z.string()).optional(),
})
export type Choice = z.infer<typeof Choice>

/** DiceBear has no option for "no background"; a fully transparent colour has that effect. */
const transparent = 'ffffff00'

/** Styles that keep DiceBear's background if no colour is chosen. Without a background they are nearly invisible. */
const stylesWithOwnBackground = new Set(['constellation', 'glass'])

type DiceBearOptions = Record<string, string | number | string[]>

/**
 * The choice as options of DiceBear's API and library. A pinned part replaces the same part of the mood.
 * https://www.dicebear.com/guides/core-options/
 */
export function dicebearOptions(choice: Choice): DiceBearOptions {
  return {
    seed: choice.seed,
    ...background(choice),
    ...framing(choice),
    ...moodOptions(choice.style, choice.mood),
    ...pinOptions(choice.style, choice.pins),
    ...(choice.animated && findStyle(choice.style)?.animated ? { tags: ['animation'] } : {}),
  }
}

/** Whether the avatar has no background, so that the page behind it shows. */
export function isSeeThrough({ style, backgroundColor }: Pick<Choice, 'style' | 'backgroundColor'>): boolean {
  if (backgroundColor === 'own') return findStyle(style)?.ownBackground === false
  return backgroundColor === '' && !stylesWithOwnBackground.has(style)
}

function background(choice: Choice): DiceBearOptions {
  const { backgroundColor, backgroundColorFill, backgroundColor2, backgroundColorAngle } = choice
  if (isSeeThrough(choice)) return { backgroundColor: [transparent] }
  if (backgroundColor === '' || backgroundColor === 'own') return {}
  if (!backgroundColorFill || !backgroundColor2) return { backgroundColor: [backgroundColor] }
  return {
    backgroundColor: [backgroundColor, backgroundColor2],
    backgroundColorFill,
    ...given({ backgroundColorAngle }),
    // Without this option the seed decides which colour comes first.
    backgroundColorOrder: 'fixed',
  }
}

const framing = ({ scale, translateX, translateY, rotate, flip }: Choice) =>
  given({ scale, translateX, translateY, rotate, flip })

function given(options: Record<string, string | number | undefined>): DiceBearOptions {
  return Object.fromEntries(
    Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

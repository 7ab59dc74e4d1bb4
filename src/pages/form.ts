import { z } from 'zod'
import { flips, gradients, hexColour, type Look, lookEntries, maxSeedLength, seedLength } from '../../public/js/look.js'
import { findStyle, moods } from '../avatar/catalogue.ts'
import type { Choice } from '../avatar/choice.ts'
import { pinFields, pinFieldsOf } from '../avatar/parts.ts'
import { colourIn, number, shortened, text, word } from './field-schemas.ts'
import { readPins } from './pins.ts'
import { words } from './words.ts'

const texts = words.problems

/** The schema of the form. The fields, and so their problems, are in the order of the page. */
const Fields = z.object({
  style: text('style').superRefine((style, context) => {
    if (style === '') context.addIssue({ code: 'custom', message: texts.styleMissing })
    else if (!findStyle(style)) context.addIssue({ code: 'custom', message: texts.styleUnknown(shortened(style)) })
  }),
  animated: text('animated')
    .refine((value) => value === '' || value === 'on', texts.animatedWrong)
    .transform((value) => value === 'on'),
  mood: text('mood'),
  backgroundColor: text('backgroundColor').transform((entered, context) => {
    if (entered === '' || entered === 'transparent') return ''
    return entered === 'own' ? entered : colourIn(entered, context)
  }),
  backgroundColorFill: word('backgroundColorFill', gradients, 'solid'),
  backgroundColor2: text('backgroundColor2').transform((entered, context) =>
    entered === '' ? undefined : colourIn(entered, context),
  ),
  backgroundColorAngle: number('backgroundColorAngle'),
  scale: number('scale'),
  translateX: number('translateX'),
  translateY: number('translateY'),
  rotate: number('rotate'),
  flip: word('flip', flips, 'none'),
  seed: text('seed').superRefine((seed, context) => {
    const length = seedLength(seed)
    if (length > maxSeedLength) context.addIssue({ code: 'custom', message: texts.seedTooLong(length, maxSeedLength) })
  }),
})

/** The fields of the form, in the order of the page. */
const fields = Fields.keyof().options
/** What is wrong with a field. `field` is one of `fields`, or the field of a part or colour. */
export type Problem = { field: string; message: string }

/** What was entered, trimmed but not checked, so that the form can be shown again with it. */
const Entered = z.record(Fields.keyof(), z.string()).and(
  // Also parts and colours that the chosen style does not have, because the visitor may choose another style next.
  z.object({ pins: z.record(z.string(), z.string()) }),
)
export type Entered = z.infer<typeof Entered>

export type ReadForm =
  | { choice: Choice; entered: Entered; problems: [] }
  | { choice?: undefined; entered: Entered; problems: Problem[] }

const Form = Fields.superRefine(
  ({ style, mood }, context) => {
    const message = moodProblem(style, mood)
    if (message !== undefined) context.addIssue({ code: 'custom', path: ['mood'], message })
  },
  // Without `when` zod would check the mood only when no field is wrong, so some visitors would correct the form twice.
  { when: ({ issues }) => !issues.some(({ path }) => path?.[0] === 'mood') },
).transform(normalised)

/** Drops the mood if the style has no face, and the fields of a gradient unless there are two colours. */
function normalised(checked: z.infer<typeof Fields>): Choice {
  const { backgroundColorFill, backgroundColor2, backgroundColorAngle, ...others } = checked
  const choice = findStyle(checked.style)?.hasFace ? others : { ...others, mood: '' }
  const isGradient = backgroundColorFill && backgroundColor2 && hexColour(checked.backgroundColor)
  return isGradient ? { ...choice, backgroundColorFill, backgroundColor2, backgroundColorAngle } : choice
}

/** Whether the address contains a look. If that look has no seed, the form chooses the visitor's Discord username. */
export const isLink = (query: Record<string, unknown>) =>
  ['seedFrom', ...fields, ...pinFields].some((field) => query[field] !== undefined)

const Sent = z.record(z.string(), z.unknown()).catch({})

/**
 * Copies the chosen seed to the field `seed`. The radio button `seedFrom` decides: with `username` the seed is empty,
 * with `word` it is the text in the field `seed`. Every other value of `seedFrom` is the seed of a chosen face. Links
 * and hidden fields have no `seedFrom`, only the field `seed`.
 */
function withChosenSeed(given: Record<string, unknown>): Record<string, unknown> {
  const { seedFrom } = given
  if (seedFrom === undefined || seedFrom === '' || seedFrom === 'word') return given
  return { ...given, seed: seedFrom === 'username' ? '' : seedFrom }
}

/** Reads the form from a body or a query. Returns the choice, or what is wrong with each field. */
export function readForm(sent: unknown): ReadForm {
  const given = withChosenSeed(Sent.parse(sent))
  const entered = asEntered(given)
  const form = Form.safeParse(given)
  const { pins, issues: pinIssues } = readPins(entered.style, given)
  if (form.success && pinIssues.length === 0) {
    return { choice: pins ? { ...form.data, pins } : form.data, entered, problems: [] }
  }
  const issues = [...(form.error?.issues ?? []), ...pinIssues]
  return { entered, problems: problemsOf(issues, entered.style) }
}

/** Reads a look as if its fields came from an address. */
export const readLook = (look: Look): ReadForm => readForm(Object.fromEntries(lookEntries(look)))

/** What is wrong with the mood; undefined if nothing is. A style without a face accepts any mood. */
function moodProblem(styleName: string, mood: string): string | undefined {
  const style = findStyle(styleName)
  if (mood === '' || style?.hasFace === false) return undefined
  if (!moods.includes(mood)) return texts.moodUnknown(shortened(mood))
  return style?.moods.includes(mood) === false ? texts.moodLacking(style.title, mood) : undefined
}

/** The problems in the order of the page, at most one for each field. */
function problemsOf(issues: z.core.$ZodIssue[], style: string): Problem[] {
  const inOrder = fields.flatMap((field) => (field === 'mood' ? [field, ...pinFieldsOf(style)] : [field]))
  return inOrder.flatMap((field) => {
    const issue = issues.find(({ path }) => path[0] === field)
    return issue ? [{ field, message: issue.message }] : []
  })
}

function asEntered(given: Record<string, unknown>): Entered {
  function textOf(field: string): [string, string] {
    const value = given[field]
    // Of a repeated field the first value is shown.
    const text: unknown = Array.isArray(value) ? value[0] : value
    return [field, typeof text === 'string' ? text.trim() : '']
  }
  const pins = Object.keys(given).filter((field) => pinFields.has(field))
  return Entered.parse({
    ...Object.fromEntries(fields.map(textOf)),
    // An empty pin is dropped. A repeated one is kept, because its problem is shown beside it.
    pins: Object.fromEntries(pins.map(textOf).filter(([field, value]) => value !== '' || Array.isArray(given[field]))),
  })
}

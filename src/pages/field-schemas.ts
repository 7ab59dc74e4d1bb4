// Schemas of form fields by their kind, such as a number or a colour, with the messages for wrong values.
import { z } from 'zod'
import { hexColour, ranges } from '../../public/js/look.js'
import { words } from './words.ts'

/** The name of a form field, except those for parts and colours, see pins.ts. */
export type Field = keyof typeof words.problems.fields

const texts = words.problems

// Control characters are refused, because they break file names and terminals. A line break at an end has been trimmed.
const controlCharacter = /\p{Cc}/u

/** The text of a field, trimmed, or ''. A repeated field is an error. Messages call the field `name`. */
export const textCalled = (name: string) =>
  z
    .string(texts.repeated(name))
    .trim()
    .refine((value) => !controlCharacter.test(value), texts.controlCharacter(name))
    .prefault('')

export const text = (field: Field) => textCalled(texts.fields[field])

/** How HTML writes a number: https://html.spec.whatwg.org/multipage/common-microsyntaxes.html#floating-point-numbers */
const numberFormat = /^-?(\d+(\.\d+)?|\.\d+)(e[-+]?\d+)?$/i

/** The entered number, or NaN. JavaScript alone would also accept "0x1", "+1" and an empty text. */
export const numberIn = (entered: string): number => (numberFormat.test(entered) ? Number(entered) : Number.NaN)

/** The number in a field; undefined if the field is empty or has DiceBear's default, `initial`. */
export const number = (field: keyof typeof ranges) =>
  text(field).transform((entered, context) => {
    const { min, max, initial } = ranges[field]
    if (entered === '') return undefined
    const value = numberIn(entered)
    if (value >= min && value <= max) return value === initial ? undefined : value
    context.addIssue({ code: 'custom', message: texts.outOfRange(texts.fields[field], min, max) })
    return z.NEVER
  })

/** One of the words offered; undefined if the field is empty or has DiceBear's default, `initial`. */
export const word = <Word extends string>(field: Field, offered: readonly Word[], initial: string) =>
  text(field).transform((entered, context) => {
    const known = offered.find((one) => one === entered)
    if (known !== undefined || entered === '' || entered === initial) return known
    context.addIssue({ code: 'custom', message: texts.notOffered(texts.fields[field]) })
    return z.NEVER
  })

/** The entered colour as six hex digits. Adds an issue if it is not a colour. */
export function colourIn(entered: string, context: z.core.$RefinementCtx): string {
  const hex = hexColour(entered)
  if (hex === undefined) context.addIssue({ code: 'custom', message: texts.colourWrong(shortened(entered)) })
  return hex ?? z.NEVER
}

/** The text, cut to 40 characters for messages and titles. */
export const shortened = (value: string) => ([...value].length > 40 ? `${[...value].slice(0, 39).join('')}…` : value)

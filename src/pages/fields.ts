// The kinds of form fields, each with the texts of its problems.
import { z } from 'zod'
import { hexColour, ranges } from '../../public/js/look.js'
import { words } from './words.ts'

/** The name of a field that every style has. */
export type Field = keyof typeof words.problems.fields

const texts = words.problems

// Control characters are refused: they break file names and terminals. (White space at the ends has been trimmed.)
const controlCharacter = /\p{Cc}/u

/**
 * The text of one field, trimmed. A missing field counts as empty; a repeated one is an error. `name` is for the
 * message.
 */
export const textCalled = (name: string) =>
  z
    .string(texts.repeated(name))
    .trim()
    .refine((value) => !controlCharacter.test(value), texts.controlCharacter(name))
    .prefault('')

export const text = (field: Field) => textCalled(texts.fields[field])

/** How HTML writes a number: https://html.spec.whatwg.org/multipage/common-microsyntaxes.html#floating-point-numbers */
const numberFormat = /^-?(\d+(\.\d+)?|\.\d+)(e[-+]?\d+)?$/i

/** Undefined at DiceBear's default. */
export const number = (field: keyof typeof ranges) =>
  text(field).transform((entered, context) => {
    const { min, max, initial } = ranges[field]
    if (entered === '') return undefined
    const value = numberFormat.test(entered) ? Number(entered) : Number.NaN
    if (value >= min && value <= max) return value === initial ? undefined : value
    context.addIssue({ code: 'custom', message: texts.outOfRange(texts.fields[field], min, max) })
    return z.NEVER
  })

/** Undefined at DiceBear's default. */
export const oneOf = <Word extends string>(field: Field, offered: readonly Word[], initial: string) =>
  text(field).transform((entered, context) => {
    const word = offered.find((one) => one === entered)
    if (word !== undefined || entered === '' || entered === initial) return word
    context.addIssue({ code: 'custom', message: texts.notOffered(texts.fields[field]) })
    return z.NEVER
  })

/** Six hex digits. */
export function colourIn(entered: string, context: z.core.$RefinementCtx): string {
  const hex = hexColour(entered)
  if (hex === undefined) context.addIssue({ code: 'custom', message: texts.colourWrong(shortened(entered)) })
  return hex ?? z.NEVER
}

/** At most 40 characters. */
export const shortened = (value: string) => ([...value].length > 40 ? `${[...value].slice(0, 39).join('')}…` : value)

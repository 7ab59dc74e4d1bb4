// The form fields for parts and colours. Each style has different ones.
import { z } from 'zod'
import {
  colourField,
  knownVariants,
  maxVariants,
  type Pins,
  partsOf,
  pinFieldsOf,
  variantField,
} from '../avatar/parts.ts'
import { colourIn, textCalled } from './field-schemas.ts'
import { words } from './words.ts'

const schemas = new Map<string, z.ZodType<Pins>>()

/** Reads the chosen parts and colours from a form. Fields and variants that the style does not have are ignored. */
export function readPins(style: string, sent: Record<string, unknown>): { pins?: Pins; issues: z.core.$ZodIssue[] } {
  if (!pinFieldsOf(style).some((field) => sent[field])) return { issues: [] }
  const schema = schemas.get(style) ?? schemaOf(style)
  schemas.set(style, schema)
  const { data = {}, error } = schema.safeParse(sent)
  const pins = Object.entries(data).filter(([, value]) => value !== '')
  return { ...(pins.length > 0 ? { pins: Object.fromEntries(pins) } : {}), issues: error?.issues ?? [] }
}

/** The entered pins that are valid for this style. */
export function validPins(style: string, entered: Pins): Pins {
  const wrong = new Set(readPins(style, entered).issues.map(({ path }) => path[0]))
  return readPins(style, Object.fromEntries(Object.entries(entered).filter(([field]) => !wrong.has(field)))).pins ?? {}
}

function schemaOf(style: string): z.ZodType<Pins> {
  const { parts, colours } = partsOf(style)
  const ofParts = parts.map((part): [string, z.ZodType<string>] => {
    const field = variantField(part)
    const known = textOf(field).transform((entered) => knownVariants(part, entered))
    const isShort = (variants: string) => variants.split(',').length <= maxVariants
    return [field, known.refine(isShort, words.problems.tooManyVariants(maxVariants))]
  })
  const ofColours = colours.map((colour): [string, z.ZodType<string>] => {
    const field = colourField(colour)
    return [field, textOf(field).transform((entered, context) => (entered === '' ? '' : colourIn(entered, context)))]
  })
  return z.object(Object.fromEntries([...ofParts, ...ofColours]))
}

const textOf = (field: string) => textCalled(words.problems.pins(field))

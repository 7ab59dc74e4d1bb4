// The fields of the form that pin a part or a colour of the style. Which there are depends on the style.
import { z } from 'zod'
import { colourField, knownVariants, type Pins, partsOf, pinFieldsOf, variantField } from '../avatar/parts.ts'
import { colourIn, textCalled } from './fields.ts'
import { words } from './words.ts'

const schemas = new Map<string, z.ZodType<Pins>>()

/**
 * The pins of a style among what was sent; undefined if there are none. Parts and colours that it does not have are
 * ignored, and so are variants that it does not know.
 */
export function readPins(style: string, sent: Record<string, unknown>): { pins?: Pins; issues: z.core.$ZodIssue[] } {
  if (!pinFieldsOf(style).some((field) => sent[field])) return { issues: [] }
  const schema = schemas.get(style) ?? schemaOf(style)
  schemas.set(style, schema)
  const { data = {}, error } = schema.safeParse(sent)
  const pins = Object.entries(data).filter(([, value]) => value !== '')
  return { ...(pins.length > 0 ? { pins: Object.fromEntries(pins) } : {}), issues: error?.issues ?? [] }
}

/** Of what was entered for any style, the pins that this one has and knows. */
export function goodPins(style: string, entered: Pins): Pins {
  const wrong = new Set(readPins(style, entered).issues.map(({ path }) => path[0]))
  return readPins(style, Object.fromEntries(Object.entries(entered).filter(([field]) => !wrong.has(field)))).pins ?? {}
}

function schemaOf(style: string): z.ZodType<Pins> {
  const { parts, colours } = partsOf(style)
  const ofParts = parts.map((part): [string, z.ZodType<string>] => {
    const field = variantField(part)
    return [field, textOf(field).transform((entered) => knownVariants(part, entered))]
  })
  const ofColours = colours.map((colour): [string, z.ZodType<string>] => {
    const field = colourField(colour)
    return [field, textOf(field).transform((entered, context) => (entered === '' ? '' : colourIn(entered, context)))]
  })
  return z.object(Object.fromEntries([...ofParts, ...ofColours]))
}

const textOf = (field: string) => textCalled(words.problems.pins(field))

// The parts and colours of each style, such as hair, eyes and skin colour. `npm run parts` generates the table anew
// after an upgrade of DiceBear.
import partsJson from './parts.json' with { type: 'json' }

/** A part of a face. It is `optional` if some drawings of the style do not have it. */
export type Part = { name: string; optional: boolean; variants: readonly string[] }
/** A colour of a style. The seed picks it from the `palette`, whose items are six hex digits. */
export type Colour = { name: string; palette: readonly string[] }

type StyleParts = { parts: readonly Part[]; colours: readonly Colour[] }
const table = new Map<string, StyleParts>(Object.entries(partsJson))

/** The parts and colours of a style, in the order of the form. A style that does not exist has none. */
export const partsOf = (style: string): StyleParts => table.get(style) ?? { parts: [], colours: [] }

/** The name of the form field for a part, which is also the name of DiceBear's option. */
export const variantField = ({ name }: Part) => `${name}Variant`
export const colourField = ({ name }: Colour) => `${name}Color`

/** The fields for the parts and colours of one style, in the order of the form. */
export function pinFieldsOf(style: string): string[] {
  const { parts, colours } = partsOf(style)
  return [...parts.map(variantField), ...colours.map(colourField)]
}

/** The fields for the parts and colours of all styles. */
export const pinFields: ReadonlySet<string> = new Set([...table.keys()].flatMap(pinFieldsOf))

/** The value that leaves a part out. No optional part has a variant of this name. */
export const noVariant = 'none'

/** DiceBear accepts no longer list. Only the style Icons has more. https://www.dicebear.com/guides/core-options/ */
export const maxVariants = 128

/**
 * The parts and colours that the visitor has chosen instead of leaving them to the seed, by field. A value is a
 * variant, a comma-separated list of variants of which the seed picks one, `none`, or six hex digits.
 */
export type Pins = Readonly<Record<string, string>>

/** The entered variants that the part has, in its order. For an unknown variant DiceBear would leave out the part. */
export function knownVariants({ optional, variants }: Part, entered: string): string {
  const asked = entered.split(',').map((variant) => variant.trim())
  const known = variants.filter((variant) => asked.includes(variant))
  return known.length === 0 && optional && asked.includes(noVariant) ? noVariant : known.join(',')
}

/** The pins of a style as DiceBear's options. */
export function pinOptions(style: string, pins: Pins = {}): Record<string, string[] | number> {
  const { parts, colours } = partsOf(style)
  const ofParts = parts.flatMap((part): [string, string[] | number][] => {
    const pinned = pins[variantField(part)]
    if (pinned === undefined) return []
    if (part.optional && pinned === noVariant) return [[`${part.name}Probability`, 0]]
    const shown: [string, number][] = part.optional ? [[`${part.name}Probability`, 100]] : []
    return [[variantField(part), pinned.split(',')], ...shown]
  })
  const ofColours = colours.flatMap((colour): [string, string[]][] => {
    const pinned = pins[colourField(colour)]
    return pinned === undefined ? [] : [[colourField(colour), [pinned]]]
  })
  return Object.fromEntries([...ofParts, ...ofColours])
}

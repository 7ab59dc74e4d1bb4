// Describes a drawing in words, for visitors who cannot see it.
import { fill } from '../../public/js/look.js'
import type { Choice } from '../avatar/choice.ts'
import { type DrawnColour, type DrawnPart, drawnParts } from '../avatar/drawn.ts'
import { partsOf } from '../avatar/parts.ts'
import type { Renderers } from '../avatar/renderers.ts'
import { colourNamer } from './colour-names.ts'
import { type Entered, readLook } from './form.ts'
import { words } from './words.ts'

const list = new Intl.ListFormat(words.script.locale, { type: 'conjunction' })
type Phrases = Readonly<Record<string, string>>
const { colours, hairColours, skinColours } = words.drawn
/**
 * The phrases of a description, in their order. The first key is the name of a part, or of a colour that belongs to no
 * part. The second key is the name of a variant without its number; `any` is for all other variants. {variant} becomes
 * the title of the variant if it is one of the `adjectives`, and {colour} the name of the colour. Both may be empty. An
 * empty phrase is left out.
 */
const phrases: Readonly<Record<string, Phrases>> = words.drawn.phrases
const hairstyles: Phrases = words.drawn.hairstyles
/** The parts whose variants are hairstyles. */
const hairParts = ['hair', 'top', 'head']
/** The titles of variants that can be used before a noun. */
const adjectives = new Set(words.drawn.adjectives.split(' '))
const otherColour = colourNamer(colours)
/** Some colours have other names if they are the colour of hair or skin. */
const hairColour = colourNamer({ ...colours, ...hairColours })
const skinColour = colourNamer({ ...colours, ...skinColours })
/** Like parts that show the mood, these are described only if pinned, so that descriptions stay short. */
const describedIfPinned = ['eyebrowsVariant', 'noseVariant']

/** Draws a look and describes the drawing; '' if the look could not be drawn. */
export async function describeLook(renderers: Renderers, look: Entered): Promise<string> {
  const { choice } = readLook(look)
  if (choice === undefined) return ''
  const svg = await renderers.draw(choice).catch(() => '')
  return descriptionOf(choice, drawnParts(choice, svg))
}

/** The description of a drawing, such as "long red hair, round glasses and brown skin". It may be empty. */
export function descriptionOf({ style, mood, pins = {} }: Choice, drawn: readonly DrawnPart[]): string {
  const optional = partsOf(style).parts.flatMap((part) => (part.optional ? [part.name] : []))
  const described = Object.keys(phrases).flatMap((name) => {
    const found = drawn.find((one) => one.name === name)
    const field = `${name}Variant`
    const mustBePinned = describedIfPinned.includes(field) || (mood !== '' && field in words.script.ownParts)
    if (found === undefined || (mustBePinned && !pins[field])) return []
    return phraseOf(found, optional.includes(name)) || []
  })
  return list.format(described)
}

/**
 * The phrase for a part, such as "a red bob". Empty if there is nothing to say about it: every face has a mouth, so a
 * mouth without a named variant is left out, but optional parts such as glasses are not.
 */
function phraseOf({ name, variant = '', colour }: DrawnPart, isOptional: boolean): string {
  const kind = variant.replace(/^variant\d+$|\d+$/, '')
  const ofPart = phrases[name] ?? {}
  const ownPhrase = ofPart[kind] ?? (hairParts.includes(name) ? hairstyles[kind] : undefined)
  const title = words.variantTitle(name, kind).toLowerCase()
  const values = { variant: adjectives.has(title) ? title : '', colour: colour ? colourName(name, colour) : '' }
  if (ownPhrase === undefined && !values.variant && !values.colour && !isOptional) return ''
  const text = fill(ownPhrase ?? ofPart.any ?? '', values)
    .replace(/ +/g, ' ')
    .trim()
  return text.replace(/\ba (?=[aeiou])/g, 'an ')
}

/** The name of a colour. For hair and skin some colours have other names. */
export function colourName(part: string, { name, value }: DrawnColour): string {
  if (['hair', 'headContrast', 'facialHair'].includes(name)) return hairColour(value)
  return ['skin', 'base'].includes(part) ? skinColour(value) : otherColour(value)
}

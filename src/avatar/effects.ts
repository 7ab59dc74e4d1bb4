// Finds out which parts and colours of a style are visible in a drawing: only one kind of shirt has a print, and the
// colour of glasses shows only on a face with glasses.
import type { Choice } from './choice.ts'
import { drawEmbedded } from './embedded.ts'
import { colourField, partsOf, variantField } from './parts.ts'

/** The names of the parts and colours that are visible. */
export type Effects = { parts: string[]; colours: string[] }

/**
 * The visible parts and colours of a choice. The choice is drawn once with every optional part, and the parts in that
 * SVG are visible: also glasses that the face does not have yet, but not the print of a shirt that has none. The choice
 * is drawn again with colours that no style has, and the colours that occur in that SVG are visible.
 */
export async function effectsOf(choice: Choice): Promise<Effects> {
  const { parts, colours } = partsOf(choice.style)
  const drawWith = (pins: Record<string, string>) => drawEmbedded({ ...choice, pins: { ...choice.pins, ...pins } })
  const optional = parts.filter((part) => part.optional)
  const [full, marked] = await Promise.all([
    drawWith(Object.fromEntries(optional.map((part) => [variantField(part), part.variants.join(',')]))),
    drawWith(Object.fromEntries(colours.map((colour, i) => [colourField(colour), sentinel(i)]))),
  ])
  return {
    // The id of a drawn part begins with its name.
    parts: parts.filter(({ name }) => full.includes(`<g id="${name}-`)).map(({ name }) => name),
    colours: colours.filter((_colour, i) => marked.includes(`#${sentinel(i)}`)).map(({ name }) => name),
  }
}

const sentinel = (number: number) => `fe${number.toString(16).padStart(2, '0')}c1`

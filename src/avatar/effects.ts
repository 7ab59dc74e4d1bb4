// Finds out which parts and colours of a style are visible in a drawing. For example, only one kind of shirt has a
// print, and only a face with glasses shows the colour of glasses.
import type { Choice } from './choice.ts'
import { drawEmbedded } from './embedded.ts'
import { colourField, partsOf, variantField } from './parts.ts'

export type Effects = { parts: string[]; colours: string[] }

/**
 * The parts that a visitor would see if they were chosen, and the visible colours. The choice is drawn once with every
 * optional part, so that glasses are included although the face has none yet. It is drawn again with colours that no
 * style has. The colours that occur in that SVG are visible.
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

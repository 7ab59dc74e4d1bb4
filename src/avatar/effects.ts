// Which parts and colours of a style are visible in a drawing: a print is only on one kind of shirt, and the colour of
// glasses needs glasses.
import type { Choice } from './choice.ts'
import { drawEmbedded } from './embedded.ts'
import { colourField, noVariant, type Part, partsOf, variantField } from './parts.ts'

/** The names of the parts and colours that make a difference. */
export type Effects = { parts: string[]; colours: string[] }

/** Finds out by drawing the choice with every part that it may have, and with colours that no style has. */
export async function effectsOf(choice: Choice): Promise<Effects> {
  const { parts, colours } = partsOf(choice.style)
  const drawWith = (pins: Record<string, string>) => drawEmbedded({ ...choice, pins: { ...choice.pins, ...pins } })
  const optional = parts.filter((part) => part.optional)
  const [full, marked] = await Promise.all([
    drawWith(Object.fromEntries(optional.map((part) => [variantField(part), part.variants.join(',')]))),
    drawWith(Object.fromEntries(colours.map((colour, i) => [colourField(colour), sentinel(i)]))),
  ])

  async function isShown(part: Part): Promise<boolean> {
    // DiceBear gives a part an id that begins with its name, except where other parts repeat it under their own names.
    if (full.includes(`<g id="${part.name}-`)) return true
    const [first = '', last = first] = [part.optional ? noVariant : part.variants[0], part.variants.at(-1)]
    const [one, other] = await Promise.all([first, last].map((variant) => drawWith({ [variantField(part)]: variant })))
    return one !== other
  }
  const shown = await Promise.all(parts.map(isShown))
  return {
    parts: parts.filter((_part, i) => shown[i]).map(({ name }) => name),
    colours: colours.filter((_colour, i) => marked.includes(`#${sentinel(i)}`)).map(({ name }) => name),
  }
}

const sentinel = (number: number) => `fe${number.toString(16).padStart(2, '0')}c1`

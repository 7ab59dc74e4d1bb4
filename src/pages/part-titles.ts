// The titles of parts, colours and variants, by DiceBear's names of them.
import titles from './part-titles.json' with { type: 'json' }

type Titles = Readonly<Record<string, string>>
// The table contains titles for names of DiceBear that are hard to read, misspelled, uncommon or the name of a person.
const parts: Titles = titles.parts
const colours: Titles = titles.colours
const variants: Titles = titles.variants

export const partTitle = (part: string): string => parts[part] ?? readable(part)

export const partColourTitle = (colour: string): string => colours[colour] ?? `${readable(colour)} colour`

/** The title of a variant: "Long 2" of "long02", but "Hair 12" of "variant12". */
export function variantTitle(part: string, variant: string): string {
  const [, number] = /^variant0*(\d+)$/.exec(variant) ?? []
  return number === undefined ? (variants[variant] ?? readable(variant)) : `${partTitle(part)} ${number}`
}

/** Makes a title from DiceBear's name: "Rear hair" of "rearHair", "Hill 3" of "hill3", "Long 2" of "long02". */
function readable(key: string): string {
  const spaced = key.replace(/([a-z])([A-Z])/g, '$1 $2').replace(/([a-z])0*(\d+)$/i, '$1 $2')
  return capitalised(spaced.toLowerCase())
}

export const capitalised = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

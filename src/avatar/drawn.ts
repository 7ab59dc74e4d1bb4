// Reads from an SVG which parts and colours it shows. DiceBear draws each part as a group, with the colours of the part
// in it. The id of the group begins with the names of the part and its variant.
import type { Choice } from './choice.ts'
import { colourField, partsOf } from './parts.ts'

/** A part with its variant and colour, or a colour that belongs to no part, such as that of the skin. */
export type DrawnPart = { name: string; variant?: string; colour?: DrawnColour | undefined }
/** `value` is six hex digits. */
export type DrawnColour = { name: string; value: string }

/** The colours that a description names, by part. */
const coloursOfPart: Record<string, readonly string[]> = {
  hair: ['hair'],
  top: ['hat', 'hair'],
  head: ['headContrast', 'base'],
  hat: ['hat'],
  glasses: ['glasses'],
  accessories: ['accessories'],
  facialHair: ['facialHair'],
  earrings: ['earring'],
  clothes: ['clothes', 'clothing', 'shirt'],
}

/** Colours that belong to no part in some styles. The value is the part in whose group they are drawn, or ''. */
const otherColours: Record<string, string> = { skin: 'head', base: 'head', shape: 'body', clothing: '' }

/** The parts that an SVG shows, with their colours. The SVG may come from outside, so unknown names are ignored. */
export function drawnParts({ style, pins = {} }: Pick<Choice, 'style' | 'pins'>, svg: string): DrawnPart[] {
  const { parts, colours } = partsOf(style)
  const { groups, rest } = contentOf(svg)

  function colourIn(content: string, names: readonly string[]): DrawnColour | undefined {
    const possible = colours.flatMap((colour) => {
      if (!names.includes(colour.name)) return []
      const pinned = pins[colourField(colour)]
      // A colour that all drawings of the style have is not described.
      const values = pinned ? [pinned] : colour.palette.length > 1 ? colour.palette : []
      return values.map((value) => ({ name: colour.name, value }))
    })
    return possible.find(({ value }) => content.includes(`"#${value}"`))
  }

  const drawn = parts.flatMap(({ name, variants }): DrawnPart[] => {
    const group = groups.get(name)
    const variant = variants.find((one) => one === group?.variant)
    if (group === undefined || variant === undefined) return []
    return [{ name, variant, colour: colourIn(group.content, coloursOfPart[name] ?? []) }]
  })
  const others = Object.entries(otherColours).flatMap(([name, group]): DrawnPart[] => {
    if (parts.some((part) => coloursOfPart[part.name]?.includes(name))) return []
    const colour = colourIn(groups.get(group)?.content ?? rest, [name])
    return colour === undefined ? [] : [{ name, colour }]
  })
  return [...drawn, ...others]
}

/** The groups of the parts, by part, and the rest of the drawing without its background. */
function contentOf(svg: string) {
  const end = svg.indexOf('</defs>')
  const found = [...svg.slice(0, end).matchAll(/<g id="(\w+)-(\w+)-/g)]
  const groups = new Map(
    found.map(({ index, 1: name, 2: variant }, i) => {
      return [name, { variant, content: svg.slice(index, found[i + 1]?.index ?? end) }]
    }),
  )
  return { groups, rest: svg.slice(end).replace(/<rect [^>]*>/, '') }
}

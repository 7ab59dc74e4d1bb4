// The table of the parts and colours of DiceBear's installed styles. As a program (npm run parts) it writes the table.
import { writeFileSync } from 'node:fs'
import { OptionsDescriptor, type Style } from '@dicebear/core'
import { styleList, styleOf } from './drawn.ts'

const file = new URL('../../src/avatar/parts.json', import.meta.url)

/** The parts that come first on the page. The others follow in the order of the style. */
const first = ['hair', 'top', 'head', 'body', 'plant', 'eyes', 'expression', 'glasses', 'accessories', 'mouth', 'nose']
const rank = (part: string) => (first.includes(part) ? first.indexOf(part) : first.length)

function partsOf(style: Style) {
  const options = Object.entries(new OptionsDescriptor(style).toJSON())
  const parts = options.flatMap(([option, field]) => {
    const name = /^(.+)Variant$/.exec(option)?.[1]
    // The animation is not a part: the form has "Animate" for it.
    if (field?.type !== 'enum' || name === undefined || name === 'animation') return []
    const optional = (style.components().get(name)?.probability() ?? 100) < 100
    return field.values.length > 1 || optional ? [{ name, optional, variants: [...field.values] }] : []
  })
  const colours = options.flatMap(([option, field]) => {
    const name = /^(.+)Color$/.exec(option)?.[1]
    if (field?.type !== 'color' || name === undefined || name === 'background') return []
    const palette = style.colors().get(name)?.values() ?? []
    return [{ name, palette: palette.flatMap((colour) => /^#([0-9a-f]{6})$/i.exec(colour)?.[1]?.toLowerCase() ?? []) }]
  })
  return { parts: parts.toSorted((one, other) => rank(one.name) - rank(other.name)), colours }
}

/** The parts and colours of each style. */
export const partTable = Object.fromEntries(styleList.map(({ name }) => [name, partsOf(styleOf(name))]))

if (import.meta.main) {
  const lines = Object.entries(partTable).map(([style, parts]) => `${JSON.stringify(style)}:${JSON.stringify(parts)}`)
  writeFileSync(file, `{\n${lines.join(',\n')}\n}\n`)
}

// Ready-made looks: a background and colours that fit any style.
import looksJson from './looks.json' with { type: 'json' }
import { type Colour, colourField, partsOf } from './parts.ts'

/**
 * A ready-made look. `background` has one colour, or two for a gradient. `colours` are by their role, such as "skin".
 * `name` is a key of `words.looks`.
 */
export type ReadyLook = { name: string; background: readonly string[]; colours: Readonly<Record<string, string>> }

export const readyLooks: readonly ReadyLook[] = looksJson.looks

/** The roles of colours. A look does not change a colour whose role is '', such as that of teeth. */
const roleOf = new Map(Object.entries(looksJson.roles).flatMap(([role, names]) => names.map((name) => [name, role])))

/** The roles of a style's other colours, in this order. These are colours of patterns, such as "hill1" to "hill4". */
const patternRoles = ['cloth', 'accent', 'hair', 'skin']

/** The form fields that give a style this look. */
export function fieldsOfLook({ background, colours }: ReadyLook, style: string) {
  const [backgroundColor = '', backgroundColor2 = ''] = background
  const colourFor = ({ name }: Colour, i: number) =>
    colours[roleOf.get(name) ?? patternRoles[i % patternRoles.length] ?? 'cloth']
  const pins = partsOf(style).colours.flatMap((colour, i): [string, string][] => {
    const chosen = colourFor(colour, i)
    return chosen === undefined ? [] : [[colourField(colour), chosen]]
  })
  return {
    backgroundColor,
    backgroundColor2,
    backgroundColorFill: backgroundColor2 ? 'linear' : '',
    backgroundColorAngle: backgroundColor2 ? '90' : '',
    pins: Object.fromEntries(pins),
  }
}

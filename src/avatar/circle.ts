import { Avatar, Style } from '@dicebear/core'
import { z } from 'zod'
import { type Choice, dicebearOptions } from './choice.ts'
import cutJson from './cut-by-circle.json' with { type: 'json' }
import { styleOf } from './embedded.ts'

/**
 * By style and component, the variants that reach out of the circle. test/circle.test.ts measures each variant of each
 * style, and says what this should be after an upgrade of DiceBear.
 */
const cut = z.record(z.string(), z.record(z.string(), z.array(z.string()))).parse(cutJson)

/** Whether Discord's round crop cuts off what matters of this avatar: part of a face, or of what it wears. */
export async function isCutByCircle(choice: Choice): Promise<boolean> {
  const variants = cut[choice.style]
  if (variants === undefined) return false
  const style = shapeless.get(choice.style) ?? (await withoutShapes(choice.style, Object.keys(variants)))
  shapeless.set(choice.style, style)
  const picked: Record<string, unknown> = new Avatar(style, dicebearOptions(choice)).toJSON().options
  return Object.entries(variants).some(([name, names]) => names.includes(String(picked[`${name}Variant`])))
}

const shapeless = new Map<string, Style>()

/** Of a style these components, and nothing to draw: which variant a seed picks hangs on their names and weights. */
async function withoutShapes(style: string, names: string[]): Promise<Style> {
  const definition = (await styleOf(style)).definition()
  const components = names.flatMap((name) => {
    const component = definition.components?.[name]
    if (component === undefined || 'extends' in component) return []
    const variants = Object.entries(component.variants).map(([variant, one]) => [variant, { ...one, elements: [] }])
    return [[name, { ...component, variants: Object.fromEntries(variants) }]]
  })
  const elements = names.map((name) => ({ type: 'component' as const, name }))
  return new Style({
    ...definition,
    canvas: { ...definition.canvas, elements },
    components: Object.fromEntries(components),
  })
}

import { z } from 'zod'
import cutJson from './cut-by-circle.json' with { type: 'json' }

/**
 * By style and component, the variants that reach out of the circle. test/parts/circle.test.ts measures each variant of each
 * style, and says what this should be after an upgrade of DiceBear.
 */
const cut = z.record(z.string(), z.record(z.string(), z.array(z.string()))).parse(cutJson)

/** By style, how the SVG begins to name each of them: DiceBear draws a part once, under its component and variant. */
const marks = new Map(
  Object.entries(cut).map(([style, components]) => [
    style,
    Object.entries(components).flatMap(([name, variants]) => variants.map((variant) => `<g id="${name}-${variant}-`)),
  ]),
)

/** Whether Discord's round crop cuts off what matters of this drawing: part of a face, or of what it wears. */
export function isCutByCircle(style: string, svg: Buffer): boolean {
  return marks.get(style)?.some((mark) => svg.includes(mark)) ?? false
}

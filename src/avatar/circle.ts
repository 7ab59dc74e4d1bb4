import cutJson from './cut-by-circle.json' with { type: 'json' }

/**
 * By style and component, the variants that reach out of the circle. test/parts/circle.test.ts measures each variant of
 * each style; when it fails after an upgrade of DiceBear, it prints what the table should be.
 */
const cutVariants: Record<string, Record<string, string[]>> = cutJson

/** By style, the start of each such variant in an SVG: DiceBear draws a part once, under its component and variant. */
const cutParts = new Map(
  Object.entries(cutVariants).map(([style, components]) => [
    style,
    Object.entries(components).flatMap(([name, variants]) => variants.map((variant) => `<g id="${name}-${variant}-`)),
  ]),
)

/** Whether the style has such a variant. */
export const mayBeCutByCircle = (style: string) => cutParts.has(style)

/** Whether Discord's round crop cuts off part of a face, or of what it wears. */
export function isCutByCircle(style: string, svg: Buffer): boolean {
  return cutParts.get(style)?.some((part) => svg.includes(part)) ?? false
}

// What Discord's round crop cuts off. The server imports this module, too, so that all pages agree.

/**
 * By style and part, the variants that the circle cuts at scale 1. The number is the largest scale, in steps of 0.05,
 * at which the circle does not cut the variant. If test/parts/circle.test.ts fails after an upgrade of DiceBear, it
 * prints the table as it should be.
 * @type {Record<string, Record<string, Record<string, number>>>}
 */
export const cutVariants = {
  adventurer: { hair: { long15: 0.9 } },
  'big-smile': { hair: { froBun: 0.8 } },
  'croodles-neutral': { eyes: { variant10: 0.85 } },
  'fun-emoji': { eyes: { shades: 0.9, sleepClose: 0.75 } },
  miniavs: { hair: { ponyTail: 0.8 } },
  'notionists-neutral': { glasses: { variant03: 0.8 } },
  'open-peeps': { head: { bun2: 0.9 } },
  'pixel-art': {
    hair: { long05: 0.8, long08: 0.9, long09: 0.9, long15: 0.9, short11: 0.9, short13: 0.85 },
    hat: {
      variant01: 0.95,
      variant03: 0.95,
      variant04: 0.95,
      variant05: 0.95,
      variant06: 0.9,
      variant08: 0.95,
      variant09: 0.95,
    },
  },
}

/**
 * The largest scale at which the circle cuts off nothing of a face; infinite if no part of the face is in the table. In
 * the SVG the id of each part begins with the names of the part and its variant.
 * @param {string} style
 * @param {string} svg
 */
export function fittingScale(style, svg) {
  const scales = Object.entries(cutVariants[style] ?? {}).flatMap(([part, variants]) =>
    Object.entries(variants).flatMap(([variant, scale]) => (svg.includes(`<g id="${part}-${variant}-`) ? [scale] : [])),
  )
  return Math.min(...scales)
}

/**
 * Whether the circle cuts off part of a face at this scale. A shift of the drawing is ignored, because the visitor has
 * chosen it and sees its effect.
 * @param {{ style: string, scale?: number | string | undefined }} look
 * @param {string} svg
 */
export const isCutByCircle = ({ style, scale }, svg) => Number(scale || 1) > fittingScale(style, svg)

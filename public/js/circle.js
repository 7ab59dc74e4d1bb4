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
 * By how many percent of the picture a drawing can be shifted at scale 1 before the circle cuts off a part of nearly
 * every face. test/parts/circle.test.ts measures it.
 */
const largestShift = 25

/**
 * A framing in which the circle cuts nothing off; undefined if it cuts nothing off now. `largestScale` comes from
 * `fittingScale`. A shift down is ignored, because it cuts off shoulders only.
 * @param {{ scale?: Size, translateX?: Size, translateY?: Size }} framing
 * @param {number} largestScale
 * @typedef {number | string | undefined} Size
 */
export function fittingFraming({ scale, translateX, translateY }, largestScale) {
  const size = Number(scale || 1)
  const shift = Math.hypot(Number(translateX || 0), Math.min(0, Number(translateY || 0)))
  const isTooLarge = size > largestScale
  const isTooFar = shift > 50 - (50 - largestShift) * Math.min(1, size)
  if (!isTooLarge && !isTooFar) return undefined
  return { ...(isTooLarge && { scale: largestScale }), ...(isTooFar && { translateX: 0, translateY: 0 }) }
}

// SVGs that pass as harmless drawings, and are costly to check, to animate or to render.
import fc from 'fast-check'

const square = '<rect width="100" height="100" fill="red"/>'

const repeat = (count: number, part: (i: number) => string) =>
  Array.from({ length: Math.max(1, Math.round(count)) }, (_, i) => part(i)).join('')

const svgOf = (inside: string) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">${inside}</svg>`

const twoKeyframes = '0%,100%{transform:rotate(0deg)}50%{transform:rotate(9deg)}'
const movement = (css: string, keyframes = twoKeyframes) => `<style>@keyframes move{${keyframes}}
  .moving{transform-box:fill-box;transform-origin:center;animation:move 4s linear infinite}${css}</style>`
const moving = (count: number) => repeat(count, () => `<g class="moving">${square}</g>`)

const filtered = (id: string, steps: string) =>
  `<filter id="${id}">${steps}</filter><rect width="100" height="100" filter="url(#${id})"/>`

const radialGradient = (id: string, stops: number) =>
  `<radialGradient id="${id}">${repeat(stops, (i) => `<stop offset="${i / stops}" stop-color="#${100 + i}"/>`)}</radialGradient>`

/** Returns a path in which almost every line crosses all others. */
const zigzag = (count: number) => `M0 0${repeat(count, (i) => (i % 2 ? `L0 ${i % 97}` : `L99 ${(i * 7) % 97}`))}`

/** Costly parts of an SVG. With amount 1 each takes seconds, minutes or gigabytes. `id` must be unique in the SVG. */
const costlyParts: Record<string, (amount: number, id: string) => string> = {
  'selectors of siblings': (amount) => movement(`*${' ~ *'.repeat(3000 * amount)}{opacity:1}`) + moving(30),
  'selectors of descendants': (amount) => movement(`*${' * ~ *'.repeat(12 * amount)}.a{opacity:1}`) + moving(30),
  'rules with variables': (amount) => movement(repeat(2000 * amount, (i) => `.moving{--a${i}:1}`)) + moving(30),
  'variables of variables': (amount) =>
    movement(`.moving{--a0:1;${repeat(30 * amount, (i) => `--a${i + 1}:var(--a${i},1) var(--a${i},1);`)}}`) + moving(9),
  keyframes: (amount) =>
    movement(
      '',
      repeat(300 * amount, (i) => `${i / 3}%{transform:rotate(1deg) rotate(1deg)}`),
    ) + moving(950 * amount),
  'elements that move': (amount) => movement('') + moving(950 * amount),
  'results of a filter': (amount, id) =>
    filtered(
      id,
      repeat(47 * amount, (i) => `<feFlood result="r${i}"/>`),
    ),
  blurs: (amount, id) =>
    filtered(
      id,
      repeat(48 * amount, () => '<feGaussianBlur stdDeviation="9"/>'),
    ),
  gradients: (amount, id) =>
    `${radialGradient(id, 2)}<g id="${id}1">${repeat(40, () => `<rect width="100" height="100" fill="url(#${id})"/>`)}</g>
    ${repeat(900 * amount, () => `<use href="#${id}1"/>`)}`,
  'a gradient that is inherited': (amount, id) =>
    `${radialGradient(id, 2)}<g fill="url(#${id})">${repeat(500 * amount, () => '<rect width="100" height="100"/>')}</g>`,
  'stops of a gradient': (amount, id) =>
    `${radialGradient(id, 900 * amount)}${repeat(60 * amount, () => `<rect width="100" height="100" fill="url(#${id})"/>`)}`,
  masks: (amount, id) =>
    `<mask id="${id}">${square}</mask>${repeat(450 * amount, () => `<g mask="url(#${id})">${square}</g>`)}`,
  'masks in masks': (amount, id) =>
    `${repeat(
      12,
      (i) => `<mask id="${id}${i}">${`<g mask="url(#${id}${i - 1})">${square}</g>`.repeat(i && 1 + 4 * amount)}</mask>`,
    )}<g mask="url(#${id}11)">${square}</g>`,
  layers: (amount, id) =>
    `<g id="${id}"><g opacity=".9">${square}</g></g>${repeat(900 * amount, () => `<use href="#${id}"/>`)}`,
  'layers in layers': (amount) => `${'<g opacity=".9">'.repeat(30 * amount)}${square}${'</g>'.repeat(30 * amount)}`,
  'blend modes': (amount) => repeat(700 * amount, () => `<g style="mix-blend-mode:screen">${square}</g>`),
  shapes: (amount, id) =>
    `<g id="${id}">${repeat(40, () => '<circle cx="50" cy="50" r="50" fill-opacity=".5"/>')}</g>
    ${repeat(400 * amount, () => `<use href="#${id}"/>`)}`,
  'a long path': (amount) => `<path d="${zigzag(20_000 * amount)}" fill="red"/>`,
  'a long stroke': (amount) =>
    `<path d="${zigzag(12_000 * amount)}" stroke="red" stroke-width="9" stroke-linejoin="round"/>`,
  curves: (amount) =>
    `<path d="M0 0${repeat(5000 * amount, () => 'c99 0 0 99 99 99s0-99-99-99')}" stroke="red" stroke-width="20"/>`,
  letters: (amount) => `<text y="90" font-size="300">${repeat(600 * amount, () => 'Wagfi')}</text>`,
}

/** Returns an SVG with one costly part, in an amount that was once found to do harm. */
export function costlySvg(part: keyof typeof costlyParts): string {
  return svgOf(costlyParts[part]?.(1, 'a') ?? '')
}

/** Returns random SVGs with up to three parts that are very costly or hardly at all. A seed always gives the same. */
export function costlySvgs(count: number, seed: number): { title: string; svg: string }[] {
  const part = fc.record({
    name: fc.constantFrom(...Object.keys(costlyParts)),
    amount: fc.constantFrom(0.03, 0.3, 1),
  })
  return fc.sample(fc.array(part, { minLength: 1, maxLength: 3 }), { numRuns: count, seed }).map((parts) => ({
    title: parts.map(({ name, amount }) => `${amount} × ${name}`).join(', '),
    svg: svgOf(parts.map(({ name, amount }, i) => costlyParts[name]?.(amount, `x${i}`)).join('')),
  }))
}

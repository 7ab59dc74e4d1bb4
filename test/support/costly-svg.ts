// SVGs that are nothing but drawings, and take minutes or gigabytes to check, to animate or to render.

const square = '<rect width="100" height="100" fill="red"/>'

const svgOf = (inside: string) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">${inside}</svg>`

const times = (count: number, part: (i: number) => string) => Array.from({ length: count }, (_, i) => part(i)).join('')

/** With a stylesheet, and `count` elements that move. */
const moving = (count: number, css: string) =>
  svgOf(
    `<style>@keyframes k{0%,100%{transform:rotate(0deg)}50%{transform:rotate(9deg)}}
    .a{transform-box:fill-box;transform-origin:center;animation:k 4s linear infinite}${css}</style>
    ${times(count, () => `<g class="a">${square}</g>`)}`,
  )

const filtered = (steps: string) =>
  svgOf(`<filter id="f">${steps}</filter><rect width="100" height="100" filter="url(#f)"/>`)

/** A path that crosses itself in almost each of its segments. */
const zigzag = (count: number) => `M0 0${times(count, (i) => (i % 2 ? `L0 ${i % 97}` : `L99 ${(i * 7) % 97}`))}`

/** By what is costly about them, and how much of it there is: `amount` is 1 for the size that was once found to do harm. */
export const costlySvgs: Record<string, (amount?: number) => string> = {
  'selectors of siblings': (amount = 1) => moving(60, `*${' ~ *'.repeat(3200 * amount)}{opacity:1}`),
  'selectors of descendants': (amount = 1) => moving(60, `*${' * ~ *'.repeat(12 * amount)}.q{opacity:1}`),
  'rules with variables': (amount = 1) =>
    moving(
      900,
      times(2000 * amount, (i) => `.a{--v${i}:1}`),
    ),
  keyframes: (amount = 1) =>
    moving(900, `@keyframes k{${times(300 * amount, (i) => `${i / 3}%{transform:rotate(1deg) rotate(1deg)}`)}}`),
  'elements that move': (amount = 1) => moving(950 * amount, ''),
  'results of a filter': (amount = 1) => filtered(times(47 * amount, (i) => `<feFlood result="r${i}"/>`)),
  blurs: (amount = 1) => filtered('<feGaussianBlur stdDeviation="9"/>'.repeat(48 * amount)),
  gradients: (amount = 1) =>
    svgOf(`<radialGradient id="g"><stop stop-color="red"/><stop offset="1" stop-color="blue"/></radialGradient>
      <g id="r"><rect width="100" height="100" fill="url(#g)"/></g>
      <g id="a">${'<use href="#r"/>'.repeat(60)}</g><g id="b">${'<use href="#a"/>'.repeat(60)}</g>
      ${'<use href="#b"/>'.repeat(10 * amount)}`),
  'gradients that are inherited': (amount = 1) =>
    svgOf(`<radialGradient id="g"><stop stop-color="red"/><stop offset="1" stop-color="blue"/></radialGradient>
      <g fill="url(#g)">${'<rect width="100" height="100"/>'.repeat(500 * amount)}</g>`),
  'stops of a gradient': (amount = 1) =>
    svgOf(`<radialGradient id="g">${times(900, (i) => `<stop offset="${i / 900}" stop-color="#${100 + i}"/>`)}
      </radialGradient>${'<rect width="100" height="100" fill="url(#g)"/>'.repeat(60 * amount)}`),
  masks: (amount = 1) =>
    svgOf(`<mask id="m">${square}</mask>${`<g mask="url(#m)">${square}</g>`.repeat(450 * amount)}`),
  'masks in masks': (amount = 1) =>
    svgOf(
      `<mask id="m">${square}</mask>${'<g mask="url(#m)">'.repeat(20)}${`<g mask="url(#m)">${square}</g>`.repeat(
        200 * amount,
      )}${'</g>'.repeat(20)}`,
    ),
  layers: (amount = 1) =>
    svgOf(`<g id="a"><g opacity=".9">${square}</g></g>${'<use href="#a"/>'.repeat(900 * amount)}`),
  'blend modes': (amount = 1) => svgOf(`<g style="mix-blend-mode:screen">${square}</g>`.repeat(700 * amount)),
  shapes: (amount = 1) =>
    svgOf(`<g id="a">${'<circle cx="50" cy="50" r="50" fill-opacity=".5"/>'.repeat(40)}</g>
      ${'<use href="#a"/>'.repeat(400 * amount)}`),
  'a long path': (amount = 1) => svgOf(`<path d="${zigzag(20_000 * amount)}" fill="red"/>`),
  'a long stroke': (amount = 1) =>
    svgOf(`<path d="${zigzag(12_000 * amount)}" stroke="red" stroke-width="9" stroke-linejoin="round"/>`),
  curves: (amount = 1) =>
    svgOf(`<path d="M0 0${'c99 0 0 99 99 99s0-99-99-99'.repeat(5000 * amount)}" stroke="red" stroke-width="20"/>`),
  letters: (amount = 1) => svgOf(`<text y="90" font-size="300">${'Wagfi'.repeat(600 * amount)}</text>`),
}

import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { framesOf } from '../../src/pictures/frames.ts'
import { drawPng } from '../../src/pictures/png.ts'
import { openBrowser, screenshot } from '../support/browser.ts'
import { drawn, styleList } from '../support/drawn.ts'

const side = 256
const columns = 5
/** The moments to compare, in iterations of a style's first animation. Some eyes close only near an iteration's end. */
const moments = [7.1, 7.3, 7.7, 7.95]
const moving = styleList.flatMap(({ name, animated }) => (animated ? [name] : []))
const svgs = moving.map((style) => drawn({ seed: 'kit', style, backgroundColor: '3b5fa8', animated: 'on' }))

type Pictures = Buffer[]
/** The RGBA values of all pixels, by moment and style. */
let chromiumFrames: Pictures[]
let ourFrames: Pictures[]

let browser: Browser
beforeAll(async () => {
  browser = await openBrowser()
  const page = await browser.newPage({
    viewport: { width: columns * side, height: Math.ceil(moving.length / columns) * side },
    reducedMotion: 'no-preference',
  })
  const sized = svgs.map((svg) => svg.replace('<svg ', `<svg width="${side}" height="${side}" `))
  await page.setContent(`<body style="margin: 0; line-height: 0">${sized.join('')}
    <style>* { animation-play-state: paused !important }</style>`)
  const frames = svgs.map(framesOf)
  chromiumFrames = []
  ourFrames = []
  for (const moment of moments) {
    const times = frames.map(({ timings }) => moment * (timings[0]?.periodMs ?? 0))
    chromiumFrames.push(await inChromium(page, times))
    const stills = frames.map((one, i) => one.at(({ periodMs, delayMs }) => ((times[i] ?? 0) - delayMs) / periodMs))
    ourFrames.push(await Promise.all(stills.map(async (still) => softened(await drawPng(still, side)))))
  }
}, 120_000)
afterAll(() => browser?.close())

/** Returns a script that pauses the animations of each SVG at a time in ms after their start, by a negative delay. */
const pauseAt = (times: number[]) => `
  globalThis.roots ??= [...document.querySelectorAll('body > svg')]
  globalThis.delays ??= document.getAnimations().map(({ effect }) => [effect.target, effect.getTiming().delay])
  for (const [target, delay] of delays) {
    const time = ${JSON.stringify(times)}[roots.findIndex((root) => root.contains(target))]
    target.style.animationDelay = (delay - time) + 'ms'
  }`

async function inChromium(page: Page, times: number[]): Promise<Pictures> {
  await page.evaluate(pauseAt(times))
  const shot = await screenshot(page)
  return Promise.all(
    moving.map((_, i) => {
      const place = { left: (i % columns) * side, top: Math.floor(i / columns) * side, width: side, height: side }
      return sharp(shot).extract(place).png().toBuffer().then(softened)
    }),
  )
}

/** Returns the pixels at a quarter of the size, because the two renderers draw edges differently. */
async function softened(png: Buffer): Promise<Buffer> {
  return sharp(png)
    .resize(side / 4, side / 4, { kernel: 'linear' })
    .ensureAlpha()
    .raw()
    .toBuffer()
}

/** Returns how each channel changes from one moment to the next. Edges that differ at every moment cancel out. */
function changes(pictures: Pictures[], style: number): number[] {
  return pictures.slice(1).flatMap((now, i) => {
    const before = pictures[i]?.[style]
    return Array.from(now[style] ?? [], (value, channel) => value - (before?.[channel] ?? 0))
  })
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + Math.abs(number), 0)

test('the 19 styles that DiceBear animates are tested', () => {
  expect(moving).toHaveLength(19)
})

describe('the frames of a moving style are what Chromium shows at the same moments', () => {
  test.each(moving.map((name, style) => ({ name, style })))('$name', ({ style }) => {
    const [real, drawn] = [changes(chromiumFrames, style), changes(ourFrames, style)]
    const wrong = drawn.map((change, channel) => change - (real[channel] ?? 0))
    expect(sum(real)).toBeGreaterThan(1_000)
    expect(sum(wrong) / sum(real)).toBeLessThan(0.15)
    const differences = ourFrames.flatMap((now, moment) => {
      return Array.from(now[style] ?? [], (value, channel) =>
        Math.abs(value - (chromiumFrames[moment]?.[style]?.[channel] ?? 0)),
      )
    })
    expect(Math.max(...differences)).toBeLessThan(40)
  })
})

describe('an animation that is not supported is refused', () => {
  const square = (css: string, inside = '<rect width="4" height="4"/>') =>
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><style>${css}</style><g class="a">${inside}</g></svg>`
  const turn = '@keyframes turn { to { transform: rotate(90deg) } }'

  test.each([
    ['an animation that ends', `${turn} .a { animation: turn 2s }`],
    ['an animation without a duration', `${turn} .a { animation: turn infinite }`],
    ['two animations of one element', `${turn} .a { animation: turn 2s infinite, turn 3s infinite }`],
    [
      'a unit that is not supported',
      '@keyframes turn { to { transform: rotate(1turn) } } .a { animation: turn 2s infinite }',
    ],
    [
      'a function that is not supported',
      '@keyframes turn { to { transform: skew(9deg) } } .a { animation: turn 2s infinite }',
    ],
    [
      'a change from one function to another',
      '@keyframes turn { from { transform: scale(1) } to { transform: rotate(9deg) } } .a { animation: turn 2s infinite }',
    ],
    ['an origin that depends on the element', `${turn} .a { animation: turn 2s infinite; transform-origin: center }`],
    ['a long stylesheet', `${turn} .a { animation: turn 2s infinite }${' '.repeat(20_000)}`],
  ])('%s', (_, css) => {
    expect(() => framesOf(square(css)).at(() => 0.5)).toThrow('unsupported animation')
  })

  test('an animation of text, whose bounding box would be needed', () => {
    const css = `${turn} .a { animation: turn 2s linear infinite; transform-box: fill-box; transform-origin: center }`
    expect(() => framesOf(square(css, '<text>a</text>')).at(() => 0.5)).toThrow('cannot measure <text>')
    expect(framesOf(square(css)).at(() => 0.5)).toContain('translate(2 2) rotate(45) translate(-2 -2)')
  })

  test.each(['clipPath', 'defs', 'filter', 'linearGradient', 'mask', 'metadata', 'radialGradient', 'style'])(
    'not because of <%s>, which is not rendered and does not count in a bounding box',
    (name) => {
      const css = `${turn} .a { animation: turn 2s linear infinite; transform-box: fill-box; transform-origin: center }`
      const inside = `<${name}>${name === 'style' ? '' : '<rect width="8" height="8"/>'}</${name}><rect width="4" height="4"/>`
      expect(framesOf(square(css, inside)).at(() => 0.5)).toContain('translate(2 2) rotate(45) translate(-2 -2)')
    },
  )
})

test('an SVG without animations has no timings and is returned as it is', () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9"/></svg>'
  expect(framesOf(svg).timings).toEqual([])
  expect(framesOf(svg).at(() => 0.5)).toBe(svg)
})

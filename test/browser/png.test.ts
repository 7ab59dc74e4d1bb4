import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Avatar, Style, type StyleOptions } from '@dicebear/core'
import type { Browser } from 'playwright-core'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { drawPng } from '../../src/pictures/png.ts'
import { openBrowser, screenshot } from '../support/browser.ts'

const run = promisify(execFile)
const require = createRequire(import.meta.url)
const pngModule = new URL('../../src/pictures/png.ts', import.meta.url).href
const fontConfig = fileURLToPath(new URL('../../src/pictures/fonts.conf', import.meta.url))

let folder: string
let browser: Browser
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'png-test-'))
  browser = await openBrowser({ env: { ...process.env, FONTCONFIG_FILE: fontConfig } }) // the app's fonts
})
afterAll(async () => {
  await browser?.close()
  await rm(folder, { recursive: true, force: true })
})

function avatar(style: string, options: StyleOptions): string {
  return new Avatar(new Style(require(`@dicebear/styles/${style}.json`)), options).toString()
}

/** Returns RGBA values with premultiplied colours, so that invisible pixels are equal. */
async function pixels(png: Buffer): Promise<number[]> {
  const raw = await sharp(png).ensureAlpha().raw().toBuffer()
  return Array.from(raw, (value, i) => (i % 4 === 3 ? value : (value * (raw[i - (i % 4) + 3] ?? 0)) / 255))
}

/** Returns the mean difference over all pixels (0 to 255), and the percentage of pixels that differ clearly. */
async function difference(one: Buffer, other: Buffer): Promise<{ mean: number; clear: number }> {
  const [a, b] = await Promise.all([pixels(one), pixels(other)])
  expect(a.length).toBe(b.length)
  let sum = 0
  let clear = 0
  for (let pixel = 0; pixel < a.length; pixel += 4) {
    const differences = [0, 1, 2, 3].map((channel) => Math.abs((a[pixel + channel] ?? 0) - (b[pixel + channel] ?? 0)))
    const most = Math.max(...differences)
    sum += most
    if (most > 40) clear += 1
  }
  return { mean: (sum * 4) / a.length, clear: (clear * 400) / a.length }
}

/** Takes a screenshot of the SVG in an `<img>`, or by itself if animated, as reduced motion applies only there. */
async function inChromium(svg: string, size: number): Promise<Buffer> {
  const page = await browser.newPage({ viewport: { width: size, height: size }, reducedMotion: 'reduce' })
  const url = `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`
  if (svg.includes('<style>')) await page.goto(url)
  else {
    await page.setContent(`<body style="margin: 0"><img src="${url}" width="${size}" style="display: block">`)
    await page.evaluate('document.images[0].decode()')
  }
  const png = await screenshot(page, { omitBackground: true })
  await page.close()
  return png
}

/** Runs the function `draw` of the script in another process with this environment. */
async function inChild(draw: string, svg: string, environment: NodeJS.ProcessEnv): Promise<Buffer> {
  const file = join(folder, 'drawing.svg')
  await writeFile(file, svg)
  const code = `
    import { readFile } from 'node:fs/promises'
    ${draw}
    process.stdout.write((await draw(await readFile(process.argv[1], 'utf8'))).toString('base64'))`
  const child = await run(process.execPath, ['--input-type=module', '--eval', code, file], {
    env: { PATH: process.env.PATH, HOME: folder, ...environment },
    maxBuffer: 2 ** 24,
  })
  return Buffer.from(child.stdout, 'base64')
}
const withOurFonts = `import { drawPng } from ${JSON.stringify(pngModule)}; const draw = (svg) => drawPng(svg, 256)`
const withoutOurFonts = `import sharp from 'sharp'; const draw = (svg) => sharp(Buffer.from(svg)).resize(256).png().toBuffer()`

async function noFonts(): Promise<NodeJS.ProcessEnv> {
  const file = join(folder, 'no-fonts.conf')
  await writeFile(file, '<fontconfig></fontconfig>')
  return { FONTCONFIG_FILE: file, FONTCONFIG_PATH: folder }
}

test.each([128, 256, 512, 1024])('is %i pixels wide and high', async (size) => {
  for (const style of ['bottts', 'pixel-art']) {
    const png = await drawPng(avatar(style, { seed: 'Ada' }), size)
    expect(png.subarray(1, 4).toString('latin1')).toBe('PNG')
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([size, size])
  }
})

test.each(['lorelei', 'marbles', 'initial-face'])(
  '%s without a background is transparent around the drawing',
  async (style) => {
    const svg = avatar(style, { seed: 'Ada', backgroundColor: [] })
    const alphas = (await pixels(await drawPng(svg, 128))).filter((_, i) => i % 4 === 3)
    expect([alphas.at(0), alphas.at(127), alphas.at(-128), alphas.at(-1)]).toEqual([0, 0, 0, 0])
    expect(alphas).toContain(255)
  },
)

describe('is drawn as in Chromium', () => {
  test.each<[string, StyleOptions]>([
    ['glass', { backgroundColor: ['#4477cc'] }], // blurs outside of the view box, screen
    ['glass', { backgroundColor: [] }],
    ['marbles', { backgroundColor: [] }], // blurs inside a clip
    ['bottts', { backgroundColor: ['#4477cc'] }], // shadows, luminance masks
    ['disco', { backgroundColor: [] }], // alpha masks, overlay
    ['waves', { backgroundColor: ['#4477cc'] }], // gradients
    ['micah', { backgroundColor: ['#4477cc'] }], // multiply, hard-light
    ['fun-emoji', { backgroundColor: ['#4477cc'] }], // soft-light
    ['notionists', { backgroundColor: ['#4477cc'] }], // difference
    ['personas', { backgroundColor: ['#4477cc'] }], // lighten, overlay
    ['avataaars', { backgroundColor: [] }],
    ['constellation', { backgroundColor: ['#4477cc'], tags: ['animation'] }],
    ['landscape', { backgroundColor: [], tags: ['animation'] }],
  ])('%s %o', async (style, options) => {
    const svg = avatar(style, { seed: 's4', ...options })
    const { mean, clear } = await difference(await drawPng(svg, 256), await inChromium(svg, 256))
    expect(mean).toBeLessThan(2.5)
    expect(clear).toBeLessThan(1)
  })
})

describe('on a machine without fonts', () => {
  test.each([
    ['initials', 'Ada Lovelace'],
    ['initials', 'Жанна Ильина'],
    ['initials', 'Ελένη'],
    ['initials', 'محمد علي'],
    ['initials', 'עברית'],
    ['initial-face', 'Ada'],
  ])('%s has the letters of %s', async (style, seed) => {
    const svg = avatar(style, { seed, backgroundColor: ['#336699'] })
    const png = await inChild(withOurFonts, svg, await noFonts())
    const expected = await inChromium(svg, 256)
    expect((await difference(png, expected)).clear).toBeLessThan(1.5)
    expect(png).toEqual(await inChild(withOurFonts, svg, {})) // the same as with the system's fonts
    expect(png).not.toEqual(await inChild(withoutOurFonts, svg, await noFonts())) // without fonts no letters
  })
})

test('an SVG with a size is drawn like one without', async () => {
  for (const style of ['glass', 'lorelei']) {
    const [png, sized] = await Promise.all(
      [{}, { size: 48 }].map(async (size) => drawPng(avatar(style, { seed: 'Ada', ...size }), 256)),
    )
    expect(sized).toEqual(png)
  }
})

test('is empty if everything in the SVG lies outside of its view box', async () => {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200">
    <rect x="450" width="50" height="50" opacity=".5"/></svg>`
  expect(new Set(await pixels(await drawPng(svg, 128)))).toEqual(new Set([0]))
})

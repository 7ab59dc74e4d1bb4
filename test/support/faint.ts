// Writes src/avatar/faint.json, the backgrounds on which each style is nearly invisible. Run it after an upgrade of
// DiceBear:
//   sh bin/node test/support/faint.ts
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Avatar } from '@dicebear/core'
import sharp from 'sharp'
import { themeColours } from '../../public/js/look.js'
import { palette, styles } from '../../src/avatar/catalogue.ts'
import { isSeeThrough } from '../../src/avatar/choice.ts'
import '../../src/pictures/png.ts' // so that letters are drawn with the app's fonts
import { styleOf } from './drawn.ts'

const seeds = ['fern', 'moss', 'river otter', 'amber fox', 'quiet wren', 'juniper', 'kit', 'lena']
const side = 48
const allBackgrounds = [...themeColours, ...palette.map(({ value }) => value)]
/** A pixel can be seen if its luminance or its colour differs this much from the background. */
const minContrast = 1.7
const minDistance = 45
/** A drawing can be seen if this share of its pixels can be seen. */
const minShare = 0.2

type Rgb = readonly [number, number, number]
const rgbOf = (hex: string): Rgb => [
  Number.parseInt(hex.slice(0, 2), 16),
  Number.parseInt(hex.slice(2, 4), 16),
  Number.parseInt(hex.slice(4, 6), 16),
]
const linear = (value: number) => (value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4)
/** https://www.w3.org/TR/WCAG22/#dfn-relative-luminance */
const luminance = ([r, g, b]: Rgb) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
const contrast = (a: number, b: number) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)

/** https://en.wikipedia.org/wiki/CIELAB_color_space */
function lab(rgb: Rgb): Rgb {
  const [r, g, b] = [linear(rgb[0]), linear(rgb[1]), linear(rgb[2])]
  const f = (t: number) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116)
  const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505)
  const y = f(0.2126 * r + 0.7152 * g + 0.0722 * b)
  const z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089)
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)]
}

/** Returns the share of a drawing's pixels that can be seen on this background. */
function seenShare(pixels: Buffer, ground: Rgb): number {
  const groundLight = luminance(ground)
  const groundLab = lab(ground)
  let drawn = 0
  let seen = 0
  for (let i = 0; i < pixels.length; i += 4) {
    const alpha = (pixels[i + 3] ?? 0) / 255
    if (alpha < 0.15) continue
    const mix = (channel: 0 | 1 | 2) => (pixels[i + channel] ?? 0) * alpha + ground[channel] * (1 - alpha)
    const colour: Rgb = [mix(0), mix(1), mix(2)]
    drawn += alpha
    const [l, a, b] = lab(colour)
    const distance = Math.hypot(l - groundLab[0], a - groundLab[1], b - groundLab[2])
    if (contrast(luminance(colour), groundLight) >= minContrast || distance >= minDistance) seen += alpha
  }
  return drawn === 0 ? 1 : seen / drawn
}

/** Returns the backgrounds on which at least half of the style's drawings are nearly invisible. */
async function faintBackgrounds(style: string): Promise<string[]> {
  const faces = await Promise.all(
    seeds.map((seed) => {
      const svg = new Avatar(styleOf(style), { seed, backgroundColor: ['ffffff00'] }).toString()
      return sharp(Buffer.from(svg)).resize(side, side).ensureAlpha().raw().toBuffer()
    }),
  )
  // Some styles keep their own background if none is chosen, so Discord's themes are never seen behind them.
  const isBehind = (background: string) =>
    !themeColours.includes(background) || isSeeThrough({ style, backgroundColor: '' })
  return allBackgrounds.filter(isBehind).filter((background) => {
    const shares = faces.map((pixels) => seenShare(pixels, rgbOf(background))).sort((a, b) => a - b)
    return (shares[Math.floor(shares.length / 2)] ?? 1) < minShare
  })
}

/** Returns the table by style, without the styles that can be seen on every background. */
export async function faintTable(): Promise<Record<string, string[]>> {
  const rows: [string, string[]][] = []
  for (const { name } of styles) {
    const backgrounds = await faintBackgrounds(name)
    if (backgrounds.length > 0) rows.push([name, backgrounds])
  }
  return Object.fromEntries(rows)
}

if (import.meta.main) {
  const lines = Object.entries(await faintTable()).map(
    ([style, backgrounds]) => `  "${style}": ${JSON.stringify(backgrounds)}`,
  )
  writeFileSync(join(import.meta.dirname, '../../src/avatar/faint.json'), `{\n${lines.join(',\n')}\n}\n`)
}

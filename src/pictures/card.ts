import sharp, { type Sharp } from 'sharp'
import { drawPng } from './png.ts'

/** The size in pixels that Discord, X and others expect of the large picture in a link preview. https://ogp.me */
const width = 1200
const height = 630
const portraitSize = 470
const margin = 80
const lineGap = 28
const cardColour = '#10181b'
/** The colour behind an avatar without a background. Both dark and light lines are visible on it. */
const portraitColour = '#7c939b'

/** Renders the picture of a link preview as PNG: the checked SVG, cropped to a circle as on Discord, and two texts. */
export async function drawCard(svg: string, title: string, subtitle: string): Promise<Buffer> {
  const portrait = await cropToCircle(sharp(await drawPng(svg, portraitSize)).flatten({ background: portraitColour }))
  const left = 2 * margin + portraitSize
  const textWidth = width - left - margin
  const [first, second] = await Promise.all([
    drawText(title, textWidth, 60, '#f3f0ea', 'bold'),
    drawText(subtitle, textWidth, 34, '#b6c4c9', 'normal'),
  ])
  const top = Math.round((height - first.height - lineGap - second.height) / 2)
  return sharp({ create: { width, height, channels: 4, background: cardColour } })
    .composite([
      { input: portrait, left: margin, top: (height - portraitSize) / 2 },
      { input: first.data, left, top },
      { input: second.data, left, top: top + first.height + lineGap },
    ])
    .png({ palette: true })
    .toBuffer()
}

async function cropToCircle(picture: Sharp): Promise<Buffer> {
  const radius = portraitSize / 2
  const circle = `<svg xmlns="http://www.w3.org/2000/svg" width="${portraitSize}" height="${portraitSize}">
    <circle cx="${radius}" cy="${radius}" r="${radius}"/>
  </svg>`
  return picture
    .ensureAlpha()
    .composite([{ input: Buffer.from(circle), blend: 'dest-in' }])
    .png()
    .toBuffer()
}

/** Renders a text. Pango parses it as markup, so it must be a text of this app, never one of a visitor. */
async function drawText(text: string, maxWidth: number, size: number, colour: string, weight: string) {
  const markup = `<span foreground="${colour}" weight="${weight}" size="${size * 1024}">${text}</span>`
  const { data, info } = await sharp({ text: { text: markup, width: maxWidth, rgba: true, dpi: 72, wrap: 'word' } })
    .png()
    .toBuffer({ resolveWithObject: true })
  return { data, height: info.height }
}

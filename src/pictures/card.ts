import sharp, { type Sharp } from 'sharp'
import { drawPng } from './png.ts'

/** What Discord, X and others ask for a large picture beside a link; https://ogp.me */
const width = 1200
const height = 630
const portrait = 470
const edge = 80
const ground = '#10181b'
/** Behind a look without a ground: lines both dark and light stand out from it, as on the form. */
const board = '#7c939b'

/** A picture of a look for links to it, 1200 × 630: the avatar in Discord's circle, and two lines of text. */
export async function drawCard(svg: string, title: string, lead: string): Promise<Buffer> {
  const face = await round(sharp(await drawPng(svg, portrait)).flatten({ background: board }))
  const left = 2 * edge + portrait
  const column = width - left - edge
  const [name, words] = await Promise.all([
    text(title, column, 60, '#f3f0ea', 'bold'),
    text(lead, column, 34, '#b6c4c9', 'normal'),
  ])
  const gap = 28
  const top = Math.round((height - name.height - gap - words.height) / 2)
  return sharp({ create: { width, height, channels: 4, background: ground } })
    .composite([
      { input: face, left: edge, top: (height - portrait) / 2 },
      { input: name.data, left, top },
      { input: words.data, left, top: top + name.height + gap },
    ])
    .png({ palette: true })
    .toBuffer()
}

/** Keeps what lies inside the circle. */
async function round(picture: Sharp): Promise<Buffer> {
  const radius = portrait / 2
  const circle = `<svg xmlns="http://www.w3.org/2000/svg" width="${portrait}" height="${portrait}"><circle cx="${radius}" cy="${radius}" r="${radius}"/></svg>`
  return picture
    .ensureAlpha()
    .composite([{ input: Buffer.from(circle), blend: 'dest-in' }])
    .png()
    .toBuffer()
}

// Pango reads markup: what comes here is ours, never a visitor's.
async function text(words: string, room: number, size: number, colour: string, weight: string) {
  const markup = `<span foreground="${colour}" weight="${weight}" size="${size * 1024}">${words}</span>`
  const { data, info } = await sharp({ text: { text: markup, width: room, rgba: true, dpi: 72, wrap: 'word' } })
    .png()
    .toBuffer({ resolveWithObject: true })
  return { data, height: info.height }
}

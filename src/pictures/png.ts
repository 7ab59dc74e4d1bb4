import { fileURLToPath } from 'node:url'
import sharp, { type Sharp } from 'sharp'

/** What a picture may cost before it is given up: DiceBear's own take a fraction of a second. */
const timeout = { seconds: 5 }

const fontConfig = fileURLToPath(new URL('fonts.conf', import.meta.url))

/**
 * Draws a checked SVG as a square PNG, `size` pixels wide, in threads of sharp's own. Letters come from the fonts that
 * npm brings and from no others: the same picture on every machine.
 */
export async function drawPng(svg: string, size: number): Promise<Buffer> {
  return (await picture(svg, size)).png().toBuffer()
}

/** The same picture as red, green, blue and opacity of each pixel, row by row. */
export async function drawPixels(svg: string, size: number): Promise<Buffer> {
  return (await picture(svg, size)).ensureAlpha().raw().toBuffer()
}

async function picture(svg: string, size: number): Promise<Sharp> {
  // The only way to tell fontconfig, inside sharp, of our fonts; it looks here once, before its first letter.
  process.env.FONTCONFIG_FILE = fontConfig
  if (svg.includes('<filter')) return pictureWithMargin(svg, size)
  return sharp(Buffer.from(svg)).resize(size, size, { fit: 'contain', background: 'transparent' }).timeout(timeout)
}

// librsvg forgets what lies beyond the edge before it blurs; browsers do not. So there is no edge until after the blur.
async function pictureWithMargin(svg: string, size: number): Promise<Sharp> {
  const { width, height } = await sharp(Buffer.from(svg)).metadata()
  const margin = Math.ceil(size / 2)
  const whole = size + 2 * margin
  const wider = `<svg xmlns="http://www.w3.org/2000/svg" width="${whole}" height="${whole}">
    <svg x="${margin}" y="${margin}" width="${size}" height="${size}" viewBox="0 0 ${width} ${height}">${svg}</svg>
  </svg>`
  return sharp(Buffer.from(wider)).extract({ left: margin, top: margin, width: size, height: size }).timeout(timeout)
}

import { fileURLToPath } from 'node:url'
import { LRUCache } from 'lru-cache'
import sharp from 'sharp'
import { checksum } from './avatars.ts'

/** What a picture may cost before it is given up: DiceBear's own take a fraction of a second. */
const timeout = { seconds: 5 }

const fontConfig = fileURLToPath(new URL('fonts.conf', import.meta.url))

/**
 * Draws a checked SVG as a square PNG, `size` pixels wide, in threads of sharp's own. Letters come from the fonts that
 * npm brings and from no others: the same picture on every machine.
 */
export async function drawPng(svg: string, size: number): Promise<Buffer> {
  // The only way to tell fontconfig, inside sharp, of our fonts; it looks here once, before its first letter.
  process.env.FONTCONFIG_FILE = fontConfig
  if (svg.includes('<filter')) return drawWithMargin(svg, size)
  return sharp(Buffer.from(svg))
    .resize(size, size, { fit: 'contain', background: 'transparent' })
    .timeout(timeout)
    .png()
    .toBuffer()
}

// librsvg forgets what lies beyond the edge before it blurs; browsers do not. So there is no edge until after the blur.
async function drawWithMargin(svg: string, size: number): Promise<Buffer> {
  const { width, height } = await sharp(Buffer.from(svg)).metadata()
  const margin = Math.ceil(size / 2)
  const whole = size + 2 * margin
  const wider = `<svg xmlns="http://www.w3.org/2000/svg" width="${whole}" height="${whole}">
    <svg x="${margin}" y="${margin}" width="${size}" height="${size}" viewBox="0 0 ${width} ${height}">${svg}</svg>
  </svg>`
  return sharp(Buffer.from(wider))
    .extract({ left: margin, top: margin, width: size, height: size })
    .timeout(timeout)
    .png()
    .toBuffer()
}

const keptBytes = 32 * 1024 * 1024

/** Draws PNGs once for all who ask for one at the same time, and keeps the last ones in memory for who asks again. */
export function createPngs(): typeof drawPng {
  const drawn = new LRUCache<string, Buffer>({ maxSize: keptBytes, sizeCalculation: (png) => png.length })
  const underWay = new Map<string, Promise<Buffer>>()
  return async (svg, size) => {
    const key = `${checksum(svg)} ${size}`
    const known = drawn.get(key)
    if (known) return known
    const drawing = underWay.get(key) ?? drawPng(svg, size).finally(() => underWay.delete(key))
    underWay.set(key, drawing)
    const png = await drawing
    drawn.set(key, png)
    return png
  }
}

import { fileURLToPath } from 'node:url'
import sharp, { type Sharp } from 'sharp'

// Each picture is rendered once, in a process of its own, so a cache would not be used.
sharp.cache(false)
// With one thread rendering takes the same memory on all machines. More threads do not render an SVG faster.
sharp.concurrency(1)

const fontConfig = fileURLToPath(new URL('fonts.conf', import.meta.url))

/**
 * Renders a checked SVG as a square PNG, `size` pixels wide. Letters come from the fonts that npm installs, so that the
 * picture is the same on every machine. Letters that these lack come from the machine's fonts; for those that no font
 * has see letters.ts. Throws if sharp cannot render it.
 */
export async function drawPng(svg: string, size: number): Promise<Buffer> {
  return (await render(svg, size)).png().toBuffer()
}

/** The same picture as red, green, blue and opacity of each pixel, row by row. */
export async function drawPixels(svg: string, size: number): Promise<Buffer> {
  return (await render(svg, size)).ensureAlpha().raw().toBuffer()
}

async function render(svg: string, size: number): Promise<Sharp> {
  // The fontconfig library inside sharp reads its configuration from here, once, before it draws its first letter.
  process.env.FONTCONFIG_FILE = fontConfig
  if (svg.includes('<filter')) return renderWithMargin(svg, size)
  return sharp(Buffer.from(svg)).resize(size, size, { fit: 'contain', background: 'transparent' })
}

/**
 * Unlike browsers, librsvg crops the drawing before it blurs it. With a margin around the drawing the cropped edge is
 * outside the picture.
 */
async function renderWithMargin(svg: string, size: number): Promise<Sharp> {
  const { width, height } = await sharp(Buffer.from(svg)).metadata()
  const margin = Math.ceil(size / 2)
  const outerSize = size + 2 * margin
  const outer = `<svg xmlns="http://www.w3.org/2000/svg" width="${outerSize}" height="${outerSize}">
    <svg x="${margin}" y="${margin}" width="${size}" height="${size}" viewBox="0 0 ${width} ${height}">${svg}</svg>
  </svg>`
  return sharp(Buffer.from(outer)).extract({ left: margin, top: margin, width: size, height: size })
}

import { fileURLToPath } from 'node:url'
import sharp, { type Sharp } from 'sharp'

// sharp's own cache is off, because each picture is rendered only once.
sharp.cache(false)
// One thread only, so that rendering takes the same memory on all machines. More threads do not render an SVG faster.
sharp.concurrency(1)

// sharp's fontconfig library reads the file that this variable names, once, before it draws its first letter.
process.env.FONTCONFIG_FILE = fileURLToPath(new URL('fonts.conf', import.meta.url))

/**
 * Renders a checked SVG as a square PNG, `size` pixels wide. Letters are drawn with the fonts that npm installs, so
 * that the picture is the same on every machine. Letters that these fonts lack are drawn with the machine's fonts; for
 * letters that no font has see letters.ts. Throws an Error if sharp cannot render the SVG.
 */
export async function drawPng(svg: string, size: number): Promise<Buffer> {
  return (await render(svg, size)).png().toBuffer()
}

/** Renders the picture of `drawPng` as red, green, blue and opacity of each pixel, row by row. */
export async function drawPixels(svg: string, size: number): Promise<Buffer> {
  return (await render(svg, size)).ensureAlpha().raw().toBuffer()
}

async function render(svg: string, size: number): Promise<Sharp> {
  if (svg.includes('<filter')) return renderWithMargin(svg, size)
  return sharp(Buffer.from(svg)).resize(size, size, { fit: 'contain', background: 'transparent' })
}

/**
 * Renders an SVG with a filter such as blur. librsvg crops a drawing before it applies the filter, browsers afterwards.
 * So the drawing is rendered with a margin around it, which is cut off at the end.
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

import { fileURLToPath } from 'node:url'
import sharp, { type Sharp } from 'sharp'

// A picture is rendered in a process of its own, once: nothing is gained by keeping what led to it.
sharp.cache(false)
// As much memory on a machine with many cores as on one with few. SVGs are rendered no faster by more threads.
sharp.concurrency(1)

const fontConfig = fileURLToPath(new URL('fonts.conf', import.meta.url))

/**
 * Renders a checked SVG as a square PNG, `size` pixels wide. Letters come from the fonts installed by npm, so that the
 * picture is the same on every machine, else from the machine's fonts; see letters.ts for those that no font has. Throws when
 * sharp cannot render it.
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

/** librsvg, unlike browsers, drops what lies beyond the edge before it blurs. With a margin there is no edge to be seen. */
async function renderWithMargin(svg: string, size: number): Promise<Sharp> {
  const { width, height } = await sharp(Buffer.from(svg)).metadata()
  const margin = Math.ceil(size / 2)
  const outerSize = size + 2 * margin
  const outer = `<svg xmlns="http://www.w3.org/2000/svg" width="${outerSize}" height="${outerSize}">
    <svg x="${margin}" y="${margin}" width="${size}" height="${size}" viewBox="0 0 ${width} ${height}">${svg}</svg>
  </svg>`
  return sharp(Buffer.from(outer)).extract({ left: margin, top: margin, width: size, height: size })
}

import { LRUCache } from 'lru-cache'
import { avatarId } from './avatars.ts'
import type { Choice } from './choice.ts'
import { drawEmbedded } from './embedded.ts'
import { findStyle } from './styles.ts'

/** Pixels a side: enough to see a cut ear. */
const side = 64
/** Shoulders may be cut; heads end above this. */
const headShare = 0.7
/** Percent of the drawing; less is a curl or a corner of a hat. */
const toleratedPercent = 2
/** What fills this much of the corners is a ground, not a head. */
const patternShare = 0.3

const known = new LRUCache<string, boolean>({ max: 5000 })

/**
 * Whether Discord's round crop cuts off what matters of this avatar: part of a face or of letters. A pattern that fills
 * the square loses nothing by it.
 */
export async function isCutByCircle(choice: Choice): Promise<boolean> {
  const style = findStyle(choice.style)
  if (!style?.hasFace && !style?.text) return false
  const drawing = { ...choice, backgroundColor: '', animated: false }
  const id = avatarId(drawing)
  const isCut = known.get(id) ?? cutPercent(await opacityOf(drawing)) > toleratedPercent
  known.set(id, isCut)
  return isCut
}

/** Opacity of each pixel, row by row, 0 to 255. */
async function opacityOf(choice: Choice): Promise<Buffer> {
  // Imported where it is first needed, because of the memory that it takes.
  const { default: sharp } = await import('sharp')
  const svg = await drawEmbedded(choice)
  return sharp(Buffer.from(svg)).resize(side, side).ensureAlpha().extractChannel('alpha').raw().toBuffer()
}

function cutPercent(opacity: Buffer): number {
  const radius = side / 2
  let whole = 0
  let cut = 0
  let corners = 0
  for (const [pixel, value] of opacity.entries()) {
    const [x, y] = [pixel % side, Math.floor(pixel / side)]
    whole += value
    if (y >= side * headShare || Math.hypot(x + 0.5 - radius, y + 0.5 - radius) <= radius) continue
    corners += 255
    cut += value
  }
  const isPattern = cut > patternShare * corners
  return isPattern || whole === 0 ? 0 : (100 * cut) / whole
}

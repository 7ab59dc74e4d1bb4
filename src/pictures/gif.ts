import sharp from 'sharp'
import { findStyle } from '../avatar/catalogue.ts'
import type { Choice } from '../avatar/choice.ts'
import { drawEmbedded } from '../avatar/embedded.ts'
import { Overloaded } from '../errors.ts'
import { framesOf } from './frames.ts'
import type { Pace } from './motion.ts'
import { drawPixels } from './png.ts'

/** Pixels a side: Discord shows at most 128, on screens with twice as many. */
const side = 256
/** A blur costs the most by far, and has nothing finer to show. */
const blurredSide = 128
const frameMs = 80
/** How many frames a loop may have, and has where nothing else decides: 4 to 8 seconds, and 6. */
const fewest = 50
const most = 100
const usual = 75
/** What takes longer for one turn is not hurried: it keeps its pace, and fades into its beginning at the end. */
const longestTurnMs = 1.2 * most * frameMs
const fadingFrames = 12
/** A GIF has no half opacity. Edges lose nothing by that; a drawing with more of it than this is laid on white. */
const toleratedHalves = 0.2
/** What one GIF may cost; DiceBear's own take a second or two, and nobody should wait till the server hangs up. */
const patienceMs = 8000

/** Whether anything moves in this look. Some seeds of a moving style have nothing in them that does. */
export async function moves(choice: Choice): Promise<boolean> {
  if (!choice.animated || !findStyle(choice.style)?.animated) return false
  return framesOf(await drawEmbedded(choice)).paces.length > 0
}

/**
 * Draws a checked SVG that moves by CSS as an animated GIF that goes on for ever, in threads of sharp's own. Throws
 * Overloaded when it takes too long, and where something moves in another way than DiceBear's styles do.
 */
export async function drawGif(svg: string): Promise<Buffer> {
  const giveUpAt = performance.now() + patienceMs
  const width = svg.includes('<filter') ? blurredSide : side
  const frames = framesOf(svg)
  const quick = frames.paces.filter(({ periodMs }) => periodMs <= longestTurnMs)
  const count = framesInLoop(quick)

  function drawFrame(frame: number): Promise<Buffer> {
    if (performance.now() > giveUpAt) throw new Overloaded('a GIF took too long')
    const turns = ({ periodMs, delayMs }: Pace) => {
      const perLoop = (count * frameMs) / periodMs
      return (frame / count) * (periodMs <= longestTurnMs ? wholeTurns(perLoop) : perLoop) - delayMs / periodMs
    }
    return drawPixels(frames.at(turns), width)
  }

  const pages = Buffer.alloc(count * width * width * 4)
  for (let frame = 0; frame < count; frame += 1) {
    const pixels = await drawFrame(frame)
    const faded = (frame - count + fadingFrames) / fadingFrames
    if (faded > 0 && quick.length < frames.paces.length) mix(pixels, await drawFrame(frame - count), faded)
    pixels.copy(pages, frame * pixels.length)
  }
  const isVeiled = halves(pages.subarray(0, width * width * 4)) > toleratedHalves
  const picture = sharp(pages, { raw: { width, height: count * width, channels: 4, pageHeight: width } })
  return (isVeiled ? picture.flatten({ background: 'white' }) : picture)
    .gif({ loop: 0, delay: Array.from({ length: count }, () => frameMs), effort: 4 })
    .toBuffer()
}

/** So many frames that everything quick comes round a whole number of times with its pace bent the least. */
function framesInLoop(quick: Pace[]): number {
  const bend = (count: number) => Math.max(...quick.map(({ periodMs }) => bendOf((count * frameMs) / periodMs)))
  const counts = Array.from({ length: most - fewest + 1 }, (_, i) => fewest + i)
  return quick.length === 0 ? usual : counts.reduce((best, count) => (bend(count) < bend(best) ? count : best))
}

const wholeTurns = (turns: number) => Math.max(1, Math.round(turns))
const bendOf = (turns: number) => Math.abs(Math.log(turns / wholeTurns(turns)))

function mix(pixels: Buffer, others: Buffer, share: number): void {
  for (let i = 0; i < pixels.length; i += 1) pixels[i] = (pixels[i] ?? 0) * (1 - share) + (others[i] ?? 0) * share
}

/** Share of the pixels that are neither solid nor clear. */
function halves(pixels: Buffer): number {
  let count = 0
  for (let i = 3; i < pixels.length; i += 4) {
    const opacity = pixels[i] ?? 0
    if (opacity > 25 && opacity < 230) count += 1
  }
  return (4 * count) / pixels.length
}

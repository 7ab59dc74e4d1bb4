import sharp from 'sharp'
import { framesOf } from './frames.ts'
import type { Timing } from './motion.ts'
import { drawPixels } from './png.ts'

/** Size in pixels. Discord shows avatars at up to 128 CSS pixels, and many screens have two pixels per CSS pixel. */
const defaultSize = 256
/** Size of drawings with a filter such as blur, which are the slowest to render and have no finer details. */
const sizeWithFilter = 128
const frameMs = 80
/** The loop takes 4 to 8 seconds, in which adjusted animations run a whole number of times (see `framesInLoop`). */
const minFrames = 50
const maxFrames = 100
/** The loop takes 6 seconds if no animation is adjusted. */
const defaultFrames = 75
/**
 * An animation with a longer period keeps its speed. It would jump at the end of the loop, so the last frames of the
 * loop are blended with the frames that would come before its start.
 */
const maxAdjustedPeriodMs = 1.2 * maxFrames * frameMs
const fadingFrames = 12
/** GIF has no partial transparency. A drawing with a larger share of translucent pixels gets a white background. */
const maxTranslucentShare = 0.2

/**
 * Renders a checked SVG with CSS animations as a GIF that repeats without end. For DiceBear's drawings this takes a
 * second or two. Throws an Error if an animation uses CSS that no style of DiceBear uses.
 */
export async function drawGif(svg: string): Promise<Buffer> {
  const size = svg.includes('<filter') ? sizeWithFilter : defaultSize
  const frames = framesOf(svg)
  const adjusted = frames.timings.filter(isAdjusted)
  const count = framesInLoop(adjusted)

  function drawFrame(frame: number): Promise<Buffer> {
    return drawPixels(
      frames.at((timing) => iterationsAt(frame, count, timing)),
      size,
    )
  }

  const pixels = Buffer.alloc(count * size * size * 4)
  for (let frame = 0; frame < count; frame += 1) {
    const drawn = await drawFrame(frame)
    const fadedShare = (frame - count + fadingFrames) / fadingFrames
    // `frame - count` is a moment before the loop starts. Blending with that picture leads smoothly to the start.
    if (fadedShare > 0 && adjusted.length < frames.timings.length)
      blend(drawn, await drawFrame(frame - count), fadedShare)
    drawn.copy(pixels, frame * drawn.length)
  }
  const isTranslucent = translucentShare(pixels.subarray(0, size * size * 4)) > maxTranslucentShare
  const picture = sharp(pixels, { raw: { width: size, height: count * size, channels: 4, pageHeight: size } })
  return (isTranslucent ? picture.flatten({ background: 'white' }) : picture)
    .gif({ loop: 0, delay: Array.from({ length: count }, () => frameMs), effort: 4 })
    .toBuffer()
}

/** Whether the speed of an animation is adjusted a little, so that it runs a whole number of times in the loop. */
const isAdjusted = ({ periodMs }: Timing) => periodMs <= maxAdjustedPeriodMs

/** How many times an animation has run at a frame of the loop. */
function iterationsAt(frame: number, count: number, timing: Timing): number {
  const perLoop = (count * frameMs) / timing.periodMs
  return (frame / count) * (isAdjusted(timing) ? wholeIterations(perLoop) : perLoop) - timing.delayMs / timing.periodMs
}

const wholeIterations = (iterations: number) => Math.max(1, Math.round(iterations))

/** The number of frames for which the speed of the animations must be adjusted least. */
function framesInLoop(timings: Timing[]): number {
  if (timings.length === 0) return defaultFrames
  const change = (count: number) =>
    Math.max(...timings.map(({ periodMs }) => speedChange((count * frameMs) / periodMs)))
  const counts = Array.from({ length: maxFrames - minFrames + 1 }, (_, i) => minFrames + i)
  return counts.reduce((best, count) => (change(count) < change(best) ? count : best))
}

const speedChange = (iterations: number) => Math.abs(Math.log(iterations / wholeIterations(iterations)))

/** Blends the pixels of two pictures. `share` is the share of `others`. */
function blend(pixels: Buffer, others: Buffer, share: number): void {
  for (let i = 0; i < pixels.length; i += 1) pixels[i] = (pixels[i] ?? 0) * (1 - share) + (others[i] ?? 0) * share
}

/** The share of translucent pixels, which are neither opaque nor transparent. */
function translucentShare(pixels: Buffer): number {
  let count = 0
  for (let i = 3; i < pixels.length; i += 4) {
    const opacity = pixels[i] ?? 0
    if (opacity > 25 && opacity < 230) count += 1
  }
  return (4 * count) / pixels.length
}

import { z } from 'zod'
import type { Overloaded } from '../errors.ts'
import type { Choice } from './choice.ts'
import { createProcessPool } from './process-pool.ts'

/** What a renderer process can do. */
export type Task =
  | { name: 'check'; svg: Uint8Array }
  | { name: 'draw'; choice: Choice }
  | { name: 'moves'; choice: Choice }
  | { name: 'lettersWithoutFont'; choice: Choice }
  | { name: 'png'; svg: string; size: number }
  | { name: 'gif'; svg: string }
  | { name: 'card'; svg: string; title: string; subtitle: string }

export type RenderersOptions = {
  /** The module of a renderer process. */
  program: URL
  /** How many processes render PNGs, GIFs and cards, one at a time. */
  renderingProcesses: number
  /** The most memory of one of these, and of the process that checks and draws. */
  renderingMaxMb: number
  drawingMaxMb: number
  /** Called when a process was killed, or ended by itself, with a job under way. */
  onFailure: (error: Overloaded) => void
}

/** For what came from outside. With the rendering of what replaces it, the visitor has an answer after about three seconds. */
const timeoutMs = 2500
/** For what the embedded library has drawn: that ends by itself, but it may be slow on a busy machine. */
const trustedTimeoutMs = 15_000

/** Checks and drawings handed to their process at once: with one at a time it would wait for this process after each. */
export const drawingConcurrency = 8
/** sharp takes 25 MB of memory, and a tenth of a second to load. */
const renderingIdleMs = 60_000

const Problem = z.string().optional()
const Picture = z.instanceof(Uint8Array).transform((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))

/**
 * Renderer processes check SVGs from outside, draw new ones with the embedded library and turn them into pixels, within
 * limits of time and memory: a few kilobytes of SVG can take hours, or all memory. Bounds of the bench need it as well: new
 * previews, and the form page beside them. Every method throws Overloaded when a limit is reached, and an Error when the
 * work fails.
 */
export function createRenderers({ program, onFailure, ...limits }: RenderersOptions) {
  const drawing = createProcessPool({
    program,
    onFailure,
    maxProcesses: 1,
    maxMb: limits.drawingMaxMb,
    jobsPerProcess: drawingConcurrency,
  })
  // Apart from the others, who take milliseconds and need not wait for these.
  const rendering = createProcessPool({
    program,
    onFailure,
    maxProcesses: limits.renderingProcesses,
    maxMb: limits.renderingMaxMb,
    jobsPerProcess: 1,
    idleMs: renderingIdleMs,
  })
  const draw = (task: Task, timeoutMs: number) => drawing.run(task, timeoutMs)
  const render = async (task: Task, timeoutMs: number) => Picture.parse(await rendering.run(task, timeoutMs))

  return {
    /** What is wrong with an SVG from outside; undefined when it is safe. See `svgProblem`. */
    async check(svg: Uint8Array): Promise<string | undefined> {
      return Problem.parse(await draw({ name: 'check', svg }, timeoutMs))
    },

    /** The SVG of this choice, drawn by the embedded library. */
    async draw(choice: Choice): Promise<string> {
      return z.string().parse(await draw({ name: 'draw', choice }, trustedTimeoutMs))
    },

    /** Whether anything in this avatar moves. See `moves` in pictures/frames.ts. */
    async moves(choice: Choice): Promise<boolean> {
      return z.boolean().parse(await draw({ name: 'moves', choice }, trustedTimeoutMs))
    },

    /** The letters in this avatar that pictures are without. See `lettersWithoutFont` in pictures/letters.ts. */
    async lettersWithoutFont(choice: Choice): Promise<string[]> {
      return z.array(z.string()).parse(await draw({ name: 'lettersWithoutFont', choice }, trustedTimeoutMs))
    },

    /** See `drawPng` in pictures/png.ts; `trusted` for an SVG of the embedded library. */
    png(svg: string, size: number, trusted: boolean): Promise<Buffer> {
      return render({ name: 'png', svg, size }, trusted ? trustedTimeoutMs : timeoutMs)
    },

    /** See `drawGif` in pictures/gif.ts; `trusted` for an SVG of the embedded library. */
    gif(svg: string, trusted: boolean): Promise<Buffer> {
      return render({ name: 'gif', svg }, trusted ? trustedTimeoutMs : timeoutMs)
    },

    /** See `drawCard` in pictures/card.ts. The SVG must be one of the embedded library. */
    card(svg: string, title: string, subtitle: string): Promise<Buffer> {
      return render({ name: 'card', svg, title, subtitle }, trustedTimeoutMs)
    },

    close(): void {
      drawing.close()
      rendering.close()
    },
  }
}
export type Renderers = ReturnType<typeof createRenderers>

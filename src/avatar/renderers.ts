import { z } from 'zod'
import { Overloaded, PicturesUnavailable } from '../errors.ts'
import type { Choice } from './choice.ts'
import type { Effects } from './effects.ts'
import { createTrial, type PicturesState } from './pictures-state.ts'
import { createProcessPool } from './process-pool.ts'

/** The tasks of a renderer process. See renderer.ts. */
export type Task =
  | { name: 'check'; svg: Uint8Array }
  | { name: 'draw' | 'effects' | 'moves' | 'lettersWithoutFont'; choice: Choice }
  | { name: 'png'; svg: string; size: number }
  | { name: 'gif'; svg: string }
  | { name: 'card'; svg: string; title: string; subtitle: string }

export type RenderersOptions = {
  /** The module that renderer processes run. */
  program: URL
  /** How many processes render PNGs, GIFs and cards. Each renders one at a time. */
  renderingProcesses: number
  /** Memory limit of each process that renders pixels. */
  renderingMaxMb: number
  /** Memory limit of the process that checks and draws SVGs. */
  drawingMaxMb: number
  /** Called when a process has been killed or has ended while it had a task. */
  onFailure: (error: Overloaded) => void
  /** Called when `picturesState` changes, with the error if there is one. */
  onState?: (state: PicturesState, error?: unknown) => void
}

/**
 * Time limit for an SVG from outside. When it is exceeded, the embedded library's SVG is used instead. The contract
 * allows three seconds.
 */
const timeoutMs = 2500
/** Time limit for an SVG of the embedded library, which is harmless. It is long, because the machine may be busy. */
const trustedTimeoutMs = 15_000

/** How many tasks the drawing process may have at a time, so that it is not idle between two tasks. */
export const drawingConcurrency = 8
/** A rendering process ends after this idle time, because sharp takes 25 MB. Loading it again takes 0.1 s. */
const renderingIdleMs = 60_000

// The schemas of the tasks' results, made once, because making a schema takes a hundred times as long as using it.
const Problem = z.string().optional()
const Svg = z.string()
const IsMoving = z.boolean()
const Letters = z.array(z.string())
const EffectNames = z.object({ parts: z.array(z.string()), colours: z.array(z.string()) })
const PictureBytes = z
  .instanceof(Uint8Array)
  .transform((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))

/**
 * Child processes that check SVGs from outside, draw new ones with the embedded library and render SVGs as pixels. They
 * have limits of time and memory, because rendering a few kilobytes of SVG can take hours, or all memory. Previews are
 * drawn there, too: if the server drew them, other requests would wait, and test/bench would miss two bounds. Every
 * method throws Overloaded if a limit is reached, and an Error if the work fails.
 */
export function createRenderers({ program, onFailure, onState, ...limits }: RenderersOptions) {
  const drawing = createProcessPool({
    program,
    onFailure,
    maxProcesses: 1,
    maxMb: limits.drawingMaxMb,
    jobsPerProcess: drawingConcurrency,
  })
  // Rendering has its own processes. Checks and drawings take milliseconds, and should not wait for it.
  const rendering = createProcessPool({
    program,
    onFailure,
    maxProcesses: limits.renderingProcesses,
    maxMb: limits.renderingMaxMb,
    jobsPerProcess: 1,
    idleMs: renderingIdleMs,
  })
  const renderOnce = async (task: Task, timeoutMs: number) => PictureBytes.parse(await rendering.run(task, timeoutMs))
  let isClosed = false
  const picturesState = createTrial({
    renderPng: (svg, size) => renderOnce({ name: 'png', svg, size }, trustedTimeoutMs),
    onState(state, error) {
      if (!isClosed) onState?.(state, error)
    },
  })

  /**
   * Renders an SVG of the embedded library. If the memory limit is exceeded, perhaps because the process still holds
   * memory of earlier pictures, rendering is tried once more in a new process.
   */
  async function renderTrusted(task: Task): Promise<Buffer> {
    const giveUpAt = performance.now() + trustedTimeoutMs
    return renderOnce(task, trustedTimeoutMs).catch((error) => {
      if (error instanceof Overloaded && performance.now() < giveUpAt) return renderOnce(task, trustedTimeoutMs)
      throw error
    })
  }

  async function render(task: Task, trusted: boolean): Promise<Buffer> {
    try {
      return await (trusted ? renderTrusted(task) : renderOnce(task, timeoutMs))
    } catch (cause) {
      if (cause instanceof Overloaded || (await picturesState()) === 'ok') throw cause
      throw new PicturesUnavailable('pictures cannot be rendered', { cause })
    }
  }

  return {
    picturesState,

    /** What is wrong with an SVG from outside; undefined if it is safe. See `svgProblem`. */
    async check(svg: Uint8Array): Promise<string | undefined> {
      return Problem.parse(await drawing.run({ name: 'check', svg }, timeoutMs))
    },

    /** Draws the SVG of a choice with the embedded library. */
    async draw(choice: Choice): Promise<string> {
      return Svg.parse(await drawing.run({ name: 'draw', choice }, trustedTimeoutMs))
    },

    /** The parts that would be visible if they were chosen, and the visible colours. See `effectsOf` in effects.ts. */
    async effects(choice: Choice): Promise<Effects> {
      return EffectNames.parse(await drawing.run({ name: 'effects', choice }, trustedTimeoutMs))
    },

    /** Whether anything in this avatar moves. See `moves` in pictures/frames.ts. */
    async moves(choice: Choice): Promise<boolean> {
      return IsMoving.parse(await drawing.run({ name: 'moves', choice }, trustedTimeoutMs))
    },

    /** The letters of this avatar that no font has. See `lettersWithoutFont` in pictures/letters.ts. */
    async lettersWithoutFont(choice: Choice): Promise<string[]> {
      return Letters.parse(await drawing.run({ name: 'lettersWithoutFont', choice }, trustedTimeoutMs))
    },

    /** Renders a PNG, see `drawPng` in pictures/png.ts. `trusted` says that the embedded library has drawn the SVG. */
    png(svg: string, size: number, trusted: boolean): Promise<Buffer> {
      return render({ name: 'png', svg, size }, trusted)
    },

    /** Renders a GIF, see `drawGif` in pictures/gif.ts. `trusted` says that the embedded library has drawn the SVG. */
    gif(svg: string, trusted: boolean): Promise<Buffer> {
      return render({ name: 'gif', svg }, trusted)
    },

    /** Renders the picture of a link preview, see `drawCard`. The embedded library must have drawn the SVG. */
    card(svg: string, title: string, subtitle: string): Promise<Buffer> {
      return render({ name: 'card', svg, title, subtitle }, true)
    },

    close(): void {
      isClosed = true
      drawing.close()
      rendering.close()
    },
  }
}
export type Renderers = ReturnType<typeof createRenderers>

import { z } from 'zod'
import { Overloaded, PicturesUnavailable } from '../errors.ts'
import type { Choice } from './choice.ts'
import type { Effects } from './effects.ts'
import { createProcessPool } from './process-pool.ts'

/** What a renderer process can do. */
export type Task =
  | { name: 'check'; svg: Uint8Array }
  | { name: 'draw'; choice: Choice }
  | { name: 'effects'; choice: Choice }
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
  /** Memory limits of a process that renders, and of the process that checks and draws. */
  renderingMaxMb: number
  drawingMaxMb: number
  /** Called when a process was killed or has ended while it had a task. */
  onFailure: (error: Overloaded) => void
  /** Called when `picturesState` changes, with the error if there is one. */
  onState?: (state: PicturesState, error?: unknown) => void
}

/** Whether PNGs, GIFs and cards can be rendered. `no font` means that they lack letters; a card cannot do without. */
export type PicturesState = 'ok' | 'no font' | 'down'

/**
 * For an SVG from outside. If it takes longer, it is replaced by a drawing of the embedded library, so that the visitor
 * has an answer after about three seconds.
 */
const timeoutMs = 2500
/** For an SVG of the embedded library, which always ends, but may be slow on a busy machine. */
const trustedTimeoutMs = 15_000

/**
 * How many tasks are sent to the drawing process ahead. With one it would be idle until this process sends the next.
 */
export const drawingConcurrency = 8
/**
 * A rendering process ends after this idle time, because sharp takes 25 MB of memory. Loading it takes a tenth of a
 * second.
 */
const renderingIdleMs = 60_000

/** How long to wait after a failed trial before the next one. */
const trialPauseMs = 5000
const trialSvg = (content: string) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><text y="24" font-size="24">${content}</text></svg>`

const Problem = z.string().optional()
const EffectNames = z.object({ parts: z.array(z.string()), colours: z.array(z.string()) })
const Picture = z.instanceof(Uint8Array).transform((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))

/**
 * Child processes that check SVGs from outside, draw new ones with the embedded library and render them as pixels,
 * within limits of time and memory: rendering a few kilobytes of SVG can take hours, or all memory. Drawing is there
 * because of two bounds of test/bench: new previews, and the form page beside them. Every method throws Overloaded when
 * a limit is reached, and an Error when the work fails.
 */
export function createRenderers({ program, onFailure, onState, ...limits }: RenderersOptions) {
  const drawing = createProcessPool({
    program,
    onFailure,
    maxProcesses: 1,
    maxMb: limits.drawingMaxMb,
    jobsPerProcess: drawingConcurrency,
  })
  // Processes of their own, because checks and drawings take milliseconds and must not wait for pictures.
  const rendering = createProcessPool({
    program,
    onFailure,
    maxProcesses: limits.renderingProcesses,
    maxMb: limits.renderingMaxMb,
    jobsPerProcess: 1,
    idleMs: renderingIdleMs,
  })
  const draw = (task: Task, timeoutMs: number) => drawing.run(task, timeoutMs)
  const run = async (task: Task, timeoutMs: number) => Picture.parse(await rendering.run(task, timeoutMs))
  let isClosed = false
  let state: PicturesState = 'ok'
  let trial: Promise<PicturesState> | undefined
  let triedAt = Number.NEGATIVE_INFINITY

  function changeState(next: PicturesState, error?: unknown): PicturesState {
    if (next !== state && !isClosed) onState?.(next, error)
    state = next
    return next
  }

  /** Renders a picture with a letter and one without. They are equal if there is no font. */
  async function tryRendering(): Promise<PicturesState> {
    const draw = (content: string) => run({ name: 'png', svg: trialSvg(content), size: 32 }, trustedTimeoutMs)
    try {
      const letter = await draw('A')
      return changeState(letter.equals(await draw('')) ? 'no font' : 'ok')
    } catch (error) {
      return changeState('down', error)
    }
  }

  /**
   * Whether pictures can be rendered, found out by rendering one. After a failure later calls try again. Never rejects.
   */
  function picturesState(): Promise<PicturesState> {
    const isOver = state !== 'ok' && performance.now() - triedAt > trialPauseMs
    if (trial === undefined || isOver) {
      triedAt = performance.now()
      trial = tryRendering()
    }
    return trial
  }

  /**
   * A process keeps memory of earlier pictures. If a drawing exceeds its limit, it is tried once more in a new process.
   */
  async function runTrusted(task: Task): Promise<Buffer> {
    const giveUpAt = performance.now() + trustedTimeoutMs
    return run(task, trustedTimeoutMs).catch((error) => {
      if (error instanceof Overloaded && performance.now() < giveUpAt) return run(task, trustedTimeoutMs)
      throw error
    })
  }

  async function render(task: Task, trusted: boolean): Promise<Buffer> {
    try {
      return await (trusted ? runTrusted(task) : run(task, timeoutMs))
    } catch (cause) {
      if (cause instanceof Overloaded || (await picturesState()) === 'ok') throw cause
      throw new PicturesUnavailable('pictures cannot be rendered', { cause })
    }
  }

  return {
    picturesState,

    /** What is wrong with an SVG from outside; undefined when it is safe. See `svgProblem`. */
    async check(svg: Uint8Array): Promise<string | undefined> {
      return Problem.parse(await draw({ name: 'check', svg }, timeoutMs))
    },

    /** The SVG of this choice, drawn by the embedded library. */
    async draw(choice: Choice): Promise<string> {
      return z.string().parse(await draw({ name: 'draw', choice }, trustedTimeoutMs))
    },

    /** Which parts and colours make a difference in this avatar. See `effectsOf` in effects.ts. */
    async effects(choice: Choice): Promise<Effects> {
      return EffectNames.parse(await draw({ name: 'effects', choice }, trustedTimeoutMs))
    },

    /** Whether anything in this avatar moves. See `moves` in pictures/frames.ts. */
    async moves(choice: Choice): Promise<boolean> {
      return z.boolean().parse(await draw({ name: 'moves', choice }, trustedTimeoutMs))
    },

    /** The letters in this avatar that are missing in its pictures. See `lettersWithoutFont` in pictures/letters.ts. */
    async lettersWithoutFont(choice: Choice): Promise<string[]> {
      return z.array(z.string()).parse(await draw({ name: 'lettersWithoutFont', choice }, trustedTimeoutMs))
    },

    /** See `drawPng` in pictures/png.ts; `trusted` for an SVG of the embedded library. */
    png(svg: string, size: number, trusted: boolean): Promise<Buffer> {
      return render({ name: 'png', svg, size }, trusted)
    },

    /** See `drawGif` in pictures/gif.ts; `trusted` for an SVG of the embedded library. */
    gif(svg: string, trusted: boolean): Promise<Buffer> {
      return render({ name: 'gif', svg }, trusted)
    },

    /** See `drawCard` in pictures/card.ts. The SVG must be one of the embedded library. */
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

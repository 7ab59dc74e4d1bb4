// Work that would hold up the event loop runs in one worker thread. Bounds of the bench that need it: new previews, and the
// form page beside them.
import type { Piscina } from 'piscina'
import type { Choice } from './choice.ts'
import { drawEmbedded } from './embedded.ts'
import { svgProblem } from './safe-svg.ts'

/** Tasks handed to the worker at once: with one at a time it would wait for the main thread after each. */
export const workerConcurrency = 8

/** The SVG of this choice, drawn by the embedded DiceBear library. */
export function drawInWorker(choice: Choice): Promise<string> {
  return runInWorker('embedded.ts', drawEmbedded, choice)
}

/** What is wrong with an SVG from outside; undefined when it is safe. See `svgProblem`. */
export function checkInWorker(svg: Uint8Array): Promise<string | undefined> {
  // A copy: of a slice of Node's buffer pool the whole pool would be sent.
  return runInWorker('safe-svg.ts', svgProblem, new Uint8Array(svg))
}

/** Runs an exported function of a module beside this one. Rejects as it does, or when the worker ends meanwhile. */
async function runInWorker<Task, Result>(
  module: string,
  work: (task: Task) => Result | Promise<Result>,
  task: Task,
): Promise<Result> {
  pool ??= startPool()
  const filename = new URL(module, import.meta.url).href
  return (await pool).run(task, { filename, name: work.name })
}

let pool: Promise<Piscina> | undefined

/** Started with the first task: loading it would take a tenth of the app's start. */
async function startPool(): Promise<Piscina> {
  try {
    const { Piscina } = await import('piscina')
    const options = { minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: workerConcurrency, recordTiming: false }
    // A task's failure rejects its promise; this event is for those of the worker itself, which piscina then replaces.
    return new Piscina(options).on('error', (error: Error) => process.emitWarning(error))
  } catch (error) {
    pool = undefined // the next task tries again
    throw error
  }
}

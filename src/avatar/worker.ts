import type { Piscina } from 'piscina'
import { z } from 'zod'
import type { Choice } from './choice.ts'
import { drawEmbeddedUtf8 } from './embedded.ts'
import { wrongWith } from './safe-svg.ts'
import { Written, writeSealed } from './sealed-file.ts'

/** So many tasks are on their way to the thread: enough to keep it at work, and few enough to leave room for others. */
export const atOnce = 8

/**
 * What `drawEmbedded` draws, in UTF-8, drawn in a thread of its own: nobody waits for it who asks for something else, and
 * what the library leaves to be collected does not slow the collections of everything else.
 */
export async function drawInThread(choice: Choice): Promise<Buffer> {
  const drawing = inThread('embedded.ts', drawEmbeddedUtf8, Utf8, choice)
  // Another one's picture may have been too much for the thread.
  return Buffer.from((await drawing.catch(() => drawEmbeddedUtf8(choice))).buffer)
}

/** What `writeSealed` does, by the same thread: one way there costs less than each of a dozen looks at the disk from here. */
export async function writeInThread(file: Parameters<typeof writeSealed>[0]) {
  return inThread('sealed-file.ts', writeSealed, Written, file)
}

/** What `wrongWith` says, by the same thread: a long SVG takes a while, and what a parser leaves is much to collect. */
export async function checkInThread(svg: Uint8Array): Promise<string | undefined> {
  // A copy: small buffers share a pool, and with a part of it all of it would be sent.
  return inThread('safe-svg.ts', wrongWith, Wrong, new Uint8Array(svg))
}

// Made once: to make a schema takes a hundred times as long as to use it.
const Utf8 = z.instanceof(Uint8Array)
const Wrong = z.string().optional()

let starting: Promise<Piscina | undefined> | undefined
let isTold = false

/** In the thread; here where there is none. Fails as the work does, or when the thread has died of something else. */
async function inThread<Task, Result>(
  file: string,
  work: (task: Task) => Result | Promise<Result>,
  Answer: z.ZodType<Result>,
  task: Task,
): Promise<Result> {
  starting ??= start()
  const thread = await starting
  if (thread === undefined) return work(task)
  return Answer.parse(await thread.run(task, { filename: new URL(file, import.meta.url).href, name: work.name }))
}

/** With the first task: the app's start takes no longer for it. Undefined when the system has no more to give. */
async function start(): Promise<Piscina | undefined> {
  try {
    const { Piscina } = await import('piscina')
    const thread = new Piscina({ minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: atOnce, recordTiming: false })
    // Its tasks hear of their own failures; this is what none of them heard of.
    return thread.on('error', (error: Error) => process.emitWarning(error))
  } catch (error) {
    // The next task tries again.
    starting = undefined
    if (!isTold) process.emitWarning(`Avatars are drawn without a thread: ${error}`)
    isTold = true
    return undefined
  }
}

import type { Piscina } from 'piscina'
import { z } from 'zod'
import type { Choice } from './choice.ts'

/** So many tasks are on their way to the thread: enough to keep it at work, and few enough to leave room for others. */
export const atOnce = 4

/**
 * What `drawEmbedded` draws, in UTF-8, drawn in a thread of its own: nobody waits for it who asks for something else, and
 * what the library leaves to be collected does not slow the collections of everything else.
 */
export async function drawInThread(choice: Choice): Promise<Buffer> {
  return Buffer.from(Utf8.parse(await inThread('embedded.ts', 'drawEmbeddedUtf8', choice)).buffer)
}

/** What `isOneOfPicked` tells, by the same thread. */
export async function isOneOfPickedInThread(choice: Choice, variants: Record<string, unknown[]>): Promise<boolean> {
  return z.boolean().parse(await inThread('embedded.ts', 'isOneOfPicked', { choice, variants }))
}

/** What `writeSealed` does, by the same thread: one way there costs less than each of a dozen looks at the disk from here. */
export async function writeInThread(file: { file: string; key: string; svg: string }): Promise<Written | undefined> {
  return Written.optional().parse(await inThread('sealed-file.ts', 'writeSealed', file))
}

const Utf8 = z.instanceof(Uint8Array)
const Written = z.object({ ino: z.number(), size: z.number(), mtimeMs: z.number() })
type Written = z.infer<typeof Written>

let starting: Promise<Piscina<unknown, unknown>> | undefined

async function inThread(file: string, name: string, task: unknown): Promise<unknown> {
  starting ??= start()
  return (await starting).run(task, { filename: new URL(file, import.meta.url).href, name })
}

/** With the first task: a start takes no longer for it. */
async function start(): Promise<Piscina<unknown, unknown>> {
  const { Piscina } = await import('piscina')
  return new Piscina({ minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: atOnce, recordTiming: false })
}

import type { Piscina } from 'piscina'
import { z } from 'zod'
import type { Choice } from './choice.ts'

/** So many drawings are on their way to the thread: enough to keep it at work, and few enough to leave room for others. */
export const atOnce = 4

let starting: Promise<Piscina<Choice, unknown>> | undefined

/**
 * What `drawEmbedded` draws, in UTF-8, drawn in a thread of its own: nobody waits for it who asks for something else, and
 * what the library leaves to be collected does not slow the collections of everything else. Starts with the first drawing.
 */
export async function drawInThread(choice: Choice): Promise<Buffer> {
  return Buffer.from(Utf8.parse(await inThread(choice, 'drawEmbeddedUtf8')).buffer)
}

/** What `optionsPicked` tells, by the same thread. */
export async function optionsPickedInThread(choice: Choice): Promise<Record<string, unknown>> {
  return Options.parse(await inThread(choice, 'optionsPicked'))
}

const Utf8 = z.instanceof(Uint8Array)
const Options = z.record(z.string(), z.unknown())

async function inThread(choice: Choice, name: 'drawEmbeddedUtf8' | 'optionsPicked'): Promise<unknown> {
  starting ??= start()
  return (await starting).run(choice, { name })
}

async function start(): Promise<Piscina<Choice, unknown>> {
  const { Piscina } = await import('piscina')
  return new Piscina({
    filename: new URL('embedded.ts', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: atOnce,
    recordTiming: false,
  })
}

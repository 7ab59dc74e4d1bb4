import type { Piscina } from 'piscina'
import type { Choice } from './choice.ts'

/** So many drawings are on their way to the thread: enough to keep it at work, and no more answers in one turn. */
export const atOnce = 8

let starting: Promise<Piscina<Choice, Uint8Array>> | undefined

/**
 * What `drawEmbedded` draws, in UTF-8, drawn in a thread of its own: nobody waits for it who asks for something else, and
 * what the library leaves to be collected does not slow the collections of everything else. Starts with the first drawing.
 */
export async function drawInThread(choice: Choice): Promise<Buffer> {
  starting ??= start()
  const { buffer } = await (await starting).run(choice)
  return Buffer.from(buffer)
}

async function start(): Promise<Piscina<Choice, Uint8Array>> {
  const { Piscina } = await import('piscina')
  return new Piscina({
    filename: new URL('embedded.ts', import.meta.url).href,
    name: 'drawEmbeddedUtf8',
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: atOnce,
    recordTiming: false,
    niceIncrement: 10, // whoever waits for something else goes first
  })
}

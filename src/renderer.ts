// The program of a renderer process, see avatar/renderers.ts. It is not in avatar/, which may not import pictures/.
// Modules are imported when they are first needed, because sharp alone takes 25 MB, and the process that only checks
// and draws never needs it.
import { writeFile } from 'node:fs/promises'
import type { Reply } from './avatar/process-pool.ts'
import type { Task } from './avatar/renderers.ts'

/** Memory limit of this process. The argument is in megabytes. */
const maxRssBytes = Number(process.argv[2]) * 1024 * 1024
/**
 * How often the memory is compared with the limit. sharp renders in threads, which take at most 4 MB more in each
 * millisecond, so the limit is exceeded by 12 MB at most.
 */
const memoryCheckMs = 3

async function work(task: Task): Promise<unknown> {
  switch (task.name) {
    case 'check':
      return (await import('./avatar/safe-svg.ts')).svgProblem(task.svg)
    case 'draw':
      return (await import('./avatar/embedded.ts')).drawEmbedded(task.choice)
    case 'effects':
      return (await import('./avatar/effects.ts')).effectsOf(task.choice)
    case 'moves':
      return (await import('./pictures/frames.ts')).moves(task.choice)
    case 'lettersWithoutFont':
      return (await import('./pictures/letters.ts')).lettersWithoutFont(task.choice)
    case 'png':
      return (await import('./pictures/png.ts')).drawPng(task.svg, task.size)
    case 'gif':
      return (await import('./pictures/gif.ts')).drawGif(task.svg)
    case 'card':
      return (await import('./pictures/card.ts')).drawCard(task.svg, task.title, task.subtitle)
  }
}

/** Ends this process at once. process.exit() would wait for sharp's running threads. */
const endAtOnce = () => process.kill(process.pid, 'SIGKILL')

async function answer(task: Task): Promise<void> {
  const memoryCheck = setInterval(() => {
    if (process.memoryUsage.rss() > maxRssBytes) endAtOnce()
  }, memoryCheckMs)
  const reply: Reply = await work(task).then(
    (value) => ({ value }),
    (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
  )
  clearInterval(memoryCheck)
  process.send?.(reply)
}

const isTask = (message: unknown): message is Task => typeof message === 'object' && message !== null

let previous = Promise.resolve()
process.on('message', (message) => {
  if (isTask(message)) previous = previous.then(() => answer(message))
})
process.on('disconnect', endAtOnce)
// These signals may be sent to the whole process group at a shutdown, while open requests still need this process.
// The process ends when the server disconnects.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined)
// If memory runs out, Linux should kill this process rather than the server.
await writeFile('/proc/self/oom_score_adj', '1000').catch(() => undefined)
process.send?.('ready')

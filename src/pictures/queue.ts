import { Overloaded } from '../errors.ts'

export type QueueOptions = {
  /** How many pieces of work run at the same time. */
  concurrency: number
  /** How many of these may be one client's, so that a client who asks for much does not make others wait. */
  perClient?: number
  /** How many may wait to be run. */
  maxWaiting: number
}

/** Runs `work` as soon as there is room. Rejects as it does, or at once with Overloaded when the queue is full. */
export type Queue = <Result>(work: () => Promise<Result>, client?: string) => Promise<Result>

/** A bounded queue with a limit per client: first in, first out among those whose client is below its limit. */
export function createQueue({ concurrency, perClient = concurrency, maxWaiting }: QueueOptions): Queue {
  const waiting: { client: string; start: () => void }[] = []
  const runningByClient = new Map<string, number>()
  let running = 0

  function hasRoomFor(client: string): boolean {
    return running < concurrency && (runningByClient.get(client) ?? 0) < perClient
  }

  function begin(client: string): void {
    running += 1
    runningByClient.set(client, (runningByClient.get(client) ?? 0) + 1)
  }

  function end(client: string): void {
    running -= 1
    const left = (runningByClient.get(client) ?? 0) - 1
    if (left > 0) runningByClient.set(client, left)
    else runningByClient.delete(client)
    startNext()
  }

  function startNext(): void {
    const index = waiting.findIndex(({ client }) => hasRoomFor(client))
    if (index === -1) return
    const [next] = waiting.splice(index, 1)
    if (!next) return
    begin(next.client)
    next.start()
  }

  return async (work, client = '') => {
    if (hasRoomFor(client)) {
      begin(client)
    } else {
      if (waiting.length >= maxWaiting) throw new Overloaded('the queue is full')
      await new Promise<void>((start) => waiting.push({ client, start }))
    }
    try {
      return await work()
    } finally {
      end(client)
    }
  }
}

import { Overloaded } from '../errors.ts'

export type QueueOptions = {
  /** How many tasks run at the same time. */
  concurrency: number
  /** How many running tasks may be one client's, so that another client need not wait for them to end. */
  perClient?: number
  /** How many tasks may wait. */
  maxWaiting: number
  /** How many waiting tasks may be one client's, so that it cannot fill the queue. */
  maxWaitingPerClient?: number
}

/**
 * How long a task may wait. The idle timeout of a connection (main.ts) is longer, and would close it without a
 * response.
 */
const maxWaitMs = 15_000

/**
 * Runs `work` as soon as there is room, and resolves or rejects like it. Rejects with Overloaded at once if the queue
 * is full, and after `maxWaitMs` without room.
 */
export type Queue = <Result>(work: () => Promise<Result>, client?: string) => Promise<Result>

type Client = { running: number; waiting: number; lastRound: number }
type Task = { client: Client; round: number; start: () => void }

/**
 * A bounded queue that is fair to its clients (fair queueing, RFC 970). Each round has one task of each client, so a
 * client that asks for one picture waits for at most one task of every other client. Tasks of one round run in the
 * order of their arrival.
 */
export function createQueue(options: QueueOptions): Queue {
  const { concurrency, perClient = concurrency, maxWaiting, maxWaitingPerClient = maxWaiting } = options
  const clients = new Map<string, Client>()
  const waiting: Task[] = []
  let running = 0
  /** The highest round of which a task was started. */
  let currentRound = 0

  function clientNamed(name: string): Client {
    const client = clients.get(name) ?? { running: 0, waiting: 0, lastRound: currentRound - 1 }
    clients.set(name, client)
    return client
  }

  function hasRoomFor(client: Client): boolean {
    return running < concurrency && client.running < perClient
  }

  function begin(client: Client, round: number): void {
    running += 1
    client.running += 1
    if (round <= currentRound) return
    currentRound = round
    for (const [name, { running, waiting, lastRound }] of clients) {
      if (running + waiting === 0 && lastRound < currentRound) clients.delete(name)
    }
  }

  function end(client: Client): void {
    running -= 1
    client.running -= 1
    startNext()
  }

  function startNext(): void {
    const ready = waiting.filter(({ client }) => hasRoomFor(client))
    const nextRound = Math.min(...ready.map(({ round }) => round))
    const next = ready.find(({ round }) => round === nextRound)
    if (!next) return
    remove(next)
    begin(next.client, next.round)
    next.start()
  }

  function remove(task: Task): void {
    waiting.splice(waiting.indexOf(task), 1)
    task.client.waiting -= 1
  }

  /** Resolves when there is room for the task. */
  function room(client: Client, round: number): Promise<void> {
    client.waiting += 1
    return new Promise((resolve, reject) => {
      const task: Task = { client, round, start }
      waiting.push(task)
      const timer = setTimeout(() => {
        remove(task)
        reject(new Overloaded('waited too long in the queue'))
      }, maxWaitMs)
      function start(): void {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  return async (work, name = '') => {
    const client = clientNamed(name)
    const mustWait = !hasRoomFor(client)
    const isFull = waiting.length >= maxWaiting || client.waiting >= maxWaitingPerClient
    if (mustWait && isFull) throw new Overloaded('the queue is full')
    const round = Math.max(currentRound, client.lastRound + 1)
    client.lastRound = round
    if (mustWait) await room(client, round)
    else begin(client, round)
    try {
      return await work()
    } finally {
      end(client)
    }
  }
}

import { Overloaded } from '../errors.ts'

type QueueOptions = {
  concurrency: number
  /** How many tasks of one client may run, so that there is room for other clients. */
  perClient?: number
  maxWaiting: number
  /** How many tasks of one client may wait, so that one client cannot fill the queue. */
  maxWaitingPerClient?: number
}

/**
 * How long a task may wait. This is shorter than the idle timeout of connections (main.ts), which would close the
 * connection without a response.
 */
const maxWaitMs = 15_000

/** Runs `work` when there is room. Throws Overloaded if the queue is full, or after `maxWaitMs` without room. */
type Queue = <Result>(work: () => Promise<Result>, client?: string) => Promise<Result>

/** A client with tasks. `waiting` contains the functions that start its waiting tasks, the oldest first. */
type Client = { name: string; running: number; waiting: (() => void)[] }

/**
 * A bounded queue that serves its clients in turn (round robin). When a task ends, its client moves to the end of the
 * order. So a client that requests one picture waits for at most one task of every other client.
 */
export function createQueue(options: QueueOptions): Queue {
  const { concurrency, perClient = concurrency, maxWaiting, maxWaitingPerClient = maxWaiting } = options
  /** The clients that have tasks, in the order of their turns. */
  const clients = new Map<string, Client>()
  let running = 0
  let waiting = 0

  const hasRoomFor = (client: Client) => running < concurrency && client.running < perClient
  const hasTasks = (client: Client) => client.running + client.waiting.length > 0

  function begin(client: Client): void {
    running += 1
    client.running += 1
  }

  function end(client: Client): void {
    running -= 1
    client.running -= 1
    clients.delete(client.name)
    if (hasTasks(client)) clients.set(client.name, client)
    const next = clients.values().find((one) => one.waiting.length > 0 && hasRoomFor(one))
    next?.waiting[0]?.()
  }

  /** Resolves when it is this client's turn and there is room for its task. */
  function roomFor(client: Client): Promise<void> {
    waiting += 1
    return new Promise((resolve, reject) => {
      function leaveQueue(): void {
        waiting -= 1
        clearTimeout(timer)
        client.waiting.splice(client.waiting.indexOf(start), 1)
      }
      function start(): void {
        leaveQueue()
        begin(client)
        resolve()
      }
      const timer = setTimeout(() => {
        leaveQueue()
        if (!hasTasks(client)) clients.delete(client.name)
        reject(new Overloaded('waited too long in the queue'))
      }, maxWaitMs)
      client.waiting.push(start)
    })
  }

  return async (work, name = '') => {
    const client = clients.get(name) ?? { name, running: 0, waiting: [] }
    const mustWait = !hasRoomFor(client)
    const isFull = waiting >= maxWaiting || client.waiting.length >= maxWaitingPerClient
    if (mustWait && isFull) throw new Overloaded('the queue is full')
    clients.set(name, client)
    if (mustWait) await roomFor(client)
    else begin(client)
    try {
      return await work()
    } finally {
      end(client)
    }
  }
}

import { StoreUnavailable } from '../errors.ts'
import type { Commands } from './redis-commands.ts'
import { refusalOf } from './redis-refusal.ts'

/** Time limit of a command. If Redis hangs, the contract requires a 503 within 2 s. */
export const commandTimeoutMs = 900
/** Time limit after another command has timed out, so that a request does not wait 900 ms for each command. */
const unresponsiveTimeoutMs = 200

type RunnerParts = {
  commands(signal: AbortSignal): Commands
  /** Called for each command that failed, without a `cause` if it timed out. */
  onFailure(cause?: unknown): void
}

/** Returns a function that runs commands with a time limit, and turns their failures into StoreUnavailable. */
export function createRunner({ commands, onFailure }: RunnerParts) {
  let isUnresponsive = false

  /**
   * Runs a command. Throws StoreUnavailable if Redis is down, refuses the command or does not reply in time. If Redis
   * hung, it may still execute the command later; `undo` is then called with the late reply.
   */
  return function run<T>(command: (redis: Commands) => Promise<T>, undo?: (reply: T) => Promise<unknown>): Promise<T> {
    const timeout = new AbortController()
    const reply = command(commands(timeout.signal))
    return new Promise((resolve, reject) => {
      const onTimeout = () => {
        isUnresponsive = true
        timeout.abort()
        onFailure()
        reject(new StoreUnavailable('Redis did not answer in time'))
        if (undo) reply.then(undo).catch(() => undefined)
      }
      const timer = setTimeout(onTimeout, isUnresponsive ? unresponsiveTimeoutMs : commandTimeoutMs)
      const onReply = (value: T) => {
        isUnresponsive = false
        resolve(value)
      }
      const onRejection = (cause: unknown) => {
        // The client itself rejects a command that was aborted before it was sent.
        if (timeout.signal.aborted) return
        isUnresponsive = false
        onFailure(cause)
        const refusal = refusalOf(cause)
        reject(new StoreUnavailable(refusal ? `Redis refused a command: ${refusal}` : 'Redis is down', { cause }))
      }
      reply.then(onReply, onRejection).finally(() => clearTimeout(timer))
    })
  }
}

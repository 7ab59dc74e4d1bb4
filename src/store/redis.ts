import { setTimeout as wait } from 'node:timers/promises'
import type { RedisAddress } from './redis-address.ts'
import { tryCommands } from './redis-commands.ts'
import { type Connection, openConnection } from './redis-connection.ts'
import { type Refusal, refusalOf } from './redis-refusal.ts'
import { commandTimeoutMs, createRunner } from './redis-runner.ts'

/** Time limit of connecting. Then another connection is tried, so that the app works within 5 s of Redis' return. */
const connectTimeoutMs = 4000
const superviseEveryMs = 1000
/** Pings are sent every second. After this many failed ones in a row the connection is replaced. */
const maxFailedPings = 5

/** How long the result of trying all commands is used again, so that many requests for /readyz cause few tries. */
const triedForMs = { ok: 1000, failed: 200 }
/** The keys on which commands are tried. They are spread over a cluster's slots, so that most masters are tried. */
const triedKeys = [21, 72, 20, 73, 23, 70, 22, 71].map((number) => `health:${number}`)

/** `down` means no connection, or no answer in time. */
export type RedisState = 'ok' | 'down' | Refusal

type Events = {
  /** Called with each error of a connection. */
  onError(error: unknown): void
  /** Called for each command that failed. */
  onFailure?: (() => void) | undefined
  onState?: ((state: RedisState) => void) | undefined
}

/**
 * A connection to Redis that queues nothing while Redis is down. The client reconnects by itself. The connection is
 * replaced if its server hangs or has become a read-only replica, because a new connection may lead to the server's
 * successor.
 */
export function openRedis(address: RedisAddress, events: Events) {
  const closing = new AbortController()
  let connection = openConnection(address, onError)
  /** 'ok', or the reason of the last failure until all commands are accepted again. */
  let state: RedisState = 'ok'
  /** Why Redis refused to connect, for example because of a wrong password. */
  let connectionRefusal: Refusal | undefined
  let triedAt = Number.NEGATIVE_INFINITY
  let trying: Promise<unknown> = Promise.resolve()

  function onError(error: unknown): void {
    connectionRefusal = refusalOf(error)
    events.onError(error)
  }

  function changeState(next: RedisState): void {
    if (next !== state) events.onState?.(next)
    state = next
  }

  /** Returns whether the error means that Redis refused a command. Changes the state then. */
  function noteRefusal(error: unknown): boolean {
    const refusal = refusalOf(error)
    if (refusal !== undefined) changeState(refusal)
    return refusal !== undefined
  }

  const run = createRunner({
    commands: (signal) => connection.commands(signal),
    onFailure(cause) {
      changeState(refusalOf(cause) ?? connectionRefusal ?? 'down')
      events.onFailure?.()
    },
  })
  const ping = () => run((redis) => redis.ping())

  /** Tries all commands, in a cluster on most masters. Concurrent calls, and calls soon after, share a try. */
  function tryAll(): Promise<unknown> {
    if (performance.now() - triedAt < triedForMs[state === 'ok' ? 'ok' : 'failed']) return trying
    triedAt = performance.now()
    const keys = triedKeys.slice(0, address.kind === 'cluster' ? triedKeys.length : 1)
    trying = run((redis) => Promise.all(keys.map((key) => tryCommands(redis, key)))).then(() => changeState('ok'))
    return trying
  }

  /** Finds out the present state of Redis by trying all commands. Never rejects. */
  async function currentState(): Promise<RedisState> {
    await Promise.all([ping(), tryAll()]).catch(() => undefined)
    return state
  }

  /** Connects, and replaces useless connections until `close`. Resolves when connected, or after a time limit. */
  async function connect(): Promise<void> {
    void supervise(await connectInTime(connection))
  }

  async function supervise(isConnected: boolean): Promise<void> {
    let isUseful = isConnected
    while (!closing.signal.aborted) {
      if (isUseful) await untilUseless()
      else await pause(superviseEveryMs)
      if (!closing.signal.aborted) isUseful = await reconnect()
    }
  }

  /** Resolves when the server has become a read-only replica, or has not answered several pings in a row. */
  async function untilUseless(): Promise<void> {
    let failed = 0
    while (failed < maxFailedPings && !closing.signal.aborted) {
      await pause(superviseEveryMs)
      await (state === 'ok' ? ping() : tryAll()).catch(() => undefined)
      if (state === 'read-only') return
      failed = state === 'down' ? failed + 1 : 0
    }
  }

  /** Replaces the connection, unless the new one cannot connect in time. Returns whether it was replaced. */
  async function reconnect(): Promise<boolean> {
    const next = openConnection(address, onError)
    const isConnected = await connectInTime(next)
    const useless = isConnected ? connection : next
    if (isConnected) connection = next
    // The connection is destroyed after the time limit of commands, when every command on it has ended.
    void pause(commandTimeoutMs).then(() => destroy(useless))
    return isConnected
  }

  async function connectInTime(opened: Connection): Promise<boolean> {
    const connected = opened.connect().then(() => true)
    return (await Promise.race([connected, pause(connectTimeoutMs)]).catch(onError)) === true
  }

  const pause = (ms: number) => wait(ms, undefined, { signal: closing.signal }).catch(() => undefined)

  async function destroy(opened: Connection): Promise<void> {
    try {
      await opened.destroy()
    } catch (error) {
      events.onError(error)
    }
  }

  return {
    run,
    noteRefusal,
    state: currentState,
    connect,
    async close(): Promise<void> {
      closing.abort()
      await destroy(connection)
    },
  }
}
export type Redis = ReturnType<typeof openRedis>

import { setTimeout as wait } from 'node:timers/promises'
import { createClient, createCluster, createSentinel } from 'redis'
import { StoreUnavailable } from '../errors.ts'
import type { RedisAddress } from './redis-address.ts'
import { type Commands, scripts } from './redis-commands.ts'

/** A visitor is told within 2 s that Redis is down. */
const commandTimeoutMs = 900
/** After a timeout, until Redis answers again: a visitor waits once, not at each command of a request. */
const unresponsiveTimeoutMs = 200

const clientOptions = {
  // While Redis is down a command fails at once.
  disableOfflineQueue: true,
  // `run` has the time limit of each command; the client's own timer would outlive the command and hold its memory.
  commandOptions: { timeout: 0 },
  // Detects a dead connection that was never closed.
  pingInterval: 10_000,
}
const socketOptions = {
  connectTimeout: 2000,
  reconnectStrategy: (retries: number) => Math.min(100 * 2 ** retries, 1000),
}

type OnError = (error: unknown) => void

type Connection = {
  /** The commands; one that is not sent yet when the signal is aborted never is. */
  commands(signal: AbortSignal): Commands
  connect(): Promise<unknown>
  destroy(): unknown
}
type Client = Pick<Connection, 'connect' | 'destroy'> & {
  withCommandOptions(options: { abortSignal: AbortSignal }): Commands
}

/** What the clients of the three kinds have in common. */
function connectionOf(client: Client): Connection {
  return {
    commands: (abortSignal) => client.withCommandOptions({ abortSignal }),
    connect: () => client.connect(),
    destroy: () => client.destroy(),
  }
}

function openServer({ url }: RedisAddress & { kind: 'server' }, onError: OnError): Connection {
  const client = createClient({ url, scripts, socket: socketOptions, ...clientOptions })
  client.on('error', onError)
  return connectionOf(client)
}

/** Sends each command to the master of its key's slot; learns from the other nodes who replaces a lost master. */
function openCluster({ nodes, tls, ...account }: RedisAddress & { kind: 'cluster' }, onError: OnError): Connection {
  const client = createCluster({
    rootNodes: nodes.map((node) => ({ socket: node })),
    defaults: { ...clientOptions, ...account, socket: { ...socketOptions, ...tlsOptions(tls) } },
    scripts,
    topologyRefreshOnReconnectionAttemptStrategy: 500,
  })
  client.on('error', onError).on('node-error', onError)
  return connectionOf(client)
}

/** Sends every command to the master, never to a replica; the sentinels say which server that is. */
function openSentinel(address: RedisAddress & { kind: 'sentinel' }, onError: OnError): Connection {
  const { name, sentinels, tls, db = 0, sentinelUser, sentinelPassword, ...account } = address
  const client = createSentinel({
    name,
    sentinelRootNodes: sentinels,
    nodeClientOptions: {
      ...clientOptions,
      ...account,
      database: db,
      socket: { ...socketOptions, ...tlsOptions(tls) },
    },
    sentinelClientOptions: {
      ...(sentinelUser !== undefined && { username: sentinelUser }),
      ...(sentinelPassword !== undefined && { password: sentinelPassword }),
      // A sentinel that does not answer is soon replaced by the next one.
      pingInterval: 400,
      socket: { connectTimeout: 1000, socketTimeout: 1000, ...tlsOptions(tls) },
    },
    scripts,
    // One connection for all commands, so that they are sent in the order of their calls.
    reserveClient: true,
    // A command that finds no master fails at once instead of waiting until the sentinels name another.
    maxCommandRediscovers: 0,
  })
  client.on('error', onError).on('client-error', ({ error }) => onError(error))
  return connectionOf(client)
}

const tlsOptions = (tls: boolean) => (tls ? { tls: true as const } : {})

function open(address: RedisAddress, onError: OnError): Connection {
  if (address.kind === 'server') return openServer(address, onError)
  return address.kind === 'cluster' ? openCluster(address, onError) : openSentinel(address, onError)
}

/** How long the first connection to a cluster, or to the master behind sentinels, may take before it is tried anew. */
const connectTimeoutMs = 4000
const pingEveryMs = 1000
/** After this many pings in a row without an answer the connection is opened anew. */
const maxFailedPings = 5

/**
 * A connection to Redis that reconnects by itself and queues nothing while Redis is down. `onError` gets the errors of the
 * connection; `onFailure` is called for each command that failed.
 */
export function openRedis(address: RedisAddress, onError: OnError, onFailure?: () => void) {
  const closing = new AbortController()
  let connection = open(address, onError)
  const run = createRunner(() => connection, onFailure)

  /** Connects and stays connected until `close`. For a single server it resolves with the first connection. */
  async function connect(): Promise<void> {
    // The client of a single server reconnects by itself, also when it has never been connected.
    if (address.kind === 'server') return connection.connect().then(() => undefined)
    while (!closing.signal.aborted) {
      const connected = connection.connect().then(() => true)
      if (await Promise.race([connected, pause(connectTimeoutMs)]).catch(onError)) await untilUnresponsive()
      await destroy()
      await pause(pingEveryMs)
      connection = open(address, onError)
    }
  }

  /** Resolves after several pings without an answer: neither client replaces a master that hangs (redis-places.test.ts). */
  async function untilUnresponsive(): Promise<void> {
    for (let failed = 0; failed < maxFailedPings && !closing.signal.aborted; ) {
      await pause(pingEveryMs)
      failed = await run((redis) => redis.ping()).then(
        () => 0,
        () => failed + 1,
      )
    }
  }

  const pause = (ms: number) => wait(ms, undefined, { signal: closing.signal }).catch(() => undefined)

  async function destroy(): Promise<void> {
    try {
      await connection.destroy()
    } catch (error) {
      onError(error)
    }
  }

  return {
    run,
    connect,
    async close(): Promise<void> {
      closing.abort()
      await destroy()
    },
  }
}
export type Redis = ReturnType<typeof openRedis>

/** Returns a function that runs commands with a time limit. */
function createRunner(connection: () => Connection, onFailure?: () => void) {
  let isUnresponsive = false

  /**
   * Runs a command. Throws StoreUnavailable when Redis is down, refuses the command or does not answer in time. A Redis that
   * was stopped may still execute the command when it continues; `undo` is then called with the late reply.
   */
  return function run<T>(command: (redis: Commands) => Promise<T>, undo?: (reply: T) => Promise<unknown>): Promise<T> {
    const timeout = new AbortController()
    const reply = command(connection().commands(timeout.signal))
    return new Promise((resolve, reject) => {
      const onTimeout = () => {
        isUnresponsive = true
        timeout.abort()
        onFailure?.()
        reject(new StoreUnavailable('Redis did not answer in time'))
        if (undo) reply.then(undo).catch(() => undefined)
      }
      const timer = setTimeout(onTimeout, isUnresponsive ? unresponsiveTimeoutMs : commandTimeoutMs)
      const onReply = (value: T) => {
        isUnresponsive = false
        resolve(value)
      }
      const onRejection = (cause: unknown) => {
        // After the timeout this is the client's own error for a command that was never sent.
        if (!timeout.signal.aborted) {
          isUnresponsive = false
          onFailure?.()
        }
        reject(new StoreUnavailable('Redis is down or refused a command', { cause }))
      }
      reply.then(onReply, onRejection).finally(() => clearTimeout(timer))
    })
  }
}

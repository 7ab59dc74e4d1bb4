import { createClient, createCluster, createSentinel } from 'redis'
import type { RedisAddress } from './redis-address.ts'
import { type Commands, scripts } from './redis-commands.ts'

const clientOptions = {
  // While Redis is down, commands fail at once instead of being queued, so that visitors do not wait in vain.
  disableOfflineQueue: true,
  // The client's own timer would outlive the command and hold its memory. redis-runner.ts has the timeout.
  commandOptions: { timeout: 0 },
  // Pings find out that a connection is dead although it was never closed.
  pingInterval: 10_000,
}
const socketOptions = {
  connectTimeout: 2000,
  reconnectStrategy: (retries: number) => Math.min(100 * 2 ** retries, 1000),
}

type OnError = (error: unknown) => void

export type Connection = {
  /** Returns the commands. After `signal` is aborted, a command that has not been sent yet is never sent. */
  commands(signal: AbortSignal): Commands
  connect(): Promise<unknown>
  destroy(): unknown
}
type Client = Pick<Connection, 'connect' | 'destroy'> & {
  withCommandOptions(options: { abortSignal: AbortSignal }): Commands
}

/** The connection of a client for a server, a cluster or sentinels. */
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

/** The client sends each command to the master of its key's slot, and learns which node replaces a master. */
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

/** The client asks the sentinels which server is the master, and sends every command to that server. */
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
      // Pings find out soon that a sentinel does not answer, so that the next one is asked.
      pingInterval: 400,
      socket: { connectTimeout: 1000, socketTimeout: 1000, ...tlsOptions(tls) },
    },
    scripts,
    // All commands use one connection, so that they are sent in the order of their calls.
    reserveClient: true,
    // If there is no master, a command fails at once instead of waiting until the sentinels have chosen one.
    maxCommandRediscovers: 0,
  })
  client.on('error', onError).on('client-error', ({ error }) => onError(error))
  return connectionOf(client)
}

const tlsOptions = (tls: boolean) => (tls ? { tls: true as const } : {})

/** Creates the client for this address; it does not connect yet. */
export function openConnection(address: RedisAddress, onError: OnError): Connection {
  if (address.kind === 'server') return openServer(address, onError)
  return address.kind === 'cluster' ? openCluster(address, onError) : openSentinel(address, onError)
}

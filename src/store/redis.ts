import { setTimeout as wait } from 'node:timers/promises'
import { createClient, createCluster, createSentinel, defineScript } from 'redis'
import { StoreUnavailable } from '../errors.ts'

type Place = { host: string; port: number }
type Account = { username?: string | undefined; password?: string | undefined }

/** Where Redis is: one server, a cluster, or a master that sentinels know. */
type RedisAddress =
  | { kind: 'server'; url: string }
  | ({ kind: 'cluster'; nodes: Place[]; tls: boolean } & Account)
  | ({ kind: 'sentinel'; name: string; sentinels: Place[]; tls: boolean } & Account & SentinelOptions)
type SentinelOptions = {
  db?: number | undefined
  sentinelUser?: string | undefined
  sentinelPassword?: string | undefined
}

type Expiration = { type: 'EX'; value: number }

/** What becomes of the lock after the write. */
export type LockAfter = 'keep' | 'release'

/** The commands that we use: the same at one server, in a cluster and behind sentinels. */
export type Commands = {
  get(key: string): Promise<string | null>
  /** Reads, and gives the key that long to live. */
  getEx(key: string, expiration: Expiration): Promise<string | null>
  getDel(key: string): Promise<string | null>
  mGet(keys: string[]): Promise<(string | null)[]>
  set(
    key: string,
    value: string,
    options: { expiration: Expiration; condition?: 'NX'; GET?: true },
  ): Promise<string | null>
  del(keys: string | string[]): Promise<number>
  ping(): Promise<string>
  /** Total and milliseconds left. */
  count(key: string, hits: number, windowMs: number): Promise<number[]>
  /** 1 if the key held the value and has a new TTL. */
  expireIfEqual(key: string, value: string, ttlS: number): Promise<number>
  /** 1 if the key held the value and is deleted. */
  deleteIfEqual(key: string, value: string): Promise<number>
  /** 1 if the value was replaced, 0 if the key does not exist, -1 if the lock is not the owner's. Both keys share a slot. */
  replaceIfLocked(
    lock: string,
    owner: string,
    key: string,
    value: string,
    ttlS: number,
    then: LockAfter,
  ): Promise<number>
}

/** Counts so many more; the key lives as long as told from its first count on. One step, so that no key is left for ever. */
const count = defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: `
    local total = redis.call('INCRBY', KEYS[1], ARGV[1])
    if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
    return { total, redis.call('PTTL', KEYS[1]) }`,
  parseCommand(parser, key: string, hits: number, windowMs: number) {
    parser.pushKey(key)
    parser.push(String(hits), String(windowMs))
  },
  transformReply: (reply: number[]) => reply,
})

// Compare and act in one step: between a GET and a SET another client could take the lock.
// https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
const expireIfEqual = defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: `
    if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('EXPIRE', KEYS[1], ARGV[2]) end
    return 0`,
  parseCommand(parser, key: string, value: string, ttlS: number) {
    parser.pushKey(key)
    parser.push(value, String(ttlS))
  },
  transformReply: (reply: number) => reply,
})
const deleteIfEqual = defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: `
    if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
    return 0`,
  parseCommand(parser, key: string, value: string) {
    parser.pushKey(key)
    parser.push(value)
  },
  transformReply: (reply: number) => reply,
})
const replaceIfLocked = defineScript({
  NUMBER_OF_KEYS: 2,
  SCRIPT: `
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
    if not redis.call('SET', KEYS[2], ARGV[2], 'XX', 'EX', ARGV[3]) then return 0 end
    if ARGV[4] == 'release' then redis.call('DEL', KEYS[1]) end
    return 1`,
  parseCommand(parser, lock: string, owner: string, key: string, value: string, ttlS: number, then: LockAfter) {
    parser.pushKey(lock)
    parser.pushKey(key)
    parser.push(owner, value, String(ttlS), then)
  },
  transformReply: (reply: number) => reply,
})
const scripts = { count, expireIfEqual, deleteIfEqual, replaceIfLocked }

/** The longest that one command may keep a visitor waiting, so that "Redis is away" is said within two seconds. */
const commandTimeoutMs = 900
/** And while Redis is silent: a visitor waits once, not as long again at each step. */
const silentTimeoutMs = 200

/** Each connection. */
const manners = {
  // A command for a server that is away is refused at once.
  disableOfflineQueue: true,
  // Each command has an end by `ask`; a second timer for each would stay, and keep its command from the collector.
  commandOptions: { timeout: 0 },
  // Finds a connection that died without a word.
  pingInterval: 10_000,
}
const socket = {
  connectTimeout: 2000,
  reconnectStrategy: (retries: number) => Math.min(100 * 2 ** retries, 1000),
}

type Trouble = (error: unknown) => void

type Connection = {
  /** The commands; one that is still unsent when the signal comes never is. */
  until(abortSignal: AbortSignal): Commands
  connect(): Promise<unknown>
  destroy(): unknown
}
type Client = Pick<Connection, 'connect' | 'destroy'> & {
  withCommandOptions(options: { abortSignal: AbortSignal }): Commands
}

/** What the three clients have alike. */
function connectionOf(client: Client): Connection {
  return {
    until: (abortSignal) => client.withCommandOptions({ abortSignal }),
    connect: () => client.connect(),
    destroy: () => client.destroy(),
  }
}

function server({ url }: RedisAddress & { kind: 'server' }, onTrouble: Trouble): Connection {
  const client = createClient({ url, scripts, socket, ...manners })
  client.on('error', onTrouble)
  return connectionOf(client)
}

/** Each key at the master of its slot. While one is lost, the others are asked who has its slots now. */
function cluster({ nodes, tls, ...account }: RedisAddress & { kind: 'cluster' }, onTrouble: Trouble): Connection {
  const client = createCluster({
    rootNodes: nodes.map((place) => ({ socket: place })),
    defaults: { ...manners, ...accountOf(account), socket: { ...socket, ...withTls(tls) } },
    scripts,
    topologyRefreshOnReconnectionAttemptStrategy: 500,
  })
  client.on('error', onTrouble).on('node-error', onTrouble)
  return connectionOf(client)
}

/** Reads and writes at the master alone; the sentinels are asked who that is. */
function sentinel(address: RedisAddress & { kind: 'sentinel' }, onTrouble: Trouble): Connection {
  const { name, sentinels, tls, db = 0, sentinelUser, sentinelPassword, ...account } = address
  const client = createSentinel({
    name,
    sentinelRootNodes: sentinels,
    nodeClientOptions: { ...manners, ...accountOf(account), database: db, socket: { ...socket, ...withTls(tls) } },
    sentinelClientOptions: {
      ...accountOf({ username: sentinelUser, password: sentinelPassword }),
      // One that hangs is left for the next.
      pingInterval: 400,
      socket: { connectTimeout: 1000, socketTimeout: 1000, ...withTls(tls) },
    },
    scripts,
    // One connection for all commands, so that they are sent in the order of their calls.
    reserveClient: true,
    // Who finds the master away is told so at once; the next one has the sentinels asked again.
    maxCommandRediscovers: 0,
  })
  client.on('error', onTrouble).on('client-error', ({ error }) => onTrouble(error))
  return connectionOf(client)
}

const withTls = (tls: boolean) => (tls ? { tls: true as const } : {})
const accountOf = ({ username, password }: Account) => ({
  ...(username === undefined ? {} : { username }),
  ...(password === undefined ? {} : { password }),
})

function open(address: RedisAddress, onTrouble: Trouble): Connection {
  if (address.kind === 'server') return server(address, onTrouble)
  return address.kind === 'cluster' ? cluster(address, onTrouble) : sentinel(address, onTrouble)
}

/** The longest that the servers of a cluster, or the master behind sentinels, may take to be found. */
const findingMs = 4000
/** How often a cluster, or the master behind sentinels, is looked at. */
const watchMs = 1000
/** After so many looks in vain it is looked for anew. */
const patience = 5

/**
 * A connection to Redis that never queues while it is away, and comes back by itself. `onFailure` hears of each command
 * that came to nothing.
 */
export function openRedis(address: RedisAddress, onTrouble: Trouble, onFailure?: () => void) {
  const closing = new AbortController()
  let connection = open(address, onTrouble)
  let isSilent = false

  /**
   * Gives a command's answer, or StoreUnavailable: Redis said no, is away, or does not answer in time. A stopped Redis may still
   * do the command when it wakes, long after the visitor was told to try again: then `undo` takes it back.
   */
  function ask<T>(command: (redis: Commands) => Promise<T>, undo?: (answer: T) => Promise<unknown>): Promise<T> {
    const timeUp = new AbortController()
    const answer = command(connection.until(timeUp.signal))
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        isSilent = true
        timeUp.abort()
        onFailure?.()
        reject(new StoreUnavailable('Redis did not answer in time'))
        if (undo) answer.then(undo).catch(() => undefined)
      }
      const timer = setTimeout(giveUp, isSilent ? silentTimeoutMs : commandTimeoutMs)
      const heard = (value: T) => {
        isSilent = false
        resolve(value)
      }
      const failed = (cause: unknown) => {
        // What was never sent says nothing of Redis.
        isSilent &&= timeUp.signal.aborted
        if (!timeUp.signal.aborted) onFailure?.()
        reject(new StoreUnavailable('Redis is away', { cause }))
      }
      answer.then(heard, failed).finally(() => clearTimeout(timer))
    })
  }

  /** Connects, and stays connected until `close`. */
  async function connect(): Promise<void> {
    // One server's connection comes back by itself, the first time too.
    if (address.kind === 'server') return connection.connect().then(() => undefined)
    while (!closing.signal.aborted) {
      const isThere = await Promise.race([connection.connect().then(() => true), pause(findingMs)]).catch(onTrouble)
      if (isThere) await lookedInVain()
      await destroy()
      await pause(watchMs)
      connection = open(address, onTrouble)
    }
  }

  /** Resolves when nobody has answered for a while: a node that hangs is not always noticed by the client itself. */
  async function lookedInVain(): Promise<void> {
    for (let vain = 0; vain < patience && !closing.signal.aborted; ) {
      await pause(watchMs)
      vain = await ask((redis) => redis.ping()).then(
        () => 0,
        () => vain + 1,
      )
    }
  }

  const pause = (ms: number) => wait(ms, undefined, { signal: closing.signal }).catch(() => undefined)

  async function destroy(): Promise<void> {
    try {
      await connection.destroy()
    } catch (error) {
      onTrouble(error)
    }
  }

  return {
    ask,
    connect,
    async close(): Promise<void> {
      closing.abort()
      await destroy()
    },
  }
}
export type Redis = ReturnType<typeof openRedis>

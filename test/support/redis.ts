import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createClient } from 'redis'
import { z } from 'zod'
import { freePort } from './free-port.ts'

const MissingProgram = z.object({ code: z.literal('ENOENT') })

/** Attempts at a port: another process can take a free one before Redis does. */
const mostAttempts = 5

/**
 * A real Redis on loopback, on a free port, that keeps nothing unless its settings say so: `restart` begins with an empty
 * one. Settings are lines of redis.conf.
 */
export async function openRedis(settings: string[] = []) {
  const folder = await mkdtemp(join(tmpdir(), 'redis-'))
  let { port, child } = await startSomewhere(folder, settings)
  let paused = false

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (hasEnded(child)) return
    const ended = once(child, 'exit')
    // A stopped process takes no SIGTERM.
    if (paused) child.kill('SIGCONT')
    paused = false
    child.kill(signal)
    await ended
  }

  return {
    url: `redis://127.0.0.1:${port}`,
    port,

    /** Ends it for good, in an orderly way. */
    async stop(): Promise<void> {
      await end('SIGTERM')
      await rm(folder, { recursive: true, force: true })
    },

    /** Ends it at once; `restart` brings another one. */
    kill: () => end('SIGKILL'),

    /** A new Redis at the same port, with what the last one kept; resolves when it takes connections. */
    async restart(): Promise<void> {
      await end('SIGKILL')
      child = await start(port, folder, settings)
    },

    /** Connections stay open, and nothing answers. */
    pause(): void {
      child.kill('SIGSTOP')
      paused = true
    },

    resume(): void {
      child.kill('SIGCONT')
      paused = false
    },
  }
}
export type Redis = Awaited<ReturnType<typeof openRedis>>

/** Three masters with a replica each; who loses its master takes its place within three seconds. */
export async function openRedisCluster() {
  const nodes = await Promise.all(Array.from({ length: 6 }, openNode))
  const [first, ...others] = nodes
  if (first === undefined) throw new Error('a cluster has nodes')
  const masters = nodes.slice(0, 3)
  for (const [place, { port }] of masters.entries()) {
    const [from, to] = [Math.ceil((16_384 * place) / 3), Math.ceil((16_384 * (place + 1)) / 3) - 1]
    await tell(port, ['CLUSTER', 'ADDSLOTSRANGE', String(from), String(to)])
  }
  for (const [place, { port }] of nodes.entries()) {
    await tell(port, ['CLUSTER', 'SET-CONFIG-EPOCH', String(place + 1)])
    if (port === first.port) continue
    await tell(first.port, ['CLUSTER', 'MEET', '127.0.0.1', String(port), String(nodes[place]?.busPort)])
  }
  for (const { port } of nodes)
    await until(async () => countIn(await tell(port, ['CLUSTER', 'NODES'])) === nodes.length)
  for (const [place, master] of masters.entries()) {
    const id = await tell(master.port, ['CLUSTER', 'MYID'])
    await tell(nodes[place + 3]?.port ?? 0, ['CLUSTER', 'REPLICATE', id])
  }
  for (const { port } of nodes) await until(async () => isWell(await tell(port, ['CLUSTER', 'INFO'])))
  for (const { port } of nodes.slice(3)) await until(async () => isLinked(await tell(port, ['INFO', 'replication'])))
  return {
    url: nodes.map(({ url }) => url).join(),
    nodes,
    masters,
    stop: () => Promise.all([first, ...others].map((node) => node.stop())),
  }
}
export type RedisCluster = Awaited<ReturnType<typeof openRedisCluster>>

async function openNode(): Promise<Redis & { busPort: number }> {
  return whileTaken(async () => {
    const busPort = await freePort()
    const settings = ['cluster-enabled yes', `cluster-port ${busPort}`, 'cluster-node-timeout 1000']
    return { ...(await openRedis([...settings, ...eagerReplicas])), busPort }
  })
}

/** A master with its replica, and a sentinel that puts the one in the place of the other within three seconds. */
export async function openRedisWithSentinel(name = 'mymaster') {
  const master = await openRedis(eagerReplicas)
  const replica = await openRedis([...eagerReplicas, `replicaof 127.0.0.1 ${master.port}`])
  await until(async () => isLinked(await tell(replica.port, ['INFO', 'replication'])))
  // It asks the master for its replicas once in ten seconds, so they are there before it.
  const sentinel = await openRedis([
    `sentinel monitor ${name} 127.0.0.1 ${master.port} 1`,
    `sentinel down-after-milliseconds ${name} 700`,
    `sentinel failover-timeout ${name} 3000`,
  ])
  await until(async () => (await tell(sentinel.port, ['SENTINEL', 'REPLICAS', name])).includes(String(replica.port)))
  return {
    url: `sentinel://127.0.0.1:${sentinel.port}/${name}`,
    master,
    replica,
    sentinel,
    stop: () => Promise.all([sentinel, replica, master].map((one) => one.stop())),
  }
}
export type RedisWithSentinel = Awaited<ReturnType<typeof openRedisWithSentinel>>

const eagerReplicas = ['repl-diskless-sync-delay 0', 'repl-ping-replica-period 1']
const isLinked = (said: string) => said.includes('master_link_status:up')
const isWell = (said: string) => said.includes('cluster_state:ok') && said.includes('slots_ok:16384')
const countIn = (nodes: unknown) =>
  String(nodes)
    .trim()
    .split('\n')
    .filter((line) => !line.includes('handshake')).length

/** One command to one server, and what it says as text. */
export async function tell(port: number, command: string[]): Promise<string> {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, socket: { reconnectStrategy: false } })
  client.on('error', () => undefined)
  await client.connect()
  try {
    const said = await client.sendCommand(command)
    return typeof said === 'string' ? said : JSON.stringify(said)
  } finally {
    client.destroy()
  }
}

/** Resolves when it is so; not later than after 40 s, as a busy machine may take long to miss a server. */
export async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const waitUntil = Date.now() + 40_000
  while (!(await isTrue())) {
    if (Date.now() > waitUntil) throw new Error(`Never came true: ${isTrue}`)
    await wait(50)
  }
}

async function startSomewhere(folder: string, settings: string[]): Promise<{ port: number; child: ChildProcess }> {
  return whileTaken(async () => {
    const port = await freePort()
    return { port, child: await start(port, folder, settings) }
  })
}

/** Tries again where somebody else was faster to take a port. */
async function whileTaken<Started>(startOnce: () => Promise<Started>): Promise<Started> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce()
    } catch (error) {
      if (!(error instanceof PortTaken) || attempt === mostAttempts) throw error
    }
  }
}

class PortTaken extends Error {}

async function start(port: number, folder: string, settings: string[]): Promise<ChildProcess> {
  const own = ['bind 127.0.0.1', `dir ${folder}`, 'save ""', 'appendonly no']
  const file = join(folder, 'redis.conf')
  // A sentinel writes down in it what it learns.
  if (!existsSync(file)) await writeFile(file, [...own, ...settings, ''].join('\n'))
  const mode = settings.some((line) => line.startsWith('sentinel ')) ? ['--sentinel'] : []
  const child = spawn('redis-server', [file, '--port', String(port), ...mode], { stdio: ['ignore', 'pipe', 'inherit'] })
  await ready(child)
  endWithUs(child)
  return child
}

/** Resolves when Redis takes connections; it says so itself. */
function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    child.once('error', (cause) => reject(isMissing(cause) ? missing(cause) : cause))
    child.once('exit', () => {
      const message = `redis-server did not start:\n${said}`
      reject(said.includes('Address already in use') ? new PortTaken(message) : new Error(message))
    })
    child.stdout?.on('data', (part: Buffer) => {
      said = `${said}${part}`.slice(-10_000)
      if (/Ready to accept connections|\+monitor master/.test(said)) resolve()
    })
  })
}

const isMissing = (cause: unknown) => MissingProgram.safeParse(cause).success

const missing = (cause: unknown) =>
  new Error('These tests need a real Redis: install the Debian package `redis-server` (apt-get install redis-server)', {
    cause,
  })

/**
 * Redis ends when this process does, even when this one is killed or Redis is paused: a second process waits for the
 * end of a pipe from us, and kills Redis then.
 */
function endWithUs(child: ChildProcess): void {
  // A group of its own: Ctrl-C must not end the watchman first.
  const watchman = spawn('sh', ['-c', 'cat > /dev/null; kill -9 "$1"', 'sh', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watchman.unref()
  // Its number may soon be another process's.
  child.once('exit', () => watchman.kill('SIGKILL'))
}

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null

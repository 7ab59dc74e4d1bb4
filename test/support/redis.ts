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

/** How many free ports are tried, because another process can take one before Redis does. */
const mostAttempts = 5

/**
 * Starts a real Redis on a free port of loopback. It stores nothing on disk unless its settings say so, and is then
 * empty after `restart`. Settings are lines of redis.conf.
 */
export async function openRedis(settings: string[] = []) {
  const folder = await mkdtemp(join(tmpdir(), 'redis-'))
  let { port, child } = await startSomewhere(folder, settings)
  let paused = false

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (hasEnded(child)) return
    const ended = once(child, 'exit')
    // A process that is stopped (SIGSTOP) does not receive SIGTERM.
    if (paused) child.kill('SIGCONT')
    paused = false
    child.kill(signal)
    await ended
  }

  return {
    url: `redis://127.0.0.1:${port}`,
    port,

    /** Ends Redis by SIGTERM, and deletes its folder. */
    async stop(): Promise<void> {
      await end('SIGTERM')
      await rm(folder, { recursive: true, force: true })
    },

    /** Ends Redis at once. `restart` starts it again. */
    kill: () => end('SIGKILL'),

    /** Starts Redis again at the same port, with what it had stored on disk. Resolves when it accepts connections. */
    async restart(): Promise<void> {
      await end('SIGKILL')
      child = await start(port, folder, settings)
    },

    /** Stops Redis (SIGSTOP): connections stay open, and nothing is answered. */
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

/** Starts three masters with a replica each. When a master is lost, its replica takes over within three seconds. */
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

/** Starts a master, its replica, and a sentinel, which promotes the replica within three seconds of a loss. */
export async function openRedisWithSentinel(name = 'mymaster') {
  const master = await openRedis(eagerReplicas)
  const replica = await openRedis([...eagerReplicas, `replicaof 127.0.0.1 ${master.port}`])
  await until(async () => isLinked(await tell(replica.port, ['INFO', 'replication'])))
  // A sentinel asks a master for its replicas every ten seconds, so it is started after them.
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

/** Sends one command to one server. Returns the answer as text. */
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

/** Resolves when the condition is true. Rejects after 40 s, because a busy machine may take long to notice a loss. */
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

/** Starts Redis again at another port if another process has taken the port. */
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
  // A sentinel writes its state to this file, so the file must not be overwritten.
  if (!existsSync(file)) await writeFile(file, [...own, ...settings, ''].join('\n'))
  const mode = settings.some((line) => line.startsWith('sentinel ')) ? ['--sentinel'] : []
  const child = spawn('redis-server', [file, '--port', String(port), ...mode], { stdio: ['ignore', 'pipe', 'inherit'] })
  await ready(child)
  endWithUs(child)
  return child
}

/** Resolves when Redis logs that it accepts connections. */
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
 * Ends Redis when this process ends, even if this process is killed or Redis is stopped: a second process waits for the
 * end of a pipe from this one, and then kills Redis.
 */
function endWithUs(child: ChildProcess): void {
  // A process group of its own, because Ctrl-C must not end the watchman first.
  const watchman = spawn('sh', ['-c', 'cat > /dev/null; kill -9 "$1"', 'sh', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watchman.unref()
  // Redis has ended, and its process id may soon belong to another process.
  child.once('exit', () => watchman.kill('SIGKILL'))
}

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null

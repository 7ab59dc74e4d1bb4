// All that takes part in a measurement, each in a process of its own: our app as `npm start` runs it in production, the
// bare program, Redis, and the upstreams. Whatever way the bench ends, they end.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createClient } from 'redis'
import { z } from 'zod'
import { freePort } from '../support/free-port.ts'
import { openRedis } from '../support/redis.ts'
import { visitOnce } from './load.ts'

const main = join(import.meta.dirname, '../../src/main.ts')
const inside = join(import.meta.dirname, 'inside.ts')

const children = new Set<ChildProcess>()
/** An empty folder that is gone when the bench has ended, whichever way. */
export async function emptyFolder(place = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(place, 'bench-'))
  folders.add(folder)
  return folder
}

/** Ends this process when the bench ends, whichever way. */
export function endsWithUs(child: ChildProcess): Promise<void> {
  children.add(child)
  return new Promise((resolve) =>
    child.once('exit', () => {
      children.delete(child)
      resolve()
    }),
  )
}

const folders = new Set<string>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

const Delay = z.object({ p99Ms: z.number() })
const Heap = z.object({ usedMb: z.number() })

/** A program under measurement. */
export type Program = Awaited<ReturnType<typeof run>>

type RunOptions = { file: string; settings: Record<string, string>; watched?: boolean; path?: string; cwd?: string }

/** Starts a program that listens at PORT, and waits until it answers at `path`. */
export async function run({ file, settings, watched = false, path = '/', cwd = tmpdir() }: RunOptions) {
  const port = await freePort()
  const insidePort = await freePort()
  const url = `http://localhost:${port}`
  const since = performance.now()
  const child = spawn(process.execPath, [...(watched ? ['--import', inside] : []), file], {
    cwd,
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      PORT: String(port),
      INSIDE_PORT: String(insidePort),
      ...settings,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (part: Buffer) => {
    said = `${said}${part}`.slice(-10_000)
  })
  const ended = endsWithUs(child)
  const isReady = () =>
    fetch(`${url}${path}`, { redirect: 'manual' }).then(
      (answer) => answer.status < 500,
      () => false,
    )
  while (!(await isReady())) {
    if (child.exitCode !== null) throw new Error(`${file} ended:\n${said}`)
    await wait(5)
  }
  const readyMs = performance.now() - since
  const tell = (what: string) => fetch(`http://localhost:${insidePort}${what}`)
  const proc = (name: string) => readFileSync(`/proc/${child.pid}/${name}`, 'utf8')
  return {
    url,
    pid: child.pid,
    readyMs,
    /** Processor time so far, in all threads. */
    cpuMs() {
      const fields = proc('stat').split(') ')[1]?.split(' ') ?? []
      return 10 * (Number(fields[11]) + Number(fields[12]))
    },
    /** Memory that it holds now. */
    rssMb: () => Number(/^VmRSS:\s+(\d+)/m.exec(proc('status'))?.[1]) / 1024,
    /** Begins to watch its event loop. */
    watch: () => tell('/watch'),
    /** What was seen of the event loop: the slowest hundredth of its delays. */
    delayP99Ms: async () => Delay.parse(await (await tell('/delay')).json()).p99Ms,
    /** Its heap after a collection. Slows it from then on (see inside.ts). */
    heapMb: async () => Heap.parse(await (await tell('/heap')).json()).usedMb,
    async stop() {
      child.kill('SIGTERM')
      await Promise.race([ended, wait(11_000).then(() => child.kill('SIGKILL'))])
      await ended
    },
  }
}

/** How our app is started: production, with what would end a measurement early switched off. */
export function ourSettings(redisUrl: string, upstreamUrl: string, cacheDir: string): Record<string, string> {
  return {
    SESSION_SECRET: 'a session secret of more than thirty-two characters',
    REDIS_URL: redisUrl,
    DISCORD_CLIENT_ID: '1234567890',
    DISCORD_CLIENT_SECRET: 'a client secret',
    DISCORD_API_URL: `${upstreamUrl}/discord`,
    DISCORD_AUTHORIZE_URL: 'https://discord.com/oauth2/authorize',
    DICEBEAR_URL: `${upstreamUrl}/dicebear`,
    CACHE_DIR: cacheDir,
    RATE_LIMIT: 'off',
    // As in the script "start".
    NODE_COMPILE_CACHE: join(import.meta.dirname, '../../.cache/compiled'),
    // The bare program writes no log. What the log costs is a measurement of its own.
    LOG_LEVEL: 'warn',
  }
}

export type StageOptions = { settings?: Record<string, string> }

export async function openStage({ settings = {} }: StageOptions = {}) {
  // In memory where the system has such a place: a disk may take 20 µs for a new file or 500, as it was used before.
  const folder = await emptyFolder(existsSync('/dev/shm') ? '/dev/shm' : tmpdir())
  const pictures = join(folder, 'bare')
  await mkdir(pictures)
  const redis = await openRedis()
  const client = createClient({ url: redis.url })
  await client.connect()
  const upstream = await run({ file: join(import.meta.dirname, 'upstream.ts'), settings: {} })

  const startOurs = (more: Record<string, string> = {}, watched = true) =>
    run({
      file: main,
      settings: { ...ourSettings(redis.url, upstream.url, join(folder, 'avatars')), ...settings, ...more },
      watched,
      path: '/readyz',
    })
  const startBare = (watched = true) =>
    run({
      file: join(import.meta.dirname, 'bare.ts'),
      settings: {
        REDIS_URL: redis.url,
        UPSTREAM_URL: upstream.url,
        VIEWS: folder,
        PICTURES: pictures,
        NODE_COMPILE_CACHE: join(folder, 'compiled'),
      },
      watched,
    })

  const ours = await startOurs()
  // The bare pages are of the size of ours: the very same text, with one value filled in.
  const view = (html: string, value: string) =>
    html
      .replaceAll('<%', '<%%')
      .replace(/<title>[^<]*/, '<title><%= title %>')
      .replaceAll(value, '/avatars/<%= avatar %>.svg')
  const visitor = await visitOnce(ours.url)
  await writeFile(join(folder, 'home.ejs'), view(await (await fetch(ours.url)).text(), 'no value'))
  await writeFile(join(folder, 'show.ejs'), view(visitor.page, visitor.picture))
  const bare = await startBare()

  return {
    ours,
    bare,
    upstream,
    startOurs,
    startBare,
    folder,
    redis: client,
    redisUrl: redis.url,
    setLatency: (ms: number) => fetch(`${upstream.url}/latency/${ms}`, { method: 'PUT' }),
    /** Commands that Redis has run since the last time this was asked. */
    async redisCommands(): Promise<number> {
      const stats = await client.info('commandstats')
      await client.configResetStat()
      const ignored = /^cmdstat_(info|config|ping|hello|client|command|multi|exec)\b/
      return stats.split('\r\n').reduce((sum, line) => {
        const calls = /calls=(\d+)/.exec(line)?.[1]
        return calls === undefined || ignored.test(line) ? sum : sum + Number(calls)
      }, 0)
    },
    async close() {
      await Promise.all([ours.stop(), bare.stop(), upstream.stop()])
      client.destroy()
      await redis.stop()
    },
  }
}
export type Stage = Awaited<ReturnType<typeof openStage>>

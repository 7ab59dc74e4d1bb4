// The processes of a measurement: the app as `npm start` runs it in production, the bare program, Redis, and the
// upstream servers. They are killed when the bench exits, for whatever reason.
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
import type { ControlGroup } from './control-group.ts'
import { visitOnce } from './load.ts'

const main = join(import.meta.dirname, '../../src/main.ts')
const inside = join(import.meta.dirname, 'inside.ts')

const children = new Set<ChildProcess>()
/** Creates an empty folder that is deleted when the bench exits. */
export async function emptyFolder(place = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(place, 'bench-'))
  folders.add(folder)
  return folder
}

/** Kills this process when the bench exits. Returns a promise of the process's own exit. */
export function killAtExit(child: ChildProcess): Promise<void> {
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

type RunOptions = {
  file: string
  settings: Record<string, string>
  instrumented?: boolean
  path?: string
  cwd?: string
  /** Runs the program in this control group, on one processor. */
  group?: ControlGroup | undefined
}

/** Returns the command of a shell that joins the control group and then becomes the program. */
function limitedCommand({ joinFiles }: ControlGroup): string[] {
  const join = joinFiles.map((file) => `echo $$ > ${file} && `).join('')
  return ['sh', '-c', `${join}exec taskset --cpu-list 0 "$0" "$@"`]
}

/** Starts a program that listens on PORT, and waits until it answers at `path` with a status under 500. */
export async function run({ file, settings, instrumented = false, path = '/', cwd = tmpdir(), group }: RunOptions) {
  const port = await freePort()
  const insidePort = await freePort()
  const url = `http://localhost:${port}`
  const startedAt = performance.now()
  const node = [process.execPath, ...(instrumented ? ['--import', inside] : []), file]
  const [command = '', ...args] = group ? [...limitedCommand(group), ...node] : node
  const child = spawn(command, args, {
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
  let stderr = ''
  child.stderr.on('data', (part: Buffer) => {
    stderr = `${stderr}${part}`.slice(-10_000)
  })
  const exited = killAtExit(child)
  const isReady = () =>
    fetch(`${url}${path}`, { redirect: 'manual' }).then(
      (answer) => answer.status < 500,
      () => false,
    )
  while (!(await isReady())) {
    if (child.exitCode !== null) throw new Error(`${file} exited:\n${stderr}`)
    await wait(5)
  }
  const readyMs = performance.now() - startedAt
  const inspect = (path: string) => fetch(`http://localhost:${insidePort}${path}`)
  const proc = (name: string) => readFileSync(`/proc/${child.pid}/${name}`, 'utf8')
  return {
    url,
    pid: child.pid,
    readyMs,
    /** Returns the processor time of all threads so far. */
    cpuMs() {
      const fields = proc('stat').split(') ')[1]?.split(' ') ?? []
      return 10 * (Number(fields[11]) + Number(fields[12]))
    },
    /** Returns the resident memory now. */
    rssMb: () => Number(/^VmRSS:\s+(\d+)/m.exec(proc('status'))?.[1]) / 1024,
    /** Starts measuring event loop delays. */
    watch: () => inspect('/watch'),
    /** Returns the 99th percentile of the event loop delays since `watch`. */
    delayP99Ms: async () => Delay.parse(await (await inspect('/delay')).json()).p99Ms,
    /** Returns the used heap after a garbage collection. The process is slower from then on (see inside.ts). */
    heapMb: async () => Heap.parse(await (await inspect('/heap')).json()).usedMb,
    async stop() {
      child.kill('SIGTERM')
      await Promise.race([exited, wait(11_000).then(() => child.kill('SIGKILL'))])
      await exited
    },
  }
}

/** Returns the app's settings: production, but without the rate limits, which would end a measurement early. */
export function appSettings(redisUrl: string, upstreamUrl: string, cacheDir: string): Record<string, string> {
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
    // The same as in the npm script "start".
    NODE_COMPILE_CACHE: join(import.meta.dirname, '../../.cache/compiled'),
    // The bare program writes no log, either.
    LOG_LEVEL: 'warn',
  }
}

export type StageOptions = { settings?: Record<string, string> }

export async function openStage({ settings = {} }: StageOptions = {}) {
  // In memory if possible, because a disk takes between 20 and 500 µs for a new file, depending on earlier use.
  const folder = await emptyFolder(existsSync('/dev/shm') ? '/dev/shm' : tmpdir())
  const pictures = join(folder, 'bare')
  await mkdir(pictures)
  const redis = await openRedis()
  const client = createClient({ url: redis.url })
  await client.connect()
  const upstream = await run({ file: join(import.meta.dirname, 'upstream.ts'), settings: {} })

  const startApp = (more: Record<string, string> = {}, instrumented = true, group?: ControlGroup) =>
    run({
      group,
      file: main,
      settings: { ...appSettings(redis.url, upstream.url, join(folder, 'avatars')), ...settings, ...more },
      instrumented,
      path: '/readyz',
    })
  const startBare = (instrumented = true) =>
    run({
      file: join(import.meta.dirname, 'bare.ts'),
      settings: {
        REDIS_URL: redis.url,
        UPSTREAM_URL: upstream.url,
        VIEWS: folder,
        PICTURES: pictures,
        NODE_COMPILE_CACHE: join(folder, 'compiled'),
      },
      instrumented,
    })

  const app = await startApp()
  // The bare pages are as long as the app's: the same text, with one value filled in.
  const view = (html: string, value: string) =>
    html
      .replaceAll('<%', '<%%')
      .replace(/<title>[^<]*/, '<title><%= title %>')
      .replaceAll(value, '/avatars/<%= avatar %>.svg')
  const visitor = await visitOnce(app.url)
  await writeFile(join(folder, 'home.ejs'), view(await (await fetch(app.url)).text(), 'no value'))
  await writeFile(join(folder, 'show.ejs'), view(visitor.page, visitor.picture))
  const bare = await startBare()

  return {
    app,
    bare,
    upstream,
    startApp,
    startBare,
    folder,
    redis: client,
    redisUrl: redis.url,
    setLatency: (ms: number) => fetch(`${upstream.url}/latency/${ms}`, { method: 'PUT' }),
    /**
     * Returns how many commands Redis receives during this work. The commands in a script are part of its one command.
     */
    async countCommands(work: () => Promise<unknown>): Promise<number> {
      const monitor = client.duplicate()
      await monitor.connect()
      // Wait for requests that were still open at the end of a round.
      await wait(500)
      const lastCommand = 'end of the work'
      const reported = Promise.withResolvers<void>()
      let count = 0
      await monitor.monitor((line: string) => {
        if (line.includes(lastCommand)) reported.resolve()
        else if (!/^\S+ \[\d+ lua\]|"(hello|client|ping|info)"/i.test(line)) count += 1
      })
      await work()
      await client.echo(lastCommand)
      await reported.promise
      monitor.destroy()
      return count
    },
    async close() {
      await Promise.all([app.stop(), bare.stop(), upstream.stop()])
      client.destroy()
      await redis.stop()
    },
  }
}
export type Stage = Awaited<ReturnType<typeof openStage>>

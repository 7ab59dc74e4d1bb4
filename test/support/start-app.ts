import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort } from './free-port.ts'

/** The app's beginning. */
export const main = join(import.meta.dirname, '../../src/main.ts')

/** Compiled modules, as `npm start` keeps them: every start but the first takes half the time. */
const compiled = join(import.meta.dirname, '../../.cache/compiled')

/** Puts files into the folder in which the app will run. */
type Prepare = (folder: string) => Promise<unknown>

/**
 * The app as `npm start` runs it, in a folder of its own: with no settings it is the demo. `prepare` puts files into the
 * folder before the start; `command` starts another copy, or in another way.
 */
export async function startApp(
  settings: Record<string, string> = {},
  prepare: Prepare = async () => {},
  [command, ...words]: [string, ...string[]] = [process.execPath, main],
) {
  const folder = await mkdtemp(join(tmpdir(), 'app-'))
  await prepare(folder)
  const port = settings.PORT ?? String(await freePort())
  const environment = { PATH: process.env.PATH, NODE_COMPILE_CACHE: compiled, PORT: port, ...settings }
  const child = spawn(command, words, { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (part: Buffer) => {
    output.stdout += part
  })
  const exited = once(child, 'exit')
  const closed = once(child, 'close') // once all that it has written is read
  child.stderr.on('data', (part: Buffer) => {
    output.stderr += part
  })
  // In production nothing is printed when it listens.
  while (!(await isListening(settings.HOST ?? '127.0.0.1', Number(port)))) {
    if (child.exitCode !== null || child.signalCode !== null) {
      await closed
      throw new Error(`The app did not start:\n${output.stderr}${output.stdout}`)
    }
    await wait(10)
  }
  return {
    url: `http://localhost:${port}`,
    /** Where it runs: its cache is in here unless told otherwise. */
    folder,
    child: child satisfies ChildProcess,
    output,
    /** Exit code and signal, once it has ended. */
    exited,
    /** At once; SIGTERM takes up to three seconds more, and what is under way is finished and logged. */
    async stop(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL') {
      child.kill(signal)
      await closed
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function isListening(host: string, port: number): Promise<boolean> {
  const socket = connect(port, host)
  return new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  }).finally(() => socket.destroy())
}
export type StartedApp = Awaited<ReturnType<typeof startApp>>

/** Starts the app with settings or files that end it. Returns its exit code and all that it wrote. */
export async function startAndFail(settings: Record<string, string>, prepare: Prepare = async () => {}) {
  const folder = await mkdtemp(join(tmpdir(), 'app-'))
  await prepare(folder)
  const child = spawn(process.execPath, [main], {
    cwd: folder,
    env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: compiled, PORT: String(await freePort()), ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (part: Buffer) => {
      output += part
    })
  }
  const [code] = await once(child, 'close')
  await rm(folder, { recursive: true, force: true })
  return { code, output }
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort } from './free-port.ts'

/** The app's main module. */
export const main = join(import.meta.dirname, '../../src/main.ts')

/** The folder for compiled modules that `npm start` uses, too. It halves the time of all starts but the first. */
const compiled = join(import.meta.dirname, '../../.cache/compiled')

/** Writes files into the folder in which the app will run. */
type Prepare = (folder: string) => Promise<unknown>

/**
 * Starts the app as `npm start` does, in a new folder. Without settings it is the demo. `prepare` writes files into the
 * folder before the start. `command` starts another copy of the app, or starts it in another way.
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
  const closed = once(child, 'close') // resolves when all of the output has been read
  child.stderr.on('data', (part: Buffer) => {
    output.stderr += part
  })
  // In production the app prints nothing when it listens, so try to connect.
  while (!(await isListening(settings.HOST ?? '127.0.0.1', Number(port)))) {
    if (child.exitCode !== null || child.signalCode !== null) {
      await closed
      throw new Error(`The app did not start:\n${output.stderr}${output.stdout}`)
    }
    await wait(10)
  }
  return {
    url: `http://localhost:${port}`,
    /** The folder in which the app runs. Its cache is in it by default. */
    folder,
    child: child satisfies ChildProcess,
    output,
    /** Resolves with exit code and signal when the app has ended. */
    exited,
    /** Ends the app at once, or with SIGTERM, which takes up to three seconds, after open requests. */
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

/** Starts the app with settings or files that end the start. Returns its exit code and its output. */
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

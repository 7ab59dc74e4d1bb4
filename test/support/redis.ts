import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { freePort } from './free-port.ts'

const MissingProgram = z.object({ code: z.literal('ENOENT') })

/** Attempts at a port: another process can take a free one before Redis does. */
const mostAttempts = 5

/**
 * A real Redis on loopback, on a free port. It keeps nothing, and `restart` begins with an empty one, unless it `keeps`:
 * then each write is on disk before it is confirmed.
 */
export async function openRedis({ keeps = false } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'redis-'))
  let { port, child } = await startSomewhere(folder, keeps)
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

    /** A new, empty Redis at the same port; resolves when it takes connections. */
    async restart(): Promise<void> {
      await end('SIGKILL')
      child = await start(port, folder, keeps)
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

async function startSomewhere(folder: string, keeps: boolean): Promise<{ port: number; child: ChildProcess }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    try {
      return { port, child: await start(port, folder, keeps) }
    } catch (error) {
      if (!(error instanceof PortTaken) || attempt === mostAttempts) throw error
    }
  }
}

class PortTaken extends Error {}

async function start(port: number, folder: string, keeps: boolean): Promise<ChildProcess> {
  const kept = keeps ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no']
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', ...kept]
  const child = spawn('redis-server', settings, { stdio: ['ignore', 'pipe', 'inherit'] })
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
      if (said.includes('Ready to accept connections')) resolve()
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

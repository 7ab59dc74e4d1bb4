import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../support/free-port.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'

/** Starts a process of the app that can be killed and started again with the same port and cache folder. */
async function openInstance(settings: Record<string, string>) {
  let app: StartedApp = await startApp(settings)
  let killedAt = Number.NEGATIVE_INFINITY
  let running = true
  return {
    url: `http://127.0.0.1:${settings.PORT}`,
    cacheFolder: settings.CACHE_DIR ?? '',
    get pid() {
      return app.child.pid
    },
    isRunning: () => running,
    wasKilledSince: (since: number) => !running || killedAt >= since,
    async kill(): Promise<void> {
      running = false
      killedAt = Date.now()
      app.child.kill('SIGKILL')
      await app.exited
    },
    async restart(): Promise<void> {
      app = await startApp(settings)
      running = true
    },
    async stop(): Promise<void> {
      if (running) await app.stop()
      running = false
    },
  }
}
export type Instance = Awaited<ReturnType<typeof openInstance>>

/**
 * Opens one site at `url`, with an instance on each port, each with its own cache folder. Visitors reach them as
 * through a proxy. The first instance runs with Node's inspector.
 */
export async function openSite(url: string, ports: number[], settings: Record<string, string>) {
  const folder = await mkdtemp(join(tmpdir(), 'site-'))
  const inspectorPort = await freePort()
  const instances = await Promise.all(
    ports.map((port, i) =>
      openInstance({
        ...settings,
        ...(i === 0 ? { NODE_OPTIONS: `--inspect=127.0.0.1:${inspectorPort}` } : {}),
        BASE_URL: url,
        PORT: String(port),
        CACHE_DIR: join(folder, String(i)),
      }),
    ),
  )
  return {
    /** The address that visitors see. */
    url,
    instances,
    inspectorPort,
    anyInstance(random: () => number): Instance {
      const running = instances.filter((one) => one.isRunning())
      const one = running[Math.floor(random() * running.length)]
      if (one === undefined) throw new Error('no instance is running')
      return one
    },
    async close(): Promise<void> {
      await Promise.all(instances.map((one) => one.stop()))
      await rm(folder, { recursive: true, force: true })
    },
  }
}
export type Site = Awaited<ReturnType<typeof openSite>>

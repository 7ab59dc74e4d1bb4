import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { acceptsConnections, replaced, siteName } from './nginx.ts'

export const siteFile = join(import.meta.dirname, '../../deploy/Caddyfile')

/** Starts a real Caddy on loopback with deploy/Caddyfile, but with plain http, free ports and a full log. */
export async function openCaddy(instancePorts: [number, number]) {
  const folder = await mkdtemp(join(tmpdir(), 'caddy-'))
  const port = await freePort()
  const file = join(folder, 'Caddyfile')
  await writeFile(
    file,
    replaced(await readFile(siteFile, 'utf8'), [
      ['{\n\tservers {', '{\n\tadmin off\n\tdebug\n\tservers {'],
      [`${siteName} {`, `http://127.0.0.1:${port} {`],
      ['127.0.0.1:3001', `127.0.0.1:${instancePorts[0]}`],
      ['127.0.0.1:3002', `127.0.0.1:${instancePorts[1]}`],
    ]),
  )
  const caddy = spawn('caddy', ['run', '--adapter', 'caddyfile', '--config', file], {
    env: { ...process.env, HOME: folder },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  caddy.stderr.on('data', (part: Buffer) => {
    log += part
  })
  const exited = once(caddy, 'exit')
  while (!(await acceptsConnections(port))) if (caddy.exitCode !== null) throw new Error(`no Caddy:\n${log}`)

  return {
    url: `http://127.0.0.1:${port}`,
    /** Returns everything that Caddy has logged. */
    log: () => log,
    async close() {
      caddy.kill('SIGTERM')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}

// The commands of deploy/README.md, run exactly as written, but in folders of the test instead of the system's.
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeCertificate } from '../support/certificate.ts'
import { freePort } from '../support/free-port.ts'
import { replaced, siteName } from '../support/nginx.ts'

const root = join(import.meta.dirname, '../..')
const guide = await readFile(join(root, 'deploy/README.md'), 'utf8')
const blocks = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands = '']) => commands)

/** Returns the commands of the only code block that contains this text. */
function commandsWith(text: string): string {
  const [block = '', ...others] = blocks.filter((one) => one.includes(text))
  expect([block, others]).toEqual([expect.stringContaining(text), []])
  return block
}

const run = promisify(execFile)
/** Runs commands in a shell. Resolves with their output. */
const shell = async (commands: string) => (await run('/bin/sh', ['-c', commands], { cwd: root })).stdout

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'guide-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('the backup of Redis', () => {
  let port: number
  const redis = (...command: string[]) => shell(`REDISCLI_AUTH=secret redis-cli -p ${port} ${command.join(' ')}`)

  /** A fake systemctl that starts and stops a Redis with the settings of deploy/redis.conf. */
  const systemctl = () => `
    systemctl() {
      case $1 in
        start) redis-server ${folder}/avatars.conf --port ${port} --dir ${folder}/data --daemonize yes \\
            --logfile ${folder}/log > /dev/null
          until REDISCLI_AUTH=secret redis-cli -p ${port} ping | grep -q PONG; do sleep 0.05; done ;;
        stop) REDISCLI_AUTH=secret redis-cli -p ${port} shutdown
          while REDISCLI_AUTH=secret redis-cli -p ${port} ping > /dev/null 2>&1; do sleep 0.05; done ;;
      esac
    }
  `
  const here = (commands: string, names: [string, string][]) =>
    systemctl() + replaced(commands, [...names, ['/etc/redis', folder], ['redis-cli ', `redis-cli -p ${port} `]])

  beforeEach(async () => {
    port = await freePort()
    await writeFile(join(folder, 'avatars.env'), 'SESSION_SECRET=…')
    const settings = await readFile(join(root, 'deploy/redis.conf'), 'utf8')
    await writeFile(join(folder, 'avatars.conf'), `${settings}requirepass secret\nrepl-diskless-sync-delay 0\n`)
    await mkdir(join(folder, 'data'))
    await shell(`${systemctl()} systemctl start`)
  })
  afterEach(() => shell(`${systemctl()} systemctl stop`))

  test('can be read by its owner only, and brings the sessions back to a new Redis, also after a restart', async () => {
    await redis('set session:one kept EX 1000')
    const backups = join(folder, 'backups/avatars')
    const umask = await shell('umask')
    const printed = await shell(
      `${here(commandsWith('redis-cli --rdb /var'), [
        ['/var/backups', join(folder, 'backups')],
        ['/etc/avatars.env', join(folder, 'avatars.env')],
      ])} umask`,
    )
    expect(printed.endsWith(umask)).toBe(true) // the umask of the shell is as before
    const modes = await Promise.all(['', 'avatars.env', 'redis.rdb'].map((name) => stat(join(backups, name))))
    expect(modes.map(({ mode }) => mode & 0o077)).toEqual([0, 0, 0])

    // From here on a new server, whose Redis has been started once already.
    await shell(
      `${systemctl()} systemctl stop; rm -r ${folder}/data; mkdir ${folder}/data; systemctl start redis-server`,
    )
    expect(await redis('dbsize')).toBe('0\n')
    const restored = await shell(
      here(commandsWith('appendonly.aof.manifest'), [
        ['/var/backups', join(folder, 'backups')],
        ['/var/lib/redis', join(folder, 'data')],
      ]),
    )
    expect(restored).toBe('1\n')
    await redis('set session:two new EX 1000')
    await shell(`${systemctl()} systemctl stop; systemctl start redis-server`)
    expect(await redis('mget session:one session:two')).toBe('kept\nnew\n')
    expect(Number(await redis('ttl session:one'))).toBeGreaterThan(900)
    expect(await redis('config get appendonly')).toBe('appendonly\nyes\n')
  })
})

describe('the commands for nginx', () => {
  /** Runs the commands with Debian's default site in place. Resolves with the sites afterwards and nginx's messages. */
  async function enableSite() {
    const nginx = join(folder, 'nginx')
    const site = await readFile(join(root, 'deploy/nginx.conf'), 'utf8')
    await writeFile(
      join(folder, 'site.conf'),
      replaced(site, [
        ['/etc/letsencrypt', folder],
        ['/var/log/nginx', folder],
      ]),
    )
    const commands = replaced(commandsWith('deploy/nginx.conf'), [
      ['/etc/nginx', nginx],
      ['/etc/letsencrypt', folder],
      ['deploy/nginx.conf', join(folder, 'site.conf')],
    ])
    const programs = `name=${siteName}
      nginx() { command nginx -c ${nginx}/nginx.conf -e ${folder}/error.log "$@"; }
      systemctl() { echo "$@"; }
      curl() { :; }
      `
    const { stdout, stderr } = await run('/bin/sh', ['-c', `${programs}${commands}`], { cwd: root })
    return { sites: await readdir(join(nginx, 'sites-enabled')), stdout, stderr }
  }

  beforeEach(async () => {
    const nginx = join(folder, 'nginx')
    for (const name of ['sites-available', 'sites-enabled', 'conf.d'])
      await mkdir(join(nginx, name), { recursive: true })
    await writeFile(join(nginx, 'sites-available/default'), 'server { listen 80 default_server; return 404; }')
    await symlink('../sites-available/default', join(nginx, 'sites-enabled/default'))
    await writeFile(
      join(nginx, 'nginx.conf'),
      `pid ${folder}/pid; events {} http { include ${nginx}/conf.d/*.conf; include ${nginx}/sites-enabled/*; }`,
    )
    await mkdir(join(folder, 'live', siteName), { recursive: true })
  })

  test('enable the site, and nginx accepts it without a warning', async () => {
    await makeCertificate(join(folder, 'live', siteName), siteName)
    const { sites, stdout, stderr } = await enableSite()
    expect([sites, stdout]).toEqual([['avatars'], 'reload nginx\n'])
    expect(stderr).toContain('test is successful')
    expect(stderr).not.toContain('warn')
  })

  test('change nothing if certbot got no certificate', async () => {
    expect(await enableSite()).toEqual({ sites: ['default'], stdout: '', stderr: '' })
  })

  test('change nothing if nginx does not accept the site', async () => {
    await writeFile(join(folder, 'live', siteName, 'fullchain.pem'), 'no certificate')
    const { sites, stdout, stderr } = await enableSite()
    expect([sites, stdout]).toEqual([['default'], ''])
    expect(stderr).toContain('test failed')
  })
})

test('every command of the guide has valid shell syntax', async () => {
  expect(blocks.length).toBeGreaterThan(10)
  for (const commands of blocks) await run('/bin/sh', ['-n', '-c', commands])
})

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { ask } from '../support/ask.ts'
import { freePort } from '../support/free-port.ts'
import { forgedHeaders, openInstanceDouble } from '../support/instance-double.ts'
import { openNginx, siteName } from '../support/nginx.ts'
import { clientId, clientSecret, sessionSecret } from '../support/open-app.ts'
import { startApp } from '../support/start-app.ts'

const root = join(import.meta.dirname, '../..')
const read = (file: string) => readFile(join(root, file), 'utf8')
const run = promisify(execFile)

const cleanUps: (() => Promise<unknown>)[] = []
const cleanUpLater = (cleanUp: () => Promise<unknown>) => cleanUps.push(cleanUp)
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'deploy-'))
  cleanUpLater(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Environment variables of Node and of a library that the files in deploy/ set. */
const ofNode = ['NODE_COMPILE_CACHE', 'XDG_CACHE_HOME']
/** The names of the app's settings, and those of `ofNode`. */
const settings = new Set([...((await read('src/config.ts')).match(/(?<=^ {2})[A-Z_]+(?=: )/gm) ?? []), ...ofNode])

describe('avatars@.service', () => {
  /** Copies the unit to a file of this name: systemd takes the instance's name from it. */
  async function unit(name: string): Promise<string> {
    const path = join(await folder(), name)
    await copyFile(join(root, 'deploy/avatars@.service'), path)
    return path
  }

  test('is accepted by systemd, line for line', async () => {
    const { stdout, stderr } = await run('systemd-analyze', ['verify', await unit('avatars@3001.service')])
    // systemd-analyze also verifies the units that this one depends on; only messages about this one count.
    expect((stdout + stderr).split('\n').filter((line) => line.includes('avatars@'))).toEqual([])
  })

  test('leaves nothing open in systemd-analyze security but what the app needs', async () => {
    const options = ['security', '--offline=true', '--no-pager', '--json=short', await unit('avatars@.service')]
    const { stdout } = await run('systemd-analyze', options)
    const checks = z.array(z.object({ set: z.boolean().nullable(), name: z.string() })).parse(JSON.parse(stdout))
    expect(checks.length).toBeGreaterThan(60)
    // It has to reach Redis, Discord and DiceBear, to resolve host names, to compile JavaScript, and to notify systemd.
    const needed = [
      ...['AF_(INET|INET6)', 'AF_UNIX', 'AF_NETLINK'].map((family) => `RestrictAddressFamilies=~${family}`),
      ...['PrivateNetwork=', 'IPAddressDeny=', 'MemoryDenyWriteExecute=', 'NotifyAccess='],
      // Other settings of the sandbox restrict these enough.
      ...['RootDirectory=/RootImage=', 'PrivateMounts=', 'DeviceAllow='],
    ]
    const open = checks.filter(({ set }) => set === false).map(({ name }) => name)
    expect(open.filter((name) => !needed.includes(name))).toEqual([])
  })

  test('sets only settings that the app reads, and gives it more than 10 s to stop', async () => {
    const text = await read('deploy/avatars@.service')
    const names = [...text.matchAll(/^Environment=(.*)$/gm)].flatMap(
      ([, line = '']) => line.match(/[A-Z_]+(?==)/g) ?? [],
    )
    expect(names).toContain('TRUST_PROXY')
    expect(names.filter((name) => !settings.has(name))).toEqual([])
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(text)?.[1])).toBeGreaterThan(10)
    // V8 generates machine code at run time.
    expect(text).not.toMatch(/^MemoryDenyWriteExecute/m)
  })
})

describe('the unit’s ExecStartPost', () => {
  /** Runs ExecStartPost for this port and main process, as systemd does. Resolves with its exit code and duration. */
  async function startPost(port: number, mainPid: number) {
    const text = (await read('deploy/avatars@.service')).replaceAll('\\\n', '')
    const [, command = ''] = /^ExecStartPost=\/bin\/sh -c '(.+)'$/m.exec(text) ?? []
    expect(command).not.toBe('')
    const since = performance.now()
    const child = spawn('/bin/sh', ['-c', command.replaceAll('%i', String(port))], {
      env: { PATH: process.env.PATH, MAINPID: String(mainPid) },
    })
    cleanUpLater(async () => child.kill('SIGKILL'))
    const [code] = await once(child, 'exit')
    return { code, ms: performance.now() - since }
  }

  test('succeeds as soon as the instance answers, and not before', async () => {
    const port = await freePort()
    const started = startPost(port, process.pid)
    const app = await startApp({ PORT: String(port) })
    cleanUpLater(() => app.stop())
    expect(await started).toMatchObject({ code: 0 })
  })

  test('fails soon after the main process has died, so that ten attempts fit into a minute', async () => {
    const main = spawn('sleep', ['1'])
    const { code, ms } = await startPost(await freePort(), main.pid ?? 0)
    expect(code).not.toBe(0)
    expect(ms).toBeLessThan(4000)
    const text = await read('deploy/avatars@.service')
    const [limit, interval] = [/^StartLimitBurst=(\d+)$/m, /^StartLimitIntervalSec=(\d+)$/m].map((line) =>
      Number(line.exec(text)?.[1]),
    )
    expect([limit, interval]).toEqual([10, 60])
  })
})

test('the app notifies systemd’s watchdog twice per WatchdogSec, and stops when it is stuck', async () => {
  const text = await read('deploy/avatars@.service')
  const watchdogS = Number(/^WatchdogSec=(\d+)$/m.exec(text)?.[1])
  expect(watchdogS).toBeGreaterThan(0)
  expect(text).toMatch(/^NotifyAccess=all$/m)
  // A fake systemd-notify, because the real one needs systemd's socket.
  const programs = await folder()
  const [messages, failing] = [join(programs, 'messages'), join(programs, 'failing')]
  const script = `#!/bin/sh\n[ ! -e ${failing} ] && echo "$@" $(date +%s%3N) >> ${messages}\n`
  await writeFile(join(programs, 'systemd-notify'), script, { mode: 0o700 })
  /** Returns when each message was sent, in milliseconds. */
  const sentMs = async () => {
    const text = existsSync(messages) ? await readFile(messages, 'utf8') : ''
    return [...text.matchAll(/^WATCHDOG=1 (\d+)$/gm)].map(([, ms]) => Number(ms))
  }
  const app = await startApp({ PATH: `${programs}:${process.env.PATH}`, WATCHDOG_USEC: '400000' })
  cleanUpLater(() => app.stop())
  await vi.waitFor(async () => expect((await sentMs()).length).toBeGreaterThan(4), 10_000)
  const times = await sentMs()
  const gapsMs = times.slice(1).map((ms, place) => ms - (times[place] ?? 0))
  expect(Math.min(...gapsMs)).toBeLessThan(400)
  expect(app.output.stdout).not.toContain('watchdog')
  await writeFile(failing, '')
  await vi.waitFor(() => expect(app.output.stdout).toMatch(/"level":40,.*"msg":"watchdog"/), 10_000)
  await rm(failing)
  await vi.waitFor(async () => expect((await sentMs()).length).toBeGreaterThan(times.length), 10_000)
  app.child.kill('SIGSTOP')
  await wait(400) // a systemd-notify that was started before may still be running
  const before = await sentMs()
  await wait(600)
  expect(await sentMs()).toEqual(before)
})

test('the unit’s command with its environment runs the app on loopback, behind a proxy that it trusts', async () => {
  const [port, cache] = [await freePort(), await folder()]
  const lines = (await read('deploy/avatars@.service')).replaceAll('%i', String(port)).replaceAll('%C', cache)
  const [, command = ''] = /^ExecStart=(.+)$/m.exec(lines) ?? []
  const environment = [...lines.matchAll(/^Environment=(.+)$/gm)]
    .flatMap(([, pairs = '']) => pairs.split(' '))
    .map((pair) => pair.split('=', 2))
  // The guide writes these into the unit's EnvironmentFile.
  const secrets = {
    BASE_URL: 'https://avatars.example',
    DISCORD_CLIENT_ID: clientId,
    DISCORD_CLIENT_SECRET: clientSecret,
    SESSION_SECRET: sessionSecret,
    REDIS_URL: `redis://127.0.0.1:${await freePort()}`,
  }
  const inRelease: [string, ...string[]] = ['/bin/sh', '-c', `cd ${root} && exec ${command}`]
  const app = await startApp({ ...secrets, ...Object.fromEntries(environment) }, undefined, inRelease)
  cleanUpLater(() => app.stop())
  const left = async (address: string) =>
    (await ask(app.url, '/nowhere', { headers: { 'X-Forwarded-For': address } })).headers.ratelimit
  for (const address of ['192.0.2.1', '192.0.2.2']) expect(await left(address)).toMatch(/; r=599;/)
  await expect(ask(`http://127.0.0.2:${port}`, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  expect(await readdir(join(cache, 'avatars', String(port)))).toContain('compiled')
  expect(app.output.stderr).toBe('')
})

test('the unit reads the file that the guide writes, and is started again however it ends', async () => {
  const text = await read('deploy/avatars@.service')
  const [, file] = /^EnvironmentFile=(.+)$/m.exec(text) ?? []
  expect(await read('deploy/README.md')).toContain(`\ncat > ${file} <<END\nBASE_URL=`)
  for (const line of ['Restart=always', 'OOMPolicy=continue', 'WorkingDirectory=/opt/avatars/current']) {
    expect(text.split('\n')).toContain(line)
  }
})

test('each instance has its own user and its own cache folder', async () => {
  const text = await read('deploy/avatars@.service')
  expect(text).toMatch(/^DynamicUser=yes$/m)
  expect(text).toMatch(/^User=avatars-%i$/m)
  expect(text).toMatch(/^CacheDirectory=avatars\/%i$/m)
})

describe('nginx.conf, while no instance is running', () => {
  async function nginx() {
    const opened = await openNginx([await freePort(), await freePort()])
    cleanUpLater(() => opened.close())
    return opened
  }

  test('redirects to https, except for certbot’s challenge files', async () => {
    const { httpUrl, folder } = await nginx()
    const { status, headers } = await ask(httpUrl, '/?style=rings', { headers: { Host: 'other.example' } })
    expect([status, headers.location]).toEqual([301, `https://${siteName}/?style=rings`])
    await mkdir(join(folder, 'www/.well-known/acme-challenge'), { recursive: true })
    await writeFile(join(folder, 'www/.well-known/acme-challenge/token'), 'proof')
    expect((await ask(httpUrl, '/.well-known/acme-challenge/token')).text).toBe('proof')
  })

  test('answers with a page, reveals no version number, and logs no query', async () => {
    const opened = await nginx()
    const answer = await opened.visitor().get('/get_avatar?code=c0de&state=st4te')
    for (const path of ['/get_avatar/', '/other']) await opened.visitor().get(`${path}?code=c0de&state=st4te`)
    expect([answer.status, answer.headers['retry-after'], answer.headers.server]).toEqual([503, '10', 'nginx'])
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(answer.text).toMatch(/^<!doctype html>\n<html lang="en">\n<title>Back in a moment<\/title>\n/)
    expect(answer.headers).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'strict-transport-security': 'max-age=31536000; includeSubDomains',
      'x-content-type-options': 'nosniff',
    })
    // A callback by http is redirected, and a missing file is an error that nginx would log with the query.
    for (const path of ['/get_avatar', '/.well-known/acme-challenge/missing']) {
      const { headers } = await ask(opened.httpUrl, `${path}?code=c0de&state=st4te`)
      expect(headers.server).toBe('nginx')
    }
    expect(await opened.log('avatars.log')).toMatch(/"GET \/get_avatar HTTP\/1.1" 503/)
    for (const name of ['avatars.log', 'access.log', 'error.log'] as const) {
      expect(await opened.log(name)).not.toMatch(/c0de|st4te/)
    }
  })

  test('supports HTTP/2', async () => {
    const { httpsPort, ca } = await nginx()
    const session = connectHttp2(`https://127.0.0.1:${httpsPort}`, { ca, servername: siteName })
    cleanUpLater(async () => session.destroy())
    await once(session, 'connect')
    expect(session.alpnProtocol).toBe('h2')
  })
})

describe('nginx.conf, with instances,', () => {
  test('names the visitor’s address and protocol, whatever the visitor sent, on connections that it keeps', async () => {
    const instances = [await openInstanceDouble(), await openInstanceDouble()] as const
    for (const instance of instances) cleanUpLater(async () => instance.close())
    const nginx = await openNginx([instances[0].port, instances[1].port])
    cleanUpLater(() => nginx.close())
    for (let sent = 0; sent < 10; sent += 1) await nginx.visitor().get('/').set(forgedHeaders).expect(200)
    const requests = instances.flatMap((instance) => instance.requests)
    expect(requests).toHaveLength(10)
    for (const { headers, httpVersion } of requests) {
      expect([httpVersion, headers.connection, headers.forwarded]).toEqual(['1.1', undefined, undefined])
      expect(headers).toMatchObject({
        host: siteName,
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-proto': 'https',
        'x-forwarded-host': siteName,
      })
    }
    expect(new Set(requests.map(({ socket }) => socket)).size).toBe(2)
    const keptS = /^ {4}keepalive_timeout (\d+)s;$/m.exec(await read('deploy/nginx.conf'))?.[1]
    expect(Number(keptS)).toBeLessThan(60) // less than the app keeps them, see slow-clients.test.ts
  })
})

test('Redis accepts redis.conf, listens on loopback only, evicts nothing, and writes an append-only file', async () => {
  const port = String(await freePort())
  const settings = [join(root, 'deploy/redis.conf'), '--port', port, '--dir', await folder()]
  const redis = spawn('redis-server', settings, { stdio: 'ignore' })
  cleanUpLater(async () => redis.kill() && once(redis, 'exit'))
  const ping = () => run('redis-cli', ['-p', port, 'ping']).then(({ stdout }) => stdout, String)
  await expect.poll(ping, { timeout: 10_000 }).toBe('PONG\n')
  const setting = async (name: string) => {
    const { stdout } = await run('redis-cli', ['-p', port, 'config', 'get', name])
    return stdout.trim().split('\n')[1]
  }
  expect(await setting('bind')).toBe('127.0.0.1 -::1')
  expect(await setting('protected-mode')).toBe('yes')
  expect(await setting('appendonly')).toBe('yes')
  expect(await setting('appendfsync')).toBe('everysec')
  expect(await setting('maxmemory-policy')).toBe('noeviction')
  expect(Number(await setting('maxmemory'))).toBeGreaterThan(0)
})

describe('the image', () => {
  /** The instructions of the Dockerfile, in order. A backslash at the end of a line continues the instruction. */
  async function instructions(): Promise<[name: string, rest: string][]> {
    const text = (await read('deploy/Dockerfile')).replaceAll(/\\\n\s*/g, '')
    return [...text.matchAll(/^([A-Z]+) (.+)$/gm)].map(([, name = '', rest = '']) => [name, rest])
  }
  const command = (rest: string) => z.array(z.string()).parse(JSON.parse(/\[.*\]$/.exec(rest)?.[0] ?? ''))

  test('copies files that exist and that .dockerignore allows', async () => {
    const copies = (await instructions()).filter(([name, rest]) => name === 'COPY' && !rest.startsWith('--from'))
    const sources = copies.flatMap(([, rest]) => rest.split(' ').slice(0, -1))
    expect(sources.filter((source) => !existsSync(join(root, source)))).toEqual([])
    const allowed = (await read('.dockerignore')).match(/(?<=^!).+$/gm) ?? []
    expect(new Set(allowed)).toEqual(new Set(sources))
  })

  test('does not run the app as root, and sets only settings that the app reads', async () => {
    const all = await instructions()
    expect(all.filter(([name]) => name === 'USER' || name === 'CMD').map(([, rest]) => rest)).toEqual([
      'node',
      '["node", "src/main.ts"]',
    ])
    const names = all.flatMap(([name, rest]) => (name === 'ENV' ? (rest.match(/[A-Z_]+(?==)/g) ?? []) : []))
    expect(names).toEqual(expect.arrayContaining(['CACHE_DIR', 'XDG_CACHE_HOME']))
    expect(names.filter((name) => !settings.has(name))).toEqual([])
  })

  test('is for production, listens on all addresses at the port that it exposes, and has its cache on a volume', async () => {
    const all = await instructions()
    const valuesOf = (wanted: string) => all.flatMap(([name, rest]) => (name === wanted ? [rest] : []))
    const values = Object.fromEntries(
      valuesOf('ENV')
        .flatMap((pairs) => pairs.split(' '))
        .map((pair) => pair.split('=', 2)),
    )
    const [cache] = valuesOf('VOLUME')
    expect(values).toMatchObject({
      NODE_ENV: 'production',
      HOST: '0.0.0.0',
      PORT: valuesOf('EXPOSE')[0],
      CACHE_DIR: cache,
    })
    expect(valuesOf('RUN').at(-1)).toBe(`install --directory --owner=node --mode=0700 ${cache}`)
    const compose = await read('deploy/compose.yaml')
    expect(compose).toContain(`127.0.0.1:3000:${values.PORT}\n`)
    expect(compose).toContain(`cache:${cache}\n`)
  })

  test('is healthy while the app answers', async () => {
    const [, rest = ''] = (await instructions()).find(([name]) => name === 'HEALTHCHECK') ?? []
    const [, ...check] = command(rest)
    const health = (PORT: string) => run(process.execPath, check, { env: { PORT } })
    const app = await startApp()
    cleanUpLater(() => app.stop())
    const { port } = new URL(app.url)
    await health(port)
    app.child.kill('SIGKILL')
    await app.exited
    await expect(health(port)).rejects.toMatchObject({ code: 1 })
  }, 60_000)
})

describe('compose.yaml', () => {
  const Service = z.looseObject({
    environment: z.record(z.string(), z.string()),
    ports: z.array(z.string()).default([]),
    read_only: z.literal(true),
    cap_drop: z.tuple([z.literal('ALL')]),
    restart: z.literal('unless-stopped'),
    security_opt: z.tuple([z.literal('no-new-privileges:true')]),
  })
  const Compose = z.object({
    services: z.object({
      app: Service.extend({
        build: z.object({ context: z.literal('..'), dockerfile: z.literal('deploy/Dockerfile') }),
        // The app exits within 10 s of SIGTERM.
        stop_grace_period: z.string().refine((period) => Number.parseInt(period, 10) > 10),
        healthcheck: z.looseObject({ test: z.tuple([z.literal('CMD'), z.literal('node')], z.string()) }),
      }),
      redis: Service.extend({ command: z.array(z.string()) }),
    }),
    name: z.string(),
    volumes: z.record(z.string(), z.null()),
  })

  test('kills an app that is stuck, so that Docker restarts it, and kills nothing else', async () => {
    const { app } = Compose.parse(parse(await read('deploy/compose.yaml'))).services
    // Outside of a container the real process.kill would end every process. The timeouts are shortened to save time.
    const preload = `process.kill = (...args) => console.log('kill', ...args)
      const { timeout } = AbortSignal
      AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms / 20)`
    const health = (port: string) => {
      const [, , ...options] = app.healthcheck.test.map((one) => one.replace(':3000', `:${port}`))
      const env = { ...process.env, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` }
      return run(process.execPath, options, { env })
    }
    const started = await startApp()
    cleanUpLater(() => started.stop())
    const { port } = new URL(started.url)
    expect(await health(port)).toMatchObject({ stdout: '' })
    started.child.kill('SIGSTOP')
    await expect(health(port)).rejects.toMatchObject({ code: 1, stdout: 'kill -1 SIGKILL\n' })
    started.child.kill('SIGKILL')
    await started.exited
    await expect(health(port)).rejects.toMatchObject({ code: 1, stdout: '' })
  })

  test('passes to the app every setting that the image does not set, and requires those for production', async () => {
    const { app } = Compose.parse(parse(await read('deploy/compose.yaml'))).services
    const ofImage = (await read('deploy/Dockerfile')).match(/[A-Z_]+(?==)/g) ?? []
    const names = Object.keys(app.environment)
    expect(names.toSorted()).toEqual([...settings].filter((name) => ![...ofImage, ...ofNode].includes(name)).toSorted())
    const needed = names.filter((name) => /\$\{\w+:?\?\}/.test(app.environment[name] ?? ''))
    expect(needed.toSorted()).toEqual([
      'BASE_URL',
      'DISCORD_CLIENT_ID',
      'DISCORD_CLIENT_SECRET',
      'REDIS_URL',
      'SESSION_SECRET',
    ])
    // A setting that is not given is passed as an empty text, which the app reads as not set.
    const optional = names.filter((name) => !needed.includes(name) && name !== 'TRUST_PROXY')
    expect(optional.map((name) => app.environment[name])).toEqual(optional.map((name) => `\${${name}:-}`))
  })

  test('publishes the app’s port on loopback only, and no port of Redis, which has a password', async () => {
    const { app, redis } = Compose.parse(parse(await read('deploy/compose.yaml'))).services
    expect([app.ports, redis.ports]).toEqual([['127.0.0.1:3000:3000'], []])
    const command = redis.command.join(' ')
    expect(command).toMatch(/--requirepass \$\{REDIS_PASSWORD:\?\} /)
    for (const [, setting = ''] of (await read('deploy/redis.conf')).matchAll(/^((?:appendonly|maxmemory)\S* .+)$/gm)) {
      expect(command).toContain(`--${setting}`)
    }
  })
})

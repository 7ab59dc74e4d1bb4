import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { agent } from 'supertest'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { readConfig } from '../../src/config.ts'
import { ask, formOf } from '../support/ask.ts'
import { agreeAtDiscord } from '../support/consent.ts'
import { at, openDiceBear, openDiscord } from '../support/doubles.ts'
import { freePort } from '../support/free-port.ts'
import { clientId, clientSecret, comeBack, leave, sessionSecret, shownAvatar } from '../support/open-app.ts'
import { openRedis } from '../support/redis.ts'
import { main, type StartedApp, startApp } from '../support/start-app.ts'

const cleanUps: (() => Promise<void>)[] = []
const cleanUpLater = (cleanUp: () => Promise<void>) => cleanUps.push(cleanUp)
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function started(settings: Record<string, string> = {}) {
  const app = await startApp(settings)
  cleanUpLater(() => app.stop())
  return app
}

/** Runs the app where it should refuse to start. */
async function refused(settings: Record<string, string>) {
  const folder = await mkdtemp(join(tmpdir(), 'refused-'))
  cleanUpLater(() => rm(folder, { recursive: true, force: true }))
  const environment = { PATH: process.env.PATH, PORT: String(await freePort()), ...settings }
  const child = spawn(process.execPath, [main], { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (part: Buffer) => {
    said += part
  })
  child.stderr.on('data', (part: Buffer) => {
    said += part
  })
  const [code] = await once(child, 'exit')
  return { code, said }
}

const Line = z.looseObject({
  level: z.number(),
  time: z.number(),
  msg: z.string().optional(),
  req: z.looseObject({ method: z.string(), path: z.string() }).optional(),
  res: z.looseObject({ statusCode: z.number() }).optional(),
})

/** The log so far: each line is JSON by itself. */
const linesOf = ({ output }: StartedApp) =>
  output.stdout
    .trim()
    .split('\n')
    .map((line) => Line.parse(JSON.parse(line)))

describe('the demo, with no settings at all', () => {
  test('prints the address, and the whole visit works, with every page saying that it is the demo', async () => {
    const app = await started()
    expect(app.output.stderr).toContain(`Open ${app.url} `)
    const visitor = agent(app.url).redirects(0)
    const form = await visitor.get('/')
    const authorize = await leave(visitor)
    expect(authorize).toMatch(`${app.url}/demo/discord/oauth2/authorize?`)
    const { pathname, search } = new URL(authorize)
    const consent = await visitor.get(pathname + search)
    const callback = await agreeAtDiscord(authorize)
    const back = await comeBack(visitor, callback)
    expect([back.status, back.headers.location]).toEqual([302, '/show_avatar'])
    const page = await visitor.get('/show_avatar')
    const svg = await visitor.get(`/avatars/${shownAvatar(page.text)}.svg`)
    expect(svg.body.toString()).toMatch(/^<svg /)
    const [, picture = ''] = /<img class="round" src="([^"]*\/demo\/discord\/cdn\/[^"]*)"/.exec(page.text) ?? []
    expect((await visitor.get(new URL(picture.replaceAll('&amp;', '&'), app.url).pathname)).status).toBe(200)
    const others = await Promise.all([
      ...['/licences', '/nowhere', '/get_avatar?code=x&state=y'].map((path) => visitor.get(path)),
      visitor.post('/get_avatar').type('form').send({ style: 'nope' }),
      visitor.post('/get_avatar').set('Origin', 'https://evil.example'),
      visitor.put('/'),
    ])
    for (const { text } of [form, consent, page, ...others]) expect(text).toContain('played by stand-ins here')
    // The stand-ins are spoken to over HTTP, by the client that speaks to the real ones.
    const asked = linesOf(app).flatMap(({ req }) => (req ? [`${req.method} ${req.path}`] : []))
    expect(asked).toContain('POST /demo/discord/api/v10/oauth2/token')
    expect(asked).toContain('GET /demo/discord/api/v10/users/@me')
    expect(asked).toContain('GET /demo/dicebear/10.x/adventurer/svg')
  })

  test('logs one JSON line for each request, with no query of the callback', async () => {
    const app = await started()
    const visitor = agent(app.url).redirects(0)
    await visitor.get('/licences').set('User-Agent', 'a browser')
    await visitor.get('/get_avatar?code=the-code&state=the-state')
    await visitor.get('/%0d%0a{"forged":1}')
    // Asked every few seconds, these would be most of the log.
    for (const path of ['/healthz', '/readyz']) expect((await visitor.get(path)).status).toBe(200)
    await app.stop('SIGTERM')
    const requests = linesOf(app).filter(({ req }) => req !== undefined)
    expect(requests.map(({ req, res }) => [req?.path, res?.statusCode])).toEqual([
      ['/licences', 200],
      ['/get_avatar', 400],
      ['/%0d%0a%7B%22forged%22:1%7D', 404],
    ])
    expect(app.output.stdout).not.toMatch(/the-code|the-state/)
  })
})

test('a log line is no visitor’s to write', async () => {
  const app = await started({ LOG_LEVEL: 'trace' })
  const forged = '{"level":60,"msg":"forged"}'
  for (const path of [`/%0a${forged}`, `/%0d%0a${forged}`, `/%e2%80%a8${forged}`, '/%1b[2J%e2%80%ae']) {
    const headers = {
      'User-Agent': `x\t${forged}`,
      Referer: `\u0085${forged}`,
      'X-Request-Id': forged,
      'X-Forwarded-For': forged,
      Cookie: `session=${forged}; state-x=${forged}`,
    }
    await sendRaw(Number(new URL(app.url).port), path, headers)
  }
  await ask(app.url, '/get_avatar', formOf({ seed: `\n${forged}\u2028`, style: forged }))
  await app.stop('SIGTERM')
  const lines = linesOf(app)
  expect(lines.filter(({ req }) => req !== undefined)).toHaveLength(5)
  expect(lines.filter(({ msg, level }) => msg === 'forged' || level > 40)).toEqual([])
  expect([...app.output.stdout].filter((character) => character < ' ' && character !== '\n')).toEqual([])
})

/** A request by the byte, as no client would send it; waits for the end of the answer. */
async function sendRaw(port: number, path: string, headers: Record<string, string>): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${lines.join('')}\r\n`, 'latin1')
  socket.resume()
  await once(socket, 'end')
}

describe('settings', () => {
  test('production names everything that is missing or weak at once, and no value', async () => {
    const { code, said } = await refused({
      NODE_ENV: 'production',
      SESSION_SECRET: 'too short to be secret',
      BASE_URL: 'http://avatars.example',
    })
    expect(code).toBe(1)
    for (const name of ['SESSION_SECRET', 'BASE_URL', 'REDIS_URL', 'DISCORD_CLIENT_ID', 'DISCORD_CLIENT_SECRET']) {
      expect(said).toContain(`  ${name} `)
    }
    expect(said).not.toMatch(/too short to be secret|avatars\.example|^\s+at /m)
  })

  const good = {
    NODE_ENV: 'production',
    SESSION_SECRET: sessionSecret,
    REDIS_URL: 'rediss://user:password@redis.example:6380',
    DISCORD_CLIENT_ID: clientId,
    DISCORD_CLIENT_SECRET: clientSecret,
    BASE_URL: 'https://avatars.example',
  }
  const bad: [name: string, ...values: string[]][] = [
    ['PORT', '0', '80 ', '65536', '-1', '3e3', '0x50', 'http'],
    ['HOST', '999.1.1.1', '1.2.3.4.5', 'localhost:3000', '[::1]', ':::1', 'http://localhost', 'a b', ' '],
    [
      'BASE_URL',
      'https://avatars.example/path',
      'avatars.example',
      'ftp://avatars.example',
      'https://u:p@avatars.example',
    ],
    ['BASE_URL', 'http://avatars.example', 'http://localhost.avatars.example', 'https://avatars.example/?x', '//x'],
    ['SESSION_SECRET', 'x'.repeat(31), `${sessionSecret},short`, `${sessionSecret},`],
    [
      'REDIS_URL',
      'http://127.0.0.1:6379',
      '127.0.0.1:6379',
      'redis://',
      'redis://a/name',
      'redis://a?db=1',
      'redis://a,b',
    ],
    [
      'REDIS_URL',
      'redis://:%zz@a',
      'redis://a,',
      'redis://a,redis://',
      'redis://a,rediss://b',
      'redis://a/1,redis://b/1',
    ],
    ['REDIS_URL', 'redis://:pass@a,redis://:word@b', 'redis://a,sentinel://b/name', 'redis://a:70000,redis://b'],
    ['REDIS_URL', 'sentinel://a', 'sentinel://a/', 'sentinel:///name', 'sentinel://a,/name', 'sentinel://a:x/name'],
    ['REDIS_URL', 'sentinel://a/name/1', 'sentinel://a/name?db=one', 'sentinel://a/name?database=1'],
    ['REDIS_URL', 'sentinel://a/name?db=1&db=2', 'sentinel://:%zz@a/name', 'sentinel://a/na me', 'sentinel://a/name#1'],
    ['DISCORD_CLIENT_ID', ' ', '\t'],
    ['DISCORD_CLIENT_SECRET', ' ', '\n'],
    ['DISCORD_API_URL', 'discord.com', 'file:///etc/passwd'],
    ['DISCORD_AUTHORIZE_URL', 'javascript:alert(1)', '/oauth2/authorize'],
    ['DICEBEAR_URL', 'embed', 'EMBEDDED', 'ftp://dicebear.example'],
    ...['BASE_URL', 'DISCORD_API_URL', 'DISCORD_AUTHORIZE_URL', 'DICEBEAR_URL'].map((name): [string, ...string[]] => [
      name,
      ...[
        'https://x?y=1',
        'https://x/?',
        'https://x#f',
        'https://x/#',
        'https://u:p@x',
        'https://u@x',
        'https://x ',
        'https://x;y',
        'https://x,y',
      ],
    ]),
    ['CACHE_MAX_MB', '0', '1.5', '-1', 'all'],
    ['UPSTREAM_TIMEOUT_MS', '-1', '0', '5s', '5000.5'],
    ['TRUST_PROXY', 'true', 'all', '*', '0.0.0.0/0', 'loopback,::/0', '10.0.0.0/33', 'proxy.example', '1,,2'],
    ['TRUST_PROXY', '0.0.0.0/1,128.0.0.0/1', '10.0.0.0/7', '::/1', '2000::/3', 'fc00::/6', '10.0.0.0/8,::/8'],
    ['TRUST_PROXY', '::ffff:0:0/96', '::ffff:128.0.0.0/97', '::ffff:10.0.0.0/103', '::/80', '::ffff:10.0.0.1/8'],
    ['RATE_LIMIT', 'yes', 'ON', 'true', '0'],
    ['LOG_LEVEL', 'loud', 'INFO'],
  ]

  test.each(bad.flatMap(([name, ...values]) => values.map((value) => ({ name, value }))))(
    '$name=$value is refused by name and in words',
    ({ name, value }) => {
      expect(() => readConfig({ ...good, [name]: value })).toThrow(
        new RegExp(`^[^\n]+:(\n {2}${name} (must|is needed) [^\n]+)+$`),
      )
      expect(() => readConfig({ ...good, [name]: value })).not.toThrow(/Invalid input/)
    },
  )

  test('REDIS_URL names a server, a cluster, or a master that sentinels know', () => {
    const redisAt = (url: string) => readConfig({ ...good, REDIS_URL: url }).redis
    expect(redisAt('rediss://user:a%2Cb,c@redis.example:6380/2')).toEqual({
      kind: 'server',
      url: 'rediss://user:a%2Cb,c@redis.example:6380/2',
    })
    expect(redisAt('rediss://user:p%40ss@a:7000, rediss://user:p%40ss@[::1]')).toEqual({
      kind: 'cluster',
      nodes: [
        { host: 'a', port: 7000 },
        { host: '::1', port: 6379 },
      ],
      tls: true,
      username: 'user',
      password: 'p@ss',
    })
    expect(redisAt('sentinel://a:26380,[::1],c/my-master.1')).toEqual({
      kind: 'sentinel',
      name: 'my-master.1',
      sentinels: [
        { host: 'a', port: 26_380 },
        { host: '::1', port: 26_379 },
        { host: 'c', port: 26_379 },
      ],
      tls: false,
    })
    const options = 'db=3&sentinelUser=watcher&sentinelPassword=w%26tch'
    expect(redisAt(`sentinels://user:p%40s,s@a,b/mymaster?${options}`)).toMatchObject({
      kind: 'sentinel',
      tls: true,
      username: 'user',
      password: 'p@s,s',
      db: 3,
      sentinelUser: 'watcher',
      sentinelPassword: 'w&tch',
    })
  })

  test('all that is wrong is named at once, no value among it', () => {
    const wrong = Object.fromEntries(bad.map(([name]) => [name, `wrong value of ${name.toLowerCase()}`]))
    Object.assign(wrong, { DISCORD_CLIENT_ID: ' ', CACHE_DIR: '/dev/null/wrong value' })
    let said = ''
    try {
      readConfig({ ...good, ...wrong, DISCORD_CLIENT_SECRET: '' })
    } catch (error) {
      said = String(error)
    }
    for (const name of [...Object.keys(wrong), 'DISCORD_CLIENT_SECRET']) {
      if (name !== 'SESSION_SECRET') expect(said).toContain(`  ${name} `)
    }
    expect(said).not.toContain('wrong value')
  })

  test.each<Record<string, string>>([
    {},
    { BASE_URL: 'http://localhost:3000' },
    { BASE_URL: 'http://127.0.0.1' },
    { SESSION_SECRET: `${sessionSecret}, ${sessionSecret.toUpperCase()}` },
    { HOST: '0.0.0.0' },
    { HOST: '::1' },
    { HOST: 'my_app.example' },
    { TRUST_PROXY: '1' },
    { TRUST_PROXY: 'loopback, 10.0.0.0/8,fd00::/8' },
    { TRUST_PROXY: 'linklocal,uniquelocal,fc00::/7,2001:db8::/32' },
    { TRUST_PROXY: '203.0.113.7,2001:db8::1,::ffff:203.0.113.7,::ffff:10.0.0.0/104' },
    { DICEBEAR_URL: 'embedded' },
    { DICEBEAR_URL: 'http://dicebear:3000/10.x/' },
    { DISCORD_API_URL: 'http://[::1]:8080/@discord/api', DISCORD_AUTHORIZE_URL: 'http://discord.localhost/authorize/' },
    { PORT: '', CACHE_DIR: '', LOG_LEVEL: '', TRUST_PROXY: '' },
  ])('%o is good', (settings) => {
    expect(readConfig({ ...good, ...settings }).demo).toBe(false)
  })

  test('one Discord credential without the other is refused', () => {
    expect(() => readConfig({ DISCORD_CLIENT_ID: clientId })).toThrow('DISCORD_CLIENT_SECRET')
    expect(() => readConfig({ DISCORD_CLIENT_SECRET: clientSecret })).toThrow('DISCORD_CLIENT_ID')
  })

  test('are read from .env too; the environment wins', async () => {
    const port = await freePort()
    const folder = await mkdtemp(join(tmpdir(), 'dotenv-'))
    cleanUpLater(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, '.env'), `PORT=${port}\nCACHE_DIR=kept here\nLOG_LEVEL=loud\n`)
    const child = spawn(process.execPath, [main], {
      cwd: folder,
      env: { PATH: process.env.PATH, LOG_LEVEL: 'warn' },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    cleanUpLater(async () => {
      child.kill()
    })
    const [said] = await once(child.stderr, 'data')
    expect(String(said)).toContain(`http://localhost:${port} `)
    expect(await readdir(folder)).toContain('kept here')
  })

  test('a cache folder that cannot be made or written to is refused by name, along with all else', async () => {
    const { code, said } = await refused({ PORT: 'abc', HOST: '999.1.1.1', CACHE_DIR: '/proc/avatars' })
    expect(code).toBe(1)
    for (const name of ['PORT', 'HOST', 'CACHE_DIR']) expect(said).toContain(`  ${name} must be `)
    expect(said).not.toMatch(/^\s+at /m)

    const folder = await mkdtemp(join(tmpdir(), 'taken-'))
    cleanUpLater(() => rm(folder, { recursive: true, force: true }))
    const file = join(folder, 'a file')
    await writeFile(file, '')
    const link = join(folder, 'a link to nowhere')
    await symlink(join(folder, 'nowhere'), link)
    for (const CACHE_DIR of [file, join(file, 'below'), link, '/proc', '/proc/avatars/below']) {
      expect(() => readConfig({ ...good, CACHE_DIR })).toThrow(/\n {2}CACHE_DIR must be a folder [^\n]+ \(E[A-Z]+\)$/)
    }
  })

  test('the cache folder is made with those above it, and nothing is left in it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'made-'))
    cleanUpLater(() => rm(folder, { recursive: true, force: true }))
    const CACHE_DIR = join(folder, 'not', 'yet', 'there')
    for (let start = 1; start <= 2; start += 1) {
      readConfig({ ...good, CACHE_DIR })
      expect(await readdir(CACHE_DIR)).toEqual([])
    }
  })

  test('a port that is taken, or an address that is not ours, is told in plain words and by name', async () => {
    const app = await started()
    const { port } = new URL(app.url)
    const taken = await refused({ PORT: port })
    expect([taken.code, taken.said]).toEqual([1, expect.stringContaining(`at HOST=127.0.0.1, PORT=${port}: `)])
    const foreign = await refused({ HOST: '203.0.113.7', PORT: port })
    expect([foreign.code, foreign.said]).toEqual([1, expect.stringContaining(`at HOST=203.0.113.7, PORT=${port}: `)])
    expect(taken.said + foreign.said).not.toMatch(/^\s+at /m)
  })

  test('with a Redis that is not there it starts and stays up', async () => {
    const redis = await openRedis()
    cleanUpLater(() => redis.stop())
    await redis.kill()
    const app = await started({ REDIS_URL: redis.url })
    const visitor = agent(app.url).redirects(0)
    expect((await visitor.get('/')).status).toBe(200)
    expect((await visitor.get('/readyz')).status).toBe(503)
    const since = performance.now()
    const away = await visitor.post('/get_avatar').type('form').send({ style: 'rings' })
    expect([away.status, Number(away.headers['retry-after']) > 0]).toEqual([503, true])
    expect(performance.now() - since).toBeLessThan(2000)
    expect((await visitor.get('/healthz')).status).toBe(200)

    await redis.restart()
    const leaving = async () => (await visitor.post('/get_avatar').type('form').send({ style: 'rings' })).status
    await expect.poll(leaving, { timeout: 5000 }).toBe(302)
  })

  test('with a Redis that is not there it ends as well', async () => {
    const app = await started({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` })
    app.child.kill('SIGTERM')
    expect(await app.exited).toEqual([0, null])
  })
})

describe('SIGTERM', () => {
  // A shell between the two would end alone, and leave the app to nobody.
  test('to `npm start` ends the app, with 0', async () => {
    const [port, folder] = [await freePort(), await mkdtemp(join(tmpdir(), 'npm-start-'))]
    cleanUpLater(() => rm(folder, { recursive: true, force: true }))
    const env = { PATH: process.env.PATH, HOME: folder, PORT: String(port), CACHE_DIR: folder }
    const npm = spawn('npm', ['start'], { cwd: join(import.meta.dirname, '../..'), env, detached: true })
    const { pid } = npm
    cleanUpLater(async () => void (npm.exitCode === null && pid !== undefined && process.kill(-pid, 'SIGKILL')))
    npm.stdout.resume()
    for await (const part of npm.stderr) if (String(part).includes('Open http')) break
    expect((await ask(`http://localhost:${port}`, '/healthz')).status).toBe(200)
    npm.kill('SIGTERM')
    expect(await once(npm, 'exit')).toEqual([0, null])
    await refusedAt(port)
  })

  test('an open request finishes, idle connections do not hold it up, and it ends with 0', async () => {
    const port = await freePort()
    const redirectUri = `http://localhost:${port}/get_avatar`
    const discord = await openDiscord({ clientId, clientSecret, redirectUri })
    const dicebear = await openDiceBear()
    cleanUpLater(() => discord.close())
    cleanUpLater(() => dicebear.close())
    const app = await started({
      PORT: String(port),
      DISCORD_CLIENT_ID: clientId,
      DISCORD_CLIENT_SECRET: clientSecret,
      DISCORD_API_URL: discord.apiUrl,
      DISCORD_AUTHORIZE_URL: discord.authorizeUrl,
      DICEBEAR_URL: dicebear.apiUrl,
    })
    const idle = connect(port, '127.0.0.1')
    await once(idle, 'connect')
    const visitor = agent(app.url).redirects(0)
    const callback = discord.codeFor(await leave(visitor))

    // Discord answers only after the app was told to end.
    const told = new Promise<void>((resolve) => {
      discord.fail(at.user, async (_req, res) => {
        app.child.kill('SIGTERM')
        await refusedAt(port)
        resolve()
        res.writeHead(200, { 'content-type': 'application/json' })
        res.end(JSON.stringify({ id: '816822249063055437', username: 'juniper.moss', discriminator: '0' }))
      })
    })
    const back = await comeBack(visitor, callback).set('Connection', 'keep-alive')
    await told
    expect([back.status, back.headers.location]).toEqual([302, '/show_avatar'])
    expect(back.headers.connection).toBe('close')
    expect(await app.exited).toEqual([0, null])
  }, 60_000)
})

describe('after SIGTERM', { timeout: 60_000 }, () => {
  test('/readyz says no at once, and every answer ends its connection', async () => {
    const app = await started()
    const agent = keptAlive()
    expect((await get(`${app.url}/readyz`, agent)).status).toBe(200)
    app.child.kill('SIGTERM')
    const ready = async () => get(`${app.url}/readyz`, agent)
    await expect.poll(ready, { interval: 1, timeout: 5000 }).toMatchObject({
      status: 503,
      text: '{"status":"closing","dependencies":{"redis":"not used","cache":"ok"}}',
      headers: { connection: 'close' },
    })
    expect(await app.exited).toEqual([0, null])
  })

  test('no request is lost under load: each one that was sent on an open connection has its answer', async () => {
    const app = await started({ RATE_LIMIT: 'off', LOG_LEVEL: 'warn' })
    let answers = 0
    /** Asks on one connection until the app ends it. */
    async function client(): Promise<string> {
      const agent = keptAlive()
      for (;;) {
        try {
          const { status, headers } = await get(`${app.url}/get_avatar`, agent)
          answers += 1
          if (status !== 303) return `answered ${status}`
          if (headers.connection === 'close') return 'ended by an answer'
        } catch (error) {
          return String(error)
        }
      }
    }
    const clients = Array.from({ length: 40 }, client)
    await expect.poll(() => answers, { timeout: 10_000 }).toBeGreaterThan(400)
    app.child.kill('SIGTERM')
    expect(new Set(await Promise.all(clients))).toEqual(new Set(['ended by an answer']))
    expect(await app.exited).toEqual([0, null])
  })

  test('the same signal again, as npm passes it on, changes nothing: the open request has its answer', async () => {
    const app = await started()
    const slow = await openRequest(app)
    app.child.kill('SIGTERM')
    app.child.kill('SIGINT')
    app.child.kill('SIGTERM')
    await refusedAt(Number(new URL(app.url).port))
    slow.write('style=rings')
    const [answer] = await once(slow, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 302 /)
    expect(await app.exited).toEqual([0, null])
  })

  test('another signal later ends it at once', async () => {
    const app = await started()
    await openRequest(app)
    app.child.kill('SIGINT')
    const since = performance.now()
    const again = setInterval(() => app.child.kill('SIGINT'), 100)
    cleanUpLater(async () => clearInterval(again))
    expect(await app.exited).toEqual([1, null])
    expect(performance.now() - since).toBeLessThan(5000)
  })
})

describe('an error that nobody caught', { timeout: 60_000 }, () => {
  const faults = {
    'an exception': `throw new Error('out of the blue')`,
    'a rejection': `Promise.reject(new Error('out of the blue'))`,
  }

  test.each(Object.entries(faults))('%s is told in one line, and the app closes and ends with 1', async (_, fault) => {
    const code = `process.on('SIGUSR2', () => { ${fault} })`
    const app = await started({ NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` })
    const open = await openRequest(app)
    app.child.kill('SIGUSR2')
    await refusedAt(Number(new URL(app.url).port))
    open.write('style=rings')
    const [answer] = await once(open, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 302 /)
    expect(await app.exited).toEqual([1, null])
    const fatal = linesOf(app).filter(({ level }) => level === 60)
    expect(fatal).toMatchObject([{ msg: 'uncaught', err: { type: 'Error', message: 'out of the blue' } }])
    expect(linesOf(app).at(-1)?.req?.path).toBe('/get_avatar')
  })
})

describe('idle connections do not hold up the end', () => {
  const soonMs = 5000

  /** Kills the app, and gives the time that it took to end. */
  async function end(app: StartedApp, signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM'): Promise<number> {
    const since = performance.now()
    app.child.kill(signal)
    expect(await app.exited).toEqual([0, null])
    return performance.now() - since
  }

  test('one whose request was answered long ago', async () => {
    const app = await started()
    expect((await get(`${app.url}/`, keptAlive())).status).toBe(200)
    expect(await end(app, 'SIGINT')).toBeLessThan(soonMs)
  })

  test('one that never said a word, as browsers open them in advance', async () => {
    const app = await started()
    const silent = connect(Number(new URL(app.url).port), '127.0.0.1')
    cleanUpLater(async () => {
      silent.destroy()
    })
    await once(silent, 'connect')
    // Answered on another connection, so the silent one is taken by now.
    expect((await ask(app.url, '/healthz')).status).toBe(200)
    expect(await end(app)).toBeLessThan(soonMs)
  })

  test('one whose request was still open then', async () => {
    const port = await freePort()
    const discord = await openDiscord({ clientId, clientSecret, redirectUri: `http://localhost:${port}/get_avatar` })
    cleanUpLater(() => discord.close())
    const app = await started({
      PORT: String(port),
      DISCORD_CLIENT_ID: clientId,
      DISCORD_CLIENT_SECRET: clientSecret,
      DISCORD_API_URL: discord.apiUrl,
      DISCORD_AUTHORIZE_URL: discord.authorizeUrl,
      DICEBEAR_URL: 'embedded',
    })
    const leaving = await ask(app.url, '/get_avatar', formOf({ style: 'rings' }))
    const [cookie = ''] = String(leaving.headers['set-cookie']).split(';')
    discord.delay(at.user, 500)
    const back = get(discord.codeFor(String(leaving.headers.location)), keptAlive(), { Cookie: cookie })
    await expect.poll(() => discord.count(at.user), { timeout: 5000 }).toBe(1)
    const ended = end(app)
    expect((await back).status).toBe(302)
    expect(await ended).toBeLessThan(soonMs)
  })
})

/** A request whose body is still to come. */
async function openRequest(app: StartedApp): Promise<Socket> {
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write('POST /get_avatar HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n')
  socket.write('Content-Length: 11\r\nExpect: 100-continue\r\n\r\n')
  await once(socket, 'data') // "100 Continue": the app has the request
  return socket
}

/** One request on a connection that stays open. */
function get(url: string, agent: Agent, headers: Record<string, string> = {}) {
  return new Promise<{ status: number; headers: IncomingHttpHeaders; text: string }>((resolve, reject) => {
    const asking = request(url, { agent, headers }, (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (part: string) => {
        text += part
      })
      answer.on('error', reject)
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }))
    })
    asking.on('error', reject)
    asking.end()
  })
}

/** Keeps one connection, and opens another only when that has ended. */
function keptAlive(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  cleanUpLater(async () => agent.destroy())
  return agent
}

/** Resolves when nobody takes connections at the port any more. */
async function refusedAt(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const took = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (!took) return
  }
}

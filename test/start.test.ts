import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { agent } from 'supertest'
import { afterEach, describe, expect, test } from 'vitest'
import { readConfig } from '../src/config.ts'
import { agreeAtDiscord, at, openDiceBear, openDiscord } from './support/doubles.ts'
import { clientId, clientSecret, comeBack, leave, sessionSecret, shownAvatar } from './support/open-app.ts'
import { freePort, main, startApp } from './support/start-app.ts'

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

describe('the demo, with no settings at all', () => {
  test('prints the address, and the whole visit works, with every page saying that it is the demo', async () => {
    const app = await started()
    expect(app.output.stderr).toContain(`Open ${app.url} `)
    const visitor = agent(app.url).redirects(0)
    const form = await visitor.get('/')
    const callback = await agreeAtDiscord(await leave(visitor))
    const back = await comeBack(visitor, callback)
    expect([back.status, back.headers.location]).toEqual([302, '/show_avatar'])
    const page = await visitor.get('/show_avatar')
    const svg = await visitor.get(`/avatars/${shownAvatar(page.text)}.svg`)
    expect(svg.body.toString()).toMatch(/^<svg /)
    const others = await Promise.all(
      ['/licences', '/nowhere', '/get_avatar?code=x&state=y'].map((path) => visitor.get(path)),
    )
    for (const { text } of [form, page, ...others]) expect(text).toContain('played by stand-ins here')
  })

  test('logs one JSON line for each request, with no query of the callback', async () => {
    const app = await started()
    const visitor = agent(app.url).redirects(0)
    await visitor.get('/licences').set('User-Agent', 'a browser')
    await visitor.get('/get_avatar?code=the-code&state=the-state')
    await visitor.get('/%0d%0a{"forged":1}')
    await app.stop()
    const lines = app.output.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const requests = lines.filter(({ req }) => req !== undefined)
    expect(requests.map(({ req, res }) => [req.path, res.statusCode])).toEqual([
      ['/licences', 200],
      ['/get_avatar', 400],
      ['/%0d%0a%7B%22forged%22:1%7D', 404],
    ])
    expect(app.output.stdout).not.toMatch(/the-code|the-state/)
  })
})

describe('settings', () => {
  test('production names everything that is missing or weak at once, and no value', async () => {
    const { code, said } = await refused({
      NODE_ENV: 'production',
      SESSION_SECRET: 'too short to be secret',
      BASE_URL: 'http://avatars.example',
    })
    expect(code).toBe(1)
    for (const name of ['SESSION_SECRET', 'BASE_URL', 'REDIS_URL', 'DISCORD_CLIENT_ID', 'DISCORD_CLIENT_SECRET']) {
      expect(said).toContain(name)
    }
    expect(said).not.toMatch(/too short to be secret|avatars\.example/)
  })

  test.each([
    ['PORT', '0'],
    ['PORT', '80 '],
    ['PORT', '65536'],
    ['BASE_URL', 'https://avatars.example/path'],
    ['BASE_URL', 'avatars.example'],
    ['SESSION_SECRET', `${sessionSecret},short`],
    ['REDIS_URL', 'http://127.0.0.1:6379'],
    ['DISCORD_API_URL', 'discord.com'],
    ['DISCORD_AUTHORIZE_URL', 'javascript:alert(1)'],
    ['DICEBEAR_URL', 'embed'],
    ['CACHE_MAX_MB', '0'],
    ['CACHE_MAX_MB', '1.5'],
    ['UPSTREAM_TIMEOUT_MS', '-1'],
    ['TRUST_PROXY', 'true'],
    ['TRUST_PROXY', '0.0.0.0/0'],
    ['TRUST_PROXY', 'loopback,::/0'],
    ['RATE_LIMIT', 'yes'],
    ['LOG_LEVEL', 'loud'],
  ])('%s=%s is refused by name', (name, value) => {
    expect(() => readConfig({ [name]: value })).toThrow(`  ${name} `)
  })

  test('one Discord credential without the other is refused', () => {
    expect(() => readConfig({ DISCORD_CLIENT_ID: clientId })).toThrow('DISCORD_CLIENT_SECRET')
    expect(() => readConfig({ DISCORD_CLIENT_SECRET: clientSecret })).toThrow('DISCORD_CLIENT_ID')
  })

  test('are read from .env too; the environment wins', async () => {
    const port = await freePort()
    const folder = await mkdtemp(join(tmpdir(), 'dotenv-'))
    cleanUpLater(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, '.env'), `PORT=${port}\nLOG_LEVEL=loud\n`)
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
  })

  test('a cache folder that cannot be made, or a port that is taken, is told in plain words', async () => {
    const folder = await refused({ CACHE_DIR: '/proc/avatars' })
    expect([folder.code, folder.said]).toEqual([1, expect.stringContaining('/proc/avatars')])
    const app = await started()
    const port = await refused({ PORT: new URL(app.url).port })
    expect([port.code, port.said]).toEqual([1, expect.stringContaining('Cannot listen')])
    expect(folder.said + port.said).not.toMatch(/^\s+at /m)
  })

  test('with a Redis that is not there it starts and stays up', async () => {
    const app = await started({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` })
    const visitor = agent(app.url).redirects(0)
    expect((await visitor.get('/')).status).toBe(200)
    expect((await visitor.get('/readyz')).status).toBe(503)
    expect((await visitor.post('/get_avatar').type('form').send({ style: 'rings' })).status).toBe(503)
    expect((await visitor.get('/healthz')).status).toBe(200)
  })
})

describe('SIGTERM', () => {
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
    const back = await comeBack(visitor, callback)
    await told
    expect([back.status, back.headers.location]).toEqual([302, '/show_avatar'])
    expect(await app.exited).toEqual([0, null])
  }, 15_000)
})

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

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { agent } from 'supertest'
import { describe, expect, type TestContext, test } from 'vitest'
import { z } from 'zod'
import { demoAccounts } from '../../src/demo/accounts.ts'
import { words } from '../../src/pages/words.ts'
import { ask, formOf } from '../support/ask.ts'
import { agreeAtDiscord } from '../support/consent.ts'
import { at, openDiceBear, openDiscord } from '../support/doubles.ts'
import { freePort } from '../support/free-port.ts'
import { clientId, clientSecret, comeBack, leave, shownAvatar } from '../support/open-app.ts'
import { openRedis } from '../support/redis.ts'
import { main, type StartedApp, startAndFail, startApp } from '../support/start-app.ts'

async function started({ onTestFinished }: TestContext, settings: Record<string, string> = {}) {
  const app = await startApp(settings)
  onTestFinished(() => app.stop())
  return app
}

const Line = z.looseObject({
  level: z.number(),
  time: z.number(),
  msg: z.string().optional(),
  req: z.looseObject({ method: z.string(), path: z.string() }).optional(),
  res: z.looseObject({ statusCode: z.number() }).optional(),
})

/** Returns the lines of the log so far. Throws if a line is not JSON. */
const linesOf = ({ output }: StartedApp) =>
  output.stdout
    .trim()
    .split('\n')
    .map((line) => Line.parse(JSON.parse(line)))

describe('the demo, without any settings', () => {
  test('prints its address; a whole visit works, and every page says that it is a demo', async (context) => {
    const app = await started(context)
    await expect.poll(() => app.output.stderr).toContain(`Open ${app.url} in a browser (demo: `)
    expect(linesOf(app)).toContainEqual(
      expect.objectContaining({ level: 30, msg: 'listening', address: app.url, demo: true }),
    )
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
    const { origin, pathname: ofPicture } = new URL(picture.replaceAll('&amp;', '&'), app.url)
    expect([origin, (await visitor.get(ofPicture)).status]).toEqual([app.url, 200])
    const others = await Promise.all([
      ...['/privacy', '/licences', '/nowhere', '/get_avatar?code=x&state=y'].map((path) => visitor.get(path)),
      visitor.post('/get_avatar').type('form').send({ style: 'nope' }),
      visitor.post('/get_avatar').set('Origin', 'https://evil.example'),
      visitor.put('/'),
    ])
    for (const { text } of [form, consent, page, ...others]) expect(text).toContain('played by stand-ins here')
    expect(others[0]?.text).toContain('<strong>In this demo</strong> stand-ins')
    expect(consent.headers['x-frame-options']).toBe('DENY')
    // The stand-in's page names the accounts, of which the first is chosen, and what the app may do.
    const label = /value="(\d+)"( checked)?>.*?<bdi>(.*?)<\/bdi>.*?<bdi>(.*?)<\/bdi>/g
    expect([...consent.text.matchAll(label)].map(([, ...account]) => account)).toEqual(
      demoAccounts.map(({ id, globalName, username }, i) => [
        id,
        i === 0 ? ' checked' : undefined,
        globalName ?? username,
        username,
      ]),
    )
    const [, ozzy] = demoAccounts
    const Cookie = `stand_in_discord=${ozzy?.id}`
    const known = await ask(app.url, pathname + search.replace('prompt=none', 'prompt=consent'), {
      headers: { Cookie },
    })
    const chosen = [...known.text.matchAll(label)].filter(([, , checked]) => checked)
    expect(chosen.map(([, id]) => id)).toEqual([ozzy?.id])
    const lines = [...consent.text.matchAll(/<li( class="yes")?><svg .*?<path d="(.*?)".*?<span>(.*?)<\/span><\/li>/gs)]
    expect(new Set(lines.map(([, may, icon]) => `${may} ${icon}`)).size).toBe(2)
    expect(lines.map(([, may, , text]) => [may !== undefined, text])).toEqual([
      ...words.consent.may.map((text) => [true, text]),
      ...words.consent.mayNot.map((text) => [false, text]),
    ])
    expect(consent.text).toContain('<strong>A rehearsal, not Discord.</strong>')
    expect(consent.text).toContain(`<fieldset role="radiogroup">\n<legend class="unseen">${words.consent.accounts}<`)
    expect(consent.text).toContain(`data-busy="${words.script.working}">${words.consent.agree}`)
    expect(consent.text).toContain(`value="decline">${words.consent.decline}`)
    // The app calls the stand-ins over HTTP, with the client that also calls the real services.
    const asked = linesOf(app).flatMap(({ req }) => (req ? [`${req.method} ${req.path}`] : []))
    expect(asked).toContain('POST /demo/discord/api/v10/oauth2/token')
    expect(asked).toContain('GET /demo/discord/api/v10/users/@me')
    expect(asked).toContain('GET /demo/dicebear/10.x/adventurer/svg')
  })

  test('logs one JSON line per request, without the query', async (context) => {
    const app = await started(context)
    const visitor = agent(app.url).redirects(0)
    await visitor.get('/licences').set('User-Agent', 'a browser')
    await visitor.get('/get_avatar?code=the-code&state=the-state')
    await visitor.get('/%0d%0a{"forged":1}')
    // Requests for these two are not logged, because monitors send them every few seconds.
    for (const path of ['/healthz', '/readyz']) expect((await visitor.get(path)).status).toBe(200)
    await app.stop('SIGTERM')
    expect(linesOf(app).filter(({ msg }) => msg === 'closing')).toHaveLength(1)
    const requests = linesOf(app).filter(({ req }) => req !== undefined)
    expect(requests.map(({ req, res }) => [req?.path, res?.statusCode])).toEqual([
      ['/licences', 200],
      ['/get_avatar', 400],
      ['/%0d%0a%7B%22forged%22:1%7D', 404],
    ])
    expect(app.output.stdout).not.toMatch(/the-code|the-state/)
  })
})

test('no request can forge a log line', async (context) => {
  const app = await started(context, { LOG_LEVEL: 'trace' })
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
  expect(lines.filter(({ msg, level }) => msg === 'forged' || level >= 40)).toEqual([])
  expect([...app.output.stdout].filter((character) => character < ' ' && character !== '\n')).toEqual([])
})

/** Sends a request without the encoding that clients do, and waits for the end of the answer. */
async function sendRaw(port: number, path: string, headers: Record<string, string>): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${lines.join('')}\r\n`, 'latin1')
  socket.resume()
  await once(socket, 'end')
}

describe('settings', () => {
  test('that are missing or weak in production are all named at once, without their values', async () => {
    const weak = { SESSION_SECRET: 'too short to be secret', BASE_URL: 'http://avatars.example' }
    for (const settings of [weak, { ...weak, NODE_ENV: 'production' }]) {
      const { code, output } = await startAndFail(settings)
      expect(code).toBe(1)
      for (const name of ['SESSION_SECRET', 'BASE_URL', 'REDIS_URL', 'DISCORD_CLIENT_ID', 'DISCORD_CLIENT_SECRET']) {
        expect(output).toContain(`  ${name} `)
      }
      expect(output).not.toMatch(/too short to be secret|avatars\.example|^\s+at /m)
    }
  })

  test('are read from .env, too, but the environment takes precedence', async ({ onTestFinished }) => {
    const port = await freePort()
    const folder = await mkdtemp(join(tmpdir(), 'dotenv-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    await writeFile(join(folder, '.env'), `PORT=${port}\nCACHE_DIR=kept here\nLOG_LEVEL=loud\n`)
    const child = spawn(process.execPath, [main], {
      cwd: folder,
      env: { PATH: process.env.PATH, LOG_LEVEL: 'warn' },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    onTestFinished(async () => {
      child.kill()
    })
    const [output] = await once(child.stderr, 'data')
    expect(String(output)).toContain(`http://localhost:${port} `)
    expect(await readdir(folder)).toContain('kept here')
  })

  test('that are wrong are all named at once, among them a cache folder that cannot be created', async () => {
    const { code, output } = await startAndFail({ PORT: 'abc', HOST: '999.1.1.1', CACHE_DIR: '/proc/avatars' })
    expect(code).toBe(1)
    for (const name of ['PORT', 'HOST', 'CACHE_DIR']) expect(output).toContain(`  ${name} must be `)
    expect(output).not.toMatch(/^\s+at /m)
  })

  test('are named if the app cannot listen at their port or address', async (context) => {
    const app = await started(context)
    const { port } = new URL(app.url)
    const taken = await startAndFail({ PORT: port })
    expect([taken.code, taken.output]).toEqual([1, expect.stringContaining(`at HOST=127.0.0.1, PORT=${port}: `)])
    const foreign = await startAndFail({ HOST: '203.0.113.7', PORT: port })
    expect([foreign.code, foreign.output]).toEqual([1, expect.stringContaining(`at HOST=203.0.113.7, PORT=${port}: `)])
    expect(taken.output + foreign.output).not.toMatch(/^\s+at /m)
  })
})

describe('while Redis is down', () => {
  test('the app starts and stays up, and recovers when Redis returns', async (context) => {
    const redis = await openRedis()
    context.onTestFinished(() => redis.stop())
    await redis.kill()
    const app = await started(context, { REDIS_URL: redis.url })
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

  test('SIGTERM ends the app', async (context) => {
    const app = await started(context, { REDIS_URL: `redis://127.0.0.1:${await freePort()}` })
    app.child.kill('SIGTERM')
    expect(await app.exited).toEqual([0, null])
  })
})

describe('SIGTERM', () => {
  // npm starts scripts with a shell. If the shell did not exec the app, it would end without passing the signal on.
  test('ends `npm start` with exit code 0', async ({ onTestFinished }) => {
    const [port, folder] = [await freePort(), await mkdtemp(join(tmpdir(), 'npm-start-'))]
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const env = { PATH: process.env.PATH, HOME: folder, PORT: String(port), CACHE_DIR: folder }
    const npm = spawn('npm', ['start'], { cwd: join(import.meta.dirname, '../..'), env, detached: true })
    const { pid } = npm
    onTestFinished(async () => void (npm.exitCode === null && pid !== undefined && process.kill(-pid, 'SIGKILL')))
    npm.stdout.resume()
    for await (const part of npm.stderr) if (String(part).includes('Open http')) break
    expect((await ask(`http://localhost:${port}`, '/healthz')).status).toBe(200)
    npm.kill('SIGTERM')
    expect(await once(npm, 'exit')).toEqual([0, null])
    await untilRefused(port)
  })

  test('ends the app with exit code 0 after open requests, without waiting for idle connections', async (context) => {
    const port = await freePort()
    const redirectUri = `http://localhost:${port}/get_avatar`
    const discord = await openDiscord({ clientId, clientSecret, redirectUri })
    const dicebear = await openDiceBear()
    context.onTestFinished(() => discord.close())
    context.onTestFinished(() => dicebear.close())
    const app = await started(context, {
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

    // Discord answers only after the app has received the signal.
    const signalled = new Promise<void>((resolve) => {
      discord.fail(at.user, async (_req, res) => {
        app.child.kill('SIGTERM')
        await untilRefused(port)
        resolve()
        res.writeHead(200, { 'content-type': 'application/json' })
        res.end(JSON.stringify({ id: '816822249063055437', username: 'juniper.moss', discriminator: '0' }))
      })
    })
    const back = await comeBack(visitor, callback).set('Connection', 'keep-alive')
    await signalled
    expect([back.status, back.headers.location]).toEqual([302, '/show_avatar'])
    expect(back.headers.connection).toBe('close')
    expect(await app.exited).toEqual([0, null])
  }, 60_000)
})

/** Well before the nine seconds after which open connections are cut off. */
const soonMs = 8000

describe.concurrent('after SIGTERM', { timeout: 60_000 }, () => {
  test('/readyz answers 503 at once, and every answer closes its connection', async (context) => {
    const app = await started(context)
    const agent = keptAlive(context)
    expect((await get(`${app.url}/readyz`, agent)).status).toBe(200)
    app.child.kill('SIGTERM')
    const ready = async () => get(`${app.url}/readyz`, agent)
    await context.expect.poll(ready, { interval: 1, timeout: 5000 }).toMatchObject({
      status: 503,
      text: '{"status":"closing","dependencies":{"redis":"not used","cache":"ok","pictures":"ok"}}',
      headers: { connection: 'close' },
    })
    expect(await app.exited).toEqual([0, null])
  })

  test('/readyz?exclude=dependencies answers 503, too', async (context) => {
    const app = await started(context)
    const agent = keptAlive(context)
    const ready = async () => get(`${app.url}/readyz?exclude=dependencies`, agent)
    expect(await ready()).toMatchObject({ status: 200, text: '{"status":"ok"}' })
    app.child.kill('SIGTERM')
    await context.expect.poll(ready, { interval: 1, timeout: 5000 }).toMatchObject({
      status: 503,
      text: '{"status":"closing"}',
    })
  })

  test('a request that does not end is cut off, so that the app ends within 10 s, with exit code 0', async (context) => {
    const app = await started(context)
    await openRequest(app)
    const since = performance.now()
    app.child.kill('SIGTERM')
    expect(await app.exited).toEqual([0, null])
    expect(performance.now() - since).toBeLessThan(10_000)
    expect(performance.now() - since).toBeGreaterThan(soonMs) // a slow request has nearly as long
  })

  test('no request on an open connection is lost under load', async (context) => {
    const app = await started(context, { RATE_LIMIT: 'off', LOG_LEVEL: 'warn' })
    let answers = 0
    /** Sends requests on one connection until the app closes it. */
    async function client(): Promise<string> {
      const agent = keptAlive(context)
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
    await context.expect.poll(() => answers, { timeout: 10_000 }).toBeGreaterThan(400)
    app.child.kill('SIGTERM')
    expect(new Set(await Promise.all(clients))).toEqual(new Set(['ended by an answer']))
    expect(await app.exited).toEqual([0, null])
  })

  test('the same signal again at once, as npm forwards it, does not cut off an open request', async (context) => {
    const app = await started(context)
    const slow = await openRequest(app)
    const since = performance.now()
    app.child.kill('SIGTERM')
    app.child.kill('SIGINT')
    app.child.kill('SIGTERM')
    await untilRefused(Number(new URL(app.url).port))
    // Until load balancers have noticed the 503 of /readyz.
    expect(performance.now() - since).toBeGreaterThan(900)
    slow.write('style=rings')
    const [answer] = await once(slow, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 302 /)
    expect(await app.exited).toEqual([0, null])
  })

  test('a second signal later ends the process at once', async (context) => {
    const app = await started(context)
    await openRequest(app)
    app.child.kill('SIGINT')
    const since = performance.now()
    const again = setInterval(() => app.child.kill('SIGINT'), 100)
    context.onTestFinished(async () => clearInterval(again))
    expect(await app.exited).toEqual([1, null])
    const endedAfterMs = performance.now() - since
    expect(endedAfterMs).toBeGreaterThan(900) // npm may forward the first signal late
    expect(endedAfterMs).toBeLessThan(soonMs)
  })
})

describe.concurrent('an uncaught error', { timeout: 60_000 }, () => {
  const faults = {
    'an exception': `throw new Error('out of the blue')`,
    'a rejection': `Promise.reject(new Error('out of the blue'))`,
  }

  test.for(Object.entries(faults))(
    'such as %s is logged in one line, open requests finish, and the exit code is 1',
    async ([, fault], context) => {
      const code = `process.on('SIGUSR2', () => { ${fault} })`
      const app = await started(context, { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` })
      const open = await openRequest(app)
      app.child.kill('SIGUSR2')
      await untilRefused(Number(new URL(app.url).port))
      open.write('style=rings')
      const [answer] = await once(open, 'data')
      expect(String(answer)).toMatch(/^HTTP\/1\.1 302 /)
      expect(await app.exited).toEqual([1, null])
      const fatal = linesOf(app).filter(({ level }) => level === 60)
      expect(fatal).toMatchObject([{ msg: 'uncaught', err: { type: 'Error', message: 'out of the blue' } }])
      expect(linesOf(app).at(-1)?.req?.path).toBe('/get_avatar')
    },
  )
})

describe.concurrent('the exit code after SIGTERM is 1 after', { timeout: 60_000 }, () => {
  test('an uncaught error meanwhile', async (context) => {
    const code = `process.on('SIGUSR2', () => { throw new Error('out of the blue') })`
    const app = await started(context, { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` })
    const slow = await openRequest(app)
    app.child.kill('SIGTERM')
    await context.expect.poll(() => app.output.stdout).toContain('"msg":"closing"')
    app.child.kill('SIGUSR2')
    await context.expect.poll(() => app.output.stdout).toContain('"msg":"uncaught"')
    slow.write('style=rings')
    expect(String((await once(slow, 'data'))[0])).toMatch(/^HTTP\/1\.1 302 /)
    expect(await app.exited).toEqual([1, null])
    expect(linesOf(app).filter(({ msg }) => msg === 'closing')).toHaveLength(1)
  })

  test('something that cannot be closed, which is logged', async (context) => {
    const code = `import https from 'node:https'
      https.Agent.prototype.destroy = () => { throw new Error('stuck') }`
    const app = await started(context, { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` })
    app.child.kill('SIGTERM')
    expect(await app.exited).toEqual([1, null])
    const err = expect.objectContaining({ message: 'stuck' })
    expect(linesOf(app)).toContainEqual(expect.objectContaining({ level: 60, msg: 'not closed', err }))
  })
})

describe.concurrent('the end after SIGTERM or SIGINT is not delayed by', () => {
  /** Sends the signal and returns the milliseconds until the app ended. */
  async function end(app: StartedApp, signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM'): Promise<number> {
    const since = performance.now()
    app.child.kill(signal)
    expect(await app.exited).toEqual([0, null])
    return performance.now() - since
  }

  test('a connection whose request was answered', async (context) => {
    const app = await started(context)
    expect((await get(`${app.url}/`, keptAlive(context))).status).toBe(200)
    expect(await end(app, 'SIGINT')).toBeLessThan(soonMs)
  })

  test('a connection that was never used, as browsers open them in advance', async (context) => {
    const app = await started(context)
    const silent = connect(Number(new URL(app.url).port), '127.0.0.1')
    context.onTestFinished(async () => {
      silent.destroy()
    })
    await once(silent, 'connect')
    // An answer on a later connection proves that the app has accepted this one.
    expect((await ask(app.url, '/healthz')).status).toBe(200)
    expect(await end(app)).toBeLessThan(soonMs)
  })

  test('a connection whose request was open at SIGTERM', async (context) => {
    const port = await freePort()
    const discord = await openDiscord({ clientId, clientSecret, redirectUri: `http://localhost:${port}/get_avatar` })
    context.onTestFinished(() => discord.close())
    const app = await started(context, {
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
    const back = get(discord.codeFor(String(leaving.headers.location)), keptAlive(context), { Cookie: cookie })
    await context.expect.poll(() => discord.count(at.user), { timeout: 5000 }).toBe(1)
    const ended = end(app)
    expect((await back).status).toBe(302)
    expect(await ended).toBeLessThan(soonMs)
  })
})

/** Opens a connection and sends a request without its body. */
async function openRequest(app: StartedApp): Promise<Socket> {
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write('POST /get_avatar HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n')
  socket.write('Content-Length: 11\r\nExpect: 100-continue\r\n\r\n')
  await once(socket, 'data') // "100 Continue" proves that the app has the request
  return socket
}

/** Sends one request on a connection that stays open. */
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

/** Returns an agent that keeps one connection, and opens another only when that one has ended. */
function keptAlive({ onTestFinished }: TestContext): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(async () => agent.destroy())
  return agent
}

/** Resolves when connections to the port are refused. */
async function untilRefused(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const accepted = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (!accepted) return
  }
}

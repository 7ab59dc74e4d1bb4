import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { agent } from 'supertest'
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { makeCertificate } from '../support/certificate.ts'
import { at, type DiceBearDouble, type DiscordDouble, openDiceBear, openDiscord } from '../support/doubles.ts'
import { freePort } from '../support/free-port.ts'
import {
  clientId,
  clientSecret,
  comeBack,
  leave,
  openApp,
  signIn as signInAt,
  type Visitor,
} from '../support/open-app.ts'
import { startApp } from '../support/start-app.ts'
import { openProxy, openTlsFront } from '../support/tunnels.ts'

type Server = Awaited<ReturnType<typeof openTlsFront>>

let folder: string
let certificate: string
let discord: DiscordDouble
let dicebear: DiceBearDouble
let fronts: [discord: Server, dicebear: Server]
let proxy: Awaited<ReturnType<typeof openProxy>>
let port: number

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proxy-'))
  const made = await makeCertificate(folder, 'discord.test', 'localhost')
  certificate = made.certificate
  const tls = { cert: await readFile(made.certificate), key: await readFile(made.key) }
  port = await freePort()
  discord = await openDiscord({ clientId, clientSecret, redirectUri: `http://localhost:${port}/get_avatar` })
  dicebear = await openDiceBear()
  fronts = [await openTlsFront(tls, portOf(discord)), await openTlsFront(tls, portOf(dicebear))]
})
afterAll(async () => {
  for (const front of fronts) front.close()
  await Promise.all([discord.close(), dicebear.close()])
  await rm(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  proxy = await openProxy({ 'discord.test:443': fronts[0].port })
})
afterEach(() => {
  discord.heal()
  proxy.close()
})

const portOf = ({ url }: { url: string }) => Number(new URL(url).port)

/** Starts the app with Discord at a host name that only the proxy knows, and DiceBear on loopback, both with https. */
async function started(settings: Record<string, string>) {
  const app = await startApp({
    PORT: String(port),
    DISCORD_CLIENT_ID: clientId,
    DISCORD_CLIENT_SECRET: clientSecret,
    DISCORD_API_URL: 'https://discord.test/api/v10',
    DISCORD_AUTHORIZE_URL: discord.authorizeUrl,
    DICEBEAR_URL: `https://localhost:${fronts[1].port}/10.x`,
    UPSTREAM_TIMEOUT_MS: '5000',
    NODE_EXTRA_CA_CERTS: certificate,
    ...settings,
  })
  onTestFinished(() => app.stop())
  return app
}

const proxyUrl = () => `http://127.0.0.1:${proxy.port}`

async function signIn(url: string) {
  const visitor: Visitor = agent(url).redirects(0)
  return comeBack(visitor, discord.codeFor(await leave(visitor)))
}

test.each(['HTTPS_PROXY', 'https_proxy'])(
  'calls to Discord go through the proxy in %s, calls to loopback do not',
  async (name) => {
    const app = await started({ [name]: proxyUrl() })
    const drawn = dicebear.count(at.svg)
    const back = await signIn(app.url)
    expect([back.status, back.headers.location]).toEqual([302, '/show_avatar'])
    expect(new Set(proxy.requests.map(({ target }) => target))).toEqual(new Set(['discord.test:443']))
    expect(dicebear.count(at.svg)).toBe(drawn + 1)
    expect(app.output.stdout).not.toContain('drawn here instead of at DiceBear')
  },
)

test('user and password of the proxy are sent to it, and not logged', async () => {
  const app = await started({
    HTTPS_PROXY: `127.0.0.1:${proxy.port}`.replace(/^/, 'http://jo:p%40ss-word@'),
    LOG_LEVEL: 'trace',
  })
  expect((await signIn(app.url)).status).toBe(302)
  const authorization = `Basic ${Buffer.from('jo:p@ss-word').toString('base64')}`
  expect(new Set(proxy.requests.map((request) => request.authorization))).toEqual(new Set([authorization]))
  proxy.fault.answer = (socket) => socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
  await signIn(app.url)
  await app.stop('SIGTERM')
  expect(app.output.stdout + app.output.stderr).not.toMatch(/p(@|%40)ss-word|am86cEBzcy13b3Jk/)
})

test('the proxy’s address may be given with or without http://', async () => {
  const app = await started({ HTTPS_PROXY: `localhost:${proxy.port}` })
  expect((await signIn(app.url)).status).toBe(302)
})

test.each(['NO_PROXY', 'no_proxy'])('hosts in %s are called directly', async (name) => {
  const app = await started({ HTTPS_PROXY: proxyUrl(), [name]: 'other.test, discord.test' })
  expect((await signIn(app.url)).status).toBe(502) // because only the proxy knows where discord.test is
  expect(proxy.requests).toEqual([])
})

test.each(['localhost', 'pictures.localhost', '127.0.0.1', '127.255.255.254', '[::1]'])(
  'the loopback host %s is called directly',
  async (host) => {
    const settings = { HTTPS_PROXY: proxyUrl(), DICEBEAR_URL: `https://${host}:${await freePort()}/10.x` }
    const app = await openApp({ settings })
    onTestFinished(() => app.close())
    expect((await signInAt(app, app.visitor())).headers.location).toBe('/show_avatar')
    expect(app.logged.join()).toContain('drawn here instead of at DiceBear')
    expect(proxy.requests).toEqual([])
  },
)

test('a kept-alive connection that Discord has just closed is replaced by a new one through the proxy', async () => {
  const app = await started({ HTTPS_PROXY: proxyUrl() })
  discord.fail(at.user, (req) => req.socket.destroy(), { times: 1 })
  expect((await signIn(app.url)).headers.location).toBe('/show_avatar')
  expect(proxy.requests).toHaveLength(2)
})

test.each<[what: string, status: number, answer: Exclude<typeof proxy.fault.answer, undefined>]>([
  ['refuses', 502, (socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')],
  ['hangs up', 502, (socket) => socket.destroy()],
  ['does not speak HTTP', 502, (socket) => socket.end('220 ready\r\n')],
  ['does not answer', 504, () => undefined],
])(
  'with a proxy that %s a sign-in gets %i within the time limit, and the next one succeeds',
  async (_what, status, answer) => {
    const app = await started({ HTTPS_PROXY: proxyUrl(), UPSTREAM_TIMEOUT_MS: '2000' })
    proxy.fault.answer = answer
    const startMs = performance.now()
    expect((await signIn(app.url)).status).toBe(status)
    expect(performance.now() - startMs).toBeLessThan(4000)
    delete proxy.fault.answer
    expect((await signIn(app.url)).headers.location).toBe('/show_avatar')
  },
)

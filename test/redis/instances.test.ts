import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Account } from '../../src/demo/accounts.ts'
import { words } from '../../src/pages/words.ts'
import { ask } from '../support/ask.ts'
import { type DiceBearDouble, type DiscordDouble, openDiceBear, openDiscord } from '../support/doubles.ts'
import { freePort } from '../support/free-port.ts'
import { type Nginx, openNginx, otherPaths, siteFile, siteUrl } from '../support/nginx.ts'
import { clientId, clientSecret, comeBack, leave, look, sessionSecret, shownAvatar } from '../support/open-app.ts'
import { openRedis, type Redis } from '../support/redis.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'
import { cookiesOf, setCookie } from '../support/visits.ts'

// The site as it runs on a server: nginx with deploy/nginx.conf, two instances in production, each with its own cache,
// and one Redis. Only Discord and DiceBear are stand-ins, at the network.
let redis: Redis
let discord: DiscordDouble
let dicebear: DiceBearDouble
let nginx: Nginx
let ports: [number, number]
let instances: [StartedApp, StartedApp]

/** A sign-out revokes all tokens of its account, so visitors at the same time have different accounts. */
const accounts: Account[] = Array.from({ length: 8 }, (_, n) => ({
  id: `81682224906305543${n}`,
  username: `visitor.${n}`,
  globalName: null,
  discriminator: '0',
  avatar: null,
}))

type Browser = ReturnType<Nginx['visitor']>

const startInstance = (port: number) =>
  startApp({
    NODE_ENV: 'production',
    PORT: String(port),
    BASE_URL: siteUrl,
    SESSION_SECRET: sessionSecret,
    REDIS_URL: redis.url,
    DISCORD_CLIENT_ID: clientId,
    DISCORD_CLIENT_SECRET: clientSecret,
    DISCORD_API_URL: discord.apiUrl,
    DISCORD_AUTHORIZE_URL: discord.authorizeUrl,
    DICEBEAR_URL: dicebear.apiUrl,
    TRUST_PROXY: 'loopback',
  })

beforeAll(async () => {
  redis = await openRedis()
  discord = await openDiscord({ clientId, clientSecret, redirectUri: `${siteUrl}/get_avatar`, accounts })
  dicebear = await openDiceBear()
  ports = [await freePort(), await freePort()]
  instances = await Promise.all([startInstance(ports[0]), startInstance(ports[1])])
  nginx = await openNginx(ports)
})
afterAll(async () => {
  await Promise.all([nginx.close(), ...instances.map((instance) => instance.stop())])
  await Promise.all([discord.close(), dicebear.close(), redis.stop()])
})

/** Each visitor has their own address, because the rate limits are on and count by address. */
let visitors = 0
function nextVisitor(): Browser {
  visitors += 1
  return nginx.visitor(`127.0.${1 + Math.floor(visitors / 250)}.${1 + (visitors % 250)}`)
}

const signIn = async (browser: Browser) => comeBack(browser, discord.codeFor(await leave(browser)))

describe('behind nginx', () => {
  test('cookies and headers are those of https, /readyz is not public, and other paths get 404', async () => {
    const browser = nextVisitor()
    const form = await browser.get('/')
    expect(form.headers['strict-transport-security']).toMatch(/^max-age=31536000; includeSubDomains$/)
    expect([form.headers.server, form.headers['x-powered-by']]).toEqual(['nginx', undefined])
    const leaving = await browser.post('/get_avatar').type('form').send(look)
    expect(setCookie(leaving, '__Host-state')).toMatch(/; Path=\/;.* HttpOnly; Secure; SameSite=Lax$/)
    const back = await comeBack(browser, discord.codeFor(String(leaving.headers.location)))
    expect([back.status, back.headers.location]).toEqual([302, '/show_avatar'])
    expect(setCookie(back, '__Host-avatar-session')).toMatch(
      /; Path=\/;.* HttpOnly; Secure; SameSite=Lax; Max-Age=604800$/,
    )
    expect((await browser.get('/healthz')).body).toEqual({ status: 'ok' })
    for (const path of ['/readyz', ...otherPaths]) {
      const { status, text } = await browser.get(path)
      expect([path, status, text]).toEqual([path, 404, expect.not.stringContaining('dependencies')])
    }
    for (const name of ['avatars.log', 'access.log', 'error.log'] as const) {
      expect(await nginx.log(name)).not.toMatch(/c0de|st4te/)
    }
    expect((await ask(instances[0].url, '/readyz')).text).toContain('"redis":"ok"')
    const { stderr, stdout } = instances[0].output
    expect(stderr).toBe('')
    for (const secret of [sessionSecret, clientSecret, redis.url]) expect(stdout).not.toContain(secret)
  })

  test('the app refuses a body that is too long with its own page', async () => {
    const long = await nextVisitor()
      .post('/get_avatar')
      .type('form')
      .send({ ...look, seed: 'x'.repeat(20_000) })
    expect([long.status, long.text]).toEqual([413, expect.stringContaining('</html>')])
    const absurd = await nextVisitor().get(`/get_avatar?code=${'x'.repeat(9000)}&state=y`)
    expect([absurd.status, absurd.text]).toEqual([400, expect.stringContaining('</html>')])
  })

  test('a client cannot evade the rate limit with made-up addresses, and no other client is limited', async () => {
    const browser = nextVisitor()
    const statuses: number[] = []
    for (let n = 1; n <= 31; n += 1) {
      const made = `203.0.113.${n}`
      const answer = await browser.post('/get_avatar').set({ 'X-Forwarded-For': made, Forwarded: `for=${made}` })
      statuses.push(answer.status)
    }
    expect(statuses).toEqual([...Array(30).fill(422), 429])
    expect((await nextVisitor().post('/get_avatar')).status).toBe(422)
  })

  test('nginx keeps its connections while there are requests, and closes them before the instances do', async () => {
    const { headers } = await ask(instances[0].url, '/healthz', { headers: { Connection: 'keep-alive' } })
    const appKeepsS = Number(/^timeout=(\d+)$/.exec(String(headers['keep-alive']))?.[1])
    const upstream = /upstream avatars \{([^}]+)\}/.exec(await readFile(siteFile, 'utf8'))?.[1] ?? ''
    const nginxKeepsS = Number(/^ +keepalive_timeout (\d+)s;$/m.exec(upstream)?.[1])
    expect(nginxKeepsS).toBeLessThan(appKeepsS)
    // Common proxies keep idle connections for 60 s.
    expect(appKeepsS).toBeGreaterThan(60)
    const tenths = Array.from({ length: 10 }, async () => {
      const browser = nextVisitor()
      const statuses: number[] = []
      for (let n = 0; n < 100; n += 1) statuses.push((await browser.get('/healthz')).status)
      return statuses
    })
    expect(new Set((await Promise.all(tenths)).flat())).toEqual(new Set([200]))
  })

  test('an avatar made at one instance is drawn again and shown by the other, even without DiceBear', async () => {
    const browser = nextVisitor()
    const back = await signIn(browser)
    const id = shownAvatar((await browser.get('/show_avatar')).text)
    const Cookie = cookiesOf(back)
    await dicebear.refuse()
    const [here, there] = await Promise.all(
      instances.map(({ url }) => ask(url, `/avatars/${id}.svg`, { headers: { Cookie } })),
    )
    await dicebear.accept()
    expect([here?.status, there?.status]).toEqual([200, 200])
    expect(here?.text).toMatch(/^<svg /)
    expect(there?.text).toBe(here?.text)
    for (const { folder } of instances) {
      const files = await readdir(join(folder, '.cache/avatars'), { recursive: true })
      expect(files.filter((file) => file.endsWith(`${id}.svg`))).toHaveLength(1)
    }
  })
})

describe('while instances come and go', () => {
  /** Thrown when a visit gets an unexpected answer. Its message has the request, the status and the page's title. */
  class Trouble extends Error {}

  /** On a busy machine Redis may be too slow, for which the restart of an instance is not to blame. */
  const isLateRedis = (trouble: string) => trouble.includes(words.errors.storeUnavailable(1).title)

  /** Makes a whole visit, from the form to the sign-out. Throws Trouble where a visitor would see an error. */
  async function visit(browser: Browser, account: string, seed: string): Promise<void> {
    const choice = { ...look, seed }
    await met('the form', browser.get('/'), 200)
    const leaving = await met('the way out', browser.post('/get_avatar').type('form').send(choice), 302)
    await met('the way back', comeBack(browser, discord.codeFor(String(leaving.headers.location), account)), 302)
    const first = await picture(browser)
    const other = { ...choice, seed: `another look of ${seed}` }
    const another = await met('another one', browser.post('/show_avatar').type('form').send(other), 303)
    expect(another.headers.location).toBe('/show_avatar')
    expect(await picture(browser)).not.toBe(first)
    await met('sign-out', browser.post('/sign_out'), 303)
  }

  async function picture(browser: Browser): Promise<string> {
    const page = await met('the avatar', browser.get('/show_avatar'), 200)
    const id = shownAvatar(page.text)
    await met('its file', browser.get(`/avatars/${id}.svg`), 200)
    return id
  }

  async function met<Answer extends { status: number; text: string }>(
    what: string,
    asking: PromiseLike<Answer>,
    status: number,
  ) {
    // An instance that is killed in the middle of an answer cuts it off; the visitor tries again.
    const answer = await Promise.resolve(asking).catch((error: Error) => {
      throw new Trouble(`${what}: cut off, ${error.message}`)
    })
    if (answer.status === status) return answer
    throw new Trouble(`${what}: ${answer.status} ${/<title>([^<]*)/.exec(answer.text)?.[1]}`)
  }

  /**
   * Makes visits, eight at a time, until `enough` returns true. After an error a visitor tries again for a minute, in
   * the same browser and with the same values. Returns the errors, and how many visits were finished and lost.
   */
  async function crowd(enough: (finished: number) => boolean) {
    const crowd = { finished: 0, troubles: [] as string[], lost: 0 }
    const oneOfEight = async ({ id }: Account) => {
      while (!enough(crowd.finished)) {
        const browser = nextVisitor()
        const seed = `visitor ${visitors}`
        const until = Date.now() + 60_000
        while (!(await comesThrough(browser, id, seed))) {
          if (Date.now() < until) continue
          crowd.lost += 1
          break
        }
        crowd.finished += 1
      }
    }
    async function comesThrough(browser: Browser, account: string, seed: string): Promise<boolean> {
      try {
        await visit(browser, account, seed)
        return true
      } catch (error) {
        if (!(error instanceof Trouble)) throw error
        crowd.troubles.push(error.message)
        return false
      }
    }
    const all = Promise.all(accounts.map(oneOfEight))
    return Object.assign(crowd, { all })
  }

  async function restart(which: 0 | 1, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const { child, exited } = instances[which]
    child.kill(signal)
    expect(await exited).toEqual(signal === 'SIGTERM' ? [0, null] : [null, 'SIGKILL'])
    instances[which] = await startInstance(ports[which])
  }

  test('one after the other can be restarted under load, and no request fails', async () => {
    let restarted = false
    const visits = await crowd((finished) => restarted && finished >= 40)
    await expect.poll(() => visits.finished, { timeout: 60_000 }).toBeGreaterThan(8)
    await restart(0, 'SIGTERM')
    await restart(1, 'SIGTERM')
    restarted = true
    await visits.all
    expect([visits.lost, visits.troubles.filter((trouble) => !isLateRedis(trouble))]).toEqual([0, []])
  }, 120_000)

  test('one can be killed under load, and no visit is lost', async () => {
    let restarted = false
    const visits = await crowd((finished) => restarted && finished >= 60)
    await expect.poll(() => visits.finished, { timeout: 60_000 }).toBeGreaterThan(8)
    await restart(0, 'SIGKILL')
    restarted = true
    await visits.all
    expect(visits.lost).toBe(0)
    // nginx sent what the killed instance had not answered to the other one, so nobody saw nginx's own page.
    expect(visits.troubles.filter((trouble) => trouble.includes('Back in a moment'))).toEqual([])
    for (const name of ['avatars.log', 'error.log'] as const) expect(await nginx.log(name)).not.toMatch(/code=|state=/)
  }, 120_000)
})

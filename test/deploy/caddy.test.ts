import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { ask, formOf } from '../support/ask.ts'
import { openCaddy, siteFile } from '../support/caddy.ts'
import { freePort } from '../support/free-port.ts'
import { forgedHeaders, openInstanceDouble } from '../support/instance-double.ts'
import { otherPaths } from '../support/nginx.ts'
import { look } from '../support/open-app.ts'
import { connectRaw } from '../support/raw-connection.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'

const run = promisify(execFile)

const cleanUps: (() => Promise<unknown>)[] = []
const cleanUpLater = (cleanUp: () => Promise<unknown>) => cleanUps.push(cleanUp)
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function caddy(ports: [number, number]) {
  const opened = await openCaddy(ports)
  cleanUpLater(() => opened.close())
  return opened
}

test('the Caddyfile is valid and formatted as Caddy formats it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'caddy-home-'))
  cleanUpLater(() => rm(folder, { recursive: true, force: true }))
  const path = join(import.meta.dirname, '../../deploy/Caddyfile')
  const env = { ...process.env, HOME: folder }
  const { stderr } = await run('caddy', ['validate', '--adapter', 'caddyfile', '--config', path], { env })
  expect(stderr).not.toContain('"level":"warn"')
})

describe('Caddy, while no instance is running,', () => {
  test('answers with a page and Retry-After, and logs no query', async () => {
    const { url, log } = await caddy([await freePort(), await freePort()])
    const referer = { Referer: `${url}/get_avatar?code=c0de&state=st4te` }
    for (const path of ['/get_avatar', '/get_avatar/']) {
      const { status, headers, text } = await ask(url, `${path}?code=c0de&state=st4te`, { headers: referer })
      expect([status, headers['retry-after'], headers['cache-control']]).toEqual([503, '10', 'no-store'])
      expect(headers['content-type']).toBe('text/html; charset=utf-8')
      expect(headers['content-security-policy']).toMatch(/^default-src 'none'/)
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(headers['strict-transport-security']).toBe('max-age=31536000; includeSubDomains')
      expect(text).toMatch(/^<!doctype html>\s+<html lang="en">\s+<title>Back in a moment<\/title>/)
    }
    expect((await ask(url, '/get_avatar', formOf({ ...look, seed: 'st4te' }))).status).toBe(503)
    expect(log()).toContain('/get_avatar')
    expect(log()).not.toMatch(/c0de|st4te/)
    // Each instance that is down would add five lines a second.
    expect(log()).not.toContain('health_checker')
  }, 60_000)
})

test('Caddy names the visitor’s address, whatever the visitor sent, and closes idle connections first', async () => {
  const instances = [await openInstanceDouble(), await openInstanceDouble()] as const
  for (const instance of instances) cleanUpLater(async () => instance.close())
  const { url } = await caddy([instances[0].port, instances[1].port])
  for (let sent = 0; sent < 4; sent += 1) expect((await ask(url, '/', { headers: forgedHeaders })).status).toBe(200)
  const requests = instances.flatMap((instance) => instance.requests)
  expect(requests).toHaveLength(4)
  for (const { headers } of requests) {
    expect(headers).toMatchObject({ 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http' })
    expect(headers.forwarded).toBeUndefined()
  }
  const keptS = /^\s+keepalive (\d+)s$/m.exec(await readFile(siteFile, 'utf8'))?.[1]
  expect(Number(keptS)).toBeLessThan(60) // less than the app keeps them, see slow-clients.test.ts
})

describe('Caddy in front of two instances', () => {
  // In demo mode each instance is a complete site, and needs no Redis.
  async function site(settings: Record<string, string> = {}) {
    const ports: [number, number] = [await freePort(), await freePort()]
    const start = (port: number) => startApp({ PORT: String(port), RATE_LIMIT: 'off', ...settings })
    const instances = [await start(ports[0]), await start(ports[1])] satisfies StartedApp[]
    cleanUpLater(() => Promise.all(instances.map((instance) => instance.stop())))
    async function restart(which: 0 | 1, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
      await instances[which]?.stop(signal)
      instances[which] = await start(ports[which])
    }
    return { ...(await caddy(ports)), restart }
  }

  /** Posts forms and reads pages, eight clients at a time, until `work` ends. Returns what went wrong. */
  async function trouble(url: string, work: Promise<unknown>): Promise<string[]> {
    let isOver = false
    const over = work.finally(() => {
      isOver = true
    })
    const troubles: string[] = []
    let posts = 0
    const client = async () => {
      while (!isOver) {
        posts += 1
        const seed = `post ${posts} `.padEnd(20, '.')
        // Without a style the form is refused and shown again with its values: they must be those of this very post.
        const posted = await ask(url, '/get_avatar', formOf({ ...look, seed, style: '' }))
        if (posted.status !== 422) troubles.push(`POST ${posted.status} ${titleOf(posted.text)}`)
        else if (!posted.text.includes(`value="${seed}"`)) troubles.push('the values of another post')
        const page = await ask(url, '/licences')
        if (page.status !== 200) troubles.push(`GET ${page.status} ${titleOf(page.text)}`)
      }
    }
    await Promise.all([over, ...Array.from({ length: 8 }, client)])
    expect(posts).toBeGreaterThan(20)
    return troubles
  }

  const titleOf = (html: string) => /<title>([^<]*)/.exec(html)?.[1]

  test('loses no post while both are restarted', async () => {
    const { url, restart } = await site()
    const work = async () => {
      await restart(0, 'SIGTERM')
      await restart(1, 'SIGTERM')
    }
    expect(await trouble(url, work())).toEqual([])
  }, 120_000)

  test('answers posts with “Back in a moment” while one is killed, and none with the answer to another', async () => {
    const { url, restart } = await site()
    const troubles = await trouble(url, restart(0, 'SIGKILL'))
    expect(troubles.filter((what) => what !== 'POST 503 Back in a moment')).toEqual([])
  }, 120_000)

  test('lets the app refuse a body that is too large (413), and refuses one of more than 64 KB itself', async () => {
    const { url } = await site()
    const long = await ask(url, '/get_avatar', formOf({ ...look, seed: 'x'.repeat(20_000) }))
    expect([long.status, long.text]).toEqual([413, expect.stringContaining('</html>')])
    expect((await ask(url, '/get_avatar', formOf({ ...look, seed: 'x'.repeat(100_000) }))).status).toBe(413)
    const chunk = `${(70_000).toString(16)}\r\n${'x'.repeat(70_000)}\r\n`
    const connection = await connectRaw(
      url,
      'POST /get_avatar HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n' +
        `Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunk}${chunk}0\r\n\r\n`,
    )
    await connection.closed
    expect(connection.received()).toMatch(/^HTTP\/1.1 413 /)
  }, 60_000)

  test('shows the form while Redis is down', async () => {
    const { url } = await site({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` })
    const started = performance.now()
    // Two seconds are enough for Caddy to check the health of both instances several times.
    while (performance.now() - started < 2000) expect((await ask(url, '/')).status).toBe(200)
    expect((await ask(url, '/get_avatar', formOf(look))).text).not.toContain('Back in a moment')
  }, 60_000)

  test('hides /readyz, answers 404 to a path with a slash at its end, and logs no query', async () => {
    const { url, log } = await site()
    expect((await ask(url, '/healthz')).text).toBe('{"status":"ok"}')
    for (const path of ['/readyz', ...otherPaths]) {
      const { status, text } = await ask(url, path)
      expect([path, status, text]).toEqual([path, 404, expect.not.stringContaining('dependencies')])
    }
    expect(log()).not.toMatch(/c0de|st4te/)
  }, 60_000)
})

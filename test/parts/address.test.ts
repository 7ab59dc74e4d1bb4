import { tmpdir } from 'node:os'
import { agent } from 'supertest'
import { expect, type TestContext, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { isOtherName } from '../../src/middleware/same-origin.ts'
import { agreeAtDiscord } from '../support/consent.ts'
import { freePort } from '../support/free-port.ts'
import { clientId, clientSecret, comeBack, leave, sessionSecret } from '../support/open-app.ts'
import { startApp } from '../support/start-app.ts'

async function started({ onTestFinished }: TestContext, settings: Record<string, string>) {
  const app = await startApp(settings)
  onTestFinished(() => app.stop())
  return app
}

test.for([
  ['127.0.0.1', 'localhost'],
  ['localhost', 'localhost'],
  ['0.0.0.0', 'localhost'],
  ['::', 'localhost'],
  ['::1', '[::1]'],
  ['127.0.0.2', '127.0.0.2'],
])('with HOST=%s the app prints an address at %s, where a whole visit works', async ([HOST = '', name], context) => {
  const app = await started(context, { HOST })
  const url = `http://${name}:${new URL(app.url).port}`
  await expect.poll(() => app.output.stderr).toContain(`Open ${url} `)
  const visitor = agent(url).redirects(0)
  const callback = await agreeAtDiscord(await leave(visitor))
  expect(callback).toMatch(`${url}/get_avatar?`)
  expect((await comeBack(visitor, callback)).headers.location).toBe('/show_avatar')
  expect((await visitor.get('/show_avatar')).status).toBe(200)
})

test('with BASE_URL the app prints that address, wherever it listens, and calls its stand-ins there', async (context) => {
  const BASE_URL = 'http://avatars.localhost:8080' // where nothing listens
  const app = await started(context, { HOST: '::1', BASE_URL })
  await expect.poll(() => app.output.stderr).toContain(`Open ${BASE_URL} `)
  const own = `http://[::1]:${new URL(app.url).port}`
  const visitor = agent(own).redirects(0)
  const authorize = await leave(visitor)
  expect(authorize).toMatch(`${BASE_URL}/demo/`)
  const callback = await agreeAtDiscord(authorize.replace(BASE_URL, own))
  expect((await comeBack(visitor, callback)).headers.location).toBe('/show_avatar')
})

test('in production the app prints nothing but JSON lines, one of them with the address', async (context) => {
  const settings = {
    SESSION_SECRET: sessionSecret,
    DISCORD_CLIENT_ID: clientId,
    DISCORD_CLIENT_SECRET: clientSecret,
    REDIS_URL: `redis://127.0.0.1:${await freePort()}`,
  }
  const secure = { ...settings, BASE_URL: 'https://avatars.example' }
  const all = [secure, { ...settings, NODE_ENV: 'production' }, { DEMO: 'on', NODE_ENV: 'production' }]
  const apps = await Promise.all(all.map((one) => started(context, one)))
  await Promise.all(apps.map((app) => app.stop('SIGTERM')))
  for (const { output } of apps) {
    expect(output.stderr).toBe('')
    const lines = output.stdout.trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).msg)).toContain('listening')
  }
})

test.each<[host: string | undefined, baseUrl: string, isOther: boolean]>([
  ['www.avatars.example', 'https://avatars.example', true],
  ['avatars.example', 'https://www.avatars.example', true],
  ['avatars.example.', 'https://avatars.example', true],
  ['127.0.0.1:3000', 'http://localhost:3000', true],
  ['127.0.0.1', 'http://localhost:3000', false],
  ['avatars.example', 'https://avatars.example', false],
  ['AVATARS.EXAMPLE:443', 'https://avatars.example', false],
  ['example', 'https://avatars.example', false],
  ['www.example', 'https://avatars.example', false],
  ['[', 'https://avatars.example', false],
  [undefined, 'https://avatars.example', false],
])('the Host header %s is another name of %s: %s', (host, baseUrl, isOther) => {
  expect(isOtherName(host, { ...readConfig({ CACHE_DIR: tmpdir() }), baseUrl })).toBe(isOther)
})

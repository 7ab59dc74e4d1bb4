import { agent, type Response } from 'supertest'
import { afterAll, beforeAll, expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { demoAccounts } from '../../src/demo/accounts.ts'
import { look } from '../support/open-app.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'
import { expectLanding, locationOf } from '../support/visits.ts'

let app: StartedApp
beforeAll(async () => {
  app = await startApp({ TRUST_PROXY: '1' })
})
afterAll(() => app.stop())

const perMinute = { pages: 600, files: 1200 }

/** Sends this many requests of one client, a few at a time. Returns the statuses. */
async function statusesOf(count: number, path: string, headers: Record<string, string>): Promise<Set<number>> {
  const statuses = new Set<number>()
  let sent = 0
  const worker = async () => {
    while (sent < count) {
      sent += 1
      const answer = await fetch(app.url + path, { headers, redirect: 'manual' })
      await answer.arrayBuffer()
      statuses.add(answer.status)
    }
  }
  await Promise.all(Array.from({ length: 20 }, worker))
  return statuses
}

test.each([
  ['the consent page', perMinute.pages, '/demo/discord/oauth2/authorize', 400],
  ['the API', perMinute.pages, '/demo/discord/api/v10/users/@me', 401],
  ['the pictures', perMinute.files, '/demo/discord/cdn/avatars/1/x.png', 404],
  ['the avatars', perMinute.files, '/demo/dicebear/10.x/nope/svg', 404],
])('%s of the demo has a rate limit per client', async (what, most, path, status) => {
  const headers = { 'X-Forwarded-For': `192.0.2.${what.length}` }
  expect(await statusesOf(most, path, headers)).toEqual(new Set([status]))
  const refused = await fetch(app.url + path, { headers })
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
})

/** Returns the address that an answer redirects to, without its origin. */
function pathOf(answer: Response): string {
  const { pathname, search } = new URL(locationOf(answer))
  return pathname + search
}

test('the app’s own calls to the stand-ins are not limited, even if others come from the same address', async () => {
  // Without X-Forwarded-For these requests come from loopback, as the app's own calls do.
  // A client may know the public part of the app's own User-Agent.
  const headers = { 'User-Agent': `DiscordBot (${app.url}, ${packageJson.version})` }
  for (const path of ['/demo/discord/api/v10/users/@me', '/demo/dicebear/10.x/nope/svg']) {
    expect(await statusesOf(perMinute.files + 1, path, {})).toContain(429)
    expect((await fetch(app.url + path, { headers })).status).toBe(429)
  }
  const visitor = agent(app.url).redirects(0).set('X-Forwarded-For', '192.0.2.99')
  const leaving = await visitor.post('/get_avatar').type('form').send(look)
  const consent = { account: demoAccounts[0]?.id, decision: 'agree' }
  const agreed = await visitor.post(pathOf(leaving)).type('form').send(consent)
  expectLanding(await visitor.get(pathOf(agreed)))
  expect(app.output.stdout).not.toContain('drawn here instead')
})

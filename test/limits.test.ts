import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { look, openApp, type TestApp } from './support/open-app.ts'
import { openRedis, type Redis } from './support/redis.ts'

let redis: Redis
const apps: TestApp[] = []

beforeAll(async () => {
  redis = await openRedis()
})
afterAll(async () => {
  for (const app of apps.reverse()) await app.close()
  await redis.stop()
})

async function limited(settings: Record<string, string> = {}, beside?: TestApp) {
  const app = await openApp({
    settings: { RATE_LIMIT: 'on', ...settings },
    redisUrl: redis.url,
    ...(beside ? { beside } : {}),
  })
  apps.push(app)
  return app
}

/** Statuses of so many requests, and how often each was answered. */
async function tally(times: number, ask: () => PromiseLike<{ status: number }>): Promise<Record<number, number>> {
  const counts: Record<number, number> = {}
  for (let i = 0; i < times; i += 1) {
    const { status } = await ask()
    counts[status] = (counts[status] ?? 0) + 1
  }
  return counts
}

describe('limits by client address and minute', () => {
  test('30 sign-ins or restyles, every answer counted, at all instances together; then a page that says when', async () => {
    const one = await limited({ TRUST_PROXY: 'loopback' })
    const two = await limited({ TRUST_PROXY: 'loopback' }, one)
    const from = '203.0.113.7'
    const start = (app: TestApp, path: string, body: object) =>
      app.visitor().post(path).set('X-Forwarded-For', from).type('form').send(body)

    expect(await tally(10, () => start(one, '/get_avatar', look))).toEqual({ 302: 10 })
    expect(await tally(10, () => start(two, '/get_avatar', { style: 'none of ours' }))).toEqual({ 422: 10 })
    expect(await tally(10, () => start(one, '/show_avatar', look))).toEqual({ 303: 10 })
    for (const app of [one, two]) {
      const tooMany = await start(app, '/get_avatar', look)
      expect(tooMany.status).toBe(429)
      expect(Number(tooMany.headers['retry-after'])).toBeGreaterThan(0)
      expect(Number(tooMany.headers['retry-after'])).toBeLessThanOrEqual(60)
      expect(tooMany.text).toContain('Too many requests came from your address')
    }
    const other = one.visitor().post('/get_avatar').set('X-Forwarded-For', '203.0.113.8').type('form').send(look)
    expect((await other).status).toBe(302)
    expect((await one.visitor().get('/').set('X-Forwarded-For', from)).status).toBe(200)
  })

  test('X-Forwarded-For fools nobody where no proxy is trusted', async () => {
    const app = await limited()
    let address = 0
    const start = () => {
      address += 1
      const visit = app.visitor().post('/get_avatar').set('X-Forwarded-For', `203.0.113.${address}`)
      return visit.type('form').send(look)
    }
    expect(await tally(35, start)).toEqual({ 302: 30, 429: 5 })
  })

  test('1200 previews and files, 600 of anything else, health free', async () => {
    const app = await limited()
    const visitor = app.visitor()
    expect(await tally(601, () => visitor.get('/nowhere'))).toEqual({ 404: 600, 429: 1 })
    expect((await visitor.get('/')).status).toBe(429)
    expect(await tally(600, () => visitor.get('/favicon.svg'))).toEqual({ 200: 600 })
    expect(await tally(601, () => visitor.get('/preview.svg?style=rings&seed=a'))).toEqual({ 200: 600, 429: 1 })
    expect((await visitor.get('/healthz')).status).toBe(200)
  })

  test('RateLimit headers tell how much is left', async () => {
    const app = await limited()
    const { headers } = await app.visitor().get('/licences')
    expect(headers['ratelimit-policy']).toMatch(/^"page"; q=600; w=60/)
    expect(headers.ratelimit).toMatch(/^"page"; r=599; t=\d+/)
  })
})

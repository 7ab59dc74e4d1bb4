// Rate limits for whole networks, and for all clients together.
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { ask, formOf } from '../support/ask.ts'
import { look, type OpenOptions, openApp, type TestApp } from '../support/open-app.ts'
import { openRedis, type Redis } from '../support/redis.ts'
import { keepsLook } from '../support/visits.ts'

const perMinute = { signIns: 30, allSignIns: 6000 }

/** Opens an app behind a proxy that names the address of each client. No request has been counted yet. */
async function ownApp({ settings = {}, ...options }: OpenOptions = {}): Promise<TestApp> {
  const own = await openApp({ settings: { RATE_LIMIT: 'on', TRUST_PROXY: '1', ...settings }, ...options })
  onTestFinished(() => own.close())
  return own
}

const start = (app: TestApp, address: string) => {
  const form = formOf(look)
  return ask(app.url, '/get_avatar', { ...form, headers: { ...form.headers, 'X-Forwarded-For': address } })
}

/** Sends one request from each address, a few at a time. Returns how many were not refused with 429. */
async function acceptedOf(addresses: string[], send: (address: string) => Promise<{ status: number }>) {
  let accepted = 0
  const waiting = [...addresses]
  const worker = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if ((await send(next)).status !== 429) accepted += 1
    }
  }
  await Promise.all(Array.from({ length: 10 }, worker))
  return accepted
}

const times = <T>(count: number, make: (place: number) => T) => Array.from({ length: count }, (_, at) => make(at))
const hex = (value: number) => value.toString(16)

describe('networks of IPv6', () => {
  test('a /56 has four times the limit of a /64, a /48 sixteen times', async () => {
    const app = await ownApp()
    const from = (address: string) => start(app, address)
    const most = perMinute.signIns
    /** As many requests as a /48 may send, each from a /64 of its own in one /56. */
    const inOne56 = times(16 * most, (at) => `2001:db8:1:${hex(at % 256)}::${hex(at)}`)
    expect(await acceptedOf(inOne56, from)).toBe(4 * most)
    // Refusals for this /56 do not affect other networks.
    expect(await acceptedOf(['2001:db8:1:100::1', '2001:db8:1:ff00::1'], from)).toBe(2)

    const in256 = times(17 * most, (at) => `2001:db8:3:${hex(256 * (at % 256))}::${hex(at)}`)
    expect(await acceptedOf(in256, from)).toBe(16 * most)
  })

  test('have RateLimit headers for the address and both networks; addresses of IPv4 have one limit', async () => {
    const app = await ownApp()
    const policies = (await start(app, '2001:db8::1')).headers['ratelimit-policy']
    expect(String(policies).match(/q=\d+/g)).toEqual([30, 120, 480].map((most) => `q=${most}`))
    expect(String(policies).match(/"[^"]+"/g)).toEqual(['"sign-in"', '"sign-in-56"', '"sign-in-48"'])
    expect(String((await start(app, '192.0.2.1')).headers['ratelimit-policy']).match(/q=\d+/g)).toEqual(['q=30'])
    expect(String((await start(app, '::ffff:192.0.2.1')).headers.ratelimit)).toMatch(/^"[\w-]+"; r=28;/)
  })
})

describe('on Redis', () => {
  let redis: Redis
  let client: Awaited<ReturnType<typeof connect>>
  const connect = () => createClient({ url: redis.url }).connect()

  beforeAll(async () => {
    redis = await openRedis()
    client = await connect()
  })
  afterAll(async () => {
    client.destroy()
    await redis.stop()
  })

  test('a /48 that spreads requests over two instances has about one limit', async () => {
    const first = await ownApp({ redisUrl: redis.url })
    const second = await ownApp({ redisUrl: redis.url, beside: first })
    const most = 16 * perMinute.signIns
    const addresses = times(1.5 * most, (at) => `2001:db8:4:${hex(256 * (at % 256))}::${hex(at)}`)
    const tenth = most / 10
    let [sent, accepted] = [0, 0]
    while (addresses.length > 0) {
      accepted += await acceptedOf(addresses.splice(0, tenth), (address) => {
        sent += 1
        return start(sent % 2 ? first : second, address)
      })
      // Each instance keeps up to a twentieth to itself, and shares the rest within a tenth of a second.
      const counted = async () => Number(await client.get('limit:sign-in-48:2001:db8:4::/48'))
      await expect.poll(counted, { timeout: 5000 }).toBeGreaterThanOrEqual(Math.min(sent - tenth, most))
    }
    expect(accepted).toBeGreaterThanOrEqual(most)
    expect(accepted).toBeLessThan(1.3 * most)
  })

  test('past a number of sign-ins of all clients together, on all instances, no more are stored', async () => {
    const app = await ownApp({ redisUrl: redis.url })
    await client.flushDb()
    await client.set('limit:starts', String(perMinute.allSignIns), { expiration: { type: 'EX', value: 60 } })
    // An instance counts a few hundred sign-ins, on a fast machine more, before it learns what the others have counted.
    const statuses: number[] = []
    for (const at of times(4000, (at) => at)) {
      statuses.push((await start(app, `192.0.2.${at % 200}`)).status)
      if (statuses.at(-1) === 503) break
    }
    expect(new Set(statuses)).toEqual(new Set([302, 503]))
    const stored = (await client.keys('state:*')).length

    const refused = await start(app, '192.0.2.250')
    expect([refused.status, keepsLook(refused.text)]).toEqual([503, true])
    expect(refused.text).toContain('Many people are signing in')
    const retryAfterS = Number(refused.headers['retry-after'])
    expect(retryAfterS).toBeGreaterThan(0)
    expect(retryAfterS).toBeLessThanOrEqual(60)
    expect((await client.keys('state:*')).length).toBe(stored)
    expect((await ask(app.url, '/')).status).toBe(200)

    await client.del('limit:starts')
    onTestFinished(() => void vi.restoreAllMocks())
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 61_000)
    expect((await start(app, '192.0.2.250')).status).toBe(302)
  })
})

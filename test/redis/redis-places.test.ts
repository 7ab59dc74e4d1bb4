import { setTimeout as wait } from 'node:timers/promises'
import { createClient } from 'redis'
import type { Response } from 'supertest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { comeBack, look, openApp, shownAvatar, type TestApp, type Visitor } from '../support/open-app.ts'
import {
  openRedis,
  openRedisCluster,
  openRedisWithSentinel,
  type Redis,
  type RedisCluster,
  type RedisWithSentinel,
  tell,
  until,
} from '../support/redis.ts'
import { hasAvatar, locationOf, sameBrowserAt, timed } from '../support/visits.ts'

/** "503 within two seconds". */
const soonMs = 2000
/** How long Redis is stopped: longer than anybody's claim on a visit lasts. Thirty seconds prove no more. */
const stopS = Number(process.env.REDIS_STOP_S ?? 6)
/** A lost master is missed after a second, and its replica takes two more; the rest is for a busy machine. */
const backMs = (stopS + 10) * 1000
/** Discord's own times are not what is looked at here. */
const unhurried = { UPSTREAM_TIMEOUT_MS: '5000' }
const longTest = { timeout: 60_000 + backMs }
const weekS = 604_800

const restyle = (visitor: Visitor, seed: string) =>
  visitor
    .post('/show_avatar')
    .type('form')
    .send({ ...look, seed })

/** How a visitor fared on the way to an avatar. */
type Flow = { visitor: Visitor; retries: number; astray: string[] }

/** One visit, by somebody who does as the pages say: "try again" after a 503, and from the form where they are told so. */
async function flow(app: TestApp): Promise<Flow> {
  const visitor = app.visitor()
  const met: Flow = { visitor, retries: 0, astray: [] }
  const giveUpAt = Date.now() + backMs

  /** The first answer that is not a 503. */
  async function asked(asking: () => PromiseLike<Response>): Promise<Response> {
    for (;;) {
      const answer = await asking()
      if (answer.status !== 503 || Date.now() > giveUpAt) return answer
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
      met.retries += 1
      // As soon as a hand can press the button.
      await wait(200)
    }
  }

  for (;;) {
    const leaving = await asked(() => visitor.post('/get_avatar').type('form').send(look))
    const callback = app.discord.codeFor(locationOf(leaving))
    const retriesBefore = met.retries
    const returning = await asked(() => comeBack(visitor, callback))
    // Who was told to come again may find the code spent, and starts again: that costs no page of Discord's.
    if (returning.status === 400 && met.retries > retriesBefore && Date.now() < giveUpAt) continue
    if (returning.headers.location !== '/show_avatar') met.astray.push(`callback ${returning.status}`)
    const page = await asked(() => visitor.get('/show_avatar'))
    // The session may have been at a master that was lost before it could tell its replica.
    if (page.status === 303 && met.retries > 0 && Date.now() < giveUpAt) continue
    const picture = await asked(() => visitor.get(`/avatars/${shownAvatar(page.text)}.svg`))
    if (picture.status !== 200) met.astray.push(`page ${page.status}, picture ${picture.status}`)
    return met
  }
}

/** So many visits, five at a time. */
async function visits(app: TestApp, count: number, onEach: (finished: number) => void = () => undefined) {
  const all: Flow[] = []
  let begun = 0
  async function lane() {
    while (begun < count) {
      begun += 1
      all.push(await flow(app))
      onEach(all.length)
    }
  }
  await Promise.all(Array.from({ length: 5 }, lane))
  return all
}

type Loss = { count: number; isKept?: () => Promise<unknown>; lose: () => Promise<unknown> }

/**
 * Redis is lost under the second half of so many visits, when the first is known to be kept. Everybody gets their avatar,
 * and nobody of the first half has to sign in again.
 */
async function expectNoneLost(app: TestApp, { count, isKept = async () => undefined, lose }: Loss): Promise<void> {
  const before = await visits(app, count / 2)
  await isKept()
  let losing: Promise<unknown> | undefined
  const during = await visits(app, count / 2, (finished) => {
    if (finished === 10) losing = lose()
  })
  await losing
  expect([...before, ...during].flatMap(({ astray }) => astray)).toEqual([])
  // It was lost while they were on their way, or this shows nothing.
  expect(during.filter(({ retries }) => retries > 0)).not.toEqual([])
  for (const { visitor } of before) expect((await visitor.get('/show_avatar')).status).toBe(200)
}

/** All that a visitor does finds its place, whatever keys it takes. */
async function expectWholeVisit(app: TestApp, other: TestApp): Promise<Visitor> {
  const visitor = app.visitor()
  const callbacks: string[] = []
  for (const seed of ['one', 'two', 'three']) {
    const leaving = await visitor
      .post('/get_avatar')
      .type('form')
      .send({ ...look, seed })
    expect(leaving.status).toBe(302)
    callbacks.push(app.discord.codeFor(locationOf(leaving)))
  }
  // Three tabs at once, one of them at the other instance and one of them reloaded.
  const [first = '', second = '', third = ''] = callbacks
  const there = sameBrowserAt(other, visitor)
  const answers = await Promise.all(
    [comeBack(visitor, first), comeBack(visitor, first), comeBack(visitor, second), comeBack(there, third)].map(timed),
  )
  for (const { answer } of answers) expect([answer.status, answer.headers.location]).toEqual([302, '/show_avatar'])
  const answer = await restyle(visitor, 'four')
  expect([answer.status, answer.headers.location]).toEqual([303, '/show_avatar'])
  for (const seed of ['one', 'two', 'three', 'four'])
    expect([seed, await hasAvatar(there, { seed })]).toEqual([seed, true])
  expect((await visitor.get('/readyz')).body).toMatchObject({ status: 'ok' })
  return visitor
}

/** Away, everybody is told so in time; then another server takes the place of the master that hangs. */
async function expectTakeOver(app: TestApp, master: { port: number; pause(): void } | undefined): Promise<void> {
  if (master === undefined) throw new Error('no master to hang')
  const visitors = (await Promise.all([flow(app), flow(app), flow(app), flow(app)])).map(({ visitor }) => visitor)
  // A master answers before its replica has what was written.
  await keptByReplica(master.port)
  master.pause()
  await until(async () => (await app.visitor().get('/readyz')).status === 503)
  for (const { answer, ms } of await Promise.all(visitors.map((visitor) => timed(visitor.get('/show_avatar'))))) {
    expect([200, 503]).toContain(answer.status)
    expect(ms).toBeLessThan(soonMs)
  }
  await ready(app)
  for (const visitor of visitors) expect((await visitor.get('/show_avatar')).status).toBe(200)
}

async function expectSignOut(visitor: Visitor): Promise<void> {
  expect((await visitor.post('/sign_out')).status).toBe(303)
  expect((await visitor.get('/show_avatar')).status).toBe(303)
}

/** Every key of these servers ends by itself. */
async function expectAllToEnd(ports: number[]): Promise<void> {
  const kinds = new Set<string>()
  for (const port of ports) {
    const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect()
    for (const key of await client.keys('*')) {
      kinds.add(key.split(':')[0] ?? '')
      const lifeS = await client.ttl(key)
      expect(lifeS, key).toBeGreaterThan(0)
      expect(lifeS, key).toBeLessThanOrEqual(weekS)
    }
    client.destroy()
  }
  for (const kind of ['session', 'state', 'limit']) expect(kinds).toContain(kind)
}

function ready(app: TestApp): Promise<void> {
  return until(async () => (await app.visitor().get('/readyz')).status === 200)
}

/** Two instances of one site at this Redis; the second counts requests there too. */
async function openBoth(redisUrl: string): Promise<[TestApp, TestApp]> {
  const app = await openApp({ redisUrl, settings: unhurried })
  const other = await openApp({ redisUrl, beside: app, settings: { ...unhurried, RATE_LIMIT: 'on' } })
  await Promise.all([ready(app), ready(other)])
  return [app, other]
}

describe('a cluster', () => {
  let redis: RedisCluster
  let app: TestApp
  let other: TestApp

  beforeAll(async () => {
    redis = await openRedisCluster()
    ;[app, other] = await openBoth(redis.url)
  })
  afterAll(async () => {
    await Promise.all([other.close(), app.close()])
    await redis.stop()
  })

  test('carries a whole visit, at two instances and in three tabs', async () => {
    const visitor = await expectWholeVisit(app, other)
    await expectWholeVisit(other, app)
    await expectAllToEnd(redis.masters.map(({ port }) => port))
    await expectSignOut(visitor)
  })

  test(
    'a master lost under two hundred visits: everybody gets an avatar, and no sign-in is lost',
    longTest,
    async () => {
      const [lost] = redis.masters
      const isKept = () => Promise.all(redis.masters.map(({ port }) => keptByReplica(port)))
      await expectNoneLost(app, { count: 200, isKept, lose: async () => lost?.kill() })
      await ready(app)
      await ready(other)
      await expectWholeVisit(app, other)
    },
  )

  test('a master that hangs: 503 in time, and its replica takes over', longTest, async () => {
    const [, hanging] = redis.masters
    await expectTakeOver(app, hanging)
    await ready(other)
    await expectWholeVisit(app, other)
  })
})

describe('a master behind a sentinel', () => {
  let redis: RedisWithSentinel
  let app: TestApp
  let other: TestApp

  beforeAll(async () => {
    redis = await openRedisWithSentinel()
    ;[app, other] = await openBoth(redis.url)
  })
  afterAll(async () => {
    await Promise.all([other.close(), app.close()])
    await redis.stop()
  })

  test('carries a whole visit, at two instances and in three tabs', async () => {
    const visitor = await expectWholeVisit(app, other)
    await expectWholeVisit(other, app)
    await expectAllToEnd([redis.master.port])
    await expectSignOut(visitor)
  })

  test('is found though one sentinel hangs and another is gone', async () => {
    const [hanging, gone] = [await openRedis(), await freePort()]
    hanging.pause()
    const places = [hanging.port, gone, redis.sentinel.port].map((port) => `127.0.0.1:${port}`)
    const patient = await openApp({ redisUrl: `sentinel://${places}/mymaster`, beside: app, settings: unhurried })
    try {
      await ready(patient)
      await expectWholeVisit(patient, app)
    } finally {
      await patient.close()
      await hanging.stop()
    }
  })

  test('reads at the master alone', async () => {
    const visitor = app.visitor()
    await flow(app)
    await tell(redis.replica.port, ['CONFIG', 'RESETSTAT'])
    await visitor.get('/show_avatar')
    await flow(app)
    expect(await tell(redis.replica.port, ['INFO', 'commandstats'])).not.toMatch(/cmdstat_(get|getex|mget):/)
  })

  test(
    'the master lost under two hundred visits: everybody gets an avatar, and no sign-in is lost',
    longTest,
    async () => {
      const { port, kill } = redis.master
      await expectNoneLost(app, { count: 200, isKept: () => keptByReplica(port), lose: kill })
      await ready(app)
      await ready(other)
      await expectWholeVisit(app, other)
    },
  )

  test('a master that hangs: 503 in time, and the other takes over', longTest, async () => {
    // The one that was killed comes back as the replica of the one that took its place.
    await redis.master.restart()
    // The sentinel would tell it so too, ten seconds later.
    await tell(redis.master.port, ['REPLICAOF', '127.0.0.1', String(redis.replica.port)])
    await until(async () => (await tell(redis.master.port, ['INFO', 'replication'])).includes('master_link_status:up'))
    await until(async () => (await tell(redis.sentinel.port, ['SENTINEL', 'REPLICAS', 'mymaster'])).includes('"slave"'))
    await expectTakeOver(app, redis.replica)
    await ready(other)
    await expectWholeVisit(app, other)
  })
})

/** Resolves when the replica has confirmed all that was written so far. */
async function keptByReplica(port: number): Promise<void> {
  const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect()
  // A cluster's node takes only keys of its own slots.
  const [key = 'none'] = [...(await client.keys('session:*')), 'nothing here']
  await client.expire(key, weekS)
  expect(await client.sendCommand(['WAIT', '1', '5000'])).toBe(1)
  client.destroy()
}

describe('one server that writes down what it is told', () => {
  let redis: Redis
  let app: TestApp

  beforeAll(async () => {
    redis = await openRedis(['appendonly yes', 'appendfsync always'])
    app = await openApp({ redisUrl: redis.url, settings: unhurried })
    await ready(app)
  })
  afterAll(async () => {
    await app.close()
    await redis.stop()
  })

  test(
    'killed and restarted under forty visits: everybody gets an avatar, and no sign-in is lost',
    longTest,
    async () => {
      await expectNoneLost(app, { count: 40, lose: () => redis.restart() })
    },
  )

  test('stopped for a while under forty visits: the same', longTest, async () => {
    await expectNoneLost(app, {
      count: 40,
      async lose() {
        redis.pause()
        await wait(stopS * 1000)
        redis.resume()
      },
    })
  })
})

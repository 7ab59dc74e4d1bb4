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

/** While Redis is down a visitor must have a 503 within this time. */
const maxAnswerMs = 2000
/** How long Redis is paused: longer than the TTL of a lock. Longer pauses find no other faults. */
const pauseS = Number(process.env.REDIS_STOP_S ?? 6)
/** A lost master is noticed after one second and replaced two seconds later; the rest allows for a busy machine. */
const recoveryMs = (pauseS + 10) * 1000
/** Long, because the machine may be busy and these tests are not about Discord's timeouts. */
const longTimeout = { UPSTREAM_TIMEOUT_MS: '5000' }
const longTest = { timeout: 60_000 + recoveryMs }
const weekS = 604_800

const restyle = (visitor: Visitor, seed: string) =>
  visitor
    .post('/show_avatar')
    .type('form')
    .send({ ...look, seed })

/** What a visitor experienced: the number of retries after a 503, and wrong answers. */
type Flow = { visitor: Visitor; retries: number; failures: string[] }

/** Makes a whole visit. The visitor tries again after a 503, and starts again after a 400 that follows a 503. */
async function flow(app: TestApp): Promise<Flow> {
  const visitor = app.visitor()
  const result: Flow = { visitor, retries: 0, failures: [] }
  const giveUpAt = Date.now() + recoveryMs

  /** Repeats the request until the answer is not a 503. */
  async function withRetries(send: () => PromiseLike<Response>): Promise<Response> {
    for (;;) {
      const answer = await send()
      if (answer.status !== 503 || Date.now() > giveUpAt) return answer
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
      result.retries += 1
      // A visitor who tries again very soon.
      await wait(200)
    }
  }

  for (;;) {
    const leaving = await withRetries(() => visitor.post('/get_avatar').type('form').send(look))
    const callback = app.discord.codeFor(locationOf(leaving))
    const retriesBefore = result.retries
    const returning = await withRetries(() => comeBack(visitor, callback))
    // After a 503 the code may be used up. Starting again does not show Discord's page.
    if (returning.status === 400 && result.retries > retriesBefore && Date.now() < giveUpAt) continue
    if (returning.headers.location !== '/show_avatar') result.failures.push(`callback ${returning.status}`)
    const page = await withRetries(() => visitor.get('/show_avatar'))
    // The session may have been lost with a master that had not replicated it yet.
    if (page.status === 303 && result.retries > 0 && Date.now() < giveUpAt) continue
    const picture = await withRetries(() => visitor.get(`/avatars/${shownAvatar(page.text)}.svg`))
    if (picture.status !== 200) result.failures.push(`page ${page.status}, picture ${picture.status}`)
    return result
  }
}

/** Makes this many visits, five at a time. */
async function visits(app: TestApp, count: number, onEach: (finished: number) => void = () => undefined) {
  const all: Flow[] = []
  let begun = 0
  async function worker() {
    while (begun < count) {
      begun += 1
      all.push(await flow(app))
      onEach(all.length)
    }
  }
  await Promise.all(Array.from({ length: 5 }, worker))
  return all
}

type Outage = { count: number; isReplicated?: () => Promise<unknown>; begin: () => Promise<unknown> }

/**
 * Checks an outage of Redis during the second half of the visits, when the first half has been replicated. Every
 * visitor gets an avatar, and no visitor of the first half has to sign in again.
 */
async function expectNoneLost(
  app: TestApp,
  { count, isReplicated = async () => undefined, begin }: Outage,
): Promise<void> {
  const before = await visits(app, count / 2)
  await isReplicated()
  let outage: Promise<unknown> | undefined
  const during = await visits(app, count / 2, (finished) => {
    if (finished === 10) outage = begin()
  })
  await outage
  expect([...before, ...during].flatMap(({ failures }) => failures)).toEqual([])
  // Without retries the outage did not meet any visit, and this test would prove nothing.
  expect(during.filter(({ retries }) => retries > 0)).not.toEqual([])
  for (const { visitor } of before) expect((await visitor.get('/show_avatar')).status).toBe(200)
}

/** Checks that commands failed at once while the server was down: if they were queued, most would time out. */
function expectNotQueued({ logged }: TestApp): void {
  const linesWith = (text: string) => logged.filter((line) => line.includes(text)).length
  expect(linesWith('Redis is down')).toBeGreaterThan(linesWith('Redis did not answer in time'))
}

/** Checks everything that a visitor can do, whichever server has the keys. */
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
  // Three tabs finish at once, one of them at the other instance, and one is reloaded.
  const [first = '', second = '', third = ''] = callbacks
  const visitorAtOther = sameBrowserAt(other, visitor)
  const answers = await Promise.all(
    [
      comeBack(visitor, first),
      comeBack(visitor, first),
      comeBack(visitor, second),
      comeBack(visitorAtOther, third),
    ].map(timed),
  )
  for (const { answer } of answers) expect([answer.status, answer.headers.location]).toEqual([302, '/show_avatar'])
  const answer = await restyle(visitor, 'four')
  expect([answer.status, answer.headers.location]).toEqual([303, '/show_avatar'])
  for (const seed of ['one', 'two', 'three', 'four'])
    expect([seed, await hasAvatar(visitorAtOther, { seed })]).toEqual([seed, true])
  expect((await visitor.get('/readyz')).body).toMatchObject({ status: 'ok' })
  return visitor
}

/** Checks that answers come within 2 s while the master hangs, and that its replica takes over with all sessions. */
async function expectFailover(app: TestApp, master: { port: number; pause(): void } | undefined): Promise<void> {
  if (master === undefined) throw new Error('no master to hang')
  const visitors = (await Promise.all([flow(app), flow(app), flow(app), flow(app)])).map(({ visitor }) => visitor)
  // Replication is asynchronous, so wait until the replica has everything.
  await untilReplicated(master.port)
  master.pause()
  await until(async () => (await app.visitor().get('/readyz')).status === 503)
  for (const { answer, ms } of await Promise.all(visitors.map((visitor) => timed(visitor.get('/show_avatar'))))) {
    expect([200, 503]).toContain(answer.status)
    expect(ms).toBeLessThan(maxAnswerMs)
  }
  await ready(app)
  for (const visitor of visitors) expect((await visitor.get('/show_avatar')).status).toBe(200)
}

async function expectSignOut(visitor: Visitor): Promise<void> {
  expect((await visitor.post('/sign_out')).status).toBe(303)
  expect((await visitor.get('/show_avatar')).status).toBe(303)
}

/** Checks that every key of these servers has a TTL. */
async function expectTtls(ports: number[]): Promise<void> {
  const kinds = new Set<string>()
  for (const port of ports) {
    const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect()
    for (const key of await client.keys('*')) {
      kinds.add(key.split(':')[0] ?? '')
      const ttlS = await client.ttl(key)
      expect(ttlS, key).toBeGreaterThan(0)
      // The list of a user's sessions lives as long as a session can live.
      expect(ttlS, key).toBeLessThanOrEqual(key.startsWith('sessions:') ? 90 * 24 * 60 * 60 : weekS)
    }
    client.destroy()
  }
  for (const kind of ['session', 'state', 'limit']) expect(kinds).toContain(kind)
}

function ready(app: TestApp): Promise<void> {
  return until(async () => (await app.visitor().get('/readyz')).status === 200)
}

/** Opens two instances of one site with this Redis. The second has rate limits. */
async function openBoth(redisUrl: string): Promise<[TestApp, TestApp]> {
  const app = await openApp({ redisUrl, settings: longTimeout })
  const other = await openApp({ redisUrl, beside: app, settings: { ...longTimeout, RATE_LIMIT: 'on' } })
  await Promise.all([ready(app), ready(other)])
  return [app, other]
}

/** Lets a user connect to this server, beside the default user, who needs no password. */
const addUser = (port: number, name: string) =>
  tell(port, ['ACL', 'SETUSER', name, 'on', `>${name}'s, word`, '~*', '&*', '+@all'])
const passwordOf = (name: string) => encodeURIComponent(`${name}'s, word`)

describe('with a cluster of Redis servers', () => {
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

  test('a whole visit works at two instances and in three tabs', async () => {
    const visitor = await expectWholeVisit(app, other)
    await expectWholeVisit(other, app)
    await expectTtls(redis.masters.map(({ port }) => port))
    await expectSignOut(visitor)
  })

  test('each server is spoken to as the user of the addresses', async () => {
    for (const { port } of redis.nodes) await addUser(port, 'app')
    const account = `redis://app:${passwordOf('app')}@`
    const named = await openApp({ redisUrl: redis.url.replaceAll('redis://', account), beside: app })
    try {
      await ready(named)
      for (const { port } of redis.masters) expect(await tell(port, ['CLIENT', 'LIST'])).toContain(' user=app ')
    } finally {
      await named.close()
    }
  })

  test(
    'every visitor gets an avatar and no sign-in is lost when a master is killed during 80 visits',
    longTest,
    async () => {
      const [lost] = redis.masters
      const isReplicated = () => Promise.all(redis.masters.map(({ port }) => untilReplicated(port)))
      await expectNoneLost(app, { count: 80, isReplicated, begin: async () => lost?.kill() })
      expectNotQueued(app)
      // The errors of that server's connection are logged, as a warning with its address.
      const lines = app.logged
        .map((line) => JSON.parse(line))
        .filter(({ msg, level }) => msg === 'redis' && level === 40)
      expect(lines.map(({ err }) => String(err?.message)).join()).toContain(`ECONNREFUSED 127.0.0.1:${lost?.port}`)
      await ready(app)
      await ready(other)
      await expectWholeVisit(app, other)
    },
  )

  test('answers come within 2 s (503) while a master hangs, until its replica takes over', longTest, async () => {
    const [, hanging] = redis.masters
    await expectFailover(app, hanging)
    await ready(other)
    await expectWholeVisit(app, other)
  })
})

describe('with a Redis master behind sentinels', () => {
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

  test('a whole visit works at two instances and in three tabs', async () => {
    const visitor = await expectWholeVisit(app, other)
    await expectWholeVisit(other, app)
    await expectTtls([redis.master.port])
    await expectSignOut(visitor)
  })

  test('the master is spoken to as the user and in the database of the address, the sentinel as its own user', async () => {
    await addUser(redis.master.port, 'app')
    await addUser(redis.sentinel.port, 'watcher')
    const account = `sentinel://app:${passwordOf('app')}@`
    const options = `?db=2&sentinelUser=watcher&sentinelPassword=${passwordOf('watcher')}`
    const named = await openApp({ redisUrl: redis.url.replace('sentinel://', account) + options, beside: app })
    try {
      await ready(named)
      const clients = await tell(redis.master.port, ['CLIENT', 'LIST'])
      expect(clients.split('\n').filter((line) => / db=2 .* user=app /.test(line))).not.toEqual([])
      expect(await tell(redis.sentinel.port, ['CLIENT', 'LIST'])).toContain(' user=watcher ')
    } finally {
      await named.close()
    }
  })

  test('the master is found even if one sentinel hangs and another is down', async () => {
    const [hanging, gone] = [await openRedis(), await freePort()]
    hanging.pause()
    const places = [hanging.port, gone, redis.sentinel.port].map((port) => `127.0.0.1:${port}`)
    const withBadSentinels = await openApp({
      redisUrl: `sentinel://${places}/mymaster`,
      beside: app,
      settings: longTimeout,
    })
    try {
      await ready(withBadSentinels)
      await expectWholeVisit(withBadSentinels, app)
    } finally {
      await withBadSentinels.close()
      await hanging.stop()
    }
  })

  test('sentinels that cannot be reached are logged with the reason', async () => {
    const lonely = await openApp({ redisUrl: `sentinel://127.0.0.1:${await freePort()}/mymaster` })
    await expect.poll(() => lonely.logged.filter((line) => line.includes('"redis"')).length).toBeGreaterThan(2)
    await lonely.close()
    const lines = lonely.logged.map((line) => JSON.parse(line)).filter(({ msg, err }) => msg === 'redis' && err)
    expect(lines.filter(({ level }) => level !== 40)).toEqual([])
    const errors = lines.map(({ err }) => err)
    expect(errors.map(({ message }) => message)).toContainEqual(expect.stringMatching(/client error: .*ECONNREFUSED/))
    expect(errors.filter(({ message }) => !message)).toEqual([])
  })

  test('commands are executed in the order of their calls', async () => {
    const { store } = app.parts
    const before = ['first', 'second'].map((value) => store.set('order', value, 60))
    await new Promise((resolve) => setImmediate(resolve))
    await Promise.all([...before, store.set('order', 'third', 60)])
    expect(await store.get('order')).toBe('third')
  })

  test('commands that read go to the master only', async () => {
    const visitor = app.visitor()
    await flow(app)
    await tell(redis.replica.port, ['CONFIG', 'RESETSTAT'])
    await visitor.get('/show_avatar')
    await flow(app)
    expect(await tell(redis.replica.port, ['INFO', 'commandstats'])).not.toMatch(/cmdstat_(get|getex|mget):/)
  })

  test(
    'every visitor gets an avatar and no sign-in is lost when the master is killed during 80 visits',
    longTest,
    async () => {
      const { port, kill } = redis.master
      await expectNoneLost(app, { count: 80, isReplicated: () => untilReplicated(port), begin: kill })
      expectNotQueued(app)
      await ready(app)
      await ready(other)
      await expectWholeVisit(app, other)
    },
  )

  test('answers come within 2 s (503) while a master hangs, until its replica takes over', longTest, async () => {
    // The server that the test before has killed comes back as a replica of the new master.
    await redis.master.restart()
    // The sentinel would do this by itself after ten seconds.
    await tell(redis.master.port, ['REPLICAOF', '127.0.0.1', String(redis.replica.port)])
    await until(async () => (await tell(redis.master.port, ['INFO', 'replication'])).includes('master_link_status:up'))
    await until(async () => (await tell(redis.sentinel.port, ['SENTINEL', 'REPLICAS', 'mymaster'])).includes('"slave"'))
    await expectFailover(app, redis.replica)
    await ready(other)
    await expectWholeVisit(app, other)
  })
})

/** Resolves when the replica has confirmed all earlier writes. */
async function untilReplicated(port: number): Promise<void> {
  const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect()
  // A key that is already there, because a node of a cluster accepts only keys of its own slots.
  const [key = 'none'] = [...(await client.keys('session:*')), 'nothing here']
  await client.expire(key, weekS)
  expect(await client.sendCommand(['WAIT', '1', '5000'])).toBe(1)
  client.destroy()
}

describe('with one Redis server and an append-only file', () => {
  let redis: Redis
  let app: TestApp

  beforeAll(async () => {
    redis = await openRedis(['appendonly yes', 'appendfsync always'])
    app = await openApp({ redisUrl: redis.url, settings: longTimeout })
    await ready(app)
  })
  afterAll(async () => {
    await app.close()
    await redis.stop()
  })

  test(
    'every visitor gets an avatar and no sign-in is lost when it is killed and restarted during 40 visits',
    longTest,
    async () => {
      await expectNoneLost(app, { count: 40, begin: () => redis.restart() })
    },
  )

  test('every visitor gets an avatar and no sign-in is lost when it is paused during 40 visits', longTest, async () => {
    await expectNoneLost(app, {
      count: 40,
      async begin() {
        redis.pause()
        await wait(pauseS * 1000)
        redis.resume()
      },
    })
  })
})

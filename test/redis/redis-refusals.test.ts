// Redis answers, but refuses what a visit needs: it is full, read-only, or the user lacks a permission.
import { connect, createServer, type Socket } from 'node:net'
import { createClient, ErrorReply } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { z } from 'zod'
import { parseRedisAddress } from '../../src/store/redis-address.ts'
import { tryCommands } from '../../src/store/redis-commands.ts'
import { openConnection } from '../../src/store/redis-connection.ts'
import { refusalOf } from '../../src/store/redis-refusal.ts'
import { at } from '../support/doubles.ts'
import { comeBack, leave, openApp, shownAvatar, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { openRedis, openRedisCluster, openRedisWithSentinel, type Redis, tell, until } from '../support/redis.ts'
import { openRedisProxy } from '../support/redis-proxy.ts'
import { expectLanding, keepsLook, restyle, restyled, timed } from '../support/visits.ts'

/** The app must work again within this time after Redis does. */
const wellAgainMs = 10_000
const soonMs = 2000

async function ownApp(redisUrl: string, settings: Record<string, string> = {}): Promise<TestApp> {
  const app = await openApp({ redisUrl, settings })
  onTestFinished(() => app.close())
  return app
}

async function readiness(app: TestApp): Promise<[status: number, redis: string]> {
  const { status, body } = await app.visitor().get('/readyz')
  return [status, body.dependencies.redis]
}

async function expectReadiness(app: TestApp, expected: [status: number, redis: string]): Promise<void> {
  await expect.poll(() => readiness(app), { timeout: wellAgainMs }).toEqual(expected)
}

async function signedIn(app: TestApp): Promise<Visitor> {
  const visitor = app.visitor()
  expectLanding(await signIn(app, visitor))
  return visitor
}

/** Checks that the avatar's page and its picture are served. */
async function expectReading(visitor: Visitor): Promise<void> {
  const page = await visitor.get('/show_avatar')
  expect(page.status).toBe(200)
  expect((await visitor.get(`/avatars/${shownAvatar(page.text)}.svg`)).status).toBe(200)
}

async function expectRefusedInTime(asking: PromiseLike<Awaited<ReturnType<typeof restyle>>>): Promise<void> {
  const { answer, ms } = await timed(asking)
  expect([answer.status, keepsLook(answer.text, restyled)]).toEqual([503, true])
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
  expect(ms).toBeLessThan(soonMs)
}

async function expectWell(app: TestApp, visitor: Visitor): Promise<void> {
  await expectReadiness(app, [200, 'ok'])
  // Wait, because /readyz may have answered before the app noticed a failover.
  await vi.waitFor(() => expectReading(visitor), { timeout: wellAgainMs })
  // Wait, because a lock that could not be released has to expire first.
  await expect.poll(async () => (await restyle(visitor)).status, { timeout: wellAgainMs }).toBe(303)
  // Wait, because the first server closes connections for some seconds after a failover.
  await vi.waitFor(() => signedIn(app), { timeout: wellAgainMs })
}

const State = z.object({ level: z.number(), redis: z.string() })

/** Returns the states of Redis that the log names. A failure is logged as an error (50), its end as information (30). */
const statesIn = (app: TestApp) =>
  app.logged.flatMap((line) => {
    const { data } = State.safeParse(JSON.parse(line))
    if (data) expect(data.level).toBe(data.redis === 'ok' ? 30 : 50)
    return data ? [data.redis] : []
  })

/** Opens a TCP proxy. Like HAProxy's, its open connections stay with their server when new ones go to another. */
async function openTcpProxy(port: number) {
  let target = port
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        client.destroy()
        upstream.destroy()
      })
    }
    client.pipe(upstream).pipe(client)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    url: `redis://127.0.0.1:${address.port}`,
    /** Sends new connections to this server. */
    leadTo(port: number): void {
      target = port
    },
  }
}

/** Opens a proxy in front of a Redis server and its replica. */
async function openPair() {
  const [first, second] = [await openRedis(), await openRedis()]
  onTestFinished(async () => void (await Promise.all([first.stop(), second.stop()])))
  await tell(second.port, ['CONFIG', 'SET', 'repl-diskless-sync-delay', '0'])
  await tell(first.port, ['CONFIG', 'SET', 'repl-diskless-sync-delay', '0'])
  await tell(second.port, ['REPLICAOF', '127.0.0.1', String(first.port)])
  const isLinked = async () => (await tell(second.port, ['INFO', 'replication'])).includes('master_link_status:up')
  await until(isLinked)
  return { first, second, proxy: await openTcpProxy(first.port) }
}

/** Resolves when the replica has everything that was written before. */
async function replicated(port: number): Promise<void> {
  const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect()
  await client.set('marker', '1', { expiration: { type: 'EX', value: 60 } })
  expect(await client.sendCommand(['WAIT', '1', '5000'])).toBe(1)
  client.destroy()
}

describe('tokens that Discord has issued are not lost if Redis refuses to store them', () => {
  /** Opens an app whose Redis refuses its write number `place` from `plan` on. */
  async function openRefused() {
    const redis = await openRedis()
    const proxy = await openRedisProxy(redis.port)
    onTestFinished(() => redis.stop())
    onTestFinished(() => proxy.close())
    const app = await ownApp(proxy.url)
    app.discord.tokenLifeS = 1
    const visitor = await signedIn(app)
    app.discord.tokenLifeS = 604_800
    await expectReadiness(app, [200, 'ok'])
    app.discord.calls.length = 0
    return { app, visitor, plan: (place: number) => proxy.plan(place, { kind: 'refuse' }) }
  }

  test.each([
    [1, 'the list of the user’s sessions'],
    [2, 'the session'],
  ])('a first callback can be reloaded: write %i, %s', async (place) => {
    const { app, plan } = await openRefused()
    const visitors = [app.visitor(), app.visitor()]
    const callbacks: string[] = []
    for (const visitor of visitors) callbacks.push(app.discord.codeFor(await leave(visitor)))
    for (const [index, visitor] of visitors.entries()) {
      await until(async () => (await app.parts.store.state()) === 'ok')
      plan(place)
      expect((await comeBack(visitor, callbacks[index] ?? '')).status).toBe(503)
    }
    for (const [index, visitor] of visitors.entries()) expectLanding(await comeBack(visitor, callbacks[index] ?? ''))
    expect(app.discord.count(at.token)).toBe(2)
    for (const visitor of visitors) await expectReading(visitor)
  })

  test('a restyle whose token was refreshed can be repeated, and the visitor need not sign in again', async () => {
    const { app, visitor, plan } = await openRefused()
    plan(1)
    await expectRefusedInTime(restyle(visitor))
    expectLanding(await restyle(visitor))
    expectLanding(await restyle(visitor))
    expect(app.discord.count(at.token)).toBe(1)
  })
})

describe('when a Redis server fails or changes its role', () => {
  test('/readyz reports a read-only replica, avatars are shown, and everything works with a master again', async () => {
    const redis = await openRedis()
    onTestFinished(() => redis.stop())
    const app = await ownApp(redis.url, { METRICS_PORT: '1' })
    const visitor = await signedIn(app)
    const callback = app.discord.codeFor(await leave(visitor))

    await tell(redis.port, ['REPLICAOF', '127.0.0.1', '1'])
    await expectReadiness(app, [503, 'read-only'])
    await expectReading(visitor)
    await expectRefusedInTime(restyle(visitor))
    expect((await comeBack(visitor, callback)).status).toBe(503)
    expect((await app.visitor().get('/')).status).toBe(200)
    expect((await app.parts.metrics?.registry.metrics()) ?? '').toContain('redis_up 0')

    await tell(redis.port, ['REPLICAOF', 'NO', 'ONE'])
    await expectReadiness(app, [200, 'ok'])
    expectLanding(await comeBack(visitor, callback))
    await expectWell(app, visitor)
    expect(statesIn(app)).toEqual(['read-only', 'ok'])
  })

  test('the app connects to the new master, and no read fails before', async () => {
    const { first, second, proxy } = await openPair()
    const app = await ownApp(proxy.url)
    const visitor = await signedIn(app)
    await replicated(first.port)

    await tell(second.port, ['REPLICAOF', 'NO', 'ONE'])
    await tell(first.port, ['REPLICAOF', '127.0.0.1', String(second.port)])
    await expectReadiness(app, [503, 'read-only'])
    proxy.leadTo(second.port)
    const since = performance.now()
    while ((await readiness(app))[0] !== 200) {
      await expectReading(visitor)
      expect(performance.now() - since).toBeLessThan(wellAgainMs)
    }
    await expectWell(app, visitor)
    // The only client that the old master still has is that of this test.
    const clients = async () => (await tell(first.port, ['CLIENT', 'LIST', 'TYPE', 'normal'])).trim().split('\n')
    await expect.poll(clients, { timeout: 5000 }).toHaveLength(1)
  })

  test('a read-only replica is also noticed by a visitor’s request, if nobody asks /readyz', async () => {
    const { first, second, proxy } = await openPair()
    const app = await ownApp(proxy.url)
    const visitor = await signedIn(app)
    await replicated(first.port)

    await tell(second.port, ['REPLICAOF', 'NO', 'ONE'])
    await tell(first.port, ['REPLICAOF', '127.0.0.1', String(second.port)])
    proxy.leadTo(second.port)
    await expectReading(visitor)
    // The one read is enough: then the app looks for the master, and the log says when it has found it.
    const firstAndLast = () => [statesIn(app).at(0), statesIn(app).at(-1)]
    await expect.poll(firstAndLast, { timeout: wellAgainMs }).toEqual(['read-only', 'ok'])
    await expect.poll(async () => (await restyle(visitor)).status, { timeout: wellAgainMs }).toBe(303)
  })

  test('a server that hangs for ever is given up for the one to which the proxy leads new connections', async () => {
    const { first, second, proxy } = await openPair()
    const app = await ownApp(proxy.url)
    const visitor = await signedIn(app)
    await replicated(first.port)

    first.pause()
    await tell(second.port, ['REPLICAOF', 'NO', 'ONE'])
    proxy.leadTo(second.port)
    await expectWell(app, visitor)
  })

  test('a manual failover behind a sentinel is noticed, and everything works afterwards', {
    timeout: 60_000,
  }, async () => {
    const redis = await openRedisWithSentinel()
    onTestFinished(async () => void (await redis.stop()))
    const app = await ownApp(redis.url)
    await expectReadiness(app, [200, 'ok'])
    const visitor = await signedIn(app)
    await replicated(redis.master.port)
    await tell(redis.sentinel.port, ['SENTINEL', 'FAILOVER', 'mymaster'])
    // The sentinel closes the connections of both servers, so the command may fail.
    const role = () => tell(redis.replica.port, ['INFO', 'replication']).catch(String)
    await until(async () => (await role()).includes('role:master'))
    await expectWell(app, visitor)
  })

  test('a manual failover in a cluster is noticed, and everything works afterwards', { timeout: 60_000 }, async () => {
    const redis = await openRedisCluster()
    onTestFinished(async () => void (await redis.stop()))
    const app = await ownApp(redis.url)
    await expectReadiness(app, [200, 'ok'])
    const visitor = await signedIn(app)
    for (const { port } of redis.nodes.slice(3)) {
      await tell(port, ['CLUSTER', 'FAILOVER'])
      await until(async () => (await tell(port, ['INFO', 'replication'])).includes('role:master'))
    }
    await expectWell(app, visitor)
  })

  test('one full master of a cluster is noticed, even if the others work', { timeout: 60_000 }, async () => {
    const redis = await openRedisCluster()
    onTestFinished(async () => void (await redis.stop()))
    const app = await ownApp(redis.url)
    await expectReadiness(app, [200, 'ok'])
    for (const { port } of redis.masters) {
      await tell(port, ['CONFIG', 'SET', 'maxmemory', '1'])
      await expectReadiness(app, [503, 'full'])
      await tell(port, ['CONFIG', 'SET', 'maxmemory', '0'])
      await expectReadiness(app, [200, 'ok'])
    }
  })
})

test.each([
  ['READONLY You can’t write against a read only replica.', 'read-only'],
  ['MASTERDOWN Link with MASTER is down', 'read-only'],
  ['ERR Error running script: @user_script:2: -READONLY in a script of Redis 6', 'read-only'],
  ['OOM command not allowed when used memory > ’maxmemory’.', 'full'],
  ['NOAUTH Authentication required.', 'not permitted'],
  ['WRONGPASS invalid username-password pair', 'not permitted'],
  ['NOPERM This user has no permissions', 'not permitted'],
  ['ERR The user executing the script can’t run this command', 'not permitted'],
  ['ERR ACL failure in script: the user has no permissions', 'not permitted'],
  ['MISCONF Redis is configured to save RDB snapshots', 'cannot save'],
  ['NOREPLICAS Not enough good replicas to write.', 'replicas missing'],
  ['LOADING Redis is loading the dataset in memory', 'loading'],
  ['ERR unknown command', 'refuses commands'],
])('the error of Redis “%s” means: %s', (message, meaning) => {
  expect(refusalOf(new ErrorReply(message))).toBe(meaning)
  expect(refusalOf(new Error(message))).toBeUndefined()
})

describe('while Redis refuses commands', () => {
  let redis: Redis
  let app: TestApp
  const user = ['on', '>password', '~*', '+@all']

  beforeAll(async () => {
    redis = await openRedis(['enable-protected-configs yes'])
    await tell(redis.port, ['ACL', 'SETUSER', 'app', ...user])
    app = await openApp({ redisUrl: redis.url.replace('//', '//app:password@') })
  })
  afterAll(async () => {
    await app.close()
    await redis.stop()
  })
  afterEach(() => {
    app.logged.length = 0
  })

  const set = (name: string, value: string) => tell(redis.port, ['CONFIG', 'SET', name, value])
  const acl = (...rules: string[]) => tell(redis.port, ['ACL', 'SETUSER', 'app', ...rules])
  const refusals = [
    {
      why: 'its memory is full',
      state: 'full',
      begin: () => set('maxmemory', '1'),
      end: () => set('maxmemory', '0'),
    },
    {
      why: 'it lacks replicas',
      state: 'replicas missing',
      begin: () => set('min-replicas-to-write', '1'),
      end: () => set('min-replicas-to-write', '0'),
    },
    {
      why: 'it cannot save',
      state: 'cannot save',
      async begin() {
        await set('save', '3600 1')
        await set('dir', '/proc')
        await tell(redis.port, ['BGSAVE'])
        await until(async () => (await tell(redis.port, ['INFO', 'persistence'])).includes('bgsave_status:err'))
      },
      end: () => set('save', ''),
    },
    {
      why: 'the user may not write',
      state: 'not permitted',
      begin: () => acl('-@write'),
      end: () => acl('+@all'),
    },
    {
      why: 'the user may run no scripts',
      state: 'not permitted',
      begin: () => acl('-@scripting'),
      end: () => acl('+@all'),
    },
  ]

  test.each(refusals)(
    'because $why, /readyz and the log say so, and avatars are shown',
    async ({ state, begin, end }) => {
      const visitor = await signedIn(app)
      await begin()
      try {
        await expectReadiness(app, [503, state])
        await expectReading(visitor)
        expect((await restyle(visitor)).status).toBe(503)
      } finally {
        await end()
      }
      await expectWell(app, visitor)
      expect(statesIn(app)).toEqual([state, 'ok'])
      const refused = app.logged.map((line) => JSON.parse(line).err).filter((err) => err?.type === 'StoreUnavailable')
      const message = `Redis refused a command: ${state}`
      expect(refused).toContainEqual({ type: 'StoreUnavailable', message, cause: { type: expect.any(String) } })
    },
  )

  test('because the user lacks one that a script needs, /readyz says so', async () => {
    await acl('-incrby')
    await expectReadiness(app, [503, 'not permitted'])
    await acl('+@all')
    await expectReadiness(app, [200, 'ok'])
  })

  test('because the user may not take a session from a list, a sign-out succeeds all the same', async () => {
    const visitor = await signedIn(app)
    await acl('-lrem')
    onTestFinished(async () => void (await acl('+@all')))
    expect((await visitor.post('/sign_out')).headers.location).toBe('/?notice=signed-out')
    expect((await visitor.get('/show_avatar')).status).toBe(303)
    expect(app.logged.filter((line) => line.includes('still listed') && line.includes('"level":40'))).toHaveLength(1)
  })

  test('because the user lacks any one command, a try of all commands is refused', async () => {
    const address = parseRedisAddress(redis.url.replace('//', '//app:password@'))
    if (address === undefined) throw new Error('no address of Redis')
    const connection = openConnection(address, () => undefined)
    onTestFinished(() => void connection.destroy())
    await connection.connect()
    const trial = () => tryCommands(connection.commands(new AbortController().signal), 'health:1')
    await trial()
    const direct = ['get', 'getex', 'getdel', 'mget', 'set', 'del', 'pttl', 'pexpiretime', 'lrange', 'lrem', 'evalsha']
    const inScripts = ['expire', 'lpush', 'incrby', 'pexpire']
    const unnoticed: string[] = []
    for (const command of [...direct, ...inScripts]) {
      await acl(`-${command}`)
      await trial().then(
        () => unnoticed.push(command),
        () => undefined,
      )
      await acl(`+${command}`)
      await trial()
    }
    expect(unnoticed).toEqual([])
  })

  test('because the user was deleted, its state is “not permitted” and not “down”', async () => {
    await tell(redis.port, ['ACL', 'DELUSER', 'app'])
    await expectReadiness(app, [503, 'not permitted'])
    await acl(...user)
    await expectReadiness(app, [200, 'ok'])
  })
})

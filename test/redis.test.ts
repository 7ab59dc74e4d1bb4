import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { at, faults } from './support/doubles.ts'
import { freePort } from './support/free-port.ts'
import {
  clientSecret,
  comeBack,
  leave,
  look,
  openApp,
  sessionSecret,
  shownAvatar,
  signIn,
  type TestApp,
  type Visitor,
} from './support/open-app.ts'
import { openRedis, type Redis } from './support/redis.ts'

let redis: Redis
let app: TestApp

beforeAll(async () => {
  redis = await openRedis()
  app = await openApp({ redisUrl: redis.url })
})
afterAll(async () => {
  await app.close()
  await redis.stop()
})

const connection = () => createClient({ url: redis.url })

/** Runs commands at Redis itself. */
async function atRedis<T>(run: (client: ReturnType<typeof connection>) => Promise<T>): Promise<T> {
  const client = connection()
  await client.connect()
  try {
    return await run(client)
  } finally {
    client.destroy()
  }
}

const post = (visitor: Visitor, path: string, body: Record<string, string> = {}) =>
  visitor.post(path).type('form').send(body)

/** Everything that needs no session answers; everything that does says so in time. */
async function expectAway(at: TestApp, visitor: Visitor, callback: string, id: string) {
  for (const path of ['/', '/preview.svg?style=rings', '/style.css', '/licences', '/healthz']) {
    expect([path, (await visitor.get(path)).status]).toEqual([path, 200])
  }
  const ready = await visitor.get('/readyz')
  expect([ready.status, ready.body.dependencies.redis]).toEqual([503, 'down'])
  const needy = [
    () => post(visitor, '/get_avatar', look),
    () => comeBack(visitor, callback),
    () => visitor.get('/show_avatar'),
    () => post(visitor, '/show_avatar', look),
    () => visitor.get(`/avatars/${id}.svg`),
    () => visitor.get(`/avatars/${id}.png`),
    () => post(visitor, `/avatars/${id}/forget`),
    () => post(visitor, '/sign_out'),
  ]
  const exchanges = at.discord.count(/token$/)
  for (const ask of needy) {
    const since = performance.now()
    const answer = await ask()
    expect(answer.status).toBe(503)
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(answer.text).toContain('We can’t reach our memory')
    expect(performance.now() - since).toBeLessThan(2000)
  }
  expect(at.discord.count(/token$/)).toBe(exchanges)
}

/** Asks until Redis is found again, for five seconds at most. */
async function expectWellAgain(visitor: Visitor) {
  const until = performance.now() + 5000
  while ((await visitor.get('/readyz')).status !== 200) expect(performance.now()).toBeLessThan(until)
}

describe('Redis away', () => {
  test('killed: what needs it says so at once, and all is well again soon after its return', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const id = shownAvatar((await visitor.get('/show_avatar')).text)
    const callback = app.discord.codeFor(await leave(visitor))
    await redis.kill()
    await expectAway(app, visitor, callback, id)
    await redis.restart()
    await expectWellAgain(visitor)
    expect((await signIn(app, app.visitor())).headers.location).toBe('/show_avatar')
  })

  test('not answering: the same, and nothing is lost', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const id = shownAvatar((await visitor.get('/show_avatar')).text)
    const callback = app.discord.codeFor(await leave(visitor))
    redis.pause()
    try {
      await expectAway(app, visitor, callback, id)
    } finally {
      redis.resume()
    }
    await expectWellAgain(visitor)
    expect((await comeBack(visitor, callback)).headers.location).toBe('/show_avatar')
    expect((await visitor.get(`/avatars/${id}.svg`)).status).toBe(200)
  })

  test('not there at the start, and there later', async () => {
    const late = await openApp({ redisUrl: `redis://127.0.0.1:${await freePort()}` })
    try {
      expect((await late.visitor().get('/')).status).toBe(200)
      expect((await post(late.visitor(), '/get_avatar', look)).status).toBe(503)
    } finally {
      await late.close()
    }
  })
})

describe('what lies in Redis', () => {
  /** Every way in which a visit can end, so that every kind of key was written. */
  async function allKindsOfVisits() {
    const visitor = app.visitor()
    await signIn(app, visitor)
    await post(visitor, '/show_avatar', { ...look, seed: 'another' })
    const declined = app.visitor()
    const { searchParams } = new URL(await leave(declined))
    await declined.get('/get_avatar').query({ error: 'access_denied', state: searchParams.get('state') ?? '' })
    const failed = app.visitor()
    app.discord.fail(at.user, faults.busy(30), { times: 1 })
    await signIn(app, failed)
    app.discord.fail(at.token, faults.busy(1), { times: 1 })
    await signIn(app, app.visitor())
    await leave(app.visitor()).catch(() => undefined)
    return visitor
  }

  test('every key ends by itself, and a dump holds no secret', async () => {
    await allKindsOfVisits()
    const dump = await atRedis(async (client) => {
      const keys = await client.keys('*')
      expect(keys.length).toBeGreaterThan(5)
      const kept: string[] = []
      for (const key of keys) {
        expect([key, await client.ttl(key)]).toEqual([key, expect.toSatisfy((ttl: number) => ttl > 0)])
        kept.push(key, (await client.get(key)) ?? '')
      }
      return kept.join('\n')
    })
    const secrets = app.discord.calls.flatMap(({ answer, body }) => [
      ...[...JSON.stringify(answer ?? {}).matchAll(/"(?:access|refresh)_token":"([^"]+)"/g)].map(
        ([, token]) => token ?? '',
      ),
      new URLSearchParams(body).get('code_verifier') ?? '',
    ])
    const found = [...secrets, clientSecret, sessionSecret].filter((secret) => secret !== '')
    expect(found.length).toBeGreaterThan(6)
    for (const secret of found) {
      const bytes = Buffer.from(secret)
      for (const written of [secret, bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('hex')]) {
        expect(dump).not.toContain(written)
      }
    }
    app.discord.heal()
    await atRedis((client) => client.del(['gate:token', 'gate:everywhere']))
  })

  /** Changes the text of this visitor's session; there is only one when it is called. */
  async function changeSession(alter: (text: string) => string) {
    await atRedis(async (client) => {
      const [key = ''] = await client.keys('session:*')
      await client.set(key, alter((await client.get(key)) ?? ''), { expiration: 'KEEPTTL' })
    })
  }
  const alone = async () => {
    await atRedis((client) => client.flushAll())
    const visitor = app.visitor()
    await signIn(app, visitor)
    return visitor
  }

  test('a sealed token with a flipped byte: the visitor signs in again', async () => {
    const visitor = await alone()
    await changeSession((text) =>
      text.replace(/("sealed":"[^"]*)(.)"/, (_, start: string, last: string) => `${start}${last === 'A' ? 'B' : 'A'}"`),
    )
    const restyled = await post(visitor, '/show_avatar', look)
    expect([restyled.status, restyled.headers.location]).toEqual([303, expect.stringMatching(/^\/\?.*notice=sign-in/)])
    expect((await signIn(app, visitor)).headers.location).toBe('/show_avatar')
    expect((await post(visitor, '/show_avatar', look)).headers.location).toBe('/show_avatar')
  })

  test.each(['', '{', 'null', '[]', '{"cookie":{}}', '{"cookie":{"originalMaxAge":1},"visitor":{"avatars":7}}'])(
    'a session that reads %j is a stranger’s',
    async (text) => {
      const visitor = await alone()
      await changeSession(() => text)
      const page = await visitor.get('/show_avatar')
      expect([page.status, page.headers.location]).toEqual([303, '/'])
      expect((await signIn(app, visitor)).headers.location).toBe('/show_avatar')
    },
  )

  test('a visit renews the seven days, of the session and of its cookie', async () => {
    const visitor = await alone()
    const key = await atRedis(async (client) => {
      const [session = ''] = await client.keys('session:*')
      await client.expire(session, 60)
      return session
    })
    const page = await visitor.get('/show_avatar')
    const weekS = 7 * 24 * 60 * 60
    expect(await atRedis((client) => client.ttl(key))).toBeGreaterThan(weekS - 60)
    const [cookie = ''] = page.get('Set-Cookie') ?? []
    expect(cookie).toMatch(/^session=.*; Path=\/; Expires=.*; HttpOnly; SameSite=Lax$/)
    const expires = Date.parse(/Expires=([^;]+)/.exec(cookie)?.[1] ?? '')
    expect(expires - Date.now()).toBeGreaterThan((weekS - 60) * 1000)
  })
})

describe('the session cookie', () => {
  test('made up, tampered with or of another secret, it opens nothing and breaks nothing', async () => {
    const visitor = app.visitor()
    const [cookie = ''] = (await signIn(app, visitor)).get('Set-Cookie')?.filter((one) => /^session=/.test(one)) ?? []
    const [value = ''] = cookie.split(';')
    for (const made of [
      'session=',
      'session=s%3Amade-up.signature',
      `session=${'x'.repeat(5000)}`,
      `${value}x`,
      value.replace('s%3A', ''),
      `${value.split('.')[0]}.AAAA`,
    ]) {
      const answer = await app.visitor().get('/show_avatar').set('Cookie', made)
      expect([answer.status, answer.headers.location]).toEqual([303, '/'])
    }
  })

  test('and the tokens outlive a change of the secret, as long as the old one is kept', async () => {
    const fresh = 'another session secret of more than thirty-two characters'
    const visitor = app.visitor()
    await signIn(app, visitor)
    const cookies =
      (await visitor.get('/show_avatar'))
        .get('Set-Cookie')
        ?.map((one) => one.split(';')[0])
        .join('; ') ?? ''
    const with_ = (secret: string) =>
      openApp({ redisUrl: redis.url, settings: { SESSION_SECRET: secret }, beside: app })
    const both = await with_(`${fresh},${sessionSecret}`)
    const one = await with_(fresh)
    try {
      expect((await both.visitor().get('/show_avatar').set('Cookie', cookies)).status).toBe(200)
      const exchanges = app.discord.count(at.token)
      const restyled = await post(both.visitor().set('Cookie', cookies), '/show_avatar', look)
      expect([restyled.headers.location, app.discord.count(at.token)]).toEqual(['/show_avatar', exchanges])
      const out = await one.visitor().get('/show_avatar').set('Cookie', cookies)
      expect([out.status, out.headers.location]).toEqual([303, '/'])
    } finally {
      await both.close()
      await one.close()
    }
  })
})

test('no secret in the log, at debug, in good visits and bad', async () => {
  const visitor = app.visitor()
  const answers = [await signIn(app, visitor)]
  // Half a token answer that a JSON parser would quote in its message.
  app.discord.fail(
    at.token,
    faults.answer(200, '{"access_token":"half-a-token-that-leaks', { 'content-type': 'application/json' }),
    { times: 1 },
  )
  answers.push(await signIn(app, app.visitor()))
  answers.push(await visitor.get('/get_avatar').query({ code: 'made-up-code', state: 'made-up-state' }))
  answers.push(await post(visitor, '/sign_out'))
  const calls = app.discord.calls
  const secrets = [
    ...calls.flatMap(({ answer }) =>
      [...JSON.stringify(answer ?? {}).matchAll(/_token":"([^"]+)"/g)].map(([, token]) => token ?? ''),
    ),
    ...calls.flatMap(({ body }) =>
      ['code', 'code_verifier', 'client_secret', 'token'].map((name) => new URLSearchParams(body).get(name) ?? ''),
    ),
    ...answers.flatMap((answer) => answer.get('Set-Cookie') ?? []).map((cookie) => cookie.split(/[=;]/)[1] ?? ''),
    'half-a-token-that-leaks',
    'made-up-code',
    'made-up-state',
    sessionSecret,
  ].filter((secret) => secret.length > 1)
  expect(secrets.length).toBeGreaterThan(10)
  const log = app.logged.join('')
  expect(log.length).toBeGreaterThan(1000)
  for (const secret of new Set(secrets)) expect(log).not.toContain(secret)
  for (const line of app.logged) expect(JSON.parse(line)).toBeTypeOf('object')
})

describe('with no Redis, in memory', () => {
  test('the same visit, a callback opened twice, and a sign-out', async () => {
    const small = await openApp()
    try {
      const visitor = small.visitor()
      const callback = small.discord.codeFor(await leave(visitor))
      const both = await Promise.all([comeBack(visitor, callback), comeBack(visitor, callback)])
      expect(both.map(({ headers }) => headers.location)).toEqual(['/show_avatar', '/show_avatar'])
      expect(small.discord.count(at.token)).toBe(1)
      expect((await visitor.get('/show_avatar')).status).toBe(200)
      expect((await visitor.get('/readyz')).body.dependencies.redis).toBe('not used')
      await post(visitor, '/sign_out')
      expect((await visitor.get('/show_avatar')).status).toBe(303)
    } finally {
      await small.close()
    }
  })
})

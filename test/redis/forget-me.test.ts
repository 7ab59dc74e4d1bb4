import { readdir } from 'node:fs/promises'
import { CookieAccessInfo } from 'cookiejar'
import { describe, expect, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { at } from '../support/doubles.ts'
import { faults } from '../support/faults.ts'
import {
  comeBack,
  leave,
  look,
  openApp,
  sessionSecret,
  shownAvatar,
  signIn,
  type TestApp,
  type Visitor,
} from '../support/open-app.ts'
import { openRedisCluster, until } from '../support/redis.ts'
import { openRedisProxy } from '../support/redis-proxy.ts'
import { app, db, other, redis, useTwoInstances } from '../support/two-instances.ts'
import {
  cookiesOf,
  hasAvatar,
  locationOf,
  sameBrowserAt,
  send,
  sessionCookie,
  sessionIdIn,
  setCookie,
  setCookies,
} from '../support/visits.ts'

useTwoInstances()

const byUsername = { ...look, seed: '' }

/** Signs in with this account. Returns the browser. */
async function signedIn(at = app, choice: Record<string, string> = byUsername, accountId?: string): Promise<Visitor> {
  const visitor = at.visitor()
  const answer = await signIn(at, visitor, choice, accountId)
  expect([answer.status, answer.headers.location]).toEqual([302, '/show_avatar'])
  return visitor
}

/** Signs in on another device, at an instance that is killed after this one of its writes to Redis. */
async function signInKilledAfter(write: number): Promise<void> {
  const proxy = await openRedisProxy(redis.port)
  const killed = await openApp({ redisUrl: proxy.url, beside: app, settings: { CACHE_DIR: app.folder } })
  const device = app.visitor()
  const callback = app.discord.codeFor(await leave(device, byUsername))
  await until(async () => (await killed.parts.store.state()) === 'ok')
  proxy.plan(write, { kind: 'kill after' })
  await comeBack(sameBrowserAt(killed, device), callback)
  await killed.close()
  proxy.close()
}

async function expectSignedOut(...visitors: Visitor[]): Promise<void> {
  for (const visitor of visitors) expect((await visitor.get('/show_avatar')).status).toBe(303)
}

async function expectSignedIn(...visitors: Visitor[]): Promise<void> {
  for (const visitor of visitors) expect((await visitor.get('/show_avatar')).status).toBe(200)
}

/** Returns every key in Redis with its value, as one text. */
async function dump(): Promise<string> {
  const keys = await db.keys('*')
  const values = keys.map(async (key) =>
    (await db.type(key)) === 'list' ? (await db.lRange(key, 0, -1)).join() : ((await db.get(key)) ?? ''),
  )
  return (await Promise.all(values)).map((value, place) => `${keys[place]} = ${value}`).join('\n')
}

const avatarFiles = async ({ folder }: TestApp) =>
  (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.svg'))

describe('POST /forget_me', () => {
  test('ends the user’s sessions on all devices and deletes avatars, files and tokens, but nobody else’s', async () => {
    const phone = await signedIn(app, { ...look, seed: 'phone' })
    const tablet = await signedIn(other, look)
    const desk = await signedIn()
    for (let second = 2; second <= 12; second += 1) {
      await desk
        .post('/show_avatar')
        .type('form')
        .send({ ...look, seed: `look ${second}` })
        .expect(303)
    }
    // One of the avatars was removed, and can still be restored.
    await desk.post(`/avatars/${shownAvatar((await desk.get('/show_avatar')).text)}/forget`).expect(303)
    const stranger = await signedIn(app, { ...look, seed: 'other' }, app.discord.accounts[1]?.id)
    // More than one session holds: twelve of the desk, one of the phone, and the other visitor's.
    expect(await avatarFiles(app)).toHaveLength(14)
    expect(await dump()).toContain('juniper')
    const revokedBefore = app.discord.count(at.revoke)

    const answer = await sameBrowserAt(app, desk).post('/forget_me')
    expect([answer.status, answer.headers.location]).toEqual([303, '/?notice=forgotten'])
    expect(answer.headers['clear-site-data']).toBe('"cache"')
    expect(setCookies(answer).filter((line) => /avatar-session.*Expires=Thu, 01 Jan 1970/.test(line))).toHaveLength(1)
    expect((await desk.get('/?notice=forgotten')).text).toContain(words.notices.forgotten)

    await expectSignedOut(phone, tablet, desk)
    await expectSignedIn(stranger)
    expect(app.discord.count(at.revoke)).toBe(revokedBefore + 3)
    const left = await dump()
    for (const trace of ['juniper', 'Juniper', app.discord.accounts[0]?.id, app.discord.accounts[0]?.avatar]) {
      expect(left).not.toContain(trace)
    }
    const kinds = new Set(left.split('\n').map((line) => line.split(':')[0]))
    expect([...kinds].sort()).toEqual(['forgotten', 'session', 'sessions', 'state', 'successor'])
    expect(await db.keys('session:*')).toHaveLength(1)
    expect(await db.keys('sessions:*')).toHaveLength(1)
    // Longer than the ten minutes that a visitor may be away at Discord.
    for (const key of await db.keys('forgotten:*')) expect(await db.ttl(key)).toBeGreaterThan(600)
    // The file that is left belongs to the other visitor.
    expect(await avatarFiles(app)).toHaveLength(1)
    expect(await hasAvatar(stranger, { seed: 'other' })).toBe(true)
  })

  test('deletes the file of an avatar that another visitor has, too, and it is drawn again for them', async () => {
    const [mine, theirs] = [await signedIn(app, look), await signedIn(app, look, app.discord.accounts[1]?.id)]
    await mine.post('/forget_me').expect(303)
    expect(await hasAvatar(theirs)).toBe(true)
  })

  test('changes nothing for a visitor who is not signed in', async () => {
    const visitor = await signedIn()
    const answer = await app.visitor().post('/forget_me')
    expect([answer.status, answer.headers.location]).toEqual([303, '/?notice=not-signed-in'])
    expect((await app.visitor().get('/?notice=not-signed-in')).text).toContain(words.notices.notSignedIn)
    expect(answer.headers['clear-site-data']).toBeUndefined()
    await expectSignedIn(visitor)
  })

  test('is refused if it comes from another site', async () => {
    const visitor = await signedIn()
    const answer = await visitor.post('/forget_me').set('Origin', 'https://evil.example')
    expect(answer.status).toBe(403)
    await expectSignedIn(visitor)
  })

  test('works while Discord does not answer', async () => {
    const [visitor, elsewhere] = [await signedIn(), await signedIn()]
    app.discord.fail(at.revoke, faults.hang())
    const since = performance.now()
    await visitor.post('/forget_me').expect(303)
    expect(performance.now() - since).toBeLessThan(2000)
    await expectSignedOut(visitor, elsewhere)
  })

  test('lets the visitor sign in again, and be forgotten again', async () => {
    const first = await signedIn()
    await first.post('/forget_me').expect(303)
    const consent = new URL(await leave(first)).searchParams.get('prompt')
    expect(consent).toBe('consent')
    const [second, third] = [await signedIn(), await signedIn(other)]
    await expectSignedIn(second, third)
    await second.post('/forget_me').expect(303)
    await expectSignedOut(second, third)
  })

  test('deletes what is left of a sign-in whose process was killed, after whichever write', async () => {
    const visitor = await signedIn()
    // The writes are those of the lock, the list, the session and the outcome.
    await Promise.all([0, 1, 2, 3].map(signInKilledAfter))
    expect((await db.keys('session:*')).length).toBeGreaterThan(2)
    await visitor.post('/forget_me').expect(303)
    expect(await db.keys('session:*')).toEqual([])
  })

  test('answers 503 while Redis refuses writes, and works later', async () => {
    const visitor = await signedIn()
    await db.sendCommand(['CONFIG', 'SET', 'min-replicas-to-write', '1'])
    const refused = await visitor.post('/forget_me')
    await db.sendCommand(['CONFIG', 'SET', 'min-replicas-to-write', '0'])
    expect(refused.status).toBe(503)
    await expectSignedIn(visitor)
    await visitor.post('/forget_me').expect(303)
    await expectSignedOut(visitor)
  })
})

test.each([
  ['another device', 3],
  ['this device', 5],
])(
  'POST /forget_me gets 503 while Redis refuses to delete the session of %s, and can be repeated',
  async (_, place) => {
    const proxy = await openRedisProxy(redis.port)
    const faulty = await openApp({ redisUrl: proxy.url, beside: app })
    try {
      const [visitor, device] = [await signedIn(), await signedIn()]
      // The writes: the state, the note that the user is forgotten, and for each session a note that it has ended and
      // its deletion.
      proxy.plan(place, { kind: 'refuse' })
      expect((await sameBrowserAt(faulty, visitor).post('/forget_me')).status).toBe(503)
      const answer = await visitor.post('/forget_me')
      expect([answer.status, answer.headers.location]).toEqual([303, '/?notice=forgotten'])
      await expectSignedOut(visitor, device)
      expect(await db.keys('session*')).toEqual([])
    } finally {
      await faulty.close()
      proxy.close()
    }
  },
)

describe('POST /forget_me ends what began before it', () => {
  for (const [name, instance] of [
    ['the same instance', () => app],
    ['another instance', () => other],
  ] as const) {
    test(`a sign-in on another device that waits for Discord, at ${name}, is refused`, async () => {
      const visitor = await signedIn()
      const device = app.visitor()
      const callback = app.discord.codeFor(await leave(device))
      const copy = app.visitor()
      for (const cookie of device.jar.getCookies(CookieAccessInfo.All)) copy.jar.setCookie(String(cookie))
      app.discord.delay(at.user, 400)
      const before = app.discord.count(at.user)
      const returning = send(comeBack(device, callback))
      await expect.poll(() => app.discord.count(at.user)).toBe(before + 1)
      await sameBrowserAt(instance(), visitor).post('/forget_me').expect(303)
      app.discord.heal()
      // Discord may already have ended the token of this sign-in, too.
      expect((await returning).status).toBeOneOf([400, 502])
      await expectSignedOut(visitor, device)
      expect((await comeBack(copy, callback)).status).toBe(400)
      expect(await db.keys('session*')).toEqual([])
    })
  }

  test('a sign-in that ends while Redis stores that the user is forgotten is ended, too', async () => {
    const proxy = await openRedisProxy(redis.port)
    const slow = await openApp({ redisUrl: proxy.url, beside: app })
    try {
      const visitor = await signedIn()
      // The first write deletes the state, the second one notes that the user is forgotten.
      proxy.plan(1, { kind: 'stall', ms: 500 })
      const forgetting = send(sameBrowserAt(slow, visitor).post('/forget_me'))
      await expect.poll(() => proxy.writes().length, { interval: 5 }).toBe(2)
      const device = await signedIn()
      expect((await forgetting).headers.location).toBe('/?notice=forgotten')
      await expectSignedOut(visitor, device)
      expect(await db.keys('session*')).toEqual([])
    } finally {
      await slow.close()
      proxy.close()
    }
  })

  test('a visitor who is at Discord’s page on another device is not signed in', async () => {
    const visitor = await signedIn()
    const device = app.visitor()
    const callback = app.discord.codeFor(await leave(device))
    await visitor.post('/forget_me').expect(303)
    expect((await comeBack(device, callback)).status).toBe(400)
    await expectSignedOut(visitor, device)
    expect(await db.keys('session*')).toEqual([])
    // The tokens of the refused sign-in are revoked, too.
    const issued = app.discord.calls.flatMap(({ path, answer }) =>
      path === at.token && answer !== null && typeof answer === 'object' && 'access_token' in answer
        ? String(answer.access_token)
        : [],
    )
    expect(issued).toHaveLength(2)
    for (const token of issued) {
      const answer = await fetch(`${app.discord.apiUrl}/users/@me`, { headers: { authorization: `Bearer ${token}` } })
      expect(answer.status).toBe(401)
    }
    // Another user who left for Discord before is signed in as usual.
    const neighbour = app.visitor()
    const theirs = app.discord.codeFor(await leave(neighbour), app.discord.accounts[1]?.id)
    await signedIn().then((again) => again.post('/forget_me').expect(303))
    expect((await comeBack(neighbour, theirs)).headers.location).toBe('/show_avatar')
  })

  test('a restyle on another device leads to the form', async () => {
    const [visitor, device] = [await signedIn(), await signedIn()]
    app.discord.delay(at.user, 300)
    const before = app.discord.count(at.user)
    const restyling = send(device.post('/show_avatar').type('form').send(look))
    await expect.poll(() => app.discord.count(at.user)).toBe(before + 1)
    await visitor.post('/forget_me').expect(303)
    app.discord.heal()
    const answer = await restyling
    expect([answer.status, locationOf(answer).startsWith('/?')]).toEqual([303, true])
    await expectSignedOut(visitor, device)
  })

  test('a reload of the callback that signed in another device a minute ago is refused', async () => {
    const visitor = await signedIn()
    const device = app.visitor()
    const callback = app.discord.codeFor(await leave(device))
    await comeBack(device, callback)
    await visitor.post('/forget_me').expect(303)
    expect((await comeBack(device, callback)).status).toBe(400)
    await expectSignedOut(visitor, device)
    // A visitor who has signed in again since then is not asked to sign in once more.
    const again = app.discord.codeFor(await leave(device))
    for (const address of [again, callback]) {
      expect((await comeBack(device, address)).headers.location).toBe('/show_avatar')
    }
    await expectSignedIn(device)
  })
})

describe('the list of a user’s sessions', () => {
  test('is stored under a keyed hash for 90 days, and loses each session that is signed out', async () => {
    const visitor = app.visitor()
    const id = sessionIdIn(cookiesOf(await signIn(app, visitor)))
    const [key = ''] = await db.keys('sessions:*')
    expect(key).toMatch(/^sessions:\{[\w-]{43}\}$/)
    expect(await db.lRange(key, 0, -1)).toEqual([id])
    const days90S = 90 * 24 * 60 * 60
    expect(await db.ttl(key)).toBeGreaterThan(days90S - 60)
    expect(await db.ttl(key)).toBeLessThanOrEqual(days90S)
    await visitor.post('/sign_out').expect(303)
    expect(await db.keys('sessions:*')).toEqual([])
  })

  test('holds a thousand sessions at most, and the oldest one ends', async () => {
    const oldest = await signedIn()
    const [key = ''] = await db.keys('sessions:*')
    await db.lPush(
      key,
      Array.from({ length: 998 }, (_, place) => `session that has ended ${place}`),
    )
    const second = await signedIn()
    await expectSignedIn(oldest, second)
    await signedIn()
    await expect.poll(() => db.lLen(key)).toBe(1000)
    await expect.poll(async () => (await oldest.get('/show_avatar')).status).toBe(303)
    await expectSignedIn(second)
    await second.post('/forget_me').expect(303)
    await expectSignedOut(second)
    expect(await db.keys('session*')).toEqual([])
  })

  test('keeps the oldest session until the new one is stored, if the sign-in fails at whichever write', async () => {
    const oldest = await signedIn()
    const [key = ''] = await db.keys('sessions:*')
    const [oldestId] = await db.lRange(key, 0, -1)
    await db.lPush(
      key,
      Array.from({ length: 999 }, (_, place) => `session that has ended ${place}`),
    )
    const proxy = await openRedisProxy(redis.port)
    const faulty = await openApp({ redisUrl: proxy.url, beside: app, settings: { CACHE_DIR: app.folder } })
    const statuses: number[] = []
    while (statuses.at(-1) !== 302 && statuses.length < 9) {
      const device = app.visitor()
      const callback = app.discord.codeFor(await leave(device, byUsername))
      await expectSignedIn(oldest)
      expect(await db.lRange(key, -1, -1)).toEqual([oldestId])
      // While Redis is not well, the instance also tries all commands.
      await until(async () => (await faulty.parts.store.state()) === 'ok')
      proxy.plan(statuses.length, { kind: 'refuse' })
      statuses.push((await comeBack(sameBrowserAt(faulty, device), callback)).status)
    }
    expect(statuses).toEqual([503, 503, 503, 302])
    await expect.poll(async () => (await oldest.get('/show_avatar')).status).toBe(303)
    await expect.poll(() => db.lRange(key, -1, -1)).not.toEqual([oldestId])
    await faulty.close()
    proxy.close()
  })

  test('is found if it was stored under an older SESSION_SECRET that is still accepted', async () => {
    const before = await signedIn()
    const SESSION_SECRET = `a newer session secret of more than thirty-two characters,${sessionSecret}`
    const rotated = await openApp({ redisUrl: redis.url, beside: app, settings: { SESSION_SECRET } })
    try {
      const after = rotated.visitor()
      await signIn(rotated, after)
      expect(await db.keys('sessions:*')).toHaveLength(2)
      // This visitor leaves for Discord, and comes back to an instance that does not have the new secret yet.
      const device = app.visitor()
      const callback = app.discord.codeFor(await leave(device))
      await after.post('/forget_me').expect(303)
      await expectSignedOut(before, after)
      expect((await comeBack(device, callback)).status).toBe(400)
      expect(await db.keys('sessions:*')).toEqual([])
    } finally {
      await rotated.close()
    }
  })
})

describe('POST /sign_out with devices=all', () => {
  test('ends all sessions of this user', async () => {
    const [phone, desk] = [await signedIn(), await signedIn(other)]
    const stranger = await signedIn(app, look, app.discord.accounts[1]?.id)
    const answer = await phone.post('/sign_out').type('form').send({ devices: 'all' })
    expect([answer.status, answer.headers.location]).toEqual([303, '/?notice=signed-out-everywhere'])
    expect(setCookie(answer, sessionCookie(app))).toContain('=; ')
    expect((await phone.get(locationOf(answer))).text).toContain(words.notices.signedOutEverywhere)
    await expectSignedOut(phone, desk)
    await expectSignedIn(stranger)
  })

  test('ends the session of this device last, so that it can be repeated if another one cannot be ended', async () => {
    const phone = await signedIn()
    const [key = ''] = await db.keys('session:*')
    const desk = await signedIn()
    const askAt = (device: Visitor) => device.post('/sign_out').type('form').send({ devices: 'all' })
    await db.lPush(`successor:{${key}}`, 'of a type that Redis refuses to read as a text')
    await askAt(desk).expect(503)
    await expectSignedIn(desk, phone)
    await db.del(`successor:{${key}}`)
    await askAt(desk).expect(303)
    await expectSignedOut(desk, phone)
  })

  test('is necessary: without it, other devices stay signed in', async () => {
    const [phone, desk] = [await signedIn(), await signedIn()]
    await phone.post('/sign_out').expect(303)
    await expectSignedOut(phone)
    // Discord has ended the tokens of all devices, but their avatars are still there.
    await expectSignedIn(desk)
  })
})

describe.each([
  ['in memory, without Redis', async () => ({ url: undefined, stop: async () => undefined })],
  ['with a cluster', openRedisCluster],
])('%s', (_how, open) => {
  test('POST /forget_me ends the sessions of all devices, and what began before it', async () => {
    const place = await open()
    const site = await openApp(place.url === undefined ? {} : { redisUrl: place.url })
    try {
      await expect.poll(async () => (await site.visitor().get('/readyz')).status, { timeout: 5000 }).toBe(200)
      const devices = await Promise.all(Array.from({ length: 5 }, () => signedIn(site)))
      const away = site.visitor()
      const callback = site.discord.codeFor(await leave(away))
      const stranger = await signedIn(site, look, site.discord.accounts[1]?.id)
      await devices[2]?.post('/forget_me').expect(303)
      await expectSignedOut(...devices)
      expect((await comeBack(away, callback)).status).toBe(400)
      await expectSignedOut(away)
      await expectSignedIn(stranger)
      const again = await signedIn(site)
      expect(shownAvatar((await again.get('/show_avatar')).text)).toMatch(/^[0-9a-f]{64}$/)
    } finally {
      await site.close()
      await place.stop()
    }
  })
})

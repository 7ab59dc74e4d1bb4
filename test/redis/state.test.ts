import { createClient } from 'redis'
import { agent, type Response } from 'supertest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { agreeAtDiscord } from '../support/consent.ts'
import { at } from '../support/doubles.ts'
import { faults } from '../support/faults.ts'
import {
  clientId,
  clientSecret,
  comeBack,
  leave,
  look,
  openApp,
  sessionSecret,
  signIn,
  type TestApp,
  type Visitor,
} from '../support/open-app.ts'
import { openRedis, type Redis } from '../support/redis.ts'
import { startApp } from '../support/start-app.ts'
import {
  cookiesOf,
  hasAvatar,
  keepsLook,
  locationOf,
  sameBrowserAt,
  send,
  sessionCookie,
  sessionIdIn,
  setCookie,
  setCookies,
  timed,
} from '../support/visits.ts'

let redis: Redis
/** Two instances of one site. */
let app: TestApp
let other: TestApp
let db: ReturnType<typeof client>

const client = () => createClient({ url: redis.url })

beforeAll(async () => {
  redis = await openRedis()
  app = await openApp({ redisUrl: redis.url })
  other = await openApp({ redisUrl: redis.url, beside: app })
  db = client()
  await db.connect()
})
afterAll(async () => {
  db.destroy()
  await Promise.all([other.close(), app.close()])
  await redis.stop()
})
beforeEach(async () => {
  await db.flushDb()
  app.discord.calls.length = 0
})
afterEach(() => {
  app.discord.heal()
  app.dicebear.heal()
})

const exchanges = () => app.discord.count(at.token)
const stateOf = (address: string) => new URL(address).searchParams.get('state') ?? ''

/** The callback with parameters changed; one that is undefined is left out. */
function changed(callbackUrl: string, changes: Record<string, string | undefined>): string {
  const url = new URL(callbackUrl)
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) url.searchParams.delete(name)
    else url.searchParams.set(name, value)
  }
  return url.href
}

async function forget(keys: string): Promise<void> {
  const found = await db.keys(keys)
  expect(found).not.toEqual([])
  await db.del(found)
}

function expectLanding(answer: Response): void {
  expect([answer.status, answer.headers.location]).toEqual([302, '/show_avatar'])
}

/** What the second of two finds: whoever has only this answer's cookies is signed in. */
async function expectSignedIn(answer: Response): Promise<void> {
  const page = await app.visitor().get('/show_avatar').set('Cookie', cookiesOf(answer))
  expect(page.status).toBe(200)
}

/** An answer, and all that Redis was asked until it was there. */
async function watched(ask: () => PromiseLike<Response>): Promise<{ answer: Response; seen: string[] }> {
  const watcher = client()
  await watcher.connect()
  const seen: string[] = []
  await watcher.monitor((line) => seen.push(String(line)))
  try {
    const answer = await ask()
    // All that came before it has been seen when this is.
    await db.echo('the end')
    await expect.poll(() => seen.some((line) => line.includes('the end'))).toBe(true)
    return { answer, seen }
  } finally {
    watcher.destroy()
  }
}

/** Nothing was asked of Discord, and the right browser can still finish. */
async function expectUntouched(visitor: Visitor, callback: string): Promise<void> {
  expect(exchanges()).toBe(0)
  expectLanding(await comeBack(visitor, callback))
  expect(exchanges()).toBe(1)
}

describe('a state', () => {
  test('is unguessable, and new for each visit', async () => {
    const visitors = Array.from({ length: 10 }, () => app.visitor())
    const addresses = await Promise.all(
      visitors.map(async (visitor) => {
        const left: string[] = []
        for (let visit = 0; visit < 40; visit += 1) left.push(await leave(visitor))
        return left
      }),
    )
    const states = addresses.flat().map(stateOf)
    expect(states).toHaveLength(400)
    expect(new Set(states).size).toBe(400)
    const challenges = addresses.flat().map((address) => new URL(address).searchParams.get('code_challenge'))
    expect(new Set(challenges).size).toBe(400)
    // 128 bits take 22 characters of base64url; at none of their places do all states agree.
    for (const state of states) expect(state).toMatch(/^[\w-]{22,}$/)
    for (let place = 0; place < 22; place += 1) {
      expect(new Set(states.map((state) => state[place])).size).toBeGreaterThan(16)
    }
  })

  test('has a cookie that scripts and other sites cannot use, and that ends after ten minutes', async () => {
    const leaving = await app.visitor().post('/get_avatar').type('form').send(look)
    const [pair = '', ...attributes] = setCookie(leaving, 'state').split('; ')
    expect(attributes).toEqual(expect.arrayContaining(['HttpOnly', 'SameSite=Lax', 'Path=/', 'Max-Age=600']))
    expect(attributes.join()).not.toMatch(/Domain|Secure/)
    const state = stateOf(locationOf(leaving))
    expect(pair).not.toContain(state)
    expect(leaving.get('Set-Cookie')).toHaveLength(1)

    const [record = ''] = await db.keys('*')
    expect(record).not.toContain(state)
    const lifeS = await db.ttl(record)
    expect(lifeS).toBeGreaterThan(595)
    expect(lifeS).toBeLessThanOrEqual(600)
  })

  test('keeps the expiry of its cookie when the callback is opened again', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    expectLanding(await comeBack(visitor, callback))
    const [key = ''] = await db.keys('state:*')
    await db.expire(key, 20)
    const again = await comeBack(visitor, callback)
    expectLanding(again)
    expect(Number(/Max-Age=(\d+)/.exec(setCookie(again, 'state'))?.[1])).toBeLessThanOrEqual(20)
  })

  test('has a __Host- cookie that is Secure where the site is https, whatever the proxy says', async () => {
    const beside = { url: 'https://avatars.example', discord: app.discord, dicebear: app.dicebear }
    const behindProxy = await openApp({ redisUrl: redis.url, beside })
    try {
      const leaving = await behindProxy.visitor().post('/get_avatar').type('form').send(look)
      expect(setCookie(leaving, '__Host-state').split('; ')).toEqual(expect.arrayContaining(['Secure', 'Path=/']))
    } finally {
      await behindProxy.close()
    }
  })

  test('more than twenty at once in one browser: the oldest loses cookie and record, and the others finish', async () => {
    const visitor = app.visitor()
    const callbacks: string[] = []
    for (let visit = 0; visit < 25; visit += 1) callbacks.push(app.discord.codeFor(await leave(visitor)))
    expect(await db.keys('state:*')).toHaveLength(20)
    for (const callback of callbacks.slice(0, 5)) expect((await comeBack(visitor, callback)).status).toBe(400)
    for (const callback of [callbacks[5], callbacks[24]]) {
      expect((await comeBack(visitor, callback ?? '')).headers.location).toBe('/show_avatar')
    }
  })

  test('hundreds of made-up state cookies cause no error, and no more than twenty records are read', async () => {
    const odd = [
      'state-',
      'state-"',
      'state-a=',
      'state-(@)',
      '__Host-state-0123456789abcdef=1',
      'state-0123456789abcdef',
    ]
    const many = Array.from({ length: 350 }, (_, i) => `state-made-up_${String(i).padStart(8, '0')}=x`)
    const planted = [...odd, ...many].join('; ')
    const leaving = await app.visitor().post('/get_avatar').set('Cookie', planted).type('form').send(look)
    expect(leaving.status).toBe(302)
    const lines = setCookies(leaving)
    expect(lines).toHaveLength(11)
    expect(lines.filter((line) => line.includes('Expires=Thu, 01 Jan 1970'))).toHaveLength(10)

    const own = lines.at(-1)?.split(';')[0]
    const { pathname, search } = new URL(app.discord.codeFor(locationOf(leaving)))
    const { answer: back, seen } = await watched(() =>
      app
        .visitor()
        .get(pathname + search)
        .set('Cookie', `${planted}; ${own}`),
    )
    expect(back.headers.location).toBe('/show_avatar')
    // The records of twenty tabs are read, this one's among them, and no more.
    const asked = seen.filter((line) => line.includes('"MGET" "state:')).map((line) => line.match(/"state:/g)?.length)
    expect(asked).toEqual([19])
  })

  test('expires within a minute of the callback, cookie and record', async () => {
    const visitor = app.visitor()
    const returning = await signIn(app, visitor)
    expect(Number(/Max-Age=(\d+)/.exec(setCookie(returning, 'state'))?.[1])).toBeLessThanOrEqual(60)
    const left = [...(await db.keys('state:*')), ...(await db.keys('lock:*'))]
    expect(left).not.toEqual([])
    for (const key of left) {
      expect(await db.ttl(key)).toBeLessThanOrEqual(60)
      expect(await db.get(key)).not.toContain('verifier')
    }
  })
})

describe('a state belongs to the browser that started it', () => {
  test('another browser with a state of its own gets 400, and the state stays usable', async () => {
    const [visitor, stranger] = [app.visitor(), app.visitor()]
    const callback = app.discord.codeFor(await leave(visitor))
    await leave(stranger)
    const answer = await comeBack(stranger, callback)
    expect(answer.status).toBe(400)
    expect(answer.text).toContain('We lost track of your visit')
    await expectUntouched(visitor, callback)
  })

  test('another signed-in visitor gets 400, and stays who they are', async () => {
    const [visitor, stranger] = [app.visitor(), app.visitor()]
    await signIn(app, stranger, look, app.discord.accounts[1]?.id)
    app.discord.calls.length = 0
    const callback = app.discord.codeFor(await leave(visitor))
    expect((await comeBack(stranger, callback)).status).toBe(400)
    expect((await stranger.get('/show_avatar')).text).toContain('ozzy')
    await expectUntouched(visitor, callback)
  })

  test('a browser without cookies gets 400, and the state stays usable', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    expect((await comeBack(app.visitor(), callback)).status).toBe(400)
    await expectUntouched(visitor, callback)
  })

  test('a cookie of the right name with another value gets 400, and the state stays usable', async () => {
    const visitor = app.visitor()
    const leaving = await visitor.post('/get_avatar').type('form').send(look)
    const callback = app.discord.codeFor(locationOf(leaving))
    const name = setCookie(leaving, 'state').split('=')[0]
    for (const value of ['', 'guessed', stateOf(locationOf(leaving)), '%E0%A4%A']) {
      const answer = await comeBack(app.visitor(), callback).set('Cookie', `${name}=${value}`)
      expect(answer.status).toBe(400)
    }
    await expectUntouched(visitor, callback)
  })
})

describe('an invalid state', () => {
  test('unknown: 400, and nothing is exchanged', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const answer = await comeBack(visitor, changed(callback, { state: 'x'.repeat(43) }))
    expect(answer.status).toBe(400)
    await expectUntouched(visitor, callback)
  })

  test('older than ten minutes: 400, and nothing is exchanged', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    await forget('state:*')
    const answer = await comeBack(visitor, callback)
    expect([answer.status, exchanges()]).toEqual([400, 0])
    expect(answer.text).toContain('href="/"')
  })

  test('spent more than a minute ago: 400, one exchange, and the visitor is still signed in', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    await comeBack(visitor, callback)
    await forget('state:*')
    expect((await comeBack(visitor, callback)).status).toBe(400)
    expect(exchanges()).toBe(1)
    expect((await visitor.get('/show_avatar')).status).toBe(200)
  })

  test('with a record that cannot be read, of an older version of ours: 400 at once, for a second request too', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const [record = ''] = await db.keys('state:*')
    await db.set(record, '{"choice":{"style":"no longer offered"}}', { expiration: 'KEEPTTL' })
    expect((await comeBack(visitor, callback)).status).toBe(400)
    expect((await comeBack(visitor, callback)).status).toBe(400)
    expect(exchanges()).toBe(0)
  })
})

describe('a callback that is opened twice', () => {
  test('one after the other: one exchange, and both lead to the avatar, signed in', async () => {
    const visitor = app.visitor()
    const leaving = await visitor.post('/get_avatar').type('form').send(look)
    const callback = app.discord.codeFor(locationOf(leaving))
    expectLanding(await comeBack(visitor, callback))
    expectLanding(await comeBack(visitor, callback))

    // A browser that let go of the first answer has only the state's cookie.
    const second = await comeBack(app.visitor(), callback).set('Cookie', cookiesOf(leaving))
    expectLanding(second)
    await expectSignedIn(second)
    expect(exchanges()).toBe(1)
    expect(app.discord.count(at.user)).toBe(1)
  })

  test('twenty at once: one exchange, and all lead to the avatar, signed in', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const answers = await Promise.all(Array.from({ length: 20 }, () => comeBack(visitor, callback)))
    for (const answer of answers) {
      expectLanding(answer)
      await expectSignedIn(answer)
    }
    expect(exchanges()).toBe(1)
    expect(app.discord.count(at.user)).toBe(1)
  })

  test('at once with two different codes: one exchange, and both lead to the avatar', async () => {
    const visitor = app.visitor()
    const authorize = await leave(visitor)
    const callbacks = [app.discord.codeFor(authorize), app.discord.codeFor(authorize)]
    expect(new Set(callbacks).size).toBe(2)
    const answers = await Promise.all(callbacks.map((callback) => comeBack(visitor, callback)))
    for (const answer of answers) {
      expectLanding(answer)
      await expectSignedIn(answer)
    }
    expect(exchanges()).toBe(1)
  })

  test('one after the other with two different codes: the second code is not needed', async () => {
    const visitor = app.visitor()
    const authorize = await leave(visitor)
    expectLanding(await comeBack(visitor, app.discord.codeFor(authorize)))
    expectLanding(await comeBack(visitor, app.discord.codeFor(authorize)))
    expect(exchanges()).toBe(1)
  })

  test('at once at two instances: one exchange, and both lead to the avatar', async () => {
    const visitor = app.visitor()
    const authorize = await leave(visitor)
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, place) => {
        const here = place % 2 === 0 ? visitor : sameBrowserAt(other, visitor)
        return comeBack(here, app.discord.codeFor(authorize))
      }),
    )
    for (const answer of answers) {
      expectLanding(answer)
      await expectSignedIn(answer)
    }
    expect(exchanges()).toBe(1)
  })

  test('the second request waits, however slow each step of the first is', async () => {
    for (const path of [at.token, at.user]) app.discord.delay(path, 900)
    app.dicebear.delay(at.svg, 900)
    const visitor = app.visitor()
    // Without a seed DiceBear is asked last, with the username.
    const callback = app.discord.codeFor(await leave(visitor, { ...look, seed: '' }))
    const answers = await Promise.all([comeBack(visitor, callback), comeBack(visitor, callback)])
    for (const answer of answers) expectLanding(answer)
  })

  test('again, after another tab has signed in and changed the session', async () => {
    const visitor = app.visitor()
    const first = app.discord.codeFor(await leave(visitor))
    const second = app.discord.codeFor(await leave(visitor))
    expectLanding(await comeBack(visitor, first))
    expectLanding(await comeBack(visitor, second))
    expectLanding(await comeBack(visitor, first))
    expect((await visitor.get('/show_avatar')).status).toBe(200)
  })

  test('after a "no": both lead back to the form, with the look', async () => {
    const visitor = app.visitor()
    const callback = await agreeAtDiscord(await leave(visitor), { decision: 'decline' })
    const answers = await Promise.all([comeBack(visitor, callback), comeBack(visitor, callback)])
    for (const answer of answers) {
      expect(answer.status).toBe(303)
      const { pathname, searchParams } = new URL(locationOf(answer), app.url)
      expect([pathname, searchParams.get('seed'), searchParams.get('style')]).toEqual(['/', look.seed, look.style])
    }
    await forget('state:*')
    expect((await comeBack(visitor, callback)).status).toBe(400)
    expect(exchanges()).toBe(0)
  })

  test('after a failure: nothing is exchanged again, and the look is kept', async () => {
    app.discord.fail(at.token, faults.json(500, { message: '500: Internal Server Error', code: 0 }), { times: 1 })
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    expect((await comeBack(visitor, callback)).status).toBe(502)
    const again = await comeBack(visitor, callback)
    expect(again.status).toBe(400)
    expect(keepsLook(again.text)).toBe(true)
    expect(exchanges()).toBe(1)
  })
})

describe('two tabs of one browser', () => {
  const looks = ['tab one', 'tab two', 'tab three'].map((seed) => ({ ...look, seed }))

  async function expectAllKept(visitor: Visitor, choices: { seed: string }[]): Promise<void> {
    for (const choice of choices) expect([choice.seed, await hasAvatar(visitor, choice)]).toEqual([choice.seed, true])
  }

  test('finish in reverse order, each with its own choice', async () => {
    const visitor = app.visitor()
    const [first = '', second = ''] = [await leave(visitor, looks[0]), await leave(visitor, looks[1])]
    expectLanding(await comeBack(visitor, app.discord.codeFor(second)))
    expect((await visitor.get('/show_avatar')).text).toContain('tab two')
    expectLanding(await comeBack(visitor, app.discord.codeFor(first)))
    expect((await visitor.get('/show_avatar')).text).toContain('tab one')
    await expectAllKept(visitor, looks.slice(0, 2))
  })

  for (const known of [false, true]) {
    test(`finish at once, each with its own choice: ${known ? 'a visitor who is signed in' : 'a stranger'}`, async () => {
      const visitor = app.visitor()
      if (known) await signIn(app, visitor)
      const callbacks: string[] = []
      for (const choice of looks) callbacks.push(app.discord.codeFor(await leave(visitor, choice)))
      const answers = await Promise.all(callbacks.map((callback) => comeBack(visitor, callback)))
      for (const answer of answers) expectLanding(answer)
      await expectAllKept(visitor, looks)
      if (known) expect(await hasAvatar(visitor)).toBe(true)
    })
  }

  test('finish at once at two instances', async () => {
    const visitor = app.visitor()
    const callbacks: string[] = []
    for (const choice of looks) callbacks.push(app.discord.codeFor(await leave(visitor, choice)))
    const answers = await Promise.all(
      callbacks.map((callback, tab) => comeBack(tab === 1 ? sameBrowserAt(other, visitor) : visitor, callback)),
    )
    for (const answer of answers) expectLanding(answer)
    await expectAllKept(visitor, looks)
  })

  test('the second starts and finishes while the first is being answered', async () => {
    app.discord.delay(at.user, 300)
    const visitor = app.visitor()
    const first = send(comeBack(visitor, app.discord.codeFor(await leave(visitor, looks[0]))))
    await expect.poll(() => app.discord.count(at.user)).toBe(1)
    const second = comeBack(visitor, app.discord.codeFor(await leave(visitor, looks[1])))
    for (const answer of await Promise.all([first, second])) expectLanding(answer)
    await expectAllKept(visitor, looks.slice(0, 2))
  })

  test('a restyle in one tab is not lost when the other comes back from Discord', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const callback = app.discord.codeFor(await leave(visitor, looks[0]))
    const before = app.discord.count(at.user)
    app.discord.delay(at.user, 300)
    const returning = send(comeBack(visitor, callback))
    await expect.poll(() => app.discord.count(at.user)).toBe(before + 1)
    app.discord.heal()
    const restyled = await visitor.post('/show_avatar').type('form').send(looks[1])
    expect([restyled.status, restyled.headers.location]).toEqual([303, '/show_avatar'])
    expectLanding(await returning)
    await expectAllKept(visitor, [look, ...looks.slice(0, 2)])
  })

  test('a restyle in one tab succeeds when the other replaces the session meanwhile', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const callback = app.discord.codeFor(await leave(visitor, looks[0]))
    const before = app.discord.count(at.user)
    app.discord.delay(at.user, 300)
    const restyling = send(visitor.post('/show_avatar').type('form').send(looks[1]))
    await expect.poll(() => app.discord.count(at.user)).toBe(before + 1)
    app.discord.heal()
    expectLanding(await comeBack(visitor, callback))
    const restyled = await restyling
    expect(restyled.status).toBe(303)
    expect((await visitor.get('/show_avatar')).status).toBe(200)
    await expectAllKept(visitor, [look, ...looks.slice(0, 1)])
  })

  test('a restyle in one tab changes nothing of another account that the other signs in meanwhile', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const [juniper, ozzy] = app.discord.accounts
    const callback = app.discord.codeFor(await leave(visitor, looks[0]), ozzy?.id)
    const before = app.discord.count(at.user)
    const held = Promise.withResolvers<void>()
    const sayJuniper = faults.json(200, { id: juniper?.id, username: juniper?.username })
    app.discord.fail(at.user, (req, res) => held.promise.then(() => sayJuniper(req, res)), { times: 1 })
    const restyling = send(visitor.post('/show_avatar').type('form').send(looks[1]))
    await expect.poll(() => app.discord.count(at.user)).toBe(before + 1)
    // What Juniper's session holds is refused, so that the code in hand counts: Ozzy's.
    app.discord.fail(at.user, faults.json(401, { message: '401: Unauthorized', code: 0 }), { times: 1 })
    expectLanding(await comeBack(visitor, callback))
    held.resolve()
    const restyled = await restyling
    expect([restyled.status, new URL(locationOf(restyled), app.url).pathname]).toEqual([303, '/'])
    expect((await visitor.get('/show_avatar')).text).toContain('ozzy')
    expect(await hasAvatar(visitor, looks[1])).toBe(false)
    await expectAllKept(visitor, looks.slice(0, 1))
  })

  test('a sign-in waits for another request that holds the lock of the session, and keeps its change', async () => {
    const visitor = app.visitor()
    const session = `session:${sessionIdIn(cookiesOf(await signIn(app, visitor)))}`
    const before = (await db.get(session)) ?? ''
    await visitor.post('/show_avatar').type('form').send(looks[1])
    const restyled = (await db.get(session)) ?? ''
    // Once more, and slowly: another instance has its turn, and has read the session.
    await db.set(session, before)
    await db.set(`lock:{${session}}`, '1', { expiration: { type: 'EX', value: 5 } })
    const watcher = client()
    await watcher.connect()
    try {
      const seen: string[] = []
      await watcher.monitor((line) => seen.push(String(line)))
      const returning = send(comeBack(visitor, app.discord.codeFor(await leave(visitor, looks[0]))))
      await expect.poll(() => seen.some((line) => line.includes(`"SET" "lock:{${session}}"`))).toBe(true)
      await db.set(session, restyled)
      await db.del(`lock:{${session}}`)
      expectLanding(await returning)
    } finally {
      watcher.destroy()
    }
    await expectAllKept(visitor, [look, ...looks.slice(0, 2)])
  })

  test('a picture that was requested before does not bring the old session back', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const page = await visitor.get('/show_avatar')
    const path = /\/avatars\/[0-9a-f]{64}\.svg/.exec(page.text)?.[0] ?? ''
    const callback = app.discord.codeFor(await leave(visitor, looks[0]))
    const before = app.dicebear.count(at.svg)
    app.dicebear.delay(at.svg, 300)
    // The other instance has no file of it, and has it drawn anew.
    const picture = send(sameBrowserAt(other, visitor).get(path))
    await expect.poll(() => app.dicebear.count(at.svg)).toBe(before + 1)
    app.dicebear.heal()
    expectLanding(await comeBack(visitor, callback))
    expect((await picture).status).toBe(200)
    expect((await visitor.get('/show_avatar')).status).toBe(200)
  })

  test('a session is never written without its lock', async () => {
    const visitor = app.visitor()
    const session = `session:${sessionIdIn(cookiesOf(await signIn(app, visitor)))}`
    const { answer, seen } = await watched(() => visitor.post('/show_avatar').type('form').send(looks[0]))
    expect(answer.status).toBe(303)
    const letGo = seen.findLastIndex((line) => line.includes(`"DEL" "lock:{${session}}"`))
    expect(letGo).toBeGreaterThan(0)
    expect(seen.slice(letGo).filter((line) => line.includes(`"SET" "${session}"`))).toEqual([])
  })

  test('ten restyles at once at two instances all come into the history', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const choices = Array.from({ length: 10 }, (_, roll) => ({ ...look, seed: `at once ${roll}` }))
    const answers = await Promise.all(
      choices.map((choice, roll) =>
        (roll % 2 === 0 ? visitor : sameBrowserAt(other, visitor)).post('/show_avatar').type('form').send(choice),
      ),
    )
    for (const { status, headers } of answers) expect([status, headers.location]).toEqual([303, '/show_avatar'])
    await expectAllKept(visitor, choices)
  })
})

describe('HEAD requests and prefetches of the callback use nothing up', () => {
  const lookers = [
    ['HEAD', {}],
    ['GET', { 'Sec-Purpose': 'prefetch' }],
    ['GET', { 'Sec-Purpose': 'prefetch;prerender' }],
    ['GET', { 'Sec-Purpose': 'prefetch;anonymous-client-ip' }],
    ['GET', { Purpose: 'prefetch' }],
  ] as const

  test.each(lookers)('%s %j', async (method, headers) => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const { pathname, search } = new URL(callback)
    const asking = method === 'HEAD' ? visitor.head(`${pathname}${search}`) : visitor.get(`${pathname}${search}`)
    const answer = await asking.set(headers)
    expect(answer.status).toBeLessThan(300)
    expect(answer.headers.location).toBeUndefined()
    expect(answer.get('Set-Cookie')).toBeUndefined()
    await expectUntouched(visitor, callback)
  })
})

describe('the issuer', () => {
  test.each([
    ['right', 'https://discord.com', 302],
    ['absent', undefined, 302],
    ['wrong', 'https://evil.example', 400],
    ['almost right', 'https://discord.com/', 400],
    ['empty', '', 400],
  ])('%s', async (_, iss, status) => {
    const visitor = app.visitor()
    const callback = changed(app.discord.codeFor(await leave(visitor)), { iss })
    expect((await comeBack(visitor, callback)).status).toBe(status)
    expect(exchanges()).toBe(status === 302 ? 1 : 0)
  })

  test('wrong with an error is refused too', async () => {
    const visitor = app.visitor()
    const callback = await agreeAtDiscord(await leave(visitor), { decision: 'decline' })
    expect((await comeBack(visitor, changed(callback, { iss: 'https://evil.example' }))).status).toBe(400)
  })
})

describe('malformed callbacks get a 400 page, and nothing is exchanged', () => {
  const good = 'https%3A%2F%2Fdiscord.com'
  test.each([
    ['code twice', (state: string) => `code=a&code=b&state=${state}`],
    ['the same code twice', (state: string) => `code=a&code=a&state=${state}`],
    ['state twice', (state: string) => `code=a&state=${state}&state=${state}`],
    ['error twice', (state: string) => `error=access_denied&error=access_denied&state=${state}`],
    ['code twice, a thousand others between', (state: string) => `code=a&state=${state}&${'a&'.repeat(1000)}code=b`],
    ['iss twice', (state: string) => `code=a&state=${state}&iss=${good}&iss=${good}`],
    ['iss right and wrong', (state: string) => `code=a&state=${state}&iss=${good}&iss=https%3A%2F%2Fevil.example`],
    ['code and error', (state: string) => `code=a&error=access_denied&state=${state}`],
    ['code without state', () => 'code=a'],
    ['error without state', () => 'error=access_denied'],
    ['state alone', (state: string) => `state=${state}`],
    ['an empty code', (state: string) => `code=&state=${state}`],
    ['an empty state', () => 'code=a&state='],
    ['a code of 8 KB', (state: string) => `code=${'c'.repeat(8192)}&state=${state}`],
    ['a state of 8 KB', () => `code=a&state=${'s'.repeat(8192)}`],
    ['%00 in the code', (state: string) => `code=a%00b&state=${state}`],
    ['%00 in the state', (state: string) => `code=a&state=${state}%00`],
    ['a line end in the code', (state: string) => `code=a%0D%0AX-Evil:%201&state=${state}`],
    ['bad UTF-8 in the code', (state: string) => `code=%ff%fe&state=${state}`],
    ['half a character in the state', () => 'code=a&state=%E0%A4%A'],
    ['a code as a list', (state: string) => `code[]=a&state=${state}`],
    ['a code as an object', (state: string) => `code[a]=b&state=${state}`],
    ['a state as a list', (state: string) => `code=a&state[]=${state}`],
  ])('%s', async (_, query) => {
    const visitor = app.visitor()
    const state = stateOf(await leave(visitor))
    const answer = await visitor.get(`/get_avatar?${query(state)}`)
    expect(answer.status).toBe(400)
    expect(answer.headers['content-type']).toMatch(/^text\/html/)
    expect(exchanges()).toBe(0)
  })

  test('with none of code, state and error it leads to the form', async () => {
    for (const query of ['', '?', '?utm_source=a', '?code[]=a', '?iss=https%3A%2F%2Fdiscord.com']) {
      const answer = await app.visitor().get(`/get_avatar${query}`)
      expect([query, answer.status, answer.headers.location]).toEqual([query, 303, '/'])
    }
  })

  test('unknown parameters are ignored, even twice', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const answer = await comeBack(visitor, `${callback}&session_state=x&a=1&a=2&__proto__=x&toString=x&code[]=y`)
    expectLanding(answer)
  })

  test('nothing in the address decides where the visitor is sent', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const astray = 'next=//evil.example&returnTo=https://evil.example&redirect_uri=https://evil.example'
    expectLanding(await comeBack(visitor, `${callback}&${astray}`))
  })
})

describe('Discord comes back with an error', () => {
  test('a "no" uses the state up', async () => {
    const visitor = app.visitor()
    const authorize = await leave(visitor)
    const callback = await agreeAtDiscord(authorize, { decision: 'decline' })
    expect((await comeBack(visitor, callback)).status).toBe(303)
    await forget('state:*')
    const answer = await comeBack(visitor, app.discord.codeFor(authorize))
    expect([answer.status, exchanges()]).toEqual([400, 0])
  })

  test('a "no" with the state of another browser is a 400, and uses nothing up', async () => {
    const [visitor, stranger] = [app.visitor(), app.visitor()]
    const authorize = await leave(visitor)
    const callback = await agreeAtDiscord(authorize, { decision: 'decline' })
    await leave(stranger)
    const answer = await comeBack(stranger, callback)
    expect(answer.status).toBe(400)
    expect(answer.headers.location).toBeUndefined()
    await expectUntouched(visitor, app.discord.codeFor(authorize))
  })

  test('a "no" to a state that is unknown is a 400', async () => {
    const callback = await agreeAtDiscord(await leave(app.visitor()), { decision: 'decline' })
    expect((await comeBack(app.visitor(), changed(callback, { state: 'unknown' }))).status).toBe(400)
  })

  test.each(['invalid_scope', 'invalid_request', 'server_error', 'temporarily_unavailable', '<b>made-up</b>'])(
    '%s: a 400 page that repeats none of it, the look kept, the state used up, and a line in the log',
    async (error) => {
      const visitor = app.visitor()
      const authorize = await leave(visitor)
      const { redirect_uri: back = '', state } = Object.fromEntries(new URL(authorize).searchParams)
      const description = 'Buy <i>this</i> at evil.example'
      const callback = `${back}?${new URLSearchParams({ error, error_description: description, state: state ?? '' })}`
      const linesBefore = app.logged.length
      const answer = await comeBack(visitor, callback)
      expect(answer.status).toBe(400)
      expect(answer.text).not.toContain('evil.example')
      expect(answer.text).not.toContain(error)
      expect(answer.text).not.toContain('made-up')
      expect(keepsLook(answer.text)).toBe(true)
      expect(app.logged.slice(linesBefore).join('')).toContain('"level":40')

      await forget('state:*')
      expect((await comeBack(visitor, app.discord.codeFor(authorize))).status).toBe(400)
      expect(exchanges()).toBe(0)
    },
  )
})

test.each(['login_required', 'consent_required', 'interaction_required'])(
  'Discord refuses prompt=none with %s: the next sign-in shows its pages, until one succeeds',
  async (error) => {
    const visitor = app.visitor()
    const authorize = new URL(await leave(visitor))
    expect(authorize.searchParams.get('prompt')).toBe('none')
    const state = authorize.searchParams.get('state') ?? ''
    const refused = await visitor.get(`/get_avatar?${new URLSearchParams({ error, state })}`)
    expect(refused.status).toBe(400)
    expect(keepsLook(refused.text)).toBe(true)

    const again = await leave(visitor)
    expect(new URL(again).searchParams.get('prompt')).toBe('consent')
    expectLanding(await comeBack(visitor, app.discord.codeFor(again)))
    expect(new URL(await leave(visitor)).searchParams.get('prompt')).toBe('none')
  },
)

test('a browser that did not keep the session cookie is told so', async () => {
  const visitor = app.visitor()
  const leaving = await visitor.post('/get_avatar').type('form').send(look)
  expectLanding(await comeBack(visitor, app.discord.codeFor(locationOf(leaving))))
  const page = await app.visitor().get('/show_avatar').set('Cookie', cookiesOf(leaving))
  expect([page.status, page.headers.location]).toEqual([303, '/?notice=no-session'])
  expect((await app.visitor().get('/?notice=no-session')).text).toContain('did not keep our cookie')
})

describe('Redis does not answer during the callback', () => {
  afterEach(async () => {
    redis.resume()
    await db.aclSetUser('default', '+get')
  })

  test('503 within two seconds, and the same browser finishes later', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    redis.pause()
    const { answer, ms } = await timed(comeBack(visitor, callback))
    expect(answer.status).toBe(503)
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(ms).toBeLessThan(2000)
    redis.resume()
    const since = performance.now()
    await expectUntouched(visitor, callback)
    // What Redis did in the end for the first request is taken back: its claim would be waited for, five seconds long.
    expect(performance.now() - since).toBeLessThan(4000)
  })

  test('in the middle of a callback: the state cookie stays, for a reload within the ten minutes', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    app.discord.fail(at.user, () => redis.pause(), { times: 1 })
    const answer = await comeBack(visitor, callback)
    expect(answer.status).toBe(503)
    expect(setCookies(answer).filter((line) => line.startsWith('state'))).toEqual([])
  })

  test('another instance finishes what the first could not', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    redis.pause()
    expect((await comeBack(visitor, callback)).status).toBe(503)
    redis.resume()
    await expectUntouched(sameBrowserAt(other, visitor), callback)
  })

  test('a second request that waits when Redis answers again finishes', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    redis.pause()
    expect((await comeBack(visitor, callback)).status).toBe(503)
    const again = send(comeBack(visitor, callback))
    // It has come in when a later request is answered.
    await visitor.get('/healthz')
    redis.resume()
    const second = await again
    // It may have been told to come again, but never that its state is no good.
    expectLanding(second.status === 503 ? await comeBack(visitor, callback) : second)
    expect(exchanges()).toBe(1)
  })

  test('a record that cannot be read for a moment: its lock is released at once, and the right browser finishes', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const [record = ''] = await db.keys('state:*')
    // Reading a list as text is refused.
    await db.rename(record, 'put aside')
    await db.rPush(record, 'no text')
    expect((await comeBack(visitor, callback)).status).toBe(503)
    expect(await db.keys('lock:*')).toEqual([])
    await db.rename('put aside', record)
    await expectUntouched(visitor, callback)
  })

  test('Redis refuses to give the record: 503, and later the right browser still finishes', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    await db.aclSetUser('default', '-get')
    expect((await comeBack(visitor, callback)).status).toBe(503)
    await db.aclSetUser('default', '+get')
    await expectUntouched(visitor, callback)
  })
})

describe('an instance', () => {
  test('that is killed in the middle of callbacks: the same browsers finish at another one', async () => {
    const doomed = await startApp({
      BASE_URL: app.url,
      REDIS_URL: redis.url,
      SESSION_SECRET: sessionSecret,
      DISCORD_CLIENT_ID: clientId,
      DISCORD_CLIENT_SECRET: clientSecret,
      DISCORD_API_URL: app.discord.apiUrl,
      DISCORD_AUTHORIZE_URL: app.discord.authorizeUrl,
      DICEBEAR_URL: app.dicebear.apiUrl,
    })
    const [early, late] = [app.visitor(), app.visitor()]
    const callbacks = [app.discord.codeFor(await leave(early)), app.discord.codeFor(await leave(late))] as const
    const there = (visitor: Visitor) => {
      const browser = agent(doomed.url.replace('localhost', '127.0.0.1')).redirects(0)
      browser.jar = visitor.jar
      return browser
    }
    const lost: Promise<unknown>[] = []
    try {
      // One of them before Discord has taken the code, the other after.
      app.discord.fail(at.token, faults.hang(), { times: 1 })
      lost.push(send(comeBack(there(early), callbacks[0])).catch(() => 'lost'))
      await expect.poll(() => exchanges(), { interval: 5 }).toBe(1)
      app.discord.fail(at.user, faults.hang(), { times: 1 })
      lost.push(send(comeBack(there(late), callbacks[1])).catch(() => 'lost'))
      await expect.poll(() => app.discord.count(at.user), { interval: 5 }).toBe(1)
    } finally {
      doomed.child.kill('SIGKILL')
      await doomed.stop()
    }
    expect(await Promise.all(lost)).toEqual(['lost', 'lost'])

    const [finished, spent] = await Promise.all([
      timed(comeBack(early, callbacks[0])),
      timed(comeBack(late, callbacks[1])),
    ])
    expectLanding(finished.answer)
    // Discord takes a code once: from the form it goes on, without a page of Discord's.
    expect(spent.answer.status).toBe(400)
    expect(keepsLook(spent.answer.text)).toBe(true)
    for (const waited of [finished, spent]) expect(waited.ms).toBeLessThan(8000)
    expectLanding(await signIn(app, late))
    expect([await hasAvatar(early), await hasAvatar(late)]).toEqual([true, true])
  })

  test('that is alive renews its lock of a state for as long as the callback takes', async () => {
    const settings = { UPSTREAM_TIMEOUT_MS: '6000' }
    const patient = await openApp({ redisUrl: redis.url, beside: app, settings })
    try {
      for (const path of [at.token, at.user]) app.discord.delay(path, 3000)
      const visitor = app.visitor()
      const callback = app.discord.codeFor(await leave(visitor))
      const browsers = [sameBrowserAt(patient, visitor), sameBrowserAt(patient, visitor)]
      const answers = await Promise.all(browsers.map((browser) => timed(comeBack(browser, callback))))
      for (const { answer, ms } of answers) {
        expectLanding(answer)
        // Longer than a claim lasts by itself.
        expect(ms).toBeGreaterThan(5500)
      }
      expect(exchanges()).toBe(1)
    } finally {
      await patient.close()
    }
  })
})

test('the redirect URI follows from BASE_URL, whatever the request says of its host', async () => {
  const astray = {
    Host: 'evil.example',
    'X-Forwarded-Host': 'evil.example',
    'X-Forwarded-Proto': 'https',
    Forwarded: 'host=evil.example;proto=https',
  }
  const visitor = app.visitor()
  const leaving = await visitor.post('/get_avatar').set(astray).type('form').send(look)
  const redirectUri = `${app.url}/get_avatar`
  expect(new URL(locationOf(leaving)).searchParams.get('redirect_uri')).toBe(redirectUri)
  const returning = await comeBack(visitor, app.discord.codeFor(locationOf(leaving))).set(astray)
  expectLanding(returning)
  const exchange = app.discord.calls.find(({ path }) => path === at.token)
  expect(new URLSearchParams(exchange?.body).get('redirect_uri')).toBe(redirectUri)
})

describe('a new session id at sign-in', () => {
  test('a session that was planted in the browser opens nothing afterwards', async () => {
    // The attacker's own session, whose tokens have ended.
    app.discord.tokenLifeS = 1
    const planted = cookiesOf(await signIn(app, app.visitor(), { ...look, seed: 'bait' }, app.discord.accounts[1]?.id))
    app.discord.tokenLifeS = 604_800

    const visitor = app.visitor()
    const leaving = await visitor.post('/get_avatar').set('Cookie', planted).type('form').send(look)
    const cookies = `${planted}; ${cookiesOf(leaving)}`
    const returning = await comeBack(app.visitor(), app.discord.codeFor(locationOf(leaving))).set('Cookie', cookies)
    expectLanding(returning)
    expect(sessionIdIn(cookiesOf(returning))).not.toBe(sessionIdIn(planted))
    await expectSignedIn(returning)

    const attacker = await app.visitor().get('/show_avatar').set('Cookie', planted)
    expect([attacker.status, attacker.headers.location]).toEqual([303, '/?notice=no-looks'])
    // Another account: what the attacker had is not the visitor's.
    const newcomer = app.visitor()
    const page = await newcomer.get('/show_avatar').set('Cookie', cookiesOf(returning))
    expect(page.text).toContain('Juniper Moss')
    expect(page.text).not.toContain('bait')
  })

  test('a made-up session id is not adopted', async () => {
    const planted = `${sessionCookie(app)}=s%3Aplanted.c2lnbmF0dXJl`
    const leaving = await app.visitor().post('/get_avatar').set('Cookie', planted).type('form').send(look)
    const returning = await comeBack(app.visitor(), app.discord.codeFor(locationOf(leaving))).set(
      'Cookie',
      `${planted}; ${cookiesOf(leaving)}`,
    )
    expectLanding(returning)
    expect(sessionIdIn(cookiesOf(returning))).not.toBe('planted')
    expect(await db.keys('session:planted')).toEqual([])
  })

  test('a second sign-in renews the id, keeps the avatars, and ends the old session', async () => {
    const visitor = app.visitor()
    const before = cookiesOf(await signIn(app, visitor))
    const after = cookiesOf(await signIn(app, visitor, { ...look, seed: 'later' }))
    expect(sessionIdIn(after)).not.toBe(sessionIdIn(before))
    const old = await app.visitor().get('/show_avatar').set('Cookie', before)
    expect([old.status, old.headers.location]).toEqual([303, '/?notice=no-looks'])
    expect(await hasAvatar(visitor)).toBe(true)
    expect(await hasAvatar(visitor, { seed: 'later' })).toBe(true)
  })

  test('another account in the same browser begins with a history of its own', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor, look)
    app.discord.deauthorize(app.discord.accounts[0]?.id ?? '')
    const callback = app.discord.codeFor(await leave(visitor, { ...look, seed: 'mine' }), app.discord.accounts[1]?.id)
    expectLanding(await comeBack(visitor, callback))
    expect(await hasAvatar(visitor)).toBe(false)
    expect(await hasAvatar(visitor, { seed: 'mine' })).toBe(true)
  })

  test('nor does it inherit one when its own sign-in ended half-way', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor, look)
    const callback = app.discord.codeFor(await leave(visitor, { ...look, seed: 'mine' }), app.discord.accounts[1]?.id)
    // The cached token is refused, the code is taken, and then Discord falls over.
    app.discord.fail(at.user, faults.json(401, { message: '401: Unauthorized', code: 0 }), { times: 1 })
    app.discord.fail(at.user, faults.json(500, { message: '500: Internal Server Error', code: 0 }), { times: 1 })
    expect((await comeBack(visitor, callback)).status).toBe(502)
    await visitor
      .post('/show_avatar')
      .type('form')
      .send({ ...look, seed: 'mine' })
    expect((await visitor.get('/show_avatar')).text).not.toContain('Juniper Moss')
    expect(await hasAvatar(visitor)).toBe(false)
  })
})

test('code and state do not leak from the callback’s answers', async () => {
  const visitor = app.visitor()
  const callback = app.discord.codeFor(await leave(visitor))
  for (const answer of [await comeBack(app.visitor(), callback), await comeBack(visitor, callback)]) {
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.headers['referrer-policy']).toBe('same-origin')
    for (const value of new URL(callback).searchParams.values()) {
      if (value !== 'https://discord.com') expect(answer.text + JSON.stringify(answer.headers)).not.toContain(value)
    }
    // Nothing from outside is loaded, and a link that leads outside tells nobody where from.
    const outside = answer.text.match(/<[^>]+\s(src|href|action)="(https?:)?\/\/[^>]*>/g) ?? []
    for (const tag of outside) expect(tag).toMatch(/^<a [^>]*rel="noreferrer"/)
  }
})

import { CookieAccessInfo } from 'cookiejar'
import { agent, type Response } from 'supertest'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { lockKey } from '../../src/store/store.ts'
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
  type Visitor,
} from '../support/open-app.ts'
import { openRedisProxy } from '../support/redis-proxy.ts'
import { childrenOf } from '../support/renderers.ts'
import { startApp } from '../support/start-app.ts'
import { app, db, other, redis, useTwoInstances } from '../support/two-instances.ts'
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

useTwoInstances()

const exchanges = () => app.discord.count(at.token)
const stateOf = (address: string) => new URL(address).searchParams.get('state') ?? ''

/** Returns the callback URL with these parameters changed; `undefined` leaves a parameter out. */
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

/** Checks that a browser with only the cookies of this answer is signed in. */
async function expectSignedIn(answer: Response): Promise<void> {
  const page = await app.visitor().get('/show_avatar').set('Cookie', cookiesOf(answer))
  expect(page.status).toBe(200)
}

/** Returns an answer, and the commands that Redis received until then. */
async function watched(ask: () => PromiseLike<Response>): Promise<{ answer: Response; seen: string[] }> {
  const watcher = db.duplicate()
  await watcher.connect()
  const seen: string[] = []
  await watcher.monitor((line) => seen.push(String(line)))
  try {
    const answer = await ask()
    // When this command is seen, all earlier ones have been seen, too.
    await db.echo('the end')
    await expect.poll(() => seen.some((line) => line.includes('the end'))).toBe(true)
    return { answer, seen }
  } finally {
    watcher.destroy()
  }
}

/** Checks that no code was exchanged, and that the right browser can still finish. */
async function expectUntouched(visitor: Visitor, callback: string): Promise<void> {
  expect(exchanges()).toBe(0)
  expectLanding(await comeBack(visitor, callback))
  expect(exchanges()).toBe(1)
}

describe('a state', () => {
  test('is unguessable and new for each visit', async () => {
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
    const cookies = visitors.flatMap(({ jar }) => jar.getCookies(CookieAccessInfo.All).map(({ value }) => value))
    expect(new Set(cookies).size).toBe(200)
    for (const value of cookies) expect(value).toMatch(/^[\w-]{22,}$/)
    // 128 bits take 22 characters of base64url. No character may be the same in all states.
    for (const state of states) expect(state).toMatch(/^[\w-]{22,}$/)
    for (let place = 0; place < 22; place += 1) {
      expect(new Set(states.map((state) => state[place])).size).toBeGreaterThan(16)
    }
  })

  test('has a cookie that is hidden from scripts and other sites, and that expires after ten minutes', async () => {
    const leaving = await app.visitor().post('/get_avatar').type('form').send(look)
    const [pair = '', ...attributes] = setCookie(leaving, 'state').split('; ')
    expect(attributes).toEqual(expect.arrayContaining(['HttpOnly', 'SameSite=Lax', 'Path=/', 'Max-Age=600']))
    expect(attributes.join()).not.toMatch(/Domain|Secure/)
    const state = stateOf(locationOf(leaving))
    expect(pair).not.toContain(state)
    expect(pair).not.toContain(state.slice(0, 8)) // the name is made of a hash of the state
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

  test('has a cookie that is Secure and __Host- if BASE_URL is https, whatever the proxy says', async () => {
    const beside = { url: 'https://avatars.example', discord: app.discord, dicebear: app.dicebear }
    const behindProxy = await openApp({ redisUrl: redis.url, beside })
    try {
      const leaving = await behindProxy.visitor().post('/get_avatar').type('form').send(look)
      expect(setCookie(leaving, '__Host-state').split('; ')).toEqual(expect.arrayContaining(['Secure', 'Path=/']))
      // Another host of the same site can set a cookie under any name that does not begin with __Host-.
      const cookie = cookiesOf(leaving).replace('__Host-', 'domain-')
      const callback = `/get_avatar?code=x&state=${stateOf(locationOf(leaving))}`
      expect((await behindProxy.visitor().get(callback).set('Cookie', cookie)).status).toBe(400)
      expect(exchanges()).toBe(0)
    } finally {
      await behindProxy.close()
    }
  })

  test('loses its cookie and record when it is the oldest of more than twenty in one browser', async () => {
    const visitor = app.visitor()
    const callbacks: string[] = []
    for (let visit = 0; visit < 25; visit += 1) callbacks.push(app.discord.codeFor(await leave(visitor)))
    expect(await db.keys('state:*')).toHaveLength(20)
    for (const callback of callbacks.slice(0, 5)) expect((await comeBack(visitor, callback)).status).toBe(400)
    for (const callback of [callbacks[5], callbacks[24]]) {
      expect((await comeBack(visitor, callback ?? '')).headers.location).toBe('/show_avatar')
    }
  })

  test('is found among hundreds of made-up state cookies, of which no more than twenty are looked up', async () => {
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
    // The records of twenty states are read, among them that of this browser.
    const asked = seen.filter((line) => line.includes('"MGET" "state:')).map((line) => line.match(/"state:/g)?.length)
    expect(asked).toEqual([19])
  })

  test('expires a minute after the callback, with its cookie and its record', async () => {
    const visitor = app.visitor()
    const returning = await signIn(app, visitor)
    expect(setCookie(returning, 'state')).toContain('; Max-Age=60;')
    const left = [...(await db.keys('state:*')), ...(await db.keys('lock:*'))]
    expect(left).not.toEqual([])
    for (const key of left) {
      expect(await db.ttl(key)).toBeLessThanOrEqual(60)
      if (key.startsWith('state:')) expect(await db.ttl(key)).toBeGreaterThan(55)
      expect(await db.get(key)).not.toContain('verifier')
    }
  })
})

describe('a state belongs to the browser for which it was created', () => {
  test('another browser with its own state gets 400, and the state can still be used', async () => {
    const [visitor, stranger] = [app.visitor(), app.visitor()]
    const callback = app.discord.codeFor(await leave(visitor))
    await leave(stranger)
    const answer = await comeBack(stranger, callback)
    expect(answer.status).toBe(400)
    expect(answer.text).toContain('We lost track of your visit')
    await expectUntouched(visitor, callback)
  })

  test('another visitor who is signed in gets 400, and keeps their own session', async () => {
    const [visitor, stranger] = [app.visitor(), app.visitor()]
    await signIn(app, stranger, look, app.discord.accounts[1]?.id)
    app.discord.calls.length = 0
    const callback = app.discord.codeFor(await leave(visitor))
    expect((await comeBack(stranger, callback)).status).toBe(400)
    expect((await stranger.get('/show_avatar')).text).toContain('ozzy')
    await expectUntouched(visitor, callback)
  })

  test('a browser without cookies gets 400, and the state can still be used', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    expect((await comeBack(app.visitor(), callback)).status).toBe(400)
    await expectUntouched(visitor, callback)
  })

  test('a cookie of the right name with another value gets 400, and the state can still be used', async () => {
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

describe('a callback gets 400, and no code is exchanged', () => {
  test('if its state is unknown', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const answer = await comeBack(visitor, changed(callback, { state: 'x'.repeat(43) }))
    expect(answer.status).toBe(400)
    await expectUntouched(visitor, callback)
  })

  test('if its state is older than ten minutes', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    await forget('state:*')
    const answer = await comeBack(visitor, callback)
    expect([answer.status, exchanges()]).toEqual([400, 0])
    expect(answer.text).toContain('href="/"')
  })

  test('if its state was used more than a minute ago, and the visitor is still signed in', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    await comeBack(visitor, callback)
    await forget('state:*')
    expect((await comeBack(visitor, callback)).status).toBe(400)
    expect(exchanges()).toBe(1)
    expect((await visitor.get('/show_avatar')).status).toBe(200)
  })

  test('if it has succeeded, but the browser lacks the session’s cookie, and Redis has lost the session', async () => {
    const visitor = app.visitor()
    const leaving = await visitor.post('/get_avatar').type('form').send(look)
    const callback = app.discord.codeFor(locationOf(leaving))
    expectLanding(await comeBack(visitor, callback))
    await forget('session:*')
    expect((await comeBack(app.visitor(), callback).set('Cookie', cookiesOf(leaving))).status).toBe(400)
    expect(exchanges()).toBe(1)
  })

  test('if an older version of the app has stored its state in another format', async () => {
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
  test('causes one exchange, and both requests lead to the avatar, signed in', async () => {
    const visitor = app.visitor()
    const leaving = await visitor.post('/get_avatar').type('form').send(look)
    const callback = app.discord.codeFor(locationOf(leaving))
    expectLanding(await comeBack(visitor, callback))
    expectLanding(await comeBack(visitor, callback))

    // A browser that did not receive the first answer has only the state's cookie.
    const second = await comeBack(app.visitor(), callback).set('Cookie', cookiesOf(leaving))
    expectLanding(second)
    await expectSignedIn(second)
    expect(exchanges()).toBe(1)
    expect(app.discord.count(at.user)).toBe(1)
    await expect.poll(() => db.keys('lock:*')).toEqual([])
  })

  test('deletes the old session, which a process that was killed after the first request has left', async () => {
    const visitor = app.visitor()
    const before = cookiesOf(await signIn(app, visitor))
    const old = `session:${sessionIdIn(before)}`
    const content = (await db.get(old)) ?? ''
    const leaving = await visitor.post('/get_avatar').type('form').send(look)
    const callback = app.discord.codeFor(locationOf(leaving))
    expectLanding(await comeBack(visitor, callback))
    await expect.poll(() => db.exists(old)).toBe(0)
    await db.set(old, content, { expiration: { type: 'EX', value: 1000 } })
    const cookies = `${before}; ${cookiesOf(leaving)}`
    expectLanding(await comeBack(app.visitor(), callback).set('Cookie', cookies))
    await expect.poll(() => db.exists(old)).toBe(0)
  })

  test('causes one exchange for twenty requests at once, and all lead to the avatar, signed in', async () => {
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

  test('causes one exchange for two requests at once with different codes, and both lead to the avatar', async () => {
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

  test('causes one exchange for two requests with different codes, one after the other', async () => {
    const visitor = app.visitor()
    const authorize = await leave(visitor)
    expectLanding(await comeBack(visitor, app.discord.codeFor(authorize)))
    expectLanding(await comeBack(visitor, app.discord.codeFor(authorize)))
    expect(exchanges()).toBe(1)
  })

  test('causes one exchange for requests at once at two instances, and both lead to the avatar', async () => {
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

  test('makes the second request wait for the first, however slow each step of it is', async () => {
    for (const path of [at.token, at.user]) app.discord.delay(path, 900)
    app.dicebear.delay(at.svg, 900)
    const visitor = app.visitor()
    // Without a seed, DiceBear is asked last, because the seed is then the username.
    const callback = app.discord.codeFor(await leave(visitor, { ...look, seed: '' }))
    const both = await Promise.all([timed(comeBack(visitor, callback)), timed(comeBack(visitor, callback))])
    for (const { answer } of both) expectLanding(answer)
    for (const { ms } of both) expect(ms).toBeGreaterThan(1800)
    expect(exchanges()).toBe(1)
  })

  test('gets 503 if the first request does not end, and can be opened again', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const [record = ''] = await db.keys('state:*')
    await db.set(lockKey(record), 'the first request', { expiration: { type: 'EX', value: 20 } })
    onTestFinished(() => void vi.useRealTimers())
    vi.useFakeTimers({ toFake: ['performance'] })
    let status = 0
    const returning = send(comeBack(visitor, callback)).then((answer) => {
      status = answer.status
    })
    await expect
      .poll(() => {
        vi.advanceTimersByTime(1000)
        return status
      })
      .toBe(503)
    await returning
    vi.useRealTimers()
    await db.del(lockKey(record))
    await expectUntouched(visitor, callback)
  })

  test('still leads to the avatar after another tab has signed in and replaced the session', async () => {
    const visitor = app.visitor()
    const leaving = await visitor.post('/get_avatar').type('form').send(look)
    const first = app.discord.codeFor(locationOf(leaving))
    const second = app.discord.codeFor(await leave(visitor))
    expectLanding(await comeBack(visitor, first))
    expectLanding(await comeBack(visitor, second))
    expectLanding(await comeBack(visitor, first))
    expect((await visitor.get('/show_avatar')).status).toBe(200)
    // A browser that did not receive the answers has only the state's cookie.
    const reload = await comeBack(app.visitor(), first).set('Cookie', cookiesOf(leaving))
    expectLanding(reload)
    await expectSignedIn(reload)
  })

  test('after the visitor declined leads to the form both times, with the look', async () => {
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

  test('after a failure exchanges nothing again, and keeps the look', async () => {
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

  test('can finish in reverse order, each with its own choice', async () => {
    const visitor = app.visitor()
    const [first = '', second = ''] = [await leave(visitor, looks[0]), await leave(visitor, looks[1])]
    expectLanding(await comeBack(visitor, app.discord.codeFor(second)))
    expect((await visitor.get('/show_avatar')).text).toContain('tab two')
    expectLanding(await comeBack(visitor, app.discord.codeFor(first)))
    expect((await visitor.get('/show_avatar')).text).toContain('tab one')
    await expectAllKept(visitor, looks.slice(0, 2))
  })

  for (const known of [false, true]) {
    test(`can finish at once, each with its own choice: ${known ? 'signed in' : 'a new visitor'}`, async () => {
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

  test('can finish at once at two instances', async () => {
    const visitor = app.visitor()
    const callbacks: string[] = []
    for (const choice of looks) callbacks.push(app.discord.codeFor(await leave(visitor, choice)))
    const answers = await Promise.all(
      callbacks.map((callback, tab) => comeBack(tab === 1 ? sameBrowserAt(other, visitor) : visitor, callback)),
    )
    for (const answer of answers) expectLanding(answer)
    await expectAllKept(visitor, looks)
  })

  test('can overlap: the second starts and finishes while the first is being answered', async () => {
    app.discord.delay(at.user, 300)
    const visitor = app.visitor()
    const first = send(comeBack(visitor, app.discord.codeFor(await leave(visitor, looks[0]))))
    await expect.poll(() => app.discord.count(at.user)).toBe(1)
    const second = comeBack(visitor, app.discord.codeFor(await leave(visitor, looks[1])))
    for (const answer of await Promise.all([first, second])) expectLanding(answer)
    await expectAllKept(visitor, looks.slice(0, 2))
  })

  test('keep the restyle of one tab when the other comes back from Discord', async () => {
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

  test('can restyle in one tab while the other replaces the session', async () => {
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

  test('keep accounts apart: a restyle fails while the other tab signs in with another account', async () => {
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
    // Discord refuses the token in Juniper's session, so the code of the callback is exchanged, which is Ozzy's.
    app.discord.fail(at.user, faults.json(401, { message: '401: Unauthorized', code: 0 }), { times: 1 })
    expectLanding(await comeBack(visitor, callback))
    held.resolve()
    const restyled = await restyling
    expect([restyled.status, new URL(locationOf(restyled), app.url).pathname]).toEqual([303, '/'])
    expect((await visitor.get('/show_avatar')).text).toContain('ozzy')
    expect(await hasAvatar(visitor, looks[1])).toBe(false)
    await expectAllKept(visitor, looks.slice(0, 1))
  })

  test('keep accounts apart: two callbacks at once sign in with two accounts', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const ozzy = app.discord.accounts[1]
    const [first, second] = [await leave(visitor, looks[0]), await leave(visitor, looks[1])]
    const before = app.discord.count(at.user)
    const held = Promise.withResolvers<void>()
    const sayOzzy = faults.json(200, { id: ozzy?.id, username: ozzy?.username })
    // Discord refuses Juniper's token, so the code is exchanged, which is Ozzy's. Juniper's callback ends meanwhile.
    app.discord.fail(at.user, faults.json(401, { message: '401: Unauthorized', code: 0 }), { times: 1 })
    app.discord.fail(at.user, (req, res) => held.promise.then(() => sayOzzy(req, res)), { times: 1 })
    const returning = send(comeBack(visitor, app.discord.codeFor(second, ozzy?.id)))
    await expect.poll(() => app.discord.count(at.user)).toBe(before + 2)
    expectLanding(await comeBack(visitor, app.discord.codeFor(first)))
    held.resolve()
    expectLanding(await returning)
    expect((await visitor.get('/show_avatar')).text).toContain('ozzy')
    await expectAllKept(visitor, looks.slice(1, 2))
    expect(await hasAvatar(visitor, looks[0])).toBe(false)
    await expect.poll(() => db.keys('session:*')).toHaveLength(1)
  })

  test('take turns: a sign-in waits for a request that holds the session’s lock, and keeps that change', async () => {
    const visitor = app.visitor()
    const session = `session:${sessionIdIn(cookiesOf(await signIn(app, visitor)))}`
    const before = (await db.get(session)) ?? ''
    await visitor.post('/show_avatar').type('form').send(looks[1])
    const restyled = (await db.get(session)) ?? ''
    // The same, slower: another instance holds the lock, and has read the session already.
    await db.set(session, before)
    await db.set(`lock:{${session}}`, '1', { expiration: { type: 'EX', value: 5 } })
    const watcher = db.duplicate()
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

  test('keep the new session when a picture arrives that was requested before the sign-in', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const page = await visitor.get('/show_avatar')
    const path = /\/avatars\/[0-9a-f]{64}\.svg/.exec(page.text)?.[0] ?? ''
    const callback = app.discord.codeFor(await leave(visitor, looks[0]))
    const before = app.dicebear.count(at.svg)
    app.dicebear.delay(at.svg, 300)
    // The other instance has no file of this picture, so DiceBear draws it again, slowly.
    const picture = send(sameBrowserAt(other, visitor).get(path))
    await expect.poll(() => app.dicebear.count(at.svg)).toBe(before + 1)
    app.dicebear.heal()
    expectLanding(await comeBack(visitor, callback))
    expect((await picture).status).toBe(200)
    expect((await visitor.get('/show_avatar')).status).toBe(200)
  })

  test.each<[string, (tab: Visitor) => PromiseLike<Response>, status: number]>([
    ['the avatar’s page', (tab) => tab.get('/show_avatar'), 200],
    ['a refused form', (tab) => tab.post('/show_avatar').type('form').send({ style: 'nope' }), 422],
  ])('do not get the old session back through %s that waited for a renderer', async (_what, request, status) => {
    const visitor = app.visitor()
    // For letters the page finds out whether the fonts have them.
    await signIn(app, visitor, { ...looks[0], style: 'initials', mood: '' })
    const callback = app.discord.codeFor(await leave(visitor, looks[1]))
    const cold = await openApp({ redisUrl: redis.url, beside: app })
    onTestFinished(() => cold.close())
    const others = new Set(childrenOf(process.pid))
    const renderers = () => childrenOf(process.pid).filter((pid) => !others.has(pid))
    const page = send(request(sameBrowserAt(cold, visitor)))
    await expect.poll(renderers, { interval: 5 }).toHaveLength(1)
    for (const pid of renderers()) process.kill(pid, 'SIGSTOP')
    expectLanding(await comeBack(visitor, callback))
    for (const pid of renderers()) process.kill(pid, 'SIGCONT')
    expect((await page).status).toBe(status)
    expect((await visitor.get('/show_avatar')).status).toBe(200)
  })

  test('keep the new session when one tab gets an error page after the other has signed in', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const callback = app.discord.codeFor(await leave(visitor, looks[0]))
    const before = app.discord.count(at.user)
    const held = Promise.withResolvers<void>()
    app.discord.fail(at.user, (req, res) => held.promise.then(() => faults.answer(500)(req, res)), { times: 1 })
    const restyling = send(visitor.post('/show_avatar').type('form').send(looks[1]))
    await expect.poll(() => app.discord.count(at.user)).toBe(before + 1)
    expectLanding(await comeBack(visitor, callback))
    held.resolve()
    expect((await restyling).status).toBe(502)
    expect((await visitor.get('/show_avatar')).status).toBe(200)
    await expectAllKept(visitor, [look, ...looks.slice(0, 1)])
  })

  test('never write the session without its lock', async () => {
    const visitor = app.visitor()
    const session = `session:${sessionIdIn(cookiesOf(await signIn(app, visitor)))}`
    const { answer, seen } = await watched(() => visitor.post('/show_avatar').type('form').send(looks[0]))
    expect(answer.status).toBe(303)
    const letGo = seen.findLastIndex((line) => line.includes(`"DEL" "lock:{${session}}"`))
    expect(letGo).toBeGreaterThan(0)
    expect(seen.slice(letGo).filter((line) => line.includes(`"SET" "${session}"`))).toEqual([])
  })

  test('can send ten restyles at once to two instances, and all are in the history', async () => {
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

describe('a HEAD request or a prefetch of the callback', () => {
  const lookers = [
    ['HEAD', {}],
    ['GET', { 'Sec-Purpose': 'prefetch' }],
    ['GET', { 'Sec-Purpose': 'prefetch;prerender' }],
    ['GET', { 'Sec-Purpose': 'prefetch;anonymous-client-ip' }],
    ['GET', { Purpose: 'prefetch' }],
  ] as const

  test.each(lookers)('does not use up the state: %s %j', async (method, headers) => {
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

describe('the issuer (iss) of a callback', () => {
  test.each([
    ['right', 'https://discord.com', 302],
    ['absent', undefined, 302],
    ['wrong', 'https://evil.example', 400],
    ['almost right', 'https://discord.com/', 400],
    ['empty', '', 400],
  ])('is checked: %s', async (_, iss, status) => {
    const visitor = app.visitor()
    const callback = changed(app.discord.codeFor(await leave(visitor)), { iss })
    expect((await comeBack(visitor, callback)).status).toBe(status)
    expect(exchanges()).toBe(status === 302 ? 1 : 0)
  })

  test('is checked if the visitor declined, too', async () => {
    const visitor = app.visitor()
    const callback = await agreeAtDiscord(await leave(visitor), { decision: 'decline' })
    expect((await comeBack(visitor, changed(callback, { iss: 'https://evil.example' }))).status).toBe(400)
  })
})

describe('the parameters of a callback', () => {
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
  ])('lead to a 400 page if they are malformed, and no code is exchanged: %s', async (_, query) => {
    const visitor = app.visitor()
    const authorize = await leave(visitor)
    const answer = await visitor.get(`/get_avatar?${query(stateOf(authorize))}`)
    expect(answer.status).toBe(400)
    expect(answer.headers['content-type']).toMatch(/^text\/html/)
    await expectUntouched(visitor, app.discord.codeFor(authorize))
  })

  test('lead to the form if code, state and error are all missing', async () => {
    for (const query of ['', '?', '?utm_source=a', '?code[]=a', '?iss=https%3A%2F%2Fdiscord.com']) {
      const answer = await app.visitor().get(`/get_avatar${query}`)
      expect([query, answer.status, answer.headers.location]).toEqual([query, 303, '/'])
    }
  })

  test('may be much longer than Discord’s are now', async () => {
    const visitor = app.visitor()
    const callback = changed(app.discord.codeFor(await leave(visitor)), { code: 'c'.repeat(1024) })
    expect((await comeBack(visitor, callback)).status).toBe(400)
    const exchange = app.discord.calls.find(({ path }) => path === at.token)
    expect(new URLSearchParams(exchange?.body).get('code')).toHaveLength(1024)
  })

  test('are ignored if they are unknown, even if they are repeated', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const answer = await comeBack(visitor, `${callback}&session_state=x&a=1&a=2&__proto__=x&toString=x&code[]=y`)
    expectLanding(answer)
  })

  test('cannot change where the visitor is sent', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const astray = 'next=//evil.example&returnTo=https://evil.example&redirect_uri=https://evil.example'
    expectLanding(await comeBack(visitor, `${callback}&${astray}`))
  })
})

describe('a callback with an error', () => {
  test('uses up the state when the visitor declined', async () => {
    const visitor = app.visitor()
    const authorize = await leave(visitor)
    const callback = await agreeAtDiscord(authorize, { decision: 'decline' })
    expect((await comeBack(visitor, callback)).status).toBe(303)
    await forget('state:*')
    const answer = await comeBack(visitor, app.discord.codeFor(authorize))
    expect([answer.status, exchanges()]).toEqual([400, 0])
  })

  test('gets 400 with the state of another browser, which can still be used', async () => {
    const [visitor, stranger] = [app.visitor(), app.visitor()]
    const authorize = await leave(visitor)
    const callback = await agreeAtDiscord(authorize, { decision: 'decline' })
    await leave(stranger)
    const answer = await comeBack(stranger, callback)
    expect(answer.status).toBe(400)
    expect(answer.headers.location).toBeUndefined()
    await expectUntouched(visitor, app.discord.codeFor(authorize))
  })

  test('gets 400 with an unknown state', async () => {
    const callback = await agreeAtDiscord(await leave(app.visitor()), { decision: 'decline' })
    expect((await comeBack(app.visitor(), changed(callback, { state: 'unknown' }))).status).toBe(400)
  })

  test.each([
    'invalid_scope',
    'invalid_request',
    'server_error',
    'temporarily_unavailable',
    '<b>made-up</b>',
    'x'.repeat(50),
  ])('such as %s gets a 400 page that does not repeat it, uses up the state, and is logged', async (error) => {
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
    const logged = app.logged.slice(linesBefore).map((line) => JSON.parse(line))
    const entry = { level: 40, error: error.slice(0, 40), reqId: expect.any(String) }
    expect(logged).toContainEqual(expect.objectContaining(entry))
    expect(setCookies(answer).map((line) => line.split('-')[0])).toEqual(['state'])

    await forget('state:*')
    expect((await comeBack(visitor, app.discord.codeFor(authorize))).status).toBe(400)
    expect(exchanges()).toBe(0)
  })
})

test.each(['login_required', 'consent_required', 'interaction_required'])(
  'after Discord has refused prompt=none with %s, sign-ins show its page until one succeeds',
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

test('a visitor whose browser did not keep the session cookie is told so', async () => {
  const visitor = app.visitor()
  const leaving = await visitor.post('/get_avatar').type('form').send(look)
  expectLanding(await comeBack(visitor, app.discord.codeFor(locationOf(leaving))))
  const page = await app.visitor().get('/show_avatar').set('Cookie', cookiesOf(leaving))
  expect([page.status, page.headers.location]).toEqual([303, '/?notice=no-session'])
  expect((await app.visitor().get('/?notice=no-session')).text).toContain('did not keep our cookie')
  // A browser with a session cookie, even if it is no longer valid, does keep cookies.
  const cookies = `${cookiesOf(leaving)}; ${sessionCookie(app)}=s%3Aold.signature`
  const kept = await app.visitor().get('/show_avatar').set('Cookie', cookies)
  expect(kept.headers.location).toBe('/?notice=no-looks')
})

describe('a callback while Redis does not answer', () => {
  afterEach(async () => {
    redis.resume()
    await db.aclSetUser('default', '+get')
  })

  test('gets 503 within two seconds, and the same browser can finish later', async () => {
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
    // The first request's lock, which Redis stored late, was released; otherwise this request would wait three seconds.
    expect(performance.now() - since).toBeLessThan(2500)
  })

  test('keeps its state cookie if it has begun, so that it can be reloaded within ten minutes', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    app.discord.fail(at.user, () => redis.pause(), { times: 1 })
    const answer = await comeBack(visitor, callback)
    expect(answer.status).toBe(503)
    expect(setCookies(answer).filter((line) => line.startsWith('state'))).toEqual([])
  })

  test('can be finished at another instance', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    redis.pause()
    expect((await comeBack(visitor, callback)).status).toBe(503)
    redis.resume()
    await expectUntouched(sameBrowserAt(other, visitor), callback)
  })

  test('that waits for another request finishes when Redis answers again', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    redis.pause()
    expect((await comeBack(visitor, callback)).status).toBe(503)
    const again = send(comeBack(visitor, callback))
    // When a later request has been answered, the app has this one, too.
    await visitor.get('/healthz')
    redis.resume()
    const second = await again
    // 503 is allowed, which can be tried again, but not 400, which would mean that the state is lost.
    expectLanding(second.status === 503 ? await comeBack(visitor, callback) : second)
    expect(exchanges()).toBe(1)
  })

  test('releases its lock at once if the record cannot be read, and the same browser can finish', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const [record = ''] = await db.keys('state:*')
    // Redis refuses to read a list as a text.
    await db.rename(record, 'put aside')
    await db.rPush(record, 'no text')
    expect((await comeBack(visitor, callback)).status).toBe(503)
    expect(await db.keys('lock:*')).toEqual([])
    await db.rename('put aside', record)
    await expectUntouched(visitor, callback)
  })

  test('gets 503 if Redis hangs when the session is written, and a session written late is deleted', async () => {
    const proxy = await openRedisProxy(redis.port)
    const slow = await openApp({ redisUrl: proxy.url, beside: app })
    try {
      proxy.plan(0, { kind: 'stall', ms: 500 }) // the first command, too, may take so long
      await signIn(slow, slow.visitor()) // loads the scripts
      const before = await db.keys('session:*')
      const visitor = slow.visitor()
      const callback = app.discord.codeFor(await leave(visitor))
      // The third write is that of the session, after the lock of the state and the list of the user's sessions.
      proxy.plan(2, { kind: 'stall', ms: 1200 })
      expect((await comeBack(visitor, callback)).status).toBe(503)
      await expect.poll(() => proxy.writes(), { timeout: 5000 }).toContain('DEL')
      await expect.poll(() => db.keys('session:*')).toEqual(before)
      // Once Redis has answered again, it may take as long as before.
      proxy.plan(0, { kind: 'stall', ms: 500 })
      await leave(slow.visitor())
    } finally {
      await slow.close()
      proxy.close()
    }
  })

  test('gets 503 if Redis hangs and then lacks the script, which is not sent again after that', async () => {
    const proxy = await openRedisProxy(redis.port)
    const slow = await openApp({ redisUrl: proxy.url, beside: app })
    try {
      await signIn(slow, slow.visitor())
      const before = await db.keys('session:*')
      const visitor = slow.visitor()
      const callback = app.discord.codeFor(await leave(visitor))
      await db.scriptFlush()
      // The fourth write is that of the session, after the lock, and the script of the list, which is sent twice.
      proxy.plan(3, { kind: 'stall', ms: 1200 })
      expect((await comeBack(visitor, callback)).status).toBe(503)
      await expect.poll(() => proxy.writes(), { timeout: 5000 }).toContain('DEL')
      await signIn(slow, slow.visitor())
      expect(await db.keys('session:*')).toHaveLength(before.length + 1)
    } finally {
      await slow.close()
      proxy.close()
    }
  })

  test('leads to the avatar even if Redis refuses to store its outcome, which is logged as a warning', async () => {
    const proxy = await openRedisProxy(redis.port)
    const faulty = await openApp({ redisUrl: proxy.url, beside: app })
    try {
      await signIn(faulty, faulty.visitor()) // loads the scripts
      const visitor = faulty.visitor()
      const callback = app.discord.codeFor(await leave(visitor))
      // The fourth write is that of the outcome, after the lock of the state, the list and the session.
      proxy.plan(3, { kind: 'refuse' })
      expectLanding(await comeBack(visitor, callback))
      const warnings = faulty.logged.filter((line) => line.includes('the outcome of a callback was not kept'))
      expect(warnings.map((line) => JSON.parse(line).level)).toEqual([40])
    } finally {
      await faulty.close()
      proxy.close()
    }
  })

  test('gets 503 if Redis refuses to return the record, and the same browser can finish later', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    await db.aclSetUser('default', '-get')
    expect((await comeBack(visitor, callback)).status).toBe(503)
    await db.aclSetUser('default', '+get')
    await expectUntouched(visitor, callback)
  })
})

describe('an instance', () => {
  test('that is killed in the middle of callbacks loses none: the same browsers finish at another one', async () => {
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
      // Of the two callbacks, one is killed before Discord has received the code, the other after it.
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
    // Discord accepts a code only once, so this visitor starts again at the form, without seeing Discord's page.
    expect(spent.answer.status).toBe(400)
    expect(keepsLook(spent.answer.text)).toBe(true)
    for (const waited of [finished, spent]) expect(waited.ms).toBeLessThan(8000)
    expectLanding(await signIn(app, late))
    expect([await hasAvatar(early), await hasAvatar(late)]).toEqual([true, true])
  })

  test('that is alive renews its lock on a state for as long as the callback takes', async () => {
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
        // This is longer than the lock's TTL.
        expect(ms).toBeGreaterThan(5500)
      }
      expect(exchanges()).toBe(1)
    } finally {
      await patient.close()
    }
  })
})

test('the redirect URI is made of BASE_URL, whatever host the request names', async () => {
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

describe('a sign-in', () => {
  test('gives a planted session a new id, and the old id opens nothing', async () => {
    // The attacker's own session, whose tokens have expired.
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
    // With another account, the visitor does not get the attacker's avatars.
    const newcomer = app.visitor()
    const page = await newcomer.get('/show_avatar').set('Cookie', cookiesOf(returning))
    expect(page.text).toContain('Juniper Moss')
    expect(page.text).not.toContain('bait')
  })

  test('does not use a session id that the browser made up', async () => {
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

  test('renews the session id, keeps the avatars, and ends the old session', async () => {
    const visitor = app.visitor()
    const before = cookiesOf(await signIn(app, visitor))
    const after = cookiesOf(await signIn(app, visitor, { ...look, seed: 'later' }))
    expect(sessionIdIn(after)).not.toBe(sessionIdIn(before))
    const old = await app.visitor().get('/show_avatar').set('Cookie', before)
    expect([old.status, old.headers.location]).toEqual([303, '/?notice=no-looks'])
    expect(await hasAvatar(visitor)).toBe(true)
    expect(await hasAvatar(visitor, { seed: 'later' })).toBe(true)
  })

  test('with another account in the same browser begins a new history', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor, look)
    app.discord.deauthorize(app.discord.accounts[0]?.id ?? '')
    const callback = app.discord.codeFor(await leave(visitor, { ...look, seed: 'mine' }), app.discord.accounts[1]?.id)
    expectLanding(await comeBack(visitor, callback))
    expect(await hasAvatar(visitor)).toBe(false)
    expect(await hasAvatar(visitor, { seed: 'mine' })).toBe(true)
  })

  test('with another account begins a new history, too, if it fails half-way', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor, look)
    const callback = app.discord.codeFor(await leave(visitor, { ...look, seed: 'mine' }), app.discord.accounts[1]?.id)
    // Discord refuses the cached token, accepts the code, and then fails.
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

test('the answers to a callback do not leak code and state', async () => {
  const visitor = app.visitor()
  const callback = app.discord.codeFor(await leave(visitor))
  for (const answer of [await comeBack(app.visitor(), callback), await comeBack(visitor, callback)]) {
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.headers['referrer-policy']).toBe('same-origin')
    for (const value of new URL(callback).searchParams.values()) {
      if (value !== 'https://discord.com') expect(answer.text + JSON.stringify(answer.headers)).not.toContain(value)
    }
    // Nothing from other sites is loaded, and links to other sites send no Referer.
    const outside = answer.text.match(/<[^>]+\s(src|href|action)="(https?:)?\/\/[^>]*>/g) ?? []
    for (const tag of outside) expect(tag).toMatch(/^<a [^>]*rel="noreferrer"/)
  }
})

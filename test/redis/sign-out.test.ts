import { describe, expect, onTestFinished, test } from 'vitest'
import { at } from '../support/doubles.ts'
import type { Fault } from '../support/faults.ts'
import { comeBack, leave, look, openApp, signIn, type Visitor } from '../support/open-app.ts'
import { openRedisProxy } from '../support/redis-proxy.ts'
import { app, db, other, redis, useTwoInstances } from '../support/two-instances.ts'
import { copyOf, sameBrowserAt, send, setCookies } from '../support/visits.ts'

useTwoInstances()

async function expectSignedOut(...browsers: Visitor[]): Promise<void> {
  for (const browser of browsers) {
    const page = await browser.get('/show_avatar')
    expect([page.status, page.text.includes('Juniper')]).toEqual([303, false])
  }
  expect(await db.keys('session:*')).toEqual([])
}

/** Checks that Discord's stand-in refuses every access token that it has issued in this test. */
async function expectTokensRevoked(): Promise<void> {
  const issued = app.discord.calls.flatMap(({ path, answer }) =>
    path === at.token && answer !== null && typeof answer === 'object' && 'access_token' in answer
      ? String(answer.access_token)
      : [],
  )
  expect(issued).not.toEqual([])
  for (const token of issued) {
    const answer = await fetch(`${app.discord.apiUrl}/users/@me`, { headers: { authorization: `Bearer ${token}` } })
    expect(answer.status).toBe(401)
  }
}

describe('a sign-out ends what began before it', () => {
  for (const [name, instance] of [
    ['the same instance', () => app],
    ['another instance', () => other],
  ] as const) {
    test(`a callback of a known visitor that waits for Discord, with the sign-out at ${name}, is refused`, async () => {
      const visitor = app.visitor()
      await signIn(app, visitor)
      const callback = app.discord.codeFor(await leave(visitor, { ...look, seed: 'later' }))
      const tab = copyOf(app, visitor)
      app.discord.delay(at.user, 400)
      const before = app.discord.count(at.user)
      const returning = send(comeBack(tab, callback))
      await expect.poll(() => app.discord.count(at.user)).toBe(before + 1)
      expect((await sameBrowserAt(instance(), visitor).post('/sign_out')).status).toBe(303)
      app.discord.heal()
      expect((await returning).status).toBe(400)
      await expectSignedOut(tab, visitor)
      await expectTokensRevoked()
    })

    test(`a first callback that waits for Discord, with the sign-out at ${name}, is refused`, async () => {
      const visitor = app.visitor()
      const callback = app.discord.codeFor(await leave(visitor))
      const tab = copyOf(app, visitor)
      app.discord.delay(at.user, 400)
      const returning = send(comeBack(tab, callback))
      await expect.poll(() => app.discord.count(at.user)).toBe(1)
      expect((await sameBrowserAt(instance(), visitor).post('/sign_out')).status).toBe(303)
      app.discord.heal()
      expect((await returning).status).toBe(400)
      await expectSignedOut(tab, visitor)
      await expectTokensRevoked()
    })
  }

  test('a first callback keeps no tokens for the next one if Discord then does not say who the user is', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const tab = copyOf(app, visitor)
    const failLate: Fault = async (_req, res) => {
      await visitor.post('/sign_out').expect(303)
      res.sendStatus(500)
    }
    app.discord.fail(at.user, failLate, { times: 1 })
    const answer = await comeBack(tab, callback)
    expect([answer.status, setCookies(answer)]).toEqual([502, []])
    await expectSignedOut(tab, visitor)
    await expectTokensRevoked()
  })

  test('a callback of a known visitor that is just storing its new session is refused', async () => {
    const proxy = await openRedisProxy(redis.port)
    const slow = await openApp({ redisUrl: proxy.url, beside: app })
    try {
      const visitor = app.visitor()
      await signIn(app, visitor)
      const callback = app.discord.codeFor(await leave(visitor, { ...look, seed: 'later' }))
      const tab = copyOf(app, visitor)
      // The first three writes are the locks of two states and of the old session. The fourth stores the new session.
      proxy.plan(3, { kind: 'stall', ms: 500 })
      const returning = send(comeBack(sameBrowserAt(slow, tab), callback))
      await expect.poll(() => proxy.writes().length, { interval: 5 }).toBe(4)
      expect((await visitor.post('/sign_out')).status).toBe(303)
      expect((await returning).status).toBe(400)
      await expectSignedOut(tab, visitor)
      await expectTokensRevoked()
    } finally {
      await slow.close()
      proxy.close()
    }
  })

  test('the callback for an older state is refused, and no code is exchanged', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const callback = app.discord.codeFor(await leave(visitor))
    const tab = copyOf(app, visitor)
    const answer = await visitor.post('/sign_out')
    expect(setCookies(answer).filter((line) => /^state-.*Expires=Thu, 01 Jan 1970/.test(line))).toHaveLength(2)
    const exchanges = app.discord.count(at.token)
    for (const browser of [visitor, tab]) expect((await comeBack(browser, callback)).status).toBe(400)
    expect(app.discord.count(at.token)).toBe(exchanges)
    await expectSignedOut(tab, visitor)
  })

  test('a reload of a callback that signed in a minute ago is refused', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    await comeBack(visitor, callback)
    const tab = copyOf(app, visitor)
    await visitor.post('/sign_out')
    for (const browser of [visitor, tab]) expect((await comeBack(browser, callback)).status).toBe(400)
    await expectSignedOut(tab, visitor)
  })

  test('a restyle that is refreshing the tokens leads to the form, and its new tokens are revoked', async () => {
    const visitor = app.visitor()
    app.discord.tokenLifeS = 1
    await signIn(app, visitor)
    app.discord.tokenLifeS = 604_800
    const tab = copyOf(app, visitor)
    app.discord.delay(at.token, 400)
    const before = app.discord.count(at.token)
    const restyling = send(
      tab
        .post('/show_avatar')
        .type('form')
        .send({ ...look, seed: 'later' }),
    )
    await expect.poll(() => app.discord.count(at.token)).toBe(before + 1)
    expect((await visitor.post('/sign_out')).status).toBe(303)
    app.discord.heal()
    const restyled = await restyling
    expect([restyled.status, restyled.headers.location?.startsWith('/?')]).toEqual([303, true])
    await expectSignedOut(tab, visitor)
    await expectTokensRevoked()
  })

  test('the tokens that a restyle gets by a refresh after the sign-out are revoked', async () => {
    const visitor = app.visitor()
    app.discord.tokenLifeS = 1
    await signIn(app, visitor)
    app.discord.tokenLifeS = 604_800
    const tab = copyOf(app, visitor)
    const tokens = { access_token: 'late', refresh_token: 'late-too' }
    const late = { ...tokens, token_type: 'Bearer', expires_in: 604_800, scope: 'identify' }
    const answerLate: Fault = async (_req, res) => {
      await visitor.post('/sign_out').expect(303)
      res.json(late)
    }
    app.discord.fail(at.token, answerLate, { times: 1 })
    const restyled = await tab.post('/show_avatar').type('form').send(look)
    expect([restyled.status, restyled.headers.location?.startsWith('/?')]).toEqual([303, true])
    const revocations = app.discord.calls.filter(({ path }) => path === at.revoke)
    expect(revocations.map(({ body }) => new URLSearchParams(body).get('token'))).toContain('late-too')
  })
})

test('a sign-out with an earlier session id ends the session that replaced it, and its tokens', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor)
  const old = copyOf(app, visitor)
  await signIn(app, visitor, { ...look, seed: 'later' })
  expect((await visitor.get('/show_avatar')).status).toBe(200)
  expect((await old.post('/sign_out')).status).toBe(303)
  await expectSignedOut(visitor, old)
  await expectTokensRevoked()
})

test('a sign-out with an earlier session id does the same while Redis is full', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor)
  const old = copyOf(app, visitor)
  await signIn(app, visitor, { ...look, seed: 'later' })
  onTestFinished(async () => void (await db.configSet('maxmemory', '0')))
  await db.configSet('maxmemory', '1')
  expect((await old.post('/sign_out')).status).toBe(303)
  await expectSignedOut(visitor, old)
})

test('a sign-out in a browser that has not received the answer to its callback ends that session', async () => {
  const visitor = app.visitor()
  const callback = app.discord.codeFor(await leave(visitor))
  const tab = copyOf(app, visitor)
  await comeBack(tab, callback)
  expect((await visitor.post('/sign_out')).status).toBe(303)
  await expectSignedOut(tab, visitor)
  await expectTokensRevoked()
})

test('a sign-out may be repeated in tabs that still have the session’s cookie', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor)
  const tabs = [visitor, copyOf(app, visitor), copyOf(app, visitor), copyOf(app, visitor)]
  for (const tab of tabs) expect((await tab.post('/sign_out')).status).toBe(303)
  await expectSignedOut(...tabs)
})

test('a visitor can sign in again after a sign-out', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor)
  await visitor.post('/sign_out')
  const answer = await signIn(app, visitor, { ...look, seed: 'later' })
  expect([answer.status, answer.headers.location]).toEqual([302, '/show_avatar'])
  expect((await visitor.get('/show_avatar')).status).toBe(200)
})

import type { Socket } from 'node:net'
import { createClient } from 'redis'
import type { Response } from 'supertest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { at } from '../support/doubles.ts'
import { type Fault, faults } from '../support/faults.ts'
import { clientId, comeBack, leave, look, openApp, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { openRedis, type Redis } from '../support/redis.ts'
import {
  cookiesOf,
  expectLanding,
  hasAvatar,
  keepsLook,
  locationOf,
  restyle,
  restyled,
  sameBrowserAt,
  send,
  sessionCookie,
  setCookies,
  timed,
} from '../support/visits.ts'

const timeoutMs = 1000
/** While Discord or DiceBear hangs, a visitor must have an answer within this time. */
const maxWaitMs = timeoutMs + 2000
const weekS = 604_800

let redis: Redis
/** Two instances of the site. */
let app: TestApp
let other: TestApp
let db: ReturnType<typeof client>

const client = () => createClient({ url: redis.url })

beforeAll(async () => {
  const settings = { UPSTREAM_TIMEOUT_MS: String(timeoutMs) }
  redis = await openRedis()
  app = await openApp({ redisUrl: redis.url, settings })
  other = await openApp({ redisUrl: redis.url, settings, beside: app })
  db = client()
  await db.connect()
})
afterAll(async () => {
  db.destroy()
  await Promise.all([other.close(), app.close()])
  await redis.stop()
})
beforeEach(() => {
  app.discord.calls.length = 0
})
afterEach(async () => {
  app.discord.heal()
  app.dicebear.heal()
  app.discord.tokenLifeS = weekS
  await db.flushDb()
})

const juniper = () => app.discord.accounts[0]?.id ?? ''
const ozzy = () => app.discord.accounts[1]?.id ?? ''

const noSeed = { ...look, style: 'bottts', seed: '' }

const oauthError = (status: number, error: string) =>
  faults.json(status, { error, error_description: `Discord’s own words on ${error}` })
const unauthorized = () => faults.json(401, { message: '401: Unauthorized', code: 0 })

/** Checks that an answer redirects to the form, with the choice in the query. */
function expectSignInAgain(answer: Response, choice: Record<string, string>): void {
  expect(answer.status).toBe(303)
  const { pathname, searchParams } = new URL(locationOf(answer), app.url)
  expect(pathname).toBe('/')
  const kept = Object.fromEntries(searchParams)
  const plain = (colour = '') => colour.replace('#', '')
  expect({ ...kept, backgroundColor: plain(kept.backgroundColor) }).toMatchObject({
    ...choice,
    backgroundColor: plain(choice.backgroundColor),
  })
}

async function expectNextIsServed(): Promise<void> {
  app.discord.heal()
  const next = app.visitor()
  expectLanding(await signIn(app, next, look, ozzy()))
  expect((await next.get('/show_avatar')).status).toBe(200)
}

/** Returns the levels of the log lines from this line on. */
const loggedSince = (line: number) =>
  app.logged.slice(line).map((text) => z.object({ level: z.number() }).parse(JSON.parse(text)).level)
const errorLevel = 50
const LoggedFailure = z.object({ level: z.number(), err: z.object({ type: z.string(), message: z.string() }) })

/** Signs in with an access token that is about to expire. */
async function signInShortly(visitor: Visitor): Promise<void> {
  app.discord.tokenLifeS = 1
  expectLanding(await signIn(app, visitor))
  app.discord.tokenLifeS = weekS
  app.discord.calls.length = 0
}

async function signInAs(accountId?: string): Promise<Visitor> {
  const visitor = app.visitor()
  expectLanding(await signIn(app, visitor, look, accountId))
  app.discord.calls.length = 0
  return visitor
}

const refreshTokensSent = () =>
  app.discord.calls.flatMap(({ path, body }) => {
    const form = new URLSearchParams(path === at.token ? body : '')
    return form.get('grant_type') === 'refresh_token' ? [form.get('refresh_token')] : []
  })

/** Returns the access token that Discord issued last. */
function newestToken(): string | undefined {
  const given = app.discord.calls.map(({ answer }) => z.object({ access_token: z.string() }).safeParse(answer).data)
  return given.findLast((tokens) => tokens !== undefined)?.access_token
}

type Row = [string, () => Fault, number]

const json = { 'content-type': 'application/json' }
const nelly = JSON.stringify({ id: '80351110224678912', username: 'nelly', global_name: null })
const tokens = { token_type: 'Bearer', access_token: 'a', expires_in: weekS, refresh_token: 'r', scope: 'identify' }
const goodTokens = JSON.stringify(tokens)

/** A JWT as an OpenID server sends it, with a signature that nobody checks. */
function unsignedToken(claims: Record<string, unknown>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const nowS = Math.floor(Date.now() / 1000)
  return `${part({ alg: 'RS256' })}.${part({ sub: '1', aud: clientId, iat: nowS, exp: nowS + 60, ...claims })}.c2ln`
}

describe('the token endpoint', () => {
  async function comeBackTo(fault: Fault) {
    app.discord.fail(at.token, fault)
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const line = app.logged.length
    const { answer, ms } = await timed(comeBack(visitor, callback))
    return { visitor, callback, answer, ms, levels: loggedSince(line) }
  }

  test.each(['invalid_grant', 'invalid_request'])(
    'may refuse with %s: the visitor gets a 400 page, and the choice is kept',
    async (error) => {
      const { visitor, answer, levels } = await comeBackTo(oauthError(400, error))
      expect(answer.status).toBe(400)
      expect(keepsLook(answer.text)).toBe(true)
      expect(answer.text).not.toContain('own words')
      expect(levels).not.toContain(errorLevel)
      expect(app.discord.count(at.user)).toBe(0)
      expect((await visitor.get('/show_avatar')).status).toBe(303)
      await expectNextIsServed()
    },
  )

  test.each([
    ['invalid_client with 401', () => oauthError(401, 'invalid_client'), 502],
    ['invalid_client with 400', () => oauthError(400, 'invalid_client'), 502],
    ['unauthorized_client', () => oauthError(400, 'unauthorized_client'), 502],
    ['invalid_grant, but with 401', () => oauthError(401, 'invalid_grant'), 502],
    ['401 without a body', () => faults.answer(401), 502],
  ] satisfies Row[])(
    'may refuse with %s: the visitor gets a 502 page, and an error is logged',
    async (_, fault, status) => {
      const { answer, levels } = await comeBackTo(fault())
      expect(answer.status).toBe(status)
      expect(keepsLook(answer.text)).toBe(true)
      expect(levels).toContain(errorLevel)
      expect(app.discord.count(at.token)).toBe(1)
      await expectNextIsServed()
    },
  )

  test.each([
    ['an empty access token', () => faults.json(200, { ...tokens, access_token: '' }), 502],
    ['tokens that expire at once', () => faults.json(200, { ...tokens, expires_in: 0 }), 502],
    ['tokens with a negative lifetime', () => faults.json(200, { ...tokens, expires_in: -604_800 }), 502],
    ['tokens without a lifetime', () => faults.json(200, { ...tokens, expires_in: undefined }), 502],
    ['tokens with a lifetime of 1e306 seconds', () => faults.json(200, { ...tokens, expires_in: 1e306 }), 502],
    ['tokens with a text as their lifetime', () => faults.json(200, { ...tokens, expires_in: 'a week' }), 502],
    ['another kind of token', () => faults.json(200, { ...tokens, token_type: 'MAC' }), 502],
    ['a kind of token that only begins with Bearer', () => faults.json(200, { ...tokens, token_type: 'Bearer2' }), 502],
    ['another scope', () => faults.json(200, { ...tokens, scope: 'email guilds' }), 502],
    ['a scope that only begins with identify', () => faults.json(200, { ...tokens, scope: 'identify.premium' }), 502],
    ['an access token with a line end', () => faults.json(200, { ...tokens, access_token: 'a\nb' }), 502],
    ['an access token of 5 KB', () => faults.json(200, { ...tokens, access_token: 'a'.repeat(5000) }), 502],
    ['a refresh token of 60 KB', () => faults.json(200, { ...tokens, refresh_token: 'a'.repeat(60_000) }), 502],
    ['tokens in 70 KB', () => faults.json(200, { ...tokens, unused: 'a'.repeat(70_000) }), 502],
    ['an access token as a number', () => faults.json(200, { ...tokens, access_token: 5 }), 502],
    ['tokens and the status 201', () => faults.json(201, tokens), 502],
    ['tokens in JSON lines', () => faults.answer(200, goodTokens, { 'content-type': 'application/jsonl' }), 502],
    [
      'tokens in x-application/json',
      () => faults.answer(200, goodTokens, { 'content-type': `x-${json['content-type']}` }),
      502,
    ],
  ] satisfies Row[])('may answer with %s: the visitor gets a 502 page and can try again', async (_, fault, status) => {
    const { visitor, callback, answer, ms, levels } = await comeBackTo(fault())
    expect(answer.status).toBe(status)
    expect(ms).toBeLessThan(maxWaitMs)
    expect(keepsLook(answer.text)).toBe(true)
    expect(answer.text).toContain('Try again')
    expect(levels).not.toContain(errorLevel)
    expect(app.discord.count('/elsewhere')).toBe(0)
    expect(app.discord.count(at.user)).toBe(0)
    expect((await visitor.get('/show_avatar')).status).toBe(303)

    // The code may be used up, so it is never sent again.
    app.discord.heal()
    await comeBack(visitor, callback)
    expect(app.discord.count(at.token)).toBe(1)
    expectLanding(await signIn(app, visitor))
    await expectNextIsServed()
  })

  test('may answer with more scopes than were requested, or without a scope', async () => {
    app.discord.fail(at.user, faults.json(200, { id: '1', username: 'someone' }))
    app.discord.fail(at.token, faults.json(200, { ...tokens, scope: 'email identify' }), { times: 1 })
    expectLanding(await signIn(app, app.visitor()))
    app.discord.fail(at.token, faults.json(200, { ...tokens, scope: undefined }), { times: 1 })
    expectLanding(await signIn(app, app.visitor()))
  })

  test.each([
    ['an id_token of another issuer', { id_token: unsignedToken({ iss: 'https://evil.example' }) }],
    ['an id_token that is a number', { id_token: 5 }],
    ['unknown values', { expires_at: 'soon', webhook: { id: '1' }, error: 'none' }],
  ])('may answer with %s, which is ignored (RFC 6749, 5.1)', async (_, more) => {
    app.discord.fail(at.user, faults.json(200, { id: '1', username: 'someone' }))
    app.discord.fail(at.token, faults.json(200, { ...tokens, ...more }), { times: 2 })
    const visitor = app.visitor()
    expectLanding(await signIn(app, visitor))
    expect((await visitor.get('/show_avatar')).status).toBe(200)
  })

  test.each<[string, () => Fault]>([
    ['says its charset', () => faults.answer(200, goodTokens, { 'content-type': 'application/json; charset=utf-8' })],
    ['is JSON in capitals', () => faults.answer(200, goodTokens, { 'content-type': 'Application/JSON' })],
    ['begins with a byte order mark', () => faults.answer(200, `\ufeff${goodTokens}`, json)],
    ['calls the token’s kind BEARER', () => faults.json(200, { ...tokens, token_type: 'BEARER' })],
    ['writes seconds as text', () => faults.json(200, { ...tokens, expires_in: String(weekS) })],
    ['has tokens of 4 KB', () => faults.json(200, { ...tokens, access_token: 'a'.repeat(4000) })],
    ['has 60 KB', () => faults.json(200, { ...tokens, unused: 'a'.repeat(60_000) })],
  ])('may send a response that %s', async (_, fault) => {
    app.discord.fail(at.user, faults.json(200, { id: '1', username: 'someone' }))
    app.discord.fail(at.token, fault(), { times: 1 })
    expectLanding(await signIn(app, app.visitor()))
  })

  test('may refuse with application/problem+json', async () => {
    const problem = { 'content-type': 'application/problem+json' }
    const { answer } = await comeBackTo(faults.answer(400, '{"error":"invalid_grant"}', problem))
    expect(answer.status).toBe(400)
    expect(keepsLook(answer.text)).toBe(true)
  })

  test('may refuse the app’s credentials: the log has the name of the error', async () => {
    const line = app.logged.length
    await comeBackTo(oauthError(401, 'invalid_client'))
    const failures = app.logged.slice(line).map((text) => LoggedFailure.safeParse(JSON.parse(text)).data)
    expect(failures).toContainEqual({
      level: errorLevel,
      err: { type: 'DiscordRefusedClient', message: expect.stringContaining('invalid_client') },
    })
  })

  test('may reset the connection: the log has the code of the error', async () => {
    const line = app.logged.length
    await comeBackTo(faults.reset())
    const causes = app.logged.slice(line).flatMap((text) => JSON.parse(text).err?.cause ?? [])
    expect(causes).toMatchObject([{ type: 'UpstreamUnavailable', cause: { type: 'Error', code: 'ECONNRESET' } }])
  })

  test('may refuse: a client that accepts JSON gets problem+json', async () => {
    app.discord.fail(at.token, oauthError(401, 'invalid_client'))
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const answer = await comeBack(visitor, callback).set('Accept', 'application/json')
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(answer.body).toMatchObject({ status: 502 })
  })
})

describe('the user endpoint', () => {
  async function comeBackTo(fault: Fault) {
    app.discord.fail(at.user, fault)
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const line = app.logged.length
    const { answer, ms } = await timed(comeBack(visitor, callback))
    return { visitor, answer, ms, levels: loggedSince(line) }
  }

  test('may refuse a new token (401): the visitor gets a 502 page, and an error is logged', async () => {
    const line = app.logged.length
    const { visitor, answer, levels } = await comeBackTo(unauthorized())
    expect(answer.status).toBe(502)
    expect(keepsLook(answer.text)).toBe(true)
    expect(levels).toContain(errorLevel)
    const causes = app.logged.slice(line).flatMap((text) => JSON.parse(text).err?.cause ?? [])
    expect(causes).toMatchObject([{ type: 'TokenRefused' }])
    // Discord counts refused requests, so none is repeated.
    expect(app.discord.count(at.user)).toBe(1)
    expect((await visitor.get('/show_avatar')).status).toBe(303)
    await expectNextIsServed()
    expectLanding(await signIn(app, visitor))
  })

  test.each([
    ['a user without an id', () => faults.json(200, { username: 'a' }), 502],
    ['a user whose id is a number', () => faults.json(200, { id: 5, username: 'a' }), 502],
    ['a user whose id is a path', () => faults.json(200, { id: '../5', username: 'a' }), 502],
    ['a user whose id ends in a path', () => faults.json(200, { id: '5/../6', username: 'a' }), 502],
    ['a user without a name', () => faults.json(200, { id: '5', username: '' }), 502],
    ['a user whose name shows nothing', () => faults.json(200, { id: '5', username: ' \u0001\t ' }), 502],
    ['a name of 60 KB', () => faults.json(200, { id: '5', username: 'a'.repeat(60_000) }), 502],
    ['a name of 10 KB', () => faults.json(200, { id: '5', username: 'a'.repeat(10_000) }), 502],
    ['a user and the status 201', () => faults.answer(201, nelly, json), 502],
  ] satisfies Row[])('may answer with %s: the visitor gets a 502 page and can try again', async (_, fault, status) => {
    const { visitor, answer, ms, levels } = await comeBackTo(fault())
    expect(answer.status).toBe(status)
    expect(ms).toBeLessThan(maxWaitMs)
    expect(keepsLook(answer.text)).toBe(true)
    expect(answer.text).toContain('Try again')
    expect(levels).not.toContain(errorLevel)
    expect(app.discord.count('/elsewhere')).toBe(0)
    expect((await visitor.get('/show_avatar')).status).toBe(303)
    await expectNextIsServed()
    expectLanding(await signIn(app, visitor))
  })

  test.each<[string, string, Record<string, string>]>([
    ['says its charset', nelly, { 'content-type': 'application/json;charset=UTF-8' }],
    ['begins with a byte order mark', `\ufeff${nelly}`, json],
  ])('may send a response that %s', async (_, body, headers) => {
    const visitor = app.visitor()
    app.discord.fail(at.user, faults.answer(200, body, headers))
    expectLanding(await signIn(app, visitor))
    expect((await visitor.get('/show_avatar')).text).toContain('nelly')
  })

  test.each([
    ['1337', 2],
    ['0', 5],
    ['13370', 5],
    ['13a', 5],
    [null, 5],
  ])(
    'a user without a picture and with discriminator %o is shown with Discord’s default picture',
    async (discriminator, number) => {
      const visitor = app.visitor()
      // Without a discriminator the number of the default picture is (id >> 22) % 6, which is 5 for this id.
      app.discord.fail(at.user, faults.json(200, { id: '80351110224678912', username: 'nelly', discriminator }))
      expectLanding(await signIn(app, visitor))
      expect((await visitor.get('/show_avatar')).text).toContain(`/embed/avatars/${number}.png"`)
    },
  )

  const cosmetic = [
    'global_name',
    'avatar',
    'discriminator',
    'banner',
    'avatar_decoration_data',
    'primary_guild',
    'accent_color',
    'collectibles',
    'premium_type',
    'locale',
  ]
  test.each([
    ['missing', undefined],
    ['null', null],
    ['empty', ''],
    ['a number', 5],
    ['a list', ['a']],
    [
      'an object',
      { asset: '../a', sku_id: 7, nameplate: { palette: '//evil' }, tag: '//evil', identity_enabled: true },
    ],
    ['300 characters long', 'a'.repeat(300)],
    ['an address', '//evil.example/a'],
  ])('a user whose cosmetic fields are %s is signed in without them', async (_, value) => {
    const visitor = app.visitor()
    const fields = Object.fromEntries(cosmetic.map((name) => [name, value]))
    app.discord.fail(at.user, faults.json(200, { id: '80351110224678912', username: 'nelly', ...fields }))
    expectLanding(await signIn(app, visitor))
    const { text } = await visitor.get('/show_avatar')
    expect(text).toContain('<bdi>nelly</bdi>')
    expect(text).toContain('/embed/avatars/5.png')
    expect(text).not.toMatch(/="\/\/evil|a{20}/)
  })

  test.each([
    ['Hangul fillers', '\u3164\uffa0\u115f'],
    ['zero-width characters', '\u200b\u200d\ufeff\u2060'],
    ['direction marks', '\u200e\u202e\u2066'],
    ['spaces of all kinds', ' \u00a0\u2003\u3000'],
    ['blank Braille', '\u2800'],
    ['tag characters', '\u{e0041}\u{e007f}'],
  ])('a user whose display name consists of %s is shown by username', async (_, name) => {
    const visitor = app.visitor()
    app.discord.fail(at.user, faults.json(200, { id: '80351110224678912', username: 'nelly', global_name: name }))
    expectLanding(await signIn(app, visitor))
    const { text } = await visitor.get('/show_avatar')
    expect(text).toContain('<bdi>nelly</bdi>')
    expect(text).not.toContain(`<bdi>${name}</bdi>`)
  })

  test('a username that is too long for a seed is cut, so that links with it lead to the same look', async () => {
    const visitor = app.visitor()
    const seed = '🦊'.repeat(127)
    app.discord.fail(at.user, faults.json(200, { id: '18446744073709551615', username: `${seed} juniper` }))
    expectLanding(await signIn(app, visitor, noSeed))
    const { text } = await visitor.get('/show_avatar')
    expect(text).toContain(`<bdi>${seed}</bdi>`)
    expect(text).not.toContain('juniper</bdi>')
    const query = /href="\/(\?seed=[^"]*)"/.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? ''
    expect(new URLSearchParams(query).get('seed')).toBe(seed)
    expect((await visitor.get(`/preview.svg${query}`)).status).toBe(200)
  })

  test('half a surrogate pair in the username becomes U+FFFD, in the seed too', async () => {
    const visitor = app.visitor()
    const line = app.logged.length
    const body = '{"id":"80351110224678912","username":"nel\\ud83dly"}'
    app.discord.fail(at.user, faults.answer(200, body, json))
    expectLanding(await signIn(app, visitor, noSeed))
    expect((await visitor.get('/show_avatar')).text).toContain('<bdi>nel\ufffdly</bdi>')
    expect(app.dicebear.calls.at(-1)?.query.get('seed')).toBe('nel\ufffdly')
    expect(app.logged.slice(line).join()).not.toContain('drawn here')
  })

  test('control characters in names become spaces', async () => {
    const visitor = app.visitor()
    const odd = { id: '77', username: 'juniper\u0001seed\u0000', global_name: 'Jun\u001biper\u0001seed' }
    app.discord.fail(at.user, faults.json(200, odd))
    expectLanding(await signIn(app, visitor, noSeed))
    const { text } = await visitor.get('/show_avatar')
    expect(text).toContain('<bdi>juniper seed</bdi>')
    expect(text).toContain('<bdi>Jun iper seed</bdi>')
    expect(text).not.toMatch(/[^\P{Cc}\n]/u)
  })

  test('tokens are kept when it fails, so that the next try exchanges no code', async () => {
    const line = app.logged.length
    const { visitor } = await comeBackTo(faults.json(500, { message: '500: Internal Server Error', code: 0 }))
    expect(app.logged.slice(line).join('')).toContain('at the user endpoint')
    app.discord.heal()
    expectLanding(await signIn(app, visitor))
    expect(app.discord.count(at.token)).toBe(1)
    // A visitor whose tokens are replaced keeps the avatars, too.
    app.discord.deauthorize(juniper())
    app.discord.fail(at.user, unauthorized(), { times: 1 })
    app.discord.fail(at.user, faults.answer(500), { times: 1 })
    expect((await signIn(app, visitor, restyled)).status).toBe(502)
    expect(await hasAvatar(visitor)).toBe(true)
    expectLanding(await restyle(visitor), 303)
    expect(app.discord.count(at.token)).toBe(2)
  })
})

describe('a cached token that Discord refuses', () => {
  test('at a callback is replaced by exchanging the code', async () => {
    const visitor = await signInAs()
    app.discord.deauthorize(juniper())
    expectLanding(await signIn(app, visitor, restyled))
    expect([app.discord.count(at.token), app.discord.count(at.user)]).toEqual([1, 2])
    expect(await hasAvatar(visitor, restyled)).toBe(true)
  })

  test('at a callback leads to a 400 page if the code is refused, too', async () => {
    const visitor = await signInAs()
    app.discord.fail(at.user, unauthorized(), { times: 1 })
    app.discord.fail(at.token, oauthError(400, 'invalid_grant'), { times: 1 })
    const answer = await signIn(app, visitor, restyled)
    expect(answer.status).toBe(400)
    expect(keepsLook(answer.text, restyled)).toBe(true)
    expectLanding(await signIn(app, visitor, restyled))
  })

  test('at a callback leads to a 502 page if the new token is refused, too', async () => {
    const visitor = await signInAs()
    app.discord.fail(at.user, unauthorized())
    const answer = await signIn(app, visitor, restyled)
    expect(answer.status).toBe(502)
    expect([app.discord.count(at.token), app.discord.count(at.user)]).toEqual([1, 2])
    app.discord.heal()
    expectLanding(await signIn(app, visitor, restyled))
  })

  test('with 403, as Cloudflare refuses whole servers, is used again', async () => {
    const visitor = await signInAs()
    app.discord.fail(at.user, faults.json(403, { message: 'internal network error', code: 40_333 }), { times: 1 })
    expect((await restyle(visitor)).status).toBe(502)
    expectLanding(await restyle(visitor), 303)
    expect([refreshTokensSent(), app.discord.count(at.user)]).toEqual([[], 2])
  })

  test('at a restyle is refreshed once', async () => {
    const visitor = await signInAs()
    app.discord.fail(at.user, unauthorized(), { times: 1 })
    expectLanding(await restyle(visitor), 303)
    expect(refreshTokensSent()).toHaveLength(1)
    expect([app.discord.count(at.token), app.discord.count(at.user)]).toEqual([1, 2])
    expect(await hasAvatar(visitor, restyled)).toBe(true)
    // It is remembered as refused for as long as Discord's access tokens are valid.
    const [refused = ''] = await db.keys('refused:*')
    expect(await db.ttl(refused)).toBeGreaterThan(weekS - 60)
  })

  test('at a restyle is refreshed once if Discord answers with code 50025', async () => {
    const visitor = await signInAs()
    const invalidToken = { message: 'Invalid OAuth2 access token', code: 50_025 }
    app.discord.fail(at.user, faults.json(401, invalidToken), { times: 1 })
    expectLanding(await restyle(visitor), 303)
  })

  test('at a restyle is refreshed once even if the body of the refusal is cut off', async () => {
    const visitor = await signInAs()
    const cutOff: Fault = (req, res) => {
      res.writeHead(401, { ...json, 'content-length': '100' }).write('{"mess', () => req.socket.end())
    }
    app.discord.fail(at.user, cutOff, { times: 1 })
    expectLanding(await restyle(visitor), 303)
    expect(refreshTokensSent()).toHaveLength(1)
  })

  test('at twenty restyles at once is refreshed once', async () => {
    const visitor = app.visitor()
    expectLanding(await signIn(app, visitor))
    const refused = `Bearer ${newestToken()}`
    app.discord.calls.length = 0
    app.discord.fail(at.user, (req, res) => {
      if (req.get('authorization') === refused) res.status(401).json({ message: '401: Unauthorized', code: 0 })
      else res.json({ id: juniper(), username: 'juniper.moss' })
    })
    const answers = await Promise.all(Array.from({ length: 20 }, () => restyle(visitor)))
    for (const answer of answers) expectLanding(answer, 303)
    expect(refreshTokensSent()).toHaveLength(1)
  })

  test('at a restyle leads to the form with the choice if the refreshed token is refused, too', async () => {
    const visitor = await signInAs()
    app.discord.fail(at.user, unauthorized())
    expectSignInAgain(await restyle(visitor), restyled)
    expect([app.discord.count(at.token), app.discord.count(at.user)]).toEqual([1, 2])

    app.discord.heal()
    expectSignInAgain(await restyle(visitor), restyled)
    expect([app.discord.count(at.token), app.discord.count(at.user)]).toEqual([1, 2])
    expectLanding(await signIn(app, visitor, restyled))
  })
})

describe('the clock of one instance', () => {
  const here = (act: () => Promise<Response>) => act()

  test.each([
    ['an hour ahead', 3_600_000],
    ['an hour behind', -3_600_000],
    ['a day ahead', 86_400_000],
    ['a day behind', -86_400_000],
  ])('may be %s: this costs one refresh at most, and ends no session', async (_, offsetMs) => {
    const now = Date.now.bind(Date)
    const there = (act: () => Promise<Response>) => {
      const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + offsetMs)
      return act().finally(() => clock.mockRestore())
    }
    app.discord.tokenLifeS = 3600
    for (const [first, then] of [[there, here] as const, [here, there] as const]) {
      const visitor = app.visitor()
      expectLanding(await first(() => signIn(app, visitor)))
      const before = refreshTokensSent().length
      for (const place of [then, first, then]) expectLanding(await place(() => send(restyle(visitor))), 303)
      expect(refreshTokensSent().length - before).toBeLessThanOrEqual(1)
      for (const place of [first, then]) {
        expect((await place(() => send(visitor.get('/show_avatar')))).status).toBe(200)
      }
    }
  })
})

describe('an expired token', () => {
  test('is one that ends within a second: one with ten seconds left is used', async () => {
    app.discord.tokenLifeS = 10
    const visitor = await signInAs()
    app.discord.tokenLifeS = weekS
    expectLanding(await restyle(visitor), 303)
    expect(refreshTokensSent()).toEqual([])
  })

  test('is refreshed at a restyle; the next refresh uses the new refresh token', async () => {
    const visitor = app.visitor()
    await signInShortly(visitor)
    app.discord.tokenLifeS = 1
    expectLanding(await restyle(visitor), 303)
    app.discord.tokenLifeS = weekS
    expectLanding(await restyle(visitor), 303)
    expectLanding(await restyle(visitor), 303)
    const sent = refreshTokensSent()
    expect(sent).toHaveLength(2)
    expect(new Set(sent).size).toBe(2)
    expect(app.discord.count(at.user)).toBe(3)
  })

  test('is refreshed with the old refresh token if Discord sent no new one (RFC 6749, 6)', async () => {
    const visitor = app.visitor()
    await signInShortly(visitor)
    app.discord.fail(at.token, faults.json(200, { ...tokens, refresh_token: undefined, expires_in: 1 }))
    app.discord.fail(at.user, faults.json(200, { id: juniper(), username: 'juniper.moss' }))
    for (let i = 0; i < 3; i += 1) expectLanding(await restyle(visitor), 303)
    const [first, ...others] = refreshTokensSent()
    expect(first).toMatch(/./)
    expect(others).toEqual([first, first])
  })

  test('is replaced at a callback by exchanging the code', async () => {
    const visitor = app.visitor()
    await signInShortly(visitor)
    expectLanding(await signIn(app, visitor, restyled))
    expect([app.discord.count(at.token), app.discord.count(at.user)]).toEqual([1, 1])
    expect(refreshTokensSent()).toEqual([])
  })

  test('is refreshed once for twenty restyles at once, and the old refresh token is never sent again', async () => {
    const visitor = app.visitor()
    await signInShortly(visitor)
    const answers = await Promise.all(Array.from({ length: 20 }, () => restyle(visitor)))
    for (const answer of answers) expectLanding(answer, 303)
    expect(refreshTokensSent()).toHaveLength(1)
    expect(app.discord.count(at.user)).toBe(20)
  })

  test('is refreshed once for twenty restyles at once on two instances', async () => {
    const visitor = app.visitor()
    await signInShortly(visitor)
    const there = sameBrowserAt(other, visitor)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, place) => restyle(place % 2 === 0 ? visitor : there)),
    )
    for (const answer of answers) expectLanding(answer, 303)
    expect(refreshTokensSent()).toHaveLength(1)
  })

  test('whose refresh token is refused is deleted, and the form opens with the choice and a notice', async () => {
    const visitor = app.visitor()
    await signInShortly(visitor)
    app.discord.deauthorize(juniper())
    const answer = await restyle(visitor)
    expectSignInAgain(answer, restyled)
    const form = await visitor.get(locationOf(answer))
    expect(form.status).toBe(200)
    expect(form.text).toContain('Discord wants you to sign in again')
    expect(form.text).toMatch(/name="seed"[^>]*value="restyled"/)

    expectSignInAgain(await restyle(visitor), restyled)
    expect([app.discord.count(at.token), app.discord.count(at.user)]).toEqual([1, 0])
    expect(await hasAvatar(visitor)).toBe(true)
    expectLanding(await signIn(app, visitor, restyled))
  })

  test('whose refresh fails leads to an error page, and its tokens are kept for the next try', async () => {
    const visitor = app.visitor()
    await signInShortly(visitor)
    app.discord.fail(at.token, oauthError(401, 'invalid_client'))
    const { answer, ms } = await timed(restyle(visitor))
    expect(answer.status).toBe(502)
    expect(ms).toBeLessThan(maxWaitMs)
    expect(keepsLook(answer.text, restyled)).toBe(true)
    app.discord.heal()
    expectLanding(await restyle(visitor), 303)
  })

  test('whose refresh fails gives five restyles at once the same answer', async () => {
    const patient = await openApp({ redisUrl: redis.url, settings: { UPSTREAM_TIMEOUT_MS: '10000' }, beside: app })
    try {
      const visitor = patient.visitor()
      await signInShortly(visitor)
      const before = app.dicebear.count(at.svg)
      app.discord.fail(at.token, async (req, res) => {
        // All five have requested their pictures, and one of them has requested new tokens.
        await expect.poll(() => app.dicebear.count(at.svg), { timeout: 8000 }).toBe(before + 5)
        oauthError(401, 'invalid_client')(req, res)
      })
      const looks = ['one', 'two', 'three', 'four', 'five'].map((seed) => ({ ...restyled, seed: `${seed} of five` }))
      const answers = await Promise.all(looks.map((choice) => restyle(visitor, choice)))
      expect(answers.map(({ status }) => status)).toEqual(looks.map(() => 502))
    } finally {
      await patient.close()
    }
  })
})

describe('Discord’s 429', () => {
  /** Ends the time that Discord named, by deleting the keys that remember it. */
  async function openGates(): Promise<void> {
    app.discord.heal()
    const gates = await db.keys('gate:*')
    expect(gates).not.toEqual([])
    await db.del(gates)
  }

  function expectToWait(answer: Response, mostS: number, choice: Record<string, string> = look): void {
    expect(answer.status).toBe(503)
    const waitS = Number(answer.headers['retry-after'])
    expect(waitS).toBeGreaterThan(0)
    expect(waitS).toBeLessThanOrEqual(mostS)
    expect(keepsLook(answer.text, choice)).toBe(true)
  }

  const limited = { message: 'You are being rate limited.', global: false }
  test.each<[string, () => Fault, string]>([
    ['seven seconds in the header and the body', () => faults.rateLimited(7), '7'],
    ['3.2 seconds in the body alone', () => faults.rateLimited(3.2, { header: false }), '4'],
    ['nine seconds in the header alone', () => faults.answer(429, '', { 'retry-after': '9' }), '9'],
    ['more in the body than in the header', () => faults.json(429, { retry_after: 9.5 }, { 'retry-after': '5' }), '10'],
    ['more in the header than in the body', () => faults.json(429, { retry_after: 2.5 }, { 'retry-after': '6' }), '6'],
    ['no time', () => faults.rateLimited(), '60'],
    ['no time, in plain text', () => faults.rateLimitedInPlainText(), '60'],
    ['a word for a time', () => faults.json(429, { retry_after: 'soon' }, { 'retry-after': 'soon' }), '60'],
    ['a negative time', () => faults.json(429, { ...limited, retry_after: -5 }, { 'retry-after': '-5' }), '60'],
    ['a good time and a malformed scope', () => faults.json(429, { retry_after: 7, global: 'no' }), '7'],
    ['NaN for a time', () => faults.answer(429, '{"retry_after": NaN}', { ...json, 'retry-after': 'NaN' }), '60'],
    ['a date in the past', () => faults.answer(429, '', { 'retry-after': new Date(2000, 1).toUTCString() }), '60'],
    [
      'a body in problem+json',
      () => faults.answer(429, '{"retry_after":8}', { 'content-type': 'application/problem+json' }),
      '8',
    ],
    ['a time of weeks', () => faults.rateLimited(1_000_000), '3600'],
    ['an infinite time', () => faults.answer(429, '', { 'retry-after': 'Infinity' }), '3600'],
  ])('with %s becomes a 503 with Retry-After', async (_, fault, retryAfter) => {
    app.discord.fail(at.token, fault())
    const answer = await signIn(app, app.visitor())
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, retryAfter])
    expect(keepsLook(answer.text)).toBe(true)
    const [gate = ''] = await db.keys('gate:*')
    expect(await db.ttl(gate)).toBeLessThanOrEqual(Number(retryAfter))
  })

  test('with a date, and without the time of the answer, becomes a 503 with Retry-After in seconds', async () => {
    const date = new Date(Date.now() + 300_000).toUTCString()
    app.discord.fail(at.token, (_req, res) => {
      res.sendDate = false
      res.writeHead(429, { 'content-type': 'text/html', 'retry-after': date }).end('<h1>slow down</h1>')
    })
    const answer = await signIn(app, app.visitor())
    expectToWait(answer, 300)
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(200)
  })

  test.each([
    ['ahead', 3_600_000],
    ['behind', -3_600_000],
  ])('with a date is read by Discord’s clock, if that is an hour %s', async (_, offsetMs) => {
    const date = (ms: number) => new Date(Date.now() + offsetMs + ms).toUTCString()
    app.discord.fail(at.token, faults.answer(429, '', { date: date(0), 'retry-after': date(300_000) }))
    expect((await signIn(app, app.visitor())).headers['retry-after']).toBe('300')
  })

  test('at the token endpoint stops exchanges and refreshes on both instances until its time is over', async () => {
    const waiting = app.visitor()
    await signInShortly(waiting)
    app.discord.fail(at.token, faults.rateLimited(30), { times: 1 })
    expectToWait(await signIn(app, app.visitor()), 30)
    app.discord.calls.length = 0

    expectToWait(await signIn(app, app.visitor(), look, ozzy()), 30)
    expectToWait(await signIn(other, other.visitor()), 30)
    expectToWait(await restyle(waiting), 30, restyled)
    expect(app.discord.count(at.token)).toBe(0)

    await openGates()
    expectLanding(await restyle(waiting), 303)
    await expectNextIsServed()
  })

  test.each([
    ['at the token endpoint', { global: false }],
    ['for everybody', { global: true }],
  ])('%s with a shorter time, for a request that was sent earlier, does not end the wait early', async (_, scope) => {
    app.discord.fail(
      at.token,
      async (req, res) => {
        // The response to the other request has arrived.
        await expect.poll(() => db.keys('gate:*')).toHaveLength(1)
        faults.rateLimited(2, scope)(req, res)
      },
      { times: 1 },
    )
    app.discord.fail(at.token, faults.rateLimited(600, scope), { times: 1 })
    await Promise.all([signIn(app, app.visitor()), signIn(other, other.visitor())])
    const [gate = ''] = await db.keys('gate:*')
    expect(await db.ttl(gate)).toBeGreaterThan(500)
    expect(Number((await signIn(other, other.visitor())).headers['retry-after'])).toBeGreaterThan(500)
    expect(app.discord.count(at.token)).toBe(2)
  })

  test('stops a callback before its state and code are used, so that a reload succeeds after the time', async () => {
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    app.discord.fail(at.token, faults.rateLimited(30), { times: 1 })
    expectToWait(await signIn(app, app.visitor()), 30)
    app.discord.calls.length = 0
    const answer = await comeBack(visitor, callback)
    expectToWait(answer, 30)
    expect(setCookies(answer)).toEqual([])
    expect(app.discord.calls).toEqual([])
    await openGates()
    expectLanding(await comeBack(visitor, callback))
  })

  const brokenOff =
    (half: string, end: (socket: Socket) => void): Fault =>
    (req, res) => {
      res.writeHead(429, { ...json, 'retry-after': '9', 'content-length': '100' }).write(half, () => end(req.socket))
    }
  test.each<[string, Fault]>([
    ['cut short', brokenOff('{"retry', (socket) => socket.end())],
    ['reset in its middle', brokenOff('{"retry', (socket) => socket.resetAndDestroy())],
    ['that does not end', brokenOff('{"retry', () => undefined)],
    ['of 70 KB', faults.answer(429, 'x'.repeat(70_000), { 'retry-after': '9' })],
    ['that is not compressed as it says', faults.answer(429, '{}', { 'retry-after': '9', 'content-encoding': 'gzip' })],
    ['in an unknown encoding', faults.answer(429, '{}', { 'retry-after': '9', 'content-encoding': 'compress' })],
  ])('counts by its status and headers even if it has a body %s', async (_, fault) => {
    app.discord.fail(at.token, fault, { times: 1 })
    const answer = await signIn(app, app.visitor())
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '9'])
    app.discord.calls.length = 0
    expectToWait(await signIn(other, other.visitor()), 9)
    expect(app.discord.calls).toEqual([])

    await openGates()
    const visitor = await signInAs()
    app.discord.fail(at.user, fault, { times: 1 })
    expectToWait(await restyle(visitor), 9, restyled)
  })

  test('at the revocation endpoint stops revocations, and visitors are signed out all the same', async () => {
    const [first, second] = [await signInAs(), await signInAs(ozzy())]
    app.discord.fail(at.revoke, faults.rateLimited(30), { times: 1 })
    for (const visitor of [first, second]) {
      await visitor.post('/sign_out').expect(303)
      expect((await visitor.get('/show_avatar')).status).toBe(303)
    }
    expect(app.discord.count(at.revoke)).toBe(1)
    await openGates()
    const third = await signInAs()
    await third.post('/sign_out').expect(303)
    expect(app.discord.count(at.revoke)).toBe(1)
  })

  test('at the token endpoint does not stop visitors with a valid token', async () => {
    const visitor = await signInAs()
    app.discord.fail(at.token, faults.rateLimited(30), { times: 1 })
    expectToWait(await signIn(app, app.visitor()), 30)
    expectLanding(await restyle(visitor), 303)
    expectLanding(await signIn(app, visitor, restyled))
  })

  test('at a refresh stops the token endpoint, too', async () => {
    const visitor = app.visitor()
    await signInShortly(visitor)
    app.discord.fail(at.token, faults.rateLimited(30), { times: 1 })
    expectToWait(await restyle(visitor), 30, restyled)
    expectToWait(await restyle(visitor), 30, restyled)
    expectToWait(await signIn(app, app.visitor()), 30)
    expect(app.discord.count(at.token)).toBe(1)
    await openGates()
    expectLanding(await restyle(visitor), 303)
  })

  test('at the user endpoint stops that visitor only, on both instances, until its time is over', async () => {
    const visitor = await signInAs()
    app.discord.fail(at.user, faults.rateLimited(30), { times: 1 })
    expectToWait(await restyle(visitor), 30, restyled)
    app.discord.calls.length = 0
    // Neither keys nor log tell who must wait.
    expect(String(await db.keys('*'))).not.toContain(juniper())
    expect(app.logged.join('')).not.toMatch(/\buser:/)

    expectToWait(await restyle(visitor), 30, restyled)
    expectToWait(await restyle(sameBrowserAt(other, visitor)), 30, restyled)
    expectToWait(await signIn(app, visitor), 30)
    expect(app.discord.calls).toEqual([])
    await expectNextIsServed()
    expect(await hasAvatar(visitor)).toBe(true)

    await openGates()
    expectLanding(await restyle(visitor), 303)
  })

  /** A signed-in visitor with an expired token, whom Discord's user endpoint lets wait for 30 seconds. */
  async function limitedVisitor(): Promise<Visitor> {
    const visitor = app.visitor()
    app.discord.tokenLifeS = 1
    expectLanding(await signIn(app, visitor))
    app.discord.fail(at.user, faults.rateLimited(30), { times: 1 })
    expectToWait(await restyle(visitor), 30, restyled)
    app.discord.calls.length = 0
    return visitor
  }

  test('at the user endpoint stops a known visitor whose expired token is replaced by exchanging a code', async () => {
    const visitor = await limitedVisitor()
    expectToWait(await signIn(app, visitor), 30)
    expect([app.discord.count(at.token), app.discord.count(at.user)]).toEqual([1, 0])
  })

  test('at the user endpoint stops the refresh of a known visitor’s expired token, too', async () => {
    const visitor = await limitedVisitor()
    expectToWait(await restyle(visitor), 30, restyled)
    expect(app.discord.calls).toEqual([])
  })

  test('at the user endpoint of a first sign-in stops that visitor only', async () => {
    const visitor = app.visitor()
    // Of this visitor, too, the app has only tokens, and does not know yet who it is.
    const another = app.visitor()
    app.discord.fail(at.user, faults.answer(500), { times: 1 })
    expect((await signIn(app, another, look, ozzy())).status).toBe(502)
    app.discord.calls.length = 0
    app.discord.fail(at.user, faults.rateLimitedInPlainText(), { times: 1 })
    expectToWait(await signIn(app, visitor), 60)
    expectToWait(await signIn(app, visitor), 60)
    expect(app.discord.count(at.user)).toBe(1)
    expectLanding(await signIn(app, another, look, ozzy()))
    await expectNextIsServed()
    await openGates()
    expectLanding(await signIn(app, visitor))
  })

  test.each<[string, () => Fault]>([
    ['by its body', () => faults.rateLimited(30, { global: true })],
    [
      'by its body, with a time that makes no sense',
      () => faults.json(429, { retry_after: -1, global: true }, { 'retry-after': '30' }),
    ],
    ['by its header', () => faults.answer(429, '', { 'retry-after': '30', 'x-ratelimit-global': 'true' })],
    ['by its scope', () => faults.answer(429, '', { 'retry-after': '30', 'x-ratelimit-scope': 'global' })],
  ])('that is global %s stops all endpoints', async (_, fault) => {
    for (const path of [at.user, at.token]) {
      const [visitor, bystander] = [await signInAs(), await signInAs(ozzy())]
      app.discord.fail(path, fault(), { times: 1 })
      if (path === at.user) expectToWait(await restyle(visitor), 30, restyled)
      else expectToWait(await signIn(app, app.visitor()), 30)
      app.discord.calls.length = 0

      expectToWait(await restyle(bystander), 30, restyled)
      expectToWait(await restyle(sameBrowserAt(other, bystander)), 30, restyled)
      expectToWait(await signIn(app, app.visitor()), 30)
      expectToWait(await signIn(other, other.visitor()), 30)
      expect(app.discord.calls).toEqual([])

      await openGates()
      expectLanding(await restyle(bystander), 303)
    }
  })
})

describe('signing out', () => {
  async function expectSignedOut(visitor: Visitor, cookie: string, answer: Response): Promise<void> {
    expect([answer.status, answer.headers.location]).toEqual([303, '/?notice=signed-out'])
    const taken = setCookies(answer).find((line) => line.startsWith(sessionCookie(app)))
    expect(taken).toMatch(/^[\w-]+=;.*Expires=Thu, 01 Jan 1970/)
    for (const browser of [visitor, app.visitor(), other.visitor()]) {
      const page = await browser.get('/show_avatar').set('Cookie', cookie)
      expect([page.status, page.headers.location]).toEqual([303, '/?notice=no-looks'])
      const post = await restyle(browser, look).set('Cookie', cookie)
      expect([post.status, new URL(locationOf(post), app.url).pathname]).toEqual([303, '/'])
      expect(await hasAvatar(browser)).toBe(false)
    }
    expect(await db.keys('session:*')).toEqual([])
  }

  async function signedIn() {
    const visitor = app.visitor()
    const cookie = cookiesOf(await signIn(app, visitor))
    return { visitor, cookie }
  }

  test('ends the session in the app and the tokens at Discord', async () => {
    const { visitor, cookie } = await signedIn()
    const given = app.discord.calls.find(({ path }) => path === at.token)?.answer
    const { answer, ms } = await timed(visitor.post('/sign_out'))
    await expectSignedOut(visitor, cookie, answer)
    // It does not wait for longer than Discord takes.
    expect(ms).toBeLessThan(1400)
    const [revocation, ...more] = app.discord.calls.filter(({ path }) => path === at.revoke)
    expect(more).toEqual([])
    const token = new URLSearchParams(revocation?.body).get('token')
    // Some servers keep a refresh token valid if only its access token is revoked.
    expect(token).toBe(z.object({ refresh_token: z.string() }).parse(given).refresh_token)
  })

  test.each<[string, () => Fault]>([
    ['hangs', () => faults.hang()],
    ['refuses the app’s credentials', () => oauthError(401, 'invalid_client')],
  ])('works within two seconds when the revocation %s', async (_, fault) => {
    const { visitor, cookie } = await signedIn()
    app.discord.fail(at.revoke, fault())
    const line = app.logged.length
    const { answer, ms } = await timed(visitor.post('/sign_out'))
    expect(ms).toBeLessThan(2000)
    const warnings = app.logged.slice(line).filter((text) => text.includes('tokens not revoked'))
    expect(warnings.map((text) => LoggedFailure.parse(JSON.parse(text)).level)).toEqual([40])
    await expectSignedOut(visitor, cookie, answer)
    expect(app.discord.count(at.revoke)).toBe(1)
  })

  test('works within two seconds even if the timeout for calls to Discord is longer', async () => {
    const patient = await openApp({ redisUrl: redis.url, settings: { UPSTREAM_TIMEOUT_MS: '5000' }, beside: app })
    try {
      const visitor = patient.visitor()
      const cookie = cookiesOf(await signIn(patient, visitor))
      app.discord.fail(at.revoke, faults.hang())
      const { answer, ms } = await timed(visitor.post('/sign_out'))
      expect(ms).toBeLessThan(2000)
      await expectSignedOut(visitor, cookie, answer)
    } finally {
      await patient.close()
    }
  })

  describe.each(['Redis', 'memory'])('with sessions in %s', (place) => {
    let site: TestApp
    beforeAll(async () => {
      site = place === 'Redis' ? app : await openApp({ settings: { UPSTREAM_TIMEOUT_MS: String(timeoutMs) } })
    })
    afterAll(async () => {
      if (site !== app) await site.close()
    })

    test.each([
      ['new tokens', at.token, goodTokens],
      ['the user from Discord', at.user, nelly],
    ])('in one tab is not undone by a restyle in another, which waits for %s', async (_, path, answer) => {
      const visitor = site.visitor()
      site.discord.tokenLifeS = path === at.token ? 1 : weekS
      expectLanding(await signIn(site, visitor))
      site.discord.fail(path, async (_req, res) => {
        expect((await visitor.post('/sign_out')).status).toBe(303)
        res.set(json).send(answer)
      })
      const post = await restyle(visitor)
      site.discord.heal()
      expectSignInAgain(post, restyled)
      expect(setCookies(post)).toEqual([])
      expect((await visitor.get('/show_avatar')).headers.location).toBe('/?notice=no-looks')
    })
  })

  test('without a session redirects to the form, without a request to Discord', async () => {
    const answer = await app.visitor().post('/sign_out')
    expect([answer.status, answer.headers.location]).toEqual([303, '/?notice=signed-out'])
    expect(app.discord.calls).toEqual([])
  })

  test('on one device ends the tokens on the other', async () => {
    const [here, there] = [await signInAs(), await signInAs()]
    await here.post('/sign_out')
    expectSignInAgain(await restyle(there), restyled)
    expectLanding(await signIn(app, there, restyled))
  })
})

describe('the visitor has an answer in time while an upstream server hangs', () => {
  test('the user endpoint hangs at a callback without a seed', async () => {
    app.discord.fail(at.user, faults.hang())
    const { answer, ms } = await timed(signIn(app, app.visitor(), noSeed))
    expect(answer.status).toBe(504)
    expect(ms).toBeLessThan(maxWaitMs)
  })

  test('DiceBear hangs at a callback and at a restyle without a seed, and the visitor gets the avatar', async () => {
    app.dicebear.fail(at.svg, faults.hang())
    const visitor = app.visitor()
    const signedIn = await timed(signIn(app, visitor, noSeed))
    expectLanding(signedIn.answer)
    expect(signedIn.ms).toBeLessThan(maxWaitMs)
    const post = await timed(restyle(visitor, { ...noSeed, mood: '' }))
    expectLanding(post.answer, 303)
    expect(post.ms).toBeLessThan(maxWaitMs)
  })

  test('DiceBear hangs after a slow Discord, with which it shares one deadline', async () => {
    const slowMs = 2000
    const slow = await openApp({ redisUrl: redis.url, settings: { UPSTREAM_TIMEOUT_MS: String(slowMs) }, beside: app })
    app.discord.delay(at.token, 0.75 * slowMs)
    app.discord.delay(at.user, 0.75 * slowMs)
    app.dicebear.fail(at.svg, faults.hang())
    try {
      const visitor = slow.visitor()
      const signedIn = await timed(signIn(slow, visitor, noSeed))
      expectLanding(signedIn.answer)
      expect(signedIn.ms).toBeLessThan(slowMs + 2000)
    } finally {
      await slow.close()
    }
  })

  test('the token endpoint hangs for restyles at once on two instances with an expired token', async () => {
    // Longer than two seconds, so that a request that waits for another's refresh and then waits as long again fails.
    const slowMs = 2200
    const settings = { UPSTREAM_TIMEOUT_MS: String(slowMs) }
    const slow = await openApp({ redisUrl: redis.url, settings, beside: app })
    const slowToo = await openApp({ redisUrl: redis.url, settings, beside: app })
    try {
      const visitor = sameBrowserAt(slow, app.visitor())
      await signInShortly(visitor)
      app.discord.fail(at.token, faults.hang())
      const browsers = [visitor, visitor, sameBrowserAt(slowToo, visitor)]
      const answers = await Promise.all(browsers.map((browser) => timed(restyle(browser))))
      for (const { ms } of answers) expect(ms).toBeLessThan(slowMs + 2000)
      for (const { answer } of answers) expect(answer.status).toBe(504)
      // The others waited for the first refresh, which failed, and do not try a refresh of their own.
      expect(refreshTokensSent()).toHaveLength(1)
      app.discord.heal()
      expectLanding(await restyle(visitor), 303)
    } finally {
      await Promise.all([slow.close(), slowToo.close()])
    }
  })

  test('the token endpoint and DiceBear both hang', async () => {
    app.discord.fail(at.token, faults.hang())
    app.dicebear.fail(at.svg, faults.hang())
    for (const choice of [restyled, noSeed]) {
      const { answer, ms } = await timed(signIn(app, app.visitor(), choice))
      expect(answer.status).toBe(504)
      expect(ms).toBeLessThan(maxWaitMs)
    }
  })

  test('the user endpoint hangs after a slow token endpoint', async () => {
    // A full timeout after this delay would exceed the time within which a visitor must have an answer.
    const slowMs = 2500
    const slow = await openApp({ redisUrl: redis.url, settings: { UPSTREAM_TIMEOUT_MS: String(slowMs) }, beside: app })
    try {
      const [known, stranger, refused] = [sameBrowserAt(slow, app.visitor()), slow.visitor(), slow.visitor()]
      expectLanding(await signIn(slow, refused, look, ozzy()))
      await signInShortly(known)
      const callback = app.discord.codeFor(await leave(stranger))
      app.discord.delay(at.token, slowMs - 300)
      app.discord.delay(at.user, 1000)
      app.discord.fail(at.user, unauthorized(), { times: 1 })
      app.discord.fail(at.user, faults.hang())
      // This visitor's token is refused, and the user endpoint hangs after the refresh.
      const refreshing = timed(send(restyle(refused)))
      await expect.poll(() => app.discord.count(at.user)).toBe(1)
      const answers = await Promise.all([refreshing, timed(restyle(known)), timed(comeBack(stranger, callback))])
      for (const { ms } of answers) expect(ms).toBeLessThan(slowMs + 2000)
      for (const { answer } of answers) expect(answer.status).toBe(504)
      expect([app.discord.count(at.token), app.discord.count(at.user)]).toEqual([3, 4])
    } finally {
      await slow.close()
    }
  })

  test('the token endpoint hangs after a token was refused slowly', async () => {
    const slowMs = 2500
    const slow = await openApp({ redisUrl: redis.url, settings: { UPSTREAM_TIMEOUT_MS: String(slowMs) }, beside: app })
    try {
      const [returning, restyling] = [slow.visitor(), slow.visitor()]
      expectLanding(await signIn(slow, returning))
      expectLanding(await signIn(slow, restyling, look, ozzy()))
      const callback = app.discord.codeFor(await leave(returning))
      app.discord.delay(at.user, slowMs - 100)
      app.discord.fail(at.user, unauthorized())
      app.discord.fail(at.token, faults.hang())
      const answers = await Promise.all([timed(comeBack(returning, callback)), timed(restyle(restyling))])
      for (const { ms } of answers) expect(ms).toBeLessThan(slowMs + 2000)
      for (const { answer } of answers) expect(answer.status).toBe(504)
    } finally {
      await slow.close()
    }
  })

  test('the user endpoint hangs for ten callbacks at once', async () => {
    app.discord.fail(at.user, faults.hang())
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const answers = await Promise.all(Array.from({ length: 10 }, () => timed(comeBack(visitor, callback))))
    for (const { ms } of answers) expect(ms).toBeLessThan(maxWaitMs)
    expect(answers.filter(({ answer }) => answer.status === 504).length).toBeGreaterThan(0)
  })

  test('other visitors are served meanwhile', async () => {
    app.discord.fail(at.user, faults.hang(), { times: 1 })
    const order: string[] = []
    const stuck = signIn(app, app.visitor()).then(({ status }) => order.push(`stuck: ${status}`))
    await expect.poll(() => app.discord.count(at.user)).toBe(1)
    expectLanding(await signIn(app, app.visitor(), look, ozzy()))
    order.push('another')
    await stuck
    expect(order).toEqual(['another', 'stuck: 504'])
  })
})

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { agreeAtDiscord, CookieJar } from '../support/consent.ts'
import { at } from '../support/doubles.ts'
import { type Fault, faults } from '../support/faults.ts'
import { comeBack, leave, look, openApp, shownAvatar, signIn, type TestApp } from '../support/open-app.ts'
import { openRedis, type Redis } from '../support/redis.ts'

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

describe('one visit', () => {
  test('a visitor fills in the form, agrees at Discord, and gets an avatar', async () => {
    const visitor = app.visitor()
    const form = await visitor.get('/')
    expect(form.status).toBe(200)
    expect(form.headers['set-cookie']).toBeUndefined()

    const leaving = await visitor.post('/get_avatar').type('form').send(look)
    expect(leaving.status).toBe(302)
    const authorize = new URL(leaving.headers.location ?? '')
    expect(Object.fromEntries(authorize.searchParams)).toMatchObject({
      response_type: 'code',
      client_id: app.config.discord.clientId,
      scope: 'identify',
      redirect_uri: `${app.url}/get_avatar`,
      prompt: 'none',
      code_challenge_method: 'S256',
    })

    const callback = await agreeAtDiscord(authorize.href)
    const returning = await comeBack(visitor, callback)
    expect(returning.status).toBe(302)
    expect(returning.headers.location).toBe('/show_avatar')

    const page = await visitor.get('/show_avatar')
    expect(page.status).toBe(200)
    expect(page.text).toContain('Juniper Moss')
    const id = shownAvatar(page.text)

    const svg = await visitor.get(`/avatars/${id}.svg`)
    expect(svg.status).toBe(200)
    expect(svg.headers['content-type']).toBe('image/svg+xml; charset=utf-8')
    expect(svg.body.toString()).toMatch(/^<svg /)

    const download = await visitor.get(`/avatars/${id}.png?download`)
    expect(download.headers['content-type']).toBe('image/png')
    expect(download.headers['content-disposition']).toBe('attachment; filename=juniper.moss-adventurer-happy.png')
  })

  test('the requests to Discord and DiceBear follow their protocols', async () => {
    const exchange = app.discord.calls.find(({ path }) => path === at.token)
    const form = new URLSearchParams(exchange?.body)
    expect(exchange?.headers['content-type']).toMatch(/^application\/x-www-form-urlencoded/)
    expect(exchange?.headers['user-agent']).toMatch(/^DiscordBot \(http:\/\/127\.0\.0\.1:\d+, \d+\.\d+\.\d+\)$/)
    expect(exchange?.headers.accept).toBe('application/json')
    expect(form.get('grant_type')).toBe('authorization_code')
    expect(form.get('client_secret')).toBe(app.config.discord.clientSecret)
    expect(form.get('redirect_uri')).toBe(`${app.url}/get_avatar`)
    expect(form.get('code_verifier')).toMatch(/^[\w.~-]{43,128}$/)
    expect(app.discord.count(at.user)).toBe(1)

    const drawing = app.dicebear.calls[0]
    expect(drawing?.path).toBe('/10.x/adventurer/svg')
    expect(drawing?.query.get('seed')).toBe('fern')
    expect(drawing?.query.get('backgroundColor')).toBe('ffd29d')
    expect(drawing?.query.get('mouthVariant')).toContain('variant01')
  })
})

test('an empty seed is replaced by the Discord username', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor, { ...look, seed: '' })
  expect(app.dicebear.calls.at(-1)?.query.get('seed')).toBe('juniper.moss')
  const page = await visitor.get('/show_avatar')
  expect(page.text).toContain('juniper.moss')
})

test('the addresses of Discord and DiceBear may end with a slash', async () => {
  const settings = { DISCORD_API_URL: `${app.discord.apiUrl}/`, DICEBEAR_URL: `${app.dicebear.apiUrl}/` }
  const slashed = await openApp({ settings, beside: app })
  onTestFinished(() => slashed.close())
  const drawings = app.dicebear.count(at.svg)
  expect((await signIn(slashed, slashed.visitor())).headers.location).toBe('/show_avatar')
  expect(app.dicebear.count(at.svg)).toBe(drawings + 1)
})

test('a second visit exchanges no code while the access token is valid', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor)
  const before = app.discord.count(at.token)
  const returning = await signIn(app, visitor, { ...look, style: 'bottts' })
  expect(returning.headers.location).toBe('/show_avatar')
  expect(app.discord.count(at.token)).toBe(before)
})

test('a visitor is sent to Discord with prompt=none, and after a sign-out with prompt=consent', async () => {
  const visitor = app.visitor()
  const cookieJar = new CookieJar()
  await comeBack(visitor, await agreeAtDiscord(await leave(visitor), { cookieJar }))
  const pagesBefore = app.discord.count('/oauth2/authorize', 'POST')
  await comeBack(visitor, await agreeAtDiscord(await leave(visitor), { cookieJar }))
  expect(app.discord.count('/oauth2/authorize', 'POST')).toBe(pagesBefore)

  const out = await visitor.post('/sign_out')
  expect([out.status, out.headers.location]).toEqual([303, '/?notice=signed-out'])
  expect((await visitor.get('/?notice=signed-out')).text).toContain('You are signed out. Your looks')
  expect(app.discord.count(at.revoke)).toBe(1)
  const again = new URL(await leave(visitor))
  expect(again.searchParams.get('prompt')).toBe('consent')

  await comeBack(visitor, app.discord.codeFor(again.href))
  expect(new URL(await leave(visitor)).searchParams.get('prompt')).toBe('none')
})

test('a restyle asks Discord for the user without a redirect to Discord', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor)
  const [exchanges, users] = [app.discord.count(at.token), app.discord.count(at.user)]
  const restyled = await visitor
    .post('/show_avatar')
    .type('form')
    .send({ style: 'bottts', mood: 'love', seed: 'otter' })
  expect([restyled.status, restyled.headers.location]).toEqual([303, '/show_avatar'])
  expect([app.discord.count(at.token), app.discord.count(at.user)]).toEqual([exchanges, users + 1])
  const page = await visitor.get('/show_avatar')
  expect(page.text).toContain('Bottts')
})

test('after a restyle the page shows the display name that the visitor has at Discord now', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor)
  const { id = '', username = '' } = app.discord.accounts[0] ?? {}
  app.discord.fail(at.user, faults.json(200, { id, username, global_name: 'New Moss' }), { times: 1 })
  await visitor.post('/show_avatar').type('form').send(look).expect(303)
  expect((await visitor.get('/show_avatar')).text).toContain('New Moss')
})

test('the last twelve avatars are kept, newest first, and each can be shown or removed', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor, { ...look, seed: 'roll 0' })
  const oldest = shownAvatar((await visitor.get('/show_avatar')).text)
  for (let roll = 1; roll <= 12; roll += 1) {
    await visitor
      .post('/show_avatar')
      .type('form')
      .send({ ...look, seed: `roll ${roll}` })
  }
  const page = await visitor.get('/show_avatar')
  const ids = [...page.text.matchAll(/href="\/show_avatar\?avatar=([0-9a-f]{64})"/g)].map(([, id]) => id)
  expect(ids).toHaveLength(12)
  expect(ids[0]).toBe(shownAvatar(page.text))
  expect(ids).not.toContain(oldest)
  expect((await visitor.get(`/avatars/${oldest}.svg`)).status).toBe(404)

  const named = await visitor.get(`/show_avatar?avatar=${ids[5]}`)
  expect(shownAvatar(named.text)).toBe(ids[5])
  const forgotten = await visitor.post(`/avatars/${ids[5]}/forget`)
  expect([forgotten.status, forgotten.headers.location]).toEqual([303, '/show_avatar'])
  expect((await visitor.get(`/show_avatar?avatar=${ids[5]}`)).status).toBe(404)
})

test('declining at Discord leads back to the form, with the choice and a notice', async () => {
  const visitor = app.visitor()
  const callback = await agreeAtDiscord(await leave(visitor), { decision: 'decline' })
  const back = await comeBack(visitor, callback)
  expect(back.status).toBe(303)
  const address = new URL(back.headers.location ?? '', app.url)
  expect(address.pathname).toBe('/')
  expect(Object.fromEntries(address.searchParams)).toMatchObject({ ...look, backgroundColor: 'ffd29d' })
  const form = await visitor.get(`${address.pathname}${address.search}`)
  expect(form.text).toContain('You cancelled at Discord')
  expect(form.text).toMatch(/name="seed"[^>]*value="fern"/)
})

test('a visitor without a refresh token can restyle until the access token expires', async () => {
  const visitor = app.visitor()
  const noRefreshToken: Fault = (_req, res) => {
    res.json({ access_token: 'an-access-token', token_type: 'Bearer', expires_in: 1, scope: 'identify' })
  }
  app.discord.fail(at.token, noRefreshToken, { times: 1 })
  app.discord.fail(at.user, faults.json(200, { id: '816822249063055437', username: 'juniper.moss' }), { times: 1 })
  expect((await signIn(app, visitor)).headers.location).toBe('/show_avatar')
  const restyled = await visitor.post('/show_avatar').type('form').send(look)
  expect([restyled.status, restyled.headers.location]).toEqual([
    303,
    '/?seed=fern&style=adventurer&backgroundColor=ffd29d&mood=happy&notice=sign-in',
  ])
})

test('a visitor without a refresh token signs out: the access token is revoked', async () => {
  const visitor = app.visitor()
  const tokens = { access_token: 'an-access-token', token_type: 'Bearer', expires_in: 60, scope: 'identify' }
  app.discord.fail(at.token, faults.json(200, tokens), { times: 1 })
  app.discord.fail(at.user, faults.json(200, { id: '816822249063055437', username: 'juniper.moss' }), { times: 1 })
  await signIn(app, visitor)
  const before = app.discord.count(at.revoke)
  await visitor.post('/sign_out').expect(303)
  const revocations = app.discord.calls.filter(({ path }) => path === at.revoke).slice(before)
  expect(revocations.map(({ body }) => new URLSearchParams(body).get('token'))).toEqual(['an-access-token'])
})

const foreignParts = { bodyVariant: 'x'.repeat(12_000), topVariant: 'nope', hatColor: 'ffd29d' }

test.each<[what: string, sent: Record<string, string>, query: string]>([
  ['a choice', look, 'seed=fern&style=adventurer&backgroundColor=ffd29d&mood=happy'],
  [
    'parts of other styles',
    { ...look, ...foreignParts },
    'seed=fern&style=adventurer&backgroundColor=ffd29d&mood=happy',
  ],
  [
    'parts of other styles beside a wrong value',
    { ...look, ...foreignParts, hairVariant: 'long01,nope', rotate: '99' },
    'seed=fern&style=adventurer&backgroundColor=ffd29d&mood=happy&hairVariant=long01',
  ],
  [
    'a long mood for a style without a face beside a wrong value',
    { style: 'rings', seed: 'fern', mood: 'x'.repeat(12_000), rotate: '99' },
    'seed=fern&style=rings&backgroundColor=transparent',
  ],
  [
    'an unknown style, a long seed and parts',
    { ...look, ...foreignParts, hairColor: 'ffd29d', style: 'none of ours', seed: 'x'.repeat(200) },
    'backgroundColor=%23ffd29d&mood=happy',
  ],
])(
  'a restyle without a session leads to the form, which is filled with the valid values: %s',
  async (_, sent, query) => {
    const restyled = await app.visitor().post('/show_avatar').type('form').send(sent)
    expect([restyled.status, restyled.headers.location]).toEqual([303, `/?${query}&notice=sign-in`])
  },
)

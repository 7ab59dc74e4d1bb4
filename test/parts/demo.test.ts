// The demo's stand-ins for Discord and DiceBear, and the tests' doubles, which add Discord's strictness and faults.
import { createServer, type Server } from 'node:http'
import { Avatar } from '@dicebear/core'
import express from 'express'
import * as oauth from 'oauth4webapi'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { demoAccounts } from '../../src/demo/accounts.ts'
import { standInDiceBear } from '../../src/demo/dicebear.ts'
import { standInDiscord } from '../../src/demo/discord.ts'
import { movableClocks } from '../support/clock.ts'
import { agreeAtDiscord, CookieJar, PlainConsentPage } from '../support/consent.ts'
import {
  at,
  type DiceBearDouble,
  type DiscordDouble,
  listen,
  openDiceBear,
  openDiscord,
  shutDown,
} from '../support/doubles.ts'
import { styleList, styleOf } from '../support/drawn.ts'
import { faults } from '../support/faults.ts'

const clientId = '1102938475610293847'
const clientSecret = 'a secret: with % and + in it'
const redirectUri = 'http://localhost:3000/get_avatar'
const headers = { 'user-agent': 'DiscordBot (http://localhost:3000, 0.0.0)' }
const verifier = 'v'.repeat(20) + '-._~'.repeat(8)
const challenge = await oauth.calculatePKCECodeChallenge(verifier)
const [juniper, ozzy] = demoAccounts.map(({ id }) => id)

describe('the stand-in Discord', () => {
  let discord: DiscordDouble
  beforeEach(async () => {
    discord = await openDiscord({ clientId, clientSecret, redirectUri })
  })
  afterEach(() => discord.close())

  /** Returns a valid authorize URL with these changes; `undefined` leaves a parameter out. */
  function authorizeUrl(changes: Record<string, string | undefined> = {}): string {
    const url = new URL(discord.authorizeUrl)
    const parameters = {
      response_type: 'code',
      client_id: clientId,
      scope: 'identify',
      redirect_uri: redirectUri,
      state: 'a state',
      prompt: 'consent',
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...changes,
    }
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value)
    return url.href
  }

  const credentials = { client_id: clientId, client_secret: clientSecret }
  const newCode = (url = authorizeUrl()) => new URL(discord.codeFor(url, juniper)).searchParams.get('code') ?? ''
  const post = (path: string, fields: Record<string, string> | [string, string][], more: Record<string, string> = {}) =>
    fetch(`${discord.url}${path}`, {
      method: 'POST',
      body: new URLSearchParams(fields),
      headers: { ...headers, ...more },
    })
  const codeGrant = () => ({
    ...credentials,
    grant_type: 'authorization_code',
    redirect_uri: redirectUri,
    code: newCode(),
    code_verifier: verifier,
  })

  test('serves another OAuth client, oauth4webapi: sign-in, refresh, revocation', async () => {
    const client: oauth.Client = { client_id: clientId }
    const secret = oauth.ClientSecretPost(clientSecret)
    const server = {
      issuer: 'https://discord.com',
      token_endpoint: `${discord.apiUrl}/oauth2/token`,
      revocation_endpoint: `${discord.apiUrl}/oauth2/token/revoke`,
      authorization_response_iss_parameter_supported: true,
    }
    const overHttp = { [oauth.allowInsecureRequests]: true }
    const user = async (token: string) => {
      const answer = await fetch(`${discord.apiUrl}/users/@me`, {
        headers: { ...headers, authorization: `Bearer ${token}` },
      })
      return answer.json()
    }
    const callback = new URL(await agreeAtDiscord(authorizeUrl(), { account: ozzy ?? '' }))
    const parameters = oauth.validateAuthResponse(server, client, callback, 'a state')
    const exchange = () =>
      oauth.authorizationCodeGrantRequest(server, client, secret, parameters, redirectUri, verifier, overHttp)
    const tokens = await oauth.processAuthorizationCodeResponse(server, client, await exchange())
    expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 604_800, scope: 'identify' })
    expect((await exchange()).status).toBe(400)

    const refresh = (token = '') => oauth.refreshTokenGrantRequest(server, client, secret, token, overHttp)
    const next = await oauth.processRefreshTokenResponse(server, client, await refresh(tokens.refresh_token))
    expect((await refresh(tokens.refresh_token)).status).toBe(400)
    expect(await user(next.access_token)).toMatchObject({ id: ozzy, username: 'ozzy', global_name: 'أوزي' })

    const revoke = await oauth.revocationRequest(server, client, secret, next.access_token, overHttp)
    await oauth.processRevocationResponse(revoke)
    expect((await refresh(next.refresh_token)).status).toBe(400)
    for (const token of [tokens.access_token, next.access_token, 'made up']) {
      expect(await user(token)).toEqual({ message: '401: Unauthorized', code: 0 })
    }
  })

  test('redirects with access_denied and without a code when the visitor declines', async () => {
    const back = new URL(await agreeAtDiscord(authorizeUrl(), { decision: 'decline' }))
    expect(back.origin + back.pathname).toBe(redirectUri)
    expect(Object.fromEntries(back.searchParams)).toEqual({
      error: 'access_denied',
      state: 'a state',
      iss: 'https://discord.com',
    })
  })

  test('asks a browser once with prompt=none, and each time with prompt=consent', async () => {
    const cookieJar = new CookieJar()
    const pages: number[] = []
    for (const prompt of ['none', 'none', 'consent']) {
      const back = new URL(await agreeAtDiscord(authorizeUrl({ prompt }), { cookieJar }))
      expect(back.searchParams.get('code')).not.toBeNull()
      pages.push(discord.count(at.authorize, 'POST'))
    }
    expect(pages).toEqual([1, 1, 2])
  })

  test.each<[string, Record<string, string | undefined>]>([
    ['another client', { client_id: '1' }],
    ['another redirect URI', { redirect_uri: `${redirectUri}/` }],
    ['no redirect URI', { redirect_uri: undefined }],
    ['another scope', { scope: 'identify email' }],
    ['a token in place of a code', { response_type: 'token' }],
    ['no state', { state: undefined }],
    ['no challenge', { code_challenge: undefined }],
    ['a plain challenge', { code_challenge_method: 'plain' }],
    ['a prompt that Discord does not know', { prompt: 'login' }],
  ])('shows no page for %s, and redirects nowhere', async (_, changes) => {
    const answer = await fetch(authorizeUrl(changes), { redirect: 'manual' })
    expect([answer.status, answer.headers.get('location')]).toEqual([400, null])
    expect(() => discord.codeFor(authorizeUrl(changes))).toThrow()
  })

  test('shows no page for a parameter that is repeated', async () => {
    expect((await fetch(`${authorizeUrl()}&state=b`, { redirect: 'manual' })).status).toBe(400)
  })

  test('accepts PKCE verifiers of 43 and of 128 characters', async () => {
    for (const code_verifier of ['a'.repeat(43), 'b'.repeat(128)]) {
      const code_challenge = await oauth.calculatePKCECodeChallenge(code_verifier)
      const code = newCode(authorizeUrl({ code_challenge }))
      expect((await post(at.token, { ...codeGrant(), code, code_verifier })).status).toBe(200)
    }
  })

  test.each<[string, number, Record<string, string>]>([
    ['another verifier', 400, { code_verifier: 'w'.repeat(43) }],
    ['the challenge as verifier', 400, { code_verifier: challenge }],
    ['a verifier that is too short', 400, { code_verifier: 'v'.repeat(42) }],
    ['another redirect URI', 400, { redirect_uri: `${redirectUri}/` }],
    ['another code', 400, { code: 'made-up' }],
    ['another secret', 401, { client_secret: 'another' }],
    ['another grant type', 400, { grant_type: 'password' }],
    ['a field that means nothing', 400, { scope: 'identify' }],
  ])('issues no tokens for %s', async (_, status, changes) => {
    expect((await post(at.token, { ...codeGrant(), ...changes })).status).toBe(status)
  })

  const timePasses = movableClocks()
  test.each([
    [99, 200],
    [101, 400],
  ])('issues tokens for a code for 100 seconds: after %i it answers %i', async (seconds, status) => {
    const grant = codeGrant()
    timePasses(seconds)
    expect((await post(at.token, grant)).status).toBe(status)
  })

  test('accepts tokens for a week', async () => {
    const { access_token, refresh_token } = await (await post(at.token, codeGrant())).json()
    const user = async () =>
      fetch(`${discord.apiUrl}/users/@me`, { headers: { ...headers, authorization: `Bearer ${access_token}` } })
    const another = await (await post(at.token, codeGrant())).json()
    const refresh = (token: string) =>
      post(at.token, { ...credentials, grant_type: 'refresh_token', refresh_token: token })
    timePasses(7 * 24 * 3600 - 60)
    expect([(await user()).status, (await refresh(refresh_token)).status]).toEqual([200, 200])
    timePasses(120)
    expect([(await user()).status, (await refresh(another.refresh_token)).status]).toEqual([401, 400])
  })

  test('refuses a repeated field, JSON, and requests from a browser', async () => {
    const twice: [string, string][] = [...Object.entries(codeGrant()), ['code', newCode()]]
    expect((await post(at.token, twice)).status).toBe(400)
    expect((await post(at.token, codeGrant(), { 'content-type': 'application/json' })).status).toBe(400)
    expect((await post(at.token, codeGrant(), { 'user-agent': 'Mozilla/5.0' })).status).toBe(403)
  })

  test('shows a picture for each account on its page', async () => {
    const page = await (await fetch(authorizeUrl())).text()
    const pictures = [...page.matchAll(/<img src="([^"]+)"/g)].map(([, path]) => `${discord.url}${path}`)
    const answers = await Promise.all(pictures.map((picture) => fetch(picture)))
    expect(answers.map(({ status }) => status)).toEqual(demoAccounts.map(() => 200))
    expect(new Set(await Promise.all(answers.map((answer) => answer.text()))).size).toBe(demoAccounts.length)
    expect((await fetch(`${discord.cdnUrl}/avatars/${juniper}/nope.png`)).status).toBe(404)
  })
})

test('the accounts of the demo are of all kinds: with and without a display name, a picture, an old discriminator', () => {
  const kinds = demoAccounts.map(({ discriminator, globalName, avatar, profile = {} }) => ({
    isOld: /^[1-9]\d{3}$/.test(discriminator),
    hasName: globalName !== null,
    picture: avatar === null ? 'default' : avatar.startsWith('a_') ? 'animated' : 'still',
    hasBanner: 'banner' in profile,
    hasDecoration: 'avatar_decoration_data' in profile,
    hasNitro: profile.premium_type === 2,
  }))
  const ordinary = {
    isOld: false,
    hasName: true,
    picture: 'still',
    hasBanner: false,
    hasDecoration: false,
    hasNitro: false,
  }
  expect(kinds).toEqual([
    { ...ordinary, hasBanner: true, hasDecoration: true, hasNitro: true },
    { ...ordinary, hasDecoration: true },
    { ...ordinary, isOld: true, hasName: false, picture: 'animated' },
    { ...ordinary, picture: 'default' },
  ])
})

describe('the stand-in DiceBear', () => {
  let dicebear: DiceBearDouble
  beforeAll(async () => {
    dicebear = await openDiceBear()
  })
  afterAll(() => dicebear.close())

  test('draws every style as the library does', async () => {
    for (const { name } of styleList) {
      const answer = await fetch(`${dicebear.apiUrl}/${name}/svg?seed=a`)
      expect(await answer.text()).toBe(new Avatar(styleOf(name), { seed: 'a' }).toString())
    }
  })

  test.each([
    ['seed=a,b', { seed: 'a,b' }],
    ['seed=a%2Cb+c', { seed: 'a,b c' }],
    ['size=64&scale=0.8,1.2&flip=horizontal', { size: 64, scale: [0.8, 1.2], flip: 'horizontal' }],
    [
      'backgroundColor=%23b6e3f4,ffd5dc&backgroundColorFill=linear',
      {
        backgroundColor: ['b6e3f4', 'ffd5dc'],
        backgroundColorFill: 'linear',
      },
    ],
    [
      'mouthVariant=happy01,sad01&glassesProbability=100',
      {
        mouthVariant: ['happy01', 'sad01'],
        glassesProbability: 100,
      },
    ],
    ['nope=1&mouth=happy01&__proto__=1', {}],
  ] as const)('reads the query %s as DiceBear does', async (query, options) => {
    const answer = await fetch(`${dicebear.apiUrl}/lorelei/svg?${query}`)
    expect(await answer.text()).toBe(new Avatar(styleOf('lorelei'), { seed: '', ...options }).toString())
  })

  test.each([
    ['lorelei/svg?size=a', 400],
    ['lorelei/svg?backgroundColor=red', 400],
    ['lorelei/svg?mouthVariant=happy01%2Csad01', 400],
    ['nope/svg', 404],
    ['..%2Fcore/svg', 404],
    ['lorelei/bmp', 404],
  ])('answers %s with %i and JSON', async (path, status) => {
    const answer = await fetch(`${dicebear.apiUrl}/${path}`)
    expect([answer.status, await answer.json()]).toMatchObject([status, { statusCode: status }])
  })
})

describe('the stand-ins under a path of the app, without the doubles’ strictness', () => {
  const old = { id: '8', username: 'old', globalName: null, discriminator: '1339', avatar: null }
  const young = { ...old, id: String(11n << 22n), username: 'young', discriminator: '0' }
  const accounts = [...demoAccounts, old, young]
  const options = { clientId, clientSecret, redirectUri, accounts }
  const discord = standInDiscord(options)
  let server: Server
  let url: string
  beforeAll(async () => {
    const app = express().set('view', PlainConsentPage).set('trust proxy', true)
    app.use('/demo/discord', discord.router).use('/demo/dicebear', standInDiceBear())
    server = createServer(app)
    url = `http://127.0.0.1:${await listen(server, 0)}/demo`
  })
  afterAll(() => shutDown(server))

  const get = (path: string) => fetch(`${url}/${path}`, { redirect: 'manual' })
  const post = (path: string, fields: Record<string, string>) =>
    fetch(`${url}/${path}`, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' })
  const pageWith = (parameters: Record<string, string>) =>
    `discord/oauth2/authorize?${new URLSearchParams({ code_challenge: challenge, state: 'a state', ...parameters })}`
  const registered = { client_id: clientId, redirect_uri: redirectUri }
  const credentials = { client_id: clientId, client_secret: clientSecret }
  const tokensFor = async (code: string) => {
    const grant = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri }
    return (await post('discord/api/v10/oauth2/token', { ...credentials, ...grant })).json()
  }
  const askForUser = ({ access_token: token }: { access_token: string }) =>
    fetch(`${url}/discord/api/v10/users/@me`, { headers: { authorization: `Bearer ${token}` } })

  test('remember a visitor’s account for a week, in a cookie for them alone', async () => {
    const agreed = await post(pageWith(registered), { decision: 'agree', account: ozzy ?? '' })
    expect([agreed.status, agreed.headers.get('location')]).toEqual([303, expect.stringMatching(/[?&]code=/)])
    const [pair, ...attributes] = agreed.headers.getSetCookie().join().split('; ')
    expect(pair).toBe(`stand_in_discord=${ozzy}`)
    expect(attributes).toEqual(
      expect.arrayContaining(['Max-Age=604800', 'Path=/demo/discord', 'HttpOnly', 'SameSite=Lax']),
    )
    expect(attributes).not.toContain('Secure')
    const overHttps = await fetch(`${url}/${pageWith(registered)}`, {
      method: 'POST',
      body: new URLSearchParams({ decision: 'agree', account: ozzy ?? '' }),
      headers: { 'x-forwarded-proto': 'https' },
      redirect: 'manual',
    })
    expect(overHttps.headers.getSetCookie().join().split('; ')).toContain('Secure')
    for (const sent of [
      { decision: 'decline', account: ozzy ?? '' },
      { decision: 'agree', account: '1' },
    ]) {
      const declined = await post(pageWith(registered), sent)
      expect(declined.headers.get('location')).toMatch(/[?&]error=access_denied/)
      expect(declined.headers.getSetCookie()).toEqual([])
    }
  })

  test('refuse what is no form', async () => {
    const send = (path: string) => fetch(`${url}/${path}`, { method: 'POST', body: '[]', redirect: 'manual' })
    expect((await send('discord/api/v10/oauth2/token')).status).toBe(401)
    expect((await send(pageWith(registered))).headers.get('location')).toMatch(/[?&]error=access_denied/)
  })

  test('keep a thousand codes at most, and read no form of more than 16 KB', async () => {
    const newCode = () => new URL(discord.agree(`${url}/${pageWith(registered)}`, ozzy ?? '')).searchParams.get('code')
    const [first, second] = Array.from({ length: 1001 }, newCode)
    expect(await tokensFor(first ?? '')).toEqual({ error: 'invalid_grant' })
    expect(await tokensFor(second ?? '')).toMatchObject({ token_type: 'Bearer' })
    const large = { unused: 'x'.repeat(17 * 1024) }
    for (const path of ['discord/api/v10/oauth2/token', pageWith(registered)]) {
      expect((await post(path, large)).status).toBe(413)
    }
  })

  test('sign the visitor in again with the account in their cookie, without a page', async () => {
    const headers = { cookie: `not_stand_in_discord=${juniper}; stand_in_discord=${ozzy}` }
    const back = await fetch(`${url}/${pageWith({ ...registered, prompt: 'none' })}`, { headers, redirect: 'manual' })
    const code = new URL(back.headers.get('location') ?? '').searchParams.get('code') ?? ''
    expect(await (await askForUser(await tokensFor(code))).json()).toMatchObject({ id: ozzy })
  })

  test.each([
    ['another client', { ...registered, client_id: '1' }],
    ['another redirect URI', { ...registered, redirect_uri: 'https://evil.example/get_avatar' }],
  ])('redirect nowhere for %s', async (_, parameters) => {
    for (const answer of [
      await get(pageWith(parameters)),
      await post(pageWith(parameters), { decision: 'agree', account: ozzy ?? '' }),
    ]) {
      expect([answer.status, answer.headers.get('location'), answer.headers.getSetCookie()]).toEqual([400, null, []])
    }
  })

  test('revoke all tokens of an account with its refresh token', async () => {
    const location = (await post(pageWith(registered), { decision: 'agree', account: ozzy ?? '' })).headers.get(
      'location',
    )
    const code = new URL(location ?? '').searchParams.get('code') ?? ''
    const tokens = await tokensFor(code)
    const user = () => askForUser(tokens)
    expect(await (await user()).json()).toMatchObject({
      id: ozzy,
      accent_color: 0xb3450e,
      banner: null,
      locale: 'en-GB',
    })
    const wrong = { ...credentials, client_secret: 'another', token: tokens.refresh_token }
    expect((await post('discord/api/v10/oauth2/token/revoke', wrong)).status).toBe(401)
    expect((await user()).status).toBe(200)
    await post('discord/api/v10/oauth2/token/revoke', { ...credentials, token: tokens.refresh_token })
    expect((await user()).status).toBe(401)
  })

  test('show the default pictures that Discord shows to accounts without a picture', async () => {
    const page = await (await get(pageWith(registered))).text()
    const pictures = [...page.matchAll(/<img src="([^"]+)"/g)].map(([, path]) => path)
    expect(pictures.slice(-2)).toEqual([
      '/demo/discord/cdn/embed/avatars/4.png',
      '/demo/discord/cdn/embed/avatars/5.png',
    ])
    expect((await get('discord/cdn/embed/avatars/5.png')).status).toBe(200)
    const [{ avatar = '', profile = {} } = {}, other] = demoAccounts
    for (const path of [
      'embed/avatars/6.png',
      `avatars/${other?.id}/${avatar}.png`,
      `banners/${other?.id}/${profile.banner}.png`,
    ]) {
      expect([path, (await get(`discord/cdn/${path}`)).status]).toEqual([path, 404])
    }
  })

  test('send pictures that can do nothing, and answers for one visitor that nobody stores', async () => {
    const [{ id, avatar, profile = {} } = { id: '', avatar: '' }] = demoAccounts
    const decoration = 'discord/cdn/avatar-decoration-presets/x.png'
    const pictures = [`discord/cdn/avatars/${id}/${avatar}.png`, `discord/cdn/banners/${id}/${profile.banner}.png`]
    for (const path of [...pictures, decoration, 'dicebear/10.x/rings/svg?seed=a']) {
      const { status, headers } = await get(path)
      expect([path, status, headers.get('content-type'), headers.get('x-content-type-options')]).toEqual([
        path,
        200,
        'image/svg+xml',
        'nosniff',
      ])
      expect(headers.get('content-security-policy')).toBe("default-src 'none'; style-src 'unsafe-inline'; sandbox")
      if (pictures.includes(path)) expect(headers.get('cache-control')).toBe('public, max-age=31536000')
    }
    for (const path of [pageWith(registered), 'discord/api/v10/users/@me']) {
      expect((await get(path)).headers.get('cache-control')).toBe('no-store')
    }
    const texts = [decoration, `${decoration}?passthrough=false`].map(async (path) => (await get(path)).text())
    const leaves = (await Promise.all(texts)).map((text) => text.match(/(?<=<path [^>]*rotate\()\d+/g)?.join())
    expect(new Set(leaves)).toEqual(new Set(['0,30,60,90,120,150,180,210,240,270,300,330']))
    const turns = (await Promise.all(texts)).map((text) => /<animateTransform [^>]*from="0" to="360"/.test(text))
    expect(turns).toEqual([true, false])
    expect(await (await get(`${decoration}?passthrough=false`)).text()).not.toContain('<animate')
  })
})

describe('a test double', () => {
  let dicebear: DiceBearDouble
  beforeEach(async () => {
    dicebear = await openDiceBear()
  })
  afterEach(() => dicebear.close())

  const path = '/10.x/rings/svg'
  const get = () => fetch(`${dicebear.url}${path}?seed=a`, { redirect: 'manual' })

  test('logs each request', async () => {
    await fetch(`${dicebear.url}${path}?seed=a`, { method: 'POST', body: 'hello', headers: { 'x-a': 'b' } })
    const [call] = dicebear.calls
    expect(call).toMatchObject({ method: 'POST', path, body: 'hello', headers: { 'x-a': 'b' } })
    expect(call?.query.get('seed')).toBe('a')
    expect([dicebear.count(path), dicebear.count(at.svg, 'POST'), dicebear.count(path, 'GET')]).toEqual([1, 1, 0])
  })

  test('fails as many times as it is told to, one fault after the other, then works', async () => {
    dicebear.fail(path, faults.answer(500), { times: 2 })
    dicebear.fail(path, faults.rateLimited(30), { times: 1 })
    const seen: number[] = []
    for (let call = 0; call < 4; call += 1) seen.push((await get()).status)
    expect(seen).toEqual([500, 500, 429, 200])
  })

  test('fails until it is healed, and only at the given path', async () => {
    dicebear.fail(path, faults.answer(503))
    expect((await get()).status).toBe(503)
    expect((await fetch(`${dicebear.apiUrl}/shapes/svg`)).status).toBe(200)
    dicebear.heal('/10.x')
    expect((await get()).status).toBe(503)
    dicebear.heal(path)
    expect((await get()).status).toBe(200)
  })

  test('refuses connections, closing open ones, and accepts them again at the same port', async () => {
    expect((await get()).status).toBe(200)
    await dicebear.refuse()
    expect(await get().catch((error: unknown) => error)).toMatchObject({ cause: { code: 'ECONNREFUSED' } })
    await dicebear.accept()
    expect((await get()).status).toBe(200)
  })

  test('closes at once while a request is open', async () => {
    dicebear.fail(path, faults.hang())
    const asked = get().catch((error: unknown) => error)
    await expect.poll(() => dicebear.count(path)).toBe(1)
    await dicebear.close()
    expect(await asked).toBeInstanceOf(TypeError)
  })
})

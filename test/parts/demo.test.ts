import { Avatar, Style } from '@dicebear/core'
import lorelei from '@dicebear/styles/lorelei.json' with { type: 'json' }
import express from 'express'
import * as oauth from 'oauth4webapi'
import supertest from 'supertest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { demoAccounts, standInDiscord } from '../../src/demo/discord.ts'
import {
  agreeAtDiscord,
  at,
  CookieJar,
  type DiceBearDouble,
  type DiscordDouble,
  faults,
  openDiceBear,
  openDiscord,
} from '../support/doubles.ts'

const clientId = '1102938475610293847'
const clientSecret = 'a secret: with % and + in it'
const redirectUri = 'http://localhost:3000/get_avatar'
const userAgent = 'DiscordBot (http://localhost:3000, 0.0.0)'
const verifier = 'v'.repeat(20) + '-._~'.repeat(8)
const challenge = await oauth.calculatePKCECodeChallenge(verifier)
const [juniper, ozzy] = demoAccounts.map(({ id }) => id)

const Tokens = z.strictObject({
  token_type: z.literal('Bearer'),
  access_token: z.string().min(20),
  expires_in: z.literal(604_800),
  refresh_token: z.string().min(20),
  scope: z.literal('identify'),
})

describe('the stand-in Discord', () => {
  let discord: DiscordDouble
  let nowMs = Date.now()

  beforeEach(async () => {
    nowMs = Date.now()
    discord = await openDiscord({ clientId, clientSecret, redirectUri, now: () => nowMs })
  })
  afterEach(() => discord.close())

  /** The authorize address as a good app asks for it; `undefined` leaves a parameter out. */
  function authorizeUrl(changes: Record<string, string | undefined> = {}): string {
    const asked = {
      response_type: 'code',
      client_id: clientId,
      scope: 'identify',
      redirect_uri: redirectUri,
      state: 'a state',
      code_challenge: challenge,
      code_challenge_method: 'S256',
      ...changes,
    }
    const url = new URL(discord.authorizeUrl)
    for (const [name, value] of Object.entries(asked)) if (value !== undefined) url.searchParams.set(name, value)
    return url.href
  }

  const open = (url: string, headers: Record<string, string> = {}) => fetch(url, { redirect: 'manual', headers })

  /** A post to the API as our app sends it. */
  function post(
    path: string,
    fields: Record<string, string> | [string, string][],
    headers: Record<string, string> = {},
  ) {
    const body = new URLSearchParams(fields)
    return fetch(`${discord.url}${path}`, { method: 'POST', body, headers: { 'user-agent': userAgent, ...headers } })
  }

  const credentials = { client_id: clientId, client_secret: clientSecret }
  const newCode = (url = authorizeUrl(), account = juniper) =>
    new URL(discord.codeFor(url, account)).searchParams.get('code') ?? ''

  /** The exchange of a good code, but for the changes. */
  function exchange(changes: Record<string, string | undefined> = {}) {
    const fields: Record<string, string | undefined> = {
      ...credentials,
      grant_type: 'authorization_code',
      redirect_uri: redirectUri,
      code_verifier: verifier,
      ...changes,
    }
    fields.code ??= newCode()
    const given = Object.entries(fields).flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[name, value]],
    )
    return post(at.token, given)
  }

  const refresh = (token: string) =>
    post(at.token, { ...credentials, grant_type: 'refresh_token', refresh_token: token })

  const signIn = async (account = juniper) =>
    Tokens.parse(await (await exchange({ code: newCode(authorizeUrl(), account) })).json())

  const whoIs = (authorization?: string) =>
    fetch(`${discord.url}${at.user}`, {
      headers: { 'user-agent': userAgent, ...(authorization === undefined ? {} : { authorization }) },
    })
  const statusOf = async (token: string) => (await whoIs(`Bearer ${token}`)).status

  const answerOf = async (response: Response) => ({ status: response.status, body: await response.json() })
  const refused = (error: string, error_description?: string, status = 400) => ({
    status,
    body: error_description === undefined ? { error } : { error, error_description },
  })

  describe('with a client of its own, oauth4webapi', () => {
    const client: oauth.Client = { client_id: clientId }
    const server = () => ({
      issuer: 'https://discord.com',
      authorization_endpoint: discord.authorizeUrl,
      token_endpoint: `${discord.apiUrl}/oauth2/token`,
      revocation_endpoint: `${discord.apiUrl}/oauth2/token/revoke`,
      authorization_response_iss_parameter_supported: true,
    })
    const overHttp = { [oauth.allowInsecureRequests]: true }

    test.each([
      ['in the body', oauth.ClientSecretPost(clientSecret)],
      ['as Basic', oauth.ClientSecretBasic(clientSecret)],
    ])('a visitor signs in, stays, and signs out; the secret %s', async (_where, secret) => {
      const callback = await agreeAtDiscord(authorizeUrl(), { account: ozzy ?? '' })
      const parameters = oauth.validateAuthResponse(server(), client, new URL(callback), 'a state')
      const asked = await oauth.authorizationCodeGrantRequest(
        server(),
        client,
        secret,
        parameters,
        redirectUri,
        verifier,
        overHttp,
      )
      const tokens = await oauth.processAuthorizationCodeResponse(server(), client, asked)
      expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 604_800, scope: 'identify' })

      const refreshing = await oauth.refreshTokenGrantRequest(
        server(),
        client,
        secret,
        tokens.refresh_token ?? '',
        overHttp,
      )
      const next = await oauth.processRefreshTokenResponse(server(), client, refreshing)
      expect(next.access_token).not.toBe(tokens.access_token)
      const user = await oauth.protectedResourceRequest(
        next.access_token,
        'GET',
        new URL(`${discord.apiUrl}/users/@me`),
        undefined,
        null,
        overHttp,
      )
      expect(await user.json()).toMatchObject({ id: ozzy, username: 'ozzy', global_name: 'أوزي', discriminator: '0' })

      await oauth.processRevocationResponse(
        await oauth.revocationRequest(server(), client, secret, next.access_token, overHttp),
      )
      expect(await statusOf(next.access_token)).toBe(401)
    })
  })

  describe('at the authorize page', () => {
    test.each([
      ['another client', { client_id: '1' }],
      ['no client', { client_id: undefined }],
      ['a longer redirect address', { redirect_uri: `${redirectUri}/` }],
      ['another spelling of the redirect address', { redirect_uri: 'http://LOCALHOST:3000/get_avatar' }],
      ['another redirect address', { redirect_uri: 'https://evil.example/' }],
      ['no redirect address', { redirect_uri: undefined }],
    ])('%s gets a plain page, and is sent nowhere', async (_what, changes) => {
      const answer = await open(authorizeUrl(changes))
      expect(answer.status).toBe(400)
      expect(answer.headers.get('location')).toBeNull()
      expect(answer.headers.get('content-type')).toMatch('text/plain')
      expect(() => discord.codeFor(authorizeUrl(changes))).toThrow()
    })

    test('the redirect address twice is one too many', async () => {
      const answer = await open(`${authorizeUrl()}&redirect_uri=${encodeURIComponent(redirectUri)}`)
      expect([answer.status, answer.headers.get('location')]).toEqual([400, null])
    })

    test.each([
      ['invalid_scope', { scope: 'identify email' }],
      ['invalid_scope', { scope: undefined }],
      ['unsupported_response_type', { response_type: 'token' }],
      ['invalid_request', { code_challenge_method: 'plain' }],
      ['invalid_request', { code_challenge_method: undefined }],
      ['invalid_request', { code_challenge: undefined }],
      ['invalid_request', { code_challenge: 'short' }],
      ['invalid_request', { prompt: 'login' }],
    ])('%s leads back with an error and the state: %j', async (error, changes) => {
      const answer = await open(authorizeUrl(changes))
      expect(answer.status).toBe(302)
      const back = new URL(answer.headers.get('location') ?? '')
      expect(back.origin + back.pathname).toBe(redirectUri)
      expect(Object.fromEntries(back.searchParams)).toEqual({
        error,
        error_description: expect.any(String),
        state: 'a state',
        iss: 'https://discord.com',
      })
      expect(() => discord.codeFor(authorizeUrl(changes))).toThrow()
    })

    test('agreeing leads back with code, state and iss, by 303', async () => {
      const back = new URL(await agreeAtDiscord(authorizeUrl()))
      expect(back.origin + back.pathname).toBe(redirectUri)
      expect([...back.searchParams.keys()].sort()).toEqual(['code', 'iss', 'state'])
      expect(back.searchParams.get('state')).toBe('a state')
      expect(back.searchParams.get('iss')).toBe('https://discord.com')
      expect((await exchange({ code: back.searchParams.get('code') ?? '' })).status).toBe(200)
    })

    test('no state, none back', async () => {
      const back = new URL(await agreeAtDiscord(authorizeUrl({ state: undefined })))
      expect([...back.searchParams.keys()].sort()).toEqual(['code', 'iss'])
    })

    test('declining leads back with access_denied and no code', async () => {
      const back = new URL(await agreeAtDiscord(authorizeUrl(), { decision: 'decline' }))
      expect(Object.fromEntries(back.searchParams)).toEqual({
        error: 'access_denied',
        error_description: expect.stringMatching(/./),
        state: 'a state',
        iss: 'https://discord.com',
      })
    })

    test('prompt=none asks a new browser, then passes it in silence with the same account', async () => {
      const cookieJar = new CookieJar()
      const none = authorizeUrl({ prompt: 'none' })
      await agreeAtDiscord(none, { cookieJar, account: ozzy ?? '' })
      expect(discord.count(at.authorize, 'POST')).toBe(1)

      const back = new URL(await agreeAtDiscord(none, { cookieJar }))
      expect(discord.count(at.authorize, 'POST')).toBe(1)
      expect(back.searchParams.get('state')).toBe('a state')
      expect(back.searchParams.get('iss')).toBe('https://discord.com')
      const tokens = Tokens.parse(await (await exchange({ code: back.searchParams.get('code') ?? '' })).json())
      expect(await (await whoIs(`Bearer ${tokens.access_token}`)).json()).toMatchObject({ id: ozzy })

      expect((await open(none)).status).toBe(200)
    })

    test('a decline is not remembered as an agreement', async () => {
      const cookieJar = new CookieJar()
      const none = authorizeUrl({ prompt: 'none' })
      await agreeAtDiscord(none, { cookieJar, decision: 'decline' })
      await agreeAtDiscord(none, { cookieJar })
      expect(discord.count(at.authorize, 'POST')).toBe(2)
    })

    test.each(['consent', undefined])(
      'prompt=%s asks a browser that agreed before, its account chosen',
      async (prompt) => {
        const cookieJar = new CookieJar()
        await agreeAtDiscord(authorizeUrl(), { cookieJar, account: ozzy ?? '' })
        const back = await agreeAtDiscord(authorizeUrl({ prompt }), { cookieJar })
        expect(discord.count(at.authorize, 'POST')).toBe(2)
        const code = new URL(back).searchParams.get('code') ?? ''
        const tokens = Tokens.parse(await (await exchange({ code })).json())
        expect(await (await whoIs(`Bearer ${tokens.access_token}`)).json()).toMatchObject({ id: ozzy })
      },
    )

    test('once the app is removed in the settings, prompt=none asks again and no token works', async () => {
      const cookieJar = new CookieJar()
      const none = authorizeUrl({ prompt: 'none' })
      await agreeAtDiscord(none, { cookieJar })
      const tokens = await signIn()
      discord.deauthorize(juniper ?? '')
      await agreeAtDiscord(none, { cookieJar })
      expect(discord.count(at.authorize, 'POST')).toBe(2)
      expect(await statusOf(tokens.access_token)).toBe(401)
    })

    test('mounted below a prefix, its form, pictures and cookie stay below it', async () => {
      const rendered: unknown[] = []
      const app = express()
      app.set('view', NoView)
      app.use((_req, res, next) => {
        const render = res.render.bind(res)
        res.render = (view: string, locals?: unknown) => {
          rendered.push(locals)
          render(view)
        }
        next()
      })
      app.use('/demo/discord', standInDiscord({ clientId, clientSecret, redirectUri }).router)
      const page = await supertest(app)
        .get('/demo/discord/oauth2/authorize')
        .query(new URL(authorizeUrl()).search.slice(1))
      expect(page.headers['set-cookie']?.[0]).toMatch(/; Path=\/demo\/discord;/)
      expect(rendered).toMatchObject([{ action: '/demo/discord/oauth2/authorize', chosen: juniper }])
      const { accounts } = z.object({ accounts: z.array(z.record(z.string(), z.string())) }).parse(rendered[0])
      expect(accounts.map(({ displayName }) => displayName)).toEqual([
        'Juniper Moss',
        'أوزي',
        'Maximiliane Hohenstaufen-Erbach',
        'Sam',
      ])
      expect(accounts[0]).toEqual({
        id: juniper,
        username: 'juniper.moss',
        displayName: 'Juniper Moss',
        pictureUrl: expect.stringMatching(/^\/demo\/discord\/cdn\/avatars\/816822249063055437\/\w+\.png\?size=128$/),
      })
      expect(accounts[3]?.pictureUrl).toMatch(/^\/demo\/discord\/cdn\/embed\/avatars\/[0-5]\.png$/)
    })

    test('its cookie is for the server alone, and a planted one is not taken over', async () => {
      const answer = await open(authorizeUrl(), { cookie: 'stand_in_discord=planted' })
      const [cookie = ''] = answer.headers.getSetCookie()
      expect(cookie).toMatch(/^stand_in_discord=[\w-]{32}; /)
      expect(cookie).toMatch(/; HttpOnly(;|$)/)
      expect(cookie).toMatch(/; SameSite=Lax(;|$)/)
      expect(cookie).toMatch(/; Path=\/(;|$)/)
      expect(answer.headers.get('cache-control')).toBe('no-store')
    })

    describe('the form', () => {
      async function openForm() {
        const cookieJar = new CookieJar()
        const answer = await open(authorizeUrl())
        cookieJar.keep(discord.url, answer)
        const request = /name="request" value="([^"]+)"/.exec(await answer.text())?.[1] ?? ''
        return { request, cookie: cookieJar.header(discord.url) ?? '' }
      }
      const send = (fields: Record<string, string>, cookie: string) =>
        fetch(discord.authorizeUrl, {
          method: 'POST',
          body: new URLSearchParams(fields),
          headers: { cookie },
          redirect: 'manual',
        })
      const yes = { decision: 'agree', account: juniper ?? '' }

      test('is good from the browser that opened it', async () => {
        const { request, cookie } = await openForm()
        expect((await send({ request, ...yes }, cookie)).status).toBe(303)
      })

      test('is refused from another browser, and from none', async () => {
        const { request } = await openForm()
        const other = await openForm()
        expect((await send({ request, ...yes }, other.cookie)).status).toBe(400)
        expect((await send({ request, ...yes }, '')).status).toBe(400)
      })

      test('is refused after ten minutes', async () => {
        const { request, cookie } = await openForm()
        nowMs += 10 * 60_000 + 1
        expect((await send({ request, ...yes }, cookie)).status).toBe(400)
      })

      test.each([
        ['an unknown request', { request: 'made up' }],
        ['an unknown account', { account: '1' }],
        ['an unknown decision', { decision: 'maybe' }],
      ])('is refused with %s', async (_what, changes) => {
        const { request, cookie } = await openForm()
        expect((await send({ request, ...yes, ...changes }, cookie)).status).toBe(400)
      })
    })
  })

  describe('at the token address', () => {
    test('answers with exactly what Discord answers with', async () => {
      const answer = await exchange()
      expect(answer.headers.get('content-type')).toMatch('application/json')
      expect(answer.headers.get('cache-control')).toBe('no-store')
      Tokens.parse(await answer.json())
    })

    const invalidCode = refused('invalid_grant', 'Invalid "code" in request.')

    test('a code works once', async () => {
      const code = newCode()
      expect((await exchange({ code })).status).toBe(200)
      expect(await answerOf(await exchange({ code }))).toEqual(invalidCode)
    })

    test('of twenty exchanges of one code at once, one succeeds', async () => {
      const code = newCode()
      const answers = await Promise.all(Array.from({ length: 20 }, () => exchange({ code })))
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    })

    test('a code lives for a hundred seconds', async () => {
      const [early, late] = [newCode(), newCode()]
      nowMs += 99_000
      expect((await exchange({ code: early })).status).toBe(200)
      nowMs += 2000
      expect(await answerOf(await exchange({ code: late }))).toEqual(invalidCode)
    })

    test('a code is no good with another redirect address, or made up', async () => {
      expect(await answerOf(await exchange({ redirect_uri: `${redirectUri}/` }))).toEqual(invalidCode)
      expect(await answerOf(await exchange({ redirect_uri: undefined }))).toEqual(invalidCode)
      expect(await answerOf(await exchange({ code: 'made up' }))).toEqual(invalidCode)
    })

    const invalidVerifier = refused('invalid_request', 'Invalid "code_verifier"')

    test.each([
      ['too short', 'v'.repeat(42)],
      ['too long', 'v'.repeat(129)],
      ['of other characters', `${'v'.repeat(42)}+`],
    ])('a verifier %s is refused, even with its own challenge', async (_what, code_verifier) => {
      const code_challenge = await oauth.calculatePKCECodeChallenge(code_verifier)
      const code = newCode(authorizeUrl({ code_challenge }))
      expect(await answerOf(await exchange({ code, code_verifier }))).toEqual(invalidVerifier)
    })

    test.each([
      ['other than the challenge’s', 'w'.repeat(43), invalidVerifier],
      ['that is the challenge itself', challenge, invalidVerifier],
      ['that is missing', undefined, refused('invalid_request', 'Missing "code_verifier"')],
    ])('a verifier %s is refused', async (_what, code_verifier, answer) => {
      expect(await answerOf(await exchange({ code_verifier }))).toEqual(answer)
    })

    test('verifiers of 43 and of 128 characters are good', async () => {
      for (const code_verifier of ['a'.repeat(43), 'b'.repeat(128)]) {
        const code_challenge = await oauth.calculatePKCECodeChallenge(code_verifier)
        const answer = await exchange({ code: newCode(authorizeUrl({ code_challenge })), code_verifier })
        expect(answer.status).toBe(200)
      }
    })

    test('without a challenge no verifier is wanted, and none is taken', async () => {
      const bare = () => newCode(authorizeUrl({ code_challenge: undefined, code_challenge_method: undefined }))
      expect((await exchange({ code: bare(), code_verifier: undefined })).status).toBe(200)
      expect(await answerOf(await exchange({ code: bare() }))).toEqual(invalidVerifier)
    })

    test.each([
      ['another secret', { client_secret: 'another' }],
      ['no secret', { client_secret: undefined }],
      ['another id', { client_id: '1' }],
      ['no id', { client_id: undefined }],
    ])('%s is refused, and does not spend the code', async (_what, changes) => {
      const code = newCode()
      expect(await answerOf(await exchange({ code, ...changes }))).toEqual(refused('invalid_client', undefined, 401))
      expect((await exchange({ code })).status).toBe(200)
    })

    test('a wrong secret as Basic is refused, and so are two ways at once', async () => {
      const basic = (secret: string) => `Basic ${btoa(`${clientId}:${encodeURIComponent(secret)}`)}`
      const asked = { grant_type: 'refresh_token', refresh_token: 'made up' }
      const wrong = await post(at.token, asked, { authorization: basic('another') })
      expect(await answerOf(wrong)).toEqual(refused('invalid_client', undefined, 401))
      const twice = await post(at.token, { ...asked, ...credentials }, { authorization: basic(clientSecret) })
      expect(await answerOf(twice)).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
    })

    test('JSON is refused', async () => {
      const answer = await fetch(`${discord.url}${at.token}`, {
        method: 'POST',
        headers: { 'user-agent': userAgent, 'content-type': 'application/json' },
        body: JSON.stringify({
          ...credentials,
          grant_type: 'authorization_code',
          code: newCode(),
          redirect_uri: redirectUri,
          code_verifier: verifier,
        }),
      })
      expect(await answerOf(answer)).toEqual(refused('invalid_request', 'The request body must be form-encoded.'))
    })

    test('a parameter that is there twice is refused', async () => {
      const code = newCode()
      const fields: [string, string][] = [...Object.entries(credentials), ['grant_type', 'authorization_code']]
      fields.push(['code', code], ['code', code])
      expect(await answerOf(await post(at.token, fields))).toMatchObject({ body: { error: 'invalid_request' } })
    })

    test.each(['password', 'client_credentials', 'constructor', undefined])(
      'grant type %s is refused',
      async (type) => {
        expect(await answerOf(await exchange({ grant_type: type }))).toEqual(
          refused('unsupported_grant_type', `Grant type ${type ?? 'None'} is not supported`),
        )
      },
    )

    test('a refresh gives new tokens, and the old refresh token is dead', async () => {
      const first = await signIn()
      const second = Tokens.parse(await (await refresh(first.refresh_token)).json())
      expect(second.refresh_token).not.toBe(first.refresh_token)
      expect(await statusOf(second.access_token)).toBe(200)
      const dead = refused('invalid_grant', 'Invalid "refresh_token" in request')
      expect(await answerOf(await refresh(first.refresh_token))).toEqual(dead)
      expect(await answerOf(await refresh(first.access_token))).toEqual(dead)
      expect((await refresh(second.refresh_token)).status).toBe(200)
    })

    test('of two refreshes at once one succeeds', async () => {
      const { refresh_token } = await signIn()
      const answers = await Promise.all([refresh(refresh_token), refresh(refresh_token)])
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 400])
    })

    test.each(['access_token', 'refresh_token'] as const)(
      'revoking one %s ends all of that visitor, and of no other',
      async (which) => {
        const [phone, laptop, other] = [await signIn(), await signIn(), await signIn(ozzy)]
        const answer = await post(at.revoke, { ...credentials, token: phone[which] })
        expect(answer.status).toBe(200)
        expect(await statusOf(phone.access_token)).toBe(401)
        expect(await statusOf(laptop.access_token)).toBe(401)
        expect((await refresh(laptop.refresh_token)).status).toBe(400)
        expect(await statusOf(other.access_token)).toBe(200)
      },
    )

    test('revoking asks for the secret, and for a token', async () => {
      const { access_token: token } = await signIn()
      const stranger = await post(at.revoke, { client_id: clientId, token })
      expect(await answerOf(stranger)).toEqual(refused('invalid_client', undefined, 401))
      expect(await statusOf(token)).toBe(200)
      expect((await post(at.revoke, credentials)).status).toBe(400)
      expect((await post(at.revoke, { ...credentials, token: 'made up' })).status).toBe(200)
    })
  })

  describe('at the user address', () => {
    const unauthorized = { status: 401, body: { message: '401: Unauthorized', code: 0 } }

    test.each([undefined, 'Bearer made-up', 'Bearer', 'Basic YTpi'])('%s is nobody', async (authorization) => {
      expect(await answerOf(await whoIs(authorization))).toEqual(unauthorized)
    })

    test('a refresh token opens nothing', async () => {
      const { refresh_token } = await signIn()
      expect(await answerOf(await whoIs(`Bearer ${refresh_token}`))).toEqual(unauthorized)
    })

    test('a token lives for seven days', async () => {
      const { access_token } = await signIn()
      nowMs += 604_799_000
      expect(await statusOf(access_token)).toBe(200)
      nowMs += 2000
      expect(await statusOf(access_token)).toBe(401)
    })

    test('or for as long as a test says', async () => {
      discord.tokenLifeS = 5
      const { access_token, expires_in } = z
        .object({ access_token: z.string(), expires_in: z.number() })
        .parse(await (await exchange()).json())
      expect(expires_in).toBe(5)
      nowMs += 5001
      expect(await statusOf(access_token)).toBe(401)
    })

    test.each(demoAccounts)('tells who $username is, and no e-mail', async (account) => {
      const { access_token } = await signIn(account.id)
      const answer = await answerOf(await whoIs(`Bearer ${access_token}`))
      expect(answer).toMatchObject({
        status: 200,
        body: {
          id: account.id,
          username: account.username,
          global_name: account.globalName,
          discriminator: account.discriminator,
          avatar: account.avatar,
          premium_type: 0,
        },
      })
      expect(answer.body).not.toHaveProperty('email')
      expect(account.id).toMatch(/^\d{17,20}$/)
    })
  })

  describe('as an API', () => {
    test('refuses browsers and the nameless, as Cloudflare does', async () => {
      for (const stranger of ['Mozilla/5.0', '']) {
        const answer = await post(at.token, credentials, { 'user-agent': stranger })
        expect(await answerOf(answer)).toEqual({
          status: 403,
          body: { message: 'internal network error', code: 40333 },
        })
      }
    })

    test.each([
      ['/api/oauth2/token', 404],
      ['/api/v6/oauth2/token', 404],
      ['/api/v10/guilds', 404],
      ['/api/v10/oauth2/token', 405],
      ['/api/v10/oauth2/token/revoke', 405],
    ])('GET %s is %i in its own shape', async (path, status) => {
      const answer = await open(`${discord.url}${path}`, { 'user-agent': userAgent })
      expect(await answerOf(answer)).toEqual({
        status,
        body: { message: expect.stringMatching(`^${status}: `), code: 0 },
      })
    })
  })

  describe('its pictures', () => {
    const picture = (path: string) => open(`${discord.cdnUrl}/${path}`)
    const [first, , old, bare] = demoAccounts

    test('are there for each account on the page', async () => {
      const page = await (await open(authorizeUrl())).text()
      const addresses = [...page.matchAll(/<img src="([^"]+)"/g)].map(([, address = '']) => address)
      expect(addresses).toHaveLength(demoAccounts.length)
      for (const address of addresses) {
        const answer = await open(new URL(address.replaceAll('&amp;', '&'), discord.url).href)
        expect(answer.status).toBe(200)
        expect(answer.headers.get('content-type')).toBe('image/svg+xml')
        expect(await answer.text()).toMatch(/^<svg /)
      }
    })

    test('differ', async () => {
      const bodies = [`avatars/${first?.id}/${first?.avatar}.png`, `avatars/${old?.id}/${old?.avatar}.gif?size=64`]
        .concat([0, 1, 2, 3, 4, 5].map((number) => `embed/avatars/${number}.png`))
        .map(async (path) => (await picture(path)).text())
      expect(new Set(await Promise.all(bodies)).size).toBe(8)
    })

    test.each([
      ['another hash', `avatars/${first?.id}/${'0'.repeat(32)}.png`, 404],
      ['another account', `avatars/1/${first?.avatar}.png`, 404],
      ['an account without a picture', `avatars/${bare?.id}/null.png`, 404],
      ['a kind that is not there', `avatars/${first?.id}/${first?.avatar}.svg`, 404],
      ['a size that is no power of two', `avatars/${first?.id}/${first?.avatar}.png?size=100`, 400],
      ['a moving form of a still one', `avatars/${first?.id}/${first?.avatar}.gif`, 415],
      ['a seventh of its own', 'embed/avatars/6.png', 404],
    ])('%s is refused', async (_what, path, status) => {
      expect((await picture(path)).status).toBe(status)
    })
  })
})

describe('the stand-in DiceBear', () => {
  let dicebear: DiceBearDouble
  beforeAll(async () => {
    dicebear = await openDiceBear()
  })
  afterAll(() => dicebear.close())

  const style = new Style(lorelei)
  const get = (path: string) => fetch(`${dicebear.url}${path}`)
  const svgOf = async (query: string, name = 'lorelei') => {
    const answer = await get(`/10.x/${name}/svg?${query}`)
    expect(answer.status).toBe(200)
    return answer.text()
  }

  test('lists its styles, and draws each of them', async () => {
    const { styles } = z.object({ styles: z.array(z.string()) }).parse(await (await get('/10.x')).json())
    expect(styles).toHaveLength(61)
    for (const name of styles) expect(await svgOf('seed=a&size=64&backgroundColor=ffd29d', name)).toMatch(/^<svg /)
  })

  test.each([
    ['', { seed: '' }],
    ['seed=', { seed: '' }],
    ['seed=ada', { seed: 'ada' }],
    ['seed=a,b%2Cc', { seed: 'a,b,c' }],
    ['seed=%F0%9F%A6%8A+%26+%3Cx%3E', { seed: '🦊 & <x>' }],
    ['seed=a&size=64', { seed: 'a', size: 64 }],
    ['seed=a&scale=0.8,1.2&rotate=-20,20', { seed: 'a', scale: [0.8, 1.2], rotate: [-20, 20] }],
    ['seed=a&borderRadius=10', { seed: 'a', borderRadius: 10 }],
    ['seed=a&flip=horizontal', { seed: 'a', flip: 'horizontal' }],
    ['seed=a&backgroundColor=%23ffd29d', { seed: 'a', backgroundColor: 'ffd29d' }],
    [
      'seed=a&backgroundColor=b6e3f4,ffd5dc&backgroundColorFill=linear&backgroundColorOrder=fixed',
      {
        seed: 'a',
        backgroundColor: ['b6e3f4', 'ffd5dc'],
        backgroundColorFill: 'linear',
        backgroundColorOrder: 'fixed',
      },
    ],
    ['seed=a&mouthVariant=happy01', { seed: 'a', mouthVariant: ['happy01'] }],
    ['seed=a&mouthVariant=happy01,sad01', { seed: 'a', mouthVariant: ['happy01', 'sad01'] }],
    ['seed=a&mouthVariant=happy01&mouthVariant=sad01', { seed: 'a', mouthVariant: ['happy01', 'sad01'] }],
    ['seed=a&mouthVariant=happy01:3,sad01:1', { seed: 'a', mouthVariant: { happy01: 3, sad01: 1 } }],
    ['seed=a&glassesProbability=100', { seed: 'a', glassesProbability: 100 }],
  ] as const)('reads %s as the library would be told', async (query, options) => {
    expect(await svgOf(query)).toBe(new Avatar<Style>(style, options).toString())
  })

  test('weights count: one of nothing is never drawn', async () => {
    const onlyHappy = await svgOf('seed=a&mouthVariant=happy01')
    const onlySad = await svgOf('seed=a&mouthVariant=sad01')
    expect(onlyHappy).not.toBe(onlySad)
    expect(await svgOf('seed=a&mouthVariant=happy01:0,sad01:1')).toBe(
      await svgOf('seed=a&mouthVariant=happy01:0,sad01:9'),
    )
  })

  test('moves when it is asked to', async () => {
    const still = await svgOf('seed=a', 'sprouts')
    expect(await svgOf('seed=a&tags=animation', 'sprouts')).not.toBe(still)
  })

  test('drops what it does not know, old names, and what it withholds', async () => {
    const plain = await svgOf('seed=a')
    for (const unknown of [
      'nope=1',
      'mouth=happy01',
      'radius=10',
      'title=Ada',
      'idRandomization=true',
      '__proto__=1',
    ]) {
      expect(await svgOf(`seed=a&${unknown}`)).toBe(plain)
    }
  })

  test('leaves out a part whose variant it does not know', async () => {
    const without = await svgOf('seed=a&mouthVariant=nope')
    expect(without).toBe(await svgOf('seed=a&mouthProbability=0'))
    expect(without).not.toBe(await svgOf('seed=a'))
  })

  test.each([
    ['size=a', 'size'],
    ['size=', 'size'],
    ['size=5000', 'size'],
    ['size=1.5', 'size'],
    ['size=0x10', 'size'],
    ['size=1&size=2', 'size'],
    ['scale=1,2,3', 'scale'],
    ['borderRadius=51', 'borderRadius'],
    ['flip=true', 'flip'],
    ['backgroundColor=red', 'backgroundColor'],
    ['backgroundColor=transparent', 'backgroundColor'],
    ['backgroundColor[]=ffffff', 'backgroundColor[]'],
    ['mouthProbability=101', 'mouthProbability'],
    ['mouthVariant=happy01:x', 'mouthVariant'],
    ['tags=a:b:c', 'tags'],
    [`seed=${'a'.repeat(1025)}`, 'seed'],
  ])('%.40s is refused by name', async (query, name) => {
    const answer = await get(`/10.x/lorelei/svg?${query}`)
    expect(answer.headers.get('content-type')).toMatch('application/json')
    const body: unknown = await answer.json()
    expect({ status: answer.status, body }).toEqual({
      status: 400,
      body: { statusCode: 400, code: 'FST_ERR_VALIDATION', error: 'Bad Request', message: expect.any(String) },
    })
    const [first = ''] = z.object({ message: z.string() }).parse(body).message.split(' must ')
    expect(first === `querystring/${name}` || first.startsWith(`querystring/${name}/`)).toBe(true)
  })

  test.each(['/10.x/nope/svg?seed=a', '/10.x/..%2Fcore/svg', '/9.x/lorelei/svg', '/10.x/lorelei', '/'])(
    '%s is not there',
    async (path) => {
      const answer = await get(path)
      expect(answer.status).toBe(404)
      expect(await answer.json()).toEqual({
        message: `Route GET:${path} not found`,
        error: 'Not Found',
        statusCode: 404,
      })
    },
  )

  test('knows no other format', async () => {
    const answer = await get('/10.x/lorelei/bmp')
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({
      code: 'FST_ERR_VALIDATION',
      message: expect.stringMatching(/^params\/format must/),
    })
  })

  test('answers under the headers of the real one', async () => {
    const { headers } = await get('/10.x/lorelei/svg?seed=a')
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'image/svg+xml',
      'content-disposition': 'inline; filename="avatar.svg"',
      'cache-control': 'max-age=31536000',
      'x-robots-tag': 'noindex',
      'access-control-allow-origin': '*',
    })
  })
})

describe('a double', () => {
  let dicebear: DiceBearDouble
  beforeEach(async () => {
    dicebear = await openDiceBear()
  })
  afterEach(() => dicebear.close())

  const path = '/10.x/rings/svg'
  const get = (signal?: AbortSignal) =>
    fetch(`${dicebear.url}${path}?seed=a`, { redirect: 'manual', signal: signal ?? null })

  test('logs each call', async () => {
    const since = Date.now()
    await fetch(`${dicebear.url}${path}?seed=a`, { method: 'POST', body: 'hello', headers: { 'x-a': 'b' } })
    const [call] = dicebear.calls
    expect(call).toMatchObject({ method: 'POST', path, body: 'hello' })
    expect(call?.query.get('seed')).toBe('a')
    expect(call?.headers['x-a']).toBe('b')
    expect(call?.at).toBeGreaterThanOrEqual(since)
    expect([dicebear.count(path), dicebear.count(at.svg, 'POST'), dicebear.count(path, 'GET')]).toEqual([1, 1, 0])
  })

  test('logs the tokens that it answered with', async () => {
    const discord = await openDiscord({ clientId, clientSecret, redirectUri })
    const { searchParams } = new URL(discord.authorizeUrl)
    for (const [name, value] of Object.entries({ client_id: clientId, redirect_uri: redirectUri, scope: 'identify' })) {
      searchParams.set(name, value)
    }
    searchParams.set('response_type', 'code')
    const callback = new URL(discord.codeFor(`${discord.authorizeUrl}?${searchParams}`))
    await fetch(`${discord.url}${at.token}`, {
      method: 'POST',
      headers: { 'user-agent': userAgent },
      body: new URLSearchParams({
        client_id: clientId,
        client_secret: clientSecret,
        grant_type: 'authorization_code',
        redirect_uri: redirectUri,
        code: callback.searchParams.get('code') ?? '',
      }),
    })
    const [call] = discord.calls
    expect(new URLSearchParams(call?.body).get('client_secret')).toBe(clientSecret)
    Tokens.parse(call?.answer)
    await discord.close()
  })

  test('goes wrong for as many calls as told, one fault after the other, then is well', async () => {
    dicebear.fail(path, faults.answer(500), { times: 2 })
    dicebear.fail(path, faults.busy(30), { times: 1 })
    const seen: number[] = []
    for (let call = 0; call < 4; call += 1) seen.push((await get()).status)
    expect(seen).toEqual([500, 500, 429, 200])
  })

  test('goes wrong until healed, and only where told', async () => {
    dicebear.fail(path, faults.answer(503))
    expect((await get()).status).toBe(503)
    expect((await fetch(`${dicebear.url}/10.x`)).status).toBe(200)
    dicebear.heal('/10.x')
    expect((await get()).status).toBe(503)
    dicebear.heal(path)
    expect((await get()).status).toBe(200)
  })

  test('says "wait" in each of the ways there are', async () => {
    const ways = [
      faults.busy(1.5, { global: true }),
      faults.busy(2, { header: false }),
      faults.busy(),
      faults.busyInPlainText(),
    ]
    for (const fault of ways) dicebear.fail(path, fault, { times: 1 })
    const seen: unknown[] = []
    for (const _ of ways) {
      const answer = await get()
      seen.push([answer.status, answer.headers.get('retry-after'), await answer.text()])
    }
    const message = 'You are being rate limited.'
    expect(seen).toEqual([
      [429, '2', JSON.stringify({ message, global: true, retry_after: 1.5 })],
      [429, null, JSON.stringify({ message, global: false, retry_after: 2 })],
      [429, null, JSON.stringify({ message, global: false })],
      [429, null, 'error code: 1015'],
    ])
  })

  test('stays silent until the asker gives up', async () => {
    dicebear.fail(path, faults.silent())
    const asker = new AbortController()
    const asked = get(asker.signal)
    await expect.poll(() => dicebear.count(path)).toBe(1)
    asker.abort()
    await expect(asked).rejects.toThrow('aborted')
  })

  test('drips without end', async () => {
    dicebear.fail(path, faults.drip({}, 1))
    const asker = new AbortController()
    const answer = await get(asker.signal)
    let dripped = 0
    for await (const part of answer.body ?? []) {
      dripped += part.length
      if (dripped > 3) break
    }
    expect(dripped).toBeGreaterThan(3)
    asker.abort()
  })

  test.each([
    ['reset', faults.reset()],
    ['truncated', faults.truncated()],
  ])('%s: a head, and no whole body', async (_what, fault) => {
    dicebear.fail(path, fault)
    const answer = await get()
    expect(answer.status).toBe(200)
    await expect(answer.text()).rejects.toThrow()
  })

  test('answers with what is not JSON, of another type, or elsewhere', async () => {
    const ways = [faults.malformed(), faults.wrongType(), faults.redirect('https://evil.example/')]
    for (const fault of ways) dicebear.fail(path, fault, { times: 1 })
    await expect((await get()).json()).rejects.toThrow(SyntaxError)
    expect((await get()).headers.get('content-type')).toBe('text/html')
    const elsewhere = await get()
    expect([elsewhere.status, elsewhere.headers.get('location')]).toEqual([302, 'https://evil.example/'])
  })

  test('sends as much as told, and packs as much as told', async () => {
    dicebear.fail(path, faults.huge(1_000_001), { times: 1 })
    expect((await (await get()).arrayBuffer()).byteLength).toBe(1_000_001)
    dicebear.fail(path, faults.bomb(1_000_001), { times: 1 })
    const bomb = await get()
    expect(Number(bomb.headers.get('content-length'))).toBeLessThan(5000)
    expect((await bomb.arrayBuffer()).byteLength).toBe(1_000_001)
  })

  test('does whatever a handler does', async () => {
    dicebear.fail(path, (req, res) => res.status(418).send(`seed ${req.query.seed}`))
    expect(await (await get()).text()).toBe('seed a')
  })

  test('waits as long as told', async () => {
    dicebear.delay(path, 100)
    const since = performance.now()
    expect((await get()).status).toBe(200)
    expect(performance.now() - since).toBeGreaterThan(95)
  })

  test('serves another SVG in place of each', async () => {
    dicebear.replaceSvg('<svg onload="alert(1)"/>')
    dicebear.replaceSvg('<svg><script/></svg>')
    const answer = await get()
    expect([answer.headers.get('content-type'), await answer.text()]).toEqual(['image/svg+xml', '<svg><script/></svg>'])
    dicebear.heal()
    expect(await (await get()).text()).not.toMatch('<script')
  })

  test('refuses connections, open ones too, and takes them again at the same port', async () => {
    expect((await get()).status).toBe(200)
    await dicebear.refuse()
    const refused = await get().catch((error: unknown) => error)
    expect(refused).toMatchObject({ cause: { code: 'ECONNREFUSED' } })
    await dicebear.accept()
    expect((await get()).status).toBe(200)
  })

  test('closes at once, though somebody waits for an answer', async () => {
    dicebear.fail(path, faults.silent())
    const asked = get().catch((error: unknown) => error)
    await expect.poll(() => dicebear.count(path)).toBe(1)
    await dicebear.close()
    expect(await asked).toBeInstanceOf(TypeError)
  })
})

/** Takes the place of every view, and shows nothing. */
class NoView {
  readonly path = 'none'
  render(_locals: unknown, done: (error: unknown, html: string) => void): void {
    done(null, '')
  }
}

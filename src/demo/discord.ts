import { createHash, randomBytes } from 'node:crypto'
import express, { type Request, type Router } from 'express'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { type Account, demoAccounts } from './accounts.ts'
import { pictures } from './pictures.ts'

export type DiscordOptions = {
  clientId: string
  clientSecret: string
  /** The only redirect URI that is registered. */
  redirectUri: string
  accounts?: Account[]
}

const codeTtlMs = 100_000
const tokenTtlS = 7 * 24 * 3600
/** The cookie with the id of the account that has agreed in this browser, so that `prompt=none` needs no page. */
const cookieName = 'stand_in_discord'

/**
 * A stand-in for Discord's sign-in, API and pictures. Mounted at `/demo/discord` its addresses are
 * `/demo/discord/oauth2/authorize`, `/demo/discord/api/v10` and `/demo/discord/cdn`. The app in which it is mounted
 * renders the view `demo/consent`.
 */
export function standInDiscord(options: DiscordOptions) {
  const accounts = options.accounts ?? demoAccounts
  const grants = createGrants(options)
  const router = express.Router({ caseSensitive: true })
  router.use(['/oauth2', '/api'], (_req, res, next) => {
    res.setHeader('Cache-Control', 'no-store')
    next()
  })
  router.use('/oauth2/authorize', authorizePage(options, accounts, grants))
  router.use('/api/v10', api(options, accounts, grants))
  router.use('/cdn', pictures(accounts))
  router.use((_req, res) => void res.sendStatus(404))
  return {
    router,
    accounts,
    /** Returns the address to which a visitor is redirected after agreeing at the authorize address. */
    agree: (authorizeUrl: string, accountId: string) => agree(options, grants, authorizeUrl, accountId),
    revokeAll: grants.revokeAll,
  }
}

/** The authorization codes and tokens. Their number is bounded, because anybody can use the demo. */
function createGrants({ redirectUri }: DiscordOptions) {
  const codes = new LRUCache<string, { accountId: string; challenge: string }>({ max: 1000, ttl: codeTtlMs })
  const accessTokens = new LRUCache<string, string>({ max: 5000, ttl: tokenTtlS * 1000 })
  const refreshTokens = new LRUCache<string, string>({ max: 5000, ttl: tokenTtlS * 1000 })

  function issueCode(accountId: string, challenge: string): string {
    const code = randomToken()
    codes.set(code, { accountId, challenge })
    return code
  }

  function issueTokens(accountId: string) {
    const [access_token, refresh_token] = [randomToken(), randomToken()]
    accessTokens.set(access_token, accountId)
    refreshTokens.set(refresh_token, accountId)
    return { token_type: 'Bearer', access_token, expires_in: tokenTtlS, refresh_token, scope: 'identify' }
  }

  /** The account of a code or refresh token, which can be used once; undefined if it is not valid. */
  function redeem(fields: Record<string, string>): string | undefined {
    const { grant_type: type, code = '', code_verifier: verifier = '', refresh_token: refreshToken = '' } = fields
    if (type === 'refresh_token') return take(refreshTokens, refreshToken)
    const grant = take(codes, code)
    const isGood = grant?.challenge === s256(verifier) && fields.redirect_uri === redirectUri
    return isGood ? grant?.accountId : undefined
  }

  function revokeAll(accountId: string): void {
    for (const tokens of [accessTokens, refreshTokens]) {
      for (const [token, owner] of [...tokens.entries()]) if (owner === accountId) tokens.delete(token)
    }
  }

  const ownerOf = (token: string) => accessTokens.get(token) ?? refreshTokens.get(token)

  return { issueCode, issueTokens, redeem, revokeAll, ownerOf, accountOf: (token: string) => accessTokens.get(token) }
}
type Grants = ReturnType<typeof createGrants>

const randomToken = () => randomBytes(24).toString('base64url')
/** The code challenge of a PKCE verifier (RFC 7636, 4.6). */
const s256 = (verifier: string) => createHash('sha256').update(verifier).digest('base64url')

function take<Value extends object | string>(cache: LRUCache<string, Value>, key: string): Value | undefined {
  const value = cache.get(key)
  cache.delete(key)
  return value
}

/** The redirect URI with the answer and the state (RFC 6749, 4.1.2), and with the issuer (RFC 9207). */
function redirectUrl({ redirectUri }: DiscordOptions, query: URLSearchParams, answer: Record<string, string>): string {
  const url = new URL(redirectUri)
  url.search = new URLSearchParams({
    ...answer,
    state: query.get('state') ?? '',
    iss: 'https://discord.com',
  }).toString()
  return url.href
}

function agree(options: DiscordOptions, grants: Grants, authorizeUrl: string, accountId: string): string {
  const query = queryOf(authorizeUrl)
  return redirectUrl(options, query, { code: grants.issueCode(accountId, query.get('code_challenge') ?? '') })
}

const queryOf = (url: string) => new URL(url, 'http://stand-in').searchParams

/** The page on which a visitor chooses an account and agrees or declines. */
function authorizePage(options: DiscordOptions, accounts: Account[], grants: Grants): Router {
  const router = express.Router()
  const findAccount = (id: unknown) => accounts.find((account) => account.id === id)

  router.use((req, res, next) => {
    const query = queryOf(req.url)
    const isRegistered =
      query.get('client_id') === options.clientId && query.get('redirect_uri') === options.redirectUri
    // There is no redirect, because the address of the redirect may be wrong.
    if (isRegistered) next()
    else res.status(400).type('text/plain').send('Unknown client_id or redirect_uri.')
  })

  router.get('/', (req, res) => {
    const agreedBefore = findAccount(cookieOf(req))
    if (agreedBefore && queryOf(req.url).get('prompt') === 'none') {
      return res.redirect(agree(options, grants, req.url, agreedBefore.id))
    }
    res.render('demo/consent', {
      action: req.originalUrl,
      accounts: accounts.map((account) => shownAccount(account, mountOf(req))),
      chosen: (agreedBefore ?? accounts[0])?.id,
    })
  })

  router.post('/', express.urlencoded({ extended: false, limit: '16kb' }), (req, res) => {
    const { decision, account: id } = readForm(req)
    const account = findAccount(id)
    if (decision !== 'agree' || account === undefined) {
      return res.redirect(303, redirectUrl(options, queryOf(req.url), { error: 'access_denied' }))
    }
    const maxAge = tokenTtlS * 1000
    const path = mountOf(req) || '/'
    res.cookie(cookieName, account.id, { path, maxAge, httpOnly: true, sameSite: 'lax', secure: req.secure })
    res.redirect(303, agree(options, grants, req.url, account.id))
  })
  return router
}

/** The path at which the stand-in is mounted. */
const mountOf = (req: Request) => req.baseUrl.replace(/\/oauth2\/authorize$/, '')

function cookieOf(req: Request): string | undefined {
  return new RegExp(`(?:^|; )${cookieName}=(\\d+)`).exec(req.get('cookie') ?? '')?.[1]
}

function readForm(req: Request): Record<string, string> {
  return z.record(z.string(), z.string()).catch({}).parse(req.body)
}

/** An account as the page shows it. */
function shownAccount({ id, username, globalName, discriminator, avatar }: Account, mount: string) {
  const own = discriminator === '0' ? (BigInt(id) >> 22n) % 6n : BigInt(discriminator) % 5n
  const picture = avatar === null ? `embed/avatars/${own}.png` : `avatars/${id}/${avatar}.png`
  return { id, username, displayName: globalName ?? username, pictureUrl: `${mount}/cdn/${picture}` }
}

/** The token, revocation and user endpoints. */
function api({ clientId, clientSecret }: DiscordOptions, accounts: Account[], grants: Grants): Router {
  const router = express.Router()

  router.post(/^\/oauth2\/token/, express.urlencoded({ extended: false, limit: '16kb' }), (req, res, next) => {
    const { client_id: id, client_secret: secret } = readForm(req)
    if (id === clientId && secret === clientSecret) next()
    else res.status(401).json({ error: 'invalid_client' })
  })

  router.post('/oauth2/token', (req, res) => {
    const accountId = grants.redeem(readForm(req))
    if (accountId === undefined) res.status(400).json({ error: 'invalid_grant' })
    else res.json(grants.issueTokens(accountId))
  })

  // Revoking one token of an account revokes all of them.
  router.post('/oauth2/token/revoke', (req, res) => {
    const accountId = grants.ownerOf(readForm(req).token ?? '')
    if (accountId !== undefined) grants.revokeAll(accountId)
    res.json({})
  })

  router.get('/users/@me', (req, res) => {
    const token = /^Bearer (\S+)$/.exec(req.get('authorization') ?? '')?.[1] ?? ''
    const account = accounts.find(({ id }) => id === grants.accountOf(token))
    if (account) res.json(userResponse(account))
    else res.status(401).json({ message: '401: Unauthorized', code: 0 })
  })
  return router
}

function userResponse({ id, username, globalName, discriminator, avatar, profile }: Account) {
  const bare = { banner: null, accent_color: null, avatar_decoration_data: null, primary_guild: null }
  return {
    id,
    username,
    global_name: globalName,
    discriminator,
    avatar,
    ...bare,
    locale: 'en-GB',
    premium_type: 0,
    ...profile,
  }
}

import { createHash, randomBytes } from 'node:crypto'
import express, { type ErrorRequestHandler, type Request, type RequestHandler, type Router } from 'express'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { drawPicture, sendSvg } from './dicebear.ts'

/** A Discord account, as much of one as an app with the scope `identify` can see. */
export type Account = {
  /** Snowflake. */
  id: string
  username: string
  /** Display name, or null where none was chosen. */
  globalName: string | null
  /** "0", or four digits in old accounts. */
  discriminator: string
  /** Hash of the picture, or null for one of Discord's own pictures. */
  avatar: string | null
  /** DiceBear style in which the stand-in draws the picture. */
  pictureStyle?: string
}

export type DiscordOptions = {
  clientId: string
  clientSecret: string
  /** The one registered redirect address, compared character for character. */
  redirectUri: string
  accounts?: Account[]
  now?: () => number
  /** Seconds that an access token lives; Discord's seven days unless told. Asked anew for each token. */
  tokenLifeS?: () => number
}

type StandInDiscord = {
  router: Router
  accounts: Account[]
  /** What the page's button does, without the page: the address that the browser is sent back to. */
  agree(authorizeUrl: string, accountId: string): string
  /** The visitor removes the app in Discord's settings: no token works any more, and the page asks again. */
  deauthorize(accountId: string): void
}

/** The people of the demo: two ordinary ones, an old account with a long name, and one without a picture. */
export const demoAccounts: Account[] = [
  {
    id: '816822249063055437',
    username: 'juniper.moss',
    globalName: 'Juniper Moss',
    discriminator: '0',
    avatar: 'b1f3dc0f5c9c9a7a3f1d84f26f3b9a55',
    pictureStyle: 'landscape',
  },
  {
    id: '1135723570791055437',
    username: 'ozzy',
    globalName: 'أوزي',
    discriminator: '0',
    avatar: 'af427c453002c6ac0ead01dcb54be0b4',
    pictureStyle: 'fun-emoji',
  },
  {
    id: '146767085568655437',
    username: 'Maximiliane Hohenstaufen-Erbach',
    globalName: null,
    discriminator: '7043',
    avatar: 'a_4a08f9f3039509ca70241ba407d84ba3',
    pictureStyle: 'lorelei',
  },
  { id: '1236467397427855437', username: 'sam_rivers', globalName: 'Sam', discriminator: '0', avatar: null },
]

const issuer = 'https://discord.com'
const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs
const codeLifeMs = 100_000
const cookieName = 'stand_in_discord'

/** Why Discord refuses; `error` and `description` are its words. */
class Refusal extends Error {
  readonly status: number
  readonly error: string
  readonly description: string | undefined
  constructor(status: number, error: string, description?: string) {
    super(description ?? error)
    this.status = status
    this.error = error
    this.description = description
  }
}

/** The query of the authorize address. Each problem's message is the OAuth error that it leads to. */
const Authorization = z
  .object({
    response_type: z.literal('code', 'unsupported_response_type'),
    scope: z.literal('identify', 'invalid_scope'),
    state: z.string('invalid_request').optional(),
    prompt: z.enum(['none', 'consent'], 'invalid_request').default('consent'),
    code_challenge: z
      .string('invalid_request')
      .regex(/^[\w-]{43}$/, 'invalid_request')
      .optional(),
    code_challenge_method: z.literal('S256', 'invalid_request').optional(),
  })
  .refine(
    (asked) => (asked.code_challenge === undefined) === (asked.code_challenge_method === undefined),
    'invalid_request',
  )
  .transform(({ state, prompt, code_challenge: challenge }) => ({ state, prompt, challenge }))
type Authorization = z.infer<typeof Authorization>

const descriptions: Record<string, string> = {
  unsupported_response_type: 'The authorization server does not support obtaining a code using this method.',
  invalid_scope: 'The requested scope is invalid, unknown, or malformed.',
  invalid_request: 'The request is missing a parameter, repeats one, or has one that is malformed.',
  access_denied: 'The resource owner or authorization server denied the request',
}

const Decision = z.discriminatedUnion('decision', [
  z.object({ decision: z.literal('agree'), request: z.string(), account: z.string() }),
  z.object({ decision: z.literal('decline'), request: z.string() }),
])

// A repeated field is a list, and no string.
const Fields = z.record(z.string(), z.string())
type Fields = z.infer<typeof Fields>

const unguessable = () => randomBytes(24).toString('base64url')

/** Everything kept here is bounded in number, and forgotten in time. */
function keep<Kept extends object>(max: number, ttl: number, now: () => number): LRUCache<string, Kept> {
  return new LRUCache<string, Kept>({ max, ttl, ttlResolution: 0, perf: { now } })
}

// --- What Discord remembers of who agreed: codes and tokens ---

type Grant = { accountId: string; challenge: string | undefined }

function createGrants({ redirectUri, now = Date.now, tokenLifeS = () => (7 * dayMs) / 1000 }: DiscordOptions) {
  const codes = keep<Grant>(1000, codeLifeMs, now)
  const accessTokens = keep<{ accountId: string }>(5000, 7 * dayMs, now)
  const refreshTokens = keep<{ accountId: string }>(5000, 30 * dayMs, now)

  function newCode(accountId: string, { challenge }: Authorization): string {
    const code = unguessable()
    codes.set(code, { accountId, challenge })
    return code
  }

  function newTokens(accountId: string) {
    const [accessToken, refreshToken, lifeS] = [unguessable(), unguessable(), tokenLifeS()]
    // A ttl of nought would mean for ever.
    accessTokens.set(accessToken, { accountId }, { ttl: Math.max(lifeS * 1000, 1) })
    refreshTokens.set(refreshToken, { accountId })
    return {
      token_type: 'Bearer',
      access_token: accessToken,
      expires_in: lifeS,
      refresh_token: refreshToken,
      scope: 'identify',
    }
  }

  function exchange({ code, redirect_uri: redirect, code_verifier: verifier }: Fields) {
    if (verifier !== undefined && !/^[\w.~-]{43,128}$/.test(verifier)) throw invalidVerifier()
    const grant = take(codes, code)
    if (grant === undefined || redirect !== redirectUri) {
      throw new Refusal(400, 'invalid_grant', 'Invalid "code" in request.')
    }
    if (grant.challenge !== undefined && verifier === undefined) {
      throw new Refusal(400, 'invalid_request', 'Missing "code_verifier"')
    }
    // A verifier where no challenge was sent is no less wrong: somebody took the challenge out of the request.
    if (verifier !== undefined && s256(verifier) !== grant.challenge) throw invalidVerifier()
    return newTokens(grant.accountId)
  }

  function refresh({ refresh_token: refreshToken }: Fields) {
    const grant = take(refreshTokens, refreshToken)
    if (grant === undefined) throw new Refusal(400, 'invalid_grant', 'Invalid "refresh_token" in request')
    return newTokens(grant.accountId)
  }

  /** Any one token of a visitor ends them all. */
  function revoke(token: string): void {
    const accountId = (accessTokens.get(token) ?? refreshTokens.get(token))?.accountId
    if (accountId !== undefined) revokeAll(accountId)
  }

  function revokeAll(accountId: string): void {
    for (const tokens of [accessTokens, refreshTokens]) {
      for (const [token, grant] of [...tokens.entries()]) if (grant.accountId === accountId) tokens.delete(token)
    }
  }

  const accountOf = (accessToken: string) => accessTokens.get(accessToken)?.accountId

  return { newCode, exchange, refresh, revoke, revokeAll, accountOf }
}
type Grants = ReturnType<typeof createGrants>

/** Taken out before it is judged: it counts once, right or wrong. */
function take<Kept extends object>(kept: LRUCache<string, Kept>, key = ''): Kept | undefined {
  const found = kept.get(key)
  kept.delete(key)
  return found
}

const s256 = (verifier: string) => createHash('sha256').update(verifier).digest('base64url')
const invalidVerifier = () => new Refusal(400, 'invalid_request', 'Invalid "code_verifier"')

// --- The authorize page ---

/** Browsers that were here, by the stand-in's cookie, and the account that agreed in each. */
type Browsers = LRUCache<string, { accountId?: string }>
type AuthorizeParts = { options: DiscordOptions; accounts: Account[]; grants: Grants; browsers: Browsers }

/** Judges the query of the authorize address: who it may go back to, and what it asks for. */
function createAuthorization({ options, accounts, grants }: Omit<AuthorizeParts, 'browsers'>) {
  /** Throws Refusal when the query does not come from the app: nobody may be sent anywhere then. */
  function checkApp(query: Record<string, unknown>): void {
    if (query.client_id !== options.clientId) throw new Refusal(400, 'Unknown application: "client_id" is not known.')
    if (query.redirect_uri !== options.redirectUri) throw new Refusal(400, 'Invalid OAuth2 "redirect_uri".')
  }

  function back(state: unknown, parameters: Record<string, string>): string {
    const url = new URL(options.redirectUri)
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
    if (typeof state === 'string') url.searchParams.set('state', state)
    url.searchParams.set('iss', issuer)
    return url.href
  }

  const backWithError = (state: unknown, error: string) =>
    back(state, { error, error_description: descriptions[error] ?? error })

  const agreed = (asked: Authorization, accountId: string) =>
    back(asked.state, { code: grants.newCode(accountId, asked) })

  const declined = (asked: Authorization) => backWithError(asked.state, 'access_denied')

  /** The button's work without its page; throws when Discord would show no page. */
  function agree(authorizeUrl: string, accountId: string): string {
    const query = readQuery(authorizeUrl)
    checkApp(query)
    if (!accounts.some(({ id }) => id === accountId)) throw new Refusal(400, 'Unknown account.')
    return agreed(Authorization.parse(query), accountId)
  }

  return { checkApp, backWithError, agreed, declined, agree }
}

/** The query as text says it: a parameter that is there twice is a list. The host may have set another parser. */
function readQuery(url: string): Record<string, unknown> {
  const query = new URLSearchParams(url.split('?').slice(1).join('?'))
  return Object.fromEntries(
    [...new Set(query.keys())].map((name) => {
      const values = query.getAll(name)
      return [name, values.length === 1 ? values[0] : values]
    }),
  )
}

function addAuthorizePages(
  router: Router,
  parts: AuthorizeParts,
  authorization: ReturnType<typeof createAuthorization>,
): void {
  const { accounts, browsers } = parts
  const requests = keep<{ asked: Authorization; browser: string }>(1000, 10 * minuteMs, parts.options.now ?? Date.now)

  const signedIn = (browser: string) => {
    const accountId = browsers.get(browser)?.accountId
    return accounts.find(({ id }) => id === accountId)
  }

  // An id that we never gave out is not taken over: it could have been planted.
  function browserOf(req: Request): string {
    const known = cookieOf(req)
    if (browsers.has(known)) return known
    const browser = unguessable()
    browsers.set(browser, {})
    return browser
  }

  router.get('/oauth2/authorize', (req, res) => {
    const query = readQuery(req.url)
    authorization.checkApp(query)
    const read = Authorization.safeParse(query)
    if (!read.success) {
      const error = read.error.issues[0]?.message ?? 'invalid_request'
      return res.redirect(authorization.backWithError(query.state, error))
    }
    const asked = read.data
    const agreedBefore = signedIn(cookieOf(req))
    if (asked.prompt === 'none' && agreedBefore) return res.redirect(authorization.agreed(asked, agreedBefore.id))

    const browser = browserOf(req)
    const request = unguessable()
    requests.set(request, { asked, browser })
    const path = req.baseUrl || '/'
    res.cookie(cookieName, browser, { path, httpOnly: true, sameSite: 'lax', secure: req.secure, maxAge: 30 * dayMs })
    res.render('demo/consent', {
      request,
      action: `${req.baseUrl}/oauth2/authorize`,
      accounts: accounts.map((account) => shown(account, req.baseUrl)),
      chosen: (agreedBefore ?? accounts[0])?.id,
    })
  })

  router.post('/oauth2/authorize', express.urlencoded({ extended: false, limit: '16kb' }), (req, res) => {
    const decision = Decision.safeParse(req.body)
    const browser = cookieOf(req)
    // Kept until its time is up: a second press of the button gives a second code, as it does at Discord.
    const request = requests.get(decision.data?.request ?? '')
    if (!decision.success || request === undefined || request.browser !== browser) {
      throw new Refusal(400, 'This page is too old, or was opened in another browser. Please go back and start again.')
    }
    if (decision.data.decision === 'decline') return res.redirect(303, authorization.declined(request.asked))
    const accountId = decision.data.account
    if (!accounts.some(({ id }) => id === accountId)) throw new Refusal(400, 'Unknown account.')
    browsers.set(browser, { accountId })
    return res.redirect(303, authorization.agreed(request.asked, accountId))
  })
}

/** An account as the page shows it. */
function shown({ id, username, globalName, discriminator, avatar }: Account, mountedAt: string) {
  const ofOurs = discriminator === '0' ? (BigInt(id) >> 22n) % 6n : BigInt(discriminator) % 5n
  const picture = avatar === null ? `embed/avatars/${ofOurs}.png` : `avatars/${id}/${avatar}.png?size=128`
  return { id, username, displayName: globalName ?? username, pictureUrl: `${mountedAt}/cdn/${picture}` }
}

function cookieOf(req: Request): string {
  const pairs = (req.get('cookie') ?? '').split(';').map((pair) => pair.trim())
  return pairs.find((pair) => pair.startsWith(`${cookieName}=`))?.slice(cookieName.length + 1) ?? ''
}

// A plain page, and never a redirect: the address to go back to is the very thing that is wrong.
const plainPage: ErrorRequestHandler = (error, _req, res, next) => {
  if (error instanceof Refusal) res.status(error.status).type('text/plain').send(error.message)
  else next(error)
}

// --- The API ---

function addApi(router: Router, options: DiscordOptions, accounts: Account[], grants: Grants): void {
  const api = express.Router()
  const grantTypes = new Map([
    ['authorization_code', grants.exchange],
    ['refresh_token', grants.refresh],
  ])
  const form: RequestHandler[] = [mustBeForm, express.urlencoded({ extended: false, limit: '16kb' })]
  api.use(refuseStrangers)

  api.post('/oauth2/token', ...form, (req, res) => {
    const fields = readFields(req)
    authenticate(req, fields, options)
    const { grant_type: type = 'None' } = fields
    const grant = grantTypes.get(type)
    if (grant === undefined) throw new Refusal(400, 'unsupported_grant_type', `Grant type ${type} is not supported`)
    res.json(grant(fields))
  })

  api.post('/oauth2/token/revoke', ...form, (req, res) => {
    const fields = readFields(req)
    authenticate(req, fields, options)
    if (!fields.token) throw new Refusal(400, 'invalid_request', 'Missing "token" in request.')
    grants.revoke(fields.token)
    res.json({})
  })

  api.get('/users/@me', (req, res) => {
    const accessToken = /^Bearer (\S+)$/i.exec(req.get('authorization') ?? '')?.[1] ?? ''
    const accountId = grants.accountOf(accessToken)
    const account = accounts.find(({ id }) => id === accountId)
    if (account === undefined) res.status(401).json(trouble(401, 'Unauthorized'))
    else res.json(userAnswer(account))
  })

  api.all(['/oauth2/token', '/oauth2/token/revoke', '/users/@me'], (_req, res) => {
    res.status(405).json(trouble(405, 'Method Not Allowed'))
  })
  router.use('/api/v10', api, answerRefusal)
  router.use('/api', (_req, res) => {
    res.status(404).json(trouble(404, 'Not Found'))
  })
}

const trouble = (status: number, words: string) => ({ message: `${status}: ${words}`, code: 0 })

// Cloudflare, in front of Discord, wants to hear a name, and no browser's.
const refuseStrangers: RequestHandler = (req, res, next) => {
  const userAgent = req.get('user-agent') ?? ''
  if (userAgent !== '' && !userAgent.startsWith('Mozilla/')) return next()
  res.status(403).json({ message: 'internal network error', code: 40333 })
}

const mustBeForm: RequestHandler = (req, _res, next) => {
  if (req.is('application/x-www-form-urlencoded')) return next()
  throw new Refusal(400, 'invalid_request', 'The request body must be form-encoded.')
}

function readFields(req: Request): Fields {
  const fields = Fields.safeParse(req.body)
  if (fields.success) return fields.data
  throw new Refusal(400, 'invalid_request', 'A parameter is there more than once.')
}

/** The client's id and secret: in the body or as Basic, RFC 6749 2.3.1, not both. */
function authenticate(req: Request, fields: Fields, { clientId, clientSecret }: DiscordOptions): void {
  const basic = basicCredentials(req.get('authorization'))
  if (basic !== undefined && fields.client_secret !== undefined) {
    throw new Refusal(400, 'invalid_request', 'The client has authenticated in two ways.')
  }
  const [id = fields.client_id, secret = fields.client_secret] = basic ?? []
  const named = fields.client_id ?? id
  if (id !== clientId || named !== clientId || secret !== clientSecret) throw new Refusal(401, 'invalid_client')
}

function basicCredentials(authorization = ''): string[] | undefined {
  const encoded = /^Basic (\S+)$/i.exec(authorization)?.[1]
  if (encoded === undefined) return undefined
  // Each of the two is form-encoded before they are joined; read as a form's value, nothing in it can throw.
  const [id = '', secret = ''] = Buffer.from(encoded, 'base64').toString('utf8').split(':')
  return [formDecoded(id), formDecoded(secret)]
}

const formDecoded = (text: string) => new URLSearchParams(`text=${text}`).get('text') ?? ''

const answerRefusal: ErrorRequestHandler = (error, _req, res, next) => {
  const refusal = error instanceof Refusal ? error : refusalOfBody(error)
  if (refusal === undefined) return next(error)
  const { status, error: name, description } = refusal
  res.status(status).json(description === undefined ? { error: name } : { error: name, error_description: description })
}

// The body's parser names a status of its own; anything else is a fault of ours, and told to the host.
function refusalOfBody(error: unknown): Refusal | undefined {
  const status = z.object({ status: z.int().min(400).max(499) }).safeParse(error).data?.status
  return status === undefined ? undefined : new Refusal(status, 'invalid_request', 'The request body is unreadable.')
}

function userAnswer({ id, username, globalName, discriminator, avatar }: Account) {
  return {
    id,
    username,
    global_name: globalName,
    discriminator,
    avatar,
    public_flags: 0,
    flags: 0,
    banner: null,
    accent_color: null,
    avatar_decoration_data: null,
    collectibles: null,
    primary_guild: null,
    mfa_enabled: false,
    locale: 'en-GB',
    premium_type: 0,
  }
}

// --- Pictures ---

const pictureSizes = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096].map(String)

function addPictures(router: Router, accounts: Account[]): void {
  router.get('/cdn/avatars/:id/:file', async (req, res, next) => {
    const [, hash, ending] = /^(\w+)\.(png|jpg|webp|gif)$/.exec(req.params.file) ?? []
    const account = accounts.find(({ id }) => id === req.params.id)
    if (account === undefined || hash === undefined || hash !== account.avatar) return next()
    const { size = '128' } = readQuery(req.url)
    if (!pictureSizes.includes(String(size))) throw new Refusal(400, 'Invalid size.')
    if (ending === 'gif' && !hash.startsWith('a_')) throw new Refusal(415, 'This picture does not move.')
    res.setHeader('Cache-Control', 'public, max-age=31536000')
    sendSvg(res, await drawPicture(account.pictureStyle ?? 'thumbs', hash))
  })

  router.get('/cdn/embed/avatars/:file', async (req, res, next) => {
    if (!/^[0-5]\.png$/.test(req.params.file)) return next()
    res.setHeader('Cache-Control', 'public, max-age=31536000')
    sendSvg(res, await drawPicture('shapes', req.params.file))
  })

  router.use('/cdn', (_req, res) => {
    res.status(404).type('text/plain').send('Not found.')
  })
}

/**
 * A stand-in for Discord that speaks its HTTP protocol and holds to its rules. Mounted at `/demo/discord` its addresses
 * are `/demo/discord/oauth2/authorize`, `/demo/discord/api/v10` and `/demo/discord/cdn`. The host renders the view
 * `demo/consent`.
 */
export function standInDiscord(options: DiscordOptions): StandInDiscord {
  const accounts = options.accounts ?? demoAccounts
  const grants = createGrants(options)
  const browsers: Browsers = keep(2000, 30 * dayMs, options.now ?? Date.now)
  const parts = { options, accounts, grants, browsers }
  const authorization = createAuthorization(parts)
  const router = express.Router({ caseSensitive: true })
  router.use(['/oauth2', '/api'], (_req, res, next) => {
    res.setHeader('Cache-Control', 'no-store')
    next()
  })
  addAuthorizePages(router, parts, authorization)
  addApi(router, options, accounts, grants)
  addPictures(router, accounts)
  router.use(plainPage)

  function deauthorize(accountId: string): void {
    grants.revokeAll(accountId)
    for (const browser of browsers.values()) if (browser.accountId === accountId) delete browser.accountId
  }
  return { router, accounts, agree: authorization.agree, deauthorize }
}

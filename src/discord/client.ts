import { hash } from 'node:crypto'
import { z } from 'zod'
import {
  CircuitOpen,
  DiscordCircuitOpen,
  DiscordRefusedClient,
  DiscordTimeout,
  DiscordUnavailable,
  GrantRefused,
  TokenRefused,
  UpstreamRateLimited,
  UpstreamTimeout,
} from '../errors.ts'
import { type CallOptions, headerOf, type UpstreamRequest, type UpstreamResponse } from '../upstream/call.ts'
import { createUpstream, type Observers } from '../upstream/upstream.ts'
import type { Gate, Gates } from './gates.ts'

/** Discord's issuer identifier (RFC 9207): the only `iss` that a callback may carry. */
export const issuer = 'https://discord.com'

const maxResponseBytes = 64 * 1024

/** Without control characters or halves of surrogate pairs: names are shown in pages and sent to DiceBear. */
const Name = z
  .string()
  .max(200)
  .transform((name) =>
    name
      .toWellFormed()
      .replace(/\p{Cc}+/gu, ' ')
      .trim(),
  )

/** A character that shows something: no space, no control or format character, no filler, no blank Braille pattern. */
const visible = /[^\p{Z}\p{C}\p{Default_Ignorable_Code_Point}\u2800]/u

/**
 * The fields that we use of Discord's user object. Only id and username decide a sign-in: without a good value the
 * other fields count as absent. https://discord.com/developers/docs/resources/user
 */
const UserResponse = z
  .object({
    id: z.string().regex(/^\d{1,20}$/),
    username: Name.pipe(z.string().min(1)),
    global_name: Name.pipe(z.string().regex(visible)).optional().catch(undefined),
    discriminator: z
      .string()
      .regex(/^\d{1,4}$/)
      .catch('0'),
    avatar: z
      .string()
      .regex(/^\w{1,100}$/)
      .optional()
      .catch(undefined),
  })
  .transform(({ global_name: globalName, ...user }) => ({ ...user, globalName }))

/** A Discord user as a session stores it: what pages show, and no more. */
export const User = z.object({
  id: z.string(),
  username: z.string(),
  globalName: z.string().optional(),
  /** '0', or four digits in old accounts. */
  discriminator: z.string(),
  /** Hash of the present picture. */
  avatar: z.string().optional(),
})
export type User = z.infer<typeof User>

/** Discord's tokens in plain text: never stored or logged like this. */
export const Tokens = z.object({
  accessToken: z.string(),
  /** Discord always sends one; RFC 6749 makes it optional. */
  refreshToken: z.string().optional(),
  /** When the access token expires, in milliseconds since 1970. */
  expiresAt: z.number(),
})
export type Tokens = z.infer<typeof Tokens>

/** The scopes granted: Discord may grant more than `identify`. Without the field they are those that were asked for. */
const Scope = z
  .string()
  .default('identify')
  .refine((scope) => scope.split(' ').includes('identify'))

/**
 * The token response of RFC 6749, 5.1. Other fields are ignored, as it demands; an unasked `id_token` is one of them.
 */
const TokenResponse = z
  .object({
    access_token: z.string().min(1),
    token_type: z.string().regex(/^bearer$/i),
    expires_in: z.coerce.number().positive().max(1e9),
    refresh_token: z.string().min(1).optional(),
    scope: Scope,
  })
  .transform((tokens) => ({
    accessToken: tokens.access_token,
    ...(tokens.refresh_token && { refreshToken: tokens.refresh_token }),
    expiresAt: Date.now() + tokens.expires_in * 1000,
  }))

/** The error response of RFC 6749, 5.2. */
const ErrorResponse = z.object({ error: z.string().optional() }).catch({})

/** The body of a 429. Fields that are missing or malformed count as absent. */
const RateLimitResponse = z
  .object({
    retry_after: z.number().nonnegative().optional().catch(undefined),
    global: z.boolean().optional().catch(undefined),
  })
  .catch({})

/**
 * Only timeouts count: a refused connection or a 5xx delays a visitor hardly at all, and may be over the next moment.
 * The pause is short because visitors are refused while it lasts.
 */
const breaker = { failures: 5, pauseMs: 2000, isFailure: (error: unknown) => error instanceof UpstreamTimeout }

type DiscordOptions = Observers &
  Omit<CallOptions, 'maxBytes'> & {
    clientId: string
    clientSecret: string
    apiUrl: string
    authorizeUrl: string
    redirectUri: string
    userAgent: string
    gates: Gates
  }

/**
 * A client of Discord's OAuth2 (RFC 6749 with PKCE, RFC 7636) and user endpoints.
 * https://discord.com/developers/docs/topics/oauth2
 *
 * A `deadline` is when the visitor must have an answer, by `performance.now()`. Each request may throw
 * DiscordUnavailable, DiscordTimeout, DiscordRateLimited, DiscordRefusedClient or StoreUnavailable.
 */
export function createDiscord(options: DiscordOptions) {
  const { clientId, clientSecret, apiUrl, redirectUri, userAgent, gates } = options
  const { connections, timeoutMs, onCall, onBreaker } = options
  const calls = { connections, timeoutMs, maxBytes: maxResponseBytes, onCall, onBreaker }
  // Each endpoint is a service of its own and may fail alone. A revocation has no breaker: nobody waits long for it.
  const upstreams = {
    token: createUpstream({ ...calls, name: 'discord-token', breaker }),
    user: createUpstream({ ...calls, name: 'discord-user', breaker }),
    revoke: createUpstream({ ...calls, name: 'discord-revoke' }),
  }
  const urls = {
    token: `${apiUrl}/oauth2/token`,
    user: `${apiUrl}/users/@me`,
    revoke: `${apiUrl}/oauth2/token/revoke`,
  }

  /** The address where a visitor signs in and agrees (RFC 6749, 4.1.1). The verifier is PKCE's. */
  function authorizeUrl(state: string, verifier: string, prompt: 'none' | 'consent'): string {
    const url = new URL(options.authorizeUrl)
    url.search = new URLSearchParams({
      response_type: 'code',
      client_id: clientId,
      scope: 'identify',
      redirect_uri: redirectUri,
      state,
      prompt,
      // RFC 7636, 4.2
      code_challenge: hash('sha256', verifier, 'base64url'),
      code_challenge_method: 'S256',
    }).toString()
    return url.href
  }

  /**
   * Exchanges an authorization code for tokens (RFC 6749, 4.1.3, and RFC 7636, 4.5). Throws GrantRefused when Discord
   * does not accept the code.
   */
  async function exchangeCode(code: string, verifier: string, deadline?: number): Promise<Tokens> {
    await gates.check(['sign-in', 'token'])
    return requestTokens(
      { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier },
      deadline,
    )
  }

  /**
   * Refreshes the tokens (RFC 6749, 6); the old refresh token is dead afterwards. Throws GrantRefused when Discord does
   * not accept it.
   */
  async function refresh(refreshToken: string, deadline?: number): Promise<Tokens> {
    await gates.check(['token'])
    const tokens = await requestTokens({ grant_type: 'refresh_token', refresh_token: refreshToken }, deadline)
    // A response without a new refresh token means that the old one stays good.
    return { refreshToken, ...tokens }
  }

  /** Ends all tokens of the visitor to whom this one belongs (RFC 7009). */
  async function revoke(token: string): Promise<void> {
    await gates.check(['revoke'])
    await post('revoke', { token })
  }

  /**
   * The user to whom an access token belongs. Discord limits this route per user; `visitor` is the key of that limit.
   * With `isNew` it is not checked, because no 429 can have closed it. Throws TokenRefused when Discord does not accept
   * the token.
   */
  async function fetchUser(
    accessToken: string,
    visitor: string,
    { deadline, isNew = false }: { deadline?: number; isNew?: boolean } = {},
  ): Promise<User> {
    const gate: Gate = `user:${visitor}`
    if (!isNew) await gates.check([gate], accessToken)
    const headers = { authorization: `Bearer ${accessToken}` }
    const response = await request('user', gate, { headers, deadline })
    if (response.status === 401) {
      await gates.refuse(accessToken)
      throw new TokenRefused('Discord does not accept the access token')
    }
    if (response.status >= 400) throw new DiscordRefusedClient(`users/@me answered ${response.status}`)
    const user = UserResponse.safeParse(response.status === 200 ? readJson(response) : undefined)
    if (!user.success) throw new DiscordUnavailable(`users/@me sent no user (${response.status})`)
    return user.data
  }

  async function requestTokens(fields: Record<string, string>, deadline: number | undefined): Promise<Tokens> {
    const response = await post('token', fields, deadline)
    const tokens = TokenResponse.safeParse(readJson(response))
    if (!tokens.success) throw new DiscordUnavailable('the token endpoint sent no usable tokens')
    return tokens.data
  }

  /** Posts a form with the client's credentials (RFC 6749, 2.3.1); the response returned is a 200. */
  async function post(endpoint: 'token' | 'revoke', fields: Record<string, string>, deadline?: number) {
    const form = new URLSearchParams({ client_id: clientId, client_secret: clientSecret, ...fields })
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const response = await request(endpoint, endpoint, { method: 'POST', headers, body: form.toString(), deadline })
    const { status } = response
    if (status === 200) return response
    if (status < 400) throw new DiscordUnavailable(`the ${endpoint} endpoint answered ${status}`)
    const { error } = ErrorResponse.parse(readJson(response))
    if (status === 400 && (error === 'invalid_grant' || error === 'invalid_request')) {
      throw new GrantRefused(`the ${endpoint} endpoint answered ${error}`)
    }
    const hint = error === 'invalid_client' ? ', invalid_client: check client id and secret' : ''
    throw new DiscordRefusedClient(`the ${endpoint} endpoint answered ${status}${hint}`)
  }

  /** One request; a 429 closes the gate for the time that it names, and invalid requests are counted. */
  async function request(endpoint: keyof typeof urls, gate: Gate, details: UpstreamRequest): Promise<UpstreamResponse> {
    const headers = { ...details.headers, accept: 'application/json', 'user-agent': userAgent }
    try {
      const response = await upstreams[endpoint](urls[endpoint], { ...details, headers })
      if (response.status === 401 || response.status === 403) await gates.countInvalid()
      return response
    } catch (cause) {
      if (cause instanceof UpstreamRateLimited) {
        await gates.countInvalid()
        const { waitS, isGlobal } = readRateLimit(cause)
        throw await gates.close(isGlobal ? 'everywhere' : gate, waitS)
      }
      const where = `at the ${endpoint} endpoint`
      if (cause instanceof CircuitOpen) throw new DiscordCircuitOpen(where, { cause })
      if (cause instanceof UpstreamTimeout) throw new DiscordTimeout(where, { cause })
      throw new DiscordUnavailable(where, { cause })
    }
  }

  return { authorizeUrl, checkSignIn: gates.checkSignIn, exchangeCode, refresh, revoke, fetchUser }
}
export type Discord = ReturnType<typeof createDiscord>

/** The body as JSON, or undefined: a 429 may be plain text, and a 5xx an HTML page from Cloudflare. */
function readJson(response: Pick<UpstreamResponse, 'headers' | 'body'>): unknown {
  // With the suffix of RFC 6839 too, such as application/problem+json.
  if (!/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(headerOf(response, 'content-type'))) return undefined
  try {
    // TextDecoder drops a byte order mark, which JSON.parse would refuse.
    return JSON.parse(new TextDecoder().decode(response.body))
  } catch {
    return undefined
  }
}

/** Used when a 429 has no Retry-After. */
const defaultWaitS = 60
const maxWaitS = 3600

/**
 * How long to wait, by the larger of header and body, and whether the limit is for all endpoints.
 * https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit
 */
function readRateLimit({ response, retryAfterS = 0 }: UpstreamRateLimited): { waitS: number; isGlobal: boolean } {
  const { retry_after: bodyS = 0, global } = RateLimitResponse.parse(readJson(response))
  const header = (name: string) => headerOf(response, `x-ratelimit-${name}`)
  return {
    waitS: Math.min(Math.ceil(Math.max(bodyS, retryAfterS)) || defaultWaitS, maxWaitS),
    isGlobal: global === true || header('global') === 'true' || header('scope') === 'global',
  }
}

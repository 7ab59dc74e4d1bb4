import { hash } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import type { Dispatcher } from 'undici'
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
import {
  type Answer,
  type BreakerOptions,
  createUpstream,
  headerOf,
  type Observers,
  type Question,
  type Upstream,
} from '../upstream/upstream.ts'
import type { Gate, Gates } from './gates.ts'

/** Discord's issuer identifier, RFC 9207; the only `iss` that we take. */
export const issuer = 'https://discord.com'

const maxAnswerBytes = 64 * 1024

/** Without control characters: the pages put some in places of their own. */
const Name = z
  .string()
  .max(200)
  .transform((name) => name.replace(/\p{Cc}+/gu, ' ').trim())

const UserAnswer = z
  .object({
    id: z.string().regex(/^\d{1,20}$/),
    username: Name.pipe(z.string().min(1)),
    global_name: Name.nullish(),
    discriminator: z.string().max(10).nullish(),
    avatar: z
      .string()
      .regex(/^\w{1,100}$/)
      .nullish(),
  })
  .transform((answer) => ({
    id: answer.id,
    username: answer.username,
    globalName: answer.global_name || undefined,
    discriminator: answer.discriminator ?? '0',
    avatar: answer.avatar ?? undefined,
  }))

/** A Discord user as we keep one: what is shown, and no more. */
export const User = z.object({
  id: z.string(),
  username: z.string(),
  globalName: z.string().optional(),
  discriminator: z.string(),
  /** Hash of the present picture. */
  avatar: z.string().optional(),
})
export type User = z.infer<typeof User>

/** Discord's tokens, in the clear: never stored or logged like this. */
export const Tokens = z.object({
  accessToken: z.string(),
  /** Discord always gives one; RFC 6749 lets a server leave it out. */
  refreshToken: z.string().optional(),
  /** When the access token ends, milliseconds since 1970. */
  expiresAt: z.number(),
})
export type Tokens = z.infer<typeof Tokens>

/** The body of a 429. What cannot be read is as if it were not there. */
const Busy = z
  .object({
    retry_after: z.number().nonnegative().optional().catch(undefined),
    global: z.boolean().optional().catch(undefined),
  })
  .catch({})
const OAuthError = z.object({ error: z.string() })

/**
 * Only waiting is spared: a refused connection or a 5xx costs a visitor next to nothing, and may be gone the next moment.
 * The token and the user address are other services behind one name, so each has a breaker of its own; nobody waits long
 * for a revocation, and it has none.
 */
const breaker: BreakerOptions = {
  failures: 5,
  // Short: one visitor tries, and the others go on being spared meanwhile.
  pauseMs: 2000,
  opensOn: (error) => error instanceof UpstreamTimeout,
}

type DiscordOptions = Observers & {
  clientId: string
  clientSecret: string
  apiUrl: string
  authorizeUrl: string
  redirectUri: string
  userAgent: string
  timeoutMs: number
  dispatcher: Dispatcher
  gates: Gates
}

/**
 * Discord's OAuth2 (RFC 6749, PKCE of RFC 7636, `iss` of RFC 9207) and its user address.
 * https://discord.com/developers/docs/topics/oauth2
 *
 * `until` is when the visitor has waited long enough, by `performance.now()`.
 * Every call throws DiscordUnavailable, DiscordTimeout, DiscordRateLimited or DiscordRefusedClient; what else it throws is said beside it.
 */
export function createDiscord(options: DiscordOptions) {
  const { clientId, apiUrl, redirectUri, userAgent, gates } = options
  const server: oauth.AuthorizationServer = {
    issuer,
    authorization_endpoint: options.authorizeUrl,
    token_endpoint: `${apiUrl}/oauth2/token`,
    revocation_endpoint: `${apiUrl}/oauth2/token/revoke`,
  }
  const client: oauth.Client = { client_id: clientId }
  const clientAuth = oauth.ClientSecretPost(options.clientSecret)
  const { timeoutMs, dispatcher, onCall, onBreaker } = options
  const calls = { timeoutMs, dispatcher, onCall, onBreaker, maxBytes: maxAnswerBytes }
  const ways = {
    token: createUpstream({ ...calls, name: 'discord-token', breaker }),
    user: createUpstream({ ...calls, name: 'discord-user', breaker }),
    revoke: createUpstream({ ...calls, name: 'discord-revoke' }),
  }

  /** Where the visitor is sent to sign in. */
  function authorizeUrl(state: string, verifier: string, prompt: 'none' | 'consent'): string {
    const url = new URL(options.authorizeUrl)
    url.search = new URLSearchParams({
      response_type: 'code',
      client_id: clientId,
      scope: 'identify',
      redirect_uri: redirectUri,
      state,
      prompt,
      // RFC 7636, 4.2. The library's goes by way of another thread.
      code_challenge: hash('sha256', verifier, 'base64url'),
      code_challenge_method: 'S256',
    }).toString()
    return url.href
  }

  /** Authorization code -> tokens. Throws GrantRefused when Discord does not take the code. */
  async function exchangeCode(code: string, state: string, verifier: string, until?: number): Promise<Tokens> {
    const callback = oauth.validateAuthResponse(server, client, new URLSearchParams({ code, state }), state)
    const answer = await tokenCall('token', until, (request) =>
      oauth.authorizationCodeGrantRequest(server, client, clientAuth, callback, redirectUri, verifier, request),
    )
    return readTokens(() => oauth.processAuthorizationCodeResponse(server, client, answer))
  }

  /** Refresh token -> new tokens; the old refresh token is dead then. Throws GrantRefused when it was already. */
  async function refresh(refreshToken: string, until?: number): Promise<Tokens> {
    const answer = await tokenCall('token', until, (request) =>
      oauth.refreshTokenGrantRequest(server, client, clientAuth, refreshToken, request),
    )
    // A server that gives no new one means the old one to stay (RFC 6749, 6).
    return { refreshToken, ...(await readTokens(() => oauth.processRefreshTokenResponse(server, client, answer))) }
  }

  /** Ends all tokens that this visitor has given us. */
  async function revoke(token: string): Promise<void> {
    await tokenCall('revoke', undefined, (request) =>
      oauth.revocationRequest(server, client, clientAuth, token, request),
    )
  }

  /**
   * Access token -> user. `visitor` is who is counted by Discord; for one who `isNew` no gate can be shut yet. Throws
   * TokenRefused when the token is not taken.
   */
  async function fetchUser(
    accessToken: string,
    visitor: string,
    { until, isNew = false }: { until?: number; isNew?: boolean } = {},
  ): Promise<User> {
    const gate: Gate = `user:${visitor}`
    if (!isNew) await gates.pass(gate)
    const headers = { authorization: `Bearer ${accessToken}`, accept: 'application/json' }
    const answer = await askDiscord(ways.user, gate, `${apiUrl}/users/@me`, { headers, until })
    if (answer.status === 401) throw new TokenRefused('Discord does not take the access token')
    if (answer.status >= 400) throw new DiscordRefusedClient(`users/@me answered ${answer.status}`)
    const user = UserAnswer.safeParse(answer.status === 200 ? readJson(answer) : undefined)
    if (!user.success) throw new DiscordUnavailable(`users/@me gave no user (${answer.status})`)
    return user.data
  }

  /** One call to the token or revoke address; what comes back is a 200. */
  async function tokenCall(
    to: 'token' | 'revoke',
    until: number | undefined,
    send: (request: oauth.TokenEndpointRequestOptions) => Promise<Response>,
  ): Promise<Response> {
    await gates.pass(to)
    let answer: Answer | undefined
    const response = await send({
      [oauth.allowInsecureRequests]: apiUrl.startsWith('http:'),
      [oauth.customFetch]: async (url: string, { method, headers, body }) => {
        answer = await askDiscord(ways[to], to, url, { method, headers, body: String(body), until })
        return new Response(bodyFor(answer), {
          status: answer.status,
          headers: { 'content-type': headerOf(answer, 'content-type') },
        })
      },
    })
    // oauth4webapi takes whatever can be parsed, a page or a text too.
    if (to === 'token' && answer?.status === 200 && !isJson(answer))
      throw new DiscordUnavailable('the token address sent no JSON')
    if (answer === undefined || answer.status === 200) return response
    if (answer.status < 400) throw new DiscordUnavailable(`the token address answered ${answer.status}`)
    const refused = OAuthError.safeParse(readJson(answer)).data?.error
    if (answer.status === 400 && (refused === 'invalid_grant' || refused === 'invalid_request')) {
      throw new GrantRefused(`the token address answered ${refused}`)
    }
    throw new DiscordRefusedClient(
      `the token address answered ${answer.status}${refused === 'invalid_client' ? ', invalid_client: check client id and secret' : ''}`,
    )
  }

  async function readTokens(read: () => Promise<oauth.TokenEndpointResponse>): Promise<Tokens> {
    const reply = await read().catch((cause) => {
      throw new DiscordUnavailable('the token address gave no tokens', { cause })
    })
    const { access_token: accessToken, refresh_token: refreshToken, expires_in: expiresInS, scope } = reply
    // Discord may grant more scopes than were asked for, never fewer.
    const identifies = scope === undefined || scope.split(' ').includes('identify')
    const expiresAt = Date.now() + (expiresInS ?? 0) * 1000
    if (!expiresInS || !Number.isFinite(expiresAt) || !identifies || reply.token_type !== 'bearer') {
      throw new DiscordUnavailable('the token address gave tokens of no use')
    }
    return { accessToken, ...(refreshToken && { refreshToken }), expiresAt }
  }

  /** One call; a 429 shuts its gate. */
  async function askDiscord(ask: Upstream, gate: Gate, url: string, question: Question): Promise<Answer> {
    const headers = { ...question.headers, 'user-agent': userAgent }
    try {
      return await ask(url, { ...question, headers })
    } catch (cause) {
      if (cause instanceof UpstreamRateLimited) {
        const { waitS, isGlobal } = limitIn(cause)
        throw await gates.shut(isGlobal ? 'everywhere' : gate, waitS)
      }
      const { pathname } = new URL(url)
      if (cause instanceof CircuitOpen) throw new DiscordCircuitOpen(pathname, { cause })
      if (cause instanceof UpstreamTimeout) throw new DiscordTimeout(pathname, { cause })
      throw new DiscordUnavailable(pathname, { cause })
    }
  }

  return { authorizeUrl, exchangeCode, refresh, revoke, fetchUser }
}

export type Discord = ReturnType<typeof createDiscord>

// Status first, then content type, then parse: a 429 may be plain text, an error a page of Cloudflare's.
function readJson(answer: Pick<Answer, 'headers' | 'body'>): unknown {
  if (!isJson(answer)) return undefined
  try {
    return JSON.parse(new TextDecoder().decode(answer.body))
  } catch {
    return undefined
  }
}

/** application/json, and what is JSON by its ending, such as application/problem+json (RFC 6839). */
const isJson = (answer: Pick<Answer, 'headers'>) =>
  /^application\/([\w.-]+\+)?json\s*(;|$)/i.test(headerOf(answer, 'content-type'))

/** Where Discord names no time. */
const defaultWaitS = 60
const longestWaitS = 3600

/** What a 429 says: for how long, by the larger of header and body, and whether it is for every address. */
function limitIn({ answer, retryAfterS = 0 }: UpstreamRateLimited): { waitS: number; isGlobal: boolean } {
  const { retry_after: namedS = 0, global } = Busy.parse(readJson(answer))
  const told = (name: string) => headerOf(answer, `x-ratelimit-${name}`)
  return {
    waitS: Math.min(Math.ceil(Math.max(namedS, retryAfterS)) || defaultWaitS, longestWaitS),
    isGlobal: global === true || told('global') === 'true' || told('scope') === 'global',
  }
}

const bodyFor = (answer: Answer) => ([204, 205, 304].includes(answer.status) ? null : new Uint8Array(answer.body))

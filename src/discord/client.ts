import { hash } from 'node:crypto'
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
import type { CallOptions, UpstreamRequest, UpstreamResponse } from '../upstream/call.ts'
import { createUpstream, type Observers } from '../upstream/upstream.ts'
import type { Bucket, DiscordLimits } from './rate-limits.ts'
import { ErrorResponse, readJsonBody, readRateLimit, TokenResponse, type Tokens } from './responses.ts'
import { type User, UserResponse } from './user.ts'

/** Discord's issuer identifier, the only value that a callback's parameter `iss` may have (RFC 9207). */
export const issuer = 'https://discord.com'

const maxResponseBytes = 64 * 1024

/**
 * Only timeouts open the circuit. A refused connection or a 5xx costs a visitor almost no time, and the next call may
 * succeed; a 429 is remembered by `limits`. The pause is short, because visitors get an error page while it lasts.
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
    limits: DiscordLimits
  }

/**
 * A client of Discord's OAuth2 (RFC 6749 with PKCE, RFC 7636) and user endpoints.
 * https://discord.com/developers/docs/topics/oauth2
 *
 * A `deadline` is when the visitor must have an answer, by `performance.now()`. Each request may throw
 * DiscordUnavailable, DiscordTimeout, DiscordRateLimited, DiscordRefusedClient or StoreUnavailable.
 */
export function createDiscord(options: DiscordOptions) {
  const { clientId, clientSecret, apiUrl, redirectUri, userAgent, limits } = options
  const { connections, timeoutMs, onCall, onBreaker } = options
  const calls = { connections, timeoutMs, maxBytes: maxResponseBytes, onCall, onBreaker }
  // Each endpoint can fail alone, so each has its own breaker. Revocations have none: no visitor waits long for them.
  const endpoints = {
    token: { url: `${apiUrl}/oauth2/token`, call: createUpstream({ ...calls, name: 'discord-token', breaker }) },
    user: { url: `${apiUrl}/users/@me`, call: createUpstream({ ...calls, name: 'discord-user', breaker }) },
    revoke: { url: `${apiUrl}/oauth2/token/revoke`, call: createUpstream({ ...calls, name: 'discord-revoke' }) },
  }

  /** The address at which the visitor signs in and agrees (RFC 6749, 4.1.1). `verifier` is PKCE's code verifier. */
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

  /** Exchanges an authorization code (RFC 6749, 4.1.3; RFC 7636, 4.5). Throws GrantRefused if Discord refuses it. */
  async function exchangeCode(code: string, verifier: string, deadline: number): Promise<Tokens> {
    await limits.check(['sign-in', 'token'])
    const grant = { grant_type: 'authorization_code', code, redirect_uri: redirectUri, code_verifier: verifier }
    return requestTokens(grant, deadline)
  }

  /**
   * Refreshes tokens (RFC 6749, 6); a refresh token can be used once. Nothing is sent while the limit of the user
   * endpoint is reached, because the new tokens could not be used. Throws GrantRefused if Discord refuses the token.
   */
  async function refresh(refreshToken: string, limitKey: string, deadline: number): Promise<Tokens> {
    await limits.check(['token', `user:${limitKey}`])
    const tokens = await requestTokens({ grant_type: 'refresh_token', refresh_token: refreshToken }, deadline)
    // If the response has no new refresh token, the old one stays valid (RFC 6749, 6).
    return { refreshToken, ...tokens }
  }

  /** Revokes a token (RFC 7009). Discord then revokes all tokens that this app has of the same user. */
  async function revoke(token: string): Promise<void> {
    await limits.check(['revoke'])
    await post('revoke', { token })
  }

  /**
   * The user of an access token. `limitKey` identifies the user in Discord's limit of this endpoint. `isNew` says that
   * the token was just issued to a visitor who is not known yet. The limit cannot have been reached then, so it is not
   * checked, which saves a Redis command. Throws TokenRefused if Discord refuses the token.
   */
  async function fetchUser(accessToken: string, limitKey: string, deadline: number, isNew: boolean): Promise<User> {
    const bucket: Bucket = `user:${limitKey}`
    if (!isNew) await limits.check([bucket], accessToken)
    const headers = { authorization: `Bearer ${accessToken}` }
    const response = await request('user', bucket, { headers, deadline }, accessToken)
    if (response.status === 401) throw new TokenRefused('Discord does not accept the access token')
    if (response.status >= 400) throw new DiscordRefusedClient(`users/@me answered ${response.status}`)
    const user = UserResponse.safeParse(response.status === 200 ? readJsonBody(response) : undefined)
    if (!user.success) throw new DiscordUnavailable(`users/@me sent no user (${response.status})`)
    return user.data
  }

  async function requestTokens(fields: Record<string, string>, deadline: number): Promise<Tokens> {
    const response = await post('token', fields, deadline)
    const tokens = TokenResponse.safeParse(readJsonBody(response))
    if (!tokens.success) throw new DiscordUnavailable('the token endpoint sent no usable tokens')
    return tokens.data
  }

  /** Posts a form with the client credentials (RFC 6749, 2.3.1). Throws unless the status is 200. */
  async function post(endpoint: 'token' | 'revoke', fields: Record<string, string>, deadline?: number) {
    const form = new URLSearchParams({ client_id: clientId, client_secret: clientSecret, ...fields })
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const response = await request(endpoint, endpoint, { method: 'POST', headers, body: form.toString(), deadline })
    const { status } = response
    if (status === 200) return response
    if (status < 400) throw new DiscordUnavailable(`the ${endpoint} endpoint answered ${status}`)
    const { error } = ErrorResponse.parse(readJsonBody(response))
    if (status === 400 && (error === 'invalid_grant' || error === 'invalid_request')) {
      throw new GrantRefused(`the ${endpoint} endpoint answered ${error}`)
    }
    const hint = error === 'invalid_client' ? ', invalid_client: check client id and secret' : ''
    throw new DiscordRefusedClient(`the ${endpoint} endpoint answered ${status}${hint}`)
  }

  /** Makes one request, and reports a 401, 403 or 429 to `limits`. */
  async function request(
    endpoint: keyof typeof endpoints,
    bucket: Bucket,
    details: UpstreamRequest,
    accessToken?: string,
  ): Promise<UpstreamResponse> {
    const response = await send(endpoint, bucket, details)
    const { status } = response
    if (status === 401 || status === 403) await limits.recordInvalid(status === 401 ? accessToken : undefined)
    return response
  }

  async function send(endpoint: keyof typeof endpoints, bucket: Bucket, details: UpstreamRequest) {
    const { url, call } = endpoints[endpoint]
    const headers = { ...details.headers, accept: 'application/json', 'user-agent': userAgent }
    try {
      return await call(url, { ...details, headers })
    } catch (cause) {
      if (cause instanceof UpstreamRateLimited) {
        const { waitS, isGlobal } = readRateLimit(cause)
        throw await limits.limit(isGlobal ? 'everywhere' : bucket, waitS)
      }
      const where = `at the ${endpoint} endpoint`
      if (cause instanceof CircuitOpen) throw new DiscordCircuitOpen(where, { cause })
      if (cause instanceof UpstreamTimeout) throw new DiscordTimeout(where, { cause })
      throw new DiscordUnavailable(where, { cause })
    }
  }

  return { authorizeUrl, checkSignIn: limits.checkSignIn, exchangeCode, refresh, revoke, fetchUser }
}
export type Discord = ReturnType<typeof createDiscord>

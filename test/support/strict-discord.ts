import type { Request, RequestHandler, Response } from 'express'
import { z } from 'zod'
import type { DiscordOptions } from '../../src/demo/discord.ts'

/**
 * Refuses each request that Discord would refuse, or that violates the RFCs, before the demo's stand-in sees it. It is
 * stricter than Discord in two points: PKCE is required, and unknown fields are refused.
 */
export function strictDiscord(options: DiscordOptions): RequestHandler {
  const authorization = authorizationOf(options)
  return (req, res, next) => {
    const problem = problemWith(req, authorization)
    if (problem === undefined) next()
    else refuse(req, res, problem)
  }
}

/** Throws if Discord would not show its page at this authorize address. */
export function checkAuthorizeUrl(url: string, options: DiscordOptions): void {
  authorizationOf(options).parse(single(new URL(url).searchParams))
}

type Problem = { status: number; error: string; description?: string }

function refuse(req: Request, res: Response, { status, error, description }: Problem): void {
  if (req.path === '/oauth2/authorize') res.status(status).type('text/plain').send(`${error}: ${description}`)
  else if (status === 403) res.status(403).json({ message: 'internal network error', code: 40_333 })
  else res.status(status).json({ error, error_description: description })
}

/** RFC 6749, 4.1.1, and RFC 7636, 4.3. */
const authorizationOf = ({ clientId, redirectUri }: DiscordOptions) =>
  z.strictObject({
    response_type: z.literal('code'),
    client_id: z.literal(clientId),
    redirect_uri: z.literal(redirectUri),
    scope: z.literal('identify'),
    state: z.string().min(1),
    prompt: z.enum(['none', 'consent']),
    code_challenge: z.string().regex(/^[\w-]{43}$/),
    code_challenge_method: z.literal('S256'),
  })

const credentials = { client_id: z.string(), client_secret: z.string() }

const forms: Record<string, z.ZodType> = {
  /** RFC 6749, 4.1.3 and 6, and RFC 7636, 4.5. */
  '/api/v10/oauth2/token': z.discriminatedUnion('grant_type', [
    z.strictObject({
      ...credentials,
      grant_type: z.literal('authorization_code'),
      code: z.string().min(1),
      redirect_uri: z.string(),
      code_verifier: z.string().regex(/^[\w.~-]{43,128}$/),
    }),
    z.strictObject({ ...credentials, grant_type: z.literal('refresh_token'), refresh_token: z.string().min(1) }),
  ]),
  /** RFC 7009, 2.1. */
  '/api/v10/oauth2/token/revoke': z.strictObject({ ...credentials, token: z.string().min(1) }),
}

function problemWith(req: Request, authorization: z.ZodType): Problem | undefined {
  if (req.path === '/oauth2/authorize') {
    return invalidRequest(authorization.safeParse(single(new URL(req.url, 'http://double').searchParams)))
  }
  if (!req.path.startsWith('/api/')) return undefined
  const userAgent = req.get('user-agent') ?? ''
  // Cloudflare, which is in front of Discord, refuses browsers and clients without a User-Agent.
  if (userAgent === '' || userAgent.startsWith('Mozilla/')) return { status: 403, error: 'user agent' }
  const form = forms[req.path]
  if (form === undefined) return undefined
  if (req.method !== 'POST' || !req.is('application/x-www-form-urlencoded') || req.get('authorization')) {
    return { status: 400, error: 'invalid_request', description: 'The request body must be form-encoded.' }
  }
  return invalidRequest(form.safeParse(req.body))
}

function invalidRequest({ error }: z.ZodSafeParseResult<unknown>): Problem | undefined {
  return error && { status: 400, error: 'invalid_request', description: z.prettifyError(error) }
}

/** Returns the parameters. A repeated one becomes a list, which every schema refuses. */
function single(query: URLSearchParams): Record<string, string | string[]> {
  return Object.fromEntries(
    [...query.keys()].map((name) => {
      const [value = '', ...more] = query.getAll(name)
      return [name, more.length > 0 ? [value, ...more] : value]
    }),
  )
}

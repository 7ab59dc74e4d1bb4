import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { RequestHandler } from 'express'
import helmet from 'helmet'
import type { Config } from '../config.ts'

/** What every answer says to the browser; avatar files have a stricter policy of their own. */
export function headers(config: Config): RequestHandler {
  const fixed = securityHeaders(config)
  return (_req, res, next) => {
    for (const [name, value] of fixed) res.setHeader(name, value)
    // Pages and redirects are one visitor's; what may be kept says so itself.
    res.setHeader('Cache-Control', 'no-store')
    next()
  }
}

/** The same to everybody, so Helmet is asked once. */
export function securityHeaders(config: Config): [string, string][] {
  const guard = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        'default-src': ["'none'"],
        'script-src': ["'self'"],
        'style-src': ["'self'"],
        'img-src': ["'self'", new URL(config.discord.cdnUrl).origin],
        // No script of ours asks for anything, but Lighthouse asks for robots.txt from within the page.
        'connect-src': ["'self'"],
        // The form's 302 leads to Discord, and Chrome and Safari hold that redirect to form-action too.
        'form-action': ["'self'", new URL(config.discord.authorizeUrl).origin],
        'base-uri': ["'none'"],
        'frame-ancestors': ["'none'"],
        // On plain http Safari would upgrade the stylesheet of localhost too, and find nothing there.
        ...(config.https ? { 'upgrade-insecure-requests': [] } : {}),
      },
    },
    // Discord's pictures load without a header that lets them in; credentials don't go along.
    crossOriginEmbedderPolicy: { policy: 'credentialless' },
    // 'no-referrer' would make browsers send "Origin: null" with our own form.
    referrerPolicy: { policy: 'same-origin' },
    strictTransportSecurity: config.https ? { maxAge: 365 * 24 * 60 * 60, includeSubDomains: true } : false,
    xFrameOptions: { action: 'deny' },
  })
  const req = new IncomingMessage(new Socket())
  const res = new ServerResponse(req)
  guard(req, res, () => undefined)
  return Object.entries(res.getHeaders()).map(([name, value]) => [name, String(value)])
}

/** The policy of a picture that is opened on its own: it can draw, and nothing else. */
export const picturePolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

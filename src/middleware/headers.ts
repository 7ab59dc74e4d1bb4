import type { RequestHandler } from 'express'
import helmet from 'helmet'
import onHeaders from 'on-headers'
import type { Config } from '../config.ts'
import { isOtherName } from './same-origin.ts'

/**
 * The content policy of pages. `otherTarget` is an origin to which the form's post may be redirected besides Discord.
 */
function contentPolicy({ discord, https }: Config, otherTarget = ''): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `img-src 'self' ${new URL(discord.cdnUrl).origin}`,
    // No script of ours fetches anything, but Lighthouse fetches robots.txt from within the page.
    "connect-src 'self'",
    // Chrome and Safari apply form-action to redirects, too.
    `form-action 'self' ${new URL(discord.authorizeUrl).origin} ${otherTarget}`.trim(),
    "base-uri 'none'",
    "frame-ancestors 'none'",
    // On plain http Safari would request even the stylesheet of localhost by https, and fail.
    ...(https ? ['upgrade-insecure-requests'] : []),
  ].join(';')
}

/**
 * The headers of every response (SECURITY.md, H1 to H7); pictures set a stricter content policy. After `closing` is
 * aborted each response carries `Connection: close`.
 */
export function headers(config: Config, closing: AbortSignal): RequestHandler[] {
  const security = helmet({
    // Set below: helmet would build the policy anew for each response, and the bench's bound of previews would be
    // missed.
    contentSecurityPolicy: false,
    // Discord's pictures have no Cross-Origin-Resource-Policy header. With 'credentialless' browsers load them, without
    // cookies.
    crossOriginEmbedderPolicy: { policy: 'credentialless' },
    // With 'no-referrer' browsers would send "Origin: null" with our own form, which looks like a cross-site post.
    referrerPolicy: { policy: 'same-origin' },
    strictTransportSecurity: config.https ? { maxAge: 365 * 24 * 60 * 60, includeSubDomains: true } : false,
    xFrameOptions: { action: 'deny' },
  })
  const policy = contentPolicy(config)
  // A form that was opened under another name of this site is sent on to BASE_URL.
  const otherNamePolicy = contentPolicy(config, config.baseUrl)
  const policyConnectionAndCaching: RequestHandler = (req, res, next) => {
    res.setHeader('Content-Security-Policy', isOtherName(req.headers.host, config) ? otherNamePolicy : policy)
    // Checked when the headers are sent, because shutdown may begin after the request has arrived.
    onHeaders(res, () => {
      if (closing.aborted) res.setHeader('Connection', 'close')
    })
    // Pages and redirects are for one visitor. Routes whose responses may be cached replace this header.
    res.setHeader('Cache-Control', 'no-store')
    next()
  }
  return [security, policyConnectionAndCaching]
}

/** The content policy of an SVG that is opened in a tab of its own: it can be drawn, and do nothing else. */
export const svgPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

/**
 * The content policy of a PNG or GIF that is opened in a tab of its own. Browsers show it in a page that requests
 * /favicon.ico, which only pages of the same origin may load.
 */
export const rasterPolicy = `${svgPolicy} allow-same-origin; img-src 'self'`

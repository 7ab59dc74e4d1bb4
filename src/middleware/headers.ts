import type { RequestHandler } from 'express'
import helmet from 'helmet'
import onHeaders from 'on-headers'
import type { Config } from '../config.ts'
import { isOtherName } from './same-origin.ts'

/** The content security policy of pages. A post may be redirected to Discord and to `otherTarget`. */
function contentPolicy({ discord, https }: Config, otherTarget = ''): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `img-src 'self' ${new URL(discord.cdnUrl).origin}`,
    // Our scripts fetch from this site only, and so does Lighthouse, which fetches robots.txt from within the page.
    "connect-src 'self'",
    // Chrome and Safari apply form-action to redirects, too.
    `form-action 'self' ${new URL(discord.authorizeUrl).origin} ${otherTarget}`.trim(),
    "base-uri 'none'",
    "frame-ancestors 'none'",
    // On plain http Safari would request even the stylesheet of localhost by https, and fail.
    ...(https ? ['upgrade-insecure-requests'] : []),
  ].join(';')
}

/** Sets the headers of every response (SECURITY.md, H1 to H7); after `closing` also `Connection: close`. */
export function headers(config: Config, closing: AbortSignal): RequestHandler[] {
  const security = helmet({
    // The policy is set below. helmet would build it for each response, and previews would miss a bound of test/bench.
    contentSecurityPolicy: false,
    // Discord's pictures lack Cross-Origin-Resource-Policy. 'credentialless' loads them all the same, without cookies.
    crossOriginEmbedderPolicy: { policy: 'credentialless' },
    // With 'no-referrer' browsers would send our own form with "Origin: null", like a post from another site.
    referrerPolicy: { policy: 'same-origin' },
    strictTransportSecurity: config.https ? { maxAge: 365 * 24 * 60 * 60, includeSubDomains: true } : false,
    xFrameOptions: { action: 'deny' },
  })
  const policy = contentPolicy(config)
  // The post of a form that was opened under another name of this site is redirected to BASE_URL.
  const otherNamePolicy = contentPolicy(config, config.baseUrl)
  const policyConnectionAndCaching: RequestHandler = (req, res, next) => {
    res.setHeader('Content-Security-Policy', isOtherName(req.headers.host, config) ? otherNamePolicy : policy)
    // This is checked when the headers are sent, because the shutdown may begin after the request has arrived.
    onHeaders(res, () => {
      if (closing.aborted) res.setHeader('Connection', 'close')
    })
    // This is the default, because pages and redirects are for one visitor. Routes with cacheable responses replace it.
    res.setHeader('Cache-Control', 'no-store')
    next()
  }
  return [security, policyConnectionAndCaching]
}

/** The content security policy of an SVG that is opened in its own tab: it can do nothing but draw. */
export const svgPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

/**
 * The content security policy of a PNG or GIF that is opened in its own tab. Browsers then make a page around it, which
 * requests /favicon.ico. Only pages of the same origin may load that file.
 */
export const rasterPolicy = `${svgPolicy} allow-same-origin; img-src 'self'`

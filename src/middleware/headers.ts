import type { RequestHandler } from 'express'
import onHeaders from 'on-headers'
import type { Config } from '../config.ts'
import { isOtherName } from './same-origin.ts'

/**
 * The headers of every response (SECURITY.md, H1 to H7), those that helmet recommends (https://helmetjs.github.io). They
 * are a table because the response to a malformed request needs them, too, and passes no middleware.
 */
export function securityHeaders(config: Config): Record<string, string> {
  return {
    'Content-Security-Policy': contentPolicy(config),
    // Discord's pictures have no Cross-Origin-Resource-Policy header. With 'credentialless' browsers load them, without
    // cookies.
    'Cross-Origin-Embedder-Policy': 'credentialless',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Origin-Agent-Cluster': '?1',
    // With 'no-referrer' browsers would send "Origin: null" with our own form, which looks like a cross-site post.
    'Referrer-Policy': 'same-origin',
    ...(config.https && { 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' }),
    'X-Content-Type-Options': 'nosniff',
    'X-DNS-Prefetch-Control': 'off',
    'X-Download-Options': 'noopen',
    'X-Frame-Options': 'DENY',
    'X-Permitted-Cross-Domain-Policies': 'none',
    'X-XSS-Protection': '0',
    // Pages and redirects are for one visitor. Routes whose responses may be cached replace this header.
    'Cache-Control': 'no-store',
  }
}

/** The content policy of pages. `otherTarget` is an origin to which the form's post may be redirected besides Discord. */
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
 * Sets the headers of every response; pictures set a stricter content policy. After `closing` is aborted each response
 * carries `Connection: close`.
 */
export function headers(config: Config, closing: AbortSignal): RequestHandler {
  const always = Object.entries(securityHeaders(config))
  // A form that was opened under another name of this site is sent on to BASE_URL.
  const otherNamePolicy = contentPolicy(config, config.baseUrl)
  return (req, res, next) => {
    for (const [name, value] of always) res.setHeader(name, value)
    if (isOtherName(req.headers.host, config)) res.setHeader('Content-Security-Policy', otherNamePolicy)
    // Checked when the headers are sent, because shutdown may begin after the request has arrived.
    onHeaders(res, () => {
      if (closing.aborted) res.setHeader('Connection', 'close')
    })
    next()
  }
}

/** The content policy of an SVG that is opened in a tab of its own: it can be drawn, and do nothing else. */
export const svgPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

/**
 * The content policy of a PNG or GIF that is opened in a tab of its own. Browsers show it in a page that requests
 * /favicon.ico, which only pages of the same origin may load.
 */
export const rasterPolicy = `${svgPolicy} allow-same-origin; img-src 'self'`

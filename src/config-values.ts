// The checks of single settings. Each parses the text of a setting; its message says what the setting must be.
import { mkdtempSync, rmdirSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { z } from 'zod'
import { makeFolder } from './make-folder.ts'
import { parseRedisAddress } from './store/redis-address.ts'

export const flag = z.enum(['on', 'off'], 'must be "on" or "off"')

export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a whole number from ${min} to ${max}`)

/**
 * An IP address or a host name. The URL parser rejects names such as 999.1.1.1, because it treats every host that ends
 * in a number as an IPv4 address.
 */
export const host = z
  .string()
  .refine(
    (text) => isIP(text) !== 0 || (/^[\w.-]+$/.test(text) && URL.canParse(`http://${text}`)),
    'must be an IP address or a host name, without port or brackets',
  )

/**
 * A folder. The check creates it and a temporary folder in it, so that a failure is reported together with the
 * problems of other settings. A full disk is accepted, because it may have room later.
 */
export const writableFolder = z.string().transform((folder, context) => {
  try {
    makeFolder(folder)
    rmdirSync(mkdtempSync(join(folder, 'probe-')))
    return { folder, isFull: false }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : error
    if (code === 'ENOSPC' || code === 'EDQUOT') return { folder, isFull: true }
    context.addIssue(`must be a folder that can be created and written to (${code})`)
    return z.NEVER
  }
})

/**
 * An http(s) URL. A query or fragment is refused, because paths are appended to the URL. A semicolon or comma in the
 * host is refused, because it would end the host's entry in the content security policy.
 */
export const address = z
  .string()
  .refine(
    (text) => /^https?:\/\/[^\s/?#@;,]+(\/[^\s?#]*)?$/i.test(text) && URL.canParse(text),
    'must be one address that begins with https:// or http://, without user, query, fragment and spaces',
  )

export const origin = address.refine(
  (text) => !URL.canParse(text) || new URL(text).pathname === '/',
  'must be an origin, without a path',
)

/** The address of a proxy. A host and port without a scheme mean http, as for curl. */
export const proxyAddress = z
  .string()
  .transform((text) => (/^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`))
  .refine(isProxyUrl, 'must be the address of a proxy, such as http://proxy.example:3128, without a path')

function isProxyUrl(text: string): boolean {
  const url = /\s/.test(text) ? null : URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname + url.search + url.hash !== '/') return false
  return [url.username, url.password].every((part) => !/%(?![\da-f]{2})/i.test(part))
}

/** Texts that stand for a value in examples: "…", "<your id>", "change-me", "your-client-secret", "paste it here". */
const placeholders = [
  /…|\.\.\./,
  /^[<[{].*[>\]}]$/,
  /^(change|replace|insert|enter|paste|put|fill)[\s_-]?(me|this|it|in|with|your|the|here)/i,
  /^your[\s_-]/i,
  /[\s_-]here$/i,
  /^(todo|tbd|fixme|placeholder|example|none|null|undefined)$/i,
]
const isPlaceholder = (text: string) => placeholders.some((pattern) => pattern.test(text))
/** Whether the text is one character, repeated three times or more. */
const isFiller = (text: string) => /^(.)\1{2,}$/.test(text)

export const credential = z
  .string()
  .regex(/\S/, 'must not be blank')
  .refine((text) => !isPlaceholder(text.trim()) && !isFiller(text.trim()), 'must be your own: this is a placeholder')

export const redisAddress = z.string().transform((text, context) => {
  const address = parseRedisAddress(text)
  if (address) return address
  context.addIssue('must be redis:// or rediss://, several of them comma-separated for a cluster, or sentinel://')
  return z.NEVER
})

const isPage = (text: string) => {
  const url = /^https?:\/\/[^\s/]+/i.test(text) && !/\s/.test(text) ? URL.parse(text) : null
  return url !== null && url.username + url.password === ''
}

export const page = z.string().refine(isPage, 'must be the address of a page, beginning with https:// or http://')

/** Whom visitors may ask for help: the address of a link and its text. */
export const contact = z.string().transform((text, context) => {
  if (isPage(text)) return { href: text, text: text.replace(/^https?:\/\//i, '').replace(/\/$/, '') }
  const [, mailAddress] = /^(?:mailto:)?([\w.!#$%&'*+/=?^`{|}~-]+@[a-z\d.-]+)$/i.exec(text) ?? []
  if (mailAddress) return { href: `mailto:${mailAddress}`, text: mailAddress }
  context.addIssue('must be an e-mail address, or the address of a page, beginning with https:// or http://')
  return z.NEVER
})

const listOf = (text: string) => text.split(',').map((part) => part.trim())

export const secrets = z
  .string()
  .transform(listOf)
  .refine((list) => list.every((secret) => secret.length >= 32), 'must have 32 characters or more')
  .refine((list) => !list.some(isPlaceholder), 'must be your own: this is a placeholder')

export const metricsPort = z
  .string()
  .refine((text) => text === 'off' || (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535), {
    message: 'must be "off" or a port from 1 to 65535',
  })
  .transform((text) => (text === 'off' ? undefined : Number(text)))

/** Express's `trust proxy`. A client at a trusted address can claim any address, so not all addresses are allowed. */
export const trustedProxies = z
  .string()
  .refine(
    (text) => text === 'off' || /^\d$/.test(text) || listOf(text).every(isProxyAddress),
    'must be "off", a number of proxies from 0 to 9, or their addresses (such as loopback or 10.0.0.0/8), no wider than /8, or /7 for IPv6',
  )
  .transform((text) => {
    if (text === 'off') return false
    return /^\d$/.test(text) ? Number(text) : listOf(text)
  })

function isProxyAddress(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true
  const [, ip = '', prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  if (isIP(ip) === 0 || prefix === undefined) return isIP(ip) !== 0
  return Number(prefix) >= minPrefix(ip) && Number(prefix) <= (isIP(ip) === 4 ? 32 : 128)
}

/**
 * The shortest prefix that is accepted for this address: /8 or /7, because the widest private networks are 10.0.0.0/8
 * and fc00::/7. An IPv6 address below 200::, such as ::ffff:10.0.0.0, may stand for an IPv4 address in ::ffff:0:0/96,
 * so it needs the prefix of an IPv4 network (8) after these 96 bits.
 */
function minPrefix(ip: string): number {
  if (isIP(ip) === 4) return 8
  const firstGroup = Number.parseInt(ip, 16) // NaN for an address that begins with "::"
  return firstGroup >= 0x200 ? 7 : 96 + 8
}

/** The hosts that `isLoopback` accepts, in the format of NO_PROXY. https://nodejs.org/api/http.html#no_proxy-format */
export const loopbackHosts = ['localhost', '.localhost', '127.0.0.1-127.255.255.255', '::1']

/** Whether the host of a URL is a loopback name or address (RFC 6761, 6.3; RFC 5735, 3; RFC 4291, 2.5.3). */
export function isLoopback(hostname: string): boolean {
  return /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
}

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmdirSync } from 'node:fs'
import { BlockList, isIP } from 'node:net'
import { dirname, join } from 'node:path'
import { z } from 'zod'

const flag = z.enum(['on', 'off'], 'must be "on" or "off"')

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a whole number from ${min} to ${max}`)

/** What ends in a number is an address of IPv4 to a URL, so that 999.1.1.1 is no name either. */
const host = z
  .string()
  .refine(
    (text) => isIP(text) !== 0 || (/^[\w.-]+$/.test(text) && URL.canParse(`http://${text}`)),
    'must be an IP address or a host name, without port or brackets',
  )

/** Made and tried here, so that one that can't be is told along with all else that is wrong. */
const writableFolder = z.string().superRefine((folder, context) => {
  try {
    makeFolder(folder)
    rmdirSync(mkdtempSync(join(folder, 'probe-')))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : error
    context.addIssue(`must be a folder that can be made and written to (${code})`)
  }
})

// Node's own recursive mkdir never ends in a place such as /proc, where a folder is there and takes no other.
function makeFolder(folder: string): void {
  if (existsSync(folder)) return
  makeFolder(dirname(folder))
  try {
    mkdirSync(folder)
  } catch (error) {
    if (!existsSync(folder)) throw error // else another instance was faster
  }
}

/**
 * What we ask for is put behind it: a query or fragment would swallow that, or be lost itself. A semicolon or comma in the
 * host would end its place in the content policy.
 */
const address = z
  .string()
  .refine(
    (text) => /^https?:\/\/[^\s/?#@;,]+(\/[^\s?#]*)?$/i.test(text) && URL.canParse(text),
    'must be an address that begins with https:// or http://, with no query, fragment, user or space, and one host',
  )

const origin = address.refine(
  (text) => !URL.canParse(text) || new URL(text).pathname === '/',
  'must be an origin: no path',
)

const credential = z.string().regex(/\S/, 'must not be blank')

const redisForm = 'must be redis:// or rediss://, several of them comma-separated for a cluster, or sentinel://'

/**
 * Where Redis is. One server: `redis://[user:password@]host[:port][/db]`, `rediss://` with TLS. A cluster: several of
 * them, comma-separated, all with the same name and password, without a database. Behind sentinels:
 * `sentinel://[user:password@]host[:port],host[:port]/name[?db=1&sentinelPassword=…]`, where name and password are those
 * of the servers, and `sentinels://` is with TLS.
 */
const redisAddress = z.string().transform((text, context) => {
  const address = /^sentinels?:/.test(text) ? sentinelAddress(text) : serverAddress(text)
  if (address) return address
  context.addIssue(redisForm)
  return z.NEVER
})

function serverAddress(text: string) {
  // A password may hold a comma.
  const urls = text.split(/,\s*(?=rediss?:)/).map((part) => (URL.canParse(part) ? new URL(part) : undefined))
  const [first] = urls
  if (first === undefined || !urls.every((url) => url && isServer(url) && isAlike(url, first))) return undefined
  if (urls.length === 1) return { kind: 'server' as const, url: first.href }
  if (urls.some((url) => url && url.pathname.length > 1)) return undefined
  const nodes = urls.flatMap((url) => (url ? placeOf(url, 6379) : []))
  return { kind: 'cluster' as const, nodes, tls: first.protocol === 'rediss:', ...accountOf(first) }
}

const isServer = ({ protocol, hostname, pathname, search, hash, username, password }: URL) =>
  ['redis:', 'rediss:'].includes(protocol) &&
  /^[^,]+$/.test(hostname) &&
  /^(\/\d{0,4})?$/.test(pathname) &&
  search + hash === '' &&
  isEncodedWell(username + password)

const isEncodedWell = (text: string) => !/%(?![0-9a-f]{2})/i.test(text)

const isAlike = (one: URL, other: URL) =>
  one.protocol === other.protocol && one.username === other.username && one.password === other.password

function sentinelAddress(text: string) {
  // No URL has several hosts: each is read as one of its own.
  const [, protocol, account = '', hosts = '', name = '', query = ''] =
    /^(sentinels?):\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/([\w.-]+)(?:\?([^#]*))?$/.exec(text) ?? []
  const addresses = hosts.split(',').map((host) => `redis://${account && `${account}@`}${host.trim()}`)
  const options = SentinelOptions.safeParse(queryOf(query))
  if (name === '' || !options.success || !addresses.every((address) => URL.canParse(address))) return undefined
  const urls = addresses.map((address) => new URL(address))
  const [first] = urls
  if (first === undefined || !urls.every(isServer)) return undefined
  return {
    kind: 'sentinel' as const,
    name,
    sentinels: urls.map((url) => placeOf(url, 26_379)),
    tls: protocol === 'sentinels',
    ...accountOf(first),
    ...options.data,
  }
}

const SentinelOptions = z.strictObject({
  db: wholeNumber(0, 9999).optional(),
  sentinelUser: z.string().optional(),
  sentinelPassword: z.string().optional(),
})

/** A parameter that is given twice is wrong, whichever was meant. */
function queryOf(query: string): Record<string, string> | undefined {
  const pairs = [...new URLSearchParams(query)]
  return new Set(pairs.map(([name]) => name)).size === pairs.length ? Object.fromEntries(pairs) : undefined
}

const placeOf = ({ hostname, port }: URL, usualPort: number) => ({
  host: hostname.replace(/^\[|\]$/g, ''),
  port: Number(port || usualPort),
})

function accountOf({ username, password }: URL) {
  return {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
  }
}

const secrets = z
  .string()
  .transform((text) => text.split(',').map((secret) => secret.trim()))
  .refine((list) => list.every((secret) => secret.length >= 32), 'must have 32 characters or more, each of them')

const metricsPort = z
  .string()
  .refine((text) => text === 'off' || (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535), {
    message: 'must be "off" or a port from 1 to 65535',
  })
  .transform((text) => (text === 'off' ? undefined : Number(text)))

/** Express counts proxies, or knows them by address; to trust everybody would let anyone name any client address. */
const trustedProxies = z
  .string()
  .refine((text) => text === 'off' || /^\d$/.test(text) || text.split(',').every(isProxyAddress), {
    message:
      'must be "off", a number of proxies from 0 to 9, or their addresses (loopback, 10.0.0.0/8, fc00::/7, none wider), never everybody',
  })
  .transform((text) => {
    if (text === 'off') return false
    return /^\d$/.test(text) ? Number(text) : text.split(',').map((part) => part.trim())
  })

function isProxyAddress(part: string): boolean {
  const text = part.trim()
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true
  const [ip = '', prefix, ...rest] = text.split('/')
  if (isIP(ip) === 0 || rest.length > 0) return false
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && isOnesOwn(ip, Number(prefix)))
}

const ipv4Mapped = new BlockList()
ipv4Mapped.addSubnet('::ffff:0:0', 96, 'ipv6')

/** No network of one's own is wider than 10.0.0.0/8 or fc00::/7. IPv4 may be written as IPv6, with 96 bits before it. */
function isOnesOwn(ip: string, prefix: number): boolean {
  if (isIP(ip) === 4) return prefix >= 8 && prefix <= 32
  if (prefix < 7 || prefix > 128) return false
  const subnet = new BlockList()
  subnet.addSubnet(ip, prefix, 'ipv6')
  return prefix >= 96 + 8 || !(subnet.check('::ffff:0:0', 'ipv6') || ipv4Mapped.check(ip, 'ipv6'))
}

function isSafeOrigin(url: URL): boolean {
  return url.protocol === 'https:' || /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)
}

const defaultPort = 3000

const Environment = z.object({
  NODE_ENV: z.string().optional(),
  PORT: wholeNumber(1, 65_535).default(defaultPort),
  HOST: host.default('127.0.0.1'),
  METRICS_PORT: metricsPort.optional(),
  BASE_URL: origin.optional(),
  SESSION_SECRET: secrets.optional(),
  REDIS_URL: redisAddress.optional(),
  DISCORD_CLIENT_ID: credential.optional(),
  DISCORD_CLIENT_SECRET: credential.optional(),
  DISCORD_API_URL: address.default('https://discord.com/api/v10'),
  DISCORD_AUTHORIZE_URL: address.default('https://discord.com/oauth2/authorize'),
  DICEBEAR_URL: z.union([z.literal('embedded'), address]).default('https://api.dicebear.com/10.x'),
  CACHE_DIR: writableFolder.prefault('.cache/avatars'),
  CACHE_MAX_MB: wholeNumber(1, 1_000_000).default(512),
  UPSTREAM_TIMEOUT_MS: wholeNumber(1, 60_000).default(5000),
  TRUST_PROXY: trustedProxies.default(false),
  RATE_LIMIT: flag.default('on'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'must be one of pino’s levels')
    .default('info'),
})

/** What the settings ask of one another; apart from the schema, so that it is told even when a single value is wrong. */
function demands(given: NodeJS.ProcessEnv): string[] {
  const { DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET, BASE_URL } = given
  const missing: string[] = []
  if (DISCORD_CLIENT_ID && !DISCORD_CLIENT_SECRET) missing.push('DISCORD_CLIENT_SECRET is missing beside the client id')
  if (DISCORD_CLIENT_SECRET && !DISCORD_CLIENT_ID) missing.push('DISCORD_CLIENT_ID is missing beside the client secret')
  if (Number(given.METRICS_PORT) === Number(given.PORT ?? defaultPort)) {
    missing.push('METRICS_PORT must be another port than PORT, where visitors come')
  }
  if (given.NODE_ENV !== 'production') return missing
  if (!DISCORD_CLIENT_ID && !DISCORD_CLIENT_SECRET) {
    missing.push('DISCORD_CLIENT_ID is needed in production, where there is no demo')
    missing.push('DISCORD_CLIENT_SECRET is needed in production, where there is no demo')
  }
  if (!given.SESSION_SECRET) missing.push('SESSION_SECRET is needed in production')
  if (!given.REDIS_URL) missing.push('REDIS_URL is needed in production')
  if (BASE_URL && URL.canParse(BASE_URL) && !isSafeOrigin(new URL(BASE_URL))) {
    missing.push('BASE_URL must begin with https:// in production')
  }
  return missing
}

/**
 * The settings, read once; the names of the environment are known here only. The cache folder is there afterwards.
 * Throws an Error that names every wrong setting in plain words, and no value.
 */
export function readConfig(environment: NodeJS.ProcessEnv) {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const read = Environment.safeParse(given)
  const wrong = read.error?.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`) ?? []
  const complaints = [...wrong, ...demands(given)]
  if (!read.success || complaints.length > 0) {
    throw new Error(`Cannot start. Please mend these settings:\n${complaints.map((line) => `  ${line}`).join('\n')}`)
  }
  const settings = read.data
  const baseUrl = new URL(settings.BASE_URL ?? `http://localhost:${settings.PORT}`)
  return Object.freeze({
    demo: settings.DISCORD_CLIENT_ID === undefined,
    host: settings.HOST,
    port: settings.PORT,
    /** Where Prometheus asks, on the same host; undefined: nothing is counted. */
    metricsPort: settings.METRICS_PORT,
    baseUrl: baseUrl.origin,
    https: baseUrl.protocol === 'https:',
    sessionSecrets: settings.SESSION_SECRET ?? [randomBytes(32).toString('base64url')],
    /** Where Redis is, or undefined: all is kept in this process's memory. */
    redis: settings.REDIS_URL,
    discord: {
      clientId: settings.DISCORD_CLIENT_ID ?? 'demo',
      clientSecret: settings.DISCORD_CLIENT_SECRET ?? randomBytes(32).toString('base64url'),
      apiUrl: settings.DISCORD_API_URL.replace(/\/$/, ''),
      authorizeUrl: settings.DISCORD_AUTHORIZE_URL,
      cdnUrl: 'https://cdn.discordapp.com',
    },
    /** Address of DiceBear's HTTP API, or undefined: everything is drawn in this process. */
    dicebearUrl: settings.DICEBEAR_URL === 'embedded' ? undefined : settings.DICEBEAR_URL.replace(/\/$/, ''),
    cacheDir: settings.CACHE_DIR,
    cacheMaxBytes: settings.CACHE_MAX_MB * 1024 * 1024,
    upstreamTimeoutMs: settings.UPSTREAM_TIMEOUT_MS,
    trustProxy: settings.TRUST_PROXY,
    rateLimit: settings.RATE_LIMIT === 'on',
    logLevel: settings.LOG_LEVEL,
  })
}
export type Config = ReturnType<typeof readConfig>

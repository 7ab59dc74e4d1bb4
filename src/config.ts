import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmdirSync } from 'node:fs'
import { isIP } from 'node:net'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { parseRedisAddress } from './store/redis-address.ts'

const flag = z.enum(['on', 'off'], 'must be "on" or "off"')

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a whole number from ${min} to ${max}`)

/** A URL takes a host that ends in a number for an IPv4 address, so 999.1.1.1 is refused, too. */
const host = z
  .string()
  .refine(
    (text) => isIP(text) !== 0 || (/^[\w.-]+$/.test(text) && URL.canParse(`http://${text}`)),
    'must be an IP address or a host name, without port or brackets',
  )

/** Created and written to while the settings are read, so that a failure is named together with all other problems. */
const writableFolder = z.string().superRefine((folder, context) => {
  try {
    makeFolder(folder)
    rmdirSync(mkdtempSync(join(folder, 'probe-')))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : error
    context.addIssue(`must be a folder that can be made and written to (${code})`)
  }
})

// Node's recursive mkdir loops for ever in a folder such as /proc, which exists and takes no new folders.
function makeFolder(folder: string): void {
  if (existsSync(folder)) return
  makeFolder(dirname(folder))
  try {
    mkdirSync(folder)
  } catch (error) {
    if (!existsSync(folder)) throw error // another instance may have created it
  }
}

/**
 * Paths are appended to it, so it has no query and no fragment. A semicolon or comma in the host would end its source
 * expression in the content policy.
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

const redisAddress = z.string().transform((text, context) => {
  const address = parseRedisAddress(text)
  if (address) return address
  context.addIssue('must be redis:// or rediss://, several of them comma-separated for a cluster, or sentinel://')
  return z.NEVER
})

const listOf = (text: string) => text.split(',').map((part) => part.trim())

const secrets = z
  .string()
  .transform(listOf)
  .refine((list) => list.every((secret) => secret.length >= 32), 'must have 32 characters or more, each of them')

const metricsPort = z
  .string()
  .refine((text) => text === 'off' || (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535), {
    message: 'must be "off" or a port from 1 to 65535',
  })
  .transform((text) => (text === 'off' ? undefined : Number(text)))

/** Express's `trust proxy`. A client behind a trusted address can claim any address, so never everybody. */
const trustedProxies = z
  .string()
  .refine(
    (text) => text === 'off' || /^\d$/.test(text) || listOf(text).every(isProxyAddress),
    'must be "off", a number of proxies from 0 to 9, or their addresses (loopback, 10.0.0.0/8, fc00::/7, none wider), never everybody',
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

/** The widest private networks are 10.0.0.0/8 and fc00::/7. An IPv6 network in ::/7 may hold all of IPv4 (::ffff:0:0/96). */
function minPrefix(ip: string): number {
  if (isIP(ip) === 4) return 8
  const firstGroup = Number.parseInt(ip, 16) // NaN for "::…"
  return firstGroup >= 0x200 ? 7 : 96 + 8
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

/** Problems between settings. Not in the schema, which stops at single wrong values: all problems are named at once. */
function problemsBetween(given: NodeJS.ProcessEnv): string[] {
  const { DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET, BASE_URL } = given
  const problems: string[] = []
  if (DISCORD_CLIENT_ID && !DISCORD_CLIENT_SECRET)
    problems.push('DISCORD_CLIENT_SECRET is missing beside the client id')
  if (DISCORD_CLIENT_SECRET && !DISCORD_CLIENT_ID)
    problems.push('DISCORD_CLIENT_ID is missing beside the client secret')
  if (Number(given.METRICS_PORT) === Number(given.PORT ?? defaultPort)) {
    problems.push('METRICS_PORT must be another port than PORT, where visitors come')
  }
  if (given.NODE_ENV !== 'production') return problems
  if (!DISCORD_CLIENT_ID && !DISCORD_CLIENT_SECRET) {
    problems.push('DISCORD_CLIENT_ID is needed in production, where there is no demo')
    problems.push('DISCORD_CLIENT_SECRET is needed in production, where there is no demo')
  }
  if (!given.SESSION_SECRET) problems.push('SESSION_SECRET is needed in production')
  if (!given.REDIS_URL) problems.push('REDIS_URL is needed in production')
  if (BASE_URL && URL.canParse(BASE_URL) && !isSafeOrigin(new URL(BASE_URL))) {
    problems.push('BASE_URL must begin with https:// in production')
  }
  return problems
}

/**
 * The settings, read once; the names of the environment are known here only. The cache folder is there afterwards.
 * Throws an Error that names every wrong setting in plain words, and no value.
 */
export function readConfig(environment: NodeJS.ProcessEnv) {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const read = Environment.safeParse(given)
  const wrong = read.error?.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`) ?? []
  const complaints = [...wrong, ...problemsBetween(given)]
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

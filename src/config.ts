import { randomBytes } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { z } from 'zod'
import {
  address,
  contact,
  credential,
  flag,
  host,
  isLoopback,
  loopbackHosts,
  metricsPort,
  origin,
  page,
  proxyAddress,
  redisAddress,
  secrets,
  trustedProxies,
  wholeNumber,
  writableFolder,
} from './config-values.ts'

const defaultPort = 3000

const Environment = z.object({
  NODE_ENV: z.string().optional(),
  PORT: wholeNumber(1, 65_535).default(defaultPort),
  HOST: host.default('127.0.0.1'),
  METRICS_PORT: metricsPort.optional(),
  BASE_URL: origin.optional(),
  DEMO: flag.default('off'),
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
  HTTPS_PROXY: proxyAddress.optional(),
  NO_PROXY: z.string().default(''),
  TRUST_PROXY: trustedProxies.default(false),
  RATE_LIMIT: flag.default('on'),
  CONTACT: contact.optional(),
  PRIVACY_URL: page.optional(),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'must be one of pino’s levels')
    .default('info'),
})

/**
 * Whether BASE_URL is not a loopback address. A value without a scheme is parsed with http:// in front, so that the
 * rules of production are checked for it, too, and all problems are reported at once.
 */
function isPublic(baseUrl: string | undefined): boolean {
  if (baseUrl === undefined) return false
  const hostname = URL.parse(baseUrl)?.hostname || URL.parse(`http://${baseUrl}`)?.hostname
  return hostname !== undefined && !isLoopback(hostname)
}

/** Whether production's rules apply: with NODE_ENV=production or a public BASE_URL, unless DEMO=on. */
function isProduction({ NODE_ENV, BASE_URL, DEMO, DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET }: NodeJS.ProcessEnv) {
  if (DEMO === 'on' && !DISCORD_CLIENT_ID && !DISCORD_CLIENT_SECRET) return false
  return NODE_ENV === 'production' || isPublic(BASE_URL)
}

/**
 * Problems of settings that do not fit together. This is not a zod refinement, because zod skips refinements if a
 * single setting is invalid, and all problems are to be reported at once.
 */
function problemsBetween(given: NodeJS.ProcessEnv): string[] {
  const { DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET } = given
  const problems: string[] = []
  if (DISCORD_CLIENT_ID && !DISCORD_CLIENT_SECRET)
    problems.push('DISCORD_CLIENT_SECRET is missing beside the client id')
  if (DISCORD_CLIENT_SECRET && !DISCORD_CLIENT_ID)
    problems.push('DISCORD_CLIENT_ID is missing beside the client secret')
  if (given.DEMO === 'on' && (DISCORD_CLIENT_ID || DISCORD_CLIENT_SECRET)) {
    problems.push('DEMO must be off where Discord’s client id or secret is set: a demo has none')
  }
  if (Number(given.METRICS_PORT) === Number(given.PORT ?? defaultPort)) {
    problems.push('METRICS_PORT must be another port than PORT, where visitors come')
  }
  return isProduction(given) ? [...problems, ...problemsInProduction(given)] : problems
}

function problemsInProduction(given: NodeJS.ProcessEnv): string[] {
  const problems: string[] = []
  if (!given.DISCORD_CLIENT_ID && !given.DISCORD_CLIENT_SECRET) {
    problems.push('DISCORD_CLIENT_ID is needed in production, unless DEMO=on allows a public demo')
    problems.push('DISCORD_CLIENT_SECRET is needed in production, unless DEMO=on allows a public demo')
  }
  if (!given.SESSION_SECRET) problems.push('SESSION_SECRET is needed in production')
  if (!given.REDIS_URL) problems.push('REDIS_URL is needed in production')
  if (isPublic(given.BASE_URL) && URL.parse(given.BASE_URL ?? '')?.protocol === 'http:') {
    problems.push('BASE_URL must begin with https:// in production')
  }
  return problems
}

function withoutEmpty(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''))
}

/** The default of BASE_URL: localhost, unless HOST is another loopback address. */
function defaultOrigin(host: string, port: number): string {
  const { hostname } = new URL(`http://${isIPv6(host) ? `[${host}]` : host}`)
  return `http://${isLoopback(hostname) && hostname !== '127.0.0.1' ? hostname : 'localhost'}:${port}`
}

/**
 * Reads and checks the environment, and creates the cache folder unless the disk is full. Throws an Error whose message
 * names every wrong setting, but no value, because values may be secret.
 */
export function readConfig(environment: NodeJS.ProcessEnv) {
  const { https_proxy: HTTPS_PROXY, no_proxy: NO_PROXY } = environment // curl has these names in lower case
  const given = withoutEmpty({ ...environment, ...withoutEmpty({ HTTPS_PROXY, NO_PROXY }) })
  const read = Environment.safeParse(given)
  const wrong = read.error?.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`) ?? []
  const problems = [...wrong, ...problemsBetween(given)]
  if (!read.success || problems.length > 0) {
    const why = isProduction(given) && isPublic(given.BASE_URL) ? ' (a public BASE_URL means production)' : ''
    throw new Error(
      `Cannot start. Please correct these settings${why}:\n${problems.map((line) => `  ${line}`).join('\n')}`,
    )
  }
  const settings = read.data
  const baseUrl = new URL(settings.BASE_URL ?? defaultOrigin(settings.HOST, settings.PORT))
  return Object.freeze({
    demo: settings.DISCORD_CLIENT_ID === undefined,
    /** Whether NODE_ENV is `production` or BASE_URL is public. Also true for a public demo, unlike `isProduction`. */
    production: settings.NODE_ENV === 'production' || isPublic(settings.BASE_URL),
    host: settings.HOST,
    port: settings.PORT,
    /** Port of GET /metrics, on the same host; undefined when metrics are off. */
    metricsPort: settings.METRICS_PORT,
    baseUrl: baseUrl.origin,
    https: baseUrl.protocol === 'https:',
    sessionSecrets: settings.SESSION_SECRET ?? [randomBytes(32).toString('base64url')],
    /** Address of Redis; undefined for the in-memory store. */
    redis: settings.REDIS_URL,
    discord: {
      clientId: settings.DISCORD_CLIENT_ID ?? 'demo',
      clientSecret: settings.DISCORD_CLIENT_SECRET ?? randomBytes(32).toString('base64url'),
      apiUrl: settings.DISCORD_API_URL.replace(/\/$/, ''),
      authorizeUrl: settings.DISCORD_AUTHORIZE_URL,
      cdnUrl: 'https://cdn.discordapp.com',
    },
    /** Address of DiceBear's HTTP API; undefined if the embedded library draws everything. */
    dicebearUrl: settings.DICEBEAR_URL === 'embedded' ? undefined : settings.DICEBEAR_URL.replace(/\/$/, ''),
    cacheDir: settings.CACHE_DIR.folder,
    cacheMaxBytes: settings.CACHE_MAX_MB * 1024 * 1024,
    /** For the option `proxyEnv` of Node's HTTP agents. Loopback addresses are never called through the proxy. */
    proxyEnv: {
      HTTPS_PROXY: settings.HTTPS_PROXY,
      NO_PROXY: [...loopbackHosts, settings.NO_PROXY].join(),
    },
    upstreamTimeoutMs: settings.UPSTREAM_TIMEOUT_MS,
    trustProxy: settings.TRUST_PROXY,
    rateLimit: settings.RATE_LIMIT === 'on',
    logLevel: settings.LOG_LEVEL,
    /** Whom visitors may ask for help. */
    contact: settings.CONTACT,
    /** Address of the operator's own privacy policy. */
    privacyUrl: settings.PRIVACY_URL,
    /** Problems that do not prevent the start, for the log. */
    warnings: settings.CACHE_DIR.isFull ? ['CACHE_DIR is on a disk that is full: avatars are not kept as files'] : [],
  })
}
export type Config = ReturnType<typeof readConfig>

import { z } from 'zod'

type Account = { username?: string; password?: string }

/** The address of a server, of a cluster's nodes, or of sentinels with the name of a master. */
export type RedisAddress =
  | { kind: 'server'; url: string }
  | ({ kind: 'cluster'; nodes: Endpoint[]; tls: boolean } & Account)
  | ({ kind: 'sentinel'; name: string; sentinels: Endpoint[]; tls: boolean } & Account & SentinelOptions)
type Endpoint = { host: string; port: number }

const SentinelOptions = z.strictObject({
  db: z
    .string()
    .regex(/^\d{1,4}$/)
    .transform(Number)
    .optional(),
  sentinelUser: z.string().optional(),
  sentinelPassword: z.string().optional(),
})
type SentinelOptions = z.infer<typeof SentinelOptions>

/**
 * Parses REDIS_URL; undefined for anything else than these:
 * - one server: `redis://[user:password@]host[:port][/db]`, `rediss://` with TLS
 * - a cluster: several of these, comma-separated, with the same user and password, without a database
 * - sentinels: `sentinel://[user:password@]host[:port],host[:port]/master[?db=1&sentinelUser=…&sentinelPassword=…]`,
 *   `sentinels://` with TLS; user and password are those of the Redis servers
 */
export function parseRedisAddress(text: string): RedisAddress | undefined {
  return /^sentinels?:/.test(text) ? parseSentinels(text) : parseServers(text)
}

function parseServers(text: string): RedisAddress | undefined {
  // Split only at commas before an address, because a password may contain a comma.
  const urls = parseUrls(text.split(/,\s*(?=rediss?:)/))
  const [first] = urls ?? []
  if (urls === undefined || first === undefined) return undefined
  if (urls.length === 1) return { kind: 'server', url: first.href }
  if (urls.some((url) => url.protocol !== first.protocol || !hasSameAccount(url, first) || url.pathname.length > 1)) {
    return undefined
  }
  const nodes = urls.map((url) => endpointOf(url, 6379))
  return { kind: 'cluster', nodes, tls: first.protocol === 'rediss:', ...accountOf(first) }
}

function parseSentinels(text: string): RedisAddress | undefined {
  // The URL parser refuses an address with several hosts, so the address is split, and each host parsed as a URL.
  const [, protocol, account = '', hosts = '', name = '', query = ''] =
    /^(sentinels?):\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/([\w.-]+)(?:\?([^#]*))?$/.exec(text) ?? []
  const urls = parseUrls(hosts.split(',').map((host) => `redis://${account && `${account}@`}${host.trim()}`))
  const [first] = urls ?? []
  const options = SentinelOptions.safeParse(parseQuery(query))
  if (urls === undefined || first === undefined || !options.success) return undefined
  const sentinels = urls.map((url) => endpointOf(url, 26_379))
  return { kind: 'sentinel', name, sentinels, tls: protocol === 'sentinels', ...accountOf(first), ...options.data }
}

/** Parses the addresses of servers; undefined if one of them is wrong. */
function parseUrls(texts: string[]): URL[] | undefined {
  const urls = texts.flatMap((text) => URL.parse(text) ?? [])
  return urls.length === texts.length && urls.every(isServer) ? urls : undefined
}

const isServer = ({ protocol, hostname, pathname, search, hash, username, password }: URL) =>
  ['redis:', 'rediss:'].includes(protocol) &&
  /^[^,]+$/.test(hostname) &&
  /^(\/\d{0,4})?$/.test(pathname) &&
  search + hash === '' &&
  !/%(?![0-9a-f]{2})/i.test(username + password)

const hasSameAccount = (one: URL, other: URL) => one.username === other.username && one.password === other.password

/** Parses the parameters of a query; undefined if one is repeated. */
function parseQuery(query: string): Record<string, string> | undefined {
  const pairs = [...new URLSearchParams(query)]
  return new Set(pairs.map(([name]) => name)).size === pairs.length ? Object.fromEntries(pairs) : undefined
}

function endpointOf({ hostname, port }: URL, defaultPort: number): Endpoint {
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || defaultPort) }
}

function accountOf({ username, password }: URL): Account {
  return {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
  }
}

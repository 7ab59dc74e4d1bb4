import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { clientId, clientSecret, sessionSecret } from '../support/open-app.ts'

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'config-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Valid settings for production. */
const good = {
  NODE_ENV: 'production',
  SESSION_SECRET: sessionSecret,
  REDIS_URL: 'rediss://user:password@redis.example:6380',
  DISCORD_CLIENT_ID: clientId,
  DISCORD_CLIENT_SECRET: clientSecret,
  BASE_URL: 'https://avatars.example',
}

/** By setting, the values that are refused. */
const bad: [name: string, ...values: string[]][] = [
  ['PORT', '0', '80 ', '65536', '-1', '3e3', '0x50', 'http'],
  ['HOST', '999.1.1.1', '1.2.3.4.5', 'localhost:3000', '[::1]', ':::1', 'http://localhost', 'a b', ' '],
  [
    'BASE_URL',
    'https://avatars.example/path',
    'avatars.example',
    'ftp://avatars.example',
    'https://u:p@avatars.example',
  ],
  ['BASE_URL', 'http://avatars.example', 'http://localhost.avatars.example', 'https://avatars.example/?x', '//x'],
  ['SESSION_SECRET', 'x'.repeat(31), `${sessionSecret},short`, `${sessionSecret},`],
  [
    'REDIS_URL',
    'http://127.0.0.1:6379',
    '127.0.0.1:6379',
    'redis://',
    'redis://a/name',
    'redis://a?db=1',
    'redis://a,b',
  ],
  [
    'REDIS_URL',
    'redis://:%zz@a',
    'redis://a,',
    'redis://a,redis://',
    'redis://a,rediss://b',
    'redis://a/1,redis://b/1',
  ],
  [
    'REDIS_URL',
    'redis://:pass@a,redis://:word@b',
    'redis://u:x@a,redis://v:x@b',
    'redis://a,sentinel://b/name',
    'redis://a:70000,redis://b',
  ],
  ['REDIS_URL', 'sentinel://a', 'sentinel://a/', 'sentinel:///name', 'sentinel://a,/name', 'sentinel://a:x/name'],
  ['REDIS_URL', 'sentinel://a/name/1', 'sentinel://a/name?db=one', 'sentinel://a/name?database=1'],
  ['REDIS_URL', 'redis://a/12345', 'sentinel://a/name?db=12345', 'redis://%zz:p@a', 'redis://a#x'],
  ['REDIS_URL', 'sentinel://a/name?db=1&db=2', 'sentinel://:%zz@a/name', 'sentinel://a/na me', 'sentinel://a/name#1'],
  [
    'DISCORD_CLIENT_ID',
    ' ',
    '\t',
    '…',
    '...',
    '<your id>',
    '<id>',
    'your-client-id',
    'YOUR_CLIENT_ID',
    'changeme',
    '000',
    ' xxx ',
  ],
  [
    'DISCORD_CLIENT_SECRET',
    ' ',
    '\n',
    '…',
    'change-me',
    'ChangeMe!',
    'xxxxxxxx',
    '***',
    '{secret}',
    '[secret]',
    'TODO',
  ],
  ['DISCORD_CLIENT_SECRET', 'your client secret', 'replace_me', 'insert-your-secret', 'placeholder', 'secret_here'],
  ['DISCORD_CLIENT_SECRET', 'enter this', 'paste it here', 'Put-Your-Secret', 'fill in', ' change-me ', 'SECRET HERE'],
  [
    'DISCORD_CLIENT_SECRET',
    'replace with yours',
    'paste the secret',
    'put it in .env',
    'change this',
    'enter your own',
  ],
  ['DISCORD_CLIENT_SECRET', 'tbd', 'FIXME', 'example', 'none', 'null', 'undefined', 'a secret of …', 'abc...'],
  [
    'SESSION_SECRET',
    `<${'a secret of 32 characters or more'}>`,
    'change-me-change-me-change-me-change-me',
    '…'.repeat(32),
  ],
  ['SESSION_SECRET', 'your-session-secret-of-32-characters-or-more', `${sessionSecret},${'…'.repeat(32)}`],
  ['DEMO', 'yes', 'true', 'ON', 'on'],
  ['DISCORD_API_URL', 'discord.com', 'file:///etc/passwd'],
  ['DISCORD_AUTHORIZE_URL', 'javascript:alert(1)', '/oauth2/authorize'],
  ['DICEBEAR_URL', 'embed', 'EMBEDDED', 'ftp://dicebear.example'],
  ...['BASE_URL', 'DISCORD_API_URL', 'DISCORD_AUTHORIZE_URL', 'DICEBEAR_URL'].map((name): [string, ...string[]] => [
    name,
    ...[
      'https://x?y=1',
      'https://x/?',
      'https://x#f',
      'https://x/#',
      'https://u:p@x',
      'https://u@x',
      'https://x ',
      'https://x;y',
      'https://x,y',
      'https://x:99999',
    ],
  ]),
  ['CACHE_MAX_MB', '0', '1.5', '-1', 'all', '1000001'],
  ['UPSTREAM_TIMEOUT_MS', '-1', '0', '5s', '5000.5', '60001'],
  ['TRUST_PROXY', '10', 'true', 'all', '*', '0.0.0.0/0', 'loopback,::/0', '10.0.0.0/33', 'proxy.example', '1,,2'],
  ['TRUST_PROXY', '0.0.0.0/1,128.0.0.0/1', '10.0.0.0/7', '::/1', '2000::/3', 'fc00::/6', '10.0.0.0/8,::/8'],
  ['TRUST_PROXY', '::ffff:0:0/96', '::ffff:128.0.0.0/97', '::ffff:10.0.0.0/103', '::/80', '::ffff:10.0.0.1/8'],
  ['TRUST_PROXY', '1ff::/8', '2001:db8::/129', '/10.0.0.0/8', '10.0.0.0/8x'],
  ['HTTPS_PROXY', 'socks5://proxy.example', 'ftp://proxy.example', 'a b', 'http://', 'http://a b', ' '],
  [
    'HTTPS_PROXY',
    'http://proxy.example/path',
    'http://proxy.example?x',
    'http://proxy.example:99999',
    'http://u:%zz@a',
    'http://%zz:p@a',
    'http://proxy.example#x',
    'socks+http://proxy.example/',
    'http://proxy.example ',
  ],
  ['CONTACT', 'somebody', 'a b@avatars.example', 'mailto:', 'mailto:nobody', 'javascript:alert(1)', 'ftp://a/b', '"@a'],
  ['CONTACT', 'http://', 'https://u:p@avatars.example', 'https://avatars.example/a b', '<a@b.example>', ' '],
  ['PRIVACY_URL', 'https://u@avatars.example', 'https://:p@avatars.example'],
  ['PRIVACY_URL', 'avatars.example', 'mailto:a@b.example', '/privacy', 'javascript:alert(1)', 'http://', 'https://a b'],
  ['RATE_LIMIT', 'yes', 'ON', 'true', '0'],
  ['LOG_LEVEL', 'loud', 'INFO'],
]

test.each(bad.flatMap(([name, ...values]) => values.map((value) => ({ name, value }))))(
  '$name=$value is refused with a message that names the setting',
  ({ name, value }) => {
    expect(() => readConfig({ ...good, [name]: value })).toThrow(
      new RegExp(`^[^\n]+:(\n {2}${name} (must|is needed) [^\n]+)+$`),
    )
    expect(() => readConfig({ ...good, [name]: value })).not.toThrow(/Invalid input/)
  },
)

test.each<[name: string, value: string, rule: string]>([
  ['PORT', '0', 'must be a whole number from 1 to 65535'],
  ['METRICS_PORT', '0', 'must be "off" or a port from 1 to 65535'],
  ['CACHE_MAX_MB', '0', 'must be a whole number from 1 to 1000000'],
  ['UPSTREAM_TIMEOUT_MS', '0', 'must be a whole number from 1 to 60000'],
  ['HOST', 'a b', 'must be an IP address or a host name, without port or brackets'],
  ['BASE_URL', 'https://avatars.example/path', 'must be an origin, without a path'],
  ['BASE_URL', 'http://avatars.example', 'must begin with https:// in production'],
  [
    'DISCORD_API_URL',
    'discord.com',
    'must be one address that begins with https:// or http://, without user, query, fragment and spaces',
  ],
  ['SESSION_SECRET', 'short', 'must have 32 characters or more'],
  ['SESSION_SECRET', '…'.repeat(32), 'must be your own: this is a placeholder'],
  ['DISCORD_CLIENT_ID', ' ', 'must not be blank'],
  ['DISCORD_CLIENT_ID', '…', 'must be your own: this is a placeholder'],
  ['REDIS_URL', 'a', 'must be redis:// or rediss://, several of them comma-separated for a cluster, or sentinel://'],
  ['HTTPS_PROXY', 'a b', 'must be the address of a proxy, such as http://proxy.example:3128, without a path'],
  [
    'TRUST_PROXY',
    'all',
    'must be "off", a number of proxies from 0 to 9, or their addresses .+, no wider than /8, or /7 for IPv6',
  ],
  ['CONTACT', 'a', 'must be an e-mail address, or the address of a page, beginning with https:// or http://'],
  ['PRIVACY_URL', 'a', 'must be the address of a page, beginning with https:// or http://'],
  ['RATE_LIMIT', 'yes', 'must be "on" or "off"'],
  ['LOG_LEVEL', 'loud', 'must be one of pino’s levels'],
  ['METRICS_PORT', '3000', 'must be another port than PORT'],
])('%s=%s is refused, because it %s', (name, value, rule) => {
  expect(() => readConfig({ ...good, [name]: value })).toThrow(new RegExp(`^ {2}${name} [^\n]*${rule}`, 'm'))
})

test('LOG_LEVEL may be each of pino’s levels, and silent', () => {
  const names = [...Object.keys(pino.levels.values), 'silent']
  expect(names.map((LOG_LEVEL) => readConfig({ ...good, LOG_LEVEL }).logLevel)).toEqual(names)
})

test('REDIS_URL names a server, a cluster, or sentinels', () => {
  const redisAt = (url: string) => readConfig({ ...good, REDIS_URL: url }).redis
  expect(redisAt('rediss://user:a%2Cb,c@redis.example:6380/2')).toEqual({
    kind: 'server',
    url: 'rediss://user:a%2Cb,c@redis.example:6380/2',
  })
  expect(redisAt('rediss://us%40er:p%40ss@a:7000, rediss://us%40er:p%40ss@[::1]')).toEqual({
    kind: 'cluster',
    nodes: [
      { host: 'a', port: 7000 },
      { host: '::1', port: 6379 },
    ],
    tls: true,
    username: 'us@er',
    password: 'p@ss',
  })
  expect(redisAt('sentinel://a:26380, [::1],c/my-master.1')).toEqual({
    kind: 'sentinel',
    name: 'my-master.1',
    sentinels: [
      { host: 'a', port: 26_380 },
      { host: '::1', port: 26_379 },
      { host: 'c', port: 26_379 },
    ],
    tls: false,
  })
  const options = 'db=3&sentinelUser=Watcher&sentinelPassword=W%26tCh'
  expect(redisAt(`sentinels://User:P%40s,S@a,b/mymaster?${options}`)).toMatchObject({
    kind: 'sentinel',
    tls: true,
    username: 'User',
    password: 'P@s,S',
    db: 3,
    sentinelUser: 'Watcher',
    sentinelPassword: 'W&tCh',
  })
})

test.each<[settings: Record<string, string>, why: string, problems: string[]]>([
  [
    { BASE_URL: 'http://avatars.example', METRICS_PORT: '3000', LOG_LEVEL: 'loud' },
    ' (a public BASE_URL means production)',
    [
      'LOG_LEVEL must be one of pino’s levels',
      'METRICS_PORT must be another port than PORT, where visitors come',
      'DISCORD_CLIENT_ID is needed in production, unless DEMO=on allows a public demo',
      'DISCORD_CLIENT_SECRET is needed in production, unless DEMO=on allows a public demo',
      'SESSION_SECRET is needed in production',
      'REDIS_URL is needed in production',
      'BASE_URL must begin with https:// in production',
    ],
  ],
  [
    { DISCORD_CLIENT_ID: clientId, DEMO: 'on' },
    '',
    [
      'DISCORD_CLIENT_SECRET is missing beside the client id',
      'DEMO must be off where Discord’s client id or secret is set: a demo has none',
    ],
  ],
  [{ DISCORD_CLIENT_SECRET: clientSecret }, '', ['DISCORD_CLIENT_ID is missing beside the client secret']],
])('the message for %j says why production is assumed, and what is wrong', (settings, why, problems) => {
  const lines = [`Cannot start. Please correct these settings${why}:`, ...problems.map((problem) => `  ${problem}`)]
  expect(() => readConfig({ CACHE_DIR: tmpdir(), ...settings })).toThrow(new Error(lines.join('\n')))
})

test('all wrong settings are named at once, without their values', () => {
  const wrong = Object.fromEntries(bad.map(([name]) => [name, `wrong value of ${name.toLowerCase()}`]))
  Object.assign(wrong, { DISCORD_CLIENT_ID: ' ', CACHE_DIR: '/dev/null/wrong value' })
  let message = ''
  try {
    readConfig({ ...good, ...wrong, DISCORD_CLIENT_SECRET: '' })
  } catch (error) {
    message = String(error)
  }
  for (const name of [...Object.keys(wrong), 'DISCORD_CLIENT_SECRET']) {
    if (name !== 'SESSION_SECRET') expect(message).toContain(`  ${name} `)
  }
  expect(message).not.toContain('wrong value')
})

test.each<Record<string, string>>([
  {},
  { BASE_URL: 'http://localhost:3000' },
  { BASE_URL: 'http://127.0.0.1' },
  { BASE_URL: 'HTTPS://Avatars.Example/' },
  { PORT: '1', METRICS_PORT: '65535', UPSTREAM_TIMEOUT_MS: '60000', CACHE_MAX_MB: '1' },
  { PORT: '65535', METRICS_PORT: '1', UPSTREAM_TIMEOUT_MS: '1', CACHE_MAX_MB: '1000000' },
  { SESSION_SECRET: `${sessionSecret}, ${sessionSecret.toUpperCase()}` },
  { SESSION_SECRET: '0123456789abcdef0123456789abcdef' },
  // These are not placeholders, though each contains one.
  { DISCORD_CLIENT_ID: '11', DISCORD_CLIENT_SECRET: 'Exchange-me7yours-whereof-todo_none-hereafter' },
  { HOST: '0.0.0.0' },
  { HOST: '::1' },
  { HOST: 'my_app.example' },
  { TRUST_PROXY: '1' },
  { TRUST_PROXY: 'loopback, 10.0.0.0/8,fd00::/8' },
  { TRUST_PROXY: 'linklocal,uniquelocal,fc00::/7,200::/7,2001:db8::/32' },
  { TRUST_PROXY: '203.0.113.7,2001:db8::1,::ffff:203.0.113.7,::ffff:10.0.0.0/104' },
  { DICEBEAR_URL: 'embedded' },
  { HTTPS_PROXY: 'http://user:p%4Ass@proxy.example:3128/', NO_PROXY: '.example,10.0.0.1-10.0.0.9' },
  { HTTPS_PROXY: 'proxy.example:3128', NO_PROXY: '*' },
  { HTTPS_PROXY: 'https://[2001:db8::1]' },
  { HTTPS_PROXY: 'HTTP://proxy.example' },
  { CONTACT: 'jo+avatars@mail.avatars.example', PRIVACY_URL: 'https://avatars.example/privacy?lang=en#cookies' },
  { CONTACT: 'mailto:jo@avatars.example', PRIVACY_URL: 'http://localhost' },
  { CONTACT: 'https://discord.gg/avatars', PRIVACY_URL: '' },
  { DICEBEAR_URL: 'http://dicebear:3000/10.x/' },
  { DISCORD_API_URL: 'http://[::1]:8080/@discord/api', DISCORD_AUTHORIZE_URL: 'http://discord.localhost/authorize/' },
  { PORT: '', CACHE_DIR: '', LOG_LEVEL: '', TRUST_PROXY: '' },
])('%o is accepted', (settings) => {
  expect(readConfig({ ...good, ...settings }).demo).toBe(false)
})

test.each<[settings: Record<string, string>, read: object]>([
  [{ CACHE_MAX_MB: '3' }, { cacheMaxBytes: 3 * 2 ** 20 }],
  [{ BASE_URL: 'HTTPS://Avatars.Example/' }, { baseUrl: 'https://avatars.example', https: true }],
  [{ DISCORD_API_URL: 'https://discord.example/api/' }, { discord: { apiUrl: 'https://discord.example/api' } }],
  [{ DICEBEAR_URL: 'https://dicebear.example/10.x/' }, { dicebearUrl: 'https://dicebear.example/10.x' }],
  [{ SESSION_SECRET: `${sessionSecret}, ${'y'.repeat(32)}` }, { sessionSecrets: [sessionSecret, 'y'.repeat(32)] }],
  [{ TRUST_PROXY: '2' }, { trustProxy: 2 }],
  [{ TRUST_PROXY: 'loopback, 10.0.0.0/8' }, { trustProxy: ['loopback', '10.0.0.0/8'] }],
  [
    { CONTACT: 'HTTPS://Avatars.Example/help/' },
    { contact: { href: 'HTTPS://Avatars.Example/help/', text: 'Avatars.Example/help' } },
  ],
  [{ CONTACT: 'mailto:jo@a.example' }, { contact: { href: 'mailto:jo@a.example', text: 'jo@a.example' } }],
  // As with curl, the names in lower case take precedence.
  [{ HTTPS_PROXY: 'a.example', https_proxy: 'b.example' }, { proxyEnv: { HTTPS_PROXY: 'http://b.example' } }],
  [{ HTTPS_PROXY: 'a.example:3128', https_proxy: '' }, { proxyEnv: { HTTPS_PROXY: 'http://a.example:3128' } }],
])('%j is read as %j', (settings, read) => {
  expect(readConfig({ ...good, ...settings })).toMatchObject(read)
})

test('without settings each start has secrets of its own', () => {
  const secrets = [1, 2].flatMap(() => {
    const { sessionSecrets, discord } = readConfig({ CACHE_DIR: tmpdir() })
    return [...sessionSecrets, discord.clientSecret]
  })
  expect(new Set(secrets).size).toBe(4)
  for (const secret of secrets) expect(secret.length).toBeGreaterThanOrEqual(32)
})

test('one Discord credential without the other is refused', () => {
  expect(() => readConfig({ DISCORD_CLIENT_ID: clientId })).toThrow('DISCORD_CLIENT_SECRET')
  expect(() => readConfig({ DISCORD_CLIENT_SECRET: clientSecret })).toThrow('DISCORD_CLIENT_ID')
})

test('the cache folder is created with its parents, and left empty', async () => {
  const folder = await emptyFolder()
  const CACHE_DIR = join(folder, 'not', 'yet', 'there')
  for (let start = 1; start <= 2; start += 1) {
    readConfig({ ...good, CACHE_DIR })
    expect(await readdir(CACHE_DIR)).toEqual([])
  }
})

test('a cache folder that cannot be created or written to is refused', async () => {
  const folder = await emptyFolder()
  const file = join(folder, 'a file')
  await writeFile(file, '')
  const link = join(folder, 'a link to nowhere')
  await symlink(join(folder, 'nowhere'), link)
  for (const CACHE_DIR of [file, join(file, 'below'), link, '/proc', '/proc/avatars/below']) {
    expect(() => readConfig({ ...good, CACHE_DIR })).toThrow(/\n {2}CACHE_DIR must be a folder [^\n]+ \(E[A-Z]+\)$/)
  }
})

describe('production', () => {
  const { NODE_ENV: _, ...withoutNodeEnv } = good
  const rules = ['SESSION_SECRET', 'REDIS_URL', 'DISCORD_CLIENT_ID', 'DISCORD_CLIENT_SECRET']

  /** The settings that an error message names, in the order of their names. */
  function namedBy(settings: Record<string, string>): string[] {
    try {
      readConfig(settings)
      return []
    } catch (error) {
      return [...new Set([...String(error).matchAll(/^ {2}([A-Z_]+) /gm)].map(([, name = '']) => name))].sort()
    }
  }

  test.each<[settings: Record<string, string>, named: string[]]>([
    [{ NODE_ENV: 'production' }, rules],
    [{ BASE_URL: 'https://avatars.example' }, rules],
    [{ BASE_URL: 'http://avatars.example' }, [...rules, 'BASE_URL']],
    [{ BASE_URL: 'http://192.168.1.7:3000' }, [...rules, 'BASE_URL']],
    [{ BASE_URL: 'http://[2001:db8::1]' }, [...rules, 'BASE_URL']],
    [{ BASE_URL: 'http://localhost.avatars.example' }, [...rules, 'BASE_URL']],
    [{ BASE_URL: 'http://notlocalhost' }, [...rules, 'BASE_URL']],
    [{ BASE_URL: 'avatars.example' }, [...rules, 'BASE_URL']],
    [{ ...withoutNodeEnv, BASE_URL: 'http://avatars.example' }, ['BASE_URL']],
    [{ ...withoutNodeEnv, REDIS_URL: '', SESSION_SECRET: '' }, ['REDIS_URL', 'SESSION_SECRET']],
    [{ ...withoutNodeEnv, NODE_ENV: 'development', REDIS_URL: '' }, ['REDIS_URL']],
    [{ ...withoutNodeEnv, DISCORD_CLIENT_ID: '', DISCORD_CLIENT_SECRET: '' }, rules.slice(2)],
    [{ ...withoutNodeEnv, DEMO: 'off', DISCORD_CLIENT_ID: '', DISCORD_CLIENT_SECRET: '' }, rules.slice(2)],
  ])('is assumed with %o, and its rules apply', (settings, named) => {
    expect(namedBy(settings)).toEqual(named.toSorted())
  })

  test('is not assumed for a loopback address without a scheme, which is the only problem then', () => {
    for (const BASE_URL of ['localhost:3000', '127.0.0.1', '[::1]:3000']) {
      expect([BASE_URL, namedBy({ BASE_URL })]).toEqual([BASE_URL, ['BASE_URL']])
    }
  })

  test('is given as the reason if BASE_URL alone means it', () => {
    const reason = 'a public BASE_URL means production'
    expect(() => readConfig({ BASE_URL: 'https://avatars.example' })).toThrow(reason)
    expect(() => readConfig({ NODE_ENV: 'production' })).not.toThrow(reason)
    expect(() => readConfig({ DEMO: 'on', BASE_URL: 'https://avatars.example', PORT: 'x' })).not.toThrow(reason)
  })

  test('is assumed for a public address, even for a demo', () => {
    const isProduction = (settings: Record<string, string>) =>
      readConfig({ ...settings, CACHE_DIR: tmpdir() }).production
    expect(isProduction(withoutNodeEnv)).toBe(true)
    expect(isProduction({ DEMO: 'on', BASE_URL: 'https://avatars.example' })).toBe(true)
    expect(isProduction({ DEMO: 'on', NODE_ENV: 'production' })).toBe(true)
    expect(isProduction({})).toBe(false)
  })

  const credentials = { DISCORD_CLIENT_ID: clientId, DISCORD_CLIENT_SECRET: clientSecret }

  test.each<[settings: Record<string, string>, demo: boolean]>([
    [{}, true],
    [{ DEMO: 'on' }, true],
    [{ DEMO: 'off' }, true],
    [{ BASE_URL: 'http://127.0.0.1:8080' }, true],
    [{ BASE_URL: 'http://[::1]:8080' }, true],
    [{ BASE_URL: 'https://avatars.localhost' }, true],
    [{ DEMO: 'on', BASE_URL: 'https://avatars.example' }, true],
    [{ DEMO: 'on', BASE_URL: 'http://avatars.example' }, true],
    [{ DEMO: 'on', NODE_ENV: 'production' }, true],
    // A developer tries their own Discord application on their own machine.
    [credentials, false],
    [{ ...credentials, BASE_URL: 'http://localhost:8080' }, false],
  ])('is not assumed with %o, and its rules do not apply', (settings, demo) => {
    expect(readConfig({ ...settings, CACHE_DIR: tmpdir() }).demo).toBe(demo)
  })

  test('refuses DEMO=on together with the credentials of a Discord application', () => {
    expect(namedBy({ ...good, DEMO: 'on' })).toEqual(['DEMO'])
    expect(namedBy({ ...good, DEMO: 'on', DISCORD_CLIENT_ID: '' })).toEqual(['DEMO', 'DISCORD_CLIENT_ID'])
    expect(namedBy({ ...good, DEMO: 'on', DISCORD_CLIENT_SECRET: '' })).toEqual(['DEMO', 'DISCORD_CLIENT_SECRET'])
    expect(namedBy({ ...good, DEMO: 'on', BASE_URL: 'http://avatars.example' })).toEqual(['BASE_URL', 'DEMO'])
    const publicDemo = { DEMO: 'on', BASE_URL: 'https://avatars.example' }
    const named = ['DEMO', 'REDIS_URL', 'SESSION_SECRET']
    expect(namedBy({ ...publicDemo, DISCORD_CLIENT_ID: clientId })).toEqual(['DISCORD_CLIENT_SECRET', ...named].sort())
    expect(namedBy({ ...publicDemo, DISCORD_CLIENT_SECRET: clientSecret })).toEqual(
      ['DISCORD_CLIENT_ID', ...named].sort(),
    )
  })
})

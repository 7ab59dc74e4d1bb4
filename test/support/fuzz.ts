import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc, { type Arbitrary } from 'fast-check'
import { expect } from 'vitest'
import { moods, styles } from '../../src/avatar/catalogue.ts'
import { look, openApp, signIn } from './open-app.ts'
import { openLines, type RawAnswer, type RawRequest } from './raw.ts'

/** The number of requests for each route: FUZZ_CASES, or 500. */
const cases = Number(process.env.FUZZ_CASES ?? 500)
/** FUZZ_SEED repeats the run whose failure printed this seed. */
const repeated = process.env.FUZZ_SEED ? { seed: Number(process.env.FUZZ_SEED) } : {}
/** How many requests are sent at the same time, in one run of a property. */
const together = 25

/** A tag that is part of the hostile texts. It must never become an element of a page. */
const marker = '<x-evil'

// Texts that may break out of HTML, JavaScript, a path, a header or a query, or that have broken some other program.
const shards = [
  `${marker} onx-evil=1>`, '"', "'", '`', '>', '<', '&', '&lt;', '&#60;', '/', '\\', '../', '..\\', ';', '=', ':', ' ', '{{7*7}}',
  '#{7*7}', '<%= 7*7 %>', '-->', '<!--', ']]>', '<![CDATA[', '</title>', '</textarea>', '</script>', 'javascript:x', '\0', '\x07', '\x1b[2J',
  '\r\n', '\n', '\t', '\u0085', '\u2028', '\u202e', '\u2066', '\u200d', '\ufeff', '\ufffe', '\ud800', '\udc00', '🦊', 'é', 'e\u0301', 'ﷺ',
  '__proto__', 'constructor', 'toString', 'null', 'undefined', 'NaN', '-1', '1e9', '0x10', '[]', '[object Object]', '$ne', '*', '(|(x=', "' OR 1=1--",
  'file:///etc/passwd', '//evil.example', '/\\evil.example', 'x',
] // biome-ignore format: a list of shards

// Percent-encodings that no browser writes.
const rawShards = [
  '%', '%%', '%0', '%zz', '%u003c', '%00', '%0d%0aX-Evil:1', '%c0%ae', '%ed%a0%80', '%ff', '%fe%ff', '%f4%90%80%80', '%25%30%30',
  '%3cx-evil%20onx=1%3e', '%2e%2e%2f', '%5c', '+', '#', '?', '&&', '==', 'a', '\xff', '\xc3', '[', ']', '[]', '[x]', '|', '^', '~',
] // biome-ignore format: a list of shards

const joined = (from: string[], maxLength: number) =>
  fc.array(fc.constantFrom(...from), { minLength: 1, maxLength }).map((parts) => parts.join(''))

const text = fc.oneof(
  { weight: 6, arbitrary: joined(shards, 6) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(joined(shards, 3), fc.integer({ min: 30, max: 1500 }))
      .map(([t, n]) => t.repeat(n).slice(0, 6000)),
  },
)

/** Values of a form or query: hostile texts that are percent-encoded as browsers do, or not at all. */
const encoded = fc.oneof(
  { weight: 5, arbitrary: text.map((value) => encodeURIComponent(value.toWellFormed())) },
  { weight: 2, arbitrary: joined(rawShards, 5) },
)

const fields = ['seed', 'style', 'backgroundColor', 'mood', 'animated']
const oddNames = [
  'seed[]',
  'seed[x]',
  '__proto__',
  '__proto__[x]',
  'constructor',
  'constructor.prototype',
  'toString',
  'notice',
  'avatar',
  'download',
  '',
]
const goodValues = [
  '',
  'on',
  'ffd29d',
  '%23c9c3f5',
  'transparent',
  ...styles.map(({ name }) => name),
  ...moods,
  '128',
  '512',
  'declined',
]

const pair = fc
  .tuple(
    fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...fields) },
      {
        weight: 2,
        arbitrary: fc.constantFrom(...oddNames, 'size', 'code', 'state', 'error', 'iss', 'next', 'returnTo'),
      },
      { weight: 1, arbitrary: encoded },
    ),
    fc.oneof({ weight: 3, arbitrary: encoded }, { weight: 2, arbitrary: fc.constantFrom(...goodValues) }),
  )
  .map(([name, value]) => `${name}=${value}`)
const pairs = fc.array(pair, { maxLength: 6 })

/** Bodies of a form: a valid choice with one hostile field, or random fields. */
export const formBody: Arbitrary<string> = fc.oneof(
  pairs.map((list) => list.join('&')),
  fc
    .tuple(fc.constantFrom(...fields), encoded, pairs)
    .map(([field, value, more]) =>
      [...Object.entries({ ...look, [field]: value }).map(([name, v]) => `${name}=${v}`), ...more]
        .join('&')
        .replaceAll('=#', '=%23'),
    ),
  joined(rawShards, 8),
)

export const query: Arbitrary<string> = fc.oneof(
  { weight: 1, arbitrary: fc.constant('') },
  { weight: 8, arbitrary: formBody.map((list) => `?${targetSafe(list)}`) },
)

// Replaces spaces and control characters, because with them the request line would be another one, or invalid.
function targetSafe(target: string): string {
  return target.replace(/[ \p{Cc}]/gu, '_')
}

/** Segments of a path. */
export const segment: Arbitrary<string> = fc
  .oneof(
    encoded,
    joined(['..', '%2e%2e', '%2f', '/', '\\', '%5c', '.', '%00', '~', 'etc', 'passwd', '.svg', '.png', '%'], 6),
  )
  .map(targetSafe)

const headerNames = [
  'Accept', 'Accept-Language', 'Accept-Encoding', 'Origin', 'Sec-Fetch-Site', 'Sec-Purpose', 'Purpose', 'Referer', 'User-Agent',
  'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'Forwarded', 'X-Real-IP', 'If-None-Match', 'If-Modified-Since', 'If-Match',
  'Range', 'Content-Type', 'Content-Encoding', 'Cookie', 'Authorization', 'X-HTTP-Method-Override', 'X-Request-Id', 'Cache-Control', 'Expect',
] // biome-ignore format: a list of names
const headerValues = [
  'application/json', 'text/html', '*/*;q=0', 'same-origin', 'cross-site', 'null', 'prefetch', 'gzip', 'br;q=1, gzip', 'bytes=0-0,5-', 'bytes=9-1',
  '*', 'W/"x"', '"', '127.0.0.1', '::1', 'fe80::1%eth0', '::ffff:1.2.3.4', '999.1.1.1, x', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded; charset=utf-7',
  'application/x-www-form-urlencoded; charset=iso-8859-1', 'https://evil.example', 'Thu, 01 Jan 1970 00:00:00 GMT', '100-continue', 'q'.repeat(3000),
] // biome-ignore format: a list of values

// Removes what Node's parser refuses, because such requests do not reach the app.
const headerSafe = (value: string) =>
  Buffer.from(value)
    .toString('latin1')
    .replace(/(?!\t)\p{Cc}/gu, '')

const header: Arbitrary<[string, string]> = fc.tuple(
  fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...headerNames) },
    { weight: 1, arbitrary: fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/).map((name) => `X-${name}`) },
  ),
  fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...headerValues) }, { weight: 1, arbitrary: text.map(headerSafe) }),
)
const someHeaders = fc.oneof(
  { weight: 1, arbitrary: fc.constant<[string, string][]>([]) },
  // Most requests ask for JSON, because errors in JSON take least time.
  { weight: 3, arbitrary: fc.constant<[string, string][]>([['Accept', 'application/json']]) },
  { weight: 2, arbitrary: fc.array(header, { maxLength: 4 }) },
)

/** Cookie headers: the given one, damaged ones, and made-up ones. */
export function cookieHeader(good: string): Arbitrary<string> {
  const damaged = fc
    .tuple(fc.nat({ max: good.length - 1 }), text)
    .map(([at, wrong]) => good.slice(0, at) + headerSafe(wrong) + good.slice(at + 1))
  const madeUp = fc
    .array(
      fc.tuple(
        fc.constantFrom(
          'avatar-session-80',
          'avatar-switch-account-80',
          'state-0123456789abcdef',
          'state-',
          '__proto__',
          '',
          '__Host-avatar-session',
        ),
        encoded,
      ),
    )
    .map((list) => list.map(([name, value]) => `${name}=${value}`).join('; '))
  return fc.oneof({ weight: 3, arbitrary: fc.constant(good) }, damaged, madeUp.map(headerSafe))
}

type Route = {
  method?: Arbitrary<string>
  target: Arbitrary<string>
  cookie?: Arbitrary<string>
  body?: Arbitrary<string | undefined>
}

const formType: [string, string] = ['Content-Type', 'application/x-www-form-urlencoded']

function requestTo({ method = fc.constant('GET'), target, cookie, body }: Route): Arbitrary<RawRequest> {
  return fc
    .record({
      method,
      target,
      headers: someHeaders,
      cookie: cookie ?? fc.constant(''),
      body: body ?? fc.constant(undefined),
    })
    .map(({ method, target, headers, cookie, body }) => ({
      method,
      target,
      headers: [
        ...(body !== undefined && !headers.some(([name]) => name === 'Content-Type') ? [formType] : []),
        ...(cookie === '' ? [] : [['Cookie', cookie] satisfies [string, string]]),
        ...headers,
      ],
      ...(body === undefined ? {} : { body }),
    }))
}

/** Opens the app with a cache folder that is watched. `holds` sends it random requests. */
export async function openTarget(settings: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'))
  const cacheDir = join(folder, 'cache')
  mkdirSync(cacheDir)
  const app = await openApp({
    settings: { CACHE_DIR: cacheDir, LOG_LEVEL: 'silent', DICEBEAR_URL: 'embedded', ...settings },
  })
  const lines = openLines(Number(new URL(app.url).port), 8)

  /** Returns the cookies of a visitor who has an avatar, and the avatar's id. */
  async function newVisitor() {
    const visitor = app.visitor()
    const back = await signIn(app, visitor)
    const cookie =
      back
        .get('Set-Cookie')
        ?.find((line) => line.startsWith('avatar-session-'))
        ?.split(';')[0] ?? ''
    const page = await visitor.get('/show_avatar')
    return { cookie, id: /\/avatars\/([0-9a-f]{64})\.svg/.exec(page.text)?.[1] ?? '' }
  }

  /** Returns the cookies of a visitor who is at Discord, and the query of the callback. */
  async function away() {
    const visitor = app.visitor()
    const leaving = await visitor.post('/get_avatar').type('form').send(look)
    const callback = new URL(app.discord.codeFor(leaving.headers.location ?? ''))
    return { cookie: leaving.get('Set-Cookie')?.[0]?.split(';')[0] ?? '', search: callback.search.slice(1) }
  }

  return {
    newVisitor,
    away,
    /**
     * Sends random requests to the route. Throws, with the seed that repeats the run, if an answer breaks a promise: it
     * is a 5xx, contains a tag of the sender or internals, lacks the security headers, sets an unknown cookie,
     * redirects to another site, or if a file is written outside of the cache folder.
     */
    async holds(route: Route): Promise<void> {
      await fc.assert(
        fc.asyncProperty(fc.array(requestTo(route), { minLength: together, maxLength: together }), async (requests) => {
          for (const [i, answer] of (await lines.ask(requests)).entries()) {
            const wrong = wrongIn(answer, [app.url, app.discord.authorizeUrl])
            if (wrong)
              throw new Error(
                `${wrong}: ${JSON.stringify(requests[i])} -> ${answer.status} ${answer.body.toString().slice(0, 2000)}`,
              )
          }
        }),
        { numRuns: Math.ceil(cases / together), endOnFailure: true, ...repeated },
      )
      expect(readdirSync(folder)).toEqual(['cache'])
      expect(
        readdirSync(cacheDir, { recursive: true, encoding: 'utf8' }).filter((name) => !isCached.test(name)),
      ).toEqual([])
    },
    async close() {
      lines.close()
      await app.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const isCached = /^[0-9a-f]{2}(\/[0-9a-f]{64}\.svg(\.\d+)?)?$/
const insides = ['node_modules', '/src/', '.ts:', '\n    at ']
const isOwnCookie = /^(avatar-session-\d+|state-[\w-]{16}|avatar-switch-account-\d+)=/

/** Returns which promise an answer breaks, or undefined. */
function wrongIn({ status, headers, body }: RawAnswer, [own = '', authorizeUrl = '']: string[]): string | undefined {
  const only = (name: string) => headers.get(name)?.join(', ') ?? ''
  if (status === 417 && body.length === 0) return undefined
  if (status >= 500) return 'a 5xx status'
  if (body.includes(marker) && !/^application\/(problem\+)?json/.test(only('content-type')))
    return 'a tag that was sent'
  if (insides.some((inside) => body.includes(inside))) return 'internals of the app'
  if (!only('content-security-policy').startsWith("default-src 'none'")) return 'no content policy'
  if (only('x-content-type-options') !== 'nosniff') return 'no nosniff'
  if (only('x-frame-options') !== 'DENY') return 'no X-Frame-Options'
  if (only('referrer-policy') !== 'same-origin') return 'no referrer policy'
  if (headers.has('x-evil') || headers.has('x-powered-by')) return 'an unknown header'
  if (
    body.length > 0 &&
    !/^(text\/(plain|html|css|javascript)|application\/(problem\+)?json|image\/(svg\+xml|png))/.test(
      only('content-type'),
    )
  )
    return 'an unknown content type'
  const cookies = headers.get('set-cookie') ?? []
  if (!cookies.every((line) => isOwnCookie.test(line) && line.includes('; HttpOnly'))) return 'an unknown cookie'
  const [location] = headers.get('location') ?? []
  if (location === undefined) return undefined
  const { origin, pathname } = new URL(location, own)
  const leads = origin === own ? ['/', '/show_avatar'].includes(pathname) : `${origin}${pathname}` === authorizeUrl
  return leads ? undefined : 'a redirect to another site'
}

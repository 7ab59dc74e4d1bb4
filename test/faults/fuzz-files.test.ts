import fc from 'fast-check'
import { afterAll, beforeAll, test } from 'vitest'
import { assetOf } from '../../src/middleware/public-files.ts'
import { cookieHeader, formBody, openTarget, query, segment } from '../support/fuzz.ts'

// Random requests for pictures and for all other addresses. The promises are those of `holds` in test/support/fuzz.ts.

type Target = Awaited<ReturnType<typeof openTarget>>
let app: Target
let known: { cookie: string; id: string }

const longMs = 240_000

beforeAll(async () => {
  app = await openTarget()
  known = await app.newVisitor()
})
afterAll(() => app.close())

const post = fc.constant('POST')
const anyMethod = fc.constantFrom(
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'SEARCH',
)
const ownOrNot = () => fc.oneof({ weight: 1, arbitrary: fc.constant(known.id) }, { weight: 4, arbitrary: segment })

test(
  'GET /avatars/{id}.svg withstands random requests',
  () =>
    app.holds({
      target: fc.tuple(ownOrNot(), query).map(([id, asked]) => `/avatars/${id}.svg${asked}`),
      cookie: cookieHeader(known.cookie),
    }),
  longMs,
)

test(
  'GET /avatars/{id}.png withstands random requests',
  () =>
    app.holds({
      target: fc.tuple(ownOrNot(), query).map(([id, asked]) => `/avatars/${id}.png${asked}`),
      cookie: cookieHeader(known.cookie),
    }),
  longMs,
)

test(
  'POST /avatars/{id}/forget, restore, keep and unkeep withstand random requests',
  async () => {
    const forgetful = await app.newVisitor()
    await app.holds({
      method: post,
      target: fc
        .tuple(
          fc.oneof(segment, fc.constantFrom(forgetful.id, 'removed')),
          fc.constantFrom('forget', 'restore', 'keep', 'unkeep'),
          query,
        )
        .map(([id, action, asked]) => `/avatars/${id}/${action}${asked}`),
      cookie: cookieHeader(forgetful.cookie),
      body: formBody,
    })
  },
  longMs,
)

test(
  'POST /sign_out withstands random requests',
  async () => {
    const leaving = await app.newVisitor()
    await app.holds({
      method: post,
      target: query.map((asked) => `/sign_out${asked}`),
      cookie: cookieHeader(leaving.cookie),
      body: formBody,
    })
  },
  longMs,
)

test(
  'GET /preview.svg withstands random requests',
  () => app.holds({ target: query.map((asked) => `/preview.svg${asked}`) }),
  longMs,
)

test(
  'GET /og.png withstands random requests',
  () =>
    // An invalid field, because a valid look would take long to draw.
    app.holds({ target: query.map((asked) => `/og.png${asked || '?'}&animated=no`) }),
  longMs,
)

test(
  'GET /look.png withstands random requests',
  () => app.holds({ target: query.map((asked) => `/look.png${asked || '?'}&animated=no`) }),
  longMs,
)

test(
  'GET /licences withstands random requests',
  () => app.holds({ method: fc.constantFrom('GET', 'HEAD'), target: query.map((asked) => `/licences${asked}`) }),
  longMs,
)

test(
  '/healthz and /readyz withstand random requests',
  () =>
    app.holds({
      method: anyMethod,
      target: fc.tuple(fc.constantFrom('/healthz', '/readyz'), query).map((parts) => parts.join('')),
    }),
  longMs,
)

test(
  'any other address withstands random requests with any method and body, and with rate limits',
  async () => {
    const limited = await openTarget({ RATE_LIMIT: 'on', TRUST_PROXY: '1' })
    const path = fc.oneof(
      fc.array(segment, { maxLength: 5 }).map((segments) => `/${segments.join('/')}`),
      fc.constantFrom(
        '/style.css',
        assetOf('js/form.js').url,
        '/',
        '*',
        '//',
        '/demo/discord',
        '/avatars',
        '/avatars/',
        '/get_avatar/',
        'http://evil.example/',
        'http://[',
        '/.env',
      ),
    )
    try {
      await limited.holds({
        method: anyMethod,
        target: fc.tuple(path, query).map((parts) => parts.join('')),
        body: fc.option(formBody, { nil: undefined }),
      })
    } finally {
      await limited.close()
    }
  },
  longMs,
)

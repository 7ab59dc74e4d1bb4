import fc from 'fast-check'
import { afterAll, beforeAll, test } from 'vitest'
import { cookieHeader, formBody, openTarget, query, segment } from '../support/fuzz.ts'

// Whatever is sent to a page: no failure, no tag of the sender's, no stray file, no way out, always our headers.

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

test('GET /', () => app.holds({ target: query.map((asked) => `/${asked}`) }), longMs)

test('POST /get_avatar', () => app.holds({ method: post, target: fc.constant('/get_avatar'), body: formBody }), longMs)

test(
  'GET /get_avatar',
  async () => {
    const { cookie, search } = await app.away()
    // The real thing with something before or after it, which makes it no real thing.
    const nearly = query.map((asked) => `?${search}&state=${asked.slice(1)}`)
    const target = fc.oneof(query, nearly).map((asked) => `/get_avatar${asked}`)
    await app.holds({ target, cookie: cookieHeader(cookie) })
  },
  longMs,
)

test(
  'GET /show_avatar',
  () => {
    const named = fc.oneof(
      query,
      segment.map((id) => `?avatar=${id}`),
      fc.constant(`?avatar=${known.id}`),
    )
    // Damaged, so that most are refused early.
    return app.holds({ target: named.map((asked) => `/show_avatar${asked}`), cookie: cookieHeader(known.cookie) })
  },
  longMs,
)

test(
  'POST /show_avatar',
  () =>
    app.holds({
      method: post,
      target: fc.constant('/show_avatar'),
      cookie: cookieHeader(known.cookie),
      body: formBody.map((fields) => `${fields}&animated=no`),
    }),
  longMs,
)

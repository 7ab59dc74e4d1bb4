import fc from 'fast-check'
import { afterAll, beforeAll, test } from 'vitest'
import { cookieHeader, formBody, openTarget, query, segment } from '../support/fuzz.ts'

// Random requests for pages. The promises are those of `holds` in test/support/fuzz.ts.

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

test('GET / withstands random requests', () => app.holds({ target: query.map((asked) => `/${asked}`) }), longMs)

test(
  'POST /get_avatar withstands random requests',
  () => app.holds({ method: post, target: fc.constant('/get_avatar'), body: formBody }),
  longMs,
)

test(
  'GET /get_avatar withstands random requests',
  async () => {
    const { cookie, search } = await app.away()
    // The real callback with something before or after its state, which makes it invalid.
    const nearly = query.map((asked) => `?${search}&state=${asked.slice(1)}`)
    const target = fc.oneof(query, nearly).map((asked) => `/get_avatar${asked}`)
    await app.holds({ target, cookie: cookieHeader(cookie) })
  },
  longMs,
)

test(
  'GET /show_avatar withstands random requests',
  () => {
    const named = fc.oneof(
      query,
      segment.map((id) => `?avatar=${id}`),
      fc.constant(`?avatar=${known.id}`),
    )
    return app.holds({ target: named.map((asked) => `/show_avatar${asked}`), cookie: cookieHeader(known.cookie) })
  },
  longMs,
)

test(
  'POST /show_avatar withstands random requests',
  () =>
    app.holds({
      method: post,
      target: fc.constant('/show_avatar'),
      cookie: cookieHeader(known.cookie),
      body: formBody.map((fields) => `${fields}&animated=no`),
    }),
  longMs,
)

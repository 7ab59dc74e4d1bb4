import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { assetOf } from '../../src/middleware/public-files.ts'
import { type AskOptions, ask } from '../support/ask.ts'
import { openApp, shownAvatar, signIn, type TestApp } from '../support/open-app.ts'

let app: TestApp
beforeAll(async () => {
  // A long timeout, because the machine may be busy and this file does not test timeouts.
  app = await openApp({ settings: { UPSTREAM_TIMEOUT_MS: '10000' } })
})
afterAll(() => app.close())

/** Requests a path. The body of the answer is not decompressed. */
const raw = (path: string, asked?: AskOptions) => ask(app.url, path, asked)

const decompress: Record<string, (body: Buffer) => Buffer> = { br: brotliDecompressSync, gzip: gunzipSync }
const manyAtOnce = 30

describe('text', () => {
  // A fixed seed, because without one each answer would have another.
  const texts = [
    '/?seed=x',
    '/?seed=x&style=rings',
    '/licences',
    '/style.css',
    assetOf('js/form.js').url,
    '/preview.svg?style=rings&seed=x',
  ]
  const cases = ['br', 'gzip'].flatMap((encoding) => texts.map((path) => [encoding, path] as const))

  test.each(cases)('is compressed by %s for clients that accept it: %s', async (encoding, path) => {
    const plain = await raw(path)
    expect([plain.status, plain.headers['content-encoding']]).toEqual([200, undefined])
    for (let time = 0; time < 2; time++) {
      const compressed = await raw(path, { headers: { 'Accept-Encoding': encoding } })
      expect([compressed.status, compressed.headers['content-encoding']]).toEqual([200, encoding])
      expect(compressed.headers['content-type']).toBe(plain.headers['content-type'])
      expect(compressed.headers['cache-control']).toBe(plain.headers['cache-control'])
      expect(compressed.body.length).toBeLessThan(plain.body.length)
      expect(decompress[encoding]?.(compressed.body)).toEqual(plain.body)
    }
  })

  test.each(texts)('has Vary: Accept-Encoding: %s', async (path) => {
    for (const headers of [{}, { 'Accept-Encoding': 'br' }]) {
      expect((await raw(path, { headers })).headers.vary).toMatch(/\bAccept-Encoding\b/i)
    }
  })

  test.each(['identity', 'deflate;q=0, br;q=0, gzip;q=0', 'x-none'])(
    'is not compressed for clients that accept only %s',
    async (encodings) => {
      const answer = await raw('/', { headers: { 'Accept-Encoding': encodings } })
      expect([answer.status, answer.headers['content-encoding']]).toEqual([200, undefined])
      expect(answer.body.toString()).toContain('</html>')
    },
  )

  test('is compressed by brotli for a browser that accepts both', async () => {
    const headers = { 'Accept-Encoding': 'gzip, deflate, br, zstd' }
    for (const path of ['/', '/licences', '/style.css']) {
      expect((await raw(path, { headers })).headers['content-encoding']).toBe('br')
    }
  })

  test('is compressed, and PNGs are not', async () => {
    const { headers } = await raw('/icon-180.png', { headers: { 'Accept-Encoding': 'br, gzip' } })
    expect(headers['content-encoding']).toBeUndefined()
  })

  test('has no body in the answer to a HEAD request', async () => {
    const head = await raw('/', { method: 'HEAD', headers: { 'Accept-Encoding': 'br' } })
    expect([head.status, head.body.length]).toEqual([200, 0])
    expect(head.headers['content-type']).toBe((await raw('/')).headers['content-type'])
  })

  test('is answered with 304 if the client has it, compressed or not', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const id = shownAvatar((await visitor.get('/show_avatar')).text)
    for (const encoding of ['br', 'identity']) {
      const first = await visitor.get(`/avatars/${id}.svg`).set('Accept-Encoding', encoding)
      const again = await visitor
        .get(`/avatars/${id}.svg`)
        .set('Accept-Encoding', encoding)
        .set('If-None-Match', first.headers.etag ?? '')
      expect([first.status, again.status, again.headers.etag]).toEqual([200, 304, first.headers.etag])
    }
  })
})

describe('cached pages', () => {
  const looks = [
    '/?seed=one',
    '/?seed=one&notice=declined',
    '/?seed=one&notice=sign-in',
    '/?seed=one&notice=nonsense',
    '/?seed=one&style=bottts',
    '/?seed=one&style=bottts&notice=declined',
    '/?seed=one&style=there-is-none',
    '/?seed=%3Cb%3E',
    '/?seed=one&animated=on',
    '/?seed=one&backgroundColor=transparent',
  ]

  test('show the look and the notice that their address names, at the first and the second request', async () => {
    const first = await Promise.all(looks.map(async (path) => (await raw(path)).body.toString()))
    const again = await Promise.all(
      looks.map(async (path) => {
        const { body } = await raw(path, { headers: { 'Accept-Encoding': 'gzip' } })
        return gunzipSync(body).toString()
      }),
    )
    expect(again).toEqual(first)
    const [plain, declined, signInAgain, nonsense, bottts, both, wrong, tag] = first
    expect(nonsense).toBe(plain)
    expect(declined).toContain('You cancelled at Discord')
    expect(signInAgain).toContain('Discord wants you to sign in again')
    expect(plain).not.toMatch(/You cancelled|sign in again|made no sense/)
    expect(bottts).toMatch(/value="bottts"[^>]* checked/)
    expect(bottts).not.toContain('You cancelled at Discord')
    expect(both).toMatch(/value="bottts"[^>]* checked/)
    expect(both).toContain('You cancelled at Discord')
    expect(wrong).toContain('made no sense to us')
    expect(plain).toContain('value="one"')
    expect(tag).toContain('value="&lt;b&gt;"')
  })
})

describe('many requests at once for link preview pictures', () => {
  const card = (seed: string) => raw(`/og.png?style=rings&seed=${encodeURIComponent(seed)}`)

  test('render the same picture once', async () => {
    const cards = await Promise.all(Array.from({ length: manyAtOnce }, () => card('the same')))
    expect(new Set(cards.map(({ status }) => status))).toEqual(new Set([200]))
    expect(new Set(cards.map(({ body }) => body.toString('base64'))).size).toBe(1)
  })

  test('get 503 with Retry-After if the queue is full, and their pictures otherwise', async () => {
    const cards = await Promise.all(Array.from({ length: manyAtOnce }, (_, i) => card(`number ${i}`)))
    const refused = cards.filter(({ status }) => status === 503)
    const [firstRefused = 0] = cards.flatMap(({ status }, i) => (status === 503 ? [i] : []))
    expect(cards.filter(({ status }) => status === 200).length).toBeGreaterThan(10)
    expect(refused.length).toBeGreaterThan(0)
    for (const { headers, body } of refused) {
      expect(headers['retry-after']).toMatch(/^[1-9]$/)
      expect(headers['cache-control']).toBe('no-store')
      expect(body.toString()).toContain('Many pictures at once')
    }
    // A refusal is not remembered.
    expect((await card(`number ${firstRefused}`)).status).toBe(200)
  }, 60_000)
})

import { parse as parseDisposition } from 'content-disposition'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { drawGif } from '../../src/pictures/gif.ts'
import { at } from '../support/doubles.ts'
import { drawn, styleList } from '../support/drawn.ts'
import { faults } from '../support/faults.ts'
import { openApp, shownAvatar, signIn, type TestApp, type Visitor } from '../support/open-app.ts'

/** A look that renders quickly, because few of its frames differ. */
const quick = { style: 'moods', seed: 'kit', backgroundColor: '#ffd29d', mood: 'happy', animated: 'on' }

let app: TestApp
beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())
afterEach(() => app.dicebear.heal())

/** Signs in with this look. Returns the visitor, the avatar's page and the address of the GIF. */
async function wear(choice: Record<string, string>) {
  const visitor = app.visitor()
  const landed = await signIn(app, visitor, choice)
  expect(landed.headers.location).toBe('/show_avatar')
  const { text } = await visitor.get('/show_avatar')
  return { visitor, text, gif: `/avatars/${shownAvatar(text)}.gif` }
}

/** Restyles the avatar of a signed-in visitor. Returns the address of the GIF. */
async function change(visitor: Visitor, choice: Record<string, string>): Promise<string> {
  expect((await visitor.post('/show_avatar').type('form').send(choice)).status).toBe(303)
  return `/avatars/${shownAvatar((await visitor.get('/show_avatar')).text)}.gif`
}

const gifLink = (html: string) => /<a class="button [a-z]+" href="([^"]*\.gif[^"]*)"/.exec(html)?.[1]

describe('the GIF of a look that moves', () => {
  let visitor: Visitor
  let text: string
  let gif: string
  beforeAll(async () => {
    ;({ visitor, text, gif } = await wear(quick))
  })

  test('is linked on the avatar’s page, which says what it is for', async () => {
    expect(gifLink(text)).toBe(`${gif}?download`)
    expect(text).toContain(words.profile.nitro)
    const { status, headers, body } = await visitor.get(`${gif}?download`)
    expect([status, headers['content-type']]).toEqual([200, 'image/gif'])
    expect(parseDisposition(headers['content-disposition'] ?? '').parameters.filename).toBe(
      'juniper.moss-moods-happy.gif',
    )
    const { format, width, pageHeight, pages, loop } = await sharp(body, { animated: true }).metadata()
    expect({ format, width, pageHeight, loop }).toEqual({ format: 'gif', width: 256, pageHeight: 256, loop: 0 })
    expect(pages).toBeGreaterThan(1)
  })

  test('is served once, and answered with 304 afterwards', async () => {
    const { headers } = await visitor.get(gif)
    expect(headers).toMatchObject({ 'cache-control': 'private, max-age=31536000, immutable' })
    expect(headers['content-disposition']).toBeUndefined()
    const again = await visitor.get(gif).set('If-None-Match', headers.etag ?? '')
    expect(again.status).toBe(304)
    const svg = await visitor.get(gif.replace(/gif$/, 'svg'))
    expect(headers.etag).not.toBe(svg.headers.etag)
  })

  test('is served to its owner only', async () => {
    expect((await app.visitor().get(gif)).status).toBe(404)
    const { visitor: other } = await wear({ ...quick, seed: 'another' })
    expect((await other.get(gif)).status).toBe(404)
  })
})

describe('there is no GIF of a look without animation', () => {
  test.each([
    ['without “Animate”', { ...quick, animated: '' }],
    ['in a style that does not move', { ...quick, style: 'adventurer' }],
    ['with a seed that has nothing that moves', { ...quick, style: 'landscape', seed: 'fern', mood: '' }],
  ])('%s', async (_, choice) => {
    const { visitor, text, gif } = await wear(choice)
    expect(gifLink(text)).toBeUndefined()
    expect(text).not.toContain('Nitro')
    expect((await visitor.get(gif)).status).toBe(404)
  })
})

test('the GIF shows the library’s drawing if DiceBear’s SVG moves in a way that only browsers support', async () => {
  const choice = { ...quick, seed: 'for browsers' }
  const own = drawn(choice)
  const once = own.replace(/linear infinite/g, 'linear 3')
  expect(once).not.toBe(own)
  app.dicebear.fail(at.svg, faults.answer(200, once, { 'content-type': 'image/svg+xml' }))
  const { visitor, gif } = await wear(choice)
  expect((await visitor.get(gif.replace(/gif$/, 'svg'))).body.toString()).toBe(once)
  expect((await visitor.get(gif)).body).toEqual(await drawGif(own))
})

test('a GIF for which the queue has no room is answered with 503 and Retry-After, and with 200 later', async () => {
  const { visitor, gif: first } = await wear({ ...quick, seed: 'roll 0' })
  const gifs = [first]
  for (let roll = 1; roll < 6; roll += 1) gifs.push(await change(visitor, { ...quick, seed: `roll ${roll}` }))
  const order: number[] = []
  const answers = gifs.map(async (gif) => {
    const { status, headers, text, body } = await visitor.get(gif).set('Accept', 'text/html')
    order.push(status)
    return { gif, status, headers, text, body }
  })
  const all = await Promise.all(answers)
  // One is refused at once. On a busy machine another one may have waited too long in the end.
  expect(order.slice(0, 2)).toEqual([503, 200])
  const pictures = all.flatMap(({ status, body }) => (status === 200 ? [body.toString('base64')] : []))
  expect(new Set(pictures).size).toBe(pictures.length) // each look has its own
  const refused = all.find(({ status }) => status === 503)
  expect(Number(refused?.headers['retry-after'])).toBeGreaterThan(0)
  expect(refused?.text).toContain('Many pictures at once')
  expect((await visitor.get(refused?.gif ?? '')).status).toBe(200)
}, 60_000)

describe('a GIF', { timeout: 60_000 }, () => {
  const moving = styleList.flatMap(({ name, animated }) => (animated ? [name] : []))

  /** Returns how much each frame differs from the next, and the last from the first, over all channels. */
  function steps(pixels: Buffer, pages: number): number[] {
    const length = pixels.length / pages
    return Array.from({ length: pages }, (_, page) => {
      let difference = 0
      const next = ((page + 1) % pages) * length
      for (let i = 0; i < length; i += 1)
        difference += Math.abs((pixels[page * length + i] ?? 0) - (pixels[next + i] ?? 0))
      return difference / length
    })
  }

  test.each([
    ['clay', 'ffd29d', 256], // the speed of every animation is changed a little, so that all end together
    ['loops', 'ffd29d', 256], // no speed is changed; the end fades into the beginning
    ['glass', '', 128], // has blurs
  ])(
    'of %s on %o is %i pixels wide, loops without a jump, in 4 to 8 seconds, and is under a megabyte',
    async (style, backgroundColor, size) => {
      expect(moving).toContain(style)
      const gif = await drawGif(drawn({ seed: 'kit', style, backgroundColor, animated: 'on' }))
      expect(gif.length).toBeLessThan(1_000_000)
      const { pages = 0, delay = [], loop, width, pageHeight } = await sharp(gif, { animated: true }).metadata()
      expect({ loop, width, pageHeight }).toEqual({ loop: 0, width: size, pageHeight: size })
      const lastsMs = delay.reduce((sum, one) => sum + one, 0)
      expect(lastsMs).toBeGreaterThanOrEqual(4_000)
      expect(lastsMs).toBeLessThanOrEqual(8_000)
      const all = steps(await sharp(gif, { animated: true }).ensureAlpha().raw().toBuffer(), pages)
      expect(pages).toBeGreaterThan(20)
      expect(all.at(-1)).toBeLessThanOrEqual(1.25 * Math.max(...all.slice(0, -1)))
    },
  )

  test('has no half-transparent pixels: a translucent drawing is put on white, others stay transparent', async () => {
    const [translucent, opaque] = await Promise.all(
      ['blobs', 'gaze'].map(async (style) => {
        const gif = await drawGif(drawn({ seed: 'kit', style, animated: 'on' }))
        return sharp(gif).ensureAlpha().extractChannel('alpha').raw().toBuffer()
      }),
    )
    expect(new Set(translucent)).toEqual(new Set([255]))
    expect(new Set(opaque)).toEqual(new Set([0, 255]))
  })
})

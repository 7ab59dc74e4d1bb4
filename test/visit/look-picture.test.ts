// Looks for use on other sites: GET /look.png, and the section "Use it elsewhere" of the avatar's page.
import { Avatar, Style } from '@dicebear/core'
import adventurer from '@dicebear/styles/adventurer.json' with { type: 'json' }
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { ask } from '../support/ask.ts'
import { at } from '../support/doubles.ts'
import { look, openApp, shownAvatar, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { openReader, type Reader } from '../support/page.ts'

let app: TestApp
let reader: Reader

beforeAll(async () => {
  ;[app, reader] = await Promise.all([openApp(), openReader()])
})
afterAll(() => Promise.all([app.close(), reader.close()]))

const png = (fields: Record<string, string>) => ask(app.url, `/look.png?${new URLSearchParams(fields)}`)

describe('GET /look.png', () => {
  test.each(['128', '256', '512', '1024'])('is a PNG of %s pixels that other sites may show', async (size) => {
    const answer = await png({ ...look, size })
    expect(answer.status).toBe(200)
    expect(answer.headers).toMatchObject({
      'content-type': 'image/png',
      'cross-origin-resource-policy': 'cross-origin',
      'cache-control': 'public, max-age=86400',
    })
    expect(answer.headers['set-cookie']).toBeUndefined()
    const { width, height, format } = await sharp(answer.body).metadata()
    expect([width, height, format]).toEqual([Number(size), Number(size), 'png'])
  })

  test('is 512 pixels wide by default, and not animated', async () => {
    const { width } = await sharp((await png(look)).body).metadata()
    expect(width).toBe(512)
    const sprouts = { style: 'sprouts', seed: 'fern' }
    expect((await png({ ...sprouts, animated: 'on' })).body).toEqual((await png(sprouts)).body)
  })

  test('and the picture of a link preview are not animated; without a seed the latter shows an example', async () => {
    const card = async (query: string) => (await ask(app.url, `/og.png?style=sprouts${query}`)).headers.etag
    const [still, moving] = [await card('&seed=juniper'), await card('&seed=juniper&animated=on')]
    expect([moving, await card('')]).toEqual([still, still])
  })

  test.each([
    ['size=100', 'size=0512', 'size=', 'size=1e3', 'size=128&size=128', 'size[]=128&size=-1'],
    ['style=nope', 'style=', 'style=rings&style=rings', 'style=micah&mood=sleepy', 'style=rings&backgroundColor=red'],
  ])('refuses %s and similar queries', async (...queries) => {
    for (const query of queries) {
      const answer = await ask(app.url, `/look.png?${query.startsWith('size') ? `style=rings&seed=a&${query}` : query}`)
      expect([query, answer.status]).toEqual([query, 400])
    }
  })
})

test('the link preview picture names the chosen mood, even if pinned parts make moods look the same', async () => {
  const pins = {
    mouthVariant: 'variant01',
    eyesVariant: 'variant01',
    eyebrowsVariant: 'variant04',
    glassesVariant: 'none',
  }
  const card = (mood: string) => ask(app.url, `/og.png?${new URLSearchParams({ ...look, ...pins, mood })}`)
  const [happy, sad] = [await card('happy'), await card('sad')]
  expect([happy.status, sad.status]).toEqual([200, 200])
  expect(happy.body.equals(sad.body)).toBe(false)
  // The name of the look is the title. The title of the site is below it, and the same for all looks.
  const [title, subtitle] = ['f3f0ea', 'b6c4c9']
  expect(await pixelsIn(happy.body, title)).not.toEqual(await pixelsIn(sad.body, title))
  expect(await pixelsIn(happy.body, subtitle)).toEqual(await pixelsIn(sad.body, subtitle))
})

/** Returns the places of the pixels of a PNG that have this colour, counted from the first one. There are some. */
async function pixelsIn(png: Buffer, colour: string): Promise<number[]> {
  const data = await sharp(png).removeAlpha().raw().toBuffer()
  const wanted = Number.parseInt(colour, 16)
  const places: number[] = []
  for (let at = 0; at < data.length; at += 3) if (data.readUIntBE(at, 3) === wanted) places.push(at)
  const [first] = places
  if (first === undefined) throw new Error(`no pixel is ${colour}`)
  return places.map((place) => place - first)
}

describe('“Use it elsewhere” on the avatar’s page', () => {
  async function elsewhereOf(visitor: Visitor) {
    const { text } = await visitor.get('/show_avatar')
    const page = await reader.read(text)
    const [picture, dicebear] = await page.find('.elsewhere input')
    const [options] = await page.find('.elsewhere textarea')
    return {
      id: shownAvatar(text),
      picture: new URL(picture?.attributes.get('value') ?? ''),
      dicebear: new URL(dicebear?.attributes.get('value') ?? ''),
      options: JSON.parse(options?.text ?? ''),
      lines: options?.text.split('\n') ?? [],
      notices: (await page.find('.elsewhere .notice')).map(({ text }) => text.trim()),
      copied: (await page.find('.elsewhere button')).map(({ attributes }) => attributes.get('data-copy-from')),
    }
  }

  test('has a public address of the picture, one of the same look at DiceBear, and its options', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor, { ...look, seed: 'a, b & “c”', scale: '0.9', flip: 'horizontal' })
    const { id, picture, dicebear, options, lines, notices, copied } = await elsewhereOf(visitor)
    expect(lines.slice(0, 2)).toEqual(['{', '  "seed": "a, b & “c”",'])
    expect(notices).toEqual([])
    expect(copied).toEqual(['look-picture', 'look-dicebear', 'look-options'])

    expect(`${picture.origin}${picture.pathname}`).toBe(`${app.url}/look.png`)
    const own = await visitor.get(`/avatars/${id}.png`)
    const seen = await ask(app.url, picture.pathname + picture.search)
    expect(seen.body.equals(own.body)).toBe(true)

    const asked = app.dicebear.calls.findLast(({ path }) => at.svg.test(path))
    expect(dicebear.origin + dicebear.pathname).toBe('https://api.dicebear.com/10.x/adventurer/svg')
    expect([...dicebear.searchParams]).toEqual([...(asked?.query ?? [])])

    const svg = await visitor.get(`/avatars/${id}.svg`)
    expect(new Avatar(new Style(adventurer), options).toString()).toBe(svg.body.toString())
  })

  test('says that the addresses contain the username, if this is the seed', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor, { ...look, seed: '' })
    const { picture, notices } = await elsewhereOf(visitor)
    expect(picture.searchParams.get('seed')).toBe('juniper.moss')
    expect(notices).toEqual([words.elsewhere.hasName])
  })

  test('has the same address of the picture for a look that moves as for a still one', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor, { seed: 'fern', style: 'sprouts', animated: 'on' })
    const { picture, dicebear } = await elsewhereOf(visitor)
    expect(picture.searchParams.has('animated')).toBe(false)
    expect(dicebear.searchParams.get('tags')).toBe('animation')
  })
})

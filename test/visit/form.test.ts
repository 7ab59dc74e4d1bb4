import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { lookEntries, wallCount, wallSeeds } from '../../public/js/look.js'
import { avatarId } from '../../src/avatar/avatars.ts'
import { readForm } from '../../src/pages/form.ts'
import { wallView } from '../../src/pages/form-view.ts'
import { words } from '../../src/pages/words.ts'
import { type AskOptions, ask, formOf } from '../support/ask.ts'
import { drawn, furtherFields, moodMap, styleList } from '../support/drawn.ts'
import { leave, look, openApp, shownAvatar, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { openReader, type Page, type Reader } from '../support/page.ts'
import { connectRaw } from '../support/raw-connection.ts'

let app: TestApp
let reader: Reader
/** A visitor who is signed in, for tests of the form on the avatar's page. */
let visitorWithAvatar: Visitor

beforeAll(async () => {
  ;[app, reader] = await Promise.all([openApp(), openReader()])
  visitorWithAvatar = app.visitor()
  await signIn(app, visitorWithAvatar)
})
afterAll(async () => {
  await Promise.all([app.close(), reader.close()])
})

type Fields = [string, string][]
/** The names of the form's fields in their order on the page. */
const fieldNames = ['style', 'animated', 'mood', 'backgroundColor', 'seed']
const pinNames = ['hairVariant', 'glassesVariant', 'hairColor']
const query = (fields: Fields | Record<string, string>) => new URLSearchParams(fields).toString()
const post = (visitor: Visitor, action: string, fields: Fields | Record<string, string>) =>
  visitor.post(action).type('form').send(query(fields))
const faceless = styleList.find(({ hasFace }) => !hasFace)?.name ?? ''
const [cannot, lacking] = styleList.flatMap(({ name, hasFace, moods }) => {
  const lacks = moodMap.moods.filter((mood) => !moods.includes(mood))
  return hasFace && lacks[0] !== undefined ? [name, lacks[0]] : []
})

/** Returns what a form would send now. Fields of background and framing are left out if they have their default. */
async function filled(page: Page, action: string): Promise<Record<string, string>> {
  const sent = await page.filled(`form[action="${action}"][novalidate]`)
  const framing = lookEntries(sent).filter(([name]) => furtherFields.some((field) => field === name))
  const others = Object.entries(sent).filter(([name]) => [...fieldNames, ...pinNames].includes(name))
  return Object.fromEntries([...others, ...framing])
}

describe('GET /', () => {
  test('has one form that posts all fields to /get_avatar, and sets no cookie', async () => {
    const answer = await app.visitor().get('/')
    expect(answer.status).toBe(200)
    expect(answer.headers['set-cookie']).toBeUndefined()
    const page = await reader.read(answer.text)
    const forms = await page.find('form')
    expect(forms.map(({ attributes }) => [attributes.get('method'), attributes.get('action')])).toEqual([
      ['post', '/get_avatar'],
    ])
    const named = await page.find('form [name]')
    const names = new Set(named.map(({ attributes }) => attributes.get('name')))
    expect(names).toEqual(new Set([...fieldNames, ...furtherFields, 'filter', 'seedFrom', 'wall', 'part']))
    const offered = await page.find('[name="style"]')
    expect(offered.map(({ attributes }) => attributes.get('value')).sort()).toEqual(
      styleList.map(({ name }) => name).sort(),
    )
    expect(await page.find('[aria-invalid], [role="alert"]')).toEqual([])
  })

  test('opens the form with one of twelve rolled words as its seed, in which every picture is drawn', async () => {
    const seeds = new Set<string>()
    for (let visit = 0; visit < 40; visit++) {
      const page = await reader.read((await app.visitor().get('/')).text)
      const { seed = '' } = await filled(page, '/get_avatar')
      const pictures = await page.find('[data-preview], .tile img')
      const drawnSeeds = pictures.map(({ attributes }) => new URL(attributes.get('src') ?? '', app.url).searchParams)
      expect(new Set(drawnSeeds.map((search) => search.get('seed')))).toEqual(new Set([seed]))
      seeds.add(seed)
    }
    for (const seed of seeds) expect(wallSeeds(words.script, 1)).toContain(seed)
    expect(seeds.size).toBeGreaterThan(4)
  })

  test('offers popular styles first, groups the others by kind, and names sizes and colours', async () => {
    const page = await reader.read((await app.visitor().get('/')).text)
    const values = async (selector: string) =>
      (await page.find(`${selector} input`)).map(({ attributes }) => attributes.get('value'))
    const titles = async (selector: string) => (await page.find(selector)).map(({ text }) => text.trim())
    expect((await values('.styles .tile')).slice(0, 12).join(' ')).toBe(
      'adventurer lorelei notionists avataaars open-peeps micah fun-emoji bottts pixel-art big-smile toon-head thumbs',
    )
    expect((await titles('.chip')).slice(0, 8)).toEqual([
      'Popular 12',
      'People 17',
      'Faces 12',
      'Creatures 9',
      'Shapes 20',
      'Text 3',
      'Moving 19',
      'All 61',
    ])
    expect([await values('.scales .tile'), await titles('.scales .tile')]).toEqual([
      ['1.25', '', '0.8'],
      ['Close', 'Normal', 'Roomy'],
    ])
    const swatches = '[name="backgroundColor"]'
    expect((await values(`.swatch:has(${swatches})`)).join(' ')).toBe(
      ' ffd29d f7a98b f6b8c6 c9c3f5 a9d6f5 b8e0c8 f4e9c9 3f7d6e 2c5a7a 7a3f5c 263239',
    )
    expect((await titles(`.swatch:has(${swatches})`)).slice(1).join(' ')).toBe(
      'Apricot Coral Blossom Lilac Sky Mint Cream Pine Harbour Plum Slate',
    )
  })

  test('ignores parts that a style lacks in all of its pictures, however long their values are', async () => {
    const pins = { hairVariant: 'nope,long02,long01', glassesVariant: 'x'.repeat(12_000), hatColor: 'red' }
    const { text } = await app.visitor().get(`/?${query({ ...look, ...pins })}&part=hair&wall=1`)
    expect(text.length).toBeLessThan(250_000)
    const page = await reader.read(text)
    const pictures = await page.find('[data-preview], .tile img')
    const refused: string[] = []
    for (const { attributes } of pictures) {
      const picture = attributes.get('src') ?? ''
      const { choice, entered } = readForm(Object.fromEntries(new URL(picture, app.url).searchParams))
      if (JSON.stringify(choice?.pins ?? {}) !== JSON.stringify(entered.pins)) refused.push(picture)
    }
    expect(pictures.length).toBeGreaterThan(100)
    expect(refused).toEqual([])
  })

  test('draws the tiles of other styles with chosen parts that are valid for them, and without invalid ones', async () => {
    const pins = { hairVariant: 'long01', hairColor: 'red' }
    const page = await reader.read((await app.visitor().get(`/?style=rings&seed=fern&${query(pins)}`)).text)
    const [tile] = await page.find('.tile:has([name="style"][value="adventurer"]) img')
    const { searchParams } = new URL(tile?.attributes.get('src') ?? '', app.url)
    expect([searchParams.get('hairVariant'), searchParams.get('hairColor')]).toEqual(['long01', null])
  })

  test('opens a link without a seed with an empty seed, which stands for the username', async () => {
    for (const link of ['/?style=micah', '/?hairVariant=long01']) {
      const page = await reader.read((await app.visitor().get(link)).text)
      expect((await filled(page, '/get_avatar')).seed, link).toBe('')
    }
  })

  test.each([
    [{ seed: 'fern & "<b>"', style: 'bottts', backgroundColor: '#B6E3F4', mood: 'love', animated: 'on' }],
    [{ seed: 'рябина 🦊', style: 'rings', backgroundColor: 'ffd29d', mood: '' }],
    [{ seed: '', style: 'lorelei', backgroundColor: 'transparent', mood: 'sleepy' }],
    [{ style: 'thumbs', backgroundColor: '' }],
    [{ style: 'micah', backgroundColor: '', hairVariant: 'full,pixie', glassesVariant: 'none', hairColor: '123456' }],
    [{ style: 'thumbs', backgroundColor: 'own', scale: '1.5', translateX: '-10', flip: 'horizontal' }],
    [
      {
        style: 'micah',
        backgroundColor: 'ffd29d',
        backgroundColorFill: 'linear',
        backgroundColor2: '263239',
        backgroundColorAngle: '45',
        translateY: '50',
        rotate: '-4.5',
      },
    ],
  ])('fills the form from the query: %o', async (asked: Record<string, string>) => {
    const answer = await app.visitor().get(`/?${query(asked)}`)
    expect(answer.headers['set-cookie']).toBeUndefined()
    const page = await reader.read(answer.text)
    const backgroundColor = asked.backgroundColor?.replace(/^#|^transparent$/g, '').toLowerCase()
    expect(await filled(page, '/get_avatar')).toEqual({ seed: '', mood: '', ...asked, backgroundColor })
    expect(await page.find('.notice')).toEqual([])
  })

  test('chooses no gradient for a link without a second colour, because its pictures have none either', async () => {
    const page = await reader.read(
      (await app.visitor().get(`/?${query({ ...look, backgroundColorFill: 'linear' })}`)).text,
    )
    const [chosen] = await page.find('[name="backgroundColorFill"][checked]')
    expect(chosen?.attributes.get('value')).toBe('')
    expect(await filled(page, '/get_avatar')).toEqual({ ...look, backgroundColor: 'ffd29d' })
  })

  const good = { seed: 'fern', style: 'adventurer', backgroundColor: 'c9c3f5', mood: 'sad' }
  const without = (field: keyof typeof good, fallback = '') => ({ ...good, [field]: fallback })

  test.each<[string, Fields, Record<string, string>]>([
    ['a seed that is too long', [['seed', 'x'.repeat(129)]], without('seed')],
    ['a seed with a line end in it', [['seed', 'a\nb']], without('seed')],
    ['an unknown style', [['style', 'nope']], without('style', 'adventurer')],
    ['no style', [['style', '']], without('style', 'adventurer')],
    ['a name that all objects know', [['style', '__proto__']], without('style', 'adventurer')],
    ['a colour by its name', [['backgroundColor', 'red']], without('backgroundColor')],
    ['an unknown mood', [['mood', 'furious']], without('mood')],
    [
      'a mood that the style cannot show',
      [['style', cannot ?? ''], ['mood', lacking ?? '']], // biome-ignore format: a pair
      { ...without('mood'), style: cannot ?? '' },
    ],
    ['an odd tick', [['animated', 'yes']], good],
    ['a field twice', [...Object.entries(good), ['seed', 'moss']], without('seed')],
    [
      'nothing good at all',
      fieldNames.map((name) => [name, '\0?']),
      { seed: '', style: 'adventurer', backgroundColor: '', mood: '' },
    ],
  ])('ignores %s with a notice, and fills in the rest', async (_what, wrong, expected) => {
    const over = new Set(wrong.map(([name]) => name))
    const rest = Object.entries(good).filter(([name]) => !over.has(name))
    const answer = await app.visitor().get(`/?${query([...rest, ...wrong])}`)
    expect(answer.status).toBe(200)
    expect(answer.headers['set-cookie']).toBeUndefined()
    const page = await reader.read(answer.text)
    expect(await filled(page, '/get_avatar')).toEqual(expected)
    const notices = await page.find('.notice[role="status"]')
    expect(notices.map(({ text }) => text.trim())).toEqual([words.notices.badLink])
    expect(await page.find('[aria-invalid], [role="alert"]')).toEqual([])
  })

  test.each(['seed[]=x&style[]=nope', '__proto__=x&constructor=y', 'filter=people', 'utm_source=%00', '&&=&=x'])(
    'ignores unknown parameters without a notice: %s',
    async (unknown) => {
      const page = await reader.read((await app.visitor().get(`/?${query(good)}&${unknown}`)).text)
      expect(await filled(page, '/get_avatar')).toEqual(good)
      expect(await page.find('.notice')).toEqual([])
    },
  )

  test('works while Redis is down', async () => {
    const withoutRedis = await openApp({ settings: { REDIS_URL: 'redis://127.0.0.1:1' } })
    const answer = await withoutRedis.visitor().get(`/?${query(good)}`)
    expect(answer.status).toBe(200)
    expect(await filled(await reader.read(answer.text), '/get_avatar')).toEqual(good)
    await withoutRedis.close()
  })
})

describe('the field seedFrom', () => {
  test.each([
    ['', 'fern', 'fern'],
    ['word', 'fern', 'fern'],
    ['word', '', 'juniper.moss'],
    ['username', 'fern', 'juniper.moss'],
    ['username', 'x'.repeat(129), 'juniper.moss'],
    ['amber acorn', 'fern', 'amber acorn'],
  ])('with “%s” and the word “%s” makes the seed %s', async (seedFrom, seed, drawnSeed) => {
    const visitor = app.visitor()
    await signIn(app, visitor, { ...look, seedFrom, seed })
    const { text } = await visitor.get('/show_avatar')
    const style = look.style
    expect(shownAvatar(text)).toBe(
      avatarId({ seed: drawnSeed, style, backgroundColor: 'ffd29d', mood: 'happy', animated: false }),
    )
  })

  test('becomes the seed of the form that opens at its address', async () => {
    for (const [seedFrom, seed] of [
      ['username', ''],
      ['amber acorn', 'amber acorn'],
    ] as const) {
      // biome-ignore format: pairs
      const { text } = await app.visitor().get(`/?${query({ ...look, seedFrom })}`)
      const page = await reader.read(text)
      expect((await filled(page, '/get_avatar')).seed).toBe(seed)
      const [canonical] = await page.find('[rel="canonical"]')
      const address = new URL(canonical?.attributes.get('href') ?? '').searchParams
      expect([address.get('seed') ?? '', address.has('seedFrom')]).toEqual([seed, false])
    }
  })

  test.each<[string, Fields]>([
    ['twice', [...Object.entries(look), ['seedFrom', 'word'], ['seedFrom', 'username']]],
    ['with a control character', [...Object.entries(look), ['seedFrom', 'a\nb']]],
    ['too long', [...Object.entries(look), ['seedFrom', 'x'.repeat(129)]]],
  ])('is reported as a problem of the seed if it is sent %s', async (_what, fields) => {
    const answer = await post(app.visitor(), '/get_avatar', fields)
    expect(answer.status).toBe(422)
    await expectProblems(await reader.read(answer.text), ['seed'])
  })
})

test('the pages of twelve faces have no seed twice and use all words, and the last one leads to the first', () => {
  const count = wallCount(words.script)
  const seeds = Array.from({ length: count }, (_, i) => wallSeeds(words.script, i + 1)).flat()
  expect(new Set(seeds).size).toBe(12 * count)
  // They are in links, so they stay the same.
  expect([seeds[0], seeds[1], seeds[12]]).toEqual(['amber acorn', 'lucky pebble', 'sunny clover'])
  const pairs = words.script.rollFirst.split(' ').length * words.script.rollSecond.split(' ').length
  expect(count).toBe(Math.floor(pairs / 12))
  const look = { seed: 'fern', style: 'micah' }
  expect([wallView('1', look)?.next, wallView(String(count), look)?.next]).toEqual([2, 1])
  for (const wrong of ['', '0', '-1', '1.5', String(count + 1), '1e1', ['1'], undefined]) {
    expect(wallView(wrong, look)).toBeUndefined()
  }
})

describe('a style without a face', () => {
  const facelessStyles = styleList.filter(({ hasFace }) => !hasFace).map(({ name }) => name)

  test.each(facelessStyles)(
    'accepts the mood with which the form opens, and its avatar has the same id as without: %s',
    async (style) => {
      const { text } = await app.visitor().get('/')
      const opened = await filled(await reader.read(text), '/get_avatar')
      expect(opened.mood).toBe('happy')
      const visitor = app.visitor()
      const location = await leave(visitor, { ...opened, style, seed: 'fern' })
      const { pathname, search } = new URL(app.discord.codeFor(location))
      expect((await visitor.get(pathname + search)).headers.location).toBe('/show_avatar')
      const { text: shown } = await visitor.get('/show_avatar')
      expect(shownAvatar(shown)).toBe(
        avatarId({ seed: 'fern', style, backgroundColor: 'ffd29d', mood: '', animated: false }),
      )
      expect(shown).not.toMatch(/, happy\b/)
    },
  )

  test.each(['happy', 'furious'])('ignores the mood %s', async (mood) => {
    expect((await post(app.visitor(), '/get_avatar', { ...look, style: faceless, mood })).status).toBe(302)
    const restyled = await post(visitorWithAvatar, '/show_avatar', { ...look, style: faceless, mood })
    expect([restyled.status, restyled.headers.location]).toEqual([303, '/show_avatar'])
    const { text } = await visitorWithAvatar.get('/show_avatar')
    expect(shownAvatar(text)).toBe(
      avatarId({ seed: 'fern', style: faceless, backgroundColor: 'ffd29d', mood: '', animated: false }),
    )
    for (const path of ['/preview.svg', '/og.png']) {
      const [withMood, without] = await Promise.all(
        [{ mood }, { mood: '' }].map((more) =>
          ask(app.url, `${path}?${query({ style: faceless, seed: 'fern', ...more })}`),
        ),
      )
      expect([path, withMood?.status, withMood?.headers.etag]).toEqual([path, 200, without?.headers.etag])
    }
  })

  test('opens the form from a link with a mood without a notice, and leaves the mood out of the address', async () => {
    const { text } = await app.visitor().get(`/?${query({ style: faceless, mood: 'happy', seed: 'fern' })}`)
    const page = await reader.read(text)
    expect(await page.find('.notice')).toEqual([])
    const [canonical] = await page.find('[rel="canonical"]')
    expect(new URL(canonical?.attributes.get('href') ?? '').searchParams.has('mood')).toBe(false)
    const title = styleList.find(({ name }) => name === faceless)?.title
    const [name] = await page.find('[data-look]')
    expect(name?.text).toBe(title)
    const [hint] = await page.find('#mood-hint')
    expect(hint?.text).toBe(`${title} has no face, so no mood.`)
  })
})

/** What is sent, and the field for which an error is shown. */
const refusals: [what: string, fields: Fields, wrong: string][] = [
  ['an empty style', [['style', '']], 'style'],
  ['an unknown style', [['style', 'nope']], 'style'],
  ['a style in capitals', [['style', 'Adventurer']], 'style'],
  ['the name of a property of every object as the style', [['style', 'constructor']], 'style'],
  ['__proto__ for a style', [['style', '__proto__']], 'style'],
  ['the style twice', [...Object.entries(look), ['style', 'bottts']], 'style'],
  ['the same style twice', [...Object.entries(look), ['style', look.style]], 'style'],
  ['an unknown mood', [['mood', 'furious']], 'mood'],
  ['the name of a property of every object as the mood', [['mood', 'toString']], 'mood'],
  ['the mood twice', [...Object.entries(look), ['mood', '']], 'mood'],
  ['a mood that this face lacks', [['style', cannot ?? ''], ['mood', lacking ?? '']], 'mood'], // biome-ignore format: a pair
  ['the same with spaces around the style', [['style', ` ${cannot} `], ['mood', lacking ?? '']], 'mood'], // biome-ignore format: a pair
  ['the mood twice, for a style without a face', [['style', faceless], ['mood', 'happy'], ['mood', 'sad']], 'mood'], // biome-ignore format: a pair
  ['a colour by its name', [['backgroundColor', 'red']], 'backgroundColor'],
  ['a colour of three digits', [['backgroundColor', '#fff']], 'backgroundColor'],
  ['a colour of seven digits', [['backgroundColor', '#ffd29d0']], 'backgroundColor'],
  ['a colour of eight digits', [['backgroundColor', 'ffd29d00']], 'backgroundColor'],
  ['a colour with a letter that is no hex digit', [['backgroundColor', 'ffd29g']], 'backgroundColor'],
  ['two colours in one field', [['backgroundColor', 'ffd29d,c9c3f5']], 'backgroundColor'],
  ['a colour with two hashes', [['backgroundColor', '##ffd29d']], 'backgroundColor'],
  ['an unknown kind of background', [['backgroundColorFill', 'conic']], 'backgroundColorFill'],
  ['a second colour by its name', [['backgroundColor2', 'red']], 'backgroundColor2'],
  ['transparent as the second colour', [['backgroundColor2', 'transparent']], 'backgroundColor2'],
  ['an angle of more than 360 degrees', [['backgroundColorAngle', '361']], 'backgroundColorAngle'],
  ['an angle of less than -360 degrees', [['backgroundColorAngle', '-361']], 'backgroundColorAngle'],
  ['a size that is too small', [['scale', '0.49']], 'scale'],
  ['a size that is too large', [['scale', '2.01']], 'scale'],
  ['the size 0', [['scale', '0']], 'scale'],
  ['a size that is not a number', [['scale', 'NaN']], 'scale'],
  ['a size in hex', [['scale', '0x1']], 'scale'],
  ['a size with a plus sign', [['scale', '+0.80']], 'scale'],
  ['two sizes in one field', [['scale', '0.8,1.2']], 'scale'],
  ['a shift too far to the left', [['translateX', '-50.1']], 'translateX'],
  ['a shift too far to the right', [['translateX', '50.1']], 'translateX'],
  ['a shift too far up', [['translateY', '-51']], 'translateY'],
  ['a shift too far down', [['translateY', '51']], 'translateY'],
  ['an infinite shift', [['translateY', 'Infinity']], 'translateY'],
  ['a tilt too far to the left', [['rotate', '-46']], 'rotate'],
  ['a tilt too far to the right', [['rotate', '46']], 'rotate'],
  ['a tilt in percent', [['rotate', '5%']], 'rotate'],
  ['an unknown value of the mirror', [['flip', 'true']], 'flip'],
  ['the size twice', [['scale', '1'], ['scale', '1']], 'scale'], // biome-ignore format: a pair
  ['a control character in the mirror', [['flip', 'no\0ne']], 'flip'],
  ['a hair colour by its name', [['hairColor', 'red']], 'hairColor'],
  ['the hair twice', [['hairVariant', 'long01'], ['hairVariant', 'long02']], 'hairVariant'], // biome-ignore format: a pair
  ['the hair twice, empty both times', [['hairVariant', ''], ['hairVariant', '']], 'hairVariant'], // biome-ignore format: a pair
  ['the background twice', [...Object.entries(look), ['backgroundColor', 'c9c3f5']], 'backgroundColor'],
  ['another value than on for “Animate”', [['animated', 'yes']], 'animated'],
  ['ON in capitals for “Animate”', [['animated', 'ON']], 'animated'],
  ['“Animate” twice', [['animated', 'on'], ['animated', 'on']], 'animated'], // biome-ignore format: a pair
  ['a seed of 129 characters', [['seed', 'x'.repeat(129)]], 'seed'],
  ['a seed of 129 emoji', [['seed', '🦊'.repeat(129)]], 'seed'],
  ['the seed twice', [...Object.entries(look), ['seed', 'moss']], 'seed'],
  ['an empty seed beside another', [...Object.entries(look), ['seed', '']], 'seed'],
  ...['\0', '\t', '\n', '\r\n', '\x1b[31m', '\x7f', '\u0085'].map((control): [string, Fields, string] => [
    `a seed with ${JSON.stringify(control)}`,
    [['seed', `a${control}b`]],
    'seed',
  ]),
  ['a seed that is a NUL', [['seed', '\0']], 'seed'],
  ['a control character in the style', [['style', 'adven\nturer']], 'style'],
  ['a control character in the mood', [['mood', 'hap\0py']], 'mood'],
  ['a control character in the colour', [['backgroundColor', 'ffd\x0029d']], 'backgroundColor'],
  ['a control character in “Animate”', [['animated', 'o\0n']], 'animated'],
]

/** Returns these fields, with valid values for all others. */
function withValidRest(fields: Fields): Fields {
  const given = new Set(fields.map(([name]) => name))
  return [...Object.entries(look).filter(([name]) => !given.has(name)), ...fields]
}

describe.each([
  ['/get_avatar', () => app.visitor()],
  ['/show_avatar', () => visitorWithAvatar],
])('POST %s refuses', (action, visitor) => {
  test.each(refusals)('%s', async (_what, fields, wrong) => {
    const sent = withValidRest(fields)
    const answer = await post(visitor(), action, sent)
    expect(answer.status).toBe(422)
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
    const page = await reader.read(answer.text)
    await expectProblems(page, [wrong])

    const first = new Map([...sent].reverse())
    const kept = await filled(page, action)
    for (const name of ['seed', 'style', 'backgroundColor', 'mood']) {
      if (name !== wrong) expect(kept[name]).toBe((first.get(name) ?? '').trim().replace(/^#/, ''))
    }
    if (wrong === 'seed')
      expect(kept.seed).toBe((first.get('seed') ?? '').replace(/[\r\n]/g, '').replaceAll('\0', '\ufffd'))
    if (wrong === 'backgroundColor') {
      const colour = (first.get('backgroundColor') ?? '').replaceAll('\0', '\ufffd')
      expect([colour, colour.replace(/^#/, '')]).toContain(kept.backgroundColor)
    }
    if (wrong === 'backgroundColor2') {
      const [second] = await page.find('[name="backgroundColor2"][checked]')
      expect(second?.attributes.get('value')).toBe(first.get('backgroundColor2'))
    }
    // Nothing is chosen that was not entered. An empty size is the size 1.
    const entered = (first.get(wrong) ?? '').trim().replace(/^#/, '').replace('\0', '\ufffd')
    for (const { attributes } of await page.find(`[name="${wrong}"]:checked`)) {
      expect(attributes.get('value')?.replace(/^#/, '') || (wrong === 'scale' ? '1' : '')).toBe(entered)
    }
  })

  test('a form without a style', async () => {
    const answer = await post(visitor(), action, { seed: 'fern' })
    expect(answer.status).toBe(422)
    await expectProblems(await reader.read(answer.text), ['style'])
  })

  test('several wrong fields at once, and reports them in the order of the form', async () => {
    const nonsense = fieldNames.map((name): [string, string] => [name, 'x\0y'])
    const answer = await post(visitor(), action, nonsense)
    expect(answer.status).toBe(422)
    const page = await reader.read(answer.text)
    await expectProblems(page, fieldNames)
    const [heading] = await page.find('[role="alert"] h2')
    expect(heading?.text).toBe('Five things to fix')
  })

  test('wrong fields for a program in JSON, in the order of the form', async () => {
    const answer = await visitor()
      .post(action)
      .accept('application/json')
      .type('form')
      .send(query(fieldNames.toReversed().map((name): [string, string] => [name, 'x\0y'])))
    const { errors } = z.object({ errors: z.array(z.object({ field: z.string() })) }).parse(JSON.parse(answer.text))
    expect(errors.map(({ field }) => field)).toEqual(fieldNames)
  })

  test('wrong fields for a program with problem+json that names each field', async () => {
    const answer = await visitor().post(action).accept('application/json').type('form').send('style=nope&mood=furious')
    expect(answer.status).toBe(422)
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    const message = expect.stringMatching(/\w/)
    const errors = ['style', 'mood'].map((field) => ({ field, message }))
    expect(JSON.parse(answer.text)).toMatchObject({ status: 422, title: message, errors })
  })
})

/** Checks that each wrong field, and no other, has a message beside it and one in the summary that links to it. */
async function expectProblems(page: Page, wrong: string[]): Promise<void> {
  const [title] = await page.find('title')
  expect(title?.text).toMatch(/^Error: /)
  const [firstHeading, ...otherHeadings] = await page.find('h1, h2, h3, h4, h5, h6')
  expect([firstHeading?.name, ...new Set(otherHeadings.map(({ name }) => name))]).toEqual(['h1', 'h2'])
  const links = await page.find('.summary[tabindex="-1"][autofocus] [role="alert"] a')
  const withId = await page.find('[id]')
  const ids = new Set(withId.map(({ attributes }) => attributes.get('id')))
  // With a repeated id, a link would lead to the wrong element.
  expect(ids.size).toBe(withId.length)

  expect(await page.find('[aria-invalid="true"]')).toHaveLength(wrong.length)
  const messages = await page.find('.problem[id]')
  expect(messages.map(({ attributes }) => attributes.get('id'))).toEqual(
    inFormOrder(wrong).map((field) => `${field}-problem`),
  )
  expect(links.map(({ attributes }) => attributes.get('href'))).toEqual(inFormOrder(wrong).map((field) => `#${field}`))
  for (const [i, field] of inFormOrder(wrong).entries()) {
    expect(ids).toContain(field)
    const [invalid] = await page.find(
      `[aria-invalid="true"]:is([name="${field}"], [role="radiogroup"]:has([type="radio"][name="${field}"]))`,
    )
    const describedBy = (invalid?.attributes.get('aria-describedby') ?? '').split(' ')
    expect(describedBy).toContain(`${field}-problem`)
    for (const id of describedBy) expect(ids).toContain(id)
    const [target] = await page.find(`#${field}[name="${field}"]`)
    expect(target).toBeDefined()
    const [message] = await page.find(`#${field}-problem`)
    expect(message?.text.replace(/\s+/g, ' ').trim()).toBe(`Error: ${links[i]?.text.replace(/\s+/g, ' ').trim()}`)
    expect(links[i]?.text.length).toBeGreaterThan(10)
  }
}

const inFormOrder = (fields: string[]) =>
  [...fieldNames.slice(0, 3), ...pinNames, 'backgroundColor', ...furtherFields, 'seed'].filter((name) =>
    fields.includes(name),
  )

describe('the colour input and the radio beside it', () => {
  const well = async (page: Page) => {
    const [[radio], [colour], [checked]] = await Promise.all([
      page.find('[data-own]'),
      page.find('[type="color"]'),
      page.find('[name="backgroundColor"][checked]'),
    ])
    const value = (element: typeof radio) => element?.attributes.get('value')
    return { radio: value(radio), well: value(colour), chosen: value(checked), isOwn: radio?.attributes.has('checked') }
  }
  test.each([
    ['a9d6f5', { radio: 'a9d6f5', well: '#a9d6f5', chosen: 'a9d6f5', isOwn: false }],
    ['123456', { radio: '123456', well: '#123456', chosen: '123456', isOwn: true }],
    ['', { radio: 'ffd29d', well: '#ffd29d', chosen: '', isOwn: false }],
  ])('have the same colour for %o', async (backgroundColor, expected) => {
    const { text } = await app.visitor().get(`/?${query({ ...look, backgroundColor })}`)
    expect(await well(await reader.read(text))).toEqual(expected)
  })

  test('are not chosen when the colour that was sent is invalid', async () => {
    const { text } = await post(app.visitor(), '/get_avatar', { ...look, backgroundColor: 'orange' })
    const page = await reader.read(text)
    expect(await well(page)).toEqual({ radio: 'ffd29d', well: '#ffd29d', chosen: 'orange', isOwn: false })
    const [label] = await page.find('label:has([name="backgroundColor"][checked])')
    expect(label?.text.trim()).toBe('As you wrote it: orange')
  })
})

describe('POST /get_avatar accepts', () => {
  /** Signs in with these fields. Returns the seed that DiceBear was asked for. */
  async function seedDrawn(fields: Fields): Promise<string | null | undefined> {
    const visitor = app.visitor()
    const leaving = await visitor.post('/get_avatar').type('form').send(query(fields))
    expect(leaving.status).toBe(302)
    const { pathname, search } = new URL(app.discord.codeFor(leaving.headers.location ?? ''))
    expect((await visitor.get(pathname + search)).headers.location).toBe('/show_avatar')
    return app.dicebear.calls.at(-1)?.query.get('seed')
  }

  test.each([
    ['a seed of 128 characters', 'x'.repeat(128), 'x'.repeat(128)],
    ['a seed of 128 emoji', '🦊'.repeat(128), '🦊'.repeat(128)],
    ['a seed with spaces at its ends, which are trimmed', `  ${'y'.repeat(128)}\t\n`, 'y'.repeat(128)],
    ['a seed of spaces, which counts as empty', ' \t\r\n ', 'juniper.moss'],
    ['a seed with marks that change the text direction', '\u202eabc', '\u202eabc'],
  ])('%s', async (_what, seed, asked) => {
    // No other test uses this colour: a picture in the cache would not be requested.
    expect(await seedDrawn(Object.entries({ ...look, seed, backgroundColor: '#0a0b0c' }))).toBe(asked)
  })

  test.each(['seed[]', 'seed[0]', '__proto__', 'constructor', 'Seed', 'utm_source', ''])(
    'an unknown field named %o',
    async (name) => {
      const style = 'bottts'
      expect(await seedDrawn([['style', style], [name, 'odd \0'], [name, 'twice']])).toBe('juniper.moss') // biome-ignore format: one line
      expect(app.dicebear.calls.at(-1)?.path).toBe('/10.x/bottts/svg')
    },
  )

  test.each(['#B6E3F4', 'b6e3f4', 'B6e3F4'])('the colour %s', async (backgroundColor) => {
    const seed = `colour ${backgroundColor}`
    await seedDrawn(Object.entries({ ...look, seed, backgroundColor }))
    expect(app.dicebear.calls.at(-1)?.query.get('backgroundColor')).toBe('b6e3f4')
  })

  test.each(['', 'transparent', undefined])('%o as no background', async (backgroundColor) => {
    const { backgroundColor: _, ...rest } = { ...look, seed: `no colour ${backgroundColor}` }
    await seedDrawn(Object.entries(backgroundColor === undefined ? rest : { ...rest, backgroundColor }))
    expect(app.dicebear.calls.at(-1)?.query.get('backgroundColor')).toBe('ffffff00')
  })

  test.each(['constellation', 'glass'])('a missing background for %s, which then has its own', async (style) => {
    const choice = { style, seed: `no colour for ${style}` }
    await seedDrawn(Object.entries(choice))
    const call = app.dicebear.calls.at(-1)
    expect([call?.path, call?.query.toString()]).toEqual([`/10.x/${style}/svg`, query({ seed: choice.seed })])
  })
})

test.each([
  ['0.49', '49 %'],
  ['large', 'large'],
  ['1e999', '1e999'],
])('a refused form shows the wrong size %s as %s', async (scale, shown) => {
  const page = await reader.read((await post(app.visitor(), '/get_avatar', { ...look, scale })).text)
  const [own] = await page.find('label:has([name="scale"][checked])')
  expect(own?.text.trim()).toBe(`Your own size ${shown}`)
  const [slider] = await page.find('[data-scale]')
  expect(Number(slider?.attributes.get('value'))).not.toBeNaN()
})

describe('a body', () => {
  const posts = ['/get_avatar', '/show_avatar']
  const sized = (bytes: number): AskOptions => {
    const start = 'style=adventurer&x='
    return { ...formOf([]), body: start.padEnd(bytes, 'x') }
  }

  test.each(posts)('of more than 16 KiB is refused at %s, and one of 16 KiB is not', async (path) => {
    const whole = await ask(app.url, path, sized(16 * 1024))
    expect([302, 303]).toContain(whole.status)
    const more = await ask(app.url, path, sized(16 * 1024 + 1))
    expect(more.status).toBe(413)
    expect(more.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(more.headers.location).toBeUndefined()
  })

  test('that is far too long is read to its end, so that a browser receives the answer', async () => {
    for (const mebibytes of [1.5, 15]) {
      const answer = await ask(app.url, '/get_avatar', sized(mebibytes * 1024 * 1024))
      expect(answer.status).toBe(413)
      expect(answer.text).toContain(words.errors.tooLarge.title)
    }
  })

  test('may have any number of unknown fields, which are ignored and take no time', async () => {
    const start = 'style=rings&seed=100%&'
    for (const unknown of ['&', 'a&', '%&', 'a[]=&', 'seed[]=x&']) {
      const body = start.padEnd(16 * 1024, unknown)
      const took: number[] = []
      for (let i = 0; i < 3; i += 1) {
        const since = performance.now()
        const answer = await ask(app.url, '/get_avatar', { ...formOf([]), body })
        expect([unknown, answer.status]).toEqual([unknown, 302])
        took.push(performance.now() - since)
      }
      // The shortest: a busy machine may delay any of them.
      expect(Math.min(...took)).toBeLessThan(500)
    }
  })

  test('may have a known field after a thousand others', async () => {
    const answer = await ask(app.url, '/get_avatar', { ...formOf([]), body: `${'a&'.repeat(1200)}style=rings` })
    expect(answer.status).toBe(302)
  })

  test('that contains a known field a thousand times is refused like one that contains it twice', async () => {
    const answer = await ask(app.url, '/get_avatar', { ...formOf([]), body: 'style=rings&'.repeat(1200) })
    expect(answer.status).toBe(422)
    expect(answer.text).toContain(words.problems.repeated(words.problems.fields.style))
  })

  test.each([
    ['application/json', '{"style":"adventurer"}'],
    [
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; name="style"\r\n\r\nrings\r\n--x--\r\n',
    ],
    ['text/plain', 'style=adventurer'],
    ['application/x-www-form-urlencoded; charset=utf-16', 'style=adventurer'],
    ['application/x-www-form-urlencoded; charset=utf-80', 'style=adventurer'],
    ['nonsense', 'style=adventurer'],
  ])('of the type %s is refused (415)', async (type, body) => {
    for (const path of posts) {
      const answer = await ask(app.url, path, { method: 'POST', headers: { 'Content-Type': type }, body })
      expect(answer.status).toBe(415)
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
  })

  test.each(['utf-8', 'UTF-8', '"utf-8"', 'utf8'])('with charset=%s is accepted', async (charset) => {
    const headers = { 'Content-Type': `application/x-www-form-urlencoded; charset=${charset}` }
    const answer = await ask(app.url, '/get_avatar', {
      method: 'POST',
      headers,
      body: 'style=adventurer&seed=Zo%C3%AB',
    })
    expect(answer.status).toBe(302)
  })

  test('without a type is refused (415)', async () => {
    expect((await ask(app.url, '/get_avatar', { method: 'POST', body: 'style=adventurer' })).status).toBe(415)
  })

  test('may be missing, which counts as an empty form', async () => {
    expect((await ask(app.url, '/get_avatar', { method: 'POST' })).status).toBe(422)
    // Node's client sends "Content-Length: 0", curl sends no length.
    const curl = await connectRaw(app.url, 'POST /get_avatar HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await curl.closed
    expect(curl.received()).toMatch(/^HTTP\/1.1 422 /)
  })
})

describe('a post from another site', () => {
  const posts = [
    '/get_avatar',
    '/show_avatar',
    '/sign_out',
    ...['forget', 'restore', 'keep', 'unkeep'].map((action) => `/avatars/${'0'.repeat(64)}/${action}`),
  ]
  const otherPort = () => app.url.replace(/\d+$/, (port) => String(Number(port) - 1))
  type Headers = () => Record<string, string>

  test.each<[string, Headers]>([
    ['Sec-Fetch-Site: cross-site', () => ({ 'Sec-Fetch-Site': 'cross-site' })],
    ['Sec-Fetch-Site: same-site', () => ({ 'Sec-Fetch-Site': 'same-site' })],
    [
      'Sec-Fetch-Site: cross-site and the site’s own Origin',
      () => ({ 'Sec-Fetch-Site': 'cross-site', Origin: app.url }),
    ],
    ['the Origin of another site', () => ({ Origin: 'https://evil.example' })],
    ['an Origin that begins like the site’s', () => ({ Origin: `${app.url}.evil.example` })],
    ['Origin: null', () => ({ Origin: 'null' })],
    ['the Origin of another port', () => ({ Origin: otherPort() })],
    ['the Origin of another scheme', () => ({ Origin: app.url.replace('http:', 'https:') })],
    [
      'an Origin that is equal to its Host, but not the site’s',
      () => ({ Host: 'evil.example', Origin: 'http://evil.example' }),
    ],
  ])('with %s is refused (403), and nothing is done', async (_what, headers) => {
    for (const path of posts) {
      const form = formOf(look)
      const answer = await ask(app.url, path, { ...form, headers: { ...form.headers, ...headers() } })
      expect([path, answer.status]).toEqual([path, 403])
      expect(answer.headers['set-cookie']).toBeUndefined()
      expect(answer.headers.location).toBeUndefined()
    }
  })

  test.each<[string, Headers]>([
    ['Sec-Fetch-Site: same-origin', () => ({ 'Sec-Fetch-Site': 'same-origin' })],
    [
      'Sec-Fetch-Site: same-origin and any Origin',
      () => ({ 'Sec-Fetch-Site': 'same-origin', Origin: 'https://evil.example' }),
    ],
    ['Sec-Fetch-Site: none', () => ({ 'Sec-Fetch-Site': 'none' })],
    ['the site’s own Origin', () => ({ Origin: app.url })],
    ['neither of these headers', () => ({})],
  ])('is told apart from one with %s, which is accepted', async (_what, headers) => {
    const form = formOf(look)
    for (const [path, status] of [
      ['/get_avatar', 302],
      ['/show_avatar', 303],
      ['/sign_out', 303],
      [posts[3] ?? '', 404],
    ] as const) {
      const answer = await ask(app.url, path, { ...form, headers: { ...form.headers, ...headers() } })
      expect([path, answer.status]).toEqual([path, status])
    }
  })

  test('does not sign out the visitor', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    expect((await visitor.post('/sign_out').set('Sec-Fetch-Site', 'cross-site')).status).toBe(403)
    expect((await visitor.get('/show_avatar')).status).toBe(200)
  })
})

describe('a program that asks for JSON', () => {
  const Problem = z.object({ type: z.literal('about:blank'), title: z.string().min(1), status: z.number() })
  const acceptJson = [
    'application/json',
    'application/problem+json',
    'application/problem+json, */*;q=0.1',
    'application/json; charset=utf-8',
    'application/json;profile="a,b;c";q=0.9, text/html;q=0.8',
  ]
  const acceptPage: Record<string, string>[] = [
    { Accept: 'text/html,*/*;q=0.8' },
    { Accept: 'text/html, application/json;q=0.9' },
    { Accept: 'application/json; charset=utf-8 ; q=0.5, text/html;level=1' },
    { Accept: 'application/json; charset=utf-8; Q=0' },
    { Accept: '*/*' },
    {},
  ]

  test.each<[number, string, AskOptions]>([
    [400, '/preview.svg?style=nope', {}],
    [400, '/get_avatar?code=x', {}],
    [403, '/get_avatar', { method: 'POST', headers: { Origin: 'https://evil.example' } }],
    [404, '/nope', {}],
    [404, `/avatars/${'0'.repeat(64)}.svg`, {}],
    [405, '/get_avatar', { method: 'PUT' }],
    [413, '/get_avatar', { ...formOf([]), body: 'x'.repeat(16 * 1024 + 1) }],
    [415, '/get_avatar', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }],
    [422, '/get_avatar', formOf([])],
  ])('gets %i for %s as problem+json', async (status, path, options) => {
    for (const Accept of acceptJson) {
      const answer = await ask(app.url, path, { ...options, headers: { ...options.headers, Accept } })
      expect(answer.status).toBe(status)
      expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
      expect(answer.headers.vary).toMatch(/\bAccept\b/)
      expect(Problem.parse(JSON.parse(answer.text)).status).toBe(status)
    }
    for (const accept of acceptPage) {
      const page = await ask(app.url, path, { ...options, headers: { ...options.headers, ...accept } })
      expect([page.status, page.headers['content-type']]).toEqual([status, 'text/html; charset=utf-8'])
      expect(page.headers.vary).toMatch(/\bAccept\b/)
    }
  })

  test('gets 503 as problem+json, with Retry-After', async () => {
    const withoutRedis = await openApp({ settings: { REDIS_URL: 'redis://127.0.0.1:1' } })
    const form = formOf(look)
    const answer = await ask(withoutRedis.url, '/get_avatar', {
      ...form,
      headers: { ...form.headers, Accept: 'application/json' },
    })
    expect(answer.status).toBe(503)
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(Problem.parse(JSON.parse(answer.text)).status).toBe(503)
    await withoutRedis.close()
  })
})

describe('addresses', () => {
  const id = '0'.repeat(64)
  const known: [string, string[]][] = [
    ['/', ['GET', 'HEAD']],
    ['/get_avatar', ['GET', 'HEAD', 'POST']],
    ['/show_avatar', ['GET', 'HEAD', 'POST']],
    [`/avatars/${id}.svg`, ['GET', 'HEAD']],
    [`/avatars/${id}.png`, ['GET', 'HEAD']],
    [`/avatars/${id}.gif`, ['GET', 'HEAD']],
    ...['forget', 'restore', 'keep', 'unkeep'].map((action): [string, string[]] => [
      `/avatars/${id}/${action}`,
      ['POST'],
    ]),
    ['/preview.svg', ['GET', 'HEAD']],
    ['/og.png', ['GET', 'HEAD']],
    ['/look.png', ['GET', 'HEAD']],
    ['/sign_out', ['POST']],
    ['/forget_me', ['POST']],
    ['/licences', ['GET', 'HEAD']],
    ['/privacy', ['GET', 'HEAD']],
    ['/healthz', ['GET', 'HEAD']],
    ['/readyz', ['GET', 'HEAD']],
  ]

  test.each(known)('such as %s accept %j, and answer 405 with Allow to any other method', async (path, methods) => {
    const others = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND']
    for (const method of others.filter((one) => !methods.includes(one))) {
      const answer = await ask(app.url, path, { method })
      expect([method, answer.status]).toEqual([method, 405])
      expect(String(answer.headers.allow).split(', ').sort()).toEqual(methods)
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
    for (const method of methods) {
      const answer = await ask(app.url, path, { method })
      expect(answer.status).not.toBe(405)
    }
  })

  test.each([
    '/nope',
    '/get_avatar/x',
    '/get_avatar/',
    '/privacy/',
    '/healthz/',
    '/style.css/',
    '/avatars',
    '/avatars/',
    `/avatars/${id}`,
    `/avatars/${id}.webp`,
    '/index.html',
    '/.env',
    '/package.json',
    '/views/home.ejs',
    '/src/main.ts',
    '/demo/discord/oauth2/authorize',
    '/demo/dicebear/10.x',
    '/..%2fpackage.json',
    '/%2e%2e/package.json',
    '/style.css%00',
  ])('such as %s do not exist (404)', async (path) => {
    for (const method of ['GET', 'POST', 'DELETE']) {
      const answer = await ask(app.url, path, { method })
      expect([method, answer.status]).toEqual([method, 404])
      expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
  })

  test.each([
    ['GET', '/LICENCES'],
    ['GET', '/Healthz'],
    ['GET', '/READYZ'],
    ['GET', '/Preview.svg?style=rings'],
    ['GET', '/Show_avatar'],
    ['GET', '/GET_AVATAR'],
    ['POST', '/Get_avatar'],
    ['POST', '/SHOW_AVATAR'],
    ['POST', '/Sign_Out'],
    ['GET', '/STYLE.CSS'],
  ])('are case-sensitive: %s %s does not exist (404)', async (method, path) => {
    const answer = await ask(app.url, path, { method })
    expect(answer.status).toBe(404)
  })

  test.each(['//evil.example', '/\\evil.example', '/%5cevil.example', '/.//evil.example', '//evil.example/%2e%2e'])(
    'such as %s redirect nowhere',
    async (path) => {
      for (const method of ['GET', 'POST']) {
        const answer = await ask(app.url, path, { method })
        expect([answer.status, answer.headers.location]).toEqual([404, undefined])
      }
    },
  )
})

test('no redirect goes to an address that is part of the request', async () => {
  const evil = ['//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:alert(1)']
  const seen: (string | undefined)[] = []
  for (const to of evil) {
    const wish = query({ next: to, returnTo: to, return_to: to, redirect: to, redirect_uri: to, url: to })
    const form = `${query({ ...look, seed: to })}&${wish}`
    const send = (visitor: Visitor, path: string) => visitor.post(`${path}?${wish}`).type('form').send(form)

    const stranger = app.visitor()
    const leaving = await send(stranger, '/get_avatar')
    const authorize = new URL(leaving.headers.location ?? '')
    expect(authorize.origin + authorize.pathname).toBe(app.discord.authorizeUrl)
    expect(authorize.searchParams.get('redirect_uri')).toBe(`${app.url}/get_avatar`)
    const callback = new URL(app.discord.codeFor(authorize.href))
    const state = callback.searchParams.get('state') ?? ''

    const declining = app.visitor()
    const declined = await send(declining, '/get_avatar')
    const declinedState = new URL(declined.headers.location ?? '').searchParams.get('state') ?? ''

    for (const answer of [
      await declining.get(`/get_avatar?error=access_denied&state=${declinedState}&${wish}`),
      await stranger.get(`/get_avatar?${wish}`),
      await stranger.get(`/show_avatar?${wish}`),
      await send(stranger, '/show_avatar'),
      await stranger.get(`/get_avatar${callback.search}&${wish}`),
      await stranger.get(`/get_avatar?${query({ state, code: 'again' })}&${wish}`),
      await send(stranger, '/show_avatar'),
      await stranger.post(`/avatars/${shownAvatar((await stranger.get('/show_avatar')).text)}/forget?${wish}`),
      await send(stranger, '/sign_out'),
      await stranger.get(`/?${wish}`),
    ]) {
      seen.push(answer.headers.location)
      if (answer.headers.location === undefined) continue
      const location = new URL(answer.headers.location, app.url)
      expect(location.origin).toBe(app.url)
      expect(['/', '/show_avatar']).toContain(location.pathname)
    }
  }
  expect(seen.filter((location) => location !== undefined)).toHaveLength(9 * evil.length)
})

describe('random fields', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary' }),
    fc
      .array(
        fc.constantFrom(
          '"', "'", '>', '<', '/', '=', ' ', '&', '&lt;', '&#34;', '`', '{{x}}', '<%= x %>', '-->', ']]>', '\0',
          '<script>alert(1)</script>', '<xq onxq=1>', '" onxq="1', "' onxq='1", '</title><xq>', '</textarea>', 'javascript:xq',
          '<svg/onload=xq>', '<!--', '<![CDATA[', '\u2028', '\u202e', '\ufeff', 'x',
        ), // biome-ignore format: a list of shards
        { minLength: 1, maxLength: 12 },
      )
      .map((shards) => shards.join('')),
  )
  const name = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...fieldNames) },
    { weight: 1, arbitrary: fc.constantFrom('__proto__', 'seed[]', 'seed[x]', 'constructor', 'filter', '') },
    { weight: 1, arbitrary: hostile },
  )
  const value = fc.oneof(
    { weight: 3, arbitrary: hostile },
    { weight: 1, arbitrary: fc.constantFrom(...styleList.map((style) => style.name)) },
    { weight: 1, arbitrary: fc.constantFrom('', 'on', 'ffd29d', '#c9c3f5', 'transparent', ...moodMap.moods) },
  )
  const fields = fc.array(fc.tuple(name, value), { maxLength: 8 })

  const outline = async (html: string) => (await reader.read(html)).outline()

  /** Returns the names of all elements and attributes in pages without hostile input. */
  async function ownNames(): Promise<Set<string>> {
    const wrong: (Fields | Record<string, string>)[] = [
      fieldNames.map((field) => [field, '?\0?']),
      { ...look, backgroundColor: 'red', animated: 'on', mood: 'nope' },
      { style: cannot ?? '', animated: 'on', mood: lacking ?? '' },
      { style: 'sprouts', animated: 'on', seed: '\0' },
    ]
    const answers = await Promise.all([
      ...['/', '/?style=nope&style=rings', '/?style=sprouts&animated=on'].map((path) => app.visitor().get(path)),
      ...wrong.flatMap((body) => [
        post(app.visitor(), '/get_avatar', body),
        post(visitorWithAvatar, '/show_avatar', body),
      ]),
    ])
    const outlines = await Promise.all(answers.map(({ text }) => outline(text)))
    return new Set(outlines.flatMap((elements) => elements.split(/[ \n]/)))
  }

  test.each([
    ['/get_avatar', () => app.visitor()],
    ['/show_avatar', () => visitorWithAvatar],
  ])('are accepted by POST %s or reported as errors, and never become markup', async (action, visitor) => {
    const names = await ownNames()
    expect(names).toContain('aria-invalid')
    await fc.assert(
      fc.asyncProperty(fields, async (sent) => {
        // animated=no makes every form invalid, because drawing an avatar for each would take long.
        const body: Fields = action === '/show_avatar' ? [...sent, ['animated', 'no']] : sent
        const answer = await post(visitor(), action, body)
        expect([302, 422]).toContain(answer.status)
        if (answer.status === 302) return
        const elements = await outline(answer.text)
        expect(elements.split(/[ \n]/).filter((name) => !names.has(name))).toEqual([])
        const scripts = elements.match(/^script\b.*/gm)
        expect(new Set(scripts)).toEqual(new Set(['script type src integrity']))
      }),
      // The fuzz tests send five hundred forms to each route.
      { numRuns: 30 },
    )
  })

  // HTML cannot contain a NUL, and a text field cannot contain a line break.
  const seed = hostile
    .map((text) => text.replace(/\p{Cc}/gu, '').trim())
    .filter((text) => text !== '' && [...text].length <= 128)

  test('put a seed into its field as it was sent, and change nothing else on the page', async () => {
    const visit = (kept: string) =>
      Promise.all([
        app.visitor().get(`/?${query({ seed: kept, style: 'bottts' })}`),
        post(app.visitor(), '/get_avatar', { seed: kept }),
        post(visitorWithAvatar, '/show_avatar', { seed: kept }),
      ])
    const plain = await Promise.all((await visit('fern')).map(({ text }) => outline(text)))
    await fc.assert(
      fc.asyncProperty(seed, async (kept) => {
        const answers = await visit(kept)
        expect(answers.map(({ status }) => status)).toEqual([200, 422, 422])
        for (const [i, { text }] of answers.entries()) {
          const page = await reader.read(text)
          expect(await page.outline()).toEqual(plain[i])
          const [field] = await page.find('input[type="text"][name="seed"]')
          expect(field?.attributes.get('value')).toBe(kept)
        }
      }),
      // A seed holds up to twelve of the texts above.
      { numRuns: 15 },
    )
  })

  const good = fc.constantFrom(...styleList).chain(({ name: style, moods }) =>
    fc.record({
      seed: fc.oneof(seed, fc.constant('')),
      style: fc.constant(style),
      backgroundColor: fc.oneof(fc.constantFrom('', 'transparent'), fc.stringMatching(/^#?[0-9a-fA-F]{6}$/)),
      mood: fc.constantFrom('', ...moods),
      animated: fc.constantFrom('', 'on'),
    }),
  )

  test('that are valid lead to Discord, and to the picture of exactly this choice', async () => {
    await fc.assert(
      fc.asyncProperty(good, async (choice) => {
        const visitor = app.visitor()
        const authorize = await leave(visitor, choice)
        const { pathname, search } = new URL(app.discord.codeFor(authorize))
        expect((await visitor.get(pathname + search)).headers.location).toBe('/show_avatar')
        const id = shownAvatar((await visitor.get('/show_avatar')).text)
        const svg = await visitor.get(`/avatars/${id}.svg`)
        expect(svg.body.toString()).toBe(drawn({ ...choice, seed: choice.seed || 'juniper.moss' }))
      }),
      { numRuns: 30 },
    )
  })

  test('are described by the text alternative of the preview, in the page and in a header of the picture', async () => {
    const asked = query({
      style: 'avataaars',
      seed: 'fern',
      topVariant: 'bob',
      hairColor: 'c93305',
      mouthVariant: 'smile',
    })
    const page = await reader.read((await ask(app.url, `/?${asked}`)).text)
    const [picture] = await page.find('.crop img')
    const [card] = await page.find('meta[property="og:image:alt"]')
    const text = /^Your avatar: Avataaars, with (a red bob, .*a smile.* skin)$/.exec(
      picture?.attributes.get('alt') ?? '',
    )?.[1]
    expect(card?.attributes.get('content')).toBe(`Avataaars, with ${text}`)
    const { headers } = await ask(app.url, picture?.attributes.get('src') ?? '')
    expect(decodeURIComponent(String(headers['content-description']))).toBe(text)
  })

  test('in a preview’s address lead to a picture or to 400', async () => {
    const seen = new Set<number>()
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.webQueryParameters(), fields.map(query), good.map(query)), async (asked) => {
        const answer = await fetch(`${app.url}/preview.svg?${asked}`)
        seen.add(answer.status)
        const type = answer.status === 200 ? 'image/svg+xml; charset=utf-8' : 'text/html; charset=utf-8'
        expect([200, 400]).toContain(answer.status)
        expect(answer.headers.get('content-type')).toBe(type)
        await answer.arrayBuffer()
      }),
      { numRuns: 150 },
    )
    expect(seen).toEqual(new Set([200, 400]))
  })
})

// What the avatar's page shows of the visitor's own Discord profile.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { at } from '../support/doubles.ts'
import { faults } from '../support/faults.ts'
import { look, openApp, signIn, type TestApp } from '../support/open-app.ts'
import { openReader, type Page, type Reader } from '../support/page.ts'

let app: TestApp
let reader: Reader

beforeAll(async () => {
  ;[app, reader] = await Promise.all([openApp(), openReader()])
})
afterAll(() => Promise.all([app.close(), reader.close()]))
afterEach(() => app.discord.heal())

const cdn = 'https://cdn.discordapp.com'
const id = '80351110224678912'
const hash = '5c1f0e3b7a9d4c2e8f6b1a0d3e5c7f92'

const profile = {
  banner: `a_${hash}`,
  accent_color: 0x00ff7f,
  avatar_decoration_data: { asset: `a_${hash}`, sku_id: '1' },
  collectibles: { nameplate: { palette: 'teal', asset: 'nameplates/x/', label: 'X', sku_id: '2' } },
  primary_guild: { identity_guild_id: '1', identity_enabled: true, tag: '<b>x', badge: 'y' },
  premium_type: 2,
}

/** Signs in a visitor for whom Discord returns these fields. Returns the avatar's page. */
async function pageOf(fields: Record<string, unknown>, choice: Record<string, string> = look) {
  const visitor = app.visitor()
  app.discord.fail(at.user, faults.json(200, { id, username: 'nelly', avatar: hash, ...fields }), { times: 1 })
  const answer = await signIn(app, visitor, choice)
  expect([answer.status, answer.headers.location]).toEqual([302, '/show_avatar'])
  // The query opens the form on the avatar's page with this choice.
  const { text } = await visitor.get(`/show_avatar?${new URLSearchParams(choice)}`)
  return { text, page: await reader.read(text), visitor }
}

/** Returns the parts of the profile that a page shows. */
async function shownOn(page: Page) {
  const attribute = async (selector: string, name: string) => {
    const values = (await page.find(selector)).map(({ attributes }) => attributes.get(name))
    return [...new Set(values)].join()
  }
  return {
    banner: await attribute('.profile img.banner', 'src'),
    accent: await attribute('.profile svg.banner rect', 'fill'),
    decoration: await attribute('.decoration img', 'src'),
    nameplate: await attribute('.member.you .plate rect', 'fill'),
    tag: [...new Set((await page.find('.member.you .tag bdi')).map(({ text }) => text))].join(),
    swatch: (await page.find('#here .swatch')).filter(({ text }) => text.includes(words.profile.accent)).length,
  }
}

const nothing = { banner: '', accent: '', decoration: '', nameplate: '', tag: '', swatch: 0 }
const everything = {
  banner: `${cdn}/banners/${id}/a_${hash}.png?size=512`,
  accent: '#00ff7f',
  decoration: `${cdn}/avatar-decoration-presets/a_${hash}.png`,
  nameplate: '#7deed7',
  tag: '<b>x',
  swatch: 1,
}

describe('the avatar’s page', () => {
  test('shows banner, colour, decoration, nameplate and server tag of the visitor', async () => {
    const { page, text } = await pageOf(profile)
    expect(await shownOn(page)).toEqual(everything)
    // One over the portrait and two in each theme. With reduced motion, none of them moves.
    const decorations = await page.find('.decoration img')
    expect(decorations).toHaveLength(5)
    for (const { attributes } of await page.find('.decoration source')) {
      expect(attributes.get('srcset')).toBe(`${everything.decoration}?passthrough=false`)
      expect(attributes.get('media')).toBe('(prefers-reduced-motion: reduce)')
    }
    expect(await page.find('#with-decoration')).toHaveLength(1)
    expect(await page.find('.where rect[width="100%"][height="100%"]')).toHaveLength(4)
    for (const { attributes } of await page.find(`img[src^="${cdn}"]`)) {
      expect(attributes.get('referrerpolicy')).toBe('no-referrer')
    }
    const outside = [...text.matchAll(/(?:src|srcset)="(https?:[^"]*)"/g)].map(([, url = '']) => new URL(url).origin)
    expect(new Set(outside)).toEqual(new Set([cdn]))
  })

  test('shows the present picture in the same places for “Before”', async () => {
    const { page } = await pageOf({ global_name: 'Nelly the elephant' })
    const places = await page.find('.where .worn')
    const before = await page.find('.where .worn img.before')
    expect([places.length, before.length]).toEqual([8, 8])
    for (const { attributes } of before) expect(attributes.get('src')).toBe(`${cdn}/avatars/${id}/${hash}.png?size=128`)
    expect(await page.find('.where input[name="worn"]')).toHaveLength(2)
    expect((await page.find('.profile small bdi')).map(({ text }) => text)).toEqual(['nelly', 'nelly'])
  })

  test('is complete for a visitor without banner, colour, decoration, nameplate and server tag', async () => {
    const { page } = await pageOf({})
    expect(await shownOn(page)).toEqual(nothing)
    expect(await page.find('#with-decoration, .decoration, .banner, .plate, .tag')).toEqual([])
  })

  test('shows each of Discord’s nameplates in a colour of its own', async () => {
    // Red, green and blue of each colour, the strongest first.
    const channels = {
      ...{ crimson: 'rbg', berry: 'brg', sky: 'bgr', teal: 'gbr', forest: 'grb', bubble_gum: 'rbg', violet: 'brg' },
      ...{ cobalt: 'bgr', clover: 'grb', lemon: 'rgb', white: 'rgb' },
    }
    const colours = new Set<string>()
    for (const [palette, order] of Object.entries(channels)) {
      const { page } = await pageOf({ collectibles: { nameplate: { palette } } })
      const colour = (await shownOn(page)).nameplate
      const [, ...parts] = /^#(..)(..)(..)$/.exec(colour) ?? []
      const strength = parts.map((part) => Number.parseInt(part, 16))
      const strongest = [0, 1, 2].sort((a, b) => (strength[b] ?? 0) - (strength[a] ?? 0)).map((place) => 'rgb'[place])
      expect([palette, strongest.join('')]).toEqual([palette, order])
      colours.add(colour)
    }
    expect(colours.size).toBe(11)
  })

  test.each<[keyof typeof nothing | 'none', Record<string, unknown>]>([
    ['banner', { banner: '../../evil' }],
    ['banner', { banner: `${hash}/../x` }],
    ['banner', { banner: `../${hash}` }],
    ['banner', { banner: 7 }],
    ['banner', { banner: `deco_deco_deco_${hash}` }],
    ['banner', { banner: `frame_${hash}` }],
    ['banner', { banner: 'a'.repeat(65) }],
    ['banner', { banner: 'abcdef0' }],
    ['accent', { accent_color: 0x1000000 }],
    ['accent', { accent_color: -1 }],
    ['accent', { accent_color: '#ff0000' }],
    ['accent', { accent_color: 1.5 }],
    ['decoration', { avatar_decoration_data: { asset: 'x/../y' } }],
    ['decoration', { avatar_decoration_data: 'a' }],
    ['nameplate', { collectibles: { nameplate: { palette: 'plaid' } } }],
    ['nameplate', { collectibles: { nameplate: null } }],
    ['tag', { primary_guild: { identity_enabled: true, tag: 'FIVES' } }],
    ['tag', { primary_guild: { identity_enabled: false, tag: 'FERN' } }],
    ['tag', { primary_guild: { identity_enabled: true, tag: '\u200b' } }],
    ['none', { premium_type: 9 }],
    ['none', { premium_type: null }],
  ])('leaves out an invalid %s, and shows all other parts: %j', async (name, odd) => {
    const { page } = await pageOf({ ...profile, ...odd })
    const without = name === 'none' ? {} : { [name]: nothing[name], ...(name === 'accent' && { swatch: 0 }) }
    expect(await shownOn(page)).toEqual({ ...everything, ...without })
  })

  test.each<[string, Record<string, unknown>, Partial<typeof everything>]>([
    ['black', { accent_color: 0 }, { accent: '#000000' }],
    ['white', { accent_color: 0xffffff }, { accent: '#ffffff' }],
    ['of a swatch, which is not offered twice', { accent_color: 0xffd29d }, { accent: '#ffd29d', swatch: 0 }],
  ])('shows the accent colour %s', async (_, fields, shown) => {
    const { page } = await pageOf(fields)
    expect(await shownOn(page)).toMatchObject(shown)
  })

  test('shows a decoration whose hash has two prefixes', async () => {
    const { page } = await pageOf({ avatar_decoration_data: { asset: `deco_a_${hash}` } })
    expect((await shownOn(page)).decoration).toBe(`${cdn}/avatar-decoration-presets/deco_a_${hash}.png`)
  })

  test('shows a tag of four characters, each of which takes two UTF-16 code units', async () => {
    const { page } = await pageOf({ primary_guild: { identity_enabled: true, tag: '🦊🦊🦊🦊' } })
    expect((await shownOn(page)).tag).toBe('🦊🦊🦊🦊')
  })

  test.each([`${hash}/../x`, `../${hash}`, `${hash}.gif`])(
    'shows Discord’s default picture if the present picture is %s, which is no hash',
    async (avatar) => {
      const { page } = await pageOf({ avatar })
      const sources = (await page.find('.where img.before')).map(({ attributes }) => attributes.get('src'))
      expect(new Set(sources)).toEqual(new Set([`${cdn}/embed/avatars/5.png`]))
    },
  )

  test('offers the accent colour as a background, and marks it as chosen when it is used', async () => {
    const { page } = await pageOf(profile, { ...look, backgroundColor: '#00ff7f' })
    const chosen = await page.find('#here .swatch:has([checked])')
    expect(chosen.filter(({ text }) => text.includes(words.profile.accent))).toHaveLength(1)
    expect(await page.find('#here [name="backgroundColor"][checked]')).toHaveLength(1)
    const titles = (await page.find('#here .swatch')).map(({ text }) => text)
    const placeOf = (title: string) => titles.findIndex((text) => text.includes(title))
    expect(placeOf(words.profile.accent)).toBe(placeOf('Apricot') - 1)
    expect(await page.filled('#here form')).toMatchObject({ backgroundColor: '00ff7f' })
  })

  test('offers the moving GIF first to visitors with Nitro', async () => {
    const moving = { style: 'sprouts', seed: 'fern', animated: 'on' }
    for (const [premium_type, first] of [
      [0, 'png'],
      [undefined, 'png'],
      [1, 'gif'],
      [2, 'gif'],
      [3, 'gif'],
      [4, 'png'],
      [-1, 'png'],
    ] as const) {
      const { page, text } = await pageOf({ premium_type }, moving)
      const [download] = await page.find('.downloads a[data-download]')
      expect([premium_type, /\.(png|gif)/.exec(download?.attributes.get('href') ?? '')?.[1]]).toEqual([
        premium_type,
        first,
      ])
      expect(text).toContain(first === 'gif' ? words.profile.nitro : words.show.gifHint)
    }
  })

  test('offers downloads that contain nothing of the profile', async () => {
    const plain = await pageOf({})
    const dressed = await pageOf(profile)
    const path = /\/avatars\/[0-9a-f]{64}/.exec(plain.text)?.[0]
    for (const file of ['.svg?download', '.png?download']) {
      const [one, other] = await Promise.all([plain, dressed].map(({ visitor }) => visitor.get(`${path}${file}`)))
      expect([one?.status, other?.status]).toEqual([200, 200])
      expect(one?.body).toEqual(other?.body)
    }
  })
})

test('the form, beside “Continue”, and /privacy say what is read from Discord', async () => {
  const visitor = app.visitor()
  const [form, privacy] = [await visitor.get('/'), await visitor.get('/privacy')]
  for (const word of ['banner', 'colour', 'decoration', 'nameplate', 'server tag', 'Nitro']) {
    expect([word, words.home.promise.includes(word), privacy.text.includes(word)]).toEqual([word, true, true])
  }
  expect(form.text).toContain(words.home.promise)
  for (const word of ['banner', 'colour', 'decoration', 'nameplate', 'server tag', 'Nitro']) {
    expect(words.consent.may.join()).toContain(word)
  }
})

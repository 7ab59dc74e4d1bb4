import { readdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { Avatar, OptionsDescriptor } from '@dicebear/core'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { avatarId, sha256 } from '../../src/avatar/avatars.ts'
import { readForm } from '../../src/pages/form.ts'
import { drawn, moodMap, styleList, styleOf } from '../support/drawn.ts'

/** A hash of the ids of each style's avatars. A changed id would draw each known avatar of the style anew. */
const digestsOfIds = [
  'adventurer 6d39f3, adventurer-neutral f10d08, avataaars c4a030, avataaars-neutral a47d7b, big-ears ddf155, ',
  'big-ears-neutral 24afa7, big-smile e80b48, blobs 245332, bottts dda11e, bottts-neutral a7ec98, cameo 0f9a07, ',
  'clay 114a9e, constellation 5491bd, critters 93569a, croodles 4af1c1, croodles-neutral f6f590, cutouts 46d6ed, ',
  'disco 20a6fb, dylan 315791, fun-emoji b8f5f9, gaze 76a310, glass b57a22, glyphs 69c0a9, icons fa4651, ',
  'identicon a66eb4, initial-face 47280c, initials 3e43ee, landscape ecd40c, line-face 313349, loops 58ad3f, ',
  'lorelei 9fc5a5, lorelei-neutral 9acf21, marbles fc6065, micah 1729bb, miniavs c90312, moods 29c65e, ',
  'notionists f8c42e, notionists-neutral 9dc165, open-peeps 268b7e, patchwork b3b372, personas 9f3662, ',
  'pixel-art c89ae6, pixel-art-neutral ebfa23, pixelbot 6116c7, planets f56f8a, rings e2ab6b, shadows 62987a, ',
  'shape-grid ea8627, shapes 771240, slice c2fa33, sprouts 95f7d9, squircles 75d00b, stack cdf82e, stripes b3ee8b, ',
  'thumbs 3b7fae, toon-head 04db88, triangles 175d7e, voxel-art 32e87e, voxel-bot 034981, waves be5da1, ',
  'weave db87ec',
].join('')

const require = createRequire(import.meta.url)

describe('the table of moods', () => {
  const faces = styleList.filter(({ hasFace }) => hasFace)

  test('names styles and moods that exist', () => {
    const names = styleList.map(({ name }) => name)
    for (const [style, ofStyle] of Object.entries(moodMap.styles)) {
      expect(names).toContain(style)
      for (const mood of Object.keys(ofStyle)) expect(moodMap.moods).toContain(mood)
    }
    expect(faces).toHaveLength(38)
  })

  test.each(faces.map(({ name }) => name))('has only options for %s that the style has', (name) => {
    const known = new OptionsDescriptor(styleOf(name)).toJSON()
    const options = [moodMap.always[name] ?? {}, ...Object.values(moodMap.styles[name] ?? {})].flatMap(Object.entries)
    expect(options.length).toBeGreaterThan(0)
    for (const [option, value] of options) {
      const field = known[option]
      expect([option, field?.type]).toEqual([option, Array.isArray(value) ? 'enum' : 'number'])
      if (field?.type === 'enum' && Array.isArray(value)) {
        expect(value.length).toBeGreaterThan(0)
        for (const variant of value) expect(field.values).toContain(variant)
      }
      if (field?.type === 'number' && typeof value === 'number') {
        expect(value).toBeGreaterThanOrEqual(field.min ?? 0)
        expect(value).toBeLessThanOrEqual(field.max ?? 100)
      }
    }
  })

  test('changes the face with every mood', () => {
    for (const { name, moods } of faces) {
      for (const mood of moods) {
        const seeds = ['fern', 'moss', 'kit', 'lena', 'otter']
        const changed = seeds.filter((seed) => drawn({ seed, style: name, mood }) !== drawn({ seed, style: name }))
        expect([name, mood, changed.length > 0]).toEqual([name, mood, true])
      }
    }
  })
})

test('the avatars of every style, in every mood and with each kind of background, have the ids that they always had', () => {
  const digests = styleList.map(({ name, moods }) => {
    const ids = ['', ...moods].flatMap((mood) =>
      ['', 'own', 'ffd29d'].flatMap((backgroundColor) =>
        ['', 'on'].map((animated) => {
          const { choice } = readForm({ seed: 'fern', style: name, mood, backgroundColor, animated })
          return choice && avatarId(choice)
        }),
      ),
    )
    return `${name} ${sha256(ids.join()).slice(0, 6)}`
  })
  expect(digests.sort().join(', ')).toBe(digestsOfIds)
})

describe('the list of styles', () => {
  const Definition = z.object({
    meta: z.object({
      license: z.object({ name: z.string(), url: z.string() }),
      creator: z.object({ name: z.string(), url: z.string() }),
      source: z.object({ name: z.string(), url: z.string() }),
    }),
  })

  test('has all 61 styles of @dicebear/styles, and no other', async () => {
    const folder = dirname(require.resolve('@dicebear/styles/adventurer.json'))
    const names = (await readdir(folder)).flatMap((file) => /^([a-z0-9-]+)\.min\.json$/.exec(file)?.[1] ?? [])
    expect(names).toHaveLength(61)
    expect(styleList.map(({ name }) => name).sort()).toEqual(names.sort())
  })

  test.each(styleList)('knows creator, licence, animation and background of $name', (style) => {
    const { meta } = Definition.parse(require(`@dicebear/styles/${style.name}.json`))
    expect(style).toMatchObject({
      license: meta.license.name,
      licenseUrl: meta.license.url,
      creator: meta.creator.name,
      creatorUrl: meta.creator.url,
      sourceTitle: meta.source.name,
      sourceUrl: meta.source.url,
      ownBackground: styleOf(style.name).colors().has('background'),
      attribution: /^(CC BY|MIT)/.test(meta.license.name),
    })
    const moves = ['fern', 'moss', 'kit', 'lena', 'otter'].some((seed) => {
      const [moving, still] = [['animation'], []].map((tags) => drawnWith(style.name, { seed, tags }))
      return moving !== still
    })
    expect(style.animated).toBe(moves)
    expect(style.title.toLowerCase().replaceAll(' ', '-')).toBe(style.name)
  })
})

function drawnWith(name: string, options: { seed: string; tags: string[] }): string {
  return new Avatar(styleOf(name), options).toString()
}

import { readdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { Avatar, OptionsDescriptor } from '@dicebear/core'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { drawn, moodMap, styleList, styleOf } from '../support/drawn.ts'

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
  })
})

function drawnWith(name: string, options: { seed: string; tags: string[] }): string {
  return new Avatar(styleOf(name), options).toString()
}

// Parts and colours: compares src/avatar/parts.json with DiceBear's installed styles, and tests each of its entries.
import { Avatar } from '@dicebear/core'
import { expect, test } from 'vitest'
import { lookUrl } from '../../public/js/look.js'
import { avatarId } from '../../src/avatar/avatars.ts'
import { dicebearOptions } from '../../src/avatar/choice.ts'
import { effectsOf } from '../../src/avatar/effects.ts'
import { drawEmbedded } from '../../src/avatar/embedded.ts'
import { fieldsOfLook } from '../../src/avatar/looks.ts'
import partsJson from '../../src/avatar/parts.json' with { type: 'json' }
import { readForm, readLook } from '../../src/pages/form.ts'
import { partsView } from '../../src/pages/parts-view.ts'
import { words } from '../../src/pages/words.ts'
import { readVisitor, writeVisitor } from '../../src/visitor/visitor.ts'
import { styleList, styleOf } from '../support/drawn.ts'
import { partTable } from '../support/parts.ts'

function choiceOf(sent: Record<string, string>) {
  const { choice, problems } = readForm({ seed: 'fern', ...sent })
  if (choice === undefined) throw new Error(JSON.stringify(problems))
  return choice
}

/** Returns the options that DiceBear's library picked for these form fields. */
function resolved(sent: Record<string, string>): Record<string, unknown> {
  const choice = choiceOf(sent)
  return new Avatar(styleOf(choice.style), dicebearOptions(choice)).toJSON().options
}

test('the table is the one that npm run parts writes for the installed styles', () => {
  expect(partsJson).toEqual(partTable)
  const all = Object.values(partTable)
  const count = (of: (style: (typeof all)[number]) => number) => all.reduce((sum, style) => sum + of(style), 0)
  expect(count(({ parts }) => parts.length)).toBe(259)
  expect(count(({ parts }) => parts.reduce((sum, { variants }) => sum + variants.length, 0))).toBe(2835)
  expect(count(({ colours }) => colours.length)).toBe(180)
})

test.each(Object.entries(partTable))(
  '%s is drawn with each variant that is pinned, in any mood',
  (style, { parts }) => {
    const moods = styleList.find(({ name }) => name === style)?.moods ?? []
    for (const { name, optional, variants } of parts) {
      for (const [i, variant] of variants.entries()) {
        const sent = { style, mood: moods[i % (moods.length + 1)] ?? '', [`${name}Variant`]: variant }
        expect(dicebearOptions(choiceOf(sent))[`${name}Probability`]).toBe(optional ? 100 : undefined)
        // A part that belongs to another part may be missing, because it is drawn with that part only.
        expect([undefined, variant]).toContain(resolved(sent)[`${name}Variant`])
      }
      if (variants.includes('none')) continue
      const without = resolved({ style, [`${name}Variant`]: 'none' })
      expect([name, without]).toEqual([
        name,
        optional ? { ...without, [`${name}Variant`]: undefined } : resolved({ style }),
      ])
    }
  },
)

test('the seed picks one of several pinned variants', () => {
  const seen = new Set<unknown>()
  for (let n = 0; n < 60; n++) {
    const options = resolved({
      style: 'adventurer',
      seed: `seed ${n}`,
      hairVariant: 'short03,long02,nope,long01,long02',
    })
    seen.add(options.hairVariant)
  }
  expect(seen).toEqual(new Set(['long01', 'long02', 'short03']))
})

test.each([
  ['none', 'none'],
  [' variant03 , variant01', 'variant01,variant03'],
  ['none,variant03', 'variant03'],
  ['nope,none', 'none'],
  ['nope', undefined],
])('of the entered variants “%s” these are drawn: %s', (entered, expected) => {
  expect(choiceOf({ style: 'adventurer', glassesVariant: entered }).pins?.glassesVariant).toBe(expected)
})

test.each<[string, Record<string, unknown>]>([
  ['style', { style: 'nope' }],
  ['mood', { mood: 'furious' }],
  ['background', { backgroundColor: '#ffd29d' }],
  ['background', { backgroundColor: 'ffd29d00' }],
  ['second colour', { backgroundColor2: 'a9d6f500' }],
  ['gradient', { backgroundColorFill: 'conic' }],
  ['mirror', { flip: 'twice' }],
])('a session with a %s that this version does not know counts as none: %o', (_, changes) => {
  const { avatars: [tuple = []] = [] } = writeVisitor({
    avatars: [{ id: 'a'.repeat(64), choice: choiceOf({ style: 'rings', scale: '0.9' }), seedTyped: true, kept: false }],
  })
  const [seed, style, backgroundColor, mood, animated, flags, rest] = tuple
  const read = (more: Record<string, unknown>) => {
    const { style: s, backgroundColor: b, mood: m, ...others } = { style, backgroundColor, mood, ...more }
    return readVisitor({ avatars: [[seed, s, b, m, animated, flags, { ...rest, ...others }]] }).avatars.length
  }
  expect([read({}), read(changes)]).toEqual([1, 0])
})

test('pinned parts that a style lacks are dropped, and do not change the id of the look', () => {
  const plain = { style: 'adventurer', mood: 'happy', backgroundColor: 'ffd29d', seed: 'fern' }
  const others = {
    topVariant: 'hat',
    hairVariant: 'nope,NONE,__proto__',
    mouthVariant: 'none',
    hatColor: 'red',
    glassesVariant: '',
  }
  expect(choiceOf({ ...plain, ...others })).toEqual(choiceOf(plain))
  expect(avatarId(choiceOf({ ...plain, ...others }))).toBe(
    '6126af50d5493b60bc5e5e9f124ab42628d562c781153d627ac5c26b00cb6059',
  )
})

/** Returns form fields that pin a variant of every part and a value of every colour. */
function fullyPinned(style: string): Record<string, string> {
  const { parts, colours } = partTable[style] ?? { parts: [], colours: [] }
  const longest = (names: string[]) => names.toSorted((one, other) => other.length - one.length)[0] ?? ''
  return Object.fromEntries([
    ...parts.map(({ name, variants }) => [`${name}Variant`, longest(variants)]),
    ...colours.map(({ name }) => [`${name}Color`, '123456']),
  ])
}

test('pinned parts keep links and sessions short', () => {
  const lengths = styleList.map(({ name: style }) => {
    const choice = choiceOf({ style, seed: 'amber acorn', mood: '', backgroundColor: 'ffd29d', ...fullyPinned(style) })
    expect(readLook(choice).choice).toEqual(choice)
    return lookUrl(choice).length
  })
  expect(Math.max(...lengths)).toBeLessThan(700)
  expect(lengths.sort((one, other) => one - other)[30]).toBeLessThan(250)

  const pins = { hairVariant: 'long15', glassesVariant: 'variant03', hairColor: '6a4e35', skinColor: 'ecad80' }
  const avatars = Array.from({ length: 12 }, (_, n) => {
    const choice = choiceOf({
      style: 'adventurer',
      seed: `amber acorn ${n}`,
      mood: 'happy',
      backgroundColor: 'ffd29d',
      ...pins,
    })
    return { id: avatarId(choice), choice, seedTyped: true, kept: false }
  })
  const bytes = (visitor: Parameters<typeof writeVisitor>[0]) => JSON.stringify(writeVisitor(visitor)).length
  expect(readVisitor(writeVisitor({ avatars }))).toEqual({ avatars })
  expect(bytes({ avatars })).toBeLessThan(2600)
  expect(
    bytes({ avatars: avatars.map(({ choice, ...rest }) => ({ ...rest, choice: { ...choice, pins: undefined } })) }),
  ).toBeLessThan(1200)
})

test('a tile that stands for several variants has a common name, and its link is short', () => {
  const titles = new Set<string>()
  for (const [style, { parts }] of Object.entries(partTable)) {
    const { entered } = readForm({ style, mood: '', backgroundColor: 'ffd29d' })
    const look = { ...entered, style, seed: 'amber acorn' }
    for (const { name } of parts) {
      const tiles = partsView(look, look, name, [])?.open?.flatMap((card) => ('tiles' in card ? card.tiles : [])) ?? []
      for (const { value, title } of tiles.filter((one) => one.value.includes(','))) {
        titles.add(title)
        expect(lookUrl({ ...look, pins: { [`${name}Variant`]: value } }).length).toBeLessThan(500)
      }
    }
  }
  expect([...titles]).toEqual(expect.arrayContaining(['Any long', 'Any short', 'Any happy']))
  expect([...titles]).not.toContain('Any variant')
})

test('a swatch is named by its colour', () => {
  const look = { ...readForm({ style: 'adventurer' }).entered, style: 'adventurer', seed: 'fern' }
  const swatches = ['hair', 'skin'].map((name) => {
    const open = partsView(look, look, name, [])?.open ?? []
    return open.flatMap((card) => ('swatches' in card ? card.swatches.map(({ title }) => title) : []))
  })
  expect(swatches[0]).toEqual(expect.arrayContaining(['black, #0e0e0e', 'light blond, #e5d7a3', 'green, #3eac2c']))
  expect(swatches[1]).toEqual(['light, #f2d3b1', 'tan, #ecad80', 'brown, #9e5622', 'dark brown, #763900'])
})

test('every part, colour and variant has a readable name that no other has', () => {
  for (const [style, { parts, colours }] of Object.entries(partTable)) {
    for (const { name, variants } of parts) {
      const titles = variants.map((variant) => words.variantTitle(name, variant))
      expect([style, name, new Set(titles).size]).toEqual([style, name, titles.length])
      for (const title of titles) expect(title).toMatch(/^[A-Z0-9][\w ,’-]*$/)
    }
    const titles = [
      ...parts.map(({ name }) => words.partTitle(name)),
      ...colours.map(({ name }) => words.partColourTitle(name)),
    ]
    expect([style, new Set(titles).size]).toEqual([style, titles.length])
  }
})

test.each([
  ['avataaars', { clothesVariant: 'hoodie', accessoriesVariant: 'none', facialHairVariant: 'none' }],
  ['personas', {}],
  ['lorelei', { glassesVariant: 'none' }],
])('%s: the parts and colours that are offered are those that change the drawing', async (style, pins) => {
  const choice = choiceOf({ style, mood: '', ...pins })
  const { parts, colours } = partTable[style] ?? { parts: [], colours: [] }
  const drawWith = (more: Record<string, string>) => drawEmbedded({ ...choice, pins: { ...choice.pins, ...more } })
  const changes = async (field: string, values: string[]) =>
    new Set(await Promise.all(values.map((value) => drawWith({ [field]: value })))).size > 1
  const changing = {
    parts: await Promise.all(
      parts.map(({ name, optional, variants }) =>
        changes(`${name}Variant`, [...variants, ...(optional ? ['none'] : [])]),
      ),
    ),
    colours: await Promise.all(colours.map(({ name }) => changes(`${name}Color`, ['123456', '654321']))),
  }
  const effects = await effectsOf(choice)
  expect(effects.parts).toEqual(parts.flatMap(({ name }, i) => (changing.parts[i] ? [name] : [])))
  expect(effects.colours).toEqual(colours.flatMap(({ name }, i) => (changing.colours[i] ? [name] : [])))
})

test('the form offers only parts that make a difference or are pinned', async () => {
  const offered = async (pins: Record<string, string>) => {
    const { choice, entered } = readForm({ style: 'avataaars', seed: 'fern', ...pins })
    if (choice === undefined) throw new Error('refused')
    const view = partsView({ ...choice, pins: entered.pins }, entered, undefined, [], await effectsOf(choice))
    return [...(view?.chips ?? []), ...(view?.rest ?? [])].flatMap(({ fields }) => fields.split(' '))
  }
  const plain = await offered({ clothesVariant: 'hoodie', accessoriesVariant: 'none', facialHairVariant: 'none' })
  const shown = ['topVariant', 'clothesVariant', 'accessoriesVariant', 'skinColor', 'clothesColor']
  expect(plain).toEqual(expect.arrayContaining(shown))
  for (const field of ['clothesGraphicVariant', 'accessoriesColor', 'facialHairColor'])
    expect(plain).not.toContain(field)
  expect(await offered({ clothesVariant: 'graphicShirt' })).toContain('clothesGraphicVariant')
  expect(await offered({ accessoriesVariant: 'round' })).toContain('accessoriesColor')
  expect(await offered({ clothesVariant: 'hoodie', clothesGraphicVariant: 'bear' })).toContain('clothesGraphicVariant')
  expect(await offered({ accessoriesVariant: 'none', accessoriesColor: '123456' })).toContain('accessoriesColor')
})

test('variants that are called alike are offered together, if there are three or more of them', () => {
  const tilesOf = (style: string, part: string) => {
    const { choice, entered } = readForm({ style, seed: 'fern' })
    if (choice === undefined) throw new Error('refused')
    const [variants] = partsView({ ...choice, pins: {} }, entered, part, [])?.open?.slice(-1) ?? []
    return (variants && 'tiles' in variants ? variants.tiles : []).map(({ title, value }) => [
      title,
      value.split(',').length,
    ])
  }
  for (const [style, { parts }] of Object.entries(partTable)) {
    for (const { name, optional, variants } of parts) {
      const stems = Map.groupBy(variants, (variant) => variant.replace(/\d+$/, ''))
      const alike = stems.size < 2 ? [] : [...stems].filter(([stem, { length }]) => stem !== 'variant' && length > 2)
      const several = tilesOf(style, name).filter(([, count]) => Number(count) > 1)
      expect([style, name, several.map(([, count]) => count)]).toEqual([
        style,
        name,
        alike.map(([, { length }]) => length),
      ])
      expect(tilesOf(style, name)).toHaveLength(1 + Number(optional) + alike.length + variants.length)
    }
  }
  expect(tilesOf('adventurer', 'hair')).toContainEqual(['Any long', 26])
})

test('each part has one button, and its variants are under the title of this button', () => {
  for (const [style, { parts }] of Object.entries(partTable)) {
    const { choice, entered } = readForm({ style, seed: 'fern' })
    if (choice === undefined) throw new Error('refused')
    for (const { name } of parts) {
      const view = partsView({ ...choice, pins: {} }, entered, name, [])
      const chips = [...(view?.chips ?? []), ...(view?.rest ?? [])]
      const names = chips.map((chip) => chip.name)
      expect(names).toEqual([...new Set(names)])
      expect(view?.open?.at(-1)?.title).toBe(chips.find(({ isOpen }) => isOpen)?.title)
    }
  }
})

test('ready-made colours are a look of each style, and two background colours are a gradient from top to bottom', () => {
  const gradients = new Set<unknown>()
  for (const { name: style } of styleList) {
    const { choice, entered } = readForm({ style, seed: 'fern' })
    if (choice === undefined) throw new Error('refused')
    for (const { url } of partsView({ ...choice, pins: {} }, entered, undefined, [])?.looks ?? []) {
      const read = readForm(Object.fromEntries(new URL(url, 'http://localhost').searchParams))
      expect([style, url, read.problems]).toEqual([style, url, []])
      const { backgroundColor2, backgroundColorFill, backgroundColorAngle } = read.choice ?? {}
      if (backgroundColor2) gradients.add(`${backgroundColorFill} ${backgroundColorAngle}`)
    }
  }
  expect([...gradients]).toEqual(['linear 90'])
})

test.each([
  ['avataaars', 'accessories=accent clothes=cloth facialHair=hair hair=hair hat=hair skin=skin'],
  ['adventurer', 'earrings=accent eyes=line glasses=accent hair=hair ink=line skin=skin'], // teeth keep their colour
  ['bottts', 'base=skin'],
  ['initials', 'text=text'],
  ['shapes', 'shape1=cloth shape2=accent shape3=hair'],
  ['landscape', 'orb=cloth hill1=accent hill2=hair hill3=skin hill4=cloth'],
])('ready-made colours of %s are used for %s', (style, expected) => {
  const colours = { skin: 'skin', hair: 'hair', cloth: 'cloth', accent: 'accent', line: 'line', text: 'text' }
  const { pins } = fieldsOfLook({ name: 'sepia', background: ['efe0c2'], colours }, style)
  expect(
    Object.entries(pins)
      .map(([field, role]) => `${field.replace(/Color$/, '')}=${role}`)
      .join(' '),
  ).toBe(expected)
})

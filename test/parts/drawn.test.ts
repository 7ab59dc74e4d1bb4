// The text alternative of a drawing: compares the parts and colours found in an SVG with DiceBear's own options, and
// tests the text that is made of them.
import { Avatar } from '@dicebear/core'
import { expect, test } from 'vitest'
import { isEmptyDrawing } from '../../public/js/look.js'
import { popular } from '../../src/avatar/catalogue.ts'
import { type Choice, dicebearOptions } from '../../src/avatar/choice.ts'
import { drawnParts } from '../../src/avatar/drawn.ts'
import { colourName, descriptionOf } from '../../src/pages/description.ts'
import { words } from '../../src/pages/words.ts'
import { drawPixels } from '../../src/pictures/png.ts'
import { styleList, styleOf } from '../support/drawn.ts'
import { partTable } from '../support/parts.ts'

type Some = Partial<Choice> & Pick<Choice, 'style'>
const choiceOf = (some: Some): Choice => ({ seed: 'fern', backgroundColor: '', mood: '', animated: false, ...some })

function draw(choice: Choice) {
  const { svg, options } = new Avatar(styleOf(choice.style), dicebearOptions(choice)).toJSON()
  const resolved: Record<string, unknown> = options
  return { svg, resolved }
}

function textOf(some: Some): string {
  const choice = choiceOf(some)
  return descriptionOf(choice, drawnParts(choice, draw(choice).svg))
}

test.each(popular)('%s: the parts and colours that DiceBear has drawn are recognised in the SVG', (style) => {
  const { parts = [], colours = [] } = partTable[style] ?? {}
  // A background in a colour of the drawing must not be taken for a part.
  const backgrounds = ['ffdbb4', ...colours.flatMap(({ palette }) => palette)]
  const moods = styleList.find(({ name }) => name === style)?.moods ?? []
  for (let n = 0; n < 150; n++) {
    const mood = moods[n % (moods.length + 1)] ?? ''
    const choice = choiceOf({
      style,
      seed: `seed ${n}`,
      mood,
      backgroundColor: n % 2 ? (backgrounds[n % backgrounds.length] ?? '') : '',
      animated: n % 3 === 0,
    })
    const { svg, resolved } = draw(choice)
    const drawn = drawnParts(choice, svg)
    const variants = drawn.flatMap(({ name, variant }) => (variant ? [[name, variant]] : []))
    const expected = parts.flatMap(({ name }) => {
      const variant = resolved[`${name}Variant`]
      return typeof variant === 'string' ? [[name, variant]] : []
    })
    expect(variants).toEqual(expected)
    for (const { name, colour } of drawn) {
      if (colour) expect([name, resolved[`${colour.name}Color`]]).toEqual([name, [`#${colour.value}`]])
    }
    const hasSkin = ['adventurer', 'avataaars', 'open-peeps', 'pixel-art', 'big-smile', 'toon-head'].includes(style)
    expect(drawn.some(({ name, colour }) => name === 'skin' && colour)).toBe(hasSkin)
  }
})

test.each<[string, string]>([
  ['adventurer', 'hair:hair skin:skin'],
  ['avataaars', 'accessories:accessories clothes:clothes facialHair:facialHair skin:skin top:hair top:hat'],
  ['bottts', 'head:base'],
  ['micah', 'base:base clothes:shirt earrings:earring glasses:glasses hair:hair'],
  ['open-peeps', 'clothing:clothing head:headContrast skin:skin'],
  ['pixel-art', 'accessories:accessories clothes:clothing glasses:glasses hair:hair hat:hat skin:skin'],
  ['thumbs', 'shape:shape'],
  ['toon-head', 'clothes:clothes hair:hair skin:skin'],
  ['lorelei', ''], // all its drawings have the same colours
])('%s: these parts are described with these of their colours: %s', (style, expected) => {
  const described = Array.from({ length: 150 }, (_, n) => {
    const choice = choiceOf({ style, seed: `seed ${n}`, backgroundColor: n % 2 ? 'ffdbb4' : '' })
    return drawnParts(choice, draw(choice).svg).flatMap(({ name, colour }) => (colour ? `${name}:${colour.name}` : []))
  })
  expect([...new Set(described.flat())].sort().join(' ')).toBe(expected)
})

/** Shirts that have room for a print, by style. */
const shirtWithPrint: Record<string, Record<string, string>> = {
  avataaars: { clothesVariant: 'graphicShirt' },
  notionists: { clothesVariant: 'variant01' },
}

test.each(popular)('%s: the text names each pinned variant that has a name', (style) => {
  const unsaid: string[] = []
  for (const { name, variants } of partTable[style]?.parts ?? []) {
    for (const variant of variants.filter((one) => !/^variant\d+$/.test(one))) {
      const pins = name === 'clothesGraphic' ? shirtWithPrint[style] : {}
      const text = textOf({ style, mood: '', pins: { ...pins, [`${name}Variant`]: variant } })
      const without = textOf({ style, mood: '', pins: { ...pins, [`${name}Variant`]: 'none' } })
      if (text === '' || text === without) unsaid.push(`${name} ${variant}`)
      expect(text).not.toMatch(/[{}]| {2}|undefined|\ba [aeiou]/)
    }
  }
  // The text does not mention usual eyes and mouths, nor ears.
  expect(unsaid.filter((one) => !/ (default|defaultNatural|plain|normal|neutral|eyes)$|^ears /.test(one))).toEqual([])
})

test('the text is a short list of plain words', () => {
  const adventurer = { style: 'adventurer', mood: 'happy' }
  expect(textOf(adventurer)).toBe('long ginger hair and brown skin')
  const pins = { hairVariant: 'short03', glassesVariant: 'variant02', hairColor: '0e0e0e', skinColor: '763900' }
  expect(textOf({ ...adventurer, pins })).toBe('short black hair, glasses and dark brown skin')
  expect(textOf({ ...adventurer, pins: { hairColor: '00d0ff' } })).toMatch(/^long light blue hair/)
  const bun = { name: 'hair', variant: 'bunUndercut', colour: { name: 'hair', value: 'a55728' } }
  expect(descriptionOf(choiceOf({ style: 'micah' }), [bun])).toBe('an undercut with an auburn bun')
  expect(textOf({ style: 'micah', mood: 'happy', pins: { glassesVariant: 'round', hairVariant: 'fonze' } })).toMatch(
    /a light blue quiff, round light blue glasses, /,
  )
  for (const style of popular) {
    for (let n = 0; n < 40; n++) expect(textOf({ style, seed: `seed ${n}` }).length).toBeLessThan(160)
  }
})

test('beards and skin have the colour names of hair and skin, and dark colours are told apart', () => {
  const beard = { facialHairVariant: 'beardMedium', facialHairColor: 'cb6820' }
  expect(textOf({ style: 'avataaars', pins: beard })).toContain('a medium-length ginger beard')
  expect(textOf({ style: 'micah', pins: { baseColor: '763900' } })).toMatch(/ dark brown skin$/)
  const hair = ['hair', 'headContrast', 'facialHair'].map((name) => colourName('head', { name, value: 'd0661c' }))
  expect([...hair, colourName('hat', { name: 'hat', value: 'd0661c' })]).toEqual([
    'ginger',
    'ginger',
    'ginger',
    'orange',
  ])
  const names = ['2c5a7a', '993300'].map((value) => colourName('shirt', { name: 'shirt', value }))
  expect(names).toEqual(['dark blue', 'dark red'])
})

test('the text leaves out the parts that show the chosen mood, unless they are pinned', () => {
  const toonHead = { style: 'toon-head', mood: 'happy' }
  expect(textOf(toonHead)).not.toMatch(/eyes|mouth|smile|eyebrows/)
  expect(textOf({ ...toonHead, mood: '' })).toMatch(/ a wink/)
  expect(textOf({ ...toonHead, pins: { eyesVariant: 'wink', eyebrowsVariant: 'raised' } })).toMatch(
    /a wink, raised eyebrows/,
  )
})

test('a part in an SVG that the style does not have is ignored', () => {
  const choice = choiceOf({ style: 'adventurer' })
  const svg =
    '<svg><defs><g id="hair-<b>-1"/><g id="hair-bald-1"/><g id="hat-top-1"/><g id="__proto__-x-1"/></defs></svg>'
  expect(drawnParts(choice, svg)).toEqual([])
  expect(drawnParts(choice, 'not a drawing')).toEqual([])
})

test('a drawing that shows nothing but its background is recognised in every style', async () => {
  for (const { name } of styleList) {
    for (const seed of ['fern', '12', '🦊', '\u3164']) {
      const { svg } = draw(choiceOf({ style: name, seed }))
      const pixels = await drawPixels(svg, 32)
      expect([name, seed, isEmptyDrawing(name, svg)]).toEqual([name, seed, pixels.every((value) => value === 0)])
    }
  }
  expect(isEmptyDrawing('initials', '')).toBe(false)
})

test('every phrase is for a part or a colour that some style has', () => {
  const all = Object.values(partTable)
  const names = all.flatMap(({ parts, colours }) => [...parts, ...colours].map(({ name }) => name))
  for (const [name, phrases] of Object.entries(words.drawn.phrases)) {
    expect(names).toContain(name)
    const variants = all
      .flatMap(({ parts }) => parts.filter((part) => part.name === name))
      .flatMap((part) => part.variants)
    const kinds = new Set(variants.map((variant) => variant.replace(/\d+$/, '')))
    if (['hair', 'top', 'head'].includes(name)) continue // these share a list
    expect([name, Object.keys(phrases).filter((kind) => kind !== 'any' && !kinds.has(kind))]).toEqual([name, []])
  }
})

/** What a phrase says, if it has no word of the variant's name. Without a part it is a hairstyle. */
const saidOtherwise: Record<string, Record<string, string>> = {
  '': {
    ...{ bald: 'no hair', balndess: 'no hair', mrClean: 'no hair', balding: 'thinning', dougFunny: 'a few' },
    ...{ elvis: 'quiff', fonze: 'quiff', mrT: 'mohawk', slaughter: 'at the sides only' },
  },
  top: { frida: 'with flowers', longButNotTooLong: 'shoulder-length', miaWallace: 'bob with bangs' },
  eyes: {
    ...{ eva: 'on a screen', frame: 'on a screen', love: 'hearts', pissed: 'annoyed', shades: 'sunglasses' },
    ...{ robocop: 'striped visor', shade: 'a visor', default: '', eyes: '', normal: '', plain: '' },
  },
  mouth: {
    ...{ agape: 'an open mouth', bite: 'pointed teeth', diagram: 'waveform', eating: 'full of food', kawaii: 'cute' },
    ...{ pissed: 'annoyed', twinkle: 'faint smile', default: '' },
  },
  expression: { any: '{variant} look', concernedFear: 'frightened', cyclops: 'single eye' },
  eyebrows: {
    ...{ down: 'lowered', up: 'raised', upDown: 'one raised', upDownNatural: 'one raised', unibrowNatural: 'joined' },
    ...{ default: '', defaultNatural: '', neutral: '' },
  },
  glasses: { dark: 'sunglasses', light: '{colour} glasses' },
  accessories: { kurt: 'oval {colour} sunglasses', mustache: 'moustache', prescription: '{colour} glasses' },
  facialHair: { pyramid: 'moustache', scruff: 'stubble', shadow: 'stubble' },
  details: { mustache: 'moustache' },
  clothes: { rounded: 'a {colour} top', squared: 'a {colour} top' },
  clothesGraphic: { electric: 'lightning' },
  gesture: { hand: 'thumb', pointLongArm: 'raised finger', waveLongArm: 'a waving hand', waveLongArms: 'two waving' },
  texture: { grunge: 'scratches' },
  shape: { any: '{variant} {colour} body' },
  base: { any: '{colour} skin' },
}

/** Whether a phrase says what the name of a variant says, or `otherwise` if this is given. */
function says(phrase: string, name: string, otherwise: string | undefined): boolean {
  if (otherwise !== undefined) return otherwise === '' ? phrase === '' : phrase.includes(otherwise)
  const stems = (name.match(/[A-Z]?[a-z]+/g) ?? []).map((word) => word.slice(0, 4).toLowerCase())
  return stems.some((stem) => phrase.toLowerCase().replaceAll('-', ' ').includes(stem))
}

test('a phrase has a word of the variant’s name, or one that means the same', () => {
  const { hairstyles, phrases } = words.drawn
  const wrong = Object.entries({ '': hairstyles, ...phrases }).flatMap(([part, ofPart]) =>
    Object.entries<string>(ofPart).filter(
      ([kind, phrase]) => !says(phrase, kind === 'any' ? part : kind, saidOtherwise[part]?.[kind]),
    ),
  )
  expect(wrong).toEqual([])
  // All other hairstyles have a colour.
  const colourless = Object.entries(hairstyles).filter(([, phrase]) => !phrase.includes('{colour}'))
  const noColour = ['bald', 'balndess', 'beanie', 'buzzcut', 'cap', 'mrClean']
  expect(colourless.map(([kind]) => kind)).toEqual(noColour)
})

/** Returns hue (0 to 360), saturation and lightness (0 to 1) of six hex digits. */
function hslOf(colour: string) {
  const [red = 0, green = 0, blue = 0] = [0, 2, 4].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
  const [most, least] = [Math.max(red, green, blue), Math.min(red, green, blue)]
  const [range, lightness] = [most - least, (most + least) / 2]
  const sixth =
    most === red ? (green - blue) / range : most === green ? 2 + (blue - red) / range : 4 + (red - green) / range
  const saturation = range === 0 ? 0 : range / (1 - Math.abs(2 * lightness - 1))
  return { hue: range === 0 ? 0 : (60 * sixth + 360) % 360, saturation, lightness }
}

/** By the last word of a name, the hues that it can have: from and to, clockwise. */
const huesOf: Record<string, [number, number]> = {
  ...{ red: [350, 15], brown: [0, 45], auburn: [15, 30], ginger: [20, 35], peach: [15, 30], orange: [20, 35] },
  ...{ beige: [15, 45], cream: [35, 50], blond: [30, 50], tan: [20, 35], light: [10, 35], yellow: [45, 60] },
  ...{ olive: [50, 65], green: [70, 160], 'grey-green': [90, 130], turquoise: [165, 180], blue: [180, 220] },
  ...{ 'grey-blue': [200, 220], lilac: [250, 260], purple: [250, 285], pink: [325, 350] },
}

test('the names of the example colours are those of their hue and lightness', () => {
  const { colours, hairColours, skinColours } = words.drawn
  for (const examples of [colours, hairColours, skinColours]) {
    const named = Object.entries(examples).map(([value, name]) => ({ name, ...hslOf(value) }))
    for (const { name, hue, saturation, lightness } of named) {
      const word = name.split(' ').at(-1) ?? ''
      const [from, to] = huesOf[word] ?? [0, 360]
      const isGrey = ['black', 'grey', 'silver', 'white'].includes(word)
      const isHue = from > to ? hue >= from || hue <= to : hue >= from && hue <= to
      expect([name, isGrey ? saturation < 0.3 : isHue]).toEqual([name, true])
      // A name without "dark" or "light" is between the two.
      const of = (first: string) => named.filter((one) => one.name === `${first} ${word}`).map((one) => one.lightness)
      if (name === word) expect([name, lightness > Math.max(0, ...of('dark')) - 0.05]).toEqual([name, true])
      if (name === word) expect([name, lightness < Math.min(1, ...of('light')) + 0.1]).toEqual([name, true])
    }
    const lightnessOf = (name: string) => named.filter((one) => one.name === name).map((one) => one.lightness)
    expect(Math.max(0, ...lightnessOf('black'))).toBeLessThan(0.15)
    expect(Math.min(1, ...lightnessOf('white'))).toBeGreaterThan(0.95)
  }
})

// What Discord's circle cuts off: compares the table in public/js/circle.js with rendered pixels, and tests the notice.
import { Avatar } from '@dicebear/core'
import fc from 'fast-check'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cutVariants, fittingFraming, fittingScale } from '../../public/js/circle.js'
import { popular, styles } from '../../src/avatar/catalogue.ts'
import { type Choice, dicebearOptions } from '../../src/avatar/choice.ts'
import { readForm } from '../../src/pages/form.ts'
import { formView } from '../../src/pages/form-view.ts'
import { words } from '../../src/pages/words.ts'
import '../../src/pictures/png.ts' // so that letters are drawn with the app's fonts, here and in the tests after it
import { styleList, styleOf } from '../support/drawn.ts'
import { openApp, signIn, type TestApp } from '../support/open-app.ts'

/** Width and height of a rendered drawing in pixels: enough to see a cut ear. */
const side = 64
/** The share of the height that is checked: heads end above it, and shoulders below it may be cut. */
const headShare = 0.7
/** How much of a drawing may be cut without a warning, in percent: a curl, or a corner of a hat. */
const toleratedPercent = 2
/** So small a part of the drawing is not seen to be missing. */
const invisiblePercent = 0.5
/** A face touches less than this share of the edges; a pattern that fills the picture touches more. */
const edgeToEdgeShare = 0.4
/** A drawing that fills this share of the corners is a background pattern, not a head. */
const patternShare = 0.3

/**
 * Returns how much of a drawing lies outside of the circle, above the shoulders, in percent of the whole drawing. More
 * than `mostCut` of the corners is a background pattern, and does not count.
 */
async function cutPercent(svg: string, mostCut = patternShare): Promise<number> {
  // The size is set in the drawing, and not by sharp, which would take half as long again.
  const sized = svg.replace('<svg ', `<svg width="${side}" height="${side}" `)
  const colours = await sharp(Buffer.from(sized)).raw().toBuffer()
  const radius = side / 2
  let [whole, cut, corners] = [0, 0, 0]
  for (let pixel = 0; pixel < side * side; pixel++) {
    const [x, y] = [pixel % side, Math.floor(pixel / side)]
    const value = colours[4 * pixel + 3] ?? 0
    whole += value
    if (y >= side * headShare || Math.hypot(x + 0.5 - radius, y + 0.5 - radius) <= radius) continue
    corners += 255
    cut += value
  }
  return cut > mostCut * corners || whole === 0 ? 0 : (100 * cut) / whole
}

const draw = (style: string, seed: string, options: Record<string, unknown> = {}) =>
  new Avatar(styleOf(style), { seed, backgroundColor: ['ffffff00'], ...options }).toString()

/** Returns up to three of a hundred seeds whose drawings lie within the circle. */
async function wholeFaces(style: string): Promise<string[]> {
  const whole: string[] = []
  for (let n = 0; whole.length < 3 && n < 100; n++) {
    if ((await cutPercent(draw(style, `face ${n}`))) <= toleratedPercent) whole.push(`face ${n}`)
  }
  return whole
}

/** Returns whether more than `percent` of each of these drawings lies outside of the circle. */
async function areCut(style: string, faces: string[], options: Record<string, unknown>, percent: number) {
  for (const seed of faces) if ((await cutPercent(draw(style, seed, options))) <= percent) return false
  return true
}

/** Returns the largest scale, in steps of 0.05, at which all of these drawings lie within the circle. */
async function largestScale(style: string, faces: string[], options: Record<string, unknown>): Promise<number> {
  for (let percent = 95; percent >= 50; percent -= 5) {
    const scale = percent / 100
    const cut = await Promise.all(faces.map((seed) => cutPercent(draw(style, seed, { ...options, scale }))))
    if (Math.max(...cut) <= invisiblePercent) return scale
  }
  throw new Error(`${style} does not fit into the circle`)
}

/** Returns the variants of a style that the circle cuts, each with the largest scale at which it fits. */
async function cutVariantsOf(style: string): Promise<Record<string, Record<string, number>>> {
  const faces = await wholeFaces(style)
  const found: Record<string, Record<string, number>> = {}
  for (const [name, component] of styleOf(style).components()) {
    // A texture, such as dirt on a robot, may be cut.
    for (const variant of name === 'texture' ? [] : component.variants().keys()) {
      const forced = { [`${name}Variant`]: [variant], [`${name}Probability`]: 100 }
      if (!(await areCut(style, faces, forced, toleratedPercent))) continue
      found[name] = { ...found[name], [variant]: await largestScale(style, faces, forced) }
    }
  }
  return found
}

test('the table has each variant of a face or of letters that the circle cuts, and no other', async () => {
  const found: Record<string, Record<string, Record<string, number>>> = {}
  for (const { name, hasFace } of styleList) {
    const variants = hasFace || name === 'initials' ? await cutVariantsOf(name) : {}
    if (Object.keys(variants).length > 0) found[name] = variants
  }
  expect(cutVariants).toEqual(found)
}, 120_000)

/** Returns the shares of the side edges and of the lower edge along which a scaled-down drawing ends in a line. */
async function edgeShares(style: string): Promise<{ sides: number; lower: number }> {
  const margin = 10
  const scale = 1 - (2 * margin) / side
  const [first, last] = [margin, side - margin - 1]
  const seeds = ['fern', 'moss', 'kit', 'lena', 'otter', 'juniper']
  let [sides, lower] = [0, 0]
  for (const seed of seeds) {
    const opacity = await sharp(Buffer.from(draw(style, seed, { scale })))
      .resize(side, side)
      .ensureAlpha()
      .extractChannel('alpha')
      .raw()
      .toBuffer()
    const isDrawn = (x: number, y: number) => (opacity[y * side + x] ?? 0) > 100
    for (let at = first; at <= last; at++) {
      if (isDrawn(first + 1, at) && !isDrawn(first - 2, at)) sides += 1
      if (isDrawn(last - 1, at) && !isDrawn(last + 2, at)) sides += 1
      if (isDrawn(at, last - 1) && !isDrawn(at, last + 2)) lower += 1
    }
  }
  const length = seeds.length * (last - first + 1)
  return { sides: sides / (2 * length), lower: lower / length }
}

test('the catalogue knows which patterns end at the picture’s edges, and which busts at its lower edge', async () => {
  const found = { edgeToEdge: [] as string[], bust: [] as string[] }
  for (const { name, hasFace } of styles) {
    const { sides, lower } = await edgeShares(name)
    if (sides > edgeToEdgeShare) found.edgeToEdge.push(name)
    else if (lower > edgeToEdgeShare && (hasFace || name === 'shadows')) found.bust.push(name)
  }
  expect({
    edgeToEdge: styles.filter(({ edgeToEdge }) => edgeToEdge).map(({ name }) => name),
    bust: styles.filter(({ bust }) => bust).map(({ name }) => name),
  }).toEqual(found)
}, 60_000)

test('the form says that the lower edge of a bust can be seen if it is made smaller and not moved down', () => {
  const hintOf = (sent: Record<string, string>) => formView(readForm(sent).entered, [], 'fern').framing.hint
  const text = words.script.lowerEdge.replace('{percent}', '10')
  expect(hintOf({ style: 'avataaars', scale: '0.8' })).toBe(text)
  expect(hintOf({ style: 'avataaars', scale: '0.8', translateY: '9' })).toBe(text)
  expect(hintOf({ style: 'avataaars', scale: '0.8', translateY: '10' })).toBe('')
  expect(hintOf({ style: 'avataaars' })).toBe('')
  expect(hintOf({ style: 'adventurer', scale: '0.8' })).toBe('')
})

/** Draws a choice. `hasCutVariant`: whether the library picked a variant that is in the table. */
function drawn(choice: Choice, cut: Record<string, Record<string, number>>): { svg: string; hasCutVariant: boolean } {
  const { svg, options } = new Avatar(styleOf(choice.style), dicebearOptions(choice)).toJSON()
  const picked: Record<string, unknown> = options
  return {
    svg,
    hasCutVariant: Object.entries(cut).some(([name, variants]) => String(picked[`${name}Variant`]) in variants),
  }
}

test.each(Object.entries(cutVariants))('%s: the variants in the table are recognised in the SVG', (style, cut) => {
  const ofTable = Object.entries(cut).flatMap(([name, variants]) =>
    Object.keys(variants).map((variant) => ({ [`${name}Variant`]: variant })),
  )
  const Looks = fc.record({
    seed: fc.string({ unit: 'grapheme', maxLength: 20 }),
    // The library seldom picks a variant of the table by itself: in some styles for one look of 140.
    pins: fc.oneof(fc.constant({}), fc.constantFrom(...ofTable)),
    backgroundColor: fc.constantFrom('', 'ffd29d'),
    mood: fc.constantFrom('', ...(styleList.find(({ name }) => name === style)?.moods ?? [])),
    animated: fc.boolean(),
  })
  const seen = new Set<boolean>()
  fc.assert(
    fc.property(Looks, (look) => {
      const { svg, hasCutVariant } = drawn({ ...look, style }, cut)
      seen.add(hasCutVariant)
      const fitting = fittingFraming({}, fittingScale(style, svg))
      expect(fitting !== undefined).toBe(hasCutVariant)
      if (fitting) expect(fittingFraming(fitting, fittingScale(style, svg))).toBe(undefined)
    }),
    { numRuns: 300 },
  )
  expect([...seen]).toHaveLength(2)
})

/** Returns the share of drawings that the circle cuts (`seen`), and of those that the app says it cuts (`said`). */
async function cutWhenShifted(shift: { translateX: number; translateY: number; scale: number }) {
  let [seen, said, all] = [0, 0, 0]
  for (const style of popular) {
    for (const seed of ['fern', 'kit', 'lena']) {
      const svg = draw(style, seed, shift)
      all += 1
      if ((await cutPercent(svg, 1)) > toleratedPercent) seen += 1
      if (fittingFraming(shift, fittingScale(style, svg))) said += 1
    }
  }
  return { seen: seen / all, said: said / all }
}

test.each([
  { translateX: 30, translateY: 0, scale: 1 },
  { translateX: -30, translateY: 0, scale: 1 },
  { translateX: 0, translateY: -30, scale: 1 },
  { translateX: 24, translateY: -24, scale: 1 },
  { translateX: 38, translateY: 0, scale: 0.6 },
])(
  'the form warns of a shift of $translateX and $translateY percent at scale $scale, which cuts most faces off',
  async (shift) => {
    const { seen, said } = await cutWhenShifted(shift)
    expect(seen).toBeGreaterThan(0.7)
    expect(said).toBe(1)
    expect(fittingFraming({ ...shift, ...fittingFraming(shift, 2) }, 2)).toBe(undefined)
  },
)

test.each([
  { translateX: 8, translateY: 0, scale: 1 },
  { translateX: 0, translateY: -8, scale: 1 },
  { translateX: 0, translateY: 40, scale: 1 },
  { translateX: 24, translateY: 0, scale: 0.6 },
])(
  'the form hardly warns of a shift of $translateX and $translateY percent at scale $scale, which cuts few faces off',
  async (shift) => {
    const { seen, said } = await cutWhenShifted(shift)
    expect(seen).toBeLessThan(0.15)
    expect(said).toBeLessThan(0.15)
  },
)

const centred = { translateX: 0, translateY: 0 }
test.each<[Parameters<typeof fittingFraming>[0], number, ReturnType<typeof fittingFraming>]>([
  [{}, 1.9, undefined],
  [{ scale: '0.9' }, 0.9, undefined],
  [{ scale: '0.95' }, 0.9, { scale: 0.9 }],
  [{ translateX: '25' }, 1, undefined],
  [{ translateX: '26' }, 1, centred],
  [{ translateX: '-26', translateY: '5' }, 0.9, { scale: 0.9, ...centred }],
  [{ translateX: '18', translateY: '-17' }, 1, undefined],
  [{ translateX: '18', translateY: '-18' }, 1, centred],
  [{ scale: '2', translateX: '25' }, 2, undefined],
  [{ scale: '0.5', translateX: '37' }, 1, undefined],
  [{ scale: '0.5', translateX: '38' }, 1, centred],
])('a framing of %j, for a face that fits at a scale of %d, is changed to %j', (framing, largest, expected) => {
  expect(fittingFraming(framing, largest)).toEqual(expected)
})

let app: TestApp
beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())

/** Returns a seed whose hair is in the table, or, with false, one whose hair is not. */
function seedOf(cut: boolean): string {
  const named = Object.keys(cutVariants.adventurer?.hair ?? {})
  for (let n = 0; n < 1000; n++) {
    const { options } = new Avatar(styleOf('adventurer'), { seed: `seed ${n}` }).toJSON()
    if (named.includes(String(options.hairVariant)) === cut) return `seed ${n}`
  }
  throw new Error('no such hair in a thousand seeds')
}

test.each([
  { seed: seedOf(true), scale: '', cut: true },
  { seed: seedOf(true), scale: '0.9', cut: false },
  { seed: seedOf(false), scale: '', cut: false },
])('the avatar’s page says whether the circle cuts it off: $cut, at scale $scale', async ({ seed, scale, cut }) => {
  const visitor = app.visitor()
  await signIn(app, visitor, { style: 'adventurer', seed, scale, backgroundColor: '#ffd29d' })
  const { text } = await visitor.get('/show_avatar')
  expect(text.includes(words.home.cut)).toBe(cut)
})

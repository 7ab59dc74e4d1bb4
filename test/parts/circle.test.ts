// What Discord's circle cuts off: src/avatar/cut-by-circle.json against rendered pixels, and the note on the avatar's page.
import { Avatar } from '@dicebear/core'
import fc from 'fast-check'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Choice, dicebearOptions } from '../../src/avatar/choice.ts'
import { isCutByCircle } from '../../src/avatar/circle.ts'
import cutJson from '../../src/avatar/cut-by-circle.json' with { type: 'json' }
import { words } from '../../src/pages/words.ts'
import { styleList, styleOf } from '../support/drawn.ts'
import { openApp, signIn, type TestApp } from '../support/open-app.ts'

/** Pixels a side: enough to see a cut ear. */
const side = 64
/** Shoulders may be cut; heads end above this. */
const headShare = 0.7
/** Less than this is a curl or a corner of a hat. */
const toleratedPercent = 2
/** What fills this share of the corners is a background pattern, not a head. */
const patternShare = 0.3

/** How much of a drawing lies outside the circle, above the shoulders, in percent of all of it. */
async function cutPercent(svg: string): Promise<number> {
  const opacity = await sharp(Buffer.from(svg))
    .resize(side, side)
    .ensureAlpha()
    .extractChannel('alpha')
    .raw()
    .toBuffer()
  const radius = side / 2
  let [whole, cut, corners] = [0, 0, 0]
  for (const [pixel, value] of opacity.entries()) {
    const [x, y] = [pixel % side, Math.floor(pixel / side)]
    whole += value
    if (y >= side * headShare || Math.hypot(x + 0.5 - radius, y + 0.5 - radius) <= radius) continue
    corners += 255
    cut += value
  }
  return cut > patternShare * corners || whole === 0 ? 0 : (100 * cut) / whole
}

const draw = (style: string, seed: string, options: Record<string, unknown> = {}) =>
  new Avatar(styleOf(style), { seed, backgroundColor: ['ffffff00'], ...options }).toString()

/** Three seeds, or fewer if the first hundred have no more, whose drawings lie within the circle. */
async function wholeFaces(style: string): Promise<string[]> {
  const whole: string[] = []
  for (let n = 0; whole.length < 3 && n < 100; n++) {
    if ((await cutPercent(draw(style, `face ${n}`))) <= toleratedPercent) whole.push(`face ${n}`)
  }
  return whole
}

/** Whether the circle cuts every one of these drawings, whole by themselves, when they have this variant. */
async function cutsAll(style: string, faces: string[], options: Record<string, unknown>): Promise<boolean> {
  for (const seed of faces) if ((await cutPercent(draw(style, seed, options))) <= toleratedPercent) return false
  return true
}

/** The variants of a style that reach out of the circle. */
async function cutVariants(style: string): Promise<Record<string, string[]>> {
  const faces = await wholeFaces(style)
  const found: Record<string, string[]> = {}
  for (const [name, component] of styleOf(style).components()) {
    // A cut texture, such as dirt on a robot, does not matter.
    for (const variant of name === 'texture' ? [] : component.variants().keys()) {
      const forced = { [`${name}Variant`]: [variant], [`${name}Probability`]: 100 }
      if (await cutsAll(style, faces, forced)) found[name] = [...(found[name] ?? []), variant]
    }
  }
  return found
}

test('the table names each variant of a face or of letters that reaches out of the circle, and no other', async () => {
  const found: Record<string, Record<string, string[]>> = {}
  for (const { name, hasFace } of styleList) {
    const variants = hasFace || name === 'initials' ? await cutVariants(name) : {}
    if (Object.keys(variants).length > 0) found[name] = variants
  }
  expect(cutJson).toEqual(found)
}, 120_000)

/** A drawing, and whether it has a variant from the table, by the options that the library picked. */
function drawn(choice: Choice, cut: Record<string, string[]>): { svg: string; hasCutVariant: boolean } {
  const { svg, options } = new Avatar(styleOf(choice.style), dicebearOptions(choice)).toJSON()
  const picked: Record<string, unknown> = options
  return {
    svg,
    hasCutVariant: Object.entries(cut).some(([name, variants]) => variants.includes(String(picked[`${name}Variant`]))),
  }
}

test.each(Object.entries(cutJson))('%s: the SVG shows which variants it has', (style, cut) => {
  const Looks = fc.record({
    seed: fc.string({ unit: 'grapheme', maxLength: 20 }),
    backgroundColor: fc.constantFrom('', 'ffd29d'),
    mood: fc.constantFrom('', ...(styleList.find(({ name }) => name === style)?.moods ?? [])),
    animated: fc.boolean(),
  })
  const seen = new Set<boolean>()
  fc.assert(
    fc.property(Looks, (look) => {
      const { svg, hasCutVariant } = drawn({ ...look, style }, cut)
      seen.add(hasCutVariant)
      expect(isCutByCircle(style, Buffer.from(svg))).toBe(hasCutVariant)
    }),
    { numRuns: 1000 },
  )
  expect([...seen]).toHaveLength(2)
})

let app: TestApp
beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())

/** A seed whose hair the table names, or one whose hair it does not. */
function seedOf(cut: boolean): string {
  const named = cutJson.adventurer.hair
  for (let n = 0; n < 1000; n++) {
    const { options } = new Avatar(styleOf('adventurer'), { seed: `seed ${n}` }).toJSON()
    if (named.includes(String(options.hairVariant)) === cut) return `seed ${n}`
  }
  throw new Error('no such hair in a thousand seeds')
}

test.each([
  { seed: seedOf(true), cut: true },
  { seed: seedOf(false), cut: false },
])('the page of an avatar says whether the circle cuts it: $cut', async ({ seed, cut }) => {
  const visitor = app.visitor()
  await signIn(app, visitor, { style: 'adventurer', seed, backgroundColor: '#ffd29d' })
  const { text } = await visitor.get('/show_avatar')
  expect(text.includes(words.show.circle)).toBe(cut)
})

// On which backgrounds a style is nearly invisible: compares src/avatar/faint.json with rendered pixels.
import { expect, test } from 'vitest'
import { isFaint } from '../../public/js/look.js'
import { styles } from '../../src/avatar/catalogue.ts'
import faintJson from '../../src/avatar/faint.json' with { type: 'json' }
import { betterSwatches, faintBackgrounds } from '../../src/avatar/faint.ts'
import { faintTable } from '../support/faint.ts'

test('the table has each style with each background on which it is nearly invisible, and no other', async () => {
  expect(faintJson).toEqual(await faintTable())
}, 60_000)

test.each([
  ['constellation', 'ffd29d', true],
  ['constellation', '', false],
  ['constellation', '263239', false],
  ['initials', '', true],
  ['initials', 'own', false],
  ['initials', '263239', true],
  ['adventurer', '', false],
])('%s on “%s” is nearly invisible: %s', (style, backgroundColor, expected) => {
  expect(isFaint(faintBackgrounds(style), backgroundColor)).toBe(expected)
})

test('each style has at least three colours on which it can be seen', () => {
  for (const { name } of styles) {
    const better = betterSwatches(name)
    expect([name, new Set(better).size]).toEqual([name, 3])
    expect(better.filter((value) => isFaint(faintBackgrounds(name), value))).toEqual([])
  }
})

test.each([
  ['initials', 'on dark', ['ffd29d', 'f7a98b', 'f6b8c6']],
  ['glass', 'on light', ['263239', '7a3f5c', '2c5a7a']],
])('%s, which is nearly invisible %s colours, is better seen on %o', (style, _, better) => {
  expect(betterSwatches(style)).toEqual(better)
})

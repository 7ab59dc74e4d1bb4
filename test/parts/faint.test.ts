// On which backgrounds a style is nearly invisible: src/avatar/faint.json against rendered pixels.
import { expect, test } from 'vitest'
import { isFaint } from '../../public/js/look.js'
import { styles } from '../../src/avatar/catalogue.ts'
import faintJson from '../../src/avatar/faint.json' with { type: 'json' }
import { betterSwatches, faintGrounds } from '../../src/avatar/faint.ts'
import { faintTable } from '../support/faint.ts'

test('the table names each style and background that are hardly told apart, and no other', async () => {
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
])('%s on “%s” is faint: %s', (style, backgroundColor, expected) => {
  expect(isFaint(faintGrounds(style), backgroundColor)).toBe(expected)
})

test('each style has three better swatches', () => {
  for (const { name } of styles) {
    const better = betterSwatches(name)
    expect([name, new Set(better).size]).toEqual([name, 3])
    expect(better.filter((value) => isFaint(faintGrounds(name), value))).toEqual([])
  }
})

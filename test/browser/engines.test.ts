// One walk in every browser engine that is installed, so that what only one of them draws otherwise shows.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EnginePage, installedEngines } from '../support/engines.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'

let app: StartedApp
beforeAll(async () => {
  app = await startApp({ RATE_LIMIT: 'off' })
})
afterAll(() => app.stop())

test('Chromium at least is installed', () => {
  expect(installedEngines.map(({ name }) => name)).toContain('Chromium')
})

const untilHeading = (page: EnginePage, heading: RegExp) =>
  expect.poll(() => page.run(() => document.querySelector('h1')?.textContent), { timeout: 10_000 }).toMatch(heading)

/** What is wrong with the place of each legend of the form. */
const misplacedLegends = (page: EnginePage) =>
  page.run(() =>
    [...document.querySelectorAll('fieldset.card')].flatMap((card) => {
      const [legend, hint] = ['legend h2', '.hint'].map((selector) => card.querySelector(selector))
      if (!legend || !hint) return ['no legend, or no hint']
      const inside = legend.getBoundingClientRect()
      const padding = Number.parseFloat(getComputedStyle(card).paddingBlockStart)
      const isInCard = inside.top >= card.getBoundingClientRect().top + padding
      const isAboveHint = inside.bottom <= hint.getBoundingClientRect().top
      return isInCard && isAboveHint ? [] : [legend.textContent]
    }),
  )

describe.each(installedEngines)('in $name', ({ open }) => {
  test.each([360, 1440])(
    'at %i px from the form to the avatar, each legend in its card above its hint',
    async (width) => {
      const page = await open({ width, height: 800 })
      try {
        await page.goto(`${app.url}/?style=lorelei&mood=playful&seed=river+otter`)
        await untilHeading(page, /^Make a new face/)
        expect(await page.run(() => innerWidth)).toBe(width)
        await expect.poll(() => page.run(() => document.documentElement.className)).toBe('js')
        expect(await page.run(() => document.querySelectorAll('fieldset.card').length)).toBe(3)
        expect(await misplacedLegends(page)).toEqual([])

        await page.run(() => document.querySelector<HTMLElement>('button.next')?.click())
        await untilHeading(page, /know who you are/)
        await page.run(() => document.querySelector<HTMLElement>('[name="decision"][value="agree"]')?.click())
        await untilHeading(page, /^Looking good/)
        const isDrawn = () => page.run(() => document.querySelector<HTMLImageElement>('.portrait')?.naturalWidth)
        await expect.poll(isDrawn, { timeout: 10_000 }).toBeGreaterThan(0)
        expect(await page.run(() => document.querySelector('.lead')?.textContent)).toContain('Lorelei, playful')
      } finally {
        await page.close()
      }
    },
  )
})

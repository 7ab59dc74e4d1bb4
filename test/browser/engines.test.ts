// One visit in every browser engine that is installed, to find what one of them draws differently from the others.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EnginePage, installedEngines } from '../support/engines.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'

let app: StartedApp
beforeAll(async () => {
  app = await startApp({ RATE_LIMIT: 'off' })
})
afterAll(() => app.stop())

test('at least Chromium is installed', () => {
  expect(installedEngines.map(({ name }) => name)).toContain('Chromium')
})

const untilHeading = (page: EnginePage, heading: RegExp) =>
  expect.poll(() => page.run(() => document.querySelector('h1')?.textContent), { timeout: 10_000 }).toMatch(heading)

/** Submits the form as it is filled, agrees at the stand-in Discord, and waits for the avatar's page. */
async function signIn(page: EnginePage) {
  await untilHeading(page, /^Make a new face/)
  await page.run(() => document.querySelector<HTMLElement>('button.next')?.click())
  await untilHeading(page, /know who you are/)
  await page.run(() => document.querySelector<HTMLElement>('[name="decision"][value="agree"]')?.click())
  await untilHeading(page, /^Looking good/)
}

/** Returns the legends that are outside of their card, or not above its hint. Hidden and folded cards are skipped. */
const misplacedLegends = (page: EnginePage) =>
  page.run(() =>
    [...document.querySelectorAll('fieldset.card')].flatMap((card) => {
      const [legend, hint] = ['legend h2', '.hint'].map((selector) => card.querySelector(selector))
      if (!card.checkVisibility() || !legend || !hint?.checkVisibility()) return []
      const inside = legend.getBoundingClientRect()
      const padding = Number.parseFloat(getComputedStyle(card).paddingBlockStart)
      const isInCard = inside.top >= card.getBoundingClientRect().top + padding
      const isAboveHint = inside.bottom <= hint.getBoundingClientRect().top
      return isInCard && isAboveHint ? [] : [legend.textContent]
    }),
  )

describe.each(installedEngines)('in $name', ({ name, open }) => {
  let page: EnginePage
  beforeAll(async () => {
    page = await open({ width: 1440, height: 800 })
  })
  afterAll(() => page.close())

  test('a visit leads to an avatar, and each legend of the form is in its card, above its hint', async () => {
    await page.goto(`${app.url}/?style=lorelei&mood=playful&seed=river+otter`)
    await expect.poll(() => page.run(() => document.documentElement.className)).toBe('js')
    for (const width of [1440, 360]) {
      await page.resize({ width, height: 800 })
      await expect.poll(() => page.run(() => innerWidth)).toBe(width)
      expect(await page.run(() => document.querySelectorAll('fieldset.card legend h2').length)).toBeGreaterThan(2)
      expect(await misplacedLegends(page)).toEqual([])
    }
    await signIn(page)
    const isDrawn = () => page.run(() => document.querySelector<HTMLImageElement>('.portrait')?.naturalWidth)
    await expect.poll(isDrawn, { timeout: 10_000 }).toBeGreaterThan(0)
    expect(await page.run(() => document.querySelector('.lead')?.textContent)).toContain('Lorelei, playful')
  })

  // Only Firefox, without a window, requests an icon for a picture, and logs what the page is not allowed to load.
  if (name === 'Firefox')
    test('a GIF opened in a tab of its own has the site’s icon, and the browser blocks nothing', async () => {
      await page.goto(`${app.url}/?style=thumbs&animated=on&seed=river+otter`)
      await page.run(() => document.querySelector<HTMLElement>('button.next')?.click())
      await untilHeading(page, /^Looking good/)
      const gif = await page.run(() => document.querySelector<HTMLAnchorElement>('a[href*=".gif"]')?.pathname)
      // A request that is still open when the page is left would be logged as blocked.
      await expect.poll(() => page.run(() => document.readyState), { timeout: 10_000 }).toBe('complete')
      page.logged.length = 0
      await page.goto(`${app.url}${gif}`)
      await expect
        .poll(() => [...page.logged, ...app.output.stdout.split('\n')], { timeout: 10_000 })
        .toContainEqual(expect.stringContaining('/favicon.ico'))
      expect(page.logged).toEqual([])
    })
})

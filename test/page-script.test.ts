// What the form's script does when answers are late or don't come, when keys are fast, and where the focus is then.
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inPage, openBrowser } from './support/browser.ts'
import { type StartedApp, startApp } from './support/start-app.ts'

let app: StartedApp
let browser: Browser

beforeAll(async () => {
  ;[app, browser] = await Promise.all([startApp({ RATE_LIMIT: 'off' }), openBrowser()])
})
afterAll(async () => {
  await browser.close()
  await app.stop()
})

const visit = (run: (page: Page) => Promise<void>, options: BrowserContextOptions = {}) => inPage(browser, options, run)
const preview = '.crop img[data-preview]'
const seedField = (page: Page) => page.getByRole('textbox', { name: 'Seed' })

/** The form, where from then on no time passes but by `page.clock.runFor`. */
async function openStopped(page: Page, address = '/') {
  await page.clock.install()
  await page.goto(app.url + address)
  await page.clock.pauseAt(Date.now() + 60_000)
}

/** Until the preview shows a picture at an address with this in it. */
const isShown = (page: Page, part: string) =>
  page.waitForFunction(
    ([selector = '', part = '']) => {
      const image = document.querySelector<HTMLImageElement>(selector)
      return image?.complete && image.naturalWidth > 0 && image.src.includes(part)
    },
    [preview, part],
  )

describe('fast keys', () => {
  test('a letter typed and taken back at once: the picture is that of the seed in the field', async () => {
    await visit(async (page) => {
      const asked: string[] = []
      page.on('request', (request) => asked.push(request.url()))
      await openStopped(page)
      await seedField(page).focus()
      for (const key of ['a', 'b', 'Backspace']) await page.keyboard.press(key)
      await page.clock.runFor(1000)
      await isShown(page, 'seed=a&')
      await page.waitForLoadState('networkidle')
      expect(await seedField(page).inputValue()).toBe('a')
      expect(asked.filter((url) => url.includes('seed=ab&'))).toEqual([])
    })
  })

  test('a seed that became too long: the one before it is not drawn any more', async () => {
    await visit(async (page) => {
      const asked: string[] = []
      page.on('request', (request) => asked.push(request.url()))
      await openStopped(page)
      await seedField(page).fill('a')
      await seedField(page).fill('b'.repeat(128))
      await seedField(page).fill('b'.repeat(129))
      await page.clock.runFor(1000)
      await page.waitForLoadState('networkidle')
      expect(asked.filter((url) => url.includes('seed=bb'))).toEqual([])
    })
  })
})

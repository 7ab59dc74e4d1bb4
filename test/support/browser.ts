import { existsSync } from 'node:fs'
import {
  type Browser,
  type BrowserContextOptions,
  chromium,
  type LaunchOptions,
  type Locator,
  type Page,
} from 'playwright-core'

/** The headless one does the same in half of the time, as it draws no window of a browser around the page. */
export const chromiumPaths = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium']

/** Keeps Chromium from asking anything but our own pages. */
const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Debian's Chromium, headless. */
export async function openBrowser(options: LaunchOptions = {}): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath(), args: quiet, ...options })
}

/** Where Debian puts it. */
export function chromiumPath(): string {
  const path = chromiumPaths.find((path) => existsSync(path))
  if (path) return path
  throw new Error('This needs a real browser: apt-get install chromium-headless-shell, or chromium')
}

/** Runs a visit in a page of a browser profile of its own. */
export async function inPage(browser: Browser, options: BrowserContextOptions, visit: (page: Page) => Promise<void>) {
  const context = await browser.newContext(options)
  try {
    await visit(await context.newPage())
  } finally {
    await context.close()
  }
}

/** Chromium at times has no frame to give, and says so; what it gives then is as good. */
export async function screenshot(target: Page | Locator, options: { omitBackground?: boolean } = {}): Promise<Buffer> {
  for (let left = 3; ; left--) {
    try {
      return await target.screenshot(options)
    } catch (error) {
      if (left === 0 || !String(error).includes('Unable to capture screenshot')) throw error
    }
  }
}

/** The form with an empty seed, the same at each visit. */
export const inYourName = '/?style=adventurer&mood=happy&backgroundColor=ffd29d'

/** From the form to the show page, as the demo's first account. */
export async function walkToAvatar(
  page: Page,
  url: string,
  look = 'style=adventurer&mood=happy&seed=fern&backgroundColor=ffd29d',
) {
  await page.goto(`${url}/?${look}`)
  await page.getByRole('button', { name: 'Continue with Discord' }).click()
  await page.getByRole('button', { name: 'Agree and go on' }).click()
  await page.getByRole('heading', { name: /^Looking good/ }).waitFor()
}

import { existsSync } from 'node:fs'
import {
  type Browser,
  type BrowserContextOptions,
  chromium,
  type LaunchOptions,
  type Locator,
  type Page,
} from 'playwright-core'

/** Where Debian installs Chromium. The headless shell takes half of the time, because it draws no browser window. */
export const chromiumPaths = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium']

/** Options that keep Chromium from sending requests of its own. */
const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Opens Debian's Chromium without a window. */
export async function openBrowser(options: LaunchOptions = {}): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath(), args: quiet, ...options })
}

/** Returns the path of Chromium. Throws if it is not installed. */
export function chromiumPath(): string {
  const path = chromiumPaths.find((path) => existsSync(path))
  if (path) return path
  throw new Error('This needs a real browser: apt-get install chromium-headless-shell, or chromium')
}

/** Runs a visit in a page with a new browser profile. */
export async function inPage(browser: Browser, options: BrowserContextOptions, visit: (page: Page) => Promise<void>) {
  const context = await browser.newContext(options)
  try {
    await visit(await context.newPage())
  } finally {
    await context.close()
  }
}

/** Takes a screenshot. Chromium fails at times because it has no frame yet, and then a second attempt succeeds. */
export async function screenshot(target: Page | Locator, options: { omitBackground?: boolean } = {}): Promise<Buffer> {
  for (let left = 3; ; left--) {
    try {
      return await target.screenshot(options)
    } catch (error) {
      if (left === 0 || !String(error).includes('Unable to capture screenshot')) throw error
    }
  }
}

/** The address of a form with an empty seed, which is the same at each visit. */
export const inYourName = '/?style=adventurer&mood=happy&backgroundColor=ffd29d'

/** Goes from the form to the avatar's page, as the demo's first account. */
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

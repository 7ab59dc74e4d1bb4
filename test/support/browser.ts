import { existsSync } from 'node:fs'
import {
  type Browser,
  type BrowserContextOptions,
  chromium,
  type LaunchOptions,
  type Locator,
  type Page,
} from 'playwright-core'
import { demoAccounts } from '../../src/demo/accounts.ts'

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

/** Lets Chromium load lazy pictures only in the window and not far below it, too, because drawing them takes time. */
export const lazyPicturesInView: LaunchOptions = {
  args: [...quiet, '--blink-settings=lazyLoadingImageMarginPx4G=0,lazyLoadingImageMarginPxUnknown=0'],
}

/**
 * Opens Debian's Chromium without a window, with the machine's fonts: png.ts sets a variable that would give it other
 * fonts, if an earlier test file of this process has loaded it.
 */
export async function openBrowser(options: LaunchOptions = {}): Promise<Browser> {
  const env = { ...process.env, FONTCONFIG_FILE: undefined }
  return chromium.launch({ executablePath: chromiumPath(), args: quiet, env, ...options })
}

/** Returns the path of Chromium. Throws if it is not installed. */
export function chromiumPath(): string {
  const path = chromiumPaths.find((path) => existsSync(path))
  if (path) return path
  throw new Error('This needs a real browser: apt-get install chromium-headless-shell, or chromium')
}

/**
 * Runs a visit in a page with a new browser profile. Without script the previews are blocked: the browser would load all
 * of them at once, also those of hidden styles, which takes much longer than the rest of the page.
 */
export async function inPage(browser: Browser, options: BrowserContextOptions, visit: (page: Page) => Promise<void>) {
  const context = await browser.newContext(options)
  try {
    const page = await context.newPage()
    if (options.javaScriptEnabled === false) await block(page, '*/preview.svg?*')
    await visit(page)
  } finally {
    await context.close()
  }
}

/** Blocks requests for such addresses in the browser itself, which takes less time than `page.route`. */
export async function block(page: Page, address: string): Promise<void> {
  const devTools = await page.context().newCDPSession(page)
  await devTools.send('Network.enable')
  await devTools.send('Network.setBlockedURLs', { urls: [address] })
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

/** Signs in as the demo's first account, by requests without a page, and opens the avatar's page. */
export async function openAvatar(
  page: Page,
  url: string,
  look = 'style=adventurer&mood=happy&seed=fern&backgroundColor=ffd29d',
) {
  // With this cookie the stand-in Discord shows no page, as for a visitor who agreed before.
  const agreed = { name: 'stand_in_discord', value: demoAccounts[0]?.id ?? '', url: `${url}/demo/discord/` }
  await page.context().addCookies([agreed])
  await page.request.post(`${url}/get_avatar`, { form: Object.fromEntries(new URLSearchParams(look)) })
  await page.goto(`${url}/show_avatar`)
  await page.getByRole('heading', { name: /^Looking good/ }).waitFor()
}

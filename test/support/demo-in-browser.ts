// The demo and a browser.
import type { Browser, BrowserContextOptions, LaunchOptions, Page } from 'playwright-core'
import { afterAll, beforeAll } from 'vitest'
import { inPage, openBrowser } from './browser.ts'
import { type StartedApp, startApp } from './start-app.ts'

export let app: StartedApp
export let browser: Browser

/** Opens them for the tests of this file. */
export function useDemo(options: LaunchOptions = {}): void {
  beforeAll(async () => {
    ;[app, browser] = await Promise.all([startApp({ RATE_LIMIT: 'off' }), openBrowser(options)])
  })
  afterAll(async () => {
    await browser.close()
    await app.stop()
  })
}

/** Runs a visit in a page with a new browser profile. */
export const visit = (options: BrowserContextOptions, run: (page: Page) => Promise<void>) =>
  inPage(browser, options, run)

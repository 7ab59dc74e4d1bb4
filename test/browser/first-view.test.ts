// What the form costs: bytes, requests, waiting; and the picture that stands beside a link to it.
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inPage, openBrowser } from '../support/browser.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'

let app: StartedApp
let browser: Browser

beforeAll(async () => {
  ;[app, browser] = await Promise.all([startApp({ RATE_LIMIT: 'off' }), openBrowser()])
})
afterAll(async () => {
  await browser.close()
  await app.stop()
})

const phone = { viewport: { width: 360, height: 800 } }
const pictures = (urls: string[]) => urls.filter((url) => url.includes('/preview.svg'))

/** Addresses that a page asks the server for from now on; what the browser's caches have is not among them. */
async function asked(page: Page): Promise<() => string[]> {
  const urls = new Map<string, string>()
  const devTools = await page.context().newCDPSession(page)
  await devTools.send('Network.enable')
  devTools.on('Network.responseReceived', ({ requestId, response }) => {
    if (!response.fromDiskCache) urls.set(requestId, response.url)
  })
  const cached = new Set<string>()
  devTools.on('Network.requestServedFromCache', ({ requestId }) => cached.add(requestId))
  return () => [...urls].flatMap(([id, url]) => (cached.has(id) ? [] : [url]))
}

/** The last pictures that come by themselves. */
const moodsAreThere = (page: Page) =>
  page.waitForFunction(() =>
    [...document.querySelectorAll<HTMLImageElement>('.moods img')].every((one) => one.naturalWidth > 0),
  )

describe('pictures', () => {
  test('come when they are scrolled to, and a second visit asks for none', async () => {
    await inPage(browser, phone, async (page) => {
      const first = await asked(page)
      await page.goto(app.url)
      await moodsAreThere(page)
      // The twelve popular styles and the moods; none of the other styles.
      expect(pictures(first()).length).toBeGreaterThan(11)
      expect(pictures(first()).length).toBeLessThanOrEqual(21)
      const last = page.locator('.tile img[src*="style=weave"]')
      const isThere = () => last.evaluate((image) => image instanceof HTMLImageElement && image.naturalWidth > 0)
      // How far from the screen a browser begins with a lazy picture is its own to say, and depends on its network.
      expect([await isThere(), await last.getAttribute('loading')]).toEqual([false, 'lazy'])
      await page.getByRole('radio', { name: /^All/ }).check({ force: true })
      await last.scrollIntoViewIfNeeded()
      await expect.poll(isThere, { timeout: 15_000 }).toBe(true)
      await page.waitForLoadState('networkidle') // or leaving breaks off what is still on its way

      const second = await asked(page)
      await page.goto('about:blank')
      await page.goto(app.url)
      await moodsAreThere(page)
      expect(second()).toEqual([`${app.url}/`])
    })
  })

  test('a change asks for its picture at once, without a timer between', async () => {
    await inPage(browser, phone, async (page) => {
      await page.goto(app.url)
      await page.locator('html.js').waitFor()
      // All in one task: what a timer or an answer brings comes after it.
      const wanted = await page.evaluate(() => {
        const urls: string[] = []
        const source = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, 'src')
        Object.defineProperty(HTMLImageElement.prototype, 'src', {
          ...source,
          set(url: string) {
            urls.push(url)
            source?.set?.call(this, url)
          },
        })
        const radio = document.querySelector<HTMLInputElement>('[name="style"][value="bottts"]')
        radio?.click()
        return urls
      })
      expect(wanted).toEqual(['/preview.svg?seed=juniper&style=bottts&backgroundColor=ffd29d&mood=happy'])
    })
  })
})

describe('the first view', () => {
  test.each([
    { width: 360, height: 800 },
    { width: 1440, height: 900 },
  ])('at $width × $height costs less than 150 KB, heads and pictures and all', async (viewport) => {
    await inPage(browser, { viewport }, async (page) => {
      let bytes = 0
      const devTools = await page.context().newCDPSession(page)
      await devTools.send('Network.enable')
      devTools.on('Network.loadingFinished', ({ encodedDataLength }) => {
        bytes += encodedDataLength
      })
      await page.goto(app.url)
      await moodsAreThere(page)
      expect(bytes).toBeGreaterThan(20 * 1024)
      expect(bytes).toBeLessThan(150 * 1024)
    })
  })
})

describe('files', () => {
  const folder = join(import.meta.dirname, '../../public')

  test('public/ holds one style sheet, one script, and icons', async () => {
    const files = await readdir(folder)
    expect(files.sort()).toEqual([
      'favicon.ico',
      'favicon.svg',
      'icon-180.png',
      'page.js',
      'style.css',
      'surprised.svg',
    ])
  })

  test('the script is bound to its content, and a browser runs it', async () => {
    const content = await readFile(join(folder, 'page.js'))
    const integrity = `sha384-${createHash('sha384').update(content).digest('base64')}`
    await inPage(browser, phone, async (page) => {
      await page.goto(app.url)
      expect(await page.locator('script').getAttribute('integrity')).toBe(integrity)
      await page.locator('html.js').waitFor()
    })
    // With one letter changed on its way it does not run.
    await inPage(browser, phone, async (page) => {
      await page.route('**/page.js*', async (route) => {
        const response = await route.fetch()
        await route.fulfill({ response, body: `${await response.text()}//` })
      })
      const refusal = page.waitForEvent('console', (message) => message.text().includes('integrity'))
      await page.goto(app.url)
      await refusal
      expect(await page.locator('html.js').count()).toBe(0)
    })
  })

  test('who asks for /favicon.ico gets a small icon, not an error page', async () => {
    const answer = await fetch(`${app.url}/favicon.ico`)
    const icon = Buffer.from(await answer.arrayBuffer())
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toMatch(/^image\//)
    expect(icon.length).toBeLessThan(2048)
    // Behind the directory of one icon lies a PNG.
    const { width, height } = await sharp(icon.subarray(22)).metadata()
    expect([width, height]).toEqual([32, 32])
  })
})

describe('a link to a look', () => {
  const metaOf = (page: Page) =>
    page
      .locator('meta[property^="og:"]')
      .evaluateAll((all) => all.map((one) => [one.getAttribute('property'), one.getAttribute('content')] as const))

  test.each([
    '',
    '?style=bottts&mood=love&backgroundColor=a9d6f5&seed=fern',
    '?style=micah',
    '?style=thumbs&animated=on&seed=',
  ])('/%s has a picture of 1200 × 630 under 300 KB at an absolute address', async (query) => {
    await inPage(browser, phone, async (page) => {
      await page.goto(`${app.url}/${query}`, { waitUntil: 'domcontentloaded' })
      const meta = new Map(await metaOf(page))
      expect(meta.get('og:title')).toBeTruthy()
      const address = meta.get('og:image') ?? ''
      expect(address.startsWith(`${app.url}/og.png?`)).toBe(true)
      const answer = await fetch(address)
      const card = Buffer.from(await answer.arrayBuffer())
      expect(answer.headers.get('content-type')).toBe('image/png')
      expect(card.length).toBeLessThan(300 * 1024)
      const { width, height } = await sharp(card).metadata()
      expect([String(width), String(height)]).toEqual([meta.get('og:image:width'), meta.get('og:image:height')])
      expect([width, height]).toEqual([1200, 630])
      // Something is drawn on the left, where the avatar stands.
      const face = await sharp(card).extract({ left: 80, top: 80, width: 470, height: 470 }).stats()
      expect(Math.max(...face.channels.map(({ stdev }) => stdev))).toBeGreaterThan(20)
    })
  })
})

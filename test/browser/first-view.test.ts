// How many bytes and requests the form takes, the files in public/, and the preview picture of a link to the form.
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { inYourName, openAvatar } from '../support/browser.ts'
import { app, useDemo, visit } from '../support/demo-in-browser.ts'

useDemo()

const phone = { viewport: { width: 360, height: 800 } }
const pictures = (urls: string[]) => urls.filter((url) => url.includes('/preview.svg'))

/** Collects the addresses requested from the server from now on, without those answered by the browser's caches. */
async function requestedUrls(page: Page): Promise<() => string[]> {
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

/** The moods are the last pictures that load without scrolling. */
const untilMoodsLoaded = (page: Page) =>
  page.waitForFunction(() =>
    [...document.querySelectorAll<HTMLImageElement>('.moods img')].every((one) => one.naturalWidth > 0),
  )

describe('pictures', () => {
  test('are loaded when they are scrolled to, and a second visit requests none', async () => {
    await visit(phone, async (page) => {
      const look = `${app.url}/?seed=fern&style=adventurer&mood=happy&backgroundColor=ffd29d`
      const first = await requestedUrls(page)
      await page.goto(look)
      await untilMoodsLoaded(page)
      // The preview, the twelve popular styles, the moods and two sizes; none of the other styles.
      expect(pictures(first()).length).toBeGreaterThan(11)
      expect(pictures(first()).length).toBeLessThanOrEqual(24)
      const last = page.locator('.tile img[src*="style=weave"]')
      const isLoaded = () => last.evaluate((image) => image instanceof HTMLImageElement && image.naturalWidth > 0)
      // How far below the window lazy pictures are loaded depends on the browser and the speed of the network.
      expect([await isLoaded(), await last.getAttribute('loading')]).toEqual([false, 'lazy'])
      await page.getByRole('radio', { name: /^All/ }).check({ force: true })
      await last.scrollIntoViewIfNeeded()
      await expect.poll(isLoaded, { timeout: 15_000 }).toBe(true)
      await page.waitForLoadState('networkidle') // leaving would abort requests

      const second = await requestedUrls(page)
      await page.goto('about:blank')
      await page.goto(look)
      await untilMoodsLoaded(page)
      expect(second()).toEqual([look])
    })
  })

  test('are requested once each, although the script reads the preview, too', async () => {
    await visit(phone, async (page) => {
      await page.goto(`${app.url}/?seed=fern&style=adventurer&mood=happy&backgroundColor=ffd29d`)
      await untilMoodsLoaded(page)
      const requested = await requestedUrls(page)
      await page.locator('#filter-all').check({ force: true })
      await page.locator('[name="style"][value="weave"]').check({ force: true })
      // The script has then read the preview.
      await page.locator('.crop img[alt*="Weave"]').waitFor()
      const previews = pictures(requested()).filter((url) => url.includes('style=weave') && !/scale/.test(url))
      expect(previews).toEqual([`${app.url}/preview.svg?seed=fern&style=weave&backgroundColor=ffd29d`])
    })
  })

  test('of a changed form are requested at once, without a timer', async () => {
    await visit(phone, async (page) => {
      await page.goto(`${app.url}/?seed=fern&style=adventurer&mood=happy&backgroundColor=ffd29d`)
      await page.locator('html.js').waitFor()
      // All in one task of the event loop: no timer can fire and no response can arrive in between.
      const requested = await page.evaluate(() => {
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
      expect(requested).toEqual(['/preview.svg?seed=fern&style=bottts&backgroundColor=ffd29d&mood=happy'])
    })
  })
})

describe('the form before scrolling', () => {
  const isPicture = (url = '') => /\/(preview|favicon)\.svg\?/.test(url)

  test.each([
    { width: 360, height: 800 },
    { width: 1440, height: 900 },
  ])(
    'at $width × $height takes at most ten requests and 60 KB without pictures, and 150 KB with them',
    async (viewport) => {
      await visit({ viewport }, async (page) => {
        const urls = new Map<string, string>()
        const bytes = { pictures: 0, others: 0 }
        const devTools = await page.context().newCDPSession(page)
        await devTools.send('Network.enable')
        devTools.on('Network.requestWillBeSent', ({ requestId, request }) => urls.set(requestId, request.url))
        devTools.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
          bytes[isPicture(urls.get(requestId)) ? 'pictures' : 'others'] += encodedDataLength
        })
        await page.goto(app.url + inYourName)
        await untilMoodsLoaded(page)
        const others = [...urls.values()].filter((url) => !isPicture(url))
        expect(new Set(others).size).toBe(others.length)
        expect(others.length).toBeLessThanOrEqual(10)
        expect(bytes.others).toBeGreaterThan(10 * 1024)
        expect(bytes.others).toBeLessThan(60 * 1024)
        expect(bytes.others + bytes.pictures).toBeLessThan(150 * 1024)
      })
    },
  )
})

describe('files', () => {
  const folder = join(import.meta.dirname, '../../public')

  test('public/ holds one style sheet, the modules of the scripts, and icons', async () => {
    const files = await readdir(folder)
    expect(files.sort()).toEqual(['favicon.ico', 'favicon.svg', 'icon-180.png', 'js', 'style.css', 'surprised.svg'])
  })

  /** The modules that a page loads, and those that its head names with their hashes. */
  async function modulesOf(page: Page, open: () => Promise<void>) {
    const loaded = new Set<string>()
    page.on('request', (request) => request.resourceType() === 'script' && loaded.add(request.url()))
    await open()
    await page.waitForLoadState('load')
    const named = await page
      .locator('script, link[rel="modulepreload"]')
      .evaluateAll((all) =>
        all.map((one) => [Reflect.get(one, 'src') || Reflect.get(one, 'href'), one.getAttribute('integrity')] as const),
      )
    return { loaded, named: new Map(named) }
  }

  const hashOf = async (file: string) =>
    `sha384-${createHash('sha384')
      .update(await readFile(file))
      .digest('base64')}`

  test.each(['the form', 'the page of the avatar'])(
    'every module of %s is preloaded, bound to its content',
    async (name) => {
      await visit(phone, async (page) => {
        const open = async () => void (await page.goto(app.url + inYourName))
        const { loaded, named } = await modulesOf(page, name === 'the form' ? open : () => openAvatar(page, app.url))
        expect([...loaded]).toEqual(expect.arrayContaining([...named.keys()]))
        if (name === 'the form') expect(loaded.size).toBe(named.size)
        expect(named.size).toBeGreaterThan(5)
        for (const [url, integrity] of named) {
          expect(url).toMatch(/\/js\/[0-9a-f]{12}\/\w+\.js$/)
          expect(integrity).toBe(await hashOf(join(folder, 'js', url.split('/').at(-1))))
          const { headers } = await fetch(url)
          expect(headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
        }
      })
    },
  )

  test.each(['form', 'tiles'])('%s.js does not run if a proxy has changed it', async (name) => {
    await visit(phone, async (page) => {
      await page.route(`**/${name}.js`, async (route) => {
        const response = await route.fetch()
        await route.fulfill({ response, body: `${await response.text()}//` })
      })
      const refusal = page.waitForEvent('console', (message) => message.text().includes('integrity'))
      await page.goto(app.url + inYourName)
      await refusal
      expect(await page.locator('html.js').count()).toBe(0)
    })
  })

  test('a module is answered with 404 under the hash of another version', async () => {
    expect((await fetch(`${app.url}/js/form.js`)).status).toBe(404)
    expect((await fetch(`${app.url}/js/0123456789ab/form.js`)).status).toBe(404)
  })

  test('/favicon.ico is a small icon and not an error page', async () => {
    const answer = await fetch(`${app.url}/favicon.ico`)
    const icon = Buffer.from(await answer.arrayBuffer())
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toMatch(/^image\//)
    expect(icon.length).toBeLessThan(2048)
    // The first 22 bytes are the icon directory with its one entry; a PNG follows.
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
  ])('/%s has a preview picture of 1200 × 630 and less than 300 KB at an absolute address', async (query) => {
    await visit(phone, async (page) => {
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
      // The avatar is drawn on the left.
      const face = await sharp(card).extract({ left: 80, top: 80, width: 470, height: 470 }).stats()
      expect(Math.max(...face.channels.map(({ stdev }) => stdev))).toBeGreaterThan(20)
    })
  })
})

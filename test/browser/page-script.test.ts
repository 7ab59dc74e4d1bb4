// What the form's script does when answers are late or don't come, when keys are fast, and where the focus is then.
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { inPage, openBrowser, walkToAvatar } from '../support/browser.ts'
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

const visit = (run: (page: Page) => Promise<void>, options: BrowserContextOptions = {}) => inPage(browser, options, run)
const preview = '.crop img[data-preview]'
const seedField = (page: Page) => page.getByRole('textbox', { name: 'Seed' })
const state = (page: Page) => page.locator('[data-state]')
const said = (page: Page) => page.locator('[data-announcements]')
const focused = (page: Page) =>
  page.evaluate(() => (document.activeElement === document.body ? 'nothing' : document.activeElement?.outerHTML))

/** Until something is said after this, be it what was said before. */
async function untilSaid(page: Page, act: () => Promise<void>) {
  const line = await said(page).evaluateHandle((line) => ({
    saidAnew: new Promise((done) => new MutationObserver(() => done(true)).observe(line, { childList: true })),
  }))
  await act()
  await line.evaluate(({ saidAnew }) => saidAnew)
}

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

/** Pictures at such addresses come only once they are let go. */
async function hold(page: Page, address: RegExp): Promise<() => void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  await page.route(address, async (route) => {
    await promise
    await route.continue()
  })
  return resolve
}

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

describe('the address bar', () => {
  const badLink = (page: Page) => page.getByText(words.notices.badLink).count()
  const addressOf = (page: Page) => Object.fromEntries(new URL(page.url()).searchParams)

  test('names no mood that the style lacks', async () => {
    await visit(async (page) => {
      await page.goto(`${app.url}/?style=adventurer&mood=sleepy&seed=fern`)
      await page.getByRole('radio', { name: 'Micah', exact: true }).check({ force: true })
      await page.waitForURL(/style=micah/)
      expect(addressOf(page)).toEqual({ seed: 'fern', style: 'micah', backgroundColor: 'transparent' })
      await page.reload()
      expect(await badLink(page)).toBe(0)
    })
  })

  test.each([
    ['too long', 'W'.repeat(129)],
    ['unreadable', 'pasted\tfrom a table'],
  ])('names no seed that is %s', async (_why, seed) => {
    await visit(async (page) => {
      await page.goto(`${app.url}/?style=micah&seed=fern`)
      await page.locator('html.js').waitFor()
      await seedField(page).fill(seed)
      await page.waitForURL(/style=micah&back/)
      expect(addressOf(page)).toEqual({ style: 'micah', backgroundColor: 'transparent' })
      await page.reload()
      expect(await badLink(page)).toBe(0)
    })
  })

  test('names no colour that is none, once a form was refused for it', async () => {
    await visit(async (page) => {
      await page.goto(`${app.url}/?style=micah&seed=fern`)
      await page.locator('[name="backgroundColor"]:checked').evaluate((radio) => Reflect.set(radio, 'value', 'orange'))
      await page.getByRole('button', { name: words.home.next }).click()
      await page.getByRole('alert').waitFor()
      await seedField(page).fill('moss')
      await page.waitForURL(/seed=moss/)
      expect(addressOf(page)).toEqual({ seed: 'moss', style: 'micah', backgroundColor: 'transparent' })
    })
  })
})

test('who asked for less motion sees none while the page loads, either', async () => {
  await visit(
    async (page) => {
      const moving: string[] = []
      page.on('request', (request) => {
        if (request.url().includes('animated=on') && request.resourceType() === 'image') moving.push(request.url())
      })
      const letGo = await hold(page, /style=lorelei/)
      await page.goto(`${app.url}/?style=thumbs&mood=happy&animated=on&seed=fern`, { waitUntil: 'domcontentloaded' })
      await page.locator('html.js').waitFor()
      await isShown(page, 'style=thumbs')
      const shown = () =>
        page.locator('[data-preview]').evaluateAll((images) => images.map((one) => Reflect.get(one, 'currentSrc')))
      expect((await shown()).filter((url) => url.includes('animated'))).toEqual([])
      letGo()
      await page.waitForFunction(() => !document.querySelector('source'))
      await page.waitForLoadState('networkidle')
      expect((await shown()).filter((url) => url.includes('animated'))).toEqual([])
      expect(moving).toEqual([])
    },
    { reducedMotion: 'reduce' },
  )
})

describe('a seed that is too long', () => {
  const [fits, long] = ['W'.repeat(128), 'W'.repeat(129)]
  const tooLong = words.problems.seedTooLong(129, 128)

  test.each(['before', 'after'])('is still told when a late answer has come (typed %s “Drawing…”)', async (typed) => {
    await visit(async (page) => {
      const letGo = await hold(page, /seed=W{128}&/)
      await openStopped(page)
      const [late] = await Promise.all([page.waitForRequest(/seed=W{128}&/), seedField(page).fill(fits)])
      if (typed === 'after') await page.clock.runFor(150)
      expect(await state(page).textContent()).toBe(typed === 'after' ? words.script.drawing : words.script.example)
      await seedField(page).fill(long)
      await page.clock.runFor(1000)
      expect(await state(page).textContent()).toBe(tooLong)
      expect(await page.locator('form.stale').count()).toBe(0)
      letGo()
      await (await late.response())?.finished()
      await isShown(page, 'seed=WWW')
      expect(await state(page).textContent()).toBe(tooLong)
      // Back to what was drawn: nothing is left of it.
      await seedField(page).fill(fits)
      await page.locator('form:not(.failed):not(.stale)[data-live]').waitFor()
      expect(await state(page).textContent()).toBe('')
    })
  })

  test('is said once, and marks the field until it fits', async () => {
    await visit(async (page) => {
      await page.goto(app.url)
      await page.locator('html.js').waitFor()
      await seedField(page).fill(fits)
      expect([await said(page).textContent(), await seedField(page).getAttribute('aria-invalid')]).toEqual(['', null])
      await seedField(page).fill(long)
      expect(await said(page).textContent()).toBe(tooLong)
      expect(await seedField(page).getAttribute('aria-invalid')).toBe('true')
      await seedField(page).fill(`${long}W`)
      expect(await state(page).textContent()).toBe(words.problems.seedTooLong(130, 128))
      expect(await said(page).textContent()).toBe(tooLong)
      await seedField(page).fill(fits)
      expect([await said(page).textContent(), await seedField(page).getAttribute('aria-invalid')]).toEqual(['', null])
    })
  })

  test('belongs to the field for as long as it is there', async () => {
    const isDescribed = (page: Page) =>
      seedField(page).evaluate((field, text) => {
        const ids = (field.getAttribute('aria-describedby') ?? '').split(' ')
        return ids.map((id) => document.getElementById(id)?.textContent).includes(text)
      }, tooLong)
    await visit(async (page) => {
      await page.goto(app.url)
      await page.locator('html.js').waitFor()
      const hints = await seedField(page).getAttribute('aria-describedby')
      await seedField(page).fill(long)
      expect(await isDescribed(page)).toBe(true)
      await seedField(page).fill(fits)
      expect(await seedField(page).getAttribute('aria-describedby')).toBe(hints)
    })
  })

  test('a field that the server refused stays marked, as its message stays beside it', async () => {
    await visit(async (page) => {
      await page.goto(app.url)
      await seedField(page).fill(long)
      await page.getByRole('button', { name: words.home.next }).click()
      await page.getByRole('alert').waitFor()
      await page.locator('html.js').waitFor()
      await page.waitForLoadState()
      // The summary has said it.
      expect(await said(page).textContent()).toBe('')
      await seedField(page).fill(`${long}W`)
      await seedField(page).fill(fits)
      expect(await seedField(page).getAttribute('aria-invalid')).toBe('true')
    })
  })
})

describe('the last rolls', () => {
  test('stay where they are drawn while another one comes, which has its picture at once', async () => {
    await visit(async (page) => {
      await page.goto(app.url)
      const roll = page.getByRole('button', { name: words.home.roll, exact: true })
      await roll.click()
      await page.waitForFunction(() => document.querySelector<HTMLImageElement>('[data-rolls] img')?.naturalWidth)
      // In one task: no timer has run.
      const { sources, stays } = await roll.evaluate((button) => {
        const before = document.querySelector('[data-rolls] img')
        if (button instanceof HTMLElement) button.click()
        const images = [...document.querySelectorAll<HTMLImageElement>('[data-rolls] img')]
        return {
          sources: images.map((image) => image.getAttribute('src')),
          stays: images[1] === before && images[1]?.naturalWidth,
        }
      })
      expect(sources.length).toBe(2)
      expect(stays).toBeGreaterThan(0)
      for (const source of sources) expect(source).toMatch(/^\/preview\.svg\?seed=\w+\+\w+&style=adventurer/)
    })
  })
})

describe('pictures that are refused', () => {
  const refuse = (page: Page, address: RegExp) => page.route(address, (route) => route.fulfill({ status: 429 }))

  test('two changes, one soon after the other: tiles and rolls keep the pictures that they show', async () => {
    await visit(async (page) => {
      await page.goto(app.url)
      await page.getByRole('button', { name: words.home.roll, exact: true }).click()
      const face = page.locator('[data-rolls] img')
      await page.waitForFunction(() => document.querySelector<HTMLImageElement>('[data-rolls] img')?.naturalWidth)
      const rolled = await seedField(page).inputValue()
      await isShown(page, 'style=adventurer')
      const tile = page.locator('.tile img[src*="style=lorelei&"]')
      await page.waitForFunction(
        (seed) =>
          [...document.querySelectorAll<HTMLImageElement>('.popular img, .moods img')].every(
            ({ src, complete }) => complete && new URL(src).searchParams.get('seed') === seed,
          ),
        rolled,
      )
      const [goodTile, goodFace] = [await tile.getAttribute('src'), await face.getAttribute('src')]

      // The first change is refused, and the good picture on its way back when the second is, too.
      await refuse(page, /backgroundColor=a9d6f5|backgroundColor=c9c3f5/)
      const letGo = await hold(page, /backgroundColor=ffd29d/)
      for (const colour of ['a9d6f5', 'c9c3f5']) {
        const refused = page.waitForResponse((answer) => {
          const { searchParams } = new URL(answer.url())
          return searchParams.get('backgroundColor') === colour && searchParams.get('style') === 'lorelei'
        })
        await page.locator(`[name="backgroundColor"][value="${colour}"]`).check({ force: true })
        await refused
        await page.waitForFunction(() =>
          [...document.querySelectorAll<HTMLImageElement>('.popular img, .moods img, [data-rolls] img')].every(
            ({ src }) => src.includes('ffd29d'),
          ),
        )
      }
      letGo()
      await page.waitForFunction(() =>
        [...document.querySelectorAll<HTMLImageElement>('.popular img, .moods img, [data-rolls] img')].every(
          ({ naturalWidth }) => naturalWidth > 0,
        ),
      )
      expect([await tile.getAttribute('src'), await face.getAttribute('src')]).toEqual([goodTile, goodFace])
    })
  })

  test('what never came is asked for again at the next change', async () => {
    await visit(async (page) => {
      await page.goto(app.url)
      await page.locator('html.js').waitFor()
      const all = /preview\.svg/
      await refuse(page, all)
      // The tiles ask last, and the rolls with them.
      const refused = page.waitForResponse(/style=lorelei&/)
      await page.getByRole('button', { name: words.home.roll, exact: true }).click()
      await (await refused).finished()
      await page.unroute(all)
      await seedField(page).fill('fern')
      await page.waitForFunction(() => document.querySelector<HTMLImageElement>('[data-rolls] img')?.naturalWidth)
    })
  })

  test('the tiles wait longer for the end of rolling than for the end of typing', async () => {
    await visit(async (page) => {
      await openStopped(page)
      const tile = page.locator('.tile img[src*="style=lorelei&"]')
      const drawnAs = async () => new URL((await tile.getAttribute('src')) ?? '', app.url).searchParams.get('seed')
      const roll = page.getByRole('button', { name: words.home.roll, exact: true })
      for (let i = 0; i < 3; i += 1) {
        await roll.click()
        await page.clock.runFor(400)
        expect(await drawnAs()).toBe('juniper')
      }
      await page.clock.runFor(100)
      expect(await drawnAs()).toBe(await seedField(page).inputValue())
      await seedField(page).fill('fern')
      await page.clock.runFor(180)
      expect(await drawnAs()).toBe('fern')
    })
  })
})

describe('the focus', () => {
  const otter = /preview\.svg\?seed=otter&style=adventurer&backgroundColor=ffd29d&mood=happy/
  const alt = `alt="${words.home.previewAlt.replace('{look}', 'Adventurer, happy')}"`

  test('goes from “Try again” to the picture that came, and stays while it does not', async () => {
    await visit(async (page) => {
      await openStopped(page)
      await page.route(otter, (route) => route.abort())
      await seedField(page).fill('otter')
      const again = page.getByRole('button', { name: words.script.tryAgain })
      await again.focus()
      await untilSaid(page, () => page.keyboard.press('Enter'))
      expect(await focused(page)).toContain(`>${words.script.tryAgain}</button>`)
      await page.unroute(otter)
      await page.keyboard.press('Enter')
      await isShown(page, 'seed=otter')
      await again.waitFor({ state: 'detached' })
      expect(await focused(page)).toContain(alt)
    })
  })

  test('is on the picture once “Try again” has gone for “Drawing…”', async () => {
    await visit(async (page) => {
      await openStopped(page)
      await page.route(otter, (route) => route.abort())
      await seedField(page).fill('otter')
      await page.getByRole('button', { name: words.script.tryAgain }).focus()
      await page.unroute(otter)
      const letGo = await hold(page, otter)
      await Promise.all([page.waitForRequest(otter), page.keyboard.press('Enter')])
      await page.clock.runFor(150)
      expect(await state(page).textContent()).toBe(words.script.drawing)
      expect(await focused(page)).toContain(alt)
      letGo()
      await isShown(page, 'seed=otter')
    })
  })
})

describe('“Copy link”', () => {
  const copy = (page: Page) => page.locator('[data-copy]')
  /** The button says “Copied”, and the link can be pasted. */
  async function copies(page: Page) {
    await copy(page).focus()
    const top = await page.evaluate(() => scrollY)
    await page.keyboard.press('Enter')
    await copy(page).getByText(words.script.copied).waitFor()
    expect(await focused(page)).toMatch(/^<button[^>]* data-copy/)
    expect(await page.evaluate(() => scrollY)).toBe(top)
    await page.evaluate(() => {
      const field = document.createElement('textarea')
      field.id = 'pasted'
      document.body.append(field)
      field.focus()
    })
    await page.keyboard.press('Control+V')
    expect(await page.locator('#pasted').inputValue()).toBe(
      `${app.url}/?seed=fern&style=adventurer&backgroundColor=ffd29d&mood=happy`,
    )
  }

  test('on plain http, where there is no clipboard: copied, and the focus stays on the button', async () => {
    await visit(async (page) => {
      await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined }))
      await walkToAvatar(page, app.url)
      await copies(page)
    })
  })

  test('copies the old way where the browser refuses the new one', async () => {
    await visit(async (page) => {
      await page.addInitScript(() => {
        navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError'))
      })
      await walkToAvatar(page, app.url)
      await copies(page)
    })
  })

  test('says so where the browser lets it copy neither way', async () => {
    await visit(async (page) => {
      await page.addInitScript(() => {
        navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError'))
        document.execCommand = () => false
      })
      await walkToAvatar(page, app.url)
      await untilSaid(page, () => copy(page).click())
      expect(await said(page).textContent()).toBe(words.script.notCopied)
      expect((await copy(page).textContent())?.trim()).toBe(words.script.notCopied)
    })
  })

  test('says “Copied” for as long after the second press as after the first', async () => {
    await visit(
      async (page) => {
        await page.clock.install()
        await walkToAvatar(page, app.url)
        await page.clock.pauseAt(Date.now() + 60_000)
        for (let i = 0; i < 2; i += 1) {
          await untilSaid(page, () => copy(page).click())
          await page.clock.runFor(2200)
        }
        expect((await copy(page).textContent())?.trim()).toBe(words.script.copied)
        await page.clock.runFor(400)
        expect((await copy(page).textContent())?.trim()).toBe(words.show.copy)
      },
      { permissions: ['clipboard-write'] },
    )
  })
})

test('a form refused because it names no style: the picture keeps its words, and rolls have faces', async () => {
  await visit(async (page) => {
    await page.goto(app.url)
    await page.locator('[name="style"]:checked').evaluate((radio) => Reflect.set(radio, 'checked', false))
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.status() === 422),
      page.getByRole('button', { name: words.home.next }).click(),
    ])
    await page.getByRole('alert').waitFor()
    await page.waitForLoadState()
    const [, alt] = / alt="([^"]+)"[^>]* data-preview/.exec(await answer.text()) ?? []
    expect(await page.locator(preview).getAttribute('alt')).toBe(alt)
    await page.getByRole('button', { name: words.home.roll, exact: true }).click()
    const isThere = () => document.querySelector<HTMLImageElement>('[data-rolls] img')?.naturalWidth
    await page.waitForFunction(isThere)
    await page.getByRole('radio', { name: 'Sky' }).check({ force: true })
    await page.locator('[data-rolls] img[src*="a9d6f5"]').waitFor()
    await page.waitForFunction(isThere)
  })
})

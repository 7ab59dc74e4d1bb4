// The scripts of the form: slow and failed pictures, fast typing, and where the focus goes.
import type { BrowserContextOptions, Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { inPage, inYourName, openAvatar } from '../support/browser.ts'
import { app, browser, useDemo } from '../support/demo-in-browser.ts'

useDemo()

const visit = (run: (page: Page) => Promise<void>, options: BrowserContextOptions = {}) => inPage(browser, options, run)
const preview = '.crop img[data-preview]'
const seedField = (page: Page) => page.getByRole('textbox', { name: 'Name or word' })
const status = (page: Page) => page.locator('[data-state]')
const announcements = (page: Page) => page.locator('[data-announcements]')
const focused = (page: Page) =>
  page.evaluate(() => (document.activeElement === document.body ? 'nothing' : document.activeElement?.outerHTML))

/** Runs `act` and waits for an announcement, even if its text is the same as before. */
async function untilAnnounced(page: Page, act: () => Promise<void>) {
  const region = await announcements(page).evaluateHandle((region) => ({
    changed: new Promise((resolve) => new MutationObserver(() => resolve(true)).observe(region, { childList: true })),
  }))
  await act()
  await region.evaluate(({ changed }) => changed)
}

/** Opens the form with a stopped clock: timers fire only in `page.clock.runFor`. */
async function openWithStoppedClock(page: Page, address = inYourName) {
  await page.clock.install()
  await page.goto(app.url + address)
  await page.clock.pauseAt(Date.now() + 60_000)
}

/** Waits until the preview shows a picture whose address contains `part`. */
const untilShown = (page: Page, part: string) =>
  page.waitForFunction(
    ([selector = '', part = '']) => {
      const image = document.querySelector<HTMLImageElement>(selector)
      return image?.complete && image.naturalWidth > 0 && image.src.includes(part)
    },
    [preview, part],
  )

/** Delays answers from such addresses until the returned function is called. */
async function delay(page: Page, address: RegExp): Promise<() => void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  await page.route(address, async (route) => {
    await promise
    await route.continue()
  })
  return resolve
}

describe('fast typing', () => {
  test('requests no picture for a letter that is deleted at once', async () => {
    await visit(async (page) => {
      const requested: string[] = []
      page.on('request', (request) => requested.push(request.url()))
      await openWithStoppedClock(page)
      await seedField(page).focus()
      for (const key of ['a', 'b', 'Backspace']) await page.keyboard.press(key)
      await page.clock.runFor(1000)
      await untilShown(page, 'seed=a&')
      await page.waitForLoadState('networkidle')
      expect(await seedField(page).inputValue()).toBe('a')
      expect(requested.filter((url) => url.includes('seed=ab&'))).toEqual([])
    })
  })

  test('does not dim the picture because an earlier one is late', async () => {
    await visit(async (page) => {
      await openWithStoppedClock(page)
      const tiles: string[] = []
      page.on('request', (request) => tiles.push(...(request.url().match(/seed=\w+&style=lorelei/) ?? [])))
      const release = await delay(page, /seed=a&/)
      await seedField(page).fill('a')
      await page.clock.runFor(100)
      await seedField(page).fill('ab')
      await untilShown(page, 'seed=ab&')
      await page.clock.runFor(200)
      expect(await page.locator('form.stale').count()).toBe(0)
      // The tiles wait a little longer than the preview.
      await expect.poll(() => tiles).toEqual(['seed=ab&style=lorelei'])
      release()
    })
  })

  test('requests no picture for a seed that is too long by the time of the request', async () => {
    await visit(async (page) => {
      const requested: string[] = []
      page.on('request', (request) => requested.push(request.url()))
      await openWithStoppedClock(page)
      await seedField(page).fill('a')
      await seedField(page).fill('b'.repeat(128))
      await seedField(page).fill('b'.repeat(129))
      await page.clock.runFor(1000)
      await page.waitForLoadState('networkidle')
      expect(requested.filter((url) => url.includes('seed=bb'))).toEqual([])
    })
  })
})

describe('the address bar', () => {
  const badLink = (page: Page) => page.getByText(words.notices.badLink).count()
  const addressOf = (page: Page) => Object.fromEntries(new URL(page.url()).searchParams)

  test('changes only when no letter has been typed for a while', async () => {
    await visit(async (page) => {
      await openWithStoppedClock(page)
      for (const seed of ['a', 'ab']) {
        await seedField(page).fill(seed)
        await page.clock.runFor(250)
        expect(addressOf(page).seed).not.toBe(seed)
      }
      await page.clock.runFor(250)
      expect(addressOf(page).seed).toBe('ab')
    })
  })

  test('contains no mood that the style lacks', async () => {
    await visit(async (page) => {
      await page.goto(`${app.url}/?style=adventurer&mood=sleepy&seed=fern`)
      await page.getByRole('radio', { name: 'Micah', exact: true }).check({ force: true })
      await page.waitForURL(/style=micah/)
      expect(addressOf(page)).toEqual({ seed: 'fern', style: 'micah', backgroundColor: 'transparent' })
      await page.reload()
      expect(await badLink(page)).toBe(0)
    })
  })

  test('gets no entry in the history for a letter that is deleted at once', async () => {
    await visit(async (page) => {
      await openWithStoppedClock(page)
      const stepsBefore = await page.evaluate(() => history.length)
      await seedField(page).fill('f')
      await page.clock.runFor(1000)
      await seedField(page).fill('fe')
      await seedField(page).fill('f')
      await page.clock.runFor(1000)
      expect(await page.evaluate(() => history.length)).toBe(stepsBefore + 1)
    })
  })

  test.each([
    ['too long', 'W'.repeat(129)],
    ['not printable', 'pasted\tfrom a table'],
  ])('contains no seed that is %s', async (_why, seed) => {
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

  test('contains no invalid colour after a refused form', async () => {
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

test('a refused form shows each wrong value, also of a gradient that is not chosen', async () => {
  await visit(async (page) => {
    await page.goto(`${app.url}/?style=micah&seed=fern&backgroundColor=ffd29d`)
    const names = ['backgroundColor2', 'backgroundColorAngle', 'scale', 'rotate', 'flip']
    for (const name of names) {
      await page
        .locator(`[name="${name}"]`)
        .first()
        .evaluate((field) => {
          Object.assign(field, { type: 'text', value: 'nope' })
        })
    }
    await page.getByRole('button', { name: words.home.next }).click()
    await page.getByRole('alert').waitFor()
    for (const name of names) {
      expect([name, await page.locator(`#${name}`).isVisible()]).toEqual([name, true])
      expect([name, await page.locator(`#${name}-problem`).isVisible()]).toEqual([name, true])
    }
    await page.locator('html.js').waitFor()
    expect(await page.getByRole('radio', { name: 'Your own size nope' }).isChecked()).toBe(true)
  })
})

test.each([true, false])('the form says that a picture without letters is empty (script: %s)', async (script) => {
  await visit(
    async (page) => {
      const note = page.getByText(words.home.noLetters)
      await page.goto(`${app.url}/?style=initials&seed=1234`)
      await note.waitFor()
      await seedField(page).fill('12 moss')
      if (!script) await page.locator('.update').click()
      await note.waitFor({ state: 'hidden' })
      await seedField(page).fill('?!')
      if (!script) await page.locator('.update').click()
      await note.waitFor()
      await page.locator('[name="style"][value="thumbs"]').check({ force: true })
      if (!script) await page.locator('.update').click()
      await note.waitFor({ state: 'hidden' })
    },
    { javaScriptEnabled: script },
  )
})

test('with reduced motion no moving picture is loaded, not even before the script runs', async () => {
  await visit(
    async (page) => {
      const moving: string[] = []
      page.on('request', (request) => {
        if (request.url().includes('animated=on') && request.resourceType() === 'image') moving.push(request.url())
      })
      const release = await delay(page, /style=lorelei/)
      await page.goto(`${app.url}/?style=thumbs&mood=happy&animated=on&seed=fern`, { waitUntil: 'domcontentloaded' })
      await page.locator('html.js').waitFor()
      await untilShown(page, 'style=thumbs')
      const shown = () =>
        page.locator('[data-preview]').evaluateAll((images) => images.map((one) => Reflect.get(one, 'currentSrc')))
      expect((await shown()).filter((url) => url.includes('animated'))).toEqual([])
      release()
      await page.waitForFunction(() => !document.querySelector('source'))
      await page.waitForLoadState('networkidle')
      expect((await shown()).filter((url) => url.includes('animated'))).toEqual([])
      expect(moving).toEqual([])
    },
    { reducedMotion: 'reduce' },
  )
})

describe('the message about a seed that is too long', () => {
  const [fits, long] = ['W'.repeat(128), 'W'.repeat(129)]
  const tooLong = words.problems.seedTooLong(129, 128)

  test.each(['before', 'after'])('is still shown after a late picture (seed typed %s “Drawing…”)', async (typed) => {
    await visit(async (page) => {
      const release = await delay(page, /seed=W{128}&/)
      await openWithStoppedClock(page)
      const [late] = await Promise.all([page.waitForRequest(/seed=W{128}&/), seedField(page).fill(fits)])
      await page.clock.runFor(typed === 'after' ? 150 : 149)
      expect(await status(page).textContent()).toBe(typed === 'after' ? words.script.drawing : words.script.example)
      await seedField(page).fill(long)
      await page.clock.runFor(1000)
      expect(await status(page).textContent()).toBe(tooLong)
      expect(await page.locator('form.stale').count()).toBe(0)
      release()
      await (await late.response())?.finished()
      await untilShown(page, 'seed=WWW')
      expect(await status(page).textContent()).toBe(tooLong)
      // The seed of the picture on show: the message disappears.
      await seedField(page).fill(fits)
      await page.locator('form:not(.failed):not(.stale)[data-live]').waitFor()
      expect(await status(page).textContent()).toBe('')
    })
  })

  test('is announced once, and the field is marked as invalid until the seed is short enough', async () => {
    await visit(async (page) => {
      // The clock is stopped, because the description of the picture is announced a second after the change.
      await openWithStoppedClock(page)
      await page.locator('html.js').waitFor()
      await seedField(page).fill(fits)
      await untilShown(page, 'seed=W')
      expect([await announcements(page).textContent(), await seedField(page).getAttribute('aria-invalid')]).toEqual([
        '',
        null,
      ])
      await seedField(page).fill(long)
      expect(await announcements(page).textContent()).toBe(tooLong)
      expect(await seedField(page).getAttribute('aria-invalid')).toBe('true')
      await page.clock.runFor(1500) // longer than the description of the picture before waits to be announced
      await seedField(page).fill(`${long}W`)
      expect(await status(page).textContent()).toBe(words.problems.seedTooLong(130, 128))
      expect(await announcements(page).textContent()).toBe(tooLong)
      await seedField(page).fill(fits)
      expect([await announcements(page).textContent(), await seedField(page).getAttribute('aria-invalid')]).toEqual([
        '',
        null,
      ])
    })
  })

  test('describes the field for as long as it is shown', async () => {
    const isDescribed = (page: Page) =>
      seedField(page).evaluate((field, text) => {
        const ids = (field.getAttribute('aria-describedby') ?? '').split(' ')
        return ids.map((id) => document.getElementById(id)?.textContent).includes(text)
      }, tooLong)
    await visit(async (page) => {
      await page.goto(app.url + inYourName)
      await page.locator('html.js').waitFor()
      const hints = await seedField(page).getAttribute('aria-describedby')
      await seedField(page).fill(long)
      expect(await isDescribed(page)).toBe(true)
      // It does not matter for somebody whose seed is the Discord username.
      await page.getByRole('radio', { name: /^Use my Discord username/ }).check()
      expect(await seedField(page).getAttribute('aria-describedby')).toBe(hints)
      await expect.poll(() => status(page).textContent()).toBe(words.script.example)
      await seedField(page).fill(long)
      expect(await isDescribed(page)).toBe(true)
      await seedField(page).fill(fits)
      expect(await seedField(page).getAttribute('aria-describedby')).toBe(hints)
      await expect.poll(() => status(page).textContent()).toBe('')
      await seedField(page).fill('')
      await expect.poll(() => status(page).textContent()).toBe(words.script.example)
    })
  })

  test('stays if it came from the server, and so does the mark of the field', async () => {
    await visit(async (page) => {
      await page.goto(app.url + inYourName)
      await seedField(page).fill(long)
      await page.getByRole('button', { name: words.home.next }).click()
      await page.getByRole('alert').waitFor()
      await page.locator('html.js').waitFor()
      await page.waitForLoadState()
      // The page's summary of errors has been announced already.
      expect(await announcements(page).textContent()).toBe('')
      await seedField(page).fill(`${long}W`)
      await seedField(page).fill(fits)
      expect(await seedField(page).getAttribute('aria-invalid')).toBe('true')
    })
  })
})

describe('the last rolls', () => {
  test('keep their images when another roll is added, which shows its picture at once', async () => {
    await visit(async (page) => {
      await page.goto(app.url + inYourName)
      const roll = page.getByRole('button', { name: words.script.roll, exact: true })
      await roll.click()
      expect(await page.getByRole('radio', { name: words.home.thisWord }).isChecked()).toBe(true)
      await page.waitForFunction(() => document.querySelector<HTMLImageElement>('[data-rolls] img')?.naturalWidth)
      // All in one task of the event loop, in which no timer can fire.
      const { sources, keptWidth } = await roll.evaluate((button) => {
        const before = document.querySelector('[data-rolls] img')
        if (button instanceof HTMLElement) button.click()
        const images = [...document.querySelectorAll<HTMLImageElement>('[data-rolls] img')]
        return {
          sources: images.map((image) => image.getAttribute('src')),
          keptWidth: images[1] === before ? images[1]?.naturalWidth : undefined,
        }
      })
      expect(sources.length).toBe(2)
      expect(keptWidth).toBeGreaterThan(0)
      for (const source of sources) expect(source).toMatch(/^\/preview\.svg\?seed=\w+\+\w+&style=adventurer/)
    })
  })
})

describe('pictures that cannot be loaded', () => {
  const refuse = (page: Page, address: RegExp) => page.route(address, (route) => route.fulfill({ status: 429 }))

  test('are replaced by the last loaded ones in tiles and rolls, even after two failed changes', async () => {
    await visit(async (page) => {
      await page.goto(app.url + inYourName)
      await page.getByRole('button', { name: words.script.roll, exact: true }).click()
      const face = page.locator('[data-rolls] img')
      await page.waitForFunction(() => document.querySelector<HTMLImageElement>('[data-rolls] img')?.naturalWidth)
      const rolled = await seedField(page).inputValue()
      await untilShown(page, 'style=adventurer')
      const tile = page.locator('.tile img[src*="style=lorelei&"]')
      await page.waitForFunction(
        (seed) =>
          [...document.querySelectorAll<HTMLImageElement>('.popular img, .moods img')].every(
            ({ src, complete }) => complete && new URL(src).searchParams.get('seed') === seed,
          ),
        rolled,
      )
      const [goodTile, goodFace] = [await tile.getAttribute('src'), await face.getAttribute('src')]

      // The second change fails while the previous picture is being loaded again.
      await refuse(page, /backgroundColor=a9d6f5|backgroundColor=c9c3f5/)
      const release = await delay(page, /backgroundColor=ffd29d/)
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
      release()
      await page.waitForFunction(() =>
        [...document.querySelectorAll<HTMLImageElement>('.popular img, .moods img, [data-rolls] img')].every(
          ({ naturalWidth }) => naturalWidth > 0,
        ),
      )
      expect([await tile.getAttribute('src'), await face.getAttribute('src')]).toEqual([goodTile, goodFace])
    })
  })

  test('are requested again at the next change', async () => {
    await visit(async (page) => {
      await page.goto(app.url + inYourName)
      await page.locator('html.js').waitFor()
      const all = /preview\.svg/
      await refuse(page, all)
      // The pictures of tiles and rolls are the last to be requested.
      const refused = page.waitForResponse(/style=lorelei&/)
      await page.getByRole('button', { name: words.script.roll, exact: true }).click()
      await (await refused).finished()
      const rolled = await seedField(page).inputValue()
      const picture = () =>
        page.locator('[data-rolls] img').evaluate((image) => ({
          url: image.getAttribute('src'),
          isLoaded: image instanceof HTMLImageElement && image.naturalWidth > 0,
        }))
      await expect.poll(picture).toEqual({ url: null, isLoaded: false })
      await page.unroute(all)
      await seedField(page).fill('fern')
      const query = new URLSearchParams({ seed: rolled, style: 'adventurer', backgroundColor: 'ffd29d', mood: 'happy' })
      await expect.poll(picture).toEqual({ url: `/preview.svg?${query}`, isLoaded: true })
      // One that fails again, although it was loaded before, is not requested for ever.
      const isEmpty = await page.locator('[data-rolls] img').evaluate((image) => {
        image.dispatchEvent(new Event('error'))
        return !image.hasAttribute('src')
      })
      expect(isEmpty).toBe(true)
    })
  })

  test('are loaded by “Try again”, in the tiles, too', async () => {
    await visit(async (page) => {
      const tile = page.locator('.tile img[src*="style=lorelei&"]')
      // The script runs when the picture is already there.
      await page.route('**/form.js', async (route) => {
        await page.waitForFunction(
          () => document.querySelector<HTMLImageElement>('.tile img[src*="lorelei"]')?.naturalWidth,
        )
        await route.continue()
      })
      await page.goto(`${app.url}/?style=adventurer&seed=fern&backgroundColor=ffd29d`)
      await page.locator('html.js').waitFor()
      const moss = /seed=moss/
      await refuse(page, moss)
      const refused = page.waitForResponse(/seed=moss&style=lorelei&/)
      await seedField(page).fill('moss')
      await (await refused).finished()
      await expect.poll(() => tile.getAttribute('src')).toContain('seed=fern')
      await page.unroute(moss)
      await page.getByRole('button', { name: words.script.tryAgain }).click()
      await expect.poll(() => tile.getAttribute('src')).toContain('seed=moss')
    })
  })
})

test('the tiles are redrawn 0.5 s after the last of several rolls, and 0.18 s after a key', async () => {
  await visit(async (page) => {
    await openWithStoppedClock(page)
    const tile = page.locator('.tile img[src*="style=lorelei&"]')
    const drawnAs = async (image = tile) =>
      new URL((await image.getAttribute('src')) ?? '', app.url).searchParams.get('seed')
    const roll = page.getByRole('button', { name: words.script.roll, exact: true })
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
    expect(await drawnAs(page.locator('.ready img').first())).toBe('fern')
  })
})

describe('the text alternative of the picture', () => {
  const altOf = (page: Page) => page.locator(preview).getAttribute('alt')
  const untilAlt = (page: Page, text: string) => page.locator(`${preview}[alt*="${text}"]`).waitFor()
  const tile = (page: Page, name: string) => page.getByRole('radio', { name, exact: true }).check({ force: true })

  test('changes with the picture, and is announced when the visitor has stopped changing it', async () => {
    await visit(async (page) => {
      await openWithStoppedClock(page, '/?style=adventurer&mood=happy&seed=fern&part=hair')
      expect(await altOf(page)).toBe('Your avatar: Adventurer, happy, with long ginger hair and brown skin')
      await tile(page, 'Short 3')
      await untilAlt(page, 'with short')
      await tile(page, 'Short 4')
      await page.clock.runFor(100)
      await untilShown(page, 'hairVariant=short04')
      await page.clock.runFor(800)
      expect(await announcements(page).textContent()).toBe('')
      await page.clock.runFor(300)
      expect(await announcements(page).textContent()).toBe('Now with short ginger hair and brown skin.')
    })
  })

  test('is announced after a roll’s seed, and is not repeated for a new background or mood', async () => {
    await visit(async (page) => {
      await page.addInitScript(() => {
        Math.random = () => 0
      })
      await openWithStoppedClock(page, '/?style=adventurer&mood=happy&seed=fern')
      await page.getByRole('button', { name: words.script.roll, exact: true }).click()
      await untilAlt(page, 'long light grey hair')
      expect(await announcements(page).textContent()).toBe('New roll: amber acorn')
      await page.clock.runFor(1000)
      expect(await announcements(page).textContent()).toMatch(/^Now with long light grey hair.* and .* skin\.$/)
      await announcements(page).evaluate((region) => region.replaceChildren())
      await page.getByRole('radio', { name: 'Plum' }).check({ force: true })
      await untilShown(page, 'backgroundColor=7a3f5c')
      await page.clock.runFor(100)
      await page.getByRole('radio', { name: 'Surprised' }).check({ force: true })
      await untilAlt(page, 'Adventurer, surprised, with long light grey hair')
      await page.clock.runFor(2000)
      expect(await announcements(page).textContent()).toBe('')
      // Rings are not described in words.
      await page.locator('[name="style"][value="rings"]').dispatchEvent('click')
      await page.locator(`${preview}[alt="Your avatar: Rings"]`).waitFor()
      await page.clock.runFor(2000)
      expect(await announcements(page).textContent()).toBe('Rings has no face, so no mood.')
    })
  })

  test('is not that of an earlier picture that is read late, and has no description if it cannot be read', async () => {
    await visit(async (page) => {
      await page.goto(`${app.url}/?style=adventurer&mood=happy&seed=fern&part=hair`)
      await page.locator('html.js').waitFor()
      const isRead = (part: string) =>
        page.waitForRequest((one) => one.resourceType() === 'fetch' && one.url().includes(part))
      const { promise: held, resolve: release } = Promise.withResolvers<void>()
      await page.route(/hairVariant=/, async (route) => {
        const isFetch = route.request().resourceType() === 'fetch'
        if (isFetch && route.request().url().includes('long01')) return route.abort()
        if (isFetch) await held
        await route.continue()
      })
      const [late] = await Promise.all([isRead('short03'), tile(page, 'Short 3')])
      await tile(page, 'Long 1')
      await page.locator(`${preview}[alt="Your avatar: Adventurer, happy"]`).waitFor()
      release()
      await (await late.response())?.finished()
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)))
      expect(await altOf(page)).toBe('Your avatar: Adventurer, happy')
    })
  })

  test('is on the form of the avatar’s page, too', async () => {
    await visit(async (page) => {
      await openAvatar(page, app.url)
      expect(await page.locator('.portrait').getAttribute('alt')).toBe(
        'Your avatar: Adventurer, happy, with long ginger hair and brown skin',
      )
      await page.getByRole('link', { name: words.show.here }).click()
      await page.locator('#here').waitFor()
      expect(await altOf(page)).toMatch(/, with long ginger hair and brown skin$/)
      await page.getByRole('radio', { name: 'Avataaars', exact: true }).check({ force: true })
      await untilAlt(page, 'Avataaars, happy, with ')
    })
  })
})

test('the part that was opened last stays open when an earlier one arrives late, and when the style changes', async () => {
  await visit(async (page) => {
    await page.goto(app.url + inYourName)
    await page.locator('html.js').waitFor()
    const release = await delay(page, /&part=hair$/)
    const chip = (name: string) => page.locator('#parts').getByRole('button', { name, exact: true })
    const [late] = await Promise.all([page.waitForRequest(/&part=hair$/), chip('Hair').click()])
    await chip('Glasses').click()
    await page.locator('#parts [name="glassesVariant"][type="radio"]').first().waitFor({ state: 'attached' })
    release()
    await (await late.response())?.finished()
    const [request] = await Promise.all([
      page.waitForRequest(/style=lorelei&.*&part=/),
      page.getByRole('radio', { name: 'Lorelei', exact: true }).check({ force: true }),
    ])
    expect(new URL(request.url()).searchParams.get('part')).toBe('glasses')
  })
})

test('the hint about the lower edge follows the style, the size and the shift', async () => {
  await visit(async (page) => {
    await page.goto(`${app.url}/?style=avataaars&seed=fern`)
    await page.locator('html.js').waitFor()
    const hint = page.locator('#scale-hint')
    expect(await hint.textContent()).toBe('')
    await page.getByRole('radio', { name: 'Roomy' }).check({ force: true })
    expect(await hint.textContent()).toBe(words.script.lowerEdge.replace('{percent}', '10'))
    await page.getByText(words.home.adjust, { exact: true }).click()
    await page.getByRole('slider', { name: 'Up and down' }).fill('10')
    expect(await hint.textContent()).toBe('')
    await page.getByRole('radio', { name: 'Fun Emoji', exact: true }).check({ force: true })
    expect(await hint.textContent()).toBe('')
  })
})

describe('the focus', () => {
  const otter = /preview\.svg\?seed=otter&style=adventurer&backgroundColor=ffd29d&mood=happy/
  const alt = `alt="${words.home.previewAlt.replace('{look}', 'Adventurer, happy')}`

  test('stays on “Try again” when that fails, and moves to the picture once it is loaded', async () => {
    await visit(async (page) => {
      await openWithStoppedClock(page)
      await page.route(otter, (route) => route.abort())
      await seedField(page).fill('otter')
      const again = page.getByRole('button', { name: words.script.tryAgain })
      await again.focus()
      await untilAnnounced(page, () => page.keyboard.press('Enter'))
      expect(await focused(page)).toContain(`>${words.script.tryAgain}</button>`)
      await page.unroute(otter)
      await page.keyboard.press('Enter')
      await untilShown(page, 'seed=otter')
      await again.waitFor({ state: 'detached' })
      expect(await focused(page)).toContain(alt)
      expect(await page.locator(preview).getAttribute('tabindex')).toBe('-1') // not in the order of the tab key
    })
  })

  test('moves to the picture when “Drawing…” replaces “Try again”', async () => {
    await visit(async (page) => {
      await openWithStoppedClock(page)
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      let isFailing = true
      await page.route(otter, async (route) => {
        if (isFailing) return route.abort()
        await released
        return route.continue()
      })
      await seedField(page).fill('otter')
      await page.getByRole('button', { name: words.script.tryAgain }).focus()
      isFailing = false
      await Promise.all([page.waitForRequest(otter), page.keyboard.press('Enter')])
      await page.clock.runFor(150)
      expect(await status(page).textContent()).toBe(words.script.drawing)
      expect(await focused(page)).toContain(alt)
      // A change that needs no other picture.
      await page.locator('#filter-all').check({ force: true })
      expect(await status(page).textContent()).toBe(words.script.drawing)
      release()
      await untilShown(page, 'seed=otter')
    })
  })
})

describe('“Copy link”', () => {
  const copy = (page: Page) => page.locator('.restyle [data-copy]')
  /** Checks that the button says “Copied”, and that the link can be pasted. */
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

  test('copies on plain http, where scripts have no clipboard, and keeps the focus', async () => {
    await visit(async (page) => {
      await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined }))
      await openAvatar(page, app.url)
      await copies(page)
    })
  })

  test('copies by selecting text when the browser refuses access to the clipboard', async () => {
    await visit(async (page) => {
      await page.addInitScript(() => {
        navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError'))
      })
      await openAvatar(page, app.url)
      await copies(page)
    })
  })

  test('says that copying failed when the browser allows neither', async () => {
    await visit(async (page) => {
      await page.addInitScript(() => {
        navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError'))
        document.execCommand = () => false
      })
      await openAvatar(page, app.url)
      await untilAnnounced(page, () => copy(page).click())
      expect(await announcements(page).textContent()).toBe(words.script.notCopied)
      expect((await copy(page).textContent())?.trim()).toBe(words.script.notCopied)
    })
  })

  test('copies the text of a field in “Use it elsewhere”, or says that it can be selected', async () => {
    await visit(async (page) => {
      await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined }))
      await openAvatar(page, app.url)
      const options = page.locator('#look-options')
      const button = page.locator('[data-copy-from=look-options]')
      await page.locator('.elsewhere summary').click()
      await button.click()
      await button.getByText(words.script.copied).waitFor()
      const entered = await options.inputValue()
      await options.evaluate((field: HTMLTextAreaElement) => {
        field.readOnly = false
        field.value = ''
        field.focus()
      })
      await page.keyboard.press('Control+V')
      expect(await options.inputValue()).toBe(entered)
      expect(JSON.parse(entered)).toMatchObject({ seed: 'fern' })

      await page.evaluate(() => {
        document.execCommand = () => false
      })
      await untilAnnounced(page, () => button.click())
      expect(await announcements(page).textContent()).toBe(words.script.notCopiedText)
    })
  })

  test('shows “Copied” for the full time after a second press, too', async () => {
    await visit(
      async (page) => {
        await page.clock.install()
        await openAvatar(page, app.url)
        await page.clock.pauseAt(Date.now() + 60_000)
        for (let i = 0; i < 2; i += 1) {
          await untilAnnounced(page, () => copy(page).click())
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

test('in a form refused for a missing style, the preview keeps its alternative text, and rolls work', async () => {
  await visit(async (page) => {
    await page.goto(app.url + inYourName)
    await page.locator('[name="style"]:checked').evaluate((radio) => Reflect.set(radio, 'checked', false))
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.status() === 422),
      page.getByRole('button', { name: words.home.next }).click(),
    ])
    await page.getByRole('alert').waitFor()
    await page.waitForLoadState()
    const [, alt] = / alt="([^"]+)"[^>]* data-preview/.exec(await answer.text()) ?? []
    expect(await page.locator(preview).getAttribute('alt')).toBe(alt)
    await page.getByRole('button', { name: words.script.roll, exact: true }).click()
    const isLoaded = () => document.querySelector<HTMLImageElement>('[data-rolls] img')?.naturalWidth
    await page.waitForFunction(isLoaded)
    await page.getByRole('radio', { name: 'Sky' }).check({ force: true })
    await page.locator('[data-rolls] img[src*="a9d6f5"]').waitFor()
    await page.waitForFunction(isLoaded)
  })
})

import axe from 'axe-core'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { lazyPicturesInView, openAvatar } from '../support/browser.ts'
import { app, useDemo, visit } from '../support/demo-in-browser.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'

useDemo(lazyPicturesInView)

const preview = '.crop img[data-preview]'
const style = (page: Page, name: string) => page.getByRole('radio', { name, exact: true })
/** Opens the folded form on the avatar's page. */
async function openChange(page: Page) {
  await page.getByRole('link', { name: words.show.here }).click()
  await page.locator('#here').waitFor()
}
const addressOf = (page: Page) => new URL(page.url()).searchParams
/**
 * Waits until the history has this many avatars. Without script `page.waitForFunction` would hang, because it checks
 * again in an animation frame.
 */
const untilLooks = (page: Page, count: number) =>
  expect.poll(() => page.locator('a[href^="/show_avatar?avatar="]').count(), { timeout: 30_000 }).toBe(count)

/** The query of a picture's address. */
const pictureQuery = async (page: Page, selector: string) =>
  new URL((await page.locator(selector).first().getAttribute('src')) ?? '', app.url).searchParams

describe('accessibility', () => {
  /** Returns the violations of all rules, or of these. */
  async function violationsOf(page: Page, ...rules: string[]): Promise<string[]> {
    const { violations } = await page.evaluate(
      (rules) => globalThis.axe.run({ resultTypes: ['violations'], ...(rules.length > 0 ? { runOnly: rules } : {}) }),
      rules,
    )
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 120)}`))
  }

  /** Returns the violations in the page at its present width, in both colour schemes. */
  async function violationsAt(page: Page, width: number): Promise<string[]> {
    // Between the narrowest and the widest layout only places and sizes differ.
    if (width === 768) return violationsOf(page, 'color-contrast', 'target-size')
    const light = await violationsOf(page)
    await page.emulateMedia({ colorScheme: 'dark' })
    // The dark theme can change only the contrast.
    const dark = await violationsOf(page, 'color-contrast')
    await page.emulateMedia({ colorScheme: 'light' })
    return [...light, ...dark]
  }

  const overflow = (page: Page) =>
    page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)

  test('at 360, 768 and 1440 px axe finds no violation on any page, light or dark, and no page scrolls sideways', {
    timeout: 120_000,
  }, async () => {
    // With reduced motion no colour is in transition while axe checks the contrast.
    await visit({ colorScheme: 'light', reducedMotion: 'reduce' }, async (page) => {
      const found: [string, number, string[], number][] = []
      const check = async (name: string) => {
        await page.evaluate(axe.source)
        for (const width of [360, 768, 1440]) {
          await page.setViewportSize({ width, height: 800 })
          found.push([name, width, await violationsAt(page, width), await overflow(page)])
        }
      }
      await page.goto(`${app.url}/?style=micah&mood=sleepy&seed=x`)
      await check('form with a notice')
      await page.goto(
        `${app.url}/?style=adventurer&seed=x&part=glasses&wall=2&glassesVariant=variant02&hairColor=123456`,
      )
      await check('form with a part and the wall')
      await page.goto(`${app.url}/licences`)
      await check('licences')
      await page.goto(`${app.url}/privacy`)
      await page.locator('.forget-me summary').click()
      await check('privacy')
      await page.goto(`${app.url}/nowhere`)
      await check('error')
      await page.goto(`${app.url}/?style=rings&seed=${'W'.repeat(128)}`)
      await page.locator('#seed').fill('W'.repeat(140))
      await page.getByRole('button', { name: 'Continue with Discord' }).click()
      await page.getByRole('alert').waitFor()
      await check('form refused')
      await page.goto(app.url)
      await page.getByRole('button', { name: 'Continue with Discord' }).click()
      await page.getByRole('button', { name: 'Agree and go on' }).waitFor()
      await check('consent')
      await page.getByRole('button', { name: 'Agree and go on' }).click()
      await page.getByRole('heading', { name: /^Looking good/ }).waitFor()
      await page.evaluate(() => {
        for (const details of document.querySelectorAll('details:not([name])')) details.setAttribute('open', '')
      })
      await check('avatar, all open')
      expect(found.filter(([, , violations, sideways]) => violations.length > 0 || sideways > 0)).toEqual([])
    })
  })

  test('a visit works with the keyboard alone: Tab, arrows, Space and Enter', async () => {
    await visit({ viewport: { width: 1440, height: 900 } }, async (page) => {
      await page.goto(app.url)
      const tabTo = async (isFocused: () => boolean) => {
        for (let i = 0; i < 60; i += 1) {
          await page.keyboard.press('Tab')
          if (await page.evaluate(isFocused)) return
        }
        throw new Error('the tab key does not lead there')
      }
      await tabTo(() => document.activeElement?.getAttribute('name') === 'style')
      await page.keyboard.press('ArrowRight')
      expect(await style(page, 'Lorelei').isChecked()).toBe(true)
      await tabTo(() => document.activeElement?.getAttribute('name') === 'mood')
      await page.keyboard.press('ArrowRight')
      await tabTo(() => document.activeElement?.getAttribute('name') === 'seed')
      await page.keyboard.type('fern')
      await tabTo(() => document.activeElement?.textContent === 'Continue with Discord')
      const ring = await page.evaluate(() => getComputedStyle(document.activeElement ?? document.body).outlineWidth)
      expect(Number.parseFloat(ring)).toBeGreaterThanOrEqual(2)
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: /know who you are/ }).waitFor()
      await tabTo(() => document.activeElement?.textContent === 'Agree and go on')
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: /^Looking good/ }).waitFor()
    })
  })

  test('with reduced motion no picture moves on the form or the avatar’s page, without transitions', async () => {
    const look = 'style=thumbs&animated=on&seed=fern'
    /** The addresses of moving pictures that are shown, and the longest transition. */
    const motion = (page: Page) =>
      page.evaluate(() => {
        const moving = [...document.images].flatMap(({ currentSrc }) =>
          /animated=on|\/avatars\/.*\.svg/.test(currentSrc) ? [currentSrc] : [],
        )
        const all = [...document.querySelectorAll('*')].flatMap((element) => {
          const { transitionDuration, animationDuration } = getComputedStyle(element)
          return [...transitionDuration.split(','), ...animationDuration.split(',')].map(Number.parseFloat)
        })
        return { moving, longest: Math.max(...all) }
      })
    await visit({ reducedMotion: 'reduce' }, async (page) => {
      await page.goto(`${app.url}/?${look}`)
      expect(await motion(page)).toEqual({ moving: [], longest: 0 })
      expect((await pictureQuery(page, preview)).has('animated')).toBe(false)
      await openAvatar(page, app.url, look)
      await openChange(page)
      await page.evaluate(async () => {
        for (const image of document.images) image.loading = 'eager'
        await Promise.all([...document.images].map((image) => image.decode()))
      })
      expect(await motion(page)).toEqual({ moving: [], longest: 0 })
    })
    await visit({ reducedMotion: 'no-preference' }, async (page) => {
      await page.goto(`${app.url}/?${look}`)
      await page.locator(preview).waitFor()
      expect((await pictureQuery(page, preview)).get('animated')).toBe('on')
      const { longest } = await motion(page)
      expect(longest).toBeGreaterThan(0)
    })
  })

  test('the avatar’s page works with the keyboard alone: restyling, older avatars, downloads, removing', async () => {
    await visit({ viewport: { width: 1440, height: 900 } }, async (page) => {
      await openAvatar(page, app.url)
      const press = async (name: RegExp, key = 'Enter') => {
        for (let i = 0; i < 60; i += 1) {
          await page.keyboard.press('Tab')
          const label = await page.evaluate(() => {
            const { activeElement: there } = document
            return there?.getAttribute('aria-label') ?? there?.textContent?.trim() ?? ''
          })
          if (name.test(label)) return page.keyboard.press(key)
        }
        throw new Error(`the tab key does not lead to ${name}`)
      }
      const looks = page.locator('a[href^="/show_avatar?avatar="]')

      const [download] = await Promise.all([page.waitForEvent('download'), press(/^Download for Discord$/)])
      expect(download.suggestedFilename()).toMatch(/\.png$/)
      await press(/^Or change it right here$/)
      await page.locator('#here').waitFor()
      const isOnStyle = () => document.activeElement?.getAttribute('name') === 'style'
      for (let i = 0; i < 60 && !(await page.evaluate(isOnStyle)); i += 1) await page.keyboard.press('Tab')
      await page.keyboard.press('ArrowRight')
      await press(/^Make this one$/)
      await page.getByText(/^Lorelei, happy, from the seed/).waitFor()
      await untilLooks(page, 2)
      await press(/^Adventurer, happy from the seed “fern”$/)
      await page.getByText(/^Adventurer, happy, from the seed/).waitFor()
      await press(/^Remove Adventurer, happy, from the seed “\u2068fern\u2069”$/)
      await untilLooks(page, 1)
      expect((await looks.first().textContent())?.trim()).toBe('Lorelei, happy from the seed “fern”')
    })
  })
})

describe('the form', () => {
  test('offers all 61 styles as pictures, and the filter shows some of them, with and without script', async () => {
    for (const javaScriptEnabled of [true, false]) {
      await visit({ javaScriptEnabled }, async (page) => {
        await page.goto(app.url)
        const tiles = page.locator('.tile:has([name="style"])')
        expect(await tiles.count()).toBe(61)
        expect(await tiles.filter({ visible: true }).count()).toBe(12)
        await page.getByRole('radio', { name: /^Creatures/ }).check({ force: true })
        // The nine creatures, and the chosen style, which no filter hides.
        expect(await tiles.filter({ visible: true }).count()).toBe(10)
        const boxes = await tiles
          .filter({ visible: true })
          .evaluateAll((all) =>
            all.map((one) => [one.getBoundingClientRect().top, one.querySelector(':checked') !== null] as const),
          )
        const top = boxes.find(([, isChosen]) => isChosen)?.[0]
        expect(boxes.filter(([y]) => y === top)).toHaveLength(1)
        await page.getByRole('radio', { name: /^Moving/ }).check({ force: true })
        expect(await tiles.filter({ visible: true }).count()).toBe(20)
        if (javaScriptEnabled) return // The others take long to be drawn.
        const kinds = { people: 17, faces: 13, shapes: 21, text: 4, all: 61 }
        for (const [kind, count] of Object.entries(kinds)) {
          await page.locator(`#filter-${kind}`).check({ force: true })
          expect([kind, await tiles.filter({ visible: true }).count()]).toEqual([kind, count])
        }
      })
    }
  })

  test('updates the picture, its caption and the address after every change', async () => {
    await visit({}, async (page) => {
      await page.goto(app.url)
      await style(page, 'Bottts').check({ force: true })
      await page.getByRole('radio', { name: 'Love' }).check({ force: true })
      await page.getByRole('radio', { name: 'Sky' }).check({ force: true })
      await page.getByRole('textbox', { name: 'Name or word' }).fill('otter')
      await page.waitForFunction((selector) => {
        const { src, complete } = document.querySelector<HTMLImageElement>(selector) ?? {}
        return complete && src?.includes('seed=otter')
      }, preview)
      expect(Object.fromEntries(await pictureQuery(page, preview))).toEqual({
        seed: 'otter',
        style: 'bottts',
        backgroundColor: 'a9d6f5',
        mood: 'love',
      })
      const previews = await page
        .locator('[data-preview]')
        .evaluateAll((all) => all.map((one) => one.getAttribute('src')))
      expect([previews.length, new Set(previews).size]).toEqual([4, 1])
      expect(await page.locator('[data-look]').textContent()).toBe('Bottts, in love')
      await page.waitForURL(/seed=otter/)
      const shared = page.url()
      await page.goto(shared)
      expect(await style(page, 'Bottts').isChecked()).toBe(true)
      expect(await page.getByRole('radio', { name: 'Love' }).isChecked()).toBe(true)
    })
  })

  test('never replaces a newer picture with an older one that arrives late', async () => {
    await visit({}, async (page) => {
      await page.goto(app.url)
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      await page.route(/preview\.svg\?seed=older&/, async (route) => {
        await released
        await route.continue()
      })
      const seed = page.getByRole('textbox', { name: 'Name or word' })
      const older = page.waitForRequest(/preview\.svg\?seed=older&/)
      await seed.fill('older')
      await older
      await page.locator('form.stale').waitFor()
      expect(await page.locator('[data-state]').textContent()).toBe('Drawing…')
      await seed.fill('newer')
      await page.waitForFunction(
        (selector) => document.querySelector<HTMLImageElement>(selector)?.src.includes('seed=newer'),
        preview,
      )
      const late = page.waitForResponse(/preview\.svg\?seed=older&/)
      release()
      await late
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)))
      expect((await pictureQuery(page, preview)).get('seed')).toBe('newer')
      expect(await page.locator('form.stale').count()).toBe(0)
    })
  })

  const mood = (page: Page, name: string) => page.getByRole('radio', { name, exact: true })
  const moodHint = (page: Page) => page.locator('#mood-hint').textContent()
  const chosenMood = (page: Page) => page.locator('[name="mood"]:checked').getAttribute('value')
  /** Whether the tile is disabled, and the id of its reason. */
  const disabledBy = async (page: Page, name: string) => [
    await mood(page, name).isDisabled(),
    await mood(page, name).getAttribute('aria-describedby'),
  ]

  test('disables the moods for a style without a face and says why; the mood comes back with a face', async () => {
    await visit({}, async (page) => {
      await page.goto(app.url)
      await page.locator('#filter-all').check({ force: true })
      await style(page, 'Rings').check({ force: true })
      expect(await moodHint(page)).toBe('Rings has no face, so no mood.')
      for (const name of ['Happy', 'Sad', 'Sleepy']) expect(await disabledBy(page, name)).toEqual([true, 'mood-hint'])
      expect(await disabledBy(page, 'Any')).toEqual([false, null])
      expect(await chosenMood(page)).toBe('')
      expect(await page.locator('[data-look]').textContent()).toBe('Rings')
      await style(page, 'Lorelei').check({ force: true })
      expect(await chosenMood(page)).toBe('happy')
      expect(await page.locator('[data-look]').textContent()).toBe('Lorelei, happy')
      await style(page, 'Rings').check({ force: true })
      await page.getByRole('button', { name: 'Continue with Discord' }).click()
      await page.getByRole('heading', { name: /know who you are/ }).waitFor()
    })
  })

  test('chooses “Any” when the style lacks the mood; the mood comes back with the next style that has it', async () => {
    await visit({}, async (page) => {
      await page.goto(`${app.url}/?style=adventurer&mood=sleepy`)
      await style(page, 'Micah').check({ force: true })
      expect(await moodHint(page)).toMatch(/^Micah can’t look .*sleepy\.$/)
      for (const name of ['Angry', 'Sleepy']) expect(await disabledBy(page, name)).toEqual([true, 'mood-hint'])
      expect(await chosenMood(page)).toBe('')
      expect(await page.locator('[data-announcements]').textContent()).toBe(await moodHint(page))
      await style(page, 'Lorelei').check({ force: true })
      expect(await chosenMood(page)).toBe('sleepy')
      await style(page, 'Micah').check({ force: true })
      await mood(page, 'Happy').check({ force: true })
      await style(page, 'Lorelei').check({ force: true })
      expect(await chosenMood(page)).toBe('happy')
      await style(page, 'Micah').check({ force: true })
      await page.getByRole('button', { name: 'Continue with Discord' }).click()
      await page.getByRole('heading', { name: /know who you are/ }).waitFor()
    })
  })

  test('remembers the mood of a link to a style without a face: it comes back with a face', async () => {
    await visit({}, async (page) => {
      await page.goto(`${app.url}/?style=rings&mood=love&seed=fern`)
      await page.locator('html.js').waitFor()
      expect(await chosenMood(page)).toBe('')
      await style(page, 'Lorelei').check({ force: true })
      expect(await chosenMood(page)).toBe('love')
    })
  })

  test('without script, accepts any mood for a style without a face', async () => {
    await visit({ javaScriptEnabled: false }, async (page) => {
      await page.goto(app.url)
      await page.locator('#filter-all').check({ force: true })
      await style(page, 'Rings').check({ force: true })
      await page.getByRole('button', { name: 'Update the picture' }).click()
      expect(await moodHint(page)).toBe('Rings has no face, so no mood.')
      expect(await disabledBy(page, 'Sad')).toEqual([true, 'mood-hint'])
      expect(await page.locator('.notice').count()).toBe(0)
      await page.getByRole('button', { name: 'Continue with Discord' }).click()
      await page.getByRole('heading', { name: /know who you are/ }).waitFor()
    })
  })

  test('says that a style cannot be animated, and names three that can, with and without script', async () => {
    const hint = (page: Page) => page.locator('.tick .hint').textContent()
    const still = 'Adventurer doesn’t move. Thumbs, Blobs and Clay do.'
    await visit({}, async (page) => {
      await page.goto(app.url)
      const before = await hint(page)
      expect(before).toBe('(19 styles; Discord needs Nitro)')
      await page.getByRole('checkbox', { name: 'Animate' }).check()
      expect(await hint(page)).toBe(still)
      expect(await page.locator('[data-announcements]').textContent()).toBe(still)
      await page.locator('[name="style"][value="thumbs"]').check({ force: true })
      expect(await hint(page)).toBe(before)
    })
    await visit({ javaScriptEnabled: false }, async (page) => {
      await page.goto(app.url)
      await page.getByRole('checkbox', { name: 'Animate' }).check()
      await page.getByRole('button', { name: 'Update the picture' }).click()
      expect(await hint(page)).toBe(still)
    })
  })

  test('undoes one change after the other with the browser’s Back, and repeats it with Forward', async () => {
    await visit({}, async (page) => {
      await page.goto(`${app.url}/?style=adventurer&mood=happy&seed=fern&backgroundColor=ffd29d&animated=on`)
      await page.locator('html.js').waitFor()
      const start = page.url()
      await style(page, 'Bottts').check({ force: true })
      await page.waitForURL(/style=bottts/)
      await page.locator('input[type="color"]').fill('#123456')
      await page.waitForURL(/backgroundColor=123456/)
      await page.getByRole('radio', { name: 'Any', exact: true }).check({ force: true })
      await page.waitForURL((url) => !url.searchParams.has('mood'))
      // Letters that are typed one after the other are one step of the browser's history.
      await page.getByRole('textbox', { name: 'Name or word' }).press('End')
      await page.keyboard.type(' tree')
      await page.waitForURL(/seed=fern\+tree/)
      const filled = () =>
        page.locator('form').evaluate((form: HTMLFormElement) => {
          const names = ['seed', 'seedFrom', 'style', 'mood', 'backgroundColor', 'backgroundColor2', 'animated']
          const fields = new FormData(form)
          return Object.fromEntries(names.map((name) => [name, fields.get(name)]))
        })
      const end = await filled()
      const steps: object[] = []
      for (let i = 0; i < 4; i += 1) {
        await page.goBack()
        steps.push(await filled())
      }
      const first = {
        ...{ seed: 'fern', seedFrom: 'word', style: 'adventurer', mood: 'happy', animated: 'on' },
        ...{ backgroundColor: 'ffd29d', backgroundColor2: 'c9c3f5' },
      }
      const second = { ...first, style: 'bottts' }
      const third = { ...second, backgroundColor: '123456' }
      expect(steps).toEqual([{ ...third, mood: '' }, third, second, first])
      expect(page.url()).toBe(start)
      await page.waitForFunction(
        (selector) => document.querySelector<HTMLImageElement>(selector)?.src.includes('style=adventurer'),
        preview,
      )
      for (let i = 0; i < 4; i += 1) await page.goForward()
      expect(await filled()).toEqual(end)
    })
  })

  test('has a link “Start over” to an empty form', async () => {
    for (const javaScriptEnabled of [true, false]) {
      await visit({ javaScriptEnabled }, async (page) => {
        await page.goto(`${app.url}/?style=bottts&seed=fern`)
        await page.getByRole('link', { name: 'Start over' }).click()
        await page.waitForURL(`${app.url}/`)
        expect(await style(page, 'Adventurer').isChecked()).toBe(true)
      })
    }
  })

  test('shows the tiles without a background after an invalid colour', async () => {
    await visit({ colorScheme: 'dark' }, async (page) => {
      const ground = () =>
        page
          .locator('.tile img')
          .first()
          .evaluate((image) => getComputedStyle(image).backgroundColor)
      await page.goto(`${app.url}/?style=micah&seed=fern&backgroundColor=transparent`)
      const light = await ground()
      await page.locator('[name="backgroundColor"]:checked').evaluate((radio) => Reflect.set(radio, 'value', 'orange'))
      await page.getByRole('button', { name: 'Continue with Discord' }).click()
      await page.getByRole('alert').waitFor()
      expect(await ground()).toBe(light)
    })
  })

  test('rolls a seed and announces it; earlier rolls can be chosen again', async () => {
    await visit({}, async (page) => {
      await page.goto(app.url)
      expect(await page.locator('.rolls li').count()).toBe(0)
      const seed = page.getByRole('textbox', { name: 'Name or word' })
      const roll = page.getByRole('button', { name: 'Roll', exact: true })
      await roll.click()
      const first = await seed.inputValue()
      expect(first).toMatch(/^\w+ \w+$/)
      await page.getByRole('status').getByText(`New roll: ${first}`).waitFor()
      await roll.click()
      await page.getByRole('button', { name: `Back to \u2068${first}\u2069` }).click()
      expect(await seed.inputValue()).toBe(first)
      await page.waitForURL(({ searchParams }) => searchParams.get('seed') === first)
    })
  })

  test('puts the visitor’s own colour into the picture and the address', async () => {
    await visit({}, async (page) => {
      await page.goto(app.url)
      await page.locator('input[type="color"]').fill('#123456')
      await page.waitForFunction(
        (selector) => document.querySelector<HTMLImageElement>(selector)?.src.includes('backgroundColor=123456'),
        preview,
      )
      await page.waitForURL(/backgroundColor=123456/)
      expect(addressOf(page).getAll('backgroundColor')).toEqual(['123456'])
    })
  })

  test.each([true, false])('puts two colours and the framing into the picture (script: %s)', async (script) => {
    await visit({ javaScriptEnabled: script }, async (page) => {
      await page.goto(`${app.url}/?style=adventurer&mood=happy&seed=fern&backgroundColor=ffd29d`)
      const second = page
        .getByRole('group', { name: 'Second colour' })
        .or(page.locator('.two-colours [role="radiogroup"]'))
      expect(await second.first().isVisible()).toBe(false)
      await page.getByRole('radio', { name: 'Fade across' }).check({ force: true })
      const missing = page.getByText(words.home.firstColourMissing)
      expect(await missing.isVisible()).toBe(false)
      await page.getByRole('radio', { name: words.home.none }).first().check({ force: true })
      expect(await missing.isVisible()).toBe(true)
      await page.getByRole('radio', { name: 'Apricot' }).first().check({ force: true })
      await second.getByRole('radio', { name: 'Sky' }).first().check({ force: true })
      await page.locator('#backgroundColorAngle').fill('45')
      await page.getByRole('radio', { name: 'Fade from the middle' }).check({ force: true })
      expect(await page.locator('#backgroundColorAngle').isVisible()).toBe(false)
      await page.getByRole('radio', { name: 'Fade across' }).check({ force: true })
      await page.getByRole('radio', { name: 'Roomy' }).check({ force: true })
      await page.getByText('Adjust').click()
      await page.getByRole('slider', { name: 'Tilt' }).fill('-10')
      await page.getByRole('checkbox', { name: 'Mirror it' }).check()
      if (!script) await page.getByRole('button', { name: 'Update the picture' }).click()
      const expected = {
        ...{ seed: 'fern', style: 'adventurer', mood: 'happy', backgroundColor: 'ffd29d' },
        ...{ backgroundColorFill: 'linear', backgroundColor2: 'a9d6f5', backgroundColorAngle: '45' },
        ...{ scale: '0.8', rotate: '-10', flip: 'horizontal' },
      }
      await expect
        .poll(async () => Object.fromEntries(await pictureQuery(page, preview)), { timeout: 15_000 })
        .toEqual(expected)
      const numbers = page.locator('.framing output, .two-colours output')
      expect(await numbers.allTextContents()).toEqual(['45°', '80 %', '0 %', '0 %', '−10°'])
      // Without a script the page has the colour input of the second colour after the form was sent.
      expect(await page.locator('.card:has(.two-colours) .own input[type="color"]').count()).toBe(2)
      if (script) await page.waitForURL(/flip=horizontal/)
      await page.reload()
      expect(Object.fromEntries(await pictureQuery(page, preview))).toEqual(expected)
    })
  })

  test('chooses “Your own size” when the slider for the size is moved', async () => {
    await visit({}, async (page) => {
      await page.goto(`${app.url}/?style=adventurer&seed=fern`)
      await page.getByText('Adjust').click()
      await page.getByRole('slider', { name: 'Size' }).fill('93')
      expect(await page.getByRole('radio', { name: 'Your own size 93 %' }).isChecked()).toBe(true)
      await expect.poll(async () => (await pictureQuery(page, preview)).get('scale'), { timeout: 15_000 }).toBe('0.93')
      await page.getByRole('radio', { name: 'Normal' }).check({ force: true })
      expect(await page.getByRole('slider', { name: 'Size' }).inputValue()).toBe('100')
    })
  })

  test('offers “The style’s own” background where the style has one', async () => {
    await visit({}, async (page) => {
      await page.goto(`${app.url}/?style=adventurer&seed=fern`)
      const own = page.getByRole('radio', { name: 'The style’s own' })
      expect(await own.isVisible()).toBe(false)
      await page.locator('[name="style"][value="thumbs"]').check({ force: true })
      await own.check()
      await expect
        .poll(async () => (await pictureQuery(page, preview)).get('backgroundColor'), { timeout: 15_000 })
        .toBe('own')
    })
  })

  test.each([true, false])(
    'warns where the circle cuts the avatar off, beside a button that makes it fit (script: %s)',
    async (script) => {
      // This look has glasses as wide as the picture.
      const look = 'style=fun-emoji&mood=&backgroundColor=ffd29d'
      await visit({ javaScriptEnabled: script, viewport: { width: 1440, height: 900 } }, async (page) => {
        const warning = page.getByText(words.home.cut).first()
        const fit = page.getByRole('link', { name: words.home.fit }).first()
        await page.goto(`${app.url}/?${look}&seed=s2`)
        expect(await warning.isVisible()).toBe(false)
        if (script) await page.locator('#seed').fill('s1')
        else await page.goto(`${app.url}/?${look}&seed=s1`)
        await warning.waitFor()
        expect(
          await page.locator('[data-cut]:not([hidden]) [data-fit][href*="seed=s1&"][href$="scale=0.9"]').count(),
        ).toBe(2)
        await fit.click()
        await warning.waitFor({ state: 'hidden' })
        expect(await page.locator('[data-cut][hidden]').count()).toBe(2)
        await page.waitForURL(/scale=0\.9$/)
        expect((await pictureQuery(page, preview)).get('scale')).toBe('0.9')
        expect(await page.locator('[name="scale"]:checked').inputValue()).toBe('0.9')
        // A face that was moved to the side goes back to the middle.
        await page.goto(`${app.url}/?style=adventurer&seed=fern&scale=0.8&translateX=40`)
        if (script) {
          await page.locator('#seed').fill('moss')
          await page.locator('.framing [data-fit][href*="seed=moss&"]').waitFor()
        }
        await fit.click()
        await page.waitForURL(/backgroundColor=transparent&scale=0\.8$/)
        expect(await page.locator('#translateX').inputValue()).toBe('0')
        await warning.waitFor({ state: 'hidden' })
      })
    },
  )

  test.each([true, false])(
    'offers three better colours where the avatar can hardly be seen on its background (script: %s)',
    async (script) => {
      await visit({ javaScriptEnabled: script }, async (page) => {
        const note = page.locator('[data-faint-note]')
        await page.goto(`${app.url}/?style=constellation&seed=fern&backgroundColor=263239`)
        expect(await note.isVisible()).toBe(false)
        await page.getByRole('radio', { name: 'Apricot' }).check({ force: true })
        if (!script) await page.getByRole('button', { name: 'Update the picture' }).click()
        await note.waitFor()
        expect(await note.getByRole('link').count()).toBe(3)
        await page.waitForURL(/backgroundColor=ffd29d/)
        await note.getByRole('link', { name: 'Plum' }).click()
        await note.waitFor({ state: 'hidden' })
        await page.waitForURL(/backgroundColor=7a3f5c/)
        const plum = page.getByRole('radio', { name: 'Plum' })
        expect(await plum.isChecked()).toBe(true)
        if (script) expect(await plum.evaluate((radio) => document.activeElement === radio)).toBe(true)
      })
    },
  )

  test('offers no larger frame for a style that fills the whole picture', async () => {
    await visit({}, async (page) => {
      await page.goto(`${app.url}/?style=adventurer&seed=fern&scale=0.8`)
      await page.locator('#filter-all').check({ force: true })
      await page.locator('[name="style"][value="identicon"]').check({ force: true })
      const roomy = page.getByRole('radio', { name: 'Roomy' })
      expect([await roomy.isDisabled(), await roomy.getAttribute('aria-describedby')]).toEqual([true, 'scale-hint'])
      expect(await page.locator('#scale-hint').textContent()).toMatch(/^Identicon fills the whole picture/)
      expect(await page.locator('#scale-slider').inputValue()).toBe('100')
      await expect
        .poll(async () => (await pictureQuery(page, preview)).get('style'), { timeout: 15_000 })
        .toBe('identicon')
      expect((await pictureQuery(page, preview)).has('scale')).toBe(false)
      expect(await page.getByRole('radio', { name: 'Normal' }).isDisabled()).toBe(false)
      await page.getByRole('radio', { name: 'Close' }).check({ force: true })
      await expect.poll(async () => (await pictureQuery(page, preview)).get('scale')).toBe('1.25')
      await page.locator('[name="style"][value="micah"]').check({ force: true })
      expect(await roomy.isDisabled()).toBe(false)
    })
  })

  test.each([true, false])(
    'opens twelve faces with “More faces”, and takes the one that is picked (script: %s)',
    async (script) => {
      await visit({ javaScriptEnabled: script }, async (page) => {
        await page.goto(`${app.url}/?style=micah&seed=fern&backgroundColor=a9d6f5`)
        const faces = page.locator('.wall-faces [type="radio"]')
        const values = () => faces.evaluateAll((all) => all.map((one) => one.getAttribute('value') ?? ''))
        expect(await faces.count()).toBe(0)
        const requested: string[] = []
        page.on('request', (request) => requested.push(request.url()))
        await page.getByRole('button', { name: 'More faces' }).click({ clickCount: script ? 2 : 1 })
        await faces.first().waitFor()
        expect(requested.filter((url) => url.includes('&wall='))).toHaveLength(1)
        const first = await values()
        expect(first).toHaveLength(12)
        expect(Object.fromEntries(await pictureQuery(page, '.wall-faces img'))).toEqual({
          seed: first[0],
          style: 'micah',
          backgroundColor: 'a9d6f5',
        })
        await page.getByRole('button', { name: 'Twelve more' }).click()
        await page.locator(`.wall-faces [value="${first[0]}"]`).waitFor({ state: 'detached' })
        // Without script the page is loaded anew.
        await faces.first().waitFor()
        const second = await values()
        expect(new Set([...first, ...second]).size).toBe(24)
        if (script) {
          expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Twelve more')
          await style(page, 'Lorelei').check({ force: true })
          await expect
            .poll(async () => (await pictureQuery(page, '.wall-faces img')).get('style'), { timeout: 15_000 })
            .toBe('lorelei')
        }
        await faces.nth(4).check({ force: true })
        if (script) expect(await page.getByRole('textbox', { name: 'Name or word' }).inputValue()).toBe(second[4])
        await page.getByRole('button', { name: 'Continue with Discord' }).click()
        await page.getByRole('button', { name: 'Agree and go on' }).click()
        await page.getByRole('heading', { name: /^Looking good/ }).waitFor()
        expect(await page.locator('.lead bdi').first().textContent()).toBe(second[4])
      })
    },
  )

  test.each([true, false])('offers the Discord username instead of a seed (script: %s)', async (script) => {
    await visit({ javaScriptEnabled: script }, async (page) => {
      await page.goto(app.url)
      const state = page.locator('[data-state]')
      const word = await page.getByRole('textbox', { name: 'Name or word' }).inputValue()
      expect(word).toMatch(/^\w+ \w+$/)
      expect(await state.textContent()).toBe('')
      await page.getByRole('radio', { name: /^Use my Discord username/ }).check()
      if (!script) await page.getByRole('button', { name: 'Update the picture' }).click()
      expect(await state.textContent()).toBe(words.script.example)
      if (script) expect(await page.getByRole('textbox', { name: 'Name or word' }).inputValue()).toBe(word)
      if (script) await page.waitForURL((url) => url.search !== '' && !url.searchParams.has('seed'))
      await page.reload()
      expect(await page.getByRole('radio', { name: /^Use my Discord username/ }).isChecked()).toBe(true)
      await page.getByRole('textbox', { name: 'Name or word' }).fill('moss')
      if (script) expect(await page.getByRole('radio', { name: /^Use my Discord username/ }).isChecked()).toBe(false)
      else await page.getByRole('radio', { name: words.home.thisWord }).check()
      await page.getByRole('radio', { name: /^Use my Discord username/ }).check()
      await page.getByRole('button', { name: 'Continue with Discord' }).click()
      await page.getByRole('button', { name: 'Agree and go on' }).click()
      await page.getByRole('heading', { name: /^Looking good/ }).waitFor()
      expect(await page.locator('.lead bdi').first().textContent()).toBe('juniper.moss')
    })
  })

  test('lets the visitor tick several variants of a part, of which the seed picks one', async () => {
    await visit({}, async (page) => {
      await page.goto(`${app.url}/?style=adventurer&seed=fern&part=glasses`)
      await page.locator('html.js').waitFor()
      const pinned = () => pictureQuery(page, preview).then((query) => query.get('glassesVariant'))
      const shows = (value: string | null) => expect.poll(pinned, { timeout: 15_000 }).toBe(value)
      await page.getByRole('checkbox', { name: words.home.several }).check()
      for (const name of ['Glasses 2', 'Glasses 4']) {
        await page.locator('#parts').getByRole('checkbox', { name, exact: true }).check({ force: true })
      }
      await shows('variant02,variant04')
      await page.waitForURL(/glassesVariant=variant02%2Cvariant04/)
      const variantOf = async (selector: string) => (await pictureQuery(page, selector)).get('glassesVariant')
      await expect.poll(() => variantOf('.styles .tile img')).toBe('variant02,variant04')
      expect(await variantOf('[data-variant][value="variant05"] + img')).toBe('variant05')
      await page.locator('#parts').getByRole('checkbox', { name: 'Glasses 2', exact: true }).uncheck({ force: true })
      await shows('variant04')
      await page.locator('#parts').getByRole('radio', { name: 'None', exact: true }).check({ force: true })
      await shows('none')
      expect(await page.locator('[data-variant]:checked').count()).toBe(0)
      await page.getByRole('checkbox', { name: words.home.several }).uncheck()
      await page.locator('#parts').getByRole('radio', { name: 'Glasses 1', exact: true }).check({ force: true })
      await shows('variant01')
    })
  })

  describe.each([true, false])('parts (script: %s)', (javaScriptEnabled) => {
    const look = 'style=adventurer&seed=fern&mood=happy&backgroundColor=ffd29d'
    const chip = (page: Page, name: string) => page.locator('#parts').getByRole('button', { name, exact: true })
    const part = (page: Page, name: string) => page.locator('#parts').getByRole('radio', { name, exact: true })
    const yours = (page: Page) => page.locator('[data-yours]')
    const shown = (page: Page) => expect.poll(() => pictureQuery(page, preview), { timeout: 15_000 })
    const redraw = async (page: Page) => {
      if (!javaScriptEnabled) await page.getByRole('button', { name: 'Update the picture' }).click()
    }

    test('open by a chip, are chosen by a picture of the whole avatar, and stay when a seed is rolled', async () => {
      await visit({ javaScriptEnabled }, async (page) => {
        await page.goto(`${app.url}/?${look}`)
        expect(await page.locator('#parts [type="radio"]').count()).toBe(0)
        await chip(page, 'Hair').click()
        await part(page, 'Long 16').waitFor()
        const tile = page.locator('.tile:has([name="hairVariant"][value="long16"]) img')
        const picture = new URL((await tile.getAttribute('src')) ?? '', app.url).searchParams
        expect([picture.get('hairVariant'), picture.get('seed'), picture.get('mood')]).toEqual([
          'long16',
          'fern',
          'happy',
        ])
        await part(page, 'Long 16').check({ force: true })
        await redraw(page)
        await shown(page).toSatisfy((query: URLSearchParams) => query.get('hairVariant') === 'long16')
        await chip(page, 'Glasses').click()
        await part(page, 'None').check({ force: true })
        await redraw(page)
        await shown(page).toSatisfy((query: URLSearchParams) => query.get('glassesVariant') === 'none')
        expect((await pictureQuery(page, preview)).get('hairVariant')).toBe('long16')
        expect(await yours(page).textContent()).toMatch(/^Yours: Hair, Glasses/)
        if (javaScriptEnabled) {
          await page.getByRole('button', { name: 'Roll the rest', exact: true }).click()
          await shown(page).toSatisfy((query: URLSearchParams) => query.get('seed') !== 'fern')
          expect((await pictureQuery(page, preview)).get('hairVariant')).toBe('long16')
        }
        await yours(page).getByRole('link').click()
        await shown(page).toSatisfy(
          (query: URLSearchParams) => !query.has('hairVariant') && !query.has('glassesVariant'),
        )
        expect(await yours(page).isVisible()).toBe(false)
      })
    })

    test('keep the hair colour when the style changes, and take ready-made colours', async () => {
      await visit({ javaScriptEnabled }, async (page) => {
        await page.goto(`${app.url}/?${look}&hairColor=cb6820`)
        await style(page, 'Micah').check({ force: true })
        await redraw(page)
        await chip(page, 'Nose').waitFor()
        await shown(page).toSatisfy(
          (query: URLSearchParams) => query.get('style') === 'micah' && query.get('hairColor') === 'cb6820',
        )
        await page.getByText(words.home.readyLooks).click()
        await page.getByRole('link', { name: 'Neon' }).click()
        await shown(page).toSatisfy(
          (query: URLSearchParams) => query.get('hairColor') === '00f0ff' && query.get('backgroundColor') === '1a0b2e',
        )
        await page.waitForURL(/hairColor=00f0ff/)
        await page.getByRole('button', { name: 'Continue with Discord' }).click()
        await page.getByRole('button', { name: 'Agree and go on' }).click()
        await page.getByRole('heading', { name: /^Looking good/ }).waitFor()
      })
    })

    test('that are chosen are named in the hint about moods', async () => {
      await visit({ javaScriptEnabled }, async (page) => {
        await page.goto(`${app.url}/?${look}&part=mouth`)
        await part(page, 'Mouth 3').check({ force: true })
        await redraw(page)
        await expect
          .poll(() => moodHint(page), { timeout: 15_000 })
          .toBe('Adventurer can show them all. The mouth is your own.')
      })
    })
  })

  test('takes the colour of the colour input beside it when “Your own colour” is chosen', async () => {
    await visit({}, async (page) => {
      await page.goto(`${app.url}/?style=micah&mood=happy&backgroundColor=a9d6f5`)
      await page.getByRole('radio', { name: 'Your own colour' }).first().check()
      expect(await page.locator('.own-value').first().textContent()).toBe(' #a9d6f5')
      expect(await page.locator('input[type="color"]').inputValue()).toBe('#a9d6f5')
    })
  })

  test('has an error message for a missing style whose link leads to a style under every filter', async () => {
    for (const javaScriptEnabled of [true, false]) {
      await visit({ javaScriptEnabled }, async (page) => {
        await page.goto(app.url)
        // Send a form without a style, as only a program would.
        await page.evaluate(() => {
          for (const radio of document.querySelectorAll('[name="style"]')) radio.removeAttribute('name')
        })
        await page.getByRole('button', { name: 'Continue with Discord' }).click()
        const link = page.getByRole('link', { name: 'Choose a style.' })
        for (const filter of ['Popular', 'Creatures', 'Text', 'All']) {
          await page.getByRole('radio', { name: new RegExp(`^${filter}`) }).check({ force: true })
          await link.click()
          expect(await page.evaluate(() => document.activeElement?.getAttribute('name'))).toBe('style')
        }
      })
    }
  })

  test('without script, redraws the picture with a button', async () => {
    await visit({ javaScriptEnabled: false }, async (page) => {
      await page.goto(app.url)
      await style(page, 'Lorelei').check({ force: true })
      await page.getByRole('radio', { name: /^People/ }).check({ force: true })
      await page.getByRole('button', { name: 'Update the picture' }).click()
      expect((await pictureQuery(page, preview)).get('style')).toBe('lorelei')
      expect(await page.getByRole('radio', { name: /^People/ }).isChecked()).toBe(true)
    })
  })

  test('is posted once by a double click, and its button works again after going back', async () => {
    await visit({}, async (page) => {
      let posts = 0
      page.on('request', (request) => {
        if (request.method() === 'POST') posts += 1
      })
      await page.goto(app.url)
      await page.getByRole('button', { name: 'Continue with Discord' }).dblclick()
      await page.getByRole('heading', { name: /know who you are/ }).waitFor()
      expect(posts).toBe(1)
      await page.goBack()
      await page.getByRole('button', { name: 'Continue with Discord' }).click()
      await page.getByRole('heading', { name: /know who you are/ }).waitFor()
    })
  })
})

describe('the avatar’s page', () => {
  test('shows the avatar in the places and sizes of Discord, beside the present picture', async () => {
    await visit({ viewport: { width: 1440, height: 900 } }, async (page) => {
      await openAvatar(page, app.url)
      const sizes = await page
        .locator('.there-dark img[src^="/avatars/"]')
        .evaluateAll((images) => images.map((image) => image.getBoundingClientRect().width))
      expect(sizes).toEqual([40, 32, 80, 80])
      const broken = await page
        .locator('img')
        .evaluateAll((images) =>
          images.flatMap((image) =>
            image instanceof HTMLImageElement && image.complete && image.naturalWidth === 0 ? [image.src] : [],
          ),
        )
      expect(broken).toEqual([])
    })
  })

  test('without script, shows the present picture with “Before”, and hides the decoration if unticked', async () => {
    await visit({ viewport: { width: 1440, height: 900 }, javaScriptEnabled: false }, async (page) => {
      await openAvatar(page, app.url)
      const places = page.locator('.there-light .worn')
      const [faces, present] = [places.locator('.new img:visible'), places.locator('img.before:visible')]
      const decorations = page.locator('.decoration img:visible')
      expect([await faces.count(), await present.count(), await decorations.count()]).toEqual([4, 0, 5])
      await page.getByText(words.profile.before, { exact: true }).click()
      expect([await faces.count(), await present.count()]).toEqual([0, 4])
      await page.getByText(words.profile.after, { exact: true }).click()
      expect([await faces.count(), await present.count()]).toEqual([4, 0])
      await page.getByText(words.profile.withDecoration).click()
      expect(await decorations.count()).toBe(0)
    })
  })

  test('asks for confirmation before “Forget me” deletes the visitor’s data', async () => {
    await visit({ javaScriptEnabled: false }, async (page) => {
      await openAvatar(page, app.url)
      const sure = page.getByRole('button', { name: words.privacy.forget.sure })
      expect(await sure.isVisible()).toBe(false)
      await page.locator('.forget-me summary').click()
      await sure.click()
      await page.getByText(words.notices.forgotten).waitFor()
      await page.goto(`${app.url}/show_avatar`)
      await page.getByText(words.notices.noLooks).waitFor()
    })
  })

  test('chooses “Any” for a style that lacks the mood, and the mood comes back with a style that has it', async () => {
    await visit({}, async (page) => {
      await openAvatar(page, app.url)
      await openChange(page)
      await page.locator('html.js').waitFor()
      await page.locator('#filter-all').check({ force: true })
      await style(page, 'Rings').check({ force: true })
      expect(await page.locator('[name="mood"]:checked').inputValue()).toBe('')
      expect(await page.locator('[name="mood"]:disabled').count()).toBe(8)
      await style(page, 'Lorelei').check({ force: true })
      expect(await page.locator('[name="mood"]:checked').inputValue()).toBe('happy')
      await style(page, 'Rings').check({ force: true })
      await page.getByRole('button', { name: 'Make this one' }).click()
      await page.getByText(/^Rings, from the seed/).waitFor()
    })
  })

  test.each([true, false])('lets the visitor choose parts as in the form (script: %s)', async (script) => {
    await visit({ javaScriptEnabled: script }, async (page) => {
      await openAvatar(page, app.url)
      await openChange(page)
      await page.locator('#parts').getByRole('button', { name: 'Glasses', exact: true }).click()
      await page.locator('#parts').getByRole('radio', { name: 'Glasses 2' }).check({ force: true })
      await page.getByRole('radio', { name: 'Roomy' }).check({ force: true })
      const posted = page.waitForRequest((request) => request.method() === 'POST')
      await page.getByRole('button', { name: 'Make this one' }).click()
      const fields = new URLSearchParams((await posted).postData() ?? '')
      expect([fields.get('glassesVariant'), fields.get('scale'), fields.get('seed')]).toEqual([
        'variant02',
        '0.8',
        'fern',
      ])
      await page.locator('#here').waitFor({ state: 'detached' })
      await untilLooks(page, 2)
    })
  })

  test.each([
    ['with', true],
    ['without', false],
  ])('restyles, shows an older avatar and removes it, %s script, without another sign-in', async (_, isEnabled) => {
    await visit({ javaScriptEnabled: isEnabled }, async (page) => {
      await openAvatar(page, app.url)
      await page.getByText('Pick another face').click()
      await page.getByRole('button', { name: 'amber acorn' }).click()
      await page.getByText('from the seed “amber acorn”.').waitFor()
      const looks = page.locator('a[href^="/show_avatar?avatar="]')
      await untilLooks(page, 2)
      await looks.last().click()
      await page.getByText('from the seed “fern”.').waitFor()
      await page
        .getByRole('button', { name: /^Remove/ })
        .last()
        .click()
      await untilLooks(page, 1)
    })
  })

  test('names each avatar in the history with its seed, whether it is new or old', async () => {
    await visit({}, async (page) => {
      await openAvatar(page, app.url)
      await page.getByText('Pick another face').click()
      await page.getByRole('button', { name: 'amber acorn' }).click()
      const looks = page.locator('.looks')
      await looks
        .getByRole('link', { name: /^Adventurer, happy/ })
        .nth(1)
        .waitFor()
      await looks.getByRole('link', { name: 'Adventurer, happy from the seed “fern”' }).click()
      await page.getByText('from the seed “fern”.').waitFor()
      expect(await page.locator('.portrait').getAttribute('alt')).toMatch(/^Your avatar: Adventurer, happy, with /)
      const names = (role: 'link' | 'button') =>
        looks.getByRole(role).evaluateAll((all) => all.map((one) => one.getAttribute('aria-label') ?? one.textContent))
      const all = [...(await names('link')), ...(await names('button'))]
      expect(all).toHaveLength(8)
      expect(new Set(all).size).toBe(8)
      expect(all).toContain('Download Adventurer, happy, from the seed “\u2068fern\u2069”')
    })
  })

  test('copies a link to the same face, and asks first where the link would contain the username', async () => {
    const copied = async (page: Page, name: string) => {
      await page.getByRole('button', { name }).click()
      await page.getByText('Copied').first().waitFor()
      return page.evaluate(() => navigator.clipboard.readText())
    }
    await visit({ permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
      await openAvatar(page, app.url)
      const link = `${app.url}/?seed=fern&style=adventurer&backgroundColor=ffd29d&mood=happy`
      expect(await copied(page, 'Copy link to this look')).toBe(link)
      await openChange(page)
      await page.getByRole('radio', { name: /^Use my Discord username/ }).check()
      // The preview is drawn from it, so it is no example.
      expect(await page.locator('[data-state]').textContent()).toBe('')
      await page.getByRole('button', { name: 'Make this one' }).click()
      await page.getByText('from the seed “juniper.moss”').first().waitFor()
      await page.locator('.ask > summary').click()
      expect(await copied(page, 'Copy with your username in it')).toBe(link.replace('fern', 'juniper.moss'))
      expect(await copied(page, 'Copy without it')).toBe(link.replace('seed=fern&', ''))
      // The link opens the form with the same face.
      await page.getByRole('link', { name: 'Change style or mood' }).click()
      expect((await pictureQuery(page, preview)).get('seed')).toBe('juniper.moss')
    })
  })

  test('posts a restyle once, and its button says that it is in progress', async () => {
    // In a window of this width the button is as wide as its text.
    await visit({ viewport: { width: 768, height: 800 } }, async (page) => {
      await openAvatar(page, app.url)
      await openChange(page)
      const pressed = await page.getByRole('button', { name: 'Make this one' }).evaluate((button) => {
        let sent = 0
        addEventListener('submit', ({ defaultPrevented }) => {
          if (!defaultPrevented) sent += 1
        })
        const before = button.getBoundingClientRect().width
        for (let i = 0; i < 2; i += 1)
          button.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }))
        const { width } = button.getBoundingClientRect()
        return {
          sent,
          text: button.textContent,
          off: button.getAttribute('aria-disabled'),
          isAsWide: width >= before,
        }
      })
      expect(pressed).toEqual({ sent: 1, text: 'One moment…', off: 'true', isAsWide: true })
      await page.locator('#here').waitFor({ state: 'detached' })
    })
  })
})

describe('the error page', () => {
  let withoutRedis: StartedApp
  beforeAll(async () => {
    // Nothing listens at this port, so that no state can be stored.
    withoutRedis = await startApp({ RATE_LIMIT: 'off', REDIS_URL: 'redis://127.0.0.1:1' })
  })
  afterAll(() => withoutRedis.stop())

  test('links to the visitor’s avatars if the state is unknown, and for no other error', async () => {
    await visit({}, async (page) => {
      const avatars = page.getByRole('link', { name: 'See your looks' })
      await page.goto(`${app.url}/get_avatar?code=c0de&state=unknown`)
      await avatars.click()
      await page.waitForURL(`${app.url}/?notice=no-looks`)
      await openAvatar(page, app.url)
      await page.goto(`${app.url}/get_avatar?code=c0de&state=unknown`)
      await avatars.click()
      await page.getByRole('heading', { name: /^Looking good/ }).waitFor()
      await page.goto(`${app.url}/nowhere`)
      expect(await avatars.count()).toBe(0)
    })
  })

  test.each([true, false])('keeps the look, which can be sent again or changed first (script: %s)', async (script) => {
    await visit({ javaScriptEnabled: script }, async (page) => {
      const look = 'style=bottts&mood=love&seed=river+otter&backgroundColor=a9d6f5'
      if (script) await page.clock.install()
      await page.goto(`${withoutRedis.url}/?${look}`)
      await page.getByRole('button', { name: 'Continue with Discord' }).click()
      await page.getByRole('heading', { name: 'We can’t reach our memory' }).waitFor()
      const kept = page.getByRole('region', { name: 'Your look' })
      expect((await kept.textContent())?.trim().split(/\s*\n\s*/)).toEqual([
        'StyleBottts',
        'MoodLove',
        'BackgroundSky',
        'Seedriver otter',
      ])
      const posts: string[] = []
      page.on('request', (request) => request.method() === 'POST' && posts.push(request.postData() ?? ''))
      const tryAgain = page.getByRole('button', { name: /^Try again/ })
      if (script) {
        // Without a script the button can be pressed at once.
        expect([await tryAgain.textContent(), await tryAgain.isDisabled()]).toEqual(['Try again in 5 s', true])
        await page.clock.runFor(2000)
        expect(await tryAgain.textContent()).toBe('Try again in 3 s')
        await page.clock.runFor(3000)
      }
      await tryAgain.dblclick()
      await tryAgain.waitFor()
      expect(Object.fromEntries(new URLSearchParams(posts[0]))).toEqual({
        seed: 'river otter',
        style: 'bottts',
        backgroundColor: 'a9d6f5',
        mood: 'love',
      })
      if (script) expect(posts.length).toBe(1)
      await page.getByRole('link', { name: 'Back to the form' }).click()
      expect(await style(page, 'Bottts').isChecked()).toBe(true)
      expect(await page.getByRole('textbox', { name: 'Name or word' }).inputValue()).toBe('river otter')
    })
  })
})

// The scripts of the form, card by card, and those of the buttons on the other pages.
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { block, lazyPicturesInView, openAvatar } from '../support/browser.ts'
import { app, useDemo, visit } from '../support/demo-in-browser.ts'

useDemo(lazyPicturesInView)

const { home, script } = words
const start = '/?style=adventurer&mood=happy&seed=fern&backgroundColor=ffd29d'
const announced = (page: Page) => page.locator('[data-announcements]').textContent()
const focus = (page: Page, attribute: string) =>
  page.evaluate((name) => document.activeElement?.getAttribute(name), attribute)
const style = (page: Page, name: string) => page.getByRole('radio', { name, exact: true }).check({ force: true })

/** Opens the form and waits for its script. */
async function open(page: Page, query = '', address = start) {
  await page.goto(app.url + address + query)
  await page.locator('html.js').waitFor()
}

/** The query of a picture's address. */
const queryOf = async (page: Page, selector: string) =>
  new URL((await page.locator(selector).first().getAttribute('src')) ?? '', app.url).searchParams
const previewOf = (page: Page) => queryOf(page, '.crop img')
/** Waits until the form would send this value, once. */
const untilSent = (page: Page, name: string, value: string) =>
  expect
    .poll(() =>
      page.locator('form.maker').evaluate((form: HTMLFormElement, field) => new FormData(form).getAll(field), name),
    )
    .toEqual([value])
/** Waits until the query of a picture has this value. */
const untilDrawn = (page: Page, name: string, value: string | null, selector = '.crop img') =>
  expect.poll(async () => (await queryOf(page, selector)).get(name), { timeout: 15_000 }).toBe(value)

test('the last rolls are four different seeds, with the one before the first roll; the current one is marked', async () => {
  await visit({}, async (page) => {
    await page.addInitScript(() => {
      let last = 0
      Math.random = () => {
        last = (last + 0.37) % 1
        return last
      }
    })
    await block(page, '*/preview.svg?*')
    await open(page)
    const rolls = page.locator('[data-rolls] button')
    const seeds = () => rolls.evaluateAll((all) => all.map((one) => one.getAttribute('title') ?? ''))
    const marked = () => page.locator('[data-rolls] [aria-current="true"]').getAttribute('title')
    const roll = page.getByRole('button', { name: script.roll, exact: true })
    const seed = page.locator('#seed')
    await roll.click()
    expect(await seeds()).toEqual([await seed.inputValue(), 'fern'])
    for (let i = 0; i < 4; i += 1) await roll.click()
    const [newest = '', , third = ''] = await seeds()
    expect([await rolls.count(), await marked()]).toEqual([4, await seed.inputValue()])
    expect(newest).toBe(await seed.inputValue())
    await rolls.nth(2).click()
    expect([await seed.inputValue(), await marked()]).toEqual([third, third])
    expect(await page.locator('[data-rolls] img:not([alt=""][width="44"][height="44"])').count()).toBe(0)
    // A seed that is empty or too long is no roll. A roll is never the current seed, and is not listed twice.
    await seed.fill('W'.repeat(129))
    await roll.click()
    expect((await seeds()).filter((one) => one.length > 100)).toEqual([])
    await seed.fill('')
    await page.evaluate(() => {
      Math.random = () => 0
    })
    for (const rolled of ['amber acorn', 'amber badger', 'amber acorn']) {
      await roll.click()
      expect(await seed.inputValue()).toBe(rolled)
    }
    const all = await seeds()
    expect(all.slice(0, 2)).toEqual(['amber acorn', 'amber badger'])
    expect(all).not.toContain('')
    expect(new Set(all).size).toBe(4)
  })
})

test('a wall of faces is announced, follows a change meanwhile, and opens by a new page if it cannot be fetched', async () => {
  await visit({}, async (page) => {
    await open(page)
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    await page.route(/&wall=1/, async (route) => {
      await held
      await route.continue()
    })
    await page.getByRole('button', { name: home.openFaces }).click()
    await style(page, 'Lorelei')
    await untilDrawn(page, 'style', 'lorelei')
    release()
    await page.locator('.wall-faces').waitFor()
    expect(await announced(page)).toBe(script.facesShown)
    expect((await queryOf(page, '.wall-faces img')).get('style')).toBe('lorelei')
    await page.route(/&wall=2/, (route) => (route.request().isNavigationRequest() ? route.continue() : route.abort()))
    await page.getByRole('button', { name: home.moreFaces }).click()
    await page.waitForURL(/[?&]wall=2.*#wall$/)
    await page.locator('.wall-faces').waitFor()
  })
})

describe('the card of the parts', () => {
  const chip = (page: Page, name: string) => page.locator('#parts').getByRole('button', { name, exact: true })
  const part = (page: Page, name: string, role: 'radio' | 'checkbox' = 'radio') =>
    page.locator('#parts').getByRole(role, { name, exact: true })

  test('keeps the focus, the ready-made colours open, and all other parts in every picture', async () => {
    await visit({}, async (page) => {
      await open(page, '&part=hair&glassesVariant=variant02')
      await part(page, 'Long 16').check({ force: true })
      for (const selector of ['.ready img', '.moods img']) await untilDrawn(page, 'hairVariant', 'long16', selector)
      for (const selector of ['.variants img', '.ready img', '.styles .tile img', '.moods img', '.scales img']) {
        await untilDrawn(page, 'glassesVariant', 'variant02', selector)
      }
      await untilDrawn(page, 'scale', '0.8', '.tile:has([name="scale"][value="0.8"]) img')
      expect((await queryOf(page, '.tile:has([name="scale"][value=""]) img')).has('scale')).toBe(false)
      expect(await chip(page, 'Hair').getAttribute('class')).toBe('chip pinned')
      expect(await page.locator('.dice').getAttribute('aria-label')).toBe(script.rollRestLong)

      await page.getByText(home.readyLooks).click()
      await chip(page, 'Mouth').click()
      await page.locator('[name="mouthVariant"]').first().waitFor({ state: 'attached' })
      expect(await focus(page, 'data-part')).toBe('mouth')
      expect(await page.locator('.ready').getAttribute('open')).toBe('')
      await chip(page, 'Mouth').click()
      await page.locator('#part').waitFor({ state: 'detached' })
      expect(await focus(page, 'data-part')).toBe('mouth')
      expect((await previewOf(page)).get('hairVariant')).toBe('long16')

      await page.locator('[data-unpin]').click()
      expect(await announced(page)).toBe(script.unpinned)
      expect(await focus(page, 'data-part')).toBe('hair')
      expect(await page.locator('.chip.pinned').count()).toBe(0)
      expect(await page.locator('.dice').getAttribute('aria-label')).toBe(script.rollLong)
      await untilDrawn(page, 'hairVariant', null)
      expect((await previewOf(page)).has('glassesVariant')).toBe(false)
    })
  })

  test('brings parts that are not open, and an own colour, back with the browser’s Back and Forward', async () => {
    await visit({}, async (page) => {
      await block(page, '*/preview.svg?*')
      await open(page, '&part=hair&glassesVariant=variant02')
      await page.locator('#part input[type="color"]').fill('#123456')
      await page.waitForURL(/hairColor=123456/)
      await page.locator('#part input[type="color"]').fill('#654321')
      await page.waitForURL(/hairColor=654321/)
      await page.goBack()
      await untilSent(page, 'hairColor', '123456')
      expect(await page.locator('#part [data-own]').isChecked()).toBe(true)
      await part(page, 'Any long').check({ force: true })
      await page.waitForURL(/hairVariant=long/)
      await page.locator('[data-unpin]').click()
      await page.waitForURL((url) => !url.searchParams.has('hairColor'))
      await page.goBack()
      await untilSent(page, 'hairColor', '123456')
      expect(await page.locator('#part [data-own]').isChecked()).toBe(true)
      await untilSent(page, 'glassesVariant', 'variant02')
      await page.goBack()
      await untilSent(page, 'hairVariant', '')
      await untilSent(page, 'hairColor', '123456')
      await page.goBack()
      await untilSent(page, 'hairColor', '')
      await untilSent(page, 'glassesVariant', 'variant02')
      await page.getByRole('radio', { name: home.none }).first().check({ force: true })
      await page.waitForURL(/backgroundColor=transparent/)
      await page.getByRole('radio', { name: 'Sky' }).first().check({ force: true })
      await page.waitForURL(/backgroundColor=a9d6f5/)
      await page.goBack()
      await untilSent(page, 'backgroundColor', '')
    })
  })

  test('keeps the focus when the style changes with Back, and says “Roll the rest” only for a style with the chosen part', async () => {
    await visit({}, async (page) => {
      await block(page, '*/preview.svg?*')
      await open(page, '&part=hair&glassesVariant=variant02')
      const dice = page.locator('.dice')
      expect(await dice.getAttribute('aria-label')).toBe(script.rollRestLong)
      await style(page, 'Bottts')
      await expect.poll(() => dice.getAttribute('aria-label')).toBe(script.rollLong)
      await untilSent(page, 'glassesVariant', 'variant02')
      await page.waitForURL(/style=bottts/)
      await style(page, 'Micah')
      await page.waitForURL(/style=micah/)
      await chip(page, 'Hair').click()
      await page.locator('[name="hairVariant"][value="pixie"]').waitFor({ state: 'attached' })
      await page.locator('#part [name="hairColor"][value=""]').focus()
      await page.evaluate(() => history.go(-2))
      await page.locator('[name="hairVariant"][value="long01"]').waitFor({ state: 'attached' })
      expect(await focus(page, 'name')).toBe('hairColor')
      expect(await dice.getAttribute('aria-label')).toBe(script.rollRestLong)
    })
  })

  test('takes ready-made colours for the Discord username and a moving form, too', async () => {
    await visit({}, async (page) => {
      await block(page, '*/preview.svg?*')
      await open(page, '&animated=on')
      await page.getByRole('radio', { name: /^Use my Discord username/ }).check()
      await page.getByText(home.readyLooks).click()
      await page.getByRole('link', { name: 'Neon' }).click()
      await page.waitForURL(/backgroundColor=1a0b2e/)
      await untilSent(page, 'seedFrom', 'username')
      await untilSent(page, 'animated', 'on')
      expect(new URL(page.url()).searchParams.has('seed')).toBe(false)
      // They also replace a colour that was refused.
      await page.locator('#parts [type="hidden"][name="hairColor"]').evaluate((field: HTMLInputElement) => {
        field.value = 'red'
      })
      await page.getByRole('button', { name: home.next }).click()
      await page.locator('#hairColor[aria-invalid]').waitFor()
      await page.locator('html.js').waitFor()
      await page.getByText(home.readyLooks).click()
      await page.getByRole('link', { name: 'Neon' }).click()
      await untilSent(page, 'hairColor', '00f0ff')
    })
  })

  test('chooses “As rolled” when the last of several variants is unticked, and the first one when only one may be', async () => {
    await visit({}, async (page) => {
      await block(page, '*/preview.svg?*')
      await open(page, '&part=glasses')
      const several = page.getByRole('checkbox', { name: home.several })
      await several.check()
      await part(page, 'Glasses 2', 'checkbox').check({ force: true })
      await untilSent(page, 'glassesVariant', 'variant02')
      await part(page, 'Glasses 2', 'checkbox').uncheck({ force: true })
      await untilSent(page, 'glassesVariant', '')
      expect(await part(page, home.asRolled).isChecked()).toBe(true)
      for (const name of ['Glasses 3', 'Glasses 5']) await part(page, name, 'checkbox').check({ force: true })
      await page.waitForURL(/variant03%2Cvariant05/)
      await several.uncheck()
      expect(await part(page, 'Glasses 3').isChecked()).toBe(true)
      await untilSent(page, 'glassesVariant', 'variant03')
      // What was chosen as the only one is one of several, when several may be chosen again.
      await several.check()
      await untilSent(page, 'glassesVariant', 'variant03')
      await page.waitForURL(/variant03(&|$)/)
      await page.goBack()
      await untilSent(page, 'glassesVariant', 'variant03,variant05')
      expect([await several.isChecked(), await part(page, 'Glasses 5', 'checkbox').isChecked()]).toEqual([true, true])
      await part(page, 'Glasses 1', 'checkbox').check({ force: true })
      await untilSent(page, 'glassesVariant', 'variant03,variant05,variant01')
      await page.locator('[data-unpin]').click()
      await untilSent(page, 'glassesVariant', '')
      expect([await several.isChecked(), await part(page, 'Glasses 3').isChecked()]).toEqual([false, false])
    })
  })
})

test('the form follows the style: credit, moods, sizes, background, and better colours by their names', async () => {
  await visit({}, async (page) => {
    const cards: string[] = []
    const described: string[] = []
    page.on('request', (request) => {
      const { pathname, searchParams } = new URL(request.url())
      const styles = pathname === '/' ? cards : described
      if (request.resourceType() === 'fetch') styles.push(searchParams.get('style') ?? '')
    })
    await open(page, '', '/?style=adventurer&mood=sleepy&seed=fern&backgroundColor=ffd29d&rotate=5')
    const credit = page.locator('[data-credit]')
    // Styles that the filter hides are chosen by an event, because showing all 61 would take long.
    const hiddenStyle = (name: string) => page.locator(`[name="style"][value="${name}"]`).dispatchEvent('click')
    await style(page, 'Lorelei')
    expect(await page.locator('#mood-hint').textContent()).toBe('Lorelei can show them all.')
    // The chosen mood stays, so the new hint is not announced.
    expect(await announced(page)).not.toContain('Lorelei')
    await hiddenStyle('identicon')
    const roomy = page.getByRole('radio', { name: 'Roomy' })
    expect(await roomy.getAttribute('aria-describedby')).toBe('scale-hint')
    await page.locator('[name="style"][value="thumbs"]').check({ force: true })
    expect([await credit.textContent(), await roomy.getAttribute('aria-describedby')]).toEqual(['by DiceBear', null])
    await page.getByRole('radio', { name: home.stylesOwn }).check()
    await style(page, 'Micah')
    expect(await credit.textContent()).toBe('by Micah Lanier')
    await untilDrawn(page, 'mood', null, '.tile:has([name="mood"][value="sleepy"]) img')
    await untilDrawn(page, 'mood', 'sad', '.tile:has([name="mood"][value="sad"]) img')
    // Other styles are shown with the mood that they can show.
    expect((await queryOf(page, '.tile:has([name="style"][value="lorelei"]) img')).get('mood')).toBe('sleepy')
    expect((await queryOf(page, '.tile:has([name="style"][value="pixel-art"]) img')).get('mood')).toBe(null)
    // A tile that has got another picture loads it when it is scrolled to.
    expect(await page.locator('.popular img:not([loading="lazy"])').count()).toBe(0)
    // Hints that stay the same are announced once.
    await page.getByRole('checkbox', { name: 'Animate' }).check()
    expect(await announced(page)).toContain('Micah doesn’t move.')
    const repeated = await page.evaluate(() => {
      const region = document.querySelector('[data-announcements]')
      region?.replaceChildren()
      for (let i = 0; i < 2; i += 1) document.querySelector<HTMLElement>('#flip')?.click()
      return region?.textContent
    })
    expect(repeated).toBe('')
    // The hint that is always there is not announced when it comes back.
    await page.getByRole('checkbox', { name: 'Animate' }).uncheck()
    expect(await page.locator('[data-moves]').textContent()).toContain('19 styles')
    expect(await announced(page)).not.toContain('19 styles')
    // After a mood, “Any” can be chosen again.
    for (const name of ['Sad', home.anyMood]) await style(page, name)
    await untilDrawn(page, 'mood', null, '.tile:has([name="style"][value="lorelei"]) img')
    const sad = page.getByRole('radio', { name: 'Sad', exact: true })
    expect([await sad.isDisabled(), await sad.getAttribute('aria-describedby')]).toEqual([false, null])
    // It stays for as long as it is chosen.
    const own = page.getByRole('radio', { name: home.stylesOwn })
    expect([await own.isVisible(), await own.isChecked()]).toEqual([true, true])

    await page.locator('.own:has([name="backgroundColor"]) [type="color"]').fill('#123456')
    const value = page.locator('.own:has([name="backgroundColor"]) .own-value')
    expect(await value.textContent()).toBe(' #123456')
    await page.getByRole('radio', { name: 'Apricot' }).first().check({ force: true })
    expect(await value.textContent()).toBe('')
    for (const name of ['Fade from the middle', 'Fade across'])
      await page.getByRole('radio', { name }).check({ force: true })
    const second = page.locator('.two-colours .own')
    expect(await second.locator('[type="color"]').inputValue()).toBe(
      `#${await second.locator('[data-own]').getAttribute('value')}`,
    )
    await second.locator('[type="color"]').fill('#654321')
    await untilDrawn(page, 'backgroundColor2', '654321')

    await hiddenStyle('constellation')
    const better = await page
      .locator('.faint a')
      .evaluateAll((all) => all.map((one) => [one.getAttribute('title'), one.textContent?.trim()]))
    expect([better.length, new Set(better.map(([title]) => title)).size]).toEqual([3, 3])
    const colours = await page
      .locator('.faint a')
      .evaluateAll((all) =>
        all.map((one) => [
          one.firstElementChild?.firstElementChild?.getAttribute('fill'),
          one.dataset.better,
          one.getAttribute('href'),
        ]),
      )
    for (const [fill, colour, href] of colours) {
      expect(fill).toBe(`#${colour}`)
      // The same look as after a click, for a new tab.
      const { searchParams } = new URL(href ?? '', app.url)
      const names = ['style', 'backgroundColor', 'backgroundColorFill']
      expect(names.map((name) => searchParams.get(name))).toEqual(['constellation', colour, null])
    }
    // As its address says, a better colour is the only one.
    await page.locator('.faint a').first().click()
    await page.waitForURL((url) => url.searchParams.get('backgroundColor') === colours[0]?.[1])
    expect(page.url()).not.toContain('backgroundColorFill')
    expect(described[0]).toBe('lorelei') // The first picture was described by the server.
    expect(cards).toEqual(['lorelei', 'identicon', 'thumbs', 'micah', 'constellation'])
    for (const [title, text] of better) expect(text).toBe(title)
    expect(better.map(([title]) => title)).toContain('Harbour')

    // A slider goes back to DiceBear's default, and not to what the page opened with.
    const tilt = page.locator('#rotate')
    await tilt.fill('0')
    await page.waitForURL((url) => !url.searchParams.has('rotate'))
    await tilt.fill('7')
    await page.waitForURL(/rotate=7/)
    await page.goBack()
    expect(await tilt.inputValue()).toBe('0')
  })
})

test('Enter in the seed field redraws the picture and sends nothing; a preview comes before the tiles', async () => {
  await visit({}, async (page) => {
    await open(page)
    const devTools = await page.context().newCDPSession(page)
    await devTools.send('Network.enable')
    const priorities = new Map<string, string>()
    devTools.on('Network.requestWillBeSent', ({ request }) => {
      if (!priorities.has(request.url)) priorities.set(request.url, request.initialPriority)
    })
    expect(await page.locator('.update').count()).toBe(0)
    await page.evaluate(() => {
      document.title = 'the same page'
    })
    await page.locator('#seed').fill(' otter ')
    await page.keyboard.press('Enter')
    await untilDrawn(page, 'seed', 'otter')
    await page.waitForURL(/seed=otter&/)
    await page.waitForLoadState('networkidle')
    expect(await page.title()).toBe('the same page')
    const preview = `${app.url}/preview.svg?${await previewOf(page)}`
    expect(priorities.get(preview)).toBe('High')
    // Enter that ends the composition of a letter is left to the browser.
    const isLeft = await page.locator('#seed').evaluate((field) => {
      const composing = { key: 'Enter', isComposing: true, bubbles: true, cancelable: true }
      return field.dispatchEvent(new KeyboardEvent('keydown', composing))
    })
    expect(isLeft).toBe(true)
    // A link to a place on the page, such as those in the summary of errors, changes nothing in the form.
    await page.evaluate(() => {
      location.hash = 'seed'
    })
    await page.goBack()
    await page.goForward()
    await untilSent(page, 'seed', 'otter')
    await untilSent(page, 'style', 'adventurer')
    await page.locator('#seed').fill('W'.repeat(129))
    expect(await page.locator('form.maker').getAttribute('class')).toContain('failed')
  })
})

test.each([true, false])(
  'what only works with a script is seen only with one (script: %s)',
  async (javaScriptEnabled) => {
    await visit({ javaScriptEnabled }, async (page) => {
      await page.goto(`${app.url}${start}&part=hair`)
      if (javaScriptEnabled) await page.locator('html.js').waitFor()
      const seen = await page.locator('.js-only').filter({ visible: true }).count()
      expect([seen > 3, await page.locator('.update').isVisible()]).toEqual([javaScriptEnabled, !javaScriptEnabled])
    })
  },
)

test('a visitor who asks for reduced motion meanwhile sees a still preview', async () => {
  await visit({}, async (page) => {
    await open(page, '', '/?style=thumbs&seed=fern&animated=on')
    expect((await previewOf(page)).get('animated')).toBe('on')
    await page.emulateMedia({ reducedMotion: 'reduce' })
    await untilDrawn(page, 'animated', null)
    await page.emulateMedia({ reducedMotion: 'no-preference' })
    await untilDrawn(page, 'animated', 'on')
  })
})

test('“Make it fit” moves the focus to the size, and shows its new number', async () => {
  await visit({}, async (page) => {
    await open(page, '', '/?style=fun-emoji&seed=s1&backgroundColor=ffd29d')
    await page.locator('[data-fit]').last().scrollIntoViewIfNeeded()
    const top = await page.evaluate(() => scrollY)
    await page.locator('[data-fit]').last().click()
    await page.waitForURL(/scale=0\.9/)
    // The button is beside the preview, so the page does not scroll to the size.
    expect(await page.evaluate(() => scrollY)).toBe(top)
    expect(await focus(page, 'name')).toBe('scale')
    expect(await page.locator('[data-slider="scale"] output').allTextContents()).toEqual(['90 %'])
  })
})

test('the countdown of an error page is in minutes down to 90 seconds, then in seconds', async () => {
  await visit({}, async (page) => {
    const { tryAgain, tryAgainInSeconds, tryAgainInMinutes } = words.errors
    await page.route(/nowhere/, async (route) => {
      const response = await route.fetch()
      const button = `<button data-wait="200" data-seconds="${tryAgainInSeconds}" data-minutes="${tryAgainInMinutes}">`
      const body = (await response.text()).replace('<h1>', `${button}${tryAgain}</button><h1>`)
      await route.fulfill({ response, body })
    })
    await page.clock.install()
    await page.goto(`${app.url}/nowhere`)
    const button = page.locator('[data-wait]')
    await page.clock.pauseAt(Date.now() + 60_000)
    const steps: (string | null)[] = []
    for (const seconds of [1, 48, 2, 10, 1]) {
      await page.clock.runFor(1000 * seconds)
      steps.push(await button.textContent())
    }
    expect(steps.slice(0, 3)).toEqual(['Try again in 3 min', 'Try again in 2 min', 'Try again in 89 s'])
    await page.clock.runFor(120_000)
    expect([await button.textContent(), await button.isDisabled()]).toEqual([tryAgain, false])
    // It no longer changes, so it can say that the form is being sent.
    await button.evaluate((one, text) => one.replaceChildren(text), script.leaving)
    await page.clock.runFor(5_000)
    expect(await button.textContent()).toBe(script.leaving)
  })
})

test('a form that is not answered can be sent again after 20 seconds, or when the visitor comes back', async () => {
  await visit({}, async (page) => {
    await page.clock.install()
    await open(page)
    // The page is not left: this listener runs after those of the scripts.
    await page.evaluate(() => addEventListener('submit', (event) => event.preventDefault()))
    const button = page.locator('.panel button.next')
    const label = await button.textContent()
    const press = async () => {
      await button.evaluate((one: HTMLButtonElement) => one.click())
      expect([await button.textContent(), await button.getAttribute('aria-disabled')]).toEqual([script.leaving, 'true'])
    }
    const isReleased = async () => [await button.textContent(), await button.getAttribute('aria-disabled')]
    await page.clock.pauseAt(Date.now() + 60_000)
    await press()
    await page.clock.runFor(19_000)
    expect(await isReleased()).toEqual([script.leaving, 'true'])
    await page.clock.runFor(2_000)
    expect(await isReleased()).toEqual([label, null])
    await press()
    // The browser has brought back what was entered.
    await page.evaluate(() => {
      const find = (selector: string) => document.querySelector<HTMLInputElement>(selector)
      Object.assign(find('#seed') ?? {}, { value: 'otter' })
      Object.assign(find('[name="mood"][value="sad"]') ?? {}, { checked: true })
      dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))
    })
    expect(await isReleased()).toEqual([label, null])
    await untilDrawn(page, 'seed', 'otter')
    await untilSent(page, 'mood', 'sad')
    expect((await previewOf(page)).get('mood')).toBe('sad')
    // A form that only updates the page is not the one that is sent.
    const update = page.locator('.maker > button')
    await update.evaluate((button: HTMLButtonElement) => button.form?.requestSubmit(button))
    expect(await update.getAttribute('aria-disabled')).toBe(null)
  })
})

test('“Copied” does not make the button narrower; the message that copying failed is shown for ten seconds', async () => {
  await visit({}, async (page) => {
    await page.addInitScript(() => {
      Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined })
      document.execCommand = () => true
    })
    await page.clock.install()
    await openAvatar(page, app.url)
    const fields = await page.locator('textarea').count()
    const copy = page.locator('.restyle [data-copy]')
    const width = (await copy.boundingBox())?.width ?? 0
    await page.clock.pauseAt(Date.now() + 60_000)
    await copy.click()
    await copy.getByText(script.copied).waitFor()
    // The button does not become narrower, so that nothing beside it moves.
    expect((await copy.boundingBox())?.width).toBeGreaterThanOrEqual(width)
    await page.evaluate(() => {
      document.execCommand = () => false
    })
    await copy.click()
    await copy.getByText(script.notCopied).waitFor()
    expect(await page.locator('textarea').count()).toBe(fields)
    await page.clock.runFor(9_000)
    expect((await copy.textContent())?.trim()).toBe(script.notCopied)
    await page.clock.runFor(1_500)
    expect((await copy.textContent())?.trim()).toBe(words.show.copy)
  })
})

test('“Save or share” fetches the file when it is pressed down, and downloads it if the answer is an error', async () => {
  await visit({}, async (page) => {
    await page.addInitScript(() => {
      Object.assign(navigator, {
        canShare: () => true,
        async share() {
          document.title = 'shared'
        },
      })
    })
    const errors: string[] = []
    page.on('pageerror', ({ message }) => errors.push(message))
    await openAvatar(page, app.url)
    expect(await page.locator('[data-download]').getAttribute('class')).toBe('button second')
    const file = /\.png\?size=512$/
    await page.route(file, (route) => route.fulfill({ status: 503 }))
    const share = page.getByRole('button', { name: words.show.share })
    await share.hover()
    await Promise.all([page.waitForResponse(file), page.mouse.down()])
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)))
    await Promise.all([page.waitForEvent('download'), page.mouse.up()])
    expect(await page.title()).not.toBe('shared')
    expect(errors).toEqual([])
  })
})

test('the hint about the GIF is back when the GIF is ready', async () => {
  await visit({}, async (page) => {
    await page.addInitScript(() => Object.assign(navigator, { canShare: () => true }))
    await openAvatar(page, app.url, 'style=thumbs&animated=on&seed=fern')
    // Beside “Save or share” the two kinds keep their names.
    const kinds = page.locator('.kinds .second')
    expect((await kinds.allTextContents()).map((text) => text.trim())).toEqual([words.show.moving, words.show.still])
    const state = page.locator('[data-gif-state]')
    const hint = await state.textContent()
    await Promise.all([page.waitForEvent('download'), page.locator('[data-gif]').click()])
    await expect.poll(() => state.textContent()).toBe(hint)
  })
})

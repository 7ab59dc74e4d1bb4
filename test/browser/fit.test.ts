// The layout of every page: many sizes of window and text, long names, right to left, keyboard and touch.
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { moodHint } from '../../public/js/look.js'
import { words } from '../../src/pages/words.ts'
import { lazyPicturesInView, openBrowser, screenshot } from '../support/browser.ts'
import { at } from '../support/doubles.ts'
import { moodMap, styleList } from '../support/drawn.ts'
import { faults } from '../support/faults.ts'
import { openApp, type TestApp } from '../support/open-app.ts'
import { type StartedApp, startApp } from '../support/start-app.ts'

/** Thirty-two characters without a line break opportunity. */
const longName = 'W'.repeat(32)
/** Hebrew, Arabic, a direction override that is not closed, and emoji. */
const rightToLeft = 'שלום\u202eأوزي👩‍🚀🦊\u2067'
const accounts = [longName, rightToLeft].map((globalName, i) => ({
  id: `11357235707910554${i}0`,
  username: `ozzy_${i}`,
  globalName,
  discriminator: '0',
  avatar: null,
}))

const blank = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>'

let app: TestApp
let demo: StartedApp
let browser: Browser
/** Every page, opened once. The tests change the size of its window, the size of its text or its direction. */
let pages: { name: string; page: Page }[]

async function openPages(): Promise<typeof pages> {
  const context = await browser.newContext()
  await context.route('https://**', (route) => route.abort())
  // Only the layout is tested here.
  await context.route(/\/preview\.svg/, (route) => route.fulfill({ contentType: 'image/svg+xml', body: blank }))
  const open = async (path: string) => {
    const page = await context.newPage()
    await page.goto(new URL(path, app.url).href)
    return page
  }
  const send = (page: Page) => page.getByRole('button', { name: 'Continue with Discord' }).click()
  /** Opens the callback as Discord would redirect to it, without showing Discord's page. */
  const comeBack = async (query: string, account: number) => {
    const page = await open(`/?${query}`)
    await send(page)
    await page.getByRole('button', { name: 'Agree' }).waitFor()
    await page.goto(app.discord.codeFor(page.url(), accounts[account]?.id))
    return page
  }

  const seed = encodeURIComponent(`${rightToLeft} ${'W'.repeat(64)}`)
  const refused = await open(`/?style=rings&seed=${seed}`)
  await refused.locator('#seed').fill('W'.repeat(140))
  await send(refused)
  await refused.getByRole('alert').waitFor()

  const shown = await comeBack(`style=adventurer-neutral&mood=surprised&seed=${seed}`, 0)
  await shown.getByRole('link', { name: 'Or change it right here' }).click()
  await shown.locator('#here').waitFor()
  await context.clearCookies()
  app.discord.fail(at.token, faults.answer(500))
  const failed = await comeBack(`style=adventurer&mood=happy&seed=${seed}`, 0)
  app.discord.heal(at.token)
  await context.clearCookies()
  const mirrored = await comeBack(`style=thumbs&animated=on&seed=${seed}`, 1)

  const consent = await context.newPage()
  await consent.goto(demo.url)
  await send(consent)
  await consent.locator('.rehearsal').waitFor()
  return [
    { name: 'form', page: await open('/') },
    { name: 'form with a notice', page: await open(`/?style=micah&mood=sleepy&backgroundColor=123456&seed=${seed}`) },
    {
      name: 'form, all open',
      page: await open(
        '/?style=adventurer&seed=x&part=hair&wall=2&backgroundColor=123456&backgroundColorFill=linear&scale=0.9&rotate=5&hairColor=123456',
      ),
    },
    { name: 'form refused', page: refused },
    { name: 'consent', page: consent },
    { name: 'avatar, a long name', page: shown },
    { name: 'avatar, a name from right to left', page: mirrored },
    { name: 'error with the look kept', page: failed },
    { name: 'licences', page: await open('/licences') },
  ]
}

beforeAll(async () => {
  ;[app, demo, browser] = await Promise.all([
    openApp({ accounts }),
    startApp({ RATE_LIMIT: 'off' }),
    openBrowser(lazyPicturesInView),
  ])
  pages = await openPages()
}, 120_000)
afterAll(async () => {
  await browser.close()
  await Promise.all([app.close(), demo.stop()])
})

/** The browser's setting for the size of text; the default is 16. */
async function textSize(page: Page, standard: number) {
  const devTools = await page.context().newCDPSession(page)
  await devTools.send('Page.setFontSizes', { fontSizes: { standard, fixed: standard } })
  await devTools.detach()
}

/** Returns what does not fit: a page wider than its window, text outside of the window, cut off or over other text. */
const misfits = (page: Page) =>
  page.evaluate(async () => {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
    const root = document.documentElement
    scrollTo(0, 0)
    const found: string[] = []
    const short = (text: string | null) => (text ?? '').trim().replace(/\s+/g, ' ').slice(0, 40)
    if (root.scrollWidth > root.clientWidth)
      found.push(`${root.scrollWidth - root.clientWidth} px wider than the window`)

    const lines: { text: string; node: Node; box: DOMRect }[] = []
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      const inside = node.parentElement
      if (!inside || !short(node.textContent) || inside.closest('.unseen, .play, .wide, option, script')) continue
      if (!inside.checkVisibility({ visibilityProperty: true })) continue
      const range = document.createRange()
      range.selectNodeContents(node)
      const isShortened = inside.closest('.cut, .preview-words p, .who-name, dd')
      for (const box of range.getClientRects()) {
        if (box.width < 1) continue
        if (!isShortened) lines.push({ text: short(node.textContent), node, box })
        if (!isShortened && (box.left < -1 || box.right > root.clientWidth + 1)) {
          found.push(`outside of the window: ${short(node.textContent)}`)
        }
      }
    }
    lines.sort((a, b) => a.box.top - b.box.top)
    for (const [i, a] of lines.entries()) {
      for (let j = i + 1; j < lines.length; j += 1) {
        const b = lines[j]
        // This line and all after it are below.
        if (!b || b.box.top > a.box.bottom) break
        if (a.node === b.node) continue
        const across = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left)
        const down = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top)
        // Line boxes are taller than their letters.
        if (across > 2 && down > Math.min(a.box.height, b.box.height) / 2) found.push(`on top: ${a.text} / ${b.text}`)
      }
    }
    for (const element of document.querySelectorAll<HTMLElement>(
      'button, .button, label, summary, .preview, .card, .tile',
    )) {
      if (!element.checkVisibility({ visibilityProperty: true }) || element.matches('.unseen')) continue
      const over = Math.max(element.scrollWidth - element.clientWidth, element.scrollHeight - element.clientHeight)
      const isBadge = element.matches(':has(:checked)')
      if (over > 2 && !isBadge && element.clientWidth > 0 && getComputedStyle(element).display !== 'inline') {
        found.push(`${over} px too small for what is in it: ${element.className} ${short(element.textContent)}`)
      }
    }
    return found
  })

const screens = [
  { what: '320 px', width: 320, height: 640, text: 16 },
  { what: '1280 × 800 at 200 %', width: 640, height: 400, text: 16 },
  { what: '360 px, text at 200 %', width: 360, height: 740, text: 32 },
  { what: '1280 px, text at 200 %', width: 1280, height: 800, text: 32 },
  { what: '1440 px', width: 1440, height: 900, text: 16 },
]

/** From right to left, only the narrowest and the widest window, and large text, to save time. */
const mirrored = screens.filter(({ what }) => ['320 px', '360 px, text at 200 %', '1440 px'].includes(what))

test.each([
  ...screens.map((screen) => ({ ...screen, direction: 'ltr' })),
  ...mirrored.map((screen) => ({ ...screen, direction: 'rtl' })),
])('at $what, $direction, no text on any page is cut off, covered or outside of the window', async (screen) => {
  const { width, height, text, direction } = screen
  const found: Record<string, string[]> = {}
  for (const { name, page } of pages) {
    // The browser draws a page in the background only once per second.
    await page.bringToFront()
    await page.setViewportSize({ width, height })
    await textSize(page, text)
    await page.evaluate((dir) => document.documentElement.setAttribute('dir', dir), direction)
    const here = await misfits(page)
    await textSize(page, 16)
    if (here.length > 0) found[name] = here
  }
  expect(found).toEqual({})
})

test('a name and a seed from right to left do not change the direction of the text around them', async () => {
  const mirrored = pages.find(({ name }) => name.startsWith('avatar, a name from right'))?.page
  const isolated = await mirrored?.evaluate((name) => {
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    const holders: string[] = []
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      // The text of an input field is isolated from the text around it, as that of <bdi> is.
      const holder = node.parentElement?.localName ?? ''
      if (node.textContent?.includes(name) && holder !== 'textarea') holders.push(holder)
    }
    return holders
  }, rightToLeft)
  expect(isolated?.length).toBeGreaterThan(8)
  expect(new Set(isolated)).toEqual(new Set(['bdi']))
})

test('every control is at least 24 px in size', async () => {
  const small: Record<string, string[]> = {}
  for (const { name, page } of pages) {
    for (const width of [320, 1440]) {
      await page.setViewportSize({ width, height: 800 })
      const here = await page.evaluate(() => {
        const targets = document.querySelectorAll<HTMLElement>('a, button, input:not([type="hidden"]), select, summary')
        return [...targets].flatMap((target) => {
          const label = target instanceof HTMLInputElement ? target.labels?.[0] : undefined
          const { width, height } = (label?.contains(target) ? label : target).getBoundingClientRect()
          const isInSentence = target.localName === 'a' && getComputedStyle(target).display === 'inline'
          if (isInSentence || !target.checkVisibility({ visibilityProperty: true })) return []
          return Math.min(width, height) < 24 ? [`${width} × ${height}: ${target.outerHTML.slice(0, 80)}`] : []
        })
      })
      if (here.length > 0) small[`${name} at ${width}`] = here
    }
  }
  expect(small).toEqual({})
})

test('the focused element is always in view and never under the sticky bar, with Tab and Shift+Tab', async () => {
  const lost: Record<string, string[]> = {}
  for (const { name, page } of pages) {
    // The next page has the same form, and a notice above it.
    if (name === 'form') continue
    await page.setViewportSize({ width: 360, height: 640 })
    await page.bringToFront()
    await page.evaluate(() => {
      scrollTo(0, 0)
      if (document.activeElement instanceof HTMLElement) document.activeElement.blur()
    })
    await page.evaluate(() => {
      globalThis.focused = []
      // When a key is released, the browser has moved the focus and scrolled to it.
      document.addEventListener('keyup', ({ key }) => {
        const target = document.activeElement
        if (key !== 'Tab' || !target || target === document.body) return
        const shown = target.closest('.tile, .swatch, .chip, .account') ?? target
        const hasRing = [target, shown].some((element) => {
          const { outlineWidth, outlineStyle, opacity } = getComputedStyle(element)
          return outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2 && opacity === '1'
        })
        const { left, right, top, bottom } = target.getBoundingClientRect()
        const points = [top + 2, (top + bottom) / 2, bottom - 2].map((y) => [(left + right) / 2, y] as const)
        const isOnTop = points.some(([x, y]) => {
          const hit = document.elementFromPoint(x, y)
          return hit !== null && (shown.contains(hit) || hit.contains(shown))
        })
        const problem = hasRing ? (isOnTop ? '' : 'covered') : 'no ring'
        focused.push({ what: target.outerHTML.slice(0, 70), problem })
      })
    })
    const controls = await page.locator('a, button, input, select, textarea, summary').filter({ visible: true }).count()
    for (const key of ['Tab', 'Shift+Tab']) {
      for (let i = 0; i < Math.min(controls, 45); i += 1) await page.keyboard.press(key)
    }
    const seen = await page.evaluate(() => focused)
    const here = seen.flatMap(({ what, problem }) => (problem ? [`${problem}: ${what}`] : []))
    expect(new Set(seen.map(({ what }) => what)).size, name).toBeGreaterThan(2)
    if (here.length > 0) lost[name] = here
  }
  expect(lost).toEqual({})
})

const pageNamed = (start: string): Page => {
  const page = pages.find(({ name }) => name.startsWith(start))?.page
  if (!page) throw new Error(`no page ${start}`)
  return page
}

test('at 360 px with text at 200 % no name of a style or a mood is broken inside a word', async () => {
  const form = pageNamed('form')
  const avatar = pageNamed('avatar, a long name')
  for (const page of [form, avatar]) {
    await page.setViewportSize({ width: 360, height: 800 })
    await textSize(page, 32)
  }
  await form.locator('#filter-all').check({ force: true })
  const onForm = await broken(form, '.tile > span')
  const inHistory = await brokenInHistory(avatar, await form.locator('.styles .tile > span').allTextContents())
  await form.locator('#filter-popular').check({ force: true })
  for (const page of [form, avatar]) await textSize(page, 16)
  expect({ onForm, inHistory }).toEqual({ onForm: [], inHistory: [] })
})

/** Returns the words that are broken over two lines, in the texts of these elements. */
const broken = (page: Page, selector: string) =>
  page.locator(selector).evaluateAll((names) =>
    names.flatMap((name) => {
      const text = name.firstChild
      return [...(text?.textContent ?? '').matchAll(/\S+/g)].flatMap(({ 0: word, index }) => {
        const range = document.createRange()
        if (text) range.setStart(text, index)
        if (text) range.setEnd(text, index + word.length)
        return new Set([...range.getClientRects()].map(({ top }) => top)).size > 1 ? [word] : []
      })
    }),
  )

/** Returns the broken words in the history, after replacing its titles with those of all styles for a moment. */
async function brokenInHistory(avatar: Page, titles: string[]): Promise<string[]> {
  const before = await avatar.locator('.looks').evaluate((list, titles) => {
    const { innerHTML: before, firstElementChild: look } = list
    for (const title of titles) {
      const copy = look?.cloneNode(true)
      if (!(copy instanceof Element)) continue
      const name = copy.querySelector('.name')?.firstChild
      if (name) name.textContent = title
      list.append(copy)
    }
    return before
  }, titles)
  const words = await broken(avatar, '.looks .name')
  await avatar.locator('.looks').evaluate((list, html) => {
    list.innerHTML = html
  }, before)
  return words
}

test.each([320, 360, 480, 640, 672, 768, 960, 1024, 1088, 1152, 1280, 1440])(
  'at %i px no name of a style or a mood is broken inside a word',
  async (width) => {
    const form = pageNamed('form')
    const avatar = pageNamed('avatar, a long name')
    for (const page of [form, avatar]) await page.setViewportSize({ width, height: 800 })
    await form.locator('#filter-all').check({ force: true })
    const titles = await form.locator('.styles .tile > span').allTextContents()
    expect(titles).toHaveLength(61)
    const onForm = await broken(form, '.tile > span')
    await form.locator('#filter-popular').check({ force: true })
    const inHistory = await brokenInHistory(avatar, titles)
    expect({ onForm, inHistory }).toEqual({ onForm: [], inHistory: [] })
  },
)

/** The styles whose hint about moods is longest or shortest, and so has the most or the fewest lines. */
const hintExtremes = () => {
  const hints = styleList.map(({ name, title, moods }) => {
    const lacking = moodMap.moods.filter((mood) => !moods.includes(mood))
    return { name, length: moodHint(words.script, title, lacking).length }
  })
  hints.sort((one, other) => one.length - other.length)
  return [...hints.slice(0, 2), ...hints.slice(-4)].map(({ name }) => name)
}

test.each([360, 390, 480, 640, 768, 960, 1024, 1440])(
  'at %i px what is below the hint about moods does not move when another style is chosen',
  async (width) => {
    const moved: Record<string, number[]> = {}
    for (const name of ['form', 'avatar, a long name']) {
      const page = pageNamed(name)
      await page.setViewportSize({ width, height: 800 })
      const here = await page.evaluate((styles) => {
        const form = document.querySelector<HTMLFormElement>('[data-live]')
        if (!form) throw new Error('no form')
        const choose = (field: string, value: string) => {
          const radio = form.querySelector<HTMLInputElement>(`[type="radio"][name="${field}"][value="${value}"]`)
          if (radio) return radio.click()
          const list = form.querySelector<HTMLSelectElement>(`select[name="${field}"]`)
          if (list) list.value = value
          list?.dispatchEvent(new Event('input', { bubbles: true }))
        }
        const below = form.querySelector('.moods, select[name="backgroundColor"]') ?? form
        const hint = form.querySelector('.mood-hint') ?? form
        const distance = () => below.getBoundingClientRect().top - hint.getBoundingClientRect().top
        const places = styles.map((style) => {
          choose('style', style)
          return distance()
        })
        choose('style', 'adventurer')
        const found = [...new Set(places)]
        form.reset()
        return found
      }, hintExtremes())
      if (here.length > 1) moved[name] = here
    }
    expect(moved).toEqual({})
  },
)

test('at 320 px the header is one line on every page', async () => {
  const heights: Record<string, number> = {}
  for (const { name, page } of pages) {
    if (name === 'consent') continue
    await page.setViewportSize({ width: 320, height: 640 })
    heights[name] = await page.locator('.top').evaluate((top) => top.clientHeight)
  }
  const [height = 0] = Object.values(heights)
  expect(height).toBeLessThan(80)
  expect(heights).toEqual(Object.fromEntries(Object.keys(heights).map((name) => [name, height])))
})

test.each([320, 360, 768, 1440])('at %i px the history’s buttons are 44 px in size, and 8 px apart', async (width) => {
  const page = pageNamed('avatar, a long name')
  await page.setViewportSize({ width, height: 800 })
  const boxes = await page
    .locator('.looks li:first-child :is(.acts, .keep) :is(a, button)')
    .evaluateAll((all) => all.map((one) => one.getBoundingClientRect().toJSON()))
  expect(boxes.map(({ width, height }) => [width, height])).toEqual([44, 44, 44].map((size) => [size, size]))
  const [keep, download, remove] = boxes
  expect(Math.max(remove.left - download.right, download.left - remove.right)).toBeGreaterThanOrEqual(8)
  expect(download.top - keep.bottom).toBeGreaterThanOrEqual(8)
})

test('a name or a seed of any length moves neither the portrait nor the downloads out of view', async () => {
  const page = pageNamed('avatar, a long name')
  await page.evaluate(() => document.documentElement.setAttribute('dir', 'ltr'))
  const topOf = (selector: string) =>
    page.locator(selector).evaluate((one) => one.getBoundingClientRect().top + scrollY)
  await page.setViewportSize({ width: 1280, height: 800 })
  await textSize(page, 32)
  expect((await topOf('.portrait')) - (await topOf('.hero'))).toBeLessThan(50)
  await textSize(page, 16)
  await page.setViewportSize({ width: 360, height: 740 })
  const lead = page.locator('.hero .lead')
  expect([...((await lead.locator('bdi').textContent()) ?? '')].length).toBe(40)
  expect(await lead.evaluate(({ clientHeight }) => clientHeight)).toBeLessThan(150)
})

test('on an error page everything begins at the left edge of the site’s name', async () => {
  const page = pageNamed('error')
  await page.evaluate(() => document.documentElement.setAttribute('dir', 'ltr'))
  for (const width of [360, 1440]) {
    await page.setViewportSize({ width, height: 800 })
    const starts = await page
      .locator('.brand-mark, .sorry > *')
      .evaluateAll((all) => all.map((one) => Math.round(one.getBoundingClientRect().left)))
    expect([width, new Set(starts).size]).toEqual([width, 1])
  }
})

test('on a phone the links to the other sizes are in one row', async () => {
  const page = pageNamed('avatar, a name from right')
  for (const width of [320, 360, 390, 430]) {
    await page.setViewportSize({ width, height: 800 })
    const tops = await page.locator('.others a').evaluateAll((all) => all.map((one) => one.getBoundingClientRect().top))
    expect([width, tops.length, new Set(tops).size]).toEqual([width, 4, 1])
  }
})

test('at 360 px with text at 200 % the seed field has the full width, and the rolls have two columns', async () => {
  const page = pageNamed('form')
  await page.bringToFront()
  await page.setViewportSize({ width: 360, height: 740 })
  await textSize(page, 32)
  for (let i = 0; i < 4; i += 1) await page.getByRole('button', { name: 'Roll', exact: true }).click()
  const { field, line, columns } = await page.evaluate(() => ({
    field: document.querySelector('#seed')?.clientWidth ?? 0,
    line: document.querySelector('.seed')?.clientWidth ?? 0,
    columns: new Set([...document.querySelectorAll<HTMLElement>('.rolls li')].map((roll) => roll.offsetLeft)).size,
  }))
  await textSize(page, 16)
  expect(field).toBeGreaterThan(line - 10)
  expect(columns).toBe(2)
})

test('with forced colours, chosen options, moving styles and open parts are still marked', async () => {
  const form = pageNamed('form')
  const avatar = pageNamed('avatar, a long name')
  for (const page of [form, avatar]) await page.emulateMedia({ forcedColors: 'active' })
  await form.locator('[name="style"][value="micah"]').check({ force: true })
  await form.getByRole('button', { name: 'Roll', exact: true }).click()
  const seen = (page: Page, selector: string, pseudo: string, property: string) =>
    page
      .locator(selector)
      .first()
      .evaluate(
        (element, [pseudo, property]) => getComputedStyle(element, pseudo).getPropertyValue(property ?? ''),
        [pseudo, property],
      )
  const ring = '3px solid'
  const outline = async (page: Page, selector: string) =>
    `${await seen(page, selector, '', 'outline-width')} ${await seen(page, selector, '', 'outline-style')}`
  const found = {
    roll: await outline(form, '.rolls [aria-current]'),
    look: await outline(avatar, '.thumb[aria-current] img'),
    tile: await outline(form, '.tile:has(:checked)'),
    play: await seen(form, '.play', '::before', 'forced-color-adjust'),
    disabled: await seen(form, '.tile:has(:disabled)', '', 'outline-style'),
    // The imitations of Discord's dark and light theme keep their colours.
    discord: await seen(avatar, '.there-dark', '', 'forced-color-adjust'),
    opens: await seen(avatar, 'summary', '::before', 'border-block-start-color'),
    tick: await seen(form, '.tile:has(:checked)', '::after', 'forced-color-adjust'),
    swatch: await seen(form, '.swatch:has(:checked)', '::after', 'forced-color-adjust'),
  }
  for (const page of [form, avatar]) await page.emulateMedia({ forcedColors: 'none' })
  const clear = 'rgba(0, 0, 0, 0)'
  const none = 'none'
  expect(found).toEqual({
    ...{
      roll: ring,
      look: ring,
      tile: ring,
      play: none,
      disabled: 'dashed',
      discord: 'none',
      opens: clear,
      tick: none,
      swatch: none,
    },
  })
})

test('the play badge on styles that move has its triangle in the middle of its circle', async () => {
  const badge = pageNamed('form').locator('.play').first()
  const { data, info } = await sharp(await screenshot(badge))
    .greyscale()
    .raw()
    .toBuffer({ resolveWithObject: true })
  // Of the two colours of the badge, the one of its middle pixel is that of the triangle.
  const middle = data[Math.floor(info.height / 2) * info.width + Math.floor(info.width / 2)] ?? 0
  const triangle = [...data].flatMap((value, i) => {
    const [x, y] = [i % info.width, Math.floor(i / info.width)]
    const isInside = Math.hypot(x + 0.5 - info.width / 2, y + 0.5 - info.height / 2) < info.width / 2 - 2
    return isInside && Math.abs(value - middle) < 60 ? [{ x: x + 0.5, y: y + 0.5 }] : []
  })
  expect(triangle.length).toBeGreaterThan(20)
  const mean = (axis: 'x' | 'y') => triangle.reduce((sum, point) => sum + point[axis], 0) / triangle.length
  expect(Math.abs(mean('x') - info.width / 2)).toBeLessThan(0.6)
  expect(Math.abs(mean('y') - info.height / 2)).toBeLessThan(0.6)
})

test.each([
  [1366, 768],
  [1024, 768],
  [768, 1024],
  [640, 360],
  [360, 740],
  [320, 480],
])('at %i × %i one “Continue with Discord” is in view at the top and at the end of the page', async (width, height) => {
  const page = pageNamed('form')
  await page.bringToFront()
  await page.setViewportSize({ width, height })
  const next = page.getByRole('button', { name: 'Continue with Discord' })
  const places: boolean[] = []
  for (const end of [0, 100_000]) {
    await page.evaluate((y) => scrollTo({ top: y, behavior: 'instant' }), end)
    const box = await next.boundingBox()
    const footer = (await page.locator('footer').boundingBox())?.y ?? 0
    // At the end of the page the sticky bar scrolls out of view together with the form.
    places.push(box !== null && box.y >= 0 && box.y + box.height <= Math.min(height, Math.max(footer, box.height)))
  }
  expect([await page.locator('.next').filter({ visible: true }).count(), ...places]).toEqual([1, true, true])
})

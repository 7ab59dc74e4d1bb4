// The scripts of the avatar's page: sharing, GIFs, "Pick another face", undo, and the steps.
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { openAvatar } from '../support/browser.ts'
import { app, useDemo, visit } from '../support/demo-in-browser.ts'

useDemo()

const moving = 'style=thumbs&animated=on&seed=fern'

describe('“Save or share”', () => {
  const share = (page: Page) => page.getByRole('button', { name: 'Save or share' })
  const download = (page: Page) => page.getByRole('link', { name: /^Download/ }).first()

  /** Gives the page a `navigator.share` that records its files, or throws an error of the name `refusal`. */
  const withSharing = (page: Page, refusal = '') =>
    page.addInitScript((refusal) => {
      Object.assign(navigator, {
        canShare: ({ files }: { files: File[] }) => files.every(({ type }) => type === 'image/png'),
        async share({ files }: { files: File[] }) {
          document.title = files.map(({ name, type, size }) => `${name} ${type} ${size > 1000}`).join()
          if (refusal) throw new DOMException('no', refusal)
        },
      })
    }, refusal)

  test('is the main button where the browser can share files, with “Download” beside it', async () => {
    await visit({}, async (page) => {
      await withSharing(page)
      await openAvatar(page, app.url)
      expect((await download(page).textContent())?.trim()).toBe('Download')
      let fetched = 0
      page.on('request', (request) => {
        if (request.resourceType() === 'fetch' && request.url().includes('.png?size=512')) fetched += 1
      })
      await share(page).click()
      await page.waitForFunction(() => document.title === 'juniper.moss-adventurer-happy.png image/png true')
      expect(fetched).toBe(1)
    })
  })

  test('downloads the file if the browser refuses to share, and does nothing if the visitor cancels', async () => {
    for (const [refusal, expected] of [
      ['NotAllowedError', 1],
      ['AbortError', 0],
    ] as const) {
      await visit({}, async (page) => {
        await withSharing(page, refusal)
        await openAvatar(page, app.url)
        let downloads = 0
        page.on('download', () => {
          downloads += 1
        })
        await share(page).click()
        await page.waitForFunction(() => document.title.startsWith('juniper.moss'))
        // A download that the first press had started would come before this one.
        await Promise.all([page.waitForEvent('download'), download(page).click()])
        await expect.poll(() => downloads).toBe(expected + 1)
      })
    }
  })

  test('downloads the file if it could not be fetched, and fetches it again at the next press', async () => {
    await visit({}, async (page) => {
      await withSharing(page)
      await openAvatar(page, app.url)
      const file = /\.png\?size=512$/
      await page.route(file, (route) => route.abort())
      await Promise.all([page.waitForEvent('download'), share(page).click()])
      await page.unroute(file)
      await share(page).click()
      await page.waitForFunction(() => document.title.startsWith('juniper.moss'))
    })
  })

  test('is not shown where the browser cannot share files', async () => {
    await visit({}, async (page) => {
      await openAvatar(page, app.url)
      expect(await share(page).count()).toBe(0)
      expect((await download(page).textContent())?.trim()).toBe('Download for Discord')
    })
  })
})

describe('an avatar that moves', () => {
  const gif = (page: Page) => page.locator('[data-gif]')

  test('has equal buttons for PNG and GIF; that of the GIF says “Drawing…” until the file is ready', async () => {
    await visit({}, async (page) => {
      await openAvatar(page, app.url, moving)
      const sizes = await page
        .locator('.kinds a')
        .evaluateAll((all) => all.map((one) => [one.className, one.clientWidth, one.clientHeight].join()))
      expect([sizes.length, new Set(sizes).size]).toEqual([2, 1])
      let release = () => {}
      const held = new Promise<void>((resolve) => {
        release = resolve
      })
      await page.route(/\.gif/, async (route) => {
        await held
        await route.continue()
      })
      const downloading = page.waitForEvent('download')
      // A second press is ignored.
      for (let i = 0; i < 2; i += 1) await gif(page).click({ force: true })
      expect((await gif(page).textContent())?.trim()).toBe('Drawing…')
      expect(await page.getByText('A GIF takes a few seconds to draw.').getAttribute('role')).toBe('status')
      release()
      expect((await downloading).suggestedFilename()).toBe('juniper.moss-thumbs.gif')
      await gif(page).getByText('Moving GIF (Nitro)').waitFor()
    })
  })

  test('says what to do when too many GIFs are waiting, and when its GIF cannot be drawn', async () => {
    await visit({}, async (page) => {
      await openAvatar(page, app.url, moving)
      await page.route(/\.gif/, (route) => route.fulfill({ status: 503, headers: { 'Retry-After': '2' } }))
      await gif(page).click()
      await page.getByText('Try again in 2 s; the still PNG is ready now.').waitFor()
      await page.unroute(/\.gif/)
      await page.route(/\.gif/, (route) => route.abort())
      await gif(page).click()
      await page.getByText('We couldn’t draw the GIF.').waitFor()
      expect(await gif(page).getAttribute('aria-disabled')).toBe(null)
    })
  })
})

test.each([true, false])('“Pick another face” stays in its place and keeps the focus (script: %s)', async (script) => {
  await visit({ javaScriptEnabled: script, viewport: { width: 360, height: 740 } }, async (page) => {
    await openAvatar(page, app.url)
    const open = page.getByText('Pick another face')
    await open.click()
    const faces = page.locator('.faces button')
    const first = await faces.allTextContents()
    await page.getByRole('link', { name: 'Twelve more' }).click()
    await page.waitForURL(/wall=2&.*#twelve$/)
    const second = await faces.allTextContents()
    expect([first.length, new Set([...first, ...second]).size]).toEqual([12, 24])
    expect(await faces.first().isVisible()).toBe(true)
    // The new avatar has the seed that was picked, and all else as before.
    const picked = new URL((await faces.nth(4).locator('img').getAttribute('src')) ?? '', app.url)
    await faces.nth(4).click()
    await page.getByText(`from the seed “${second[4]}”.`).waitFor()
    const shown = await page.request.get(
      new URL((await page.locator('.portrait').getAttribute('src')) ?? '', app.url).href,
    )
    expect(await shown.text()).toBe(await (await page.request.get(picked.href)).text())
    // The portrait is in view, and the focus is on the button that picks again.
    expect(await page.evaluate(() => [scrollY, document.activeElement?.id])).toEqual([0, 'faces'])
    await page.keyboard.press('Enter')
    expect(await faces.first().isVisible()).toBe(true)
  })
})

test('the form on this page does not change the address, so that a reload shows this page again', async () => {
  await visit({}, async (page) => {
    await openAvatar(page, app.url)
    await page.getByRole('link', { name: 'Or change it right here' }).click()
    await page.locator('html.js').waitFor()
    const address = page.url()
    const announced = page.locator('[data-announcements]')
    await page.locator('.ready summary').click()
    await page.locator('[data-look-fields]').first().click()
    // A description is announced a second after the change. On the page / the address changes sooner.
    await expect.poll(() => announced.textContent(), { timeout: 10_000 }).not.toBe('')
    expect([page.url(), await page.evaluate(() => history.state)]).toEqual([address, null])
  })
})

test('“Make it fit” makes the same avatar at a scale at which the circle cuts nothing off', async () => {
  await visit({}, async (page) => {
    await openAvatar(page, app.url, 'style=fun-emoji&seed=s1')
    await page.getByRole('button', { name: 'Make it fit' }).click()
    await page.getByRole('listitem').nth(1).waitFor()
    await expect.poll(() => page.getByRole('button', { name: 'Make it fit' }).count()).toBe(0)
    const link = await page.getByRole('link', { name: 'Change style or mood' }).getAttribute('href')
    expect(link).toBe('/?seed=s1&style=fun-emoji&backgroundColor=transparent&scale=0.9')
  })
})

test.each([true, false])(
  'removing the only avatar leads to the form, which offers to undo it (script: %s)',
  async (script) => {
    await visit({ javaScriptEnabled: script }, async (page) => {
      const undo = page.getByRole('button', { name: 'Undo' })
      const noLooks = page.getByText('You have no looks in this browser.')
      await page.goto(`${app.url}/?notice=no-looks`)
      expect([await undo.isVisible(), await noLooks.isVisible()]).toEqual([false, true])
      await openAvatar(page, app.url)
      await page.getByRole('button', { name: /^Remove/ }).click()
      await page.getByText('Removed your last look.').waitFor()
      expect(await noLooks.isVisible()).toBe(false)
      await undo.click()
      await page.getByText('from the seed “fern”.').waitFor()
    })
  },
)

test('the steps for this kind of device are open, and fold when the others are opened', async () => {
  for (const [width, open, other] of [
    [620, 'On a phone', 'On a computer'],
    [768, 'On a computer', 'On a phone'],
  ] as const) {
    await visit({ viewport: { width, height: 800 } }, async (page) => {
      await openAvatar(page, app.url)
      const opened = page.locator('.how [open] > summary')
      expect(await opened.allTextContents()).toEqual([open])
      await page.getByText(other, { exact: true }).click()
      expect(await opened.allTextContents()).toEqual([other])
    })
  }
})

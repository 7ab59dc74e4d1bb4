import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { screenshot } from '../support/browser.ts'
import { app, browser, useDemo } from '../support/demo-in-browser.ts'

useDemo()

describe.each([
  { script: 'with JavaScript', javaScriptEnabled: true },
  { script: 'without JavaScript', javaScriptEnabled: false },
])('the demo, $script', ({ javaScriptEnabled }) => {
  test('a visitor chooses a look, agrees, sees the avatar and downloads it', async () => {
    const context = await browser.newContext({ javaScriptEnabled, viewport: { width: 360, height: 760 } })
    const page = await context.newPage()
    const complaints = complaintsOf(page)

    await page.goto(app.url)
    await page.getByRole('radio', { name: 'Lorelei', exact: true }).check({ force: true })
    await page.getByRole('radio', { name: 'Playful' }).check({ force: true })
    await page.getByRole('textbox', { name: 'Name or word' }).fill('river otter')
    await page.getByRole('button', { name: 'Continue with Discord' }).last().click()

    await page.getByRole('heading', { name: /know who you are/ }).waitFor()
    await page.getByRole('button', { name: 'Agree and go on' }).click()

    await page.getByRole('heading', { name: 'Looking good, Juniper Moss' }).waitFor()
    expect(new URL(page.url()).pathname).toBe('/show_avatar')
    expect(await drawnWidth(page, 'img.portrait')).toBeGreaterThan(0)
    expect(await page.getByText('Lorelei, playful').first().isVisible()).toBe(true)

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download for Discord' }).click(),
    ])
    expect(download.suggestedFilename()).toBe('juniper.moss-lorelei-playful.png')
    const { width, height, format } = await sharp(await readFile(await download.path())).metadata()
    expect({ width, height, format }).toEqual({ width: 512, height: 512, format: 'png' })

    await page.getByRole('button', { name: 'Sign out', exact: true }).click()
    await page.getByRole('heading', { name: 'Make a new face for Discord' }).waitFor()
    expect(complaints).toEqual([])
    await context.close()
  })

  test('a visitor who declines at Discord finds their choices in the form again', async () => {
    const context = await browser.newContext({ javaScriptEnabled })
    const page = await context.newPage()
    await page.goto(`${app.url}/?style=bottts&mood=love&seed=fern&backgroundColor=a9d6f5`)
    await page.getByRole('button', { name: 'Continue with Discord' }).last().click()
    await page.getByRole('button', { name: 'Decline' }).click()
    await page.getByText('You cancelled at Discord').waitFor()
    expect(await page.getByRole('radio', { name: 'Bottts', exact: true }).isChecked()).toBe(true)
    expect(await page.getByRole('radio', { name: 'Love' }).isChecked()).toBe(true)
    expect(await page.getByRole('textbox', { name: 'Name or word' }).inputValue()).toBe('fern')
    await context.close()
  })
})

/** Collects what the browser reports: violations of the content policy, script errors, missing files. */
function complaintsOf(page: Page): string[] {
  const complaints: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('response', (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()} ${response.url()}`)
  })
  return complaints
}

/** Returns the width in pixels of what is drawn, measured on a screenshot, because this works without script, too. */
async function drawnWidth(page: Page, selector: string): Promise<number> {
  const image = page.locator(selector)
  await image.waitFor()
  const box = await image.boundingBox()
  const shot = await screenshot(image)
  const { channels } = await sharp(shot).stats()
  const isDrawn = channels.some(({ stdev }) => stdev > 10)
  return isDrawn ? (box?.width ?? 0) : 0
}

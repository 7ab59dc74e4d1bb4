import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { styles } from '../../src/avatar/styles.ts'
import { openApp, shownAvatar, signIn, type TestApp } from '../support/open-app.ts'

let app: TestApp

beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll("'", '&#39;')

test('the README and /licences name creator, source and licence of every style', async () => {
  const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8')
  const { text } = await app.visitor().get('/licences')
  for (const { title, creator, creatorUrl, sourceUrl, licenseUrl } of styles) {
    const row = readme.split('\n').find((line) => line.startsWith(`| ${title} `))
    for (const named of [creator, creatorUrl, sourceUrl, licenseUrl]) {
      expect(row).toContain(named)
      expect(text).toContain(escaped(named))
    }
  }
})

test.each(['adventurer', 'icons', 'bottts'])(
  'an avatar of %s comes with its credit, on the page and in the file',
  async (name) => {
    const visitor = app.visitor()
    await signIn(app, visitor, { style: name, seed: 'fern' })
    const page = await visitor.get('/show_avatar')
    const svg = await visitor.get(`/avatars/${shownAvatar(page.text)}.svg`)
    const style = styles.find((one) => one.name === name)
    expect(page.text).toContain(`href="${style?.licenseUrl}"`)
    expect(page.text).toContain(style?.creator)
    expect(svg.body.toString()).toContain(`<dc:creator>${style?.creator}</dc:creator>`)
  },
)

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { styles } from '../../src/avatar/catalogue.ts'
import { words } from '../../src/pages/words.ts'
import { openApp, shownAvatar, signIn, type TestApp } from '../support/open-app.ts'

let app: TestApp

beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll("'", '&#39;')

test('/licences names creator, source and licence of every style', async () => {
  const { text } = await app.visitor().get('/licences')
  for (const { name, title, creator, creatorUrl, sourceTitle, sourceUrl, license, licenseUrl, attribution } of styles) {
    const entry = text.slice(text.indexOf(`id="${name}"`)).split('</li>')[0] ?? ''
    expect(entry).toContain(`<h2>${escaped(title)}</h2>`)
    const links = [...entry.matchAll(/<a href="([^"]*)" rel="([^"]*)">([^<]*)/g)].map(([, ...parts]) => parts)
    expect(links).toEqual([
      [escaped(sourceUrl), 'noreferrer', escaped(words.licences.sourceName.replace('{title}', sourceTitle))],
      [escaped(creatorUrl), 'noreferrer', escaped(creator)],
      [escaped(licenseUrl), 'noreferrer license', escaped(license.replace(/\.$/, ''))],
    ])
    expect(entry.includes('asks for')).toBe(attribution)
  }
  const places = styles
    .toSorted((one, other) => (one.title < other.title ? -1 : 1))
    .map(({ name }) => text.indexOf(`id="${name}"`))
  expect(places).toEqual(places.toSorted((one, other) => one - other))
})

test('/licences names the fonts of the letters in pictures, and their licence', async () => {
  const { text } = await app.visitor().get('/licences')
  expect(text).toContain('the DejaVu fonts and with Noto fonts (SIL Open Font License 1.1)')
})

test('the README has the number of styles under each licence', () => {
  const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8').replaceAll(/\s+/g, ' ')
  const count = (licence: string) => styles.filter(({ license }) => license.startsWith(licence)).length
  expect(readme).toContain(
    `${count('CC0 1.0')} are CC0 1.0, ${count('CC BY 4.0')} CC BY 4.0, ${count('MIT')} (Icons) MIT`,
  )
  expect(readme).toContain(`and ${count('Free for')} (Avataaars and Bottts, with their neutral variants)`)
  expect(readme).toContain(`${styles.filter(({ attribution }) => attribution).length} of them, those under CC BY`)
})

test.each(['adventurer', 'icons', 'bottts'])(
  'an avatar of %s is credited on the page and in the file',
  async (name) => {
    const visitor = app.visitor()
    await signIn(app, visitor, { style: name, seed: 'fern' })
    const page = await visitor.get('/show_avatar')
    const svg = await visitor.get(`/avatars/${shownAvatar(page.text)}.svg`)
    const style = styles.find((one) => one.name === name)
    expect(page.text).toContain(
      `“<a href="${style?.sourceUrl}" rel="noreferrer">${style?.sourceTitle}</a>” by <a href="${style?.creatorUrl}" rel="noreferrer">${style?.creator}</a>, <a href="${style?.licenseUrl}" rel="noreferrer license">`,
    )
    expect(svg.body.toString()).toContain(`<dc:creator>${style?.creator}</dc:creator>`)
  },
)

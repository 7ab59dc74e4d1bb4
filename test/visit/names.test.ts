import { DomUtils, parseDocument } from 'htmlparser2'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { at } from '../support/doubles.ts'
import { faults } from '../support/faults.ts'
import { openApp, shownAvatar, signIn, type TestApp } from '../support/open-app.ts'

/** Names that Discord does not allow. Pages must also be safe if Discord sends such names. */
const names = [
  'أوزي',
  '<b>bold</b>',
  '</title><xq onxq=1>',
  '</bdi></h1><xq>',
  '"><xq onxq="1',
  '" onxq="1',
  "' onxq='1",
  '<!-- <xq>',
  '&lt;xq&gt; &#60;',
  '{name} {seed} {look} $& $1',
  '<%= locals %> <%- locals %>',
  '\u202egnp.exe',
  '\u2069\u202egnp.exe',
]

const account = (id: number, username: string, globalName: string) => {
  return { id: String(id), username, globalName, discriminator: '0', avatar: null }
}
const plain = account(1, 'plain', 'Plain')

let app: TestApp
beforeAll(async () => {
  app = await openApp({ accounts: [plain, ...names.map((name, i) => account(2 + i, name, `${name}!`))] })
})
afterAll(() => app.close())

/** Returns all pages that show the name of a visitor whose seed is the username. */
async function pagesFor(accountId: string): Promise<string[]> {
  const visitor = app.visitor()
  const choice = { seed: '', style: 'rings', backgroundColor: '', mood: '' }
  await signIn(app, visitor, choice, accountId)
  await visitor
    .post('/show_avatar')
    .type('form')
    .send({ ...choice, style: 'bottts' })
  const shown = await visitor.get('/show_avatar')
  const refused = await visitor
    .post('/show_avatar')
    .type('form')
    .send({ ...choice, style: 'nope' })
  const older = await visitor.get(`/show_avatar?avatar=${shownAvatar(shown.text)}`)
  await visitor.post(`/avatars/${shownAvatar(shown.text)}/forget`).expect(303)
  const removed = await visitor.get('/show_avatar')
  const failed = await visitor.post(`/avatars/${'0'.repeat(64)}/forget`)
  expect([shown, refused, older, removed, failed].map(({ status }) => status)).toEqual([200, 422, 200, 200, 404])
  return [shown, refused, older, removed, failed].map(({ text }) => text)
}

/** Returns the pages that show a typed seed: the avatar's page and an error page. */
async function pagesOfSeed(seed: string): Promise<string[]> {
  const visitor = app.visitor()
  const choice = { seed, style: 'rings', backgroundColor: '', mood: '' }
  await signIn(app, visitor, choice, plain.id)
  const shown = await visitor.get('/show_avatar')
  app.discord.fail(at.user, faults.answer(500), { times: 1 })
  const failed = await visitor.post('/show_avatar').type('form').send(choice)
  expect([shown.status, failed.status]).toEqual([200, 502])
  return [shown.text, failed.text]
}

const elementsOf = (html: string) => DomUtils.getElementsByTagName('*', parseDocument(html))
/** Returns every element as its name and the names of its attributes. */
const outline = (html: string) => elementsOf(html).map(({ name, attribs }) => [name, ...Object.keys(attribs)].join(' '))
const textsOf = (html: string, tag: string) =>
  elementsOf(html).flatMap((element) => (element.name === tag ? DomUtils.textContent(element) : []))
const labelsOf = (html: string) => elementsOf(html).flatMap(({ attribs }) => attribs['aria-label'] ?? [])

/** Returns the name isolated from the text around it (UAX #9), without controls that would end the isolation. */
const isolated = (name: string) => `\u2068${name.replace(/[\u202e\u2069]/g, '')}\u2069`

test.each(names.map((name, i) => ({ name, id: String(2 + i) })))(
  '$name is shown as a name, and never becomes markup',
  async ({ name, id }) => {
    const [pages, plainPages] = [await pagesFor(id), await pagesFor(plain.id)]
    expect(pages.map(outline)).toEqual(plainPages.map(outline))
    const [shown = '', refused = '', older = ''] = pages
    for (const page of [shown, refused, older]) {
      expect(textsOf(page, 'h1')).toEqual([`Looking good, ${name}!`])
      expect(textsOf(page, 'title')[0]).toContain(`Looking good, ${isolated(`${name}!`)}`)
      // In the header, the heading and four places in each of Discord's themes.
      expect(textsOf(page, 'bdi').filter((text) => text === `${name}!`)).toHaveLength(10)
      // In the sentence below the heading, a profile in each theme, and the history of two avatars.
      expect(textsOf(page, 'bdi').filter((text) => text === name)).toHaveLength(5)
      const seed = `from the seed “${isolated(name)}”`
      expect(labelsOf(page)).toEqual(
        expect.arrayContaining([`Download Bottts, ${seed}`, `Keep Bottts, ${seed}`, `Remove Rings, ${seed}`]),
      )
    }
  },
)

test.each(names)('a typed seed never becomes markup, on the avatar’s page and on an error page: %s', async (seed) => {
  const [pages, plainPages] = [await pagesOfSeed(seed), await pagesOfSeed('nothing odd')]
  expect(pages.map(outline)).toEqual(plainPages.map(outline))
  const [shown = '', failed = ''] = pages
  expect(textsOf(shown, 'bdi').filter((text) => text === seed)).toHaveLength(2)
  expect(textsOf(failed, 'bdi')).toContain(seed)
})

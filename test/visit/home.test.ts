// The page / beyond its form: notices, links, and what happens when nothing can be drawn.
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { ask } from '../support/ask.ts'
import { look, openApp, signIn, type TestApp } from '../support/open-app.ts'

let app: TestApp
beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())

const { notices } = words
const open = async (path: string) => (await ask(app.url, path)).text
const noticesOn = (text: string) =>
  [...text.matchAll(/<p class="notice" role="status">.*?<span>(.*?)<\/span><\/p>/gs)].map(([, notice]) => notice)

test.each([
  ['declined', notices.declined],
  ['sign-in', notices.signInAgain],
  ['no-looks', notices.noLooks],
  ['no-session', notices.noSession],
  ['signed-out', notices.signedOut],
  ['signed-out-everywhere', notices.signedOutEverywhere],
  ['address', notices.otherAddress],
  ['forgotten', notices.forgotten],
  ['not-signed-in', notices.notSignedIn],
])('?notice=%s says why the visitor is here', async (notice, text) => {
  expect(noticesOn(await open(`/?notice=${notice}`))).toEqual([text])
  expect(noticesOn(await open(`/?style=nope&notice=${notice}`))).toEqual([text, notices.badLink])
})

test('any other notice is ignored, and only “no-looks” offers to undo a removal', async () => {
  for (const notice of ['nonsense', '', '__proto__', '<b>']) {
    expect(noticesOn(await open(`/?notice=${encodeURIComponent(notice)}`))).toEqual([])
  }
  const offersUndo = async (notice: string) => (await open(`/?notice=${notice}`)).includes('/avatars/removed/restore')
  expect([await offersUndo('no-looks'), await offersUndo('signed-out')]).toEqual([true, false])
})

test('the picture of the site’s own link has no seed, and that of a look has everything', async () => {
  const picture = async (path: string) => /"og:image" content="([^"]*)"/.exec(await open(path))?.[1]
  const own = `${app.url}/og.png?style=adventurer&amp;backgroundColor=ffd29d&amp;mood=happy`
  expect([await picture('/'), await picture('/?notice=signed-out')]).toEqual([own, own])
  expect(await picture('/?style=thumbs&seed=fern&animated=on&scale=0.8&eyesVariant=happy')).toBe(
    `${app.url}/og.png?seed=fern&amp;style=thumbs&amp;backgroundColor=transparent&amp;scale=0.8&amp;animated=on`,
  )
})

test('the canonical address is that of the look, without what its style ignores, or the site’s own', async () => {
  const canonical = async (path: string) => /rel="canonical" href="([^"]*)"/.exec(await open(path))?.[1]
  expect(await canonical('/?notice=signed-out&part=hair')).toBe(`${app.url}/`)
  const face = `${app.url}/?seed=otter&amp;style=adventurer&amp;backgroundColor=transparent`
  expect(await canonical('/?seedFrom=otter')).toBe(face)
  expect(await canonical('/?style=thumbs&seed=fern&animated=on&scale=0.8&eyesVariant=happy&wall=2')).toBe(
    `${app.url}/?seed=fern&amp;style=thumbs&amp;backgroundColor=transparent&amp;scale=0.8&amp;animated=on`,
  )
})

test('links that change one thing keep all else that was entered: an empty seed, parts of other styles', async () => {
  const text = await open('/?style=fun-emoji&translateX=40&hairColor=cb6820&eyesVariant=cute')
  const linkOf = (pattern: RegExp) => new URL(pattern.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? '', app.url)
  const links = {
    fit: linkOf(/href="([^"]*)" data-fit/),
    unpin: linkOf(/href="([^"]*)" data-unpin/),
    ready: linkOf(/href="([^"]*)" data-look-fields/),
  }
  for (const [name, { searchParams }] of Object.entries(links)) {
    expect([name, searchParams.get('seed'), searchParams.get('style')]).toEqual([name, null, 'fun-emoji'])
    expect([name, searchParams.get('hairColor')]).toEqual([name, name === 'unpin' ? null : 'cb6820'])
  }
  expect([links.fit.searchParams.get('translateX'), links.unpin.searchParams.get('translateX')]).toEqual([null, '40'])
})

test('a page is kept, so that its look is drawn once', async () => {
  const { draw } = app.parts.renderers
  let count = 0
  app.parts.renderers.draw = (choice) => {
    count += 1
    return draw(choice)
  }
  try {
    for (let visit = 0; visit < 3; visit += 1) await open('/?style=rings&seed=drawn+once')
    expect(count).toBe(1)
    await open('/?style=rings&seed=drawn+anew')
    expect(count).toBe(2)
  } finally {
    app.parts.renderers.draw = draw
  }
})

test('a page that was opened before is not drawn again, unless later pages have filled the 8 MB of the cache', async () => {
  const { draw } = app.parts.renderers
  let drawings = 0
  const counted: typeof draw = (choice) => {
    drawings += 1
    return draw(choice)
  }
  Object.assign(app.parts.renderers, { draw: counted })
  onTestFinished(() => void Object.assign(app.parts.renderers, { draw }))
  const page = (seed: string) => open(`/?style=rings&seed=${seed}`)
  const { length } = await page('first')
  await page('first')
  expect(drawings).toBe(1)
  const others = Math.ceil((8 * 1024 * 1024) / length)
  for (let i = 0; i < others; i += 1) await page(`other-${i}`)
  await page('first')
  expect(drawings).toBe(1 + others + 1)
})

describe('when nothing can be drawn', () => {
  const refuse = () => Promise.reject(new Error('no process'))
  let broken: TestApp
  beforeAll(async () => {
    broken = await openApp()
  })
  afterAll(() => broken.close())

  test('the form offers every part, and the avatar’s page is shown without what a drawing tells, until drawing works again', async () => {
    const visitor = broken.visitor()
    await signIn(broken, visitor, { ...look, style: 'initials', mood: '', animated: 'on' })
    const working = { ...broken.parts.renderers }
    Object.assign(broken.parts.renderers, { draw: refuse, effects: refuse, moves: refuse, lettersWithoutFont: refuse })
    const address = '/?style=avataaars&seed=fern&accessoriesVariant=none'
    const form = await visitor.get(address)
    expect([form.status, form.text.includes('data-fields="accessoriesVariant accessoriesColor"')]).toEqual([200, true])
    expect(form.text).toContain('alt="Your avatar: Avataaars"')
    const page = await visitor.get('/show_avatar?style=avataaars&seed=fern')
    expect([page.status, page.text.includes('.gif')]).toEqual([200, false])
    expect(page.text).toContain('alt="Your avatar: Avataaars"')
    Object.assign(broken.parts.renderers, working)
    expect((await visitor.get(address)).text).toContain('alt="Your avatar: Avataaars, with')
  })

  test('the form offers every part until it is known which ones are visible', async () => {
    const offersColour = async () =>
      (await broken.visitor().get('/?style=avataaars&seed=moss&accessoriesVariant=none')).text.includes(
        'data-fields="accessoriesVariant accessoriesColor"',
      )
    const { effects } = broken.parts.renderers
    Object.assign(broken.parts.renderers, { effects: refuse })
    expect(await offersColour()).toBe(true)
    Object.assign(broken.parts.renderers, { effects })
    expect(await offersColour()).toBe(false)
  })
})

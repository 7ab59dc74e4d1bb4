// What the markup of the pages says to browsers, assistive technology, search engines and chat programs.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { ask } from '../support/ask.ts'
import { at } from '../support/doubles.ts'
import { moodMap, styleList } from '../support/drawn.ts'
import { faults } from '../support/faults.ts'
import { look, openApp, shownAvatar, signIn, type TestApp } from '../support/open-app.ts'
import { openReader, type Page, type PageElement, type Reader } from '../support/page.ts'

const settings = { CONTACT: 'help@avatars.example', PRIVACY_URL: 'https://avatars.example/policy' }
let app: TestApp
let reader: Reader
/** The HTML of the pages by what they show. */
let texts: Record<string, string>
let pages: Record<string, Page>
/** The ids of the newest avatars on the pages "first" and "second". */
let firstId = ''
let id = ''

/** Opens the pages of the avatar, with two avatars of which the newer one moves and has six others that are kept. */
async function avatarPages(): Promise<Record<string, string>> {
  const visitor = app.visitor()
  await signIn(app, visitor, { ...look, seed: '', backgroundColor: '' })
  const first = await visitor.get('/show_avatar')
  const post = (fields: Record<string, string>) => visitor.post('/show_avatar').type('form').send(fields)
  await post({ style: 'thumbs', animated: 'on', seed: 'amber acorn' })
  const second = await visitor.get(
    `/show_avatar?${new URLSearchParams({ ...look, scale: '0.8', part: 'hair', hairColor: '0e0e0e' })}`,
  )
  firstId = shownAvatar(first.text)
  id = shownAvatar(second.text)
  const refused = await post({ ...look, style: 'nope', hairVariant: 'long01' })
  for (let seed = 1; seed <= 6; seed += 1) {
    await post({ ...look, seed: `kept ${seed}`, translateX: '40' })
    await visitor.post(`/avatars/${shownAvatar((await visitor.get('/show_avatar')).text)}/keep`)
  }
  await visitor.post(`/avatars/${id}/forget`)
  const kept = await visitor.get('/show_avatar')
  app.discord.fail(at.user, faults.rateLimited(200), { times: 1 })
  const failed = await post({ ...look, seed: '' })
  const texts = { first, second, refused, kept, failed }
  return Object.fromEntries(Object.entries(texts).map(([name, { text }]) => [name, text]))
}

beforeAll(async () => {
  ;[app, reader] = await Promise.all([openApp({ settings }), openReader()])
  const open = async (path: string) => (await ask(app.url, path)).text
  const gradient = { backgroundColor: '#FFD29D', backgroundColorFill: 'linear', backgroundColor2: '#A9D6F5' }
  const full = {
    ...{ style: 'adventurer', mood: 'happy', seed: 'fern', backgroundColor: '123456', backgroundColorFill: 'linear' },
    ...{ backgroundColor2: 'ffd29d', scale: '0.9', rotate: '5', hairColor: '123456', glassesVariant: 'none' },
  }
  texts = {
    form: await open('/'),
    'form, filled': await open(`/?${new URLSearchParams({ ...full, part: 'hair', wall: '2', notice: 'no-looks' })}`),
    'form, moving': await open('/?style=thumbs&animated=on&seed=fern'),
    'form, cut': await open('/?style=fun-emoji&seed=s1&backgroundColor=3b5fa8'),
    'form, faint': await open(`/?style=constellation&seed=fern&${new URLSearchParams(gradient)}`),
    'form, refused': (
      await app
        .visitor()
        .post('/get_avatar')
        .type('form')
        .send({ style: 'rings', seed: 'x'.repeat(129) })
    ).text,
    'form, more parts': await open('/?style=avataaars&part=eyebrows&scale=0.8&flip=both&mood='),
    'form, edge to edge': await open(
      '/?style=identicon&seed=fern&mood=happy&rotate=1.5&backgroundColor=own&backgroundColorFill=solid&backgroundColorAngle=-45',
    ),
    'form, roomy pattern': await open('/?style=patchwork&seed=fern&scale=0.8&flip=none'),
    'form, wrong': (
      await app
        .visitor()
        .post('/get_avatar')
        .type('form')
        .send('style=adventurer&seed=&seed=fern&mood=odd&backgroundColor=odd&rotate=5%25')
    ).text,
    licences: await open('/licences'),
    privacy: await open('/privacy'),
    error: await open('/nowhere'),
    ...(await avatarPages()),
  }
  pages = Object.fromEntries(
    await Promise.all(Object.entries(texts).map(async ([name, text]) => [name, await reader.read(text)])),
  )
})
afterAll(() => Promise.all([app.close(), reader.close()]))

/** Returns the page of this name. */
function pageOf(name: string): Page {
  const page = pages[name]
  if (page === undefined) throw new Error(`no page ${name}`)
  return page
}

/** Returns these attributes of each element that the selector finds on a page, in their order. */
async function attributesOf(name: string, selector: string, ...names: string[]) {
  const found = await pageOf(name).find(selector)
  return found.map(({ attributes }) => names.map((one) => attributes.get(one)))
}

const textOf = ({ text }: PageElement) => text.replace(/\s+/g, ' ').trim()
const textsOf = async (name: string, selector: string) => (await pageOf(name).find(selector)).map(textOf)

/** Returns all texts in an object. Functions are left out. */
const textsIn = (value: unknown): string[] =>
  typeof value === 'string' ? [value] : Object.values(value instanceof Object ? value : {}).flatMap(textsIn)

/** Texts that only other settings, another profile, a seed of odd letters or a wrong colour show. */
const elsewhere = [
  ...[words.site.demo, words.privacy.demo, words.privacy.embedded, words.privacy.noContact],
  ...[words.show.noFont, words.show.noLetters],
  ...[words.home.severalOf, words.home.otherColour, words.home.gradient, words.profile.accent, words.show.gifHint],
]

test('each text of the pages is on a page', () => {
  const shown = Object.values(texts).join().replaceAll('&amp;', '&')
  const { site, home, show, profile, yourData, privacy, licences } = words
  const all = textsIn([site, home, show, profile, words.elsewhere, yourData, privacy, licences])
  const parts = all.filter((text) => !elsewhere.includes(text)).flatMap((text) => text.split(/\{\w+\}|\*\*/))
  expect(parts.length).toBeGreaterThan(200)
  expect(parts.filter((part) => !shown.includes(part))).toEqual([])
})

/** Elements without an end tag (https://html.spec.whatwg.org/multipage/syntax.html#void-elements). */
const voidElements = new Set(['br', 'hr', 'img', 'input', 'link', 'meta', 'source'])

/** Returns the first tag that does not fit the tags before it, or the elements that are open at the end. */
function misplacedTag(html: string): string {
  const open: string[] = []
  for (const [tag, slash, name = '', selfClosing] of html.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*?(\/?)>/g)) {
    if (slash === '/' && open.pop() !== name) return tag
    if (slash === '' && selfClosing === '' && !voidElements.has(name)) open.push(name)
  }
  return open.join(' ')
}

describe('every page', () => {
  const names = ['form', 'form, refused', 'licences', 'privacy', 'error', 'first', 'second', 'failed']

  test.each(names)('has a head for browsers and home screens, and can be zoomed: %s', async (name) => {
    const head = async (selector: string, ...attributes: string[]) => attributesOf(name, selector, ...attributes)
    expect(await head('html', 'lang', 'dir')).toEqual([['en', 'ltr']])
    expect((await textsOf(name, 'title')).map((text) => text.endsWith(` · ${words.site.name}`))).toEqual([true])
    expect(await head('meta[charset]', 'charset')).toEqual([['utf-8']])
    expect(await head('meta[name="viewport"]', 'content')).toEqual([['width=device-width, initial-scale=1']])
    expect(await head('meta[name="description"]', 'content')).toEqual([[words.site.description]])
    expect(await head('meta[name="color-scheme"]', 'content')).toEqual([['dark light']])
    const themes = await head('meta[name="theme-color"]', 'content', 'media')
    expect(themes.map(([colour, media]) => `${media} ${colour}`)).toEqual([
      '(prefers-color-scheme: dark) #10181b',
      '(prefers-color-scheme: light) #f7f3ec',
    ])
    const icons = (await head('link[rel$="icon"]', 'rel', 'href', 'type')).map(([rel, href, type]) => [
      rel,
      href?.replace(/\?.*/, ''),
      type,
    ])
    expect(icons).toEqual([
      ['icon', '/favicon.svg', 'image/svg+xml'],
      ['apple-touch-icon', '/icon-180.png', undefined],
    ])
  })

  test('leads to the form and the visitor’s avatars at its top, to /privacy and /licences at its foot, and is no demo', async () => {
    for (const name of Object.keys(pages)) {
      const links = await attributesOf(name, 'header a, .foot-links a', 'href')
      expect([name, links.flat()]).toEqual([name, ['/', '/show_avatar', '/privacy', '/licences']])
      expect([name, await textsOf(name, '.demo')]).toEqual([name, []])
    }
  })

  test('closes each element that it opens, because a browser would move what follows into an open one', () => {
    for (const [name, text] of Object.entries(texts)) expect([name, misplacedTag(text)]).toEqual([name, ''])
  })

  test('has each id once; a link or form with a fragment leads to an element', async () => {
    const ids: Record<string, string[]> = {}
    for (const name of Object.keys(pages)) ids[name] = (await attributesOf(name, '[id]', 'id')).flat().map(String)
    for (const [name, ofPage] of Object.entries(ids)) {
      expect([name, ofPage.filter((one, i) => ofPage.indexOf(one) !== i)]).toEqual([name, []])
      const places = await attributesOf(
        name,
        '[href*="#"], [action*="#"], [formaction]',
        'href',
        'action',
        'formaction',
      )
      const lost = places
        .map((addresses) => addresses.find((address) => address !== undefined)?.split('#') ?? [])
        .filter(([path, id]) => id && !(path ? Object.values(ids).flat() : ofPage).includes(id))
      expect([name, lost]).toEqual([name, []])
    }
  })

  test('has a label for each field, a heading in each named section, and what other attributes refer to', async () => {
    for (const name of Object.keys(pages)) {
      const ids = new Set((await attributesOf(name, '[id]', 'id')).flat())
      const references = ['aria-labelledby', 'aria-describedby', 'aria-controls']
      const all = await attributesOf(name, references.map((one) => `[${one}]`).join(), ...references)
      const referred = all.flat().flatMap((value) => value?.split(' ') ?? [])
      const labels = (await attributesOf(name, 'label[for]', 'for')).flat()
      const fields = ':is(input, textarea):not([type="hidden"], [aria-label], label *)'
      const unlabelled = (await attributesOf(name, fields, 'id')).flat().filter((id) => !labels.includes(id))
      const sections = (await attributesOf(name, 'section[aria-labelledby]', 'aria-labelledby')).flat()
      const named = await Promise.all(
        sections.map((id) => attributesOf(name, `section[aria-labelledby="${id}"] :is(h1, h2)#${id}`, 'id')),
      )
      expect([name, referred.filter((id) => !ids.has(id)), unlabelled]).toEqual([name, [], []])
      expect([name, [...new Set(named.flat(2))]]).toEqual([name, sections])
    }
  })

  test('has a value in the place of each {name} in its texts', async () => {
    for (const name of Object.keys(pages)) {
      const seen = await pageOf(name).find('title, body, [alt], [aria-label], [title], [content]')
      const shown = seen.flatMap(({ text, attributes }) => [
        text,
        ...['alt', 'aria-label', 'title', 'content'].map((attribute) => attributes.get(attribute) ?? ''),
      ])
      expect([name, shown.join('\n').match(/\{\w+\}/g)]).toEqual([name, null])
    }
  })

  test('gives each picture a size and a text alternative, which is empty if the picture is beside its name', async () => {
    const described: Record<string, number> = {}
    for (const name of Object.keys(pages)) {
      for (const [alt, width, height] of await attributesOf(name, 'img', 'alt', 'width', 'height')) {
        // The banner of a profile has the size of its card.
        expect([name, alt !== undefined, width === height]).toEqual([name, true, true])
        if (alt) described[name] = (described[name] ?? 0) + 1
      }
      expect(await attributesOf(name, 'svg:not([aria-hidden="true"])', 'class')).toEqual([])
    }
    const forms = Object.keys(pages).filter((name) => name.startsWith('form'))
    expect(described).toEqual({
      ...Object.fromEntries(forms.map((name) => [name, 1])), // the preview
      ...{ first: 2, kept: 2 }, // the avatar, and the present picture at Discord
      ...{ second: 3, refused: 3 }, // these two, and the preview
    })
  })

  test('shows nothing that works only with a script to a browser without one', async () => {
    const needsScript = ':is(button[type="button"], [type="color"], [data-several], [data-rolls])'
    for (const name of Object.keys(pages)) {
      const dead = await attributesOf(name, `${needsScript}:not([hidden], .js-only, .js-only *)`, 'class')
      expect([name, dead]).toEqual([name, []])
    }
    expect(await pageOf('form, filled').find(`${needsScript}.js-only`)).toHaveLength(6)
    // The colour input for a second colour is added by the script.
    expect(await pageOf('form').find('[type="color"]')).toHaveLength(1)
    expect(await pageOf('form, filled').find('[type="color"]')).toHaveLength(3)
    // The text field for an own colour that was sent is there without a script, too.
    expect(await attributesOf('form, filled', '.own:not(.js-only) [data-own][checked]', 'value')).toEqual([
      ['123456'],
      ['123456'],
    ])
  })

  test('has one chosen radio button in each group, if what was sent is known', async () => {
    const unknown: Record<string, string[]> = { 'form, wrong': ['mood'], refused: ['style'] }
    for (const name of Object.keys(pages)) {
      const groups = new Map<string, number>()
      for (const [group = '', checked] of await attributesOf(name, '[type="radio"]', 'name', 'checked')) {
        groups.set(group, (groups.get(group) ?? 0) + (checked === undefined ? 0 : 1))
      }
      const others = [...groups].filter(([, count]) => count !== 1)
      expect([name, others]).toEqual([name, (unknown[name] ?? []).map((group) => [group, 0])])
    }
  })

  test('marks links to licences', async () => {
    for (const name of ['licences', 'first', 'second']) {
      const links = await attributesOf(name, 'a[rel~="license"]', 'href')
      expect(links).toHaveLength(name === 'licences' ? 61 : 1)
    }
  })

  test('shows no mark or placeholder of its texts, no empty icon, and each colour in its swatch', async () => {
    for (const name of Object.keys(pages)) {
      const [text = ''] = await textsOf(name, 'body')
      expect([name, text.match(/\*\*|\{\w+\}/g)]).toEqual([name, null])
      const empty = 'svg:not(:has(*)), svg.icon:not([viewBox="0 0 24 24"])'
      const shapeless = 'path:not([d]), circle:not([cx][cy][r]), rect:not([width][height])'
      expect([name, await attributesOf(name, `${empty}, ${shapeless}`, 'class')]).toEqual([name, []])
      const values = await attributesOf(name, 'label.swatch:has(svg:not(.icon)) input', 'value')
      const fills = await attributesOf(name, 'label.swatch svg:not(.icon) rect', 'fill', 'width', 'height')
      expect([name, fills]).toEqual([name, values.map(([value]) => [`#${value}`, '100%', '100%'])])
    }
    expect((await attributesOf('form, filled', 'label.swatch rect', 'fill')).length).toBeGreaterThan(25)
  })

  test('has one region for announcements, if it has scripts that announce something', async () => {
    for (const name of ['form', 'form, refused', 'first', 'second', 'refused']) {
      expect(await attributesOf(name, '[data-announcements]', 'role', 'aria-live')).toEqual([['status', 'polite']])
    }
  })
})

test('each class in the stylesheet is on a page, is set by a script, or is on the stand-in’s page of Discord', async () => {
  const { text } = await ask(app.url, '/style.css')
  const rules = text.replace(/\/\*.*?\*\/|"[^"]*"/gs, '')
  const styled = new Set([...rules.matchAll(/\.([a-z][a-z-]*)(?=[^{}]*\{)/g)].map(([, name]) => name))
  const shown = await Promise.all(Object.keys(pages).map((name) => attributesOf(name, '[class]', 'class')))
  const onPages = new Set(shown.flat(2).flatMap((names) => names?.split(' ') ?? []))
  expect(styled.size).toBeGreaterThan(80)
  const ofScripts = ['failed', 'js', 'stale']
  const ofConsent = ['account', 'accounts', 'demo', 'may', 'rehearsal', 'tape', 'yes']
  expect([...styled].filter((name) => name && !onPages.has(name)).sort()).toEqual([...ofScripts, ...ofConsent].sort())
})

test('the module that the countdown of the error page imports is preloaded', async () => {
  const modules = await attributesOf('failed', '[rel="modulepreload"]', 'href')
  expect(modules.map(([href]) => href?.replace(/.*\//, ''))).toEqual(['look.js'])
  for (const name of ['form', 'first', 'failed']) {
    const integrity = await attributesOf(name, '[rel="modulepreload"], script', 'integrity')
    for (const [hash] of integrity) expect(hash).toMatch(/^sha\d+-[\w+/]{43,}=*$/)
  }
})

describe('pictures', () => {
  /** Returns how many pictures load at once, by a name of their kind. */
  async function eagerOn(name: string) {
    const kinds = ['.crop', '.sizes', '.popular', '.hero', '.now', '.who', '.sorry-face', '.kept']
    const counts = await Promise.all(
      kinds.map(async (kind) => [
        kind,
        (await pageOf(name).find(`:is(${kind} img, img${kind}):not([loading="lazy"])`)).length,
      ]),
    )
    const all = await pageOf(name).find('img:not([loading="lazy"])')
    return { all: all.length, ...Object.fromEntries(counts.filter(([, count]) => count !== 0)) }
  }

  test('in the first view are loaded at once, the large one first, and all others when they are scrolled to', async () => {
    const form = { all: 16, '.crop': 1, '.sizes': 3, '.popular': 12 }
    expect(await eagerOn('form')).toEqual(form)
    expect(await eagerOn('form, filled')).toEqual(form)
    expect(await eagerOn('licences')).toEqual({ all: 0 })
    expect(await eagerOn('first')).toEqual({ all: 3, '.hero': 2, '.now': 1, '.who': 1 })
    const first = (name: string) => attributesOf(name, '[fetchpriority="high"]', 'class', 'width')
    expect(await first('form')).toEqual([[undefined, '288']])
    expect(await first('first')).toEqual([['round portrait', '288']])
  })

  test('of moving avatars are still for visitors who prefer reduced motion, in a size that fits', async () => {
    const stills = await attributesOf(
      'second',
      '.hero .worn > picture:not(.decoration) source, .where .new source',
      'media',
      'srcset',
    )
    const reduced = '(prefers-reduced-motion: reduce)'
    const small = Array.from({ length: 8 }, () => [reduced, `/avatars/${id}.png?size=128`])
    expect(stills).toEqual([[reduced, `/avatars/${id}.png?size=512`], ...small])
    // The older avatar in the history does not move.
    expect(await attributesOf('second', '.looks source', 'srcset')).toEqual([[`/avatars/${id}.png?size=128`]])
  })
})

const { home, show, script } = words
const moves = '(19 styles; Discord needs Nitro)'
const reducedMotion = '(prefers-reduced-motion: reduce)'
/** A place on a page: a selector, and the attributes of the only element there. `text` is its text. */
type Place = [page: string, selector: string, expected: Record<string, string | undefined>]

const places: Record<string, Place[]> = {
  'a chat program shows the name of the look of a link, and the name of the site for the empty form': [
    ['form', '[property="og:title"]', { content: home.title }],
    ['form', '[property="og:image:alt"]', { content: home.title }],
    ['form, filled', '[property="og:title"]', { content: `Adventurer, happy · ${home.title}` }],
    ['form', '[property="og:url"]', { content: 'the address of the app/' }],
    ['form', '[property="og:type"]', { content: 'website' }],
    ['form', '[property="og:site_name"]', { content: words.site.name }],
    ['form', '[property="og:description"]', { content: home.lead }],
    ['form', '[name="twitter:card"]', { content: 'summary_large_image' }],
    [
      'form',
      '[property="og:image"]',
      { content: 'the address of the app/og.png?style=adventurer&backgroundColor=ffd29d&mood=happy' },
    ],
    ['form', '[property="og:image:width"]', { content: '1200' }],
    ['form', '[property="og:image:height"]', { content: '630' }],
  ],
  'the error page of a visitor who must wait looks sorry, and counts in seconds or minutes': [
    ['failed', '.sorry-face[src^="/surprised.svg?"]', { class: 'sorry-face round', alt: '' }],
    ['failed', '.ways button', { 'data-wait': '200', 'data-seconds': words.errors.tryAgainInSeconds }],
    ['failed', '.ways button', { 'data-minutes': words.errors.tryAgainInMinutes }],
    ['failed', '.lead', { text: 'Discord asks us to wait. Try again in 4 minutes; your choices are safe.' }],
  ],
  'a button says that its form is being sent': [
    ['form', '.panel button.next', { 'data-busy': 'Off to Discord…', text: 'Continue with Discord' }],
    ['failed', '.ways button', { 'data-busy': script.leaving, text: words.errors.tryAgain }],
    ['kept', '.hero .notice button', { 'data-busy': script.working, text: home.fit }],
    ['second', '.panel button.next', { 'data-busy': script.working, text: show.make }],
  ],
  // The first button of a form is the one for Enter. It is not in the order of the tab key.
  'without script, Enter in a field updates the preview': [
    ['form', '.maker > button', { formaction: '/', formmethod: 'get', tabindex: '-1', 'aria-hidden': 'true' }],
    ['second', '.maker > button', { formaction: '/show_avatar#here', formmethod: 'get', tabindex: '-1' }],
    ['form', '.update', { formaction: '/', formmethod: 'get', text: 'Update the picture' }],
    ['second', '.update', { formaction: '/show_avatar#here', formmethod: 'get' }],
    ['second', '.maker > [name="avatar"]', { type: 'hidden', value: 'the newest avatar' }],
  ],
  'without script, a wall of faces stays in view when the next one opens': [
    ['form', '.wall > button', { formaction: '/#wall', formmethod: 'get', value: '1', text: home.openFaces }],
    ['form, filled', '.wall > button', { formaction: '/#wall', formmethod: 'get', value: '3', text: home.moreFaces }],
    ['form', '#wall', { 'data-wall': '/' }],
    ['second', '#wall', { 'data-wall': '/show_avatar' }],
    ['second', '.wall > button', { formaction: '/show_avatar#wall', formmethod: 'get', value: '1' }],
  ],
  'groups, colours and fields have names for assistive technology': [
    ['form', 'form.maker', { 'aria-label': home.form, novalidate: '' }],
    ['second', 'form.maker', { 'aria-label': show.here, novalidate: '' }],
    ['second', '#here-title', { text: show.here }],
    ['form', 'h1', { text: home.title }],
    ['form', '.lead', { text: home.lead }],
    ['licences', 'h1', { text: words.licences.title }],
    ['privacy', 'h1', { text: words.privacy.title }],
    ['privacy', '#kept', { text: words.privacy.kept }],
    ['form', '.card:has(.moods)', { role: 'radiogroup', 'aria-labelledby': 'mood-title' }],
    ['form', '#mood-title', { text: home.mood }],
    ['form', '.styles [role="radiogroup"]', { 'aria-labelledby': 'style-title' }],
    ['form', '.framing [role="radiogroup"]', { 'aria-labelledby': 'framing-title' }],
    ['form', '.styles .chips legend', { text: home.filter }],
    ['form', '.fills legend', { text: home.fill }],
    ['form', '.two-colours legend', { text: home.secondColour }],
    ['form', '[role="radiogroup"]:has(> #background-hint)', { 'aria-labelledby': 'background-title' }],
    ['form', '.sizes [role="img"]', { 'aria-label': home.sizes, text: '80 40 32' }],
    ['form, filled', '.wall-faces', { role: 'radiogroup', 'aria-label': home.faces }],
    ['form', '.swatch.none', { title: home.none, text: home.none }],
    ['form', '.swatch:has([value="a9d6f5"][name="backgroundColor"])', { title: 'Sky', text: 'Sky' }],
    ['form, faint', '.faint a:last-of-type', { title: 'Harbour', text: 'Harbour', 'data-better': '2c5a7a' }],
    ['form, faint', '.faint a:last-of-type rect', { fill: '#2c5a7a', width: '100%', height: '100%' }],
    ['form, faint', '.faint a:last-of-type', { href: '/?seed=fern&style=constellation&backgroundColor=2c5a7a' }],
    ['form, filled', '.own:has([name="backgroundColor"]) [type="color"]', { 'aria-label': home.ownColour }],
    ['second', '#part .swatch:has([value="0e0e0e"])', { title: 'black, #0e0e0e', text: 'black, #0e0e0e' }],
    ['form', '[data-rolls] ul', { 'aria-labelledby': 'rolls-name' }],
    ['first', '.who button', { text: `${words.site.signOut}${words.site.signOutHint}` }],
    ['form, filled', '#part [type="color"]', { 'aria-label': home.ownColour, value: '#123456' }],
    ['form, filled', '#part [role="radiogroup"]:first-child', { 'aria-label': 'Hair colour' }],
    ['form, filled', '#part [role="radiogroup"]:last-child', { 'aria-label': 'Hair' }],
    ['form, filled', '#part .label', { 'aria-hidden': 'true', text: 'Hair colour' }],
    ['form', '[name="seedFrom"][value="word"]', { 'aria-label': home.thisWord, checked: '' }],
    ['form, filled', '[data-slider="rotate"] output', { for: 'rotate', text: '5°' }],
    ['form, filled', '[data-slider="scale"] output', { for: 'scale-slider', text: '90 %' }],
    ['form, refused', '.problem .unseen', { text: words.problems.error }],
    ['first', '.downloads', { role: 'group', 'aria-label': show.downloads }],
    ['first', '.others', { role: 'group', 'aria-label': show.others }],
    ['first', '.others > span', { 'aria-hidden': 'true', text: show.others }],
    ['first', '.wall-faces', { 'aria-label': home.faces }],
    ['first', '.there-dark [role="img"]', { 'aria-label': show.whereAlt }],
    ['first', '.now img', { alt: show.nowAlt }],
    ['first', '.who-name', { text: `${words.site.signedInAs} Juniper Moss` }],
    ['first', '.who > a', { href: '/show_avatar', 'aria-current': 'page' }],
    ['form', '.who > a', { href: '/show_avatar', 'aria-current': undefined }],
    ['form', '.brand', { href: '/', 'aria-label': words.site.name }],
    ['failed', '.kept', { 'aria-label': words.errors.yourLook }],
  ],
  'a hint is the description of what it is about': [
    ['form', '#seed', { 'aria-describedby': 'seed-hint' }],
    ['form, refused', '#seed', { 'aria-describedby': 'seed-problem seed-hint' }],
    ['form', '.styles [role="radiogroup"]', { 'aria-describedby': 'style-hint' }],
    ['first', '.downloads > a', { 'aria-describedby': 'download-hint' }],
    ['first', '[data-share]', { 'aria-describedby': 'download-hint', hidden: '' }],
    ['first', '#look-picture', { 'aria-describedby': 'look-picture-hint', readonly: '', dir: 'ltr' }],
    ['first', '#look-dicebear', { 'aria-describedby': 'look-dicebear-hint', readonly: '', dir: 'ltr' }],
    ['first', '[data-copy-from="look-options"]', { 'aria-label': `Copy: ${words.elsewhere.options}` }],
    ['first', '[data-copy-from="look-dicebear"]', { 'aria-label': `Copy: ${words.elsewhere.dicebear}` }],
    ['first', '[data-copy-from="look-picture"]', { 'aria-label': `Copy: ${words.elsewhere.picture}` }],
    ['first', '#look-options', { 'aria-describedby': 'look-options-hint', readonly: '', dir: 'ltr' }],
    ['form, more parts', '#scale-hint', { text: script.lowerEdge.replace('{percent}', '10') }],
    ['form, filled', '#scale-hint', { text: '' }],
    ['form, edge to edge', '#scale-hint', { text: script.edgeToEdge.replace('{style}', 'Identicon') }],
    ['form, edge to edge', '[name="scale"]:disabled', { 'aria-describedby': 'scale-hint', value: '0.8' }],
    ['form, edge to edge', '[name="mood"][value="sad"]:disabled', { 'aria-describedby': 'mood-hint' }],
    ['form, edge to edge', '[name="mood"][value="happy"]', { disabled: undefined, checked: '' }],
    ['kept', '#kept-full', { role: 'status', text: show.keptFull }],
  ],
  'a card with a problem is marked': [
    ['form, refused', '.card.wrong h2', { text: home.seed }],
    ['refused', '.card.wrong h2', { text: home.style }],
    ['form, wrong', '.card.wrong:has(#mood) h2', { text: home.mood }],
    ['form, wrong', '.card.wrong:has(#backgroundColor) h2', { text: home.background }],
    ['form, wrong', '.card.wrong:has(#rotate) h2', { text: home.framing }],
    ['form, wrong', '[name="seedFrom"][value="word"]', { checked: '' }],
    ['form, wrong', '[name="seedFrom"][value="username"]', { checked: undefined }],
  ],
  'the preview shows what can be drawn of what was entered': [
    ['form, wrong', '.crop img', { src: '/preview.svg?seed=juniper&style=adventurer' }],
    ['form, refused', '.crop img', { src: '/preview.svg?seed=juniper&style=rings' }],
    [
      'refused',
      '.crop img',
      { src: '/preview.svg?seed=fern&style=adventurer&backgroundColor=ffd29d&hairVariant=long01' },
    ],
    ['refused', '.crop img', { alt: home.previewAlt.replace('{look}', home.preview) }],
    [
      'form, faint',
      '.crop img',
      {
        src: `/preview.svg?seed=fern&style=constellation&${new URLSearchParams({ backgroundColor: 'ffd29d', backgroundColorFill: 'linear', backgroundColor2: 'a9d6f5' })}`,
      },
    ],
    ['form, moving', '.crop source', { srcset: '/preview.svg?seed=fern&style=thumbs', media: reducedMotion }],
    ...['80', '40', '32'].map((size): Place => {
      const source = `.sizes source:has(+ [width="${size}"])`
      return ['form, moving', source, { srcset: '/preview.svg?seed=fern&style=thumbs', media: reducedMotion }]
    }),
    ['form, moving', '.crop img', { src: '/preview.svg?seed=fern&style=thumbs&animated=on' }],
    [
      'form, edge to edge',
      '.tile:has([name="mood"][value="sad"]) img',
      { src: '/preview.svg?seed=fern&style=identicon&backgroundColor=own&rotate=1.5' },
    ],
    [
      'form, more parts',
      '.tile:has([name="scale"][value="1.25"]) img',
      { src: '/preview.svg?seed=juniper&style=avataaars&scale=1.25&flip=both' },
    ],
    [
      'form, more parts',
      '.tile:has([name="scale"][value=""]) img',
      { src: '/preview.svg?seed=juniper&style=avataaars&flip=both' },
    ],
    ['second', '.maker', { 'data-example': 'juniper.moss' }],
    ['form, filled', '.maker', { 'data-example': 'juniper' }],
    ['licences', '#adventurer img', { src: '/preview.svg?seed=juniper&style=adventurer&backgroundColor=ffd29d' }],
    ['licences', '#glass img', { src: '/preview.svg?seed=juniper&style=glass' }],
  ],
  'the preview names the creator of the style, and says if the face will be another': [
    ['form', '[data-credit]', { text: 'by Lisa Wischofsky' }],
    ['form', '[data-state]', { text: '' }],
    ['form, refused', '[data-state]', { text: script.example }],
  ],
  'the seed is not corrected by the browser, in any script': [
    ['form', '#seed', { dir: 'auto', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' }],
    ['form', '#seed', { enterkeyhint: 'done' }],
    ['first', '#look-options', { spellcheck: 'false' }],
  ],
  'sliders have the limits of their fields': [
    ['form', '#rotate', { min: '-45', max: '45', step: '1', value: '0' }],
    ['form, filled', '#rotate', { min: '-45', max: '45', step: '1', value: '5' }],
    ['form', '#translateX', { min: '-50', max: '50', step: '1', value: '0' }],
    ['form, edge to edge', '#backgroundColorAngle', { min: '-45', max: '360', step: '15', value: '-45' }],
    ['form, edge to edge', '#rotate', { min: '-45', step: 'any', value: '1.5' }],
    ['form', '#backgroundColorAngle', { min: '0', max: '360', step: '15', value: '0' }],
    ['form, filled', '#scale-slider', { min: '50', max: '200', step: '1', value: '90' }],
  ],
  'what was entered is in view, and what is not needed is folded or hidden': [
    ['form', '.framing details', { open: undefined }],
    ['form, more parts', '.framing details', { open: '' }],
    ['form, more parts', '#flip', { value: 'both', checked: '' }],
    ['form', '#flip', { value: 'horizontal', checked: undefined }],
    ['form', '[name="backgroundColor2"][checked]', { value: 'c9c3f5' }],
    ['form, edge to edge', '.framing details', { open: '' }],
    ['form, roomy pattern', '.framing details', { open: undefined }],
    ['form, edge to edge', '[data-styles-own]', { hidden: undefined }],
    ['form, edge to edge', '[data-styles-own] input', { checked: '', value: 'own' }],
    ['form, edge to edge', '[name="backgroundColorFill"][checked]', { value: '' }],
    ['form', '[data-styles-own]', { hidden: '' }],
    ['form, roomy pattern', '.tile [name="scale"][value="0.8"]', { disabled: undefined, checked: '' }],
    ['form, filled', '.framing details', { open: '' }],
    ['form', '.framing .own-pick', { hidden: '' }],
    ['form, filled', '.framing .own-pick', { hidden: undefined, text: 'Your own size 90 %' }],
    ['form, cut', '.framing .too-wide', { hidden: undefined, text: `${home.cut} ${home.fit}` }],
    ['form, filled', '#part .own-value', { text: '#123456' }],
    ['form, filled', '.own:has([name="backgroundColor"]) .own-value', { text: '#123456' }],
    ['form', '#backgroundColor', { 'data-none': '', value: '' }],
    ['form, filled', '.parts .rest', { open: undefined }],
    ['form, more parts', '.parts .rest', { open: '' }],
    ['form, more parts', '.parts .rest > div', { class: 'chips' }],
    ['second', '.framing details', { open: undefined }],
  ],
  'the card of the parts tells which part is open, and which parts are the visitor’s own': [
    ['form, filled', '[data-part="hair"]', { class: 'chip pinned', value: '', 'aria-expanded': 'true' }],
    ['form, filled', '[data-part="hair"]', { 'aria-controls': 'part' }],
    ['form, filled', '[data-part="glasses"]', { class: 'chip pinned', value: 'glasses', 'aria-expanded': 'false' }],
    ['form, filled', '[data-part="mouth"]', { class: 'chip', value: 'mouth', 'aria-controls': undefined }],
    [
      'form, filled',
      '.yours',
      { hidden: undefined, text: `${home.yours.replace('{parts}', 'Hair, Glasses')} ${home.unpin}` },
    ],
    ['form', '.yours', { hidden: '' }],
    ['form, filled', '.swatch.rolled input', { checked: undefined }],
    ['form, filled', '.swatch.rolled', { title: home.asRolled, text: home.asRolled }],
    ['form, filled', '#part .own', { text: `${home.ownColour} #123456` }],
    ['form', '.parts .rest > summary', { text: home.moreParts }],
    ['form', '.parts h2', { text: home.parts }],
    ['form, filled', '#part .tile:first-child input', { checked: '', value: '', 'data-variant': undefined }],
    ['form, filled', '#part .tile:last-child input', { name: 'hairVariant', 'data-variant': 'hairVariant' }],
    ['form', '.dice', { 'aria-label': script.rollLong }],
    ['form, filled', '.dice', { 'aria-label': script.rollRestLong }],
    ['form', '[data-roll-label]', { text: script.roll }],
    ['form, filled', '[data-roll-label]', { text: script.rollRest }],
    ['form', '[data-rolls]', { 'data-rolls': '4' }],
  ],
  'a part opens on the same page, in view, and what was chosen for it is kept where there is no style': [
    ['form', '[data-part="hair"]', { name: 'part', formaction: '/#parts', formmethod: 'get' }],
    ['form', '[data-part="hair"]', { 'data-fields': 'hairVariant hairColor', class: 'chip' }],
    ['second', '[data-part="hair"]', { formaction: '/show_avatar#parts', formmethod: 'get' }],
    ['form, more parts', '.rest [data-part="eyebrows"]', { value: '', 'aria-expanded': 'true', class: 'chip' }],
    ['form, more parts', '.rest [data-part="eyebrows"]', { 'aria-controls': 'part', formaction: '/#parts' }],
    ['form', '#parts', { 'data-parts': '/', hidden: undefined }],
    ['second', '#parts', { 'data-parts': '/show_avatar', hidden: undefined }],
    ['refused', '#parts input', { type: 'hidden', name: 'hairVariant', value: 'long01' }],
  ],
  'what was sent for a number is shown again if it is none': [
    ['form, wrong', '.framing details', { open: '' }],
    ['form, wrong', '#rotate', { type: 'text', value: '5%' }],
  ],
  'links and buttons lead where they say': [
    ['form', '.finish .hint a', { href: '/', text: home.startOver }],
    ['form', '.foot-links a:first-child', { href: '/privacy', text: words.site.privacy }],
    ['form', '.foot-links a:last-child', { href: '/licences', text: words.site.whoDrew }],
    ['form', '.foot p:first-child a', { href: 'https://www.dicebear.com/', text: 'DiceBear' }],
    ['licences', '.ways a', { href: '/', text: words.licences.back }],
    ['privacy', '.ways a', { href: '/', text: words.privacy.back }],
    ['error', '.ways a', { href: '/', text: words.errors.start, class: 'button next' }],
    ['first', '.who form', { method: 'post', action: '/sign_out' }],
    ['kept', '#removed form[action$="/restore#looks"]', { method: 'post' }],
    ['kept', '.looks > li:first-child [action$="/forget#removed"]', { method: 'post' }],
    ['first', '.your-data .soft a', { href: '/privacy', text: words.yourData.more }],
    ['first', '.your-data .ways form:first-child', { method: 'post', action: '/sign_out' }],
    ['first', '.your-data .ways form:first-child button', { name: undefined, text: words.yourData.signOut }],
    ['first', '.your-data .ways form:last-child', { method: 'post', action: '/sign_out' }],
    ['first', '.your-data [action="/forget_me"]', { method: 'post' }],
  ],
  'a filter tells how many styles it shows, and a style whether it can move': [
    ['form', '.chip:has(#filter-popular)', { text: 'Popular 12' }],
    ['form', '.chip:has(#filter-people)', { text: 'People 17' }],
    ['form', '.chip:has(#filter-moving)', { text: 'Moving 19' }],
    ['form', '.chip:has(#filter-all)', { text: 'All 61' }],
    ['form', '#filter-popular', { checked: '' }],
    ['form', '.tile:has([value="thumbs"])', { text: 'Thumbs, can move' }],
    ['form', '.tile:has([value="adventurer"])', { text: 'Adventurer' }],
    ['form', '.tick:has(#animated) .hint', { 'data-moves': moves, text: moves }],
    ['form', '[data-moves]', { 'data-movers': 'Thumbs, Blobs, Clay' }],
  ],
  'the avatar’s page shows the picture, its places and its credit': [
    ['first', '.now p', { text: `${show.now} ${show.nowHint}` }],
    ['first', '#download-hint', { text: show.downloadHint }],
    ['first', 'details.faces', { open: undefined }],
    ['first', '.portrait', { width: '288', height: '288' }],
    ['first', '.credit', { text: '“Adventurer” by Lisa Wischofsky, CC BY 4.0, remixed.' }],
    ['first', '.where > .hint', { text: show.none }],
    ['first', '.compare [value="new"]', { checked: '' }],
    ['first', '#with-decoration', { checked: '' }],
    ['first', '.there-dark figcaption', { text: show.dark }],
    ['first', '.there-light figcaption', { text: show.light }],
    [
      'first',
      '.there-dark .member:not(.you) img',
      { src: '/preview.svg?seed=lena&style=notionists&backgroundColor=c9c3f5' },
    ],
    ['first', '.there-dark .members > .member:not(.you)', { text: 'lena' }],
    [
      'first',
      '.there-dark .chat > div:first-child img',
      { src: '/preview.svg?seed=kit&style=bottts&backgroundColor=a9d6f5' },
    ],
    ['first', '.looks .empty', { text: show.historyEmpty }],
    ['first', '#look-options-hint', { text: words.elsewhere.optionsHint.replace('{style}', 'adventurer') }],
    [
      'first',
      '#look-picture-hint',
      { text: 'Add &size=128, 256 or 1024 for another size; it is 512 pixels otherwise.' },
    ],
    ['second', '.faces > a', { href: `/show_avatar?wall=2&avatar=the newest avatar#twelve` }],
    ['second', '.wall-faces [value="amber acorn"] img', { src: '/preview.svg?seed=amber+acorn&style=thumbs' }],
    [
      'first',
      '.restyle > p:last-child a',
      { href: '/show_avatar?style=adventurer&backgroundColor=transparent&mood=happy&avatar=the newest avatar#here' },
    ],
    ['second', '.wall-faces [aria-current="true"]', { value: 'amber acorn' }],
    ['kept', '.looks [aria-current="true"] .name', { text: 'Adventurer, happy from the seed “kept 6”' }],
    ['kept', '#removed', { role: 'status', text: 'Removed Thumbs, from the seed “amber acorn”. Undo' }],
    ['kept', '#removed bdi', { text: 'amber acorn' }],
    ['kept', '.hero .notice', { text: `${home.cut} ${home.fit}` }],
    ['first', '.hero .lead', { text: 'Adventurer, happy, from the seed “juniper.moss”.' }],
    ['first', '.ask > summary', { text: show.copy }],
    ['first', '.others a:last-child', { text: show.svg }],
    ['first', '.there-dark .chat > div:first-child b', { text: show.friend }],
    ['licences', '#adventurer p:first-of-type', { text: '“Adventurer” by Lisa Wischofsky' }],
    ['licences', '#adventurer h2', { text: 'Adventurer' }],
    ['licences', '#adventurer p:last-of-type', { text: `CC BY 4.0 · ${words.licences.asks}` }],
    [
      'privacy',
      '[aria-labelledby="ask"] [href^="mailto:"]',
      { href: `mailto:${settings.CONTACT}`, text: settings.CONTACT },
    ],
    ['privacy', '[aria-labelledby="ask"] [rel]', { href: settings.PRIVACY_URL, text: settings.PRIVACY_URL }],
    ['form', '.brand svg', { class: 'icon brand-mark' }],
    ['first', '.your-data [name="devices"]', { value: 'all', text: words.yourData.signOutEverywhere }],
    ['failed', '.kept img', { src: '/preview.svg?seed=juniper&style=adventurer&backgroundColor=ffd29d&mood=happy' }],
    ['failed', '.kept dl', { text: 'StyleAdventurer MoodHappy BackgroundApricot Seedyour username' }],
  ],
}

test.each(Object.entries(places))('%s', async (_title, ofThese) => {
  const wrong: unknown[] = []
  for (const [page, selector, expected] of ofThese) {
    const found = await pageOf(page).find(selector)
    const [element] = found
    const shownAs = (name: string) => (name === 'text' ? element && textOf(element) : element?.attributes.get(name))
    const known = Object.fromEntries(Object.keys(expected).map((name) => [name, shownAs(name)]))
    const ids = page === 'first' ? firstId : id
    for (const name of ['value', 'href']) if (known[name]) known[name] = known[name].replace(ids, 'the newest avatar')
    if (known.content) known.content = known.content.replace(app.url, 'the address of the app')
    if (found.length !== 1 || JSON.stringify(known) !== JSON.stringify(expected))
      wrong.push({ page, selector, count: found.length, known, expected })
  }
  expect(wrong).toEqual([])
})

/** Where each icon is. */
const icons: Record<string, [page: string, selector: string][]> = {
  dice: [
    ['form', '.dice'],
    ['form', '.seed [data-roll]'],
    ['form, filled', '.swatch.rolled'],
    ['first', '.faces > summary'],
  ],
  download: [
    ['first', '.downloads > a'],
    ['second', '.kinds a:last-child'],
    ['kept', '.looks > li:first-child .acts a'],
  ],
  share: [['first', '[data-share]']],
  play: [['second', '[data-gif]']],
  link: [
    ['first', '.ask > summary'],
    ['kept', '.restyle [data-copy]'],
  ],
  star: [['kept', '.looks > li:first-child .keep']],
  cross: [['kept', '.looks > li:first-child .acts form']],
  alert: [['form, refused', '.problem']],
  info: [
    ['form, cut', '.framing .too-wide'],
    ['form, filled', '.notice[role="status"]'],
    ['form, filled', '.undo'],
    ['kept', '.hero .notice'],
    ['kept', '#removed'],
    ['kept', '#kept-full'],
    ['first', '.elsewhere .notice'],
  ],
  brand: [['form', '.brand']],
}

test('each icon stands for one thing, and is the same wherever it stands for that', async () => {
  const shapes: string[] = []
  for (const [icon, ofThese] of Object.entries(icons)) {
    const found = ofThese.map(async ([page, selector]) =>
      JSON.stringify(await attributesOf(page, `${selector} .icon > *`, 'd', 'x', 'cx')),
    )
    const [shape = '', ...others] = new Set(await Promise.all(found))
    expect([icon, others]).toEqual([icon, []])
    shapes.push(shape)
  }
  expect(shapes).not.toContain('[]')
  expect(new Set(shapes).size).toBe(shapes.length)
})

test('the moods are offered in the order of their table, after “any”', async () => {
  expect((await attributesOf('form', '[name="mood"]', 'value')).flat()).toEqual(['', ...moodMap.moods])
})

test('only pages of a look have a picture for chat programs, and only the form has an address of its own', async () => {
  for (const name of ['licences', 'privacy', 'error', 'form, refused', 'first']) {
    expect([name, await attributesOf(name, '[property^="og:"], [rel="canonical"]', 'content')]).toEqual([name, []])
  }
})

test('the present picture at Discord is in the header, beside the new one, and in each place for “Before”', async () => {
  const pictures = (await attributesOf('first', '.who img, .now img, .where .before', 'src')).flat()
  expect([pictures.length, new Set(pictures).size]).toEqual([10, 1])
  expect(pictures[0]).toMatch(/\/avatars\/\d+\/\w+\.png/)
})

test('an avatar with a background has no hint about the colours that are behind one without', async () => {
  expect(await attributesOf('kept', '.where > .hint')).toEqual([])
})

test('what a page has no cause to show is not on it', async () => {
  // The seed of these avatars is not the username, or there are no more parts, or the form is open already.
  for (const [name, selector] of [
    ['kept', '.elsewhere .notice'],
    ['form, moving', '.parts .rest'],
    ['second', '.restyle > p:last-child a'],
    ['form', '.summary'],
  ] as const) {
    expect([selector, await textsOf(name, selector)]).toEqual([selector, []])
  }
  // The last button of this page leads back to the form.
  expect(await attributesOf('failed', '.ways a', 'href')).toHaveLength(1)
  expect(await attributesOf('error', '.ways a', 'href')).toEqual([['/']])
})

test('each field in “Use it elsewhere” has a label and a button that copies it', async () => {
  const { picture, dicebear, options, copy } = words.elsewhere
  expect(await textsOf('first', '.elsewhere label')).toEqual([picture, dicebear, options])
  expect(await textsOf('first', '.elsewhere button')).toEqual([copy, copy, copy])
})

test('the words to press are bold in the steps', async () => {
  expect(await textsOf('first', '.steps strong')).toEqual(
    [...show.onPhone.steps, ...show.onComputer.steps].flatMap((step) => step.split('**').filter((_, i) => i % 2)),
  )
})

test('a field of the open part is sent once', async () => {
  expect(await attributesOf('form, filled', '#parts [type="hidden"]', 'name', 'value')).toEqual([
    ['glassesVariant', 'none'],
  ])
})

test('the script knows the moods that each style lacks; the tiles of the other styles show the mood', async () => {
  const lacking = await attributesOf('form', '[name="style"]', 'value', 'data-lacks')
  const expected = lacking.map(([name]) => {
    const { moods = [] } = styleList.find((style) => style.name === name) ?? {}
    return [name, moodMap.moods.filter((mood) => !moods.includes(mood)).join(' ')]
  })
  expect(lacking).toEqual(expected)
  const pictures = await attributesOf('form', '.tile:has([name="style"]) img', 'src')
  const shown = pictures.map(([src = '']) => new URLSearchParams(src.split('?')[1]).get('mood') ?? '')
  expect(shown).toEqual(lacking.map(([, lacks = '']) => (lacks.split(' ').includes('happy') ? '' : 'happy')))
})

test('the script knows which styles have a background of their own, fill the picture, are busts, or may be hardly visible', async () => {
  const about = ['value', 'data-own-background', 'data-edge-to-edge', 'data-bust', 'data-faint', 'data-better']
  const some = ['adventurer', 'avataaars', 'constellation', 'identicon']
  const selector = some.map((name) => `[name="style"][value="${name}"]`).join()
  const styles = await attributesOf('form', selector, ...about)
  const [light, better] = ['ffd29d f6b8c6 c9c3f5 a9d6f5 b8e0c8 f4e9c9', '263239 7a3f5c 2c5a7a']
  expect(styles).toEqual([
    ['adventurer', undefined, undefined, undefined, undefined, undefined],
    ['avataaars', undefined, undefined, '', undefined, undefined],
    ['constellation', '', undefined, undefined, light, better],
    ['identicon', undefined, '', undefined, undefined, undefined],
  ])
})

test('a style that adds no credit of its own is credited to DiceBear by the script', async () => {
  const by = await attributesOf('form', '[name="style"]:is([value="adventurer"], [value="thumbs"])', 'value', 'data-by')
  expect(by).toEqual([
    ['adventurer', 'Lisa Wischofsky'],
    ['thumbs', undefined],
  ])
})

test('the licences page counts the styles that ask for a credit', async () => {
  const [count] = await textsOf('licences', 'h1 ~ .soft')
  expect(count).toBe('15 of the 61 styles ask for a credit; we give one to all of them.')
  expect(await textsOf('licences', 'li .hint')).toEqual(Array(15).fill(`· ${words.licences.asks}`))
})

test('the tables of what is kept are tables for assistive technology, even where the stylesheet makes them a list', async () => {
  const roles = { table: 3, rowgroup: 6, columnheader: 9 }
  for (const [role, count] of Object.entries(roles)) {
    expect([role, await attributesOf('privacy', `[role="${role}"]`, 'role')]).toEqual([role, Array(count).fill([role])])
  }
  expect(await attributesOf('privacy', 'th:not([scope="col"]), tr:not([role="row"]), td:not([role="cell"])')).toEqual(
    [],
  )
  expect(await textsOf('privacy', 'table:first-of-type th')).toEqual(['What', 'Where', 'How long'])
  expect(texts.privacy).not.toContain('In this demo')
  const places = (await textsOf('privacy', 'td:has(code)')).map((text) => text.split(' ')[0])
  expect([...new Set(places)]).toEqual(['Store', 'Cookie'])
})

describe('the downloads', () => {
  test('on the avatar’s page all have names: the PNG that Discord needs, PNGs of other sizes, and the SVG', async () => {
    const [avatar] = await attributesOf('first', '.portrait', 'src')
    const path = avatar?.[0]?.replace(/\.svg$/, '')
    expect(await attributesOf('first', '.downloads > a, .others a', 'href', 'aria-label')).toEqual([
      [`${path}.png?size=512&download`, undefined],
      ...['128', '256', '1024'].map((size) => [`${path}.png?size=${size}&download`, `PNG, ${size} pixels`]),
      [`${path}.svg?download`, show.svgName],
    ])
    expect(await attributesOf('second', '.kinds a', 'href', 'aria-describedby')).toEqual([
      [`/avatars/${id}.gif?download`, 'download-hint'],
      [`/avatars/${id}.png?size=512&download`, 'download-hint'],
    ])
  })

  test('in the history are files of the size for Discord', async () => {
    const links = await attributesOf('kept', '.looks .acts a', 'href')
    expect(links).toHaveLength(7)
    for (const [href] of links) expect(href).toMatch(/^\/avatars\/[0-9a-f]{64}\.png\?size=512&download$/)
  })
})

test('the star of an avatar shows whether it is kept, stays in view, and is disabled if there are six others', async () => {
  const stars = await attributesOf('kept', '.keep button', 'class', 'disabled', 'aria-describedby')
  const kept = ['small starred', undefined, undefined]
  expect(stars).toEqual([kept, kept, kept, kept, kept, kept, ['small', '', 'kept-full']])
  const items = await attributesOf('kept', '.looks > li', 'id')
  const pictures = (await attributesOf('kept', '.looks .thumb img', 'src')).map(([src]) => src?.replace('.svg', ''))
  const actions = (await attributesOf('kept', '.keep', 'action')).flat()
  expect(actions).toEqual(items.map(([item], i) => `${pictures[i]}/${i < 6 ? 'unkeep' : 'keep'}#${item}`))
  expect(await attributesOf('kept', '#removed form', 'action')).toEqual([[`/avatars/${id}/restore#looks`]])
})

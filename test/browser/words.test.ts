import { expect, onTestFinished, test, vi } from 'vitest'
import { styles } from '../../src/avatar/catalogue.ts'

/** Entries that browsers and programs read, not people. */
const untouched = new Set(['lang', 'dir', 'locale'])

/** Replaces each text in the object by the same text between two marks. */
function mark(texts: object): void {
  for (const [name, text] of Object.entries(texts)) {
    if (!untouched.has(name)) Object.assign(texts, { [name]: marked(text) })
  }
}
function marked(text: unknown): unknown {
  if (typeof text === 'string') return `⟦${text}⟧`
  if (typeof text === 'function') return (...given: unknown[]) => marked(text(...given))
  if (typeof text === 'object' && text !== null) mark(text)
  return text
}

/** Returns the words outside of all marks. */
function unmarked(text: string, names: string[]): string[] {
  let depth = 0
  let outside = ''
  for (const character of text) {
    if (character === '⟦') depth += 1
    if (depth === 0) outside += character
    if (character === '⟧') depth -= 1
  }
  for (const name of names) outside = outside.replaceAll(name, ' ')
  const errorNumber = /\b\d{3}-[0-9a-f]{8}\b/
  return outside.replace(errorNumber, ' ').match(/\p{L}+/gu) ?? []
}

test('every word on a page comes from words.ts, except names', async () => {
  // Test files share their modules, so this test takes new ones, and leaves new ones for the next file. The texts are
  // marked before the modules of the pages, imported below, read them.
  vi.resetModules()
  onTestFinished(() => void vi.resetModules())
  const { words } = await import('../../src/pages/words.ts')
  mark(words)
  const { openApp, signIn } = await import('../support/open-app.ts')
  const { openReader } = await import('../support/page.ts')
  const [app, reader] = await Promise.all([openApp(), openReader()])
  try {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const seed = 'W'.repeat(140)
    const pages = {
      form: await visitor.get('/'),
      'form with notices': await visitor.get('/?style=micah&mood=sleepy&notice=declined'),
      'form refused': await visitor.post('/get_avatar').type('form').send({ seed, style: 'micah', mood: 'sleepy' }),
      avatar: await visitor.get('/show_avatar'),
      'avatar, restyle refused': await visitor
        .post('/show_avatar')
        .type('form')
        .send({ seed, style: 'rings', mood: 'sad' }),
      licences: await visitor.get('/licences'),
      error: await visitor.get('/nowhere'),
      'error about what cannot be read': await visitor.get(`/?seed=${'x'.repeat(17_000)}`),
      'error about a sign-in': await visitor.get('/get_avatar?code=c0de&state=unknown'),
    }
    const { username, globalName } = app.discord.accounts[0] ?? { username: '', globalName: null }
    const names = styles
      .flatMap(({ title, creator, sourceTitle, license }) => [title, creator, sourceTitle, license.replace(/\.$/, '')])
      .concat(globalName ?? '', username, 'fern', 'DiceBear')
      .filter((name) => name !== '')
      .toSorted((a, b) => b.length - a.length)
    const found: [string, string[]][] = []
    for (const [name, { text }] of Object.entries(pages)) {
      const page = await reader.read(text)
      const attributes = (await page.find('[alt], [aria-label], [title], [placeholder]')).flatMap(({ attributes }) =>
        ['alt', 'aria-label', 'title', 'placeholder'].map((attribute) => attributes.get(attribute) ?? ''),
      )
      const [body] = await page.find('body')
      expect(body?.text, name).toContain('⟦')
      const bare = [body?.text ?? '', ...attributes].flatMap((text) => unmarked(text, names))
      if (bare.length > 0) found.push([name, [...new Set(bare)]])
    }
    expect(found).toEqual([])
  } finally {
    await Promise.all([reader.close(), app.close()])
  }
})

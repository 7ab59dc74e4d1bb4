import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { ask } from '../support/ask.ts'
import { drawn } from '../support/drawn.ts'
import { openApp, shownAvatar, signIn, type TestApp } from '../support/open-app.ts'
import { openRenderers } from '../support/renderers.ts'

let app: TestApp
beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())
afterEach(() => app.dicebear.heal())

/** A look in which only the letters depend on the seed. */
const initials = { style: 'initials', backgroundColor: '#347a9d', mood: '' }
/** Letters that no font has, because they were added in Unicode 16. */
const lacking = ['\u{10d4a}', '\u{16d43}']
/** A seed without letters, of which DiceBear draws no initials. */
const noLetters = '12'

async function wear(choice: Record<string, string>) {
  const visitor = app.visitor()
  await signIn(app, visitor, choice)
  const { text } = await visitor.get('/show_avatar')
  const file = async (ending: string): Promise<string> => {
    const { status, body } = await visitor.get(`/avatars/${shownAvatar(text)}.${ending}`)
    return status === 200 ? body.toString('base64') : `status ${status}`
  }
  return { page: text, file }
}

const png = async (seed: string) => (await wear({ ...initials, seed })).file('png?size=128')
const card = async (seed: string) =>
  (await ask(app.url, `/og.png?${new URLSearchParams({ ...initials, seed })}`)).body.toString('base64')

describe.each([
  ['Latin', 'a', 'ß'],
  ['Cyrillic', 'ж', 'ц'],
  ['Arabic', 'م', 'ب'],
  ['Han', '日', '本'],
  ['simplified Han', '龙', '爱'],
  ['Kana', 'あ', 'ア'],
  ['Hangul', '가', '한'],
  ['Thai', 'ท', 'ย'],
  ['Devanagari', 'क', 'म'],
  ['Bengali', 'ক', 'খ'],
  ['Tamil', 'த', 'ம'],
  ['Ethiopic', 'አ', 'ማ'],
  ['Khmer', 'ខ', 'ម'],
  ['Georgian', 'Ა', 'Ბ'],
])('%s letters are drawn', (_script, one, other) => {
  test('in a PNG, without a notice', async () => {
    const [first, second, none] = await Promise.all([one, other, noLetters].map(png))
    expect(new Set([first, second, none]).size).toBe(3)
    expect((await wear({ ...initials, seed: one })).page).not.toContain('No font here has')
  })

  test('in the link preview picture', async () => {
    const [first, second, none] = await Promise.all([one, other, noLetters].map(card))
    expect(new Set([first, second, none]).size).toBe(3)
  })
})

describe('letters that no font has', () => {
  test.each(lacking)('are left out, and not drawn as boxes: %s', async (letter) => {
    const [without, pngWithout, none] = await Promise.all([card(letter), png(letter), png(noLetters)])
    expect(without).toBe(await card(noLetters))
    expect(pngWithout).toBe(none)
  })

  test('do not change how the letters beside them are drawn', async () => {
    expect(await png(`a${lacking[0]}`)).toBe(await png('a'))
  })

  test('are named on the page beside the download', async () => {
    const { page } = await wear({ ...initials, seed: `${lacking[0]} ${lacking[1]}` })
    expect(page).toContain(`No font here has <bdi>${lacking.join(' ')}</bdi>. The PNG leaves that out`)
    const twice = await wear({ ...initials, seed: `${lacking[0]} ${lacking[0]}` })
    expect(twice.page).toContain(`No font here has <bdi>${lacking[0]}</bdi>`)
    const marks = Array.from({ length: 18 }, (_, i) => String.fromCodePoint(0x1611e + i))
    const marked = await wear({ ...initials, seed: `${lacking[0]}${marks.join('')}` })
    const first16 = [lacking[0], ...marks].slice(0, 16)
    expect(marked.page).toContain(`No font here has <bdi>${first16.join(' ')}</bdi>`)
    expect(page.indexOf('No font here has')).toBeGreaterThan(page.indexOf('Download for Discord'))
    expect(page.indexOf('No font here has')).toBeLessThan(page.indexOf('<h2'))
  })

  test('are not mentioned where no letters are drawn', async () => {
    for (const style of ['adventurer', 'glyphs']) {
      expect((await wear({ ...initials, style, seed: `${lacking[0]}` })).page).not.toContain('No font here has')
    }
    expect((await wear({ ...initials, seed: noLetters })).page).not.toContain('No font here has')
  })

  test('a Hangul filler is not one of them, because it is invisible', async () => {
    expect((await wear({ ...initials, seed: '\u3164' })).page).not.toContain('No font here has')
  })
})

test('the page says that a picture is empty if its seed has no letters and the style draws nothing else', async () => {
  const notice = words.show.noLetters
  for (const seed of [noLetters, '…!', '🦊', '\u3164']) {
    const { page } = await wear({ ...initials, seed })
    expect([seed, page.split(notice).length - 1]).toEqual([seed, 1])
    expect(page.indexOf(notice)).toBeGreaterThan(page.indexOf('Download for Discord'))
  }
  const others = [initials, { ...initials, style: 'initial-face' }, { ...initials, style: 'glyphs' }]
  for (const [i, look] of others.entries()) {
    expect((await wear({ ...look, seed: i === 0 ? '1a' : noLetters })).page).not.toContain(notice)
  }
})

// The renderers draw it without the app, because on a busy machine the app may give up an SVG from outside. They have
// their own processes, because a process keeps the fonts with which it has drawn its first letter.
test('a GIF has the same letters', async () => {
  const renderers = openRenderers()
  onTestFinished(() => renderers.close())
  const still = drawn({ style: 'initial-face', seed: 'a', backgroundColor: '#347a9d', mood: '', animated: 'on' })
  const gif = async (letter: string) => {
    const svg = still.replace('>A</text>', `>${letter}</text>`)
    expect(svg).toContain(`>${letter}</text>`)
    return (await renderers.gif(svg, true)).toString('base64')
  }
  const [one, other, none, space] = await Promise.all(['日', '本', lacking[0] ?? '', ' '].map(gif))
  expect(new Set([one, other, none]).size).toBe(3)
  expect(none).toBe(space)
})

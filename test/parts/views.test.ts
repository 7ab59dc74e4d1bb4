import { readFileSync } from 'node:fs'
import { glob, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { escapeHtml, viewRenderer } from '../../src/pages/views.ts'

const views = join(import.meta.dirname, '../../views')

/** Returns the code in the tags of a view. */
const codeOf = (view: string) => [...view.matchAll(/<%(?!#)(.*?)%>/gs)].map(([, code]) => code).join('\n')

// The values of a view's first rendering decide which names are variables in it (src/pages/views.ts).
test('a view reads its optional values as locals.name only', async () => {
  const files = await Array.fromAsync(glob('**/*.ejs', { cwd: views }))
  expect(files.length).toBeGreaterThan(10)
  const bare = files.flatMap((file) => {
    const code = codeOf(readFileSync(join(views, file), 'utf8'))
    const optional = new Set([...code.matchAll(/\blocals\.(\w+)/g)].map(([, name]) => name))
    const used = [...optional].filter((name) => new RegExp(`(?<![.\\w'])${name}(?![\\w':])`).test(code))
    return used.map((name) => `${file}: ${name}`)
  })
  expect(bare).toEqual([])
})

test.each([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&#34;'],
  ["'", '&#39;'],
])('a text whose only special character is %s is escaped', (character, escaped) => {
  expect(escapeHtml(`a ${character} b`)).toBe(`a ${escaped} b`)
})

test('a value that is missing is an empty text', () => {
  expect([undefined, null, 0, false].map(escapeHtml)).toEqual(['', '', '0', 'false'])
})

test('an optional value that the first rendering of a view lacks is shown by later ones', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'views-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const view = join(folder, 'view.ejs')
  await writeFile(view, '<%= name %>:<%= locals.note %>')
  const render = viewRenderer()
  expect([render(view, { name: 'a' }), render(view, { name: 'b', note: '<' })]).toEqual(['a:', 'b:&lt;'])
})

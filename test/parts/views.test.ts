import { readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const views = join(import.meta.dirname, '../../views')

/** What stands in a view's tags. */
const codeOf = (view: string) => [...view.matchAll(/<%(?!#)(.*?)%>/gs)].map(([, code]) => code).join('\n')

// Whoever fills a view in first decides which names are variables there (src/pages/views.ts).
test('what a view may do without, it asks for as locals.name only', async () => {
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

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { z } from 'zod'

const root = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')

/** Fixtures that run Chromium, Redis, nginx or openssl. */
const withPrograms = ['browser', 'page', 'redis', 'nginx', 'certificate'].map((name) => `test/support/${name}.ts`)

/** Returns the fixtures that a file imports, directly or through other fixtures. */
function fixturesOf(file: string, seen = new Set<string>()): Set<string> {
  for (const [, path = ''] of read(file).matchAll(/(?:from |import\()'(\.\.?\/[^']+\.ts)'/g)) {
    const imported = relative(root, join(root, dirname(file), path))
    if (seen.has(imported) || !imported.startsWith('test/support/')) continue
    seen.add(imported)
    fixturesOf(imported, seen)
  }
  return seen
}

const needsMoreThanNode = (file: string) => [...fixturesOf(file)].some((fixture) => withPrograms.includes(fixture))

test('npm run test:quick runs only tests that need nothing but Node', () => {
  const { scripts } = z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(read('package.json')))
  const words = scripts['test:quick']?.split(' ') ?? []
  const excluded = words.filter((_, i) => words[i - 1] === '--exclude')
  const folders = words.filter((word) => word.startsWith('test/') && !excluded.includes(word))
  const files = folders
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
    .filter((file) => !excluded.includes(file))
  expect(files.length).toBeGreaterThan(10)
  expect(files.filter(needsMoreThanNode)).toEqual([])
  expect(excluded.filter((file) => !needsMoreThanNode(file))).toEqual([])
})

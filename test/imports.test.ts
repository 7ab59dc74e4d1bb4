import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'

const src = join(import.meta.dirname, '../src')

type Import = { file: string; from: string; typeOnly: boolean }

/** Every import of one of our own files, as "room/file" or "file", and of packages by their names. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), 'utf8')
  return [...text.matchAll(/^(?:import|export) (type )?[^'"]*?from '([^']+)'/gms)].map(([, type, from = '']) => ({
    file,
    from: from.startsWith('.') ? relative(src, join(src, dirname(file), from)) : from,
    typeOnly: type !== undefined,
  }))
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
const imports = files.flatMap(importsOf)

/** The folder, or the file's own name at the top. */
const room = (path: string) => (path.includes('/') ? dirname(path) : path)

const floor = ['errors.ts', 'store.ts', 'upstream.ts', 'config.ts', 'words.ts']
const mayImport: Record<string, string[]> = {
  'main.ts': ['app.ts', 'parts.ts', 'config.ts', 'log.ts', 'demo'],
  'app.ts': ['pages', 'middleware', 'avatar', 'parts.ts', 'log.ts', ...floor],
  'parts.ts': ['middleware', 'discord', 'avatar', ...floor],
  pages: ['pages', 'middleware', 'discord', 'avatar', 'parts.ts', ...floor],
  middleware: ['middleware', 'discord', 'avatar', ...floor],
  discord: ['discord', ...floor],
  avatar: ['avatar', ...floor],
  demo: ['demo'],
  'log.ts': ['errors.ts'],
  'store.ts': ['errors.ts'],
  'upstream.ts': ['errors.ts'],
  'errors.ts': [],
  'config.ts': [],
  'words.ts': [],
}

test('the imports are found', () => {
  expect(files.length).toBeGreaterThan(30)
  expect(imports).toContainEqual({ file: 'main.ts', from: 'app.ts', typeOnly: false })
  expect(imports).toContainEqual({ file: 'pages/get-avatar.ts', from: 'parts.ts', typeOnly: true })
})

test('every file is in a room, or one of the few at the top', () => {
  expect([...new Set(files.map(room))].sort()).toEqual(Object.keys(mayImport).sort())
})

describe('who may import whom', () => {
  test.each(Object.entries(mayImport))('%s', (importer, allowed) => {
    const own = imports.filter(({ file, from }) => room(file) === importer && /\.(ts|json)$/.test(from))
    const others = own.filter(({ from }) => from.endsWith('.ts') && !allowed.includes(room(from)))
    expect(others).toEqual([])
  })

  test('pages know the parts by their types alone: only main makes them', () => {
    const makers = imports.filter(({ file, from, typeOnly }) => from === 'parts.ts' && !typeOnly && file !== 'main.ts')
    expect(makers).toEqual([])
  })

  test('discord and avatar know no Express', () => {
    const knowing = imports.filter(
      ({ file, from }) => ['discord', 'avatar'].includes(room(file)) && /^express/.test(from),
    )
    expect(knowing).toEqual([])
  })
})

test('only main reads settings; the one other word to the environment is the fonts’', () => {
  const readers = (word: string) => files.filter((file) => readFileSync(join(src, file), 'utf8').includes(word)).sort()
  expect(readers('process.env')).toEqual(['avatar/png.ts', 'main.ts'])
  expect(readers('readConfig(')).toEqual(['config.ts', 'main.ts'])
})

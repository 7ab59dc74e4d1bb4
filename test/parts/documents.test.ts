import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { readConfig } from '../../src/config.ts'
import { clientId, clientSecret, sessionSecret } from '../support/open-app.ts'

const root = join(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')

const documents = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'deploy/README.md', 'test/bench/README.md']

describe.each(documents)('%s', (file) => {
  const text = read(file)

  test('names only files of the repository that exist', () => {
    const named = [...text.matchAll(/`((?:\.github|\.ci|src|test|views|public|deploy)\/[\w./@-]+)`/g)].map(
      ([, path = '']) => path,
    )
    // An .env file is not in the repository: each reader writes their own.
    expect(named.filter((path) => !existsSync(join(root, path)) && !path.endsWith('.env'))).toEqual([])
  })

  test('names only functions that exist, where it says in which file', () => {
    const named = [...text.matchAll(/((?:`\w+\(\)`(?:, | and )?)+) in `(src\/[\w./-]+)`/g)]
    const missing = named.flatMap(([, names = '', path = '']) => {
      const files = path.endsWith('/') ? readdirSync(join(root, path)).filter((name) => name.endsWith('.ts')) : ['']
      const source = files.map((name) => read(path + name)).join('\n')
      return (names.match(/\w+(?=\(\))/g) ?? []).filter(
        (name) => !new RegExp(`\\b(function|const) ${name}\\b`).test(source),
      )
    })
    expect(missing).toEqual([])
  })

  test('links only to files and headings that exist', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)]
    const broken = links.filter(([, path = '', heading]) => {
      const target = path === '' ? file : join(dirname(file), path)
      return !existsSync(join(root, target)) || (heading && !headingsOf(read(target)).includes(heading))
    })
    expect(broken.map(([link]) => link)).toEqual([])
  })
})

/** Returns the anchors that GitHub makes of a document's headings. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )
}

/** Returns the names in the first column of the table below this heading. */
function firstColumn(text: string, heading: string): string[] {
  const section = text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const rows = [...section.matchAll(/^\| (.+?) \|/gm)].map(([, cell = '']) => cell.replaceAll(/`|\(optional\)/g, ''))
  return rows.slice(1).flatMap((cell) => cell.split(',').map((name) => name.trim()))
}

test('README.md and .env.example name the same settings, and all that the app reads', () => {
  const inReadme = firstColumn(read('README.md'), 'Settings')
  const inExample = [...read('.env.example').matchAll(/^#([A-Z_]+)=/gm)].map(([, name = '']) => name)
  expect(new Set(inExample)).toEqual(new Set(inReadme))
  const inConfig = read('src/config.ts').match(/(?<=^ {2})[A-Z_]+(?=: )/gm) ?? []
  expect(inConfig.length).toBeGreaterThan(10)
  expect([...inReadme, 'NODE_ENV']).toEqual(expect.arrayContaining(inConfig))
})

test('README.md names the defaults of the settings, and .env.example has the same', () => {
  const rows = read('README.md').matchAll(/^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \| (`[^{|]+`) \|/gm)
  const values = (cell = '') => [...cell.matchAll(/`([^`]+)`/g)].map(([, value = '']) => value)
  const defaults = Object.fromEntries(
    [...rows].flatMap(([, names, defaults]) => values(names).map((name, place) => [name, values(defaults)[place]])),
  )
  expect(Object.keys(defaults).length).toBeGreaterThan(10)
  const secrets = { SESSION_SECRET: sessionSecret, DISCORD_CLIENT_ID: clientId, DISCORD_CLIENT_SECRET: clientSecret }
  expect(readConfig({ ...secrets, ...defaults })).toEqual(readConfig(secrets))
  const inExample = [...read('.env.example').matchAll(/^#([A-Z_]+)=(.*)$/gm)].map(([, name = '', value]) => [
    name,
    value,
  ])
  expect(Object.fromEntries(inExample)).toMatchObject(defaults)
})

test('README.md gives a reason for every dependency, and names no other package', () => {
  const { dependencies, optionalDependencies } = z
    .object({ dependencies: z.record(z.string(), z.string()), optionalDependencies: z.record(z.string(), z.string()) })
    .parse(JSON.parse(read('package.json')))
  const installed = Object.keys({ ...dependencies, ...optionalDependencies })
  expect(firstColumn(read('README.md'), 'Dependencies, and why').toSorted()).toEqual(installed.toSorted())
})

test('the newest version in CHANGELOG.md is the version in package.json', () => {
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('package.json')))
  expect(/^## \[(\d[^\]]*)\]/m.exec(read('CHANGELOG.md'))?.[1]).toBe(version)
})

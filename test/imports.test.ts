import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAst } from 'vitest/node'
import { z } from 'zod'

const src = join(import.meta.dirname, '../src')

const Node = z.looseObject({ type: z.string() })
type Node = z.infer<typeof Node>

const Text = z.object({ value: z.string() })
const Specifiers = z.array(z.looseObject({ importKind: z.string().optional(), exportKind: z.string().optional() }))

type Import = { file: string; from: string; typeOnly: boolean }

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
const programs = new Map(files.map((file) => [file, parseAst(readFileSync(join(src, file), 'utf8'), { lang: 'ts' })]))
const imports = files.flatMap(importsOf)

/** Every part of a file's syntax tree. */
function* nodesIn(part: unknown): Generator<Node> {
  if (typeof part !== 'object' || part === null) return
  const node = Node.safeParse(part)
  if (node.success) yield node.data
  for (const inside of Object.values(part)) yield* nodesIn(inside)
}

/** What a file imports: one of our own files by its path in src/, a package by its name. */
function importsOf(file: string): Import[] {
  return [...nodesIn(programs.get(file))].flatMap((node) => {
    const from = Text.safeParse(node.source).data?.value
    if (from === undefined) return []
    const path = from.startsWith('.') ? relative(src, join(src, dirname(file), from)) : from
    return [{ file, from: path, typeOnly: isTypeOnly(node) }]
  })
}

function isTypeOnly(node: Node): boolean {
  if (node.type === 'TSImportType' || node.importKind === 'type' || node.exportKind === 'type') return true
  const specifiers = Specifiers.safeParse(node.specifiers).data ?? []
  return (
    specifiers.length > 0 &&
    specifiers.every(({ importKind, exportKind }) => importKind === 'type' || exportKind === 'type')
  )
}

/** The folder, or the file's own name at the top. */
const room = (path: string) => (path.includes('/') ? dirname(path) : path)

const mayImport: Record<string, string[]> = {
  'main.ts': ['app.ts', 'pages', 'middleware', 'parts.ts', 'metrics.ts', 'config.ts', 'log.ts', 'demo'],
  'app.ts': ['pages', 'middleware', 'avatar', 'parts.ts', 'errors.ts', 'words.ts'],
  'parts.ts': ['middleware', 'discord', 'avatar', 'metrics.ts', 'redis.ts', 'store.ts', 'upstream.ts', 'config.ts'],
  pages: ['pages', 'middleware', 'discord', 'avatar', 'parts.ts', 'errors.ts', 'config.ts', 'words.ts'],
  middleware: ['middleware', 'discord', 'avatar', 'errors.ts', 'redis.ts', 'store.ts', 'config.ts'],
  discord: ['discord', 'errors.ts', 'store.ts', 'upstream.ts'],
  avatar: ['avatar', 'errors.ts', 'upstream.ts'],
  demo: ['demo'],
  'log.ts': ['errors.ts'],
  'metrics.ts': ['errors.ts', 'upstream.ts'],
  'redis.ts': ['errors.ts'],
  'store.ts': ['errors.ts', 'redis.ts'],
  'upstream.ts': ['errors.ts'],
  'errors.ts': [],
  'config.ts': [],
  'words.ts': [],
}

test('the imports are found', () => {
  expect(files.length).toBeGreaterThan(30)
  expect(imports).toContainEqual({ file: 'main.ts', from: 'app.ts', typeOnly: false })
  expect(imports).toContainEqual({ file: 'main.ts', from: 'demo/discord.ts', typeOnly: false })
  expect(imports).toContainEqual({ file: 'pages/get-avatar.ts', from: 'parts.ts', typeOnly: true })
})

test('every file is in a room, or one of the few at the top', () => {
  expect([...new Set(files.map(room))].sort()).toEqual(Object.keys(mayImport).sort())
})

describe('who may import whom', () => {
  test.each(Object.entries(mayImport))('%s', (importer, allowed) => {
    const ours = imports.filter(({ file, from }) => room(file) === importer && from.endsWith('.ts'))
    expect(ours.filter(({ from }) => !allowed.includes(room(from)))).toEqual([])
  })

  test('every address of a file of ours is one that is there', () => {
    const ours = imports.filter(({ from }) => from.endsWith('.ts'))
    expect(ours.filter(({ from }) => !files.includes(from))).toEqual([])
  })

  test('pages and middleware know the parts by their types alone: only main makes them', () => {
    const makers = imports.filter(({ file, from, typeOnly }) => from === 'parts.ts' && !typeOnly && file !== 'main.ts')
    expect(makers).toEqual([])
  })

  test('settings are known by their type alone: only main reads them', () => {
    const readers = imports.filter(({ from, typeOnly }) => from === 'config.ts' && !typeOnly)
    expect(readers.map(({ file }) => file)).toEqual(['main.ts'])
  })

  test('discord, avatar and what they stand on know no Express', () => {
    const rooms = ['discord', 'avatar', 'errors.ts', 'redis.ts', 'store.ts', 'upstream.ts', 'config.ts', 'words.ts']
    const known = imports.filter(
      ({ file, from }) => rooms.includes(room(file)) && /^(express\b|helmet|compression|connect-)/.test(from),
    )
    expect(known).toEqual([])
  })

  test('what is imported by a name made at run time is DiceBear’s', () => {
    const dynamic = files.filter((file) =>
      [...nodesIn(programs.get(file))].some(({ type, source }) => {
        return type === 'ImportExpression' && !Text.safeParse(source).success
      }),
    )
    expect(dynamic.sort()).toEqual(['avatar/embedded.ts', 'demo/dicebear.ts'])
  })
})

describe('the environment', () => {
  const Member = z.looseObject({
    type: z.literal('MemberExpression'),
    object: z.looseObject({ name: z.string().optional() }),
    property: z.looseObject({ name: z.string().optional() }),
  })
  const isEnvironment = (node: unknown) => {
    const { object, property } = Member.safeParse(node).data ?? {}
    return object?.name === 'process' && property?.name === 'env'
  }
  /** How often it is spoken of in each file. */
  const uses = files.flatMap((file) =>
    [...nodesIn(programs.get(file))].flatMap((node) => (isEnvironment(node) ? file : [])),
  )

  test('is read by main alone; the one other word to it is the fonts’', () => {
    expect(uses.sort()).toEqual(['avatar/png.ts', 'main.ts'])
    const Assignment = z.looseObject({ type: z.literal('AssignmentExpression'), left: z.looseObject({ object: Node }) })
    const assigned = [...nodesIn(programs.get('avatar/png.ts'))].filter((node) =>
      isEnvironment(Assignment.safeParse(node).data?.left.object),
    )
    expect(assigned).toHaveLength(1)
  })

  test('has no other way in', () => {
    const modules = imports.filter(({ from }) => /^(node:)?process$/.test(from))
    expect(modules).toEqual([])
  })
})

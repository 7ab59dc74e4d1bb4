import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAst } from 'vitest/node'
import { z } from 'zod'

const src = join(import.meta.dirname, '../../src')

const Node = z.looseObject({ type: z.string() })
type Node = z.infer<typeof Node>

const Text = z.object({ value: z.string() })
const Specifiers = z.array(z.looseObject({ importKind: z.string().optional(), exportKind: z.string().optional() }))

type Import = { file: string; from: string; typeOnly: boolean }

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
const programs = new Map(files.map((file) => [file, parseAst(readFileSync(join(src, file), 'utf8'), { lang: 'ts' })]))
const imports = files.flatMap(importsOf)

/** Yields every node of a file's syntax tree. */
function* nodesIn(part: unknown): Generator<Node> {
  if (typeof part !== 'object' || part === null) return
  const node = Node.safeParse(part)
  if (node.success) yield node.data
  for (const inside of Object.values(part)) yield* nodesIn(inside)
}

/** Returns what a file imports: files of src/ by their path, packages by their name. */
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

/** Returns the folder of a file, or the name of a file that is directly in src/. */
const room = (path: string) => (path.includes('/') ? dirname(path) : path)

const visitAndBelow = ['visitor', 'pictures', 'avatar', 'discord', 'middleware', 'upstream', 'store']

/** main -> app -> pages -> pictures, visitor -> avatar, discord, middleware -> upstream, store -> errors. */
const mayImport: Record<string, string[]> = {
  'main.ts': ['app.ts', 'parts.ts', 'pages', 'middleware', 'metrics.ts', 'config.ts', 'env-file.ts', 'log.ts', 'demo'],
  'app.ts': ['pages', 'parts.ts', ...visitAndBelow],
  'capacity.ts': [],
  'parts.ts': ['capacity.ts', 'metrics.ts', 'config.ts', 'errors.ts', ...visitAndBelow],
  pages: ['pages', 'parts.ts', 'errors.ts', 'config.ts', ...visitAndBelow],
  pictures: ['pictures', 'avatar', 'errors.ts'],
  visitor: ['visitor', 'avatar', 'discord', 'middleware', 'store', 'errors.ts', 'config.ts'],
  middleware: ['middleware', 'store', 'errors.ts', 'config.ts'],
  discord: ['discord', 'upstream', 'store', 'errors.ts'],
  avatar: ['avatar', 'upstream', 'errors.ts', 'make-folder.ts'],
  upstream: ['upstream', 'errors.ts'],
  store: ['store', 'errors.ts'],
  demo: ['demo', 'avatar'],
  'env-file.ts': [],
  'log.ts': ['errors.ts'],
  'metrics.ts': ['errors.ts', 'upstream'],
  // The program that runs in a renderer process.
  'renderer.ts': ['pictures', 'avatar'],
  'errors.ts': [],
  'config.ts': ['config-values.ts'],
  // redis-address.ts only parses REDIS_URL.
  'config-values.ts': ['store/redis-address.ts', 'make-folder.ts'],
  'make-folder.ts': [],
}

test('this test finds the imports', () => {
  expect(files.length).toBeGreaterThan(30)
  expect(imports).toContainEqual({ file: 'main.ts', from: 'app.ts', typeOnly: false })
  expect(imports).toContainEqual({ file: 'main.ts', from: 'demo/discord.ts', typeOnly: false })
  expect(imports).toContainEqual({ file: 'pages/get-avatar.ts', from: 'parts.ts', typeOnly: true })
})

test('every file is in a folder, or one of the few directly in src/', () => {
  expect([...new Set(files.map(room))].sort()).toEqual(Object.keys(mayImport).sort())
})

describe('imports', () => {
  test.each(Object.entries(mayImport))('of %s are allowed', (importer, allowed) => {
    const ours = imports.filter(({ file, from }) => room(file) === importer && from.endsWith('.ts'))
    expect(ours.filter(({ from }) => !allowed.includes(room(from)) && !allowed.includes(from))).toEqual([])
  })

  test('never form a circle', () => {
    const next = new Map(files.map((file) => [file, imports.filter((one) => one.file === file && !one.typeOnly)]))
    const circleFrom = (path: string[]): string[] | undefined => {
      const file = path.at(-1) ?? ''
      if (path.indexOf(file) < path.length - 1) return path
      for (const { from } of next.get(file) ?? []) {
        const circle = finished.has(from) ? undefined : circleFrom([...path, from])
        if (circle) return circle
      }
      finished.add(file)
      return undefined
    }
    const finished = new Set<string>()
    expect(files.map((file) => circleFrom([file])).find((circle) => circle)).toBeUndefined()
  })

  test('name only files that exist', () => {
    const ours = imports.filter(({ from }) => from.endsWith('.ts'))
    expect(ours.filter(({ from }) => !files.includes(from))).toEqual([])
  })

  test('of the app’s parts are type imports, except in main, which creates the parts', () => {
    const makers = imports.filter(({ file, from, typeOnly }) => from === 'parts.ts' && !typeOnly && file !== 'main.ts')
    expect(makers).toEqual([])
  })

  test('of the settings are type imports, except in main, which reads them', () => {
    const readers = imports.filter(({ from, typeOnly }) => from === 'config.ts' && !typeOnly)
    expect(readers.map(({ file }) => file)).toEqual(['main.ts'])
  })

  test('of Express do not occur in discord, avatar and the folders that these two import', () => {
    const rooms = ['discord', 'avatar', 'pictures', 'upstream', 'store', 'errors.ts', 'config.ts']
    const known = imports.filter(
      ({ file, from }) => rooms.includes(room(file)) && /^(express\b|helmet|compression|connect-)/.test(from),
    )
    expect(known).toEqual([])
  })

  test('whose name is made at run time are imports of DiceBear’s styles', () => {
    const dynamic = files.filter((file) =>
      [...nodesIn(programs.get(file))].some(({ type, source }) => {
        return type === 'ImportExpression' && !Text.safeParse(source).success
      }),
    )
    expect(dynamic.sort()).toEqual(['avatar/embedded.ts'])
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
  /** The files that use `process.env`, once for each use. */
  const uses = files.flatMap((file) =>
    [...nodesIn(programs.get(file))].flatMap((node) => (isEnvironment(node) ? file : [])),
  )

  test('is read by main only, except that child processes inherit some of it, and the fonts set a variable', () => {
    expect([...new Set(uses)].sort()).toEqual(['avatar/process-pool.ts', 'main.ts', 'pictures/png.ts'])
    const Assignment = z.looseObject({ type: z.literal('AssignmentExpression'), left: z.looseObject({ object: Node }) })
    const assigned = [...nodesIn(programs.get('pictures/png.ts'))].filter((node) =>
      isEnvironment(Assignment.safeParse(node).data?.left.object),
    )
    expect(assigned).toHaveLength(1)
  })

  test('is not reached by an import of node:process', () => {
    const modules = imports.filter(({ from }) => /^(node:)?process$/.test(from))
    expect(modules).toEqual([])
  })
})

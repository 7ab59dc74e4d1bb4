import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execPath } from 'node:process'
import { createInterface } from 'node:readline'
import fc from 'fast-check'
import { SaxesParser } from 'saxes'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { type FileCache, openFileCache } from '../../src/avatar/file-cache.ts'

const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><text>Zoë 🙂</text></svg>')
const keyOf = (asked: unknown): string => createHash('sha256').update(String(asked)).digest('hex')
const key = keyOf('a picture')
const hourMs = 3_600_000
const block = 4096

afterEach(() => vi.useRealTimers())

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'file-cache-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function open(options: { folder?: string; maxBytes?: number } = {}) {
  const folder = options.folder ?? (await newFolder())
  const troubles: unknown[] = []
  const cache = await openFileCache({
    folder,
    maxBytes: options.maxBytes ?? 2 ** 30,
    onTrouble: (error) => troubles.push(error),
  })
  onTestFinished(() => cache.close())
  return { cache, folder, troubles, fileOf: (key: string) => join(folder, cache.path(key)) }
}

/** Everything in the folder, with its sub folders. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name))
}

async function bytesIn(folder: string): Promise<number> {
  const found = await Promise.all((await filesIn(folder)).map((file) => stat(file).catch(() => undefined)))
  return found.reduce((sum, stats) => sum + Math.ceil((stats?.size ?? 0) / block) * block, 0)
}

const setAge = (file: string, ageMs: number): void => {
  const then = new Date(Date.now() - ageMs)
  utimesSync(file, then, then)
}
const ageOf = async (file: string): Promise<number> => Date.now() - (await stat(file)).mtimeMs

/** A file as another process would leave it: the bound looks at sizes and ages only. */
function put(file: string, ageMs: number, content = 'x'): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
  setAge(file, ageMs)
}

test('what was written is read, by this process and by the next', async () => {
  const { cache, folder, troubles } = await open()
  expect(await cache.read(key)).toBeUndefined()
  await cache.write(key, svg)
  expect(await cache.read(key)).toEqual(svg)
  const later = await open({ folder })
  expect(await later.cache.read(key)).toEqual(svg)
  expect(await filesIn(folder)).toEqual([join(folder, key.slice(0, 2), `${key}.svg`)])
  expect([...troubles, ...later.troubles]).toEqual([])
})

test('any bytes come back as they were', async () => {
  const { cache } = await open()
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 1000 }), async (bytes) => {
      await cache.write(keyOf(bytes), bytes)
      expect(await cache.read(keyOf(bytes))).toEqual(Buffer.from(bytes))
    }),
    { numRuns: 60 },
  )
})

test('the file is itself a well-formed SVG', async () => {
  const { cache, fileOf } = await open()
  await cache.write(key, svg)
  const content = await readFile(fileOf(key), 'utf8')
  expect(content.startsWith(String(svg))).toBe(true)
  const parser = new SaxesParser()
  parser.on('error', (error) => expect.unreachable(error.message))
  parser.write(content).close()
})

test('a flip of any bit is found, removed, told, and repaired by the next write', async () => {
  const { cache, troubles, fileOf } = await open()
  await cache.write(key, svg)
  const whole = await readFile(fileOf(key))
  const places = fc.tuple(fc.nat(whole.length - 1), fc.nat(7))
  await fc.assert(
    fc.asyncProperty(places, async ([at, bit]) => {
      const damaged = Buffer.from(whole)
      damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << bit), at)
      await writeFile(fileOf(key), damaged)
      troubles.length = 0
      expect(await cache.read(key)).toBeUndefined()
      expect(existsSync(fileOf(key))).toBe(false)
      expect(troubles).toEqual([expect.objectContaining({ message: expect.stringContaining('damaged') })])
      await cache.write(key, svg)
      expect(await cache.read(key)).toEqual(svg)
    }),
    { numRuns: 150 },
  )
})

test('a file cut short anywhere, or empty, is found and removed', async () => {
  const { cache, fileOf } = await open()
  await cache.write(key, svg)
  const { size } = await stat(fileOf(key))
  for (let length = 0; length < size; length++) {
    await cache.write(key, svg)
    await truncate(fileOf(key), length)
    expect(await cache.read(key)).toBeUndefined()
    expect(existsSync(fileOf(key))).toBe(false)
  }
})

test("another picture's file under this name counts as damaged", async () => {
  const { cache, fileOf } = await open()
  const other = keyOf('another')
  await cache.write(key, svg)
  await cache.write(other, Buffer.from('<svg/>'))
  await copyFile(fileOf(other), fileOf(key))
  expect(await cache.read(key)).toBeUndefined()
  expect(await cache.read(other)).toEqual(Buffer.from('<svg/>'))
})

test('a deleted file, and the whole folder deleted, are made anew', async () => {
  const { cache, folder, troubles, fileOf } = await open()
  for (const gone of [fileOf(key), dirname(fileOf(key)), folder]) {
    await cache.write(key, svg)
    await rm(gone, { recursive: true })
    expect(await cache.read(key)).toBeUndefined()
    await cache.write(key, svg)
    expect(await cache.read(key)).toEqual(svg)
  }
  expect(troubles).toEqual([])
})

const inTheWay: [string, (file: string) => Promise<unknown>][] = [
  ['a file where the sub folder should be', async (file) => writeFile(dirname(file), 'in the way')],
  ['a folder where the file should be', async (file) => mkdir(join(file, 'full'), { recursive: true })],
  ['a pipe where the file should be', async (file) => mkdir(dirname(file)).then(() => execFileSync('mkfifo', [file]))],
]
test.for(inTheWay)('%s is told, makes way for a picture, and is no trouble after that', async ([, put]) => {
  const { cache, folder, troubles, fileOf } = await open()
  await put(fileOf(key))
  expect(await cache.read(key)).toBeUndefined()
  await cache.write(key, svg)
  expect(troubles.map(String)).toContainEqual(expect.stringMatching(/in the way|damaged/))
  troubles.length = 0
  expect(await cache.read(key)).toEqual(svg)
  expect(await filesIn(folder)).toEqual([fileOf(key)])
  expect(troubles).toEqual([])
})

test('where nothing can be written it is told, and the caller goes on', async () => {
  const { cache, folder, troubles, fileOf } = await open()
  await cache.close()
  await rm(folder, { recursive: true })
  await writeFile(folder, 'a file where the whole folder should be') // stops root too, unlike a mode
  expect(await cache.write(key, svg)).toBeUndefined()
  expect(troubles.map(String)).toContainEqual(expect.stringMatching('ENOTDIR'))
  expect(await cache.read(key)).toBeUndefined()
  expect(existsSync(fileOf(key))).toBe(false)
})

test('links are not followed, neither for reading nor for writing nor for making room', async () => {
  const { cache, folder, troubles, fileOf } = await open()
  const elsewhere = await newFolder()
  const outside = join(elsewhere, 'outside.svg')
  await cache.write(key, svg)
  await copyFile(fileOf(key), outside)
  const before = await readFile(outside, 'utf8')

  await rm(fileOf(key))
  await symlink(outside, fileOf(key))
  expect(await cache.read(key)).toBeUndefined()
  await symlink(outside, fileOf(key))
  await cache.write(key, Buffer.from('<svg/>'))
  expect(await cache.read(key)).toEqual(Buffer.from('<svg/>'))
  expect(await readFile(outside, 'utf8')).toBe(before)
  expect(troubles).toHaveLength(2)

  // A sub folder that leads away: nothing is written into it, and nothing in it goes.
  const [theirs, ours] = [join(elsewhere, `${key}.svg`), fileOf(key)]
  put(theirs, hourMs)
  await rm(dirname(ours), { recursive: true })
  await symlink(elsewhere, dirname(ours))
  const small = await open({ folder, maxBytes: 1 })
  await small.cache.settled()
  await cache.write(key, svg)
  expect(await readFile(theirs, 'utf8')).toBe('x')
  expect(await cache.read(key)).toEqual(svg)
})

test('only a hash is a key: no path can be made of anything else', async () => {
  const { cache, folder } = await open()
  const bad = [
    '',
    '../../etc/passwd',
    `../${key}`,
    `${key}\n`,
    key.toUpperCase(),
    key.slice(1),
    `${key}0`,
    '.'.repeat(64),
  ]
  for (const asked of bad) {
    expect(() => cache.path(asked)).toThrow(TypeError)
    await expect(cache.read(asked)).rejects.toThrow(TypeError)
    await expect(cache.write(asked, svg)).rejects.toThrow(TypeError)
  }
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), async (asked) => {
      await expect(cache.write(asked, svg)).rejects.toThrow(TypeError)
    }),
  )
  expect(await filesIn(folder)).toEqual([])
})

test('reading marks a file as used, once a minute', async () => {
  const { cache, fileOf } = await open()
  await cache.write(key, svg)
  setAge(fileOf(key), hourMs)
  expect(await cache.read(key)).toEqual(svg)
  await cache.settled()
  expect(await ageOf(fileOf(key))).toBeLessThan(10_000)
  setAge(fileOf(key), 30_000)
  await cache.read(key)
  await cache.settled()
  expect(await ageOf(fileOf(key))).toBeGreaterThanOrEqual(30_000)
})

test('a burst of three times the limit stays within it, and what was read of late survives', async () => {
  const blocks = 400
  const { cache, folder, troubles, fileOf } = await open({ maxBytes: blocks * block })
  const first = Array.from({ length: 300 }, (_, i) => keyOf(`first ${i}`))
  await Promise.all(first.map((key) => cache.write(key, svg)))
  for (const [i, key] of first.entries()) setAge(fileOf(key), hourMs + i * 1000)
  const dear = first.slice(-40) // the oldest of all, were they not read
  for (const key of dear) expect(await cache.read(key)).toEqual(svg)
  await cache.settled()
  for (const key of dear) setAge(fileOf(key), -hourMs) // as if read all the time

  const late = Array.from({ length: 3 * blocks }, (_, i) => keyOf(`late ${i}`))
  for (let i = 0; i < late.length; i += 40) {
    await Promise.all(late.slice(i, i + 40).map((key) => cache.write(key, svg)))
    expect(await bytesIn(folder)).toBeLessThan(2 * blocks * block) // it does not wait for the end of the burst
  }
  await cache.settled()

  expect(await bytesIn(folder)).toBeLessThanOrEqual(blocks * block)
  expect(await bytesIn(folder)).toBeGreaterThan(0.75 * blocks * block)
  for (const key of dear) expect(await cache.read(key)).toEqual(svg)
  expect(first.slice(0, -40).filter((key) => existsSync(fileOf(key)))).toEqual([])
  expect(troubles).toEqual([])
})

test('the least recently used go first, and no more than needed', async () => {
  const { cache, folder, fileOf } = await open()
  const keys = Array.from({ length: 500 }, (_, i) => keyOf(i))
  for (const [i, key] of keys.entries()) put(fileOf(key), i * 60_000) // a minute apart, the last one the oldest
  await (await open({ folder, maxBytes: 200 * block })).cache.settled()
  expect(keys.map((key) => existsSync(fileOf(key)))).toEqual(keys.map((_, i) => i < 180))
  expect(await cache.read(keys[499] ?? '')).toBeUndefined()
})

test('of files all of one age only the excess goes', async () => {
  const folder = await newFolder()
  const then = new Date(Date.now() - hourMs)
  for (let i = 0; i < 500; i++) {
    const file = join(folder, keyOf(i).slice(0, 2), `${keyOf(i)}.svg`)
    put(file, 0)
    utimesSync(file, then, then)
  }
  await (await open({ folder, maxBytes: 200 * block })).cache.settled()
  expect(await filesIn(folder)).toHaveLength(180)
})

test('a folder too large to be looked at whole is bounded too, within 10 %', async () => {
  const [count, limit] = [7_000, 6_000]
  const { folder, fileOf } = await open()
  const keys = Array.from({ length: count }, (_, i) => keyOf(i))
  for (const [i, key] of keys.entries()) put(fileOf(key), hourMs + i * 1000)
  const { cache } = await open({ folder, maxBytes: limit * block })
  await cache.settled()
  const stayed = keys.map((key) => existsSync(fileOf(key)))
  const kept = stayed.filter(Boolean).length
  expect(kept).toBeGreaterThan(0.8 * limit)
  expect(kept).toBeLessThanOrEqual(1.1 * limit)
  expect(stayed.lastIndexOf(true)).toBe(kept - 1) // and still strictly by age
})

test('what other processes write is noticed within a minute', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const { cache, folder, fileOf } = await open({ maxBytes: 100 * block })
  await cache.settled()
  for (let i = 0; i < 300; i++) put(fileOf(keyOf(i)), hourMs)
  vi.advanceTimersByTime(60_000)
  await cache.settled()
  expect(await bytesIn(folder)).toBeLessThanOrEqual(100 * block)
})

test("old drafts go, fresh ones and other people's files stay", async () => {
  const { folder, fileOf } = await open()
  const [old, fresh] = [`${fileOf(key)}.123`, `${fileOf(key)}.456`]
  const foreign = [join(folder, 'letter.txt'), join(dirname(fileOf(key)), 'notes.svg'), join(folder, 'own', 'a.svg.1')]
  for (const file of [old, ...foreign]) put(file, hourMs)
  put(fresh, 60_000)
  await (await open({ folder, maxBytes: 1 })).cache.settled()
  expect(existsSync(old)).toBe(false)
  for (const file of [fresh, ...foreign]) expect(existsSync(file), file).toBe(true)
})

type Child = { process: ChildProcess; lines: AsyncIterable<string>; ended: Promise<unknown> }

/** A process of its own on the folder; `body` is its program, and its troubles are among its lines. */
function child(folder: string, body: string, { maxBytes = 2 ** 30, shell = '' } = {}): Child {
  const module = new URL('../../src/avatar/file-cache.ts', import.meta.url).href
  const script = `
    const { createHash } = await import('node:crypto')
    const { openFileCache } = await import('${module}')
    const onTrouble = (error) => console.log('trouble: ' + error.message)
    const cache = await openFileCache({ folder: '${folder}', maxBytes: ${maxBytes}, onTrouble })
    const keyOf = (asked) => createHash('sha256').update(String(asked)).digest('hex')
    const pictureOf = ${pictureOf}
    ${body}`
  const run = `${shell} exec "$0" --input-type=module --no-warnings -e "$1"`
  const forked = spawn('sh', ['-c', run, execPath, script], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void forked.kill('SIGKILL'))
  const ended = new Promise((resolve) => forked.once('exit', resolve))
  return { process: forked, lines: createInterface(forked.stdout), ended }
}

/** Large enough to be met half written, were it ever visible then. */
function pictureOf(i: number): Buffer {
  return Buffer.from(`<svg>${String(i).repeat(500_000)}</svg>`)
}

const pictures = 20
const writeForEver = `
  const write = (i) => cache.write(keyOf(i), pictureOf(i))
  await write(0)
  console.log('writing')
  for (let i = 0; ; i = (i + 1) % ${pictures}) await Promise.all([write(i), write((i * 7) % ${pictures})])`

/** Reads every picture that there is, and holds it against what it should be. Answers how many there were. */
async function readAll(cache: FileCache): Promise<number> {
  let found = 0
  for (let i = 0; i < pictures; i++) {
    const picture = await cache.read(keyOf(i))
    if (picture === undefined) continue
    expect(picture.equals(pictureOf(i)), `picture ${i} is whole`).toBe(true)
    found++
  }
  return found
}

test.for([
  { disk: 'nearly full', blocks: 20, told: 'cut off' }, // takes a part of the file, at first without an error
  { disk: 'full', blocks: 0, told: 'EFBIG' },
])('on a $disk disk a picture is not kept, and that is all', async ({ blocks, told }) => {
  const folder = await newFolder()
  const body = `
    process.on('SIGXFSZ', () => {})
    const fs = (await import('node:fs')).default
    const write = fs.writeSync
    fs.writeSync = (...args) => (console.log('held up'), write(...args))
    await cache.write(keyOf(1), pictureOf(1))`
  // A limit on the size of files (in 512 bytes) fails writes as a full disk does, whoever runs this;
  // the process hears of it by a signal, which no disk sends and which would end it.
  const { lines } = child(folder, body, { shell: `ulimit -f ${blocks};` })
  const said = await Array.fromAsync(lines)
  expect(said).toEqual([expect.stringMatching(`^trouble: .*${told}`)])
  expect(await filesIn(folder)).toEqual([])
})

test('several processes share a folder: every picture is whole, the limit is held', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const [folder, maxBytes] = [await newFolder(), 8 * 2 ** 20] // room for half of the pictures
  const { cache, troubles } = await open({ folder, maxBytes })
  const others = [1, 2].map(() => child(folder, writeForEver, { maxBytes }))
  const said = Promise.all(others.map(({ lines }) => Array.fromAsync(lines)))
  for (let found = 0; found < 200; found += await readAll(cache)) await cache.write(keyOf(3), pictureOf(3))
  for (const other of others) other.process.kill('SIGKILL')
  expect((await said).flat()).toEqual(['writing', 'writing'])
  await cache.settled()
  vi.advanceTimersByTime(60_000)
  await cache.settled()
  const drafts = (await filesIn(folder)).filter((file) => !file.endsWith('.svg'))
  await Promise.all(drafts.map((file) => rm(file))) // of those just killed
  expect(await bytesIn(folder)).toBeGreaterThan(0.5 * maxBytes)
  expect(await bytesIn(folder)).toBeLessThanOrEqual(maxBytes)
  expect(troubles).toEqual([])
})

test('killed again and again in the middle of a write, it leaves no half file', async () => {
  const { cache, folder, troubles } = await open()
  let found = 0
  for (let kills = 0; kills < 15; kills++) {
    const { process, lines, ended } = child(folder, writeForEver)
    for await (const line of lines) if (line === 'writing') break
    setTimeout(() => process.kill('SIGKILL'), randomInt(40))
    await ended
    found += await readAll(cache)
  }
  expect(found).toBeGreaterThan(0)
  expect(troubles).toEqual([]) // a damaged one would have been told

  const kept = (await filesIn(folder)).filter((file) => file.endsWith('.svg'))
  for (const file of await filesIn(folder)) setAge(file, hourMs)
  await (await open({ folder })).cache.settled()
  expect((await filesIn(folder)).sort()).toEqual(kept.sort()) // the drafts are gone
})

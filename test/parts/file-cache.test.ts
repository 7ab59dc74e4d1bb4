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
import { MAX_SVG_BYTES } from '../../src/avatar/safe-svg.ts'

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
  const errors: unknown[] = []
  const cache = await openFileCache({
    folder,
    maxBytes: options.maxBytes ?? 2 ** 30,
    onError: (error) => errors.push(error),
  })
  onTestFinished(() => cache.close())
  return { cache, folder, errors, fileOf: (key: string) => join(folder, cache.path(key)) }
}

/** Reads the SVG in the cache under this key. */
const stored = async (cache: FileCache, key: string) => (await cache.read(key))?.svg

/** Returns the paths of all files in the folder and its subfolders. */
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

/** Writes a file as another process would. Its content does not matter, because the limit looks at size and age only. */
function put(file: string, ageMs: number, content = 'x'): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
  setAge(file, ageMs)
}

test('a written SVG is read back by the same process and by another', async () => {
  const { cache, folder, errors } = await open()
  expect(await cache.read(key)).toBeUndefined()
  await cache.write(key, svg)
  expect(await stored(cache, key)).toEqual(svg)
  const later = await open({ folder })
  expect(await stored(later.cache, key)).toEqual(svg)
  expect(await filesIn(folder)).toEqual([join(folder, key.slice(0, 2), `${key}.svg`)])
  expect([...errors, ...later.errors]).toEqual([])
})

test('any bytes are read back unchanged', async () => {
  const { cache } = await open()
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 1000 }), async (bytes) => {
      await cache.write(keyOf(bytes), Buffer.from(bytes))
      expect(await stored(cache, keyOf(bytes))).toEqual(Buffer.from(bytes))
    }),
    { numRuns: 60 },
  )
})

test('the file in the cache is a well-formed SVG', async () => {
  const { cache, fileOf } = await open()
  await cache.write(key, svg)
  const content = await readFile(fileOf(key), 'utf8')
  expect(content.startsWith(String(svg))).toBe(true)
  const parser = new SaxesParser()
  parser.on('error', (error) => expect.unreachable(error.message))
  parser.write(content).close()
})

test('a flipped bit anywhere in a file is noticed, reported, and repaired by the next write', async () => {
  const { cache, errors, fileOf } = await open()
  await cache.write(key, svg)
  const whole = await readFile(fileOf(key))
  const places = fc.tuple(fc.nat(whole.length - 1), fc.nat(7))
  await fc.assert(
    fc.asyncProperty(places, async ([at, bit]) => {
      const damaged = Buffer.from(whole)
      damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << bit), at)
      await writeFile(fileOf(key), damaged)
      errors.length = 0
      expect(await cache.read(key)).toBeUndefined()
      expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining('damaged') })])
      await cache.write(key, svg)
      expect(await stored(cache, key)).toEqual(svg)
    }),
    { numRuns: 150 },
  )
})

test('a file that is cut off anywhere, or empty, is noticed', async () => {
  const { cache, fileOf } = await open()
  await cache.write(key, svg)
  const { size } = await stat(fileOf(key))
  for (let length = 0; length < size; length++) {
    await cache.write(key, svg)
    await truncate(fileOf(key), length)
    expect(await cache.read(key)).toBeUndefined()
  }
})

test('an SVG of 256 KiB, the largest that DiceBear may send, is read back', async () => {
  const { cache, errors } = await open()
  const largest = Buffer.alloc(MAX_SVG_BYTES, ' ')
  await cache.write(key, largest)
  expect(await stored(cache, key)).toEqual(largest)
  expect(errors).toEqual([])
})

test('a file that is larger than any SVG counts as damaged, even if its checksum is right', async () => {
  const { cache, errors } = await open()
  await cache.write(key, Buffer.alloc(300 * 1024, ' '))
  expect(await cache.read(key)).toBeUndefined()
  expect(errors.map(String)).toEqual([expect.stringContaining('damaged')])
})

test('a file of gigabytes counts as damaged and is not read into memory', async () => {
  const { cache, errors, fileOf } = await open()
  await cache.write(key, svg)
  await truncate(fileOf(key), 2 ** 33) // a sparse file, which takes no room on the disk
  expect(await cache.read(key)).toBeUndefined()
  expect(errors.map(String)).toEqual([expect.stringContaining('damaged')])
})

test('the file of another picture under this name counts as damaged', async () => {
  const { cache, fileOf } = await open()
  const other = keyOf('another')
  await cache.write(key, svg)
  await cache.write(other, Buffer.from('<svg/>'))
  await copyFile(fileOf(other), fileOf(key))
  expect(await cache.read(key)).toBeUndefined()
  expect(await stored(cache, other)).toEqual(Buffer.from('<svg/>'))
})

test('a deleted file or folder is created again', async () => {
  const folder = join(await newFolder(), 'a', 'cache')
  await mkdir(folder, { recursive: true })
  const { cache, errors, fileOf } = await open({ folder })
  for (const gone of [fileOf(key), dirname(fileOf(key)), folder, dirname(folder)]) {
    await cache.write(key, svg)
    await rm(gone, { recursive: true })
    expect(await cache.read(key)).toBeUndefined()
    await Promise.all([cache.write(key, svg), cache.write(keyOf('at the same time'), svg)])
    expect(await stored(cache, key)).toEqual(svg)
  }
  expect(errors).toEqual([])
})

const inPlaceOfTheFile: [string, (file: string) => Promise<unknown>][] = [
  ['a file in place of the subfolder', async (file) => writeFile(dirname(file), 'in the way')],
  ['a folder in place of the file', async (file) => mkdir(join(file, 'full'), { recursive: true })],
  ['a pipe in place of the file', async (file) => mkdir(dirname(file)).then(() => execFileSync('mkfifo', [file]))],
]
test.for(inPlaceOfTheFile)('%s in the place of a file is reported, and replaced by the next write', async ([, put]) => {
  const { cache, folder, errors, fileOf } = await open()
  await put(fileOf(key))
  expect(await cache.read(key)).toBeUndefined()
  expect(errors.map(String)).toEqual([expect.stringMatching(/damaged|ENOTDIR/)])
  errors.length = 0
  await cache.write(key, svg)
  expect(await stored(cache, key)).toEqual(svg)
  expect(await filesIn(folder)).toEqual([fileOf(key)])
  expect(errors).toEqual([])
})

test('a write that fails is reported, and returns the SVG all the same', async () => {
  const { cache, folder, errors, fileOf } = await open()
  await cache.trim()
  await rm(folder, { recursive: true })
  await writeFile(folder, 'a file in place of the folder') // unlike a file mode, this stops root, too
  expect((await cache.write(key, svg)).svg).toEqual(svg)
  expect(errors.map(String)).toContainEqual(expect.stringMatching('ENOTDIR'))
  expect(await cache.read(key)).toBeUndefined()
  expect(existsSync(fileOf(key))).toBe(false)
})

test('a delete that fails is reported, and throws nothing', async () => {
  const { cache, errors, fileOf } = await open()
  await cache.write(key, svg)
  await cache.delete(key)
  await cache.delete(key)
  expect([existsSync(fileOf(key)), errors]).toEqual([false, []])
  await mkdir(fileOf(key))
  await cache.delete(key)
  expect(errors.map(String)).toEqual([expect.stringContaining('EISDIR')])
})

test('symbolic links are not followed, neither for reading nor for writing nor for deleting', async () => {
  const { cache, folder, errors, fileOf } = await open()
  const elsewhere = await newFolder()
  const outside = join(elsewhere, 'outside.svg')
  await cache.write(key, svg)
  await copyFile(fileOf(key), outside)
  const before = await readFile(outside, 'utf8')

  await rm(fileOf(key))
  await symlink(outside, fileOf(key))
  expect(await cache.read(key)).toBeUndefined()
  expect(errors.map(String)).toEqual([expect.stringContaining('ELOOP')])
  await cache.write(key, Buffer.from('<svg/>'))
  expect(await stored(cache, key)).toEqual(Buffer.from('<svg/>'))
  expect(await readFile(outside, 'utf8')).toBe(before)

  // A subfolder that is a link out of the cache: the cache must neither write nor delete anything there.
  const [theirs, ours] = [join(elsewhere, `${key}.svg`), fileOf(key)]
  put(theirs, hourMs)
  await rm(dirname(ours), { recursive: true })
  await symlink(elsewhere, dirname(ours))
  await (await open({ folder, maxBytes: 1 })).cache.trim()
  expect(await cache.read(key)).toBeUndefined()
  await cache.write(key, svg)
  expect(await readFile(theirs, 'utf8')).toBe('x')
  expect(await stored(cache, key)).toEqual(svg)
})

test('a key that is not a hash is refused and never becomes a path', async () => {
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

test('reading a file marks it as used, once a minute', async () => {
  const { cache, fileOf } = await open()
  await cache.write(key, svg)
  setAge(fileOf(key), hourMs)
  expect(await stored(cache, key)).toEqual(svg)
  expect(await ageOf(fileOf(key))).toBeLessThan(10_000)
  setAge(fileOf(key), 50_000)
  await cache.read(key)
  expect(await ageOf(fileOf(key))).toBeGreaterThanOrEqual(50_000)
  setAge(fileOf(key), 61_000)
  await cache.read(key)
  expect(await ageOf(fileOf(key))).toBeLessThan(10_000)
})

test('reading a file marks it as used now, even if its time is in the future', async () => {
  const { cache, fileOf } = await open()
  await cache.write(key, svg)
  setAge(fileOf(key), -hourMs)
  await cache.read(key)
  expect(await ageOf(fileOf(key))).toBeGreaterThan(-10_000)
})

test('writing three times the limit at once keeps the limit, and keeps the files that were read recently', async () => {
  const blocks = 400
  const { cache, folder, errors, fileOf } = await open({ maxBytes: blocks * block })
  const first = Array.from({ length: 300 }, (_, i) => keyOf(`first ${i}`))
  await Promise.all(first.map((key) => cache.write(key, svg)))
  await cache.trim()
  for (const [i, key] of first.entries()) setAge(fileOf(key), hourMs + i * 1000)
  const inUse = first.slice(-40) // the oldest files, which are now read
  for (const key of inUse) expect(await stored(cache, key)).toEqual(svg)
  for (const key of inUse) setAge(fileOf(key), -hourMs) // as if they were read all the time

  const late = Array.from({ length: 3 * blocks }, (_, i) => keyOf(`late ${i}`))
  for (let i = 0; i < late.length; i += 40) {
    await Promise.all(late.slice(i, i + 40).map((key) => cache.write(key, svg)))
    expect(await bytesIn(folder)).toBeLessThan(2 * blocks * block) // the limit holds during the burst, too
  }
  await cache.trim()
  await cache.trim() // the first one may have begun before the last write

  expect(await bytesIn(folder)).toBeLessThanOrEqual(blocks * block)
  expect(await bytesIn(folder)).toBeGreaterThan(0.75 * blocks * block)
  for (const key of inUse) expect(await stored(cache, key)).toEqual(svg)
  expect(first.slice(0, -40).filter((key) => existsSync(fileOf(key)))).toEqual([])
  expect(errors).toEqual([])
})

test('when a tenth of the limit has been written, the limit is restored without waiting for the timer', async () => {
  const { cache, folder, fileOf } = await open({ maxBytes: 100 * block })
  await cache.trim()
  for (let i = 0; i < 95; i++) put(fileOf(keyOf(i)), hourMs)
  for (let i = 95; i < 107; i++) await cache.write(keyOf(i), svg)
  await expect.poll(() => bytesIn(folder)).toBeLessThanOrEqual(100 * block)
})

test('the least recently used files are deleted first, and no more of them than needed', async () => {
  const { cache, folder, fileOf } = await open()
  const keys = Array.from({ length: 500 }, (_, i) => keyOf(i))
  for (const [i, key] of keys.entries()) put(fileOf(key), i * 60_000) // a minute apart, the last one the oldest
  await (await open({ folder, maxBytes: 200 * block })).cache.trim()
  expect(keys.map((key) => existsSync(fileOf(key)))).toEqual(keys.map((_, i) => i < 180))
  expect(await cache.read(keys[499] ?? '')).toBeUndefined()
})

test('when all files have the same age, no more of them than needed are deleted', async () => {
  const folder = await newFolder()
  const then = new Date(Date.now() - hourMs)
  for (let i = 0; i < 500; i++) {
    const file = join(folder, keyOf(i).slice(0, 2), `${keyOf(i)}.svg`)
    put(file, 0)
    utimesSync(file, then, then)
  }
  await (await open({ folder, maxBytes: 200 * block })).cache.trim()
  expect(await filesIn(folder)).toHaveLength(180)
})

test('the files of other processes count towards the limit within a minute', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const { cache, folder, fileOf } = await open({ maxBytes: 100 * block })
  await cache.trim()
  for (let i = 0; i < 300; i++) put(fileOf(keyOf(i)), hourMs)
  vi.advanceTimersByTime(60_000)
  await expect.poll(() => bytesIn(folder)).toBeLessThanOrEqual(100 * block)
  cache.close()
  expect(vi.getTimerCount()).toBe(0)
})

test('a symbolic link counts neither as an avatar nor by the size of its target', async () => {
  const { folder, fileOf } = await open()
  const [kept, link] = [fileOf(key), fileOf('0'.repeat(64))]
  const outside = join(await newFolder(), 'outside')
  put(kept, hourMs)
  put(outside, hourMs, 'x'.repeat(10 * block))
  await mkdir(dirname(link), { recursive: true })
  await symlink(outside, link)
  await (await open({ folder, maxBytes: block })).cache.trim()
  expect([existsSync(kept), existsSync(link)]).toEqual([true, true])
})

test('temporary files of killed processes are deleted like others, and files of other programs are kept', async () => {
  const { folder, fileOf } = await open()
  const temporary = `${fileOf(key)}.5f0c-11`
  const names = ['notes.svg', `old-${key}.svg`, `${key}.svg~`].map((name) => `00/${name}`)
  const foreign = ['letter.txt', 'own/a.svg.1', `0/${key}.svg`, `a00/${key}.svg`, ...names].map((name) =>
    join(folder, name),
  )
  for (const file of [temporary, ...foreign]) put(file, hourMs)
  await (await open({ folder, maxBytes: 1 })).cache.trim()
  expect(existsSync(temporary)).toBe(false)
  for (const file of foreign) expect(existsSync(file), file).toBe(true)
})

type Child = { process: ChildProcess; lines: AsyncIterable<string>; ended: Promise<unknown> }

/** Starts a process with a cache in this folder, which runs `body` and prints the errors that the cache reports. */
function child(folder: string, body: string, { maxBytes = 2 ** 30, shell = '' } = {}): Child {
  const module = new URL('../../src/avatar/file-cache.ts', import.meta.url).href
  const script = `
    const { createHash } = await import('node:crypto')
    const { openFileCache } = await import('${module}')
    const onError = (error) => console.log('error: ' + error.message)
    const cache = await openFileCache({ folder: '${folder}', maxBytes: ${maxBytes}, onError })
    const keyOf = (asked) => createHash('sha256').update(String(asked)).digest('hex')
    const pictureOf = ${pictureOf}
    ${body}`
  const run = `${shell} exec "$0" --input-type=module --no-warnings -e "$1"`
  const forked = spawn('sh', ['-c', run, execPath, script], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void forked.kill('SIGKILL'))
  const ended = new Promise((resolve) => forked.once('exit', resolve))
  return { process: forked, lines: createInterface(forked.stdout), ended }
}

/** Returns a picture so large that a half-written file would be noticed. */
function pictureOf(i: number): Buffer {
  return Buffer.from(`<svg>${String(i).repeat(100_000)}</svg>`)
}

const pictures = 20
const writeEndlessly = `
  const write = (i) => cache.write(keyOf(i), pictureOf(i))
  await write(0)
  console.log('writing')
  for (let i = 0; ; i = (i + 1) % ${pictures}) await Promise.all([write(i), write((i * 7) % ${pictures})])`

/** Reads every picture in the cache and checks that it is whole. Returns how many there were. */
async function readAll(cache: FileCache): Promise<number> {
  let found = 0
  for (let i = 0; i < pictures; i++) {
    const picture = await stored(cache, keyOf(i))
    if (picture === undefined) continue
    expect(picture.equals(pictureOf(i)), `picture ${i} is whole`).toBe(true)
    found++
  }
  return found
}

test.for([
  { disk: 'nearly full', blocks: 20 }, // has room for a part of the file
  { disk: 'full', blocks: 0 },
])('on a $disk disk a picture is not stored, and no part of it is left', async ({ blocks }) => {
  const folder = await newFolder()
  const body = `
    process.on('SIGXFSZ', () => {})
    await cache.write(keyOf(1), pictureOf(1))`
  // A limit on the size of files (in blocks of 512 bytes) fails writes as a full disk does, even for root. It also
  // sends SIGXFSZ, which would end the process, and which a full disk does not send.
  const { lines } = child(folder, body, { shell: `ulimit -f ${blocks};` })
  expect(await Array.fromAsync(lines)).toEqual([expect.stringMatching('^error: .*EFBIG')])
  expect(await filesIn(folder)).toEqual([])
})

test('when several processes share a folder, every picture is whole, and the limit holds', async () => {
  const [folder, maxBytes] = [await newFolder(), 1.5 * 2 ** 20] // room for half of the pictures
  const { cache, errors } = await open({ folder, maxBytes })
  const others = [1, 2].map(() => child(folder, writeEndlessly, { maxBytes }))
  const printed = Promise.all(others.map(({ lines }) => Array.fromAsync(lines)))
  for (let found = 0; found < 200; found += await readAll(cache)) await cache.write(keyOf(3), pictureOf(3))
  for (const other of others) other.process.kill('SIGKILL')
  expect((await printed).flat()).toEqual(['writing', 'writing'])
  await cache.trim()
  await cache.trim() // the first one may have begun before the last write
  expect(await bytesIn(folder)).toBeGreaterThan(0.5 * maxBytes)
  expect(await bytesIn(folder)).toBeLessThanOrEqual(maxBytes)
  // A process that had to wait long may find that another one has evicted its unfinished file.
  expect(errors.filter((error) => !String(error).includes('ENOENT'))).toEqual([])
})

test('a process that is killed in the middle of a write leaves no half-written picture', async () => {
  const { cache, folder, errors } = await open()
  let found = 0
  for (let kills = 0; kills < 15; kills++) {
    const { process, lines, ended } = child(folder, writeEndlessly)
    for await (const line of lines) if (line === 'writing') break
    setTimeout(() => process.kill('SIGKILL'), randomInt(40))
    await ended
    found += await readAll(cache)
  }
  expect(found).toBeGreaterThan(0)
  expect(errors).toEqual([]) // a damaged file would have been reported
})

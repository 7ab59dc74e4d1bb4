// SVGs on disk. Name: a sha256 of what was asked, never a visitor's text. Lifetime: until room is needed; then the least
// recently used go first. There is no index: the folder is the truth, so several processes may share it.
import { randomInt } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, lutimes, mkdir, open, readdir, realpath, rm, unlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { unseal } from './sealed-file.ts'
import { writeInThread } from './worker.ts'

export type FileCache = {
  /** The SVG kept under this key, or undefined when there is none or it is damaged (a damaged one is removed). */
  read(key: string): Promise<Buffer | undefined>
  /**
   * What tells one state of the file from another, without reading it. Undefined where there is no such file, or where it
   * should be read again, so that it counts as used.
   */
  stamp(key: string): Promise<string | undefined>
  /**
   * Keeps an SVG, and gives its stamp. A full or read-only disk costs a slower page, not a failed one: it is told to
   * `onTrouble` alone.
   */
  write(key: string, svg: Uint8Array): Promise<string | undefined>
  /** Path of the file, relative to the folder. */
  path(key: string): string
  /** Waits for the work that nobody else waits for: making room, and noting which files are in use. */
  settled(): Promise<void>
  close(): Promise<void>
}

type Options = { folder: string; maxBytes: number; onTrouble: (error: unknown) => void }
type Kept = { file: string; bytes: number; usedAtMs: number }
/** Files last used before the cutoff go, and of those used right then, as many may be, so many bytes. */
type Verdict = { cutoffMs: number; atCutoff: number }

const minuteMs = 60_000
const checkEveryMs = minuteMs / 2 // other processes write here too, and what they add is only seen by looking
const draftLifeMs = 5 * minuteMs // no living writer needs this long
const sampleSize = 5_000 // files looked at to judge the whole folder; with fewer than this the judgement is exact
const lanes = 32 // files looked at together: few, so that a visitor's file never waits long behind them
const svgName = /^[0-9a-f]{64}\.svg$/
const draftName = /^[0-9a-f]{64}\.svg\.\d+$/ // as write-file-atomic calls them
const subFolders = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))

/** Opens a folder that is there and can be written to; takes no longer for a full one. */
export async function openFileCache({ folder, maxBytes, onTrouble }: Options): Promise<FileCache> {
  const root = await realpath(folder)
  const errands = new Set<Promise<void>>()
  let usedBytes = 0 // as last judged, and all written since
  let turn = randomInt(subFolders.length) // where the next look begins, so that in time every sub folder has its turn
  let makingRoom = false
  let closed = false

  async function read(key: string): Promise<Buffer | undefined> {
    const file = join(root, path(key))
    try {
      // Links are not followed, and a pipe does not keep us waiting.
      await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
      const stats = await handle.stat()
      const svg = stats.isFile() ? unseal(key, await handle.readFile()) : undefined
      if (svg === undefined) await discard(file, 'damaged')
      else if (Date.now() - stats.mtimeMs > minuteMs) errand(lutimes(file, new Date(), new Date())) // mtime is our time of use
      return svg
    } catch (error) {
      if (codeOf(error) === 'ELOOP') await discard(file, 'a link')
      else trouble(error)
      return undefined
    }
  }

  async function stamp(key: string): Promise<string | undefined> {
    const stats = await lstat(join(root, path(key))).catch(() => undefined)
    return stats?.isFile() ? stampOf(stats) : undefined
  }

  async function write(key: string, svg: Uint8Array): Promise<string | undefined> {
    const file = join(root, path(key))
    try {
      let written = await writeInThread({ file, key, svg })
      if (written === 'in the way') {
        await makeWay(file)
        written = await writeInThread({ file, key, svg })
      }
      if (typeof written === 'string') return await discard(file, written)
      usedBytes += onDisk(written.size)
      if (usedBytes > maxBytes) errand(makeRoom())
      return stampOf(written)
    } catch (error) {
      return trouble(error)
    }
  }

  /** Makes the file's folder; what stands in its place, or in the file's, goes. */
  async function makeWay(file: string): Promise<void> {
    const folder = dirname(file)
    const there = await lstat(folder).catch(trouble)
    if (there && !there.isDirectory()) await discard(folder, 'in the way')
    if (!there?.isDirectory()) await makeFolder(folder)
    const inItsPlace = await lstat(file).catch(trouble)
    if (inItsPlace && !inItsPlace.isFile()) await discard(file, 'in the way')
  }

  async function makeRoom(): Promise<void> {
    if (makingRoom) return
    makingRoom = true
    try {
      while ((await evict(await judge())) > 0);
    } finally {
      makingRoom = false
    }
  }

  /** Finds the age to part at. Keys are hashes, so any sub folders are a fair sample of all of them. */
  async function judge(): Promise<Verdict> {
    const before = usedBytes
    const sample: Kept[] = []
    let looked = 0
    for (; looked < subFolders.length && sample.length < sampleSize && !closed; looked++, turn++)
      for await (const files of filesIn(subFolders[turn % subFolders.length] ?? '')) sample.push(...files)
    const scale = subFolders.length / Math.max(looked, 1)
    const total = scale * sample.reduce((sum, { bytes }) => sum + bytes, 0)
    usedBytes += total - before // what was written meanwhile stays added
    let excess = total > maxBytes ? total - 0.9 * maxBytes : 0
    let [cutoffMs, atCutoff] = [-Infinity, 0]
    for (const { bytes, usedAtMs } of sample.sort((a, b) => a.usedAtMs - b.usedAtMs)) {
      if (excess <= 0) break
      excess -= scale * bytes
      atCutoff = scale * bytes + (usedAtMs === cutoffMs ? atCutoff : 0)
      cutoffMs = usedAtMs
    }
    return { cutoffMs, atCutoff }
  }

  /** Removes what the verdict says; answers the bytes freed. */
  async function evict({ cutoffMs, atCutoff }: Verdict): Promise<number> {
    let freed = 0
    let failure: unknown // one is enough to hear of: a disk turned read-only fails them all
    for (const subFolder of cutoffMs === -Infinity ? [] : subFolders)
      for await (const files of filesIn(subFolder))
        for (const { file, bytes, usedAtMs } of files) {
          if (usedAtMs > cutoffMs || (usedAtMs === cutoffMs && atCutoff <= 0)) continue
          if (usedAtMs === cutoffMs) atCutoff -= bytes
          try {
            await unlink(file)
            freed += bytes
          } catch (error) {
            if (codeOf(error) !== 'ENOENT') failure = error
          }
        }
    if (failure) onTrouble(failure)
    return freed
  }

  /** The SVGs of one sub folder, a few at a time. Drafts of killed writers are removed on the way. */
  async function* filesIn(subFolder: string): AsyncGenerator<Kept[]> {
    const folder = join(root, subFolder)
    const names = (await isLink(folder)) ? [] : ((await readdir(folder).catch(trouble)) ?? [])
    for (let i = 0; i < names.length && !closed; i += lanes) {
      const found = await Promise.all(names.slice(i, i + lanes).map((name) => look(join(folder, name), name)))
      yield found.filter((kept) => kept !== undefined)
    }
  }

  async function look(file: string, name: string): Promise<Kept | undefined> {
    const stats = await lstat(file).catch(trouble)
    if (!stats?.isFile()) return undefined
    if (draftName.test(name) && Date.now() - stats.mtimeMs > draftLifeMs) await unlink(file).catch(trouble)
    return svgName.test(name) ? { file, bytes: onDisk(stats.size), usedAtMs: stats.mtimeMs } : undefined
  }

  async function discard(file: string, why: string): Promise<undefined> {
    const isRemoved = await rm(file, { recursive: true }).then(() => true, trouble)
    const what = `${relative(root, file)} in the avatar cache was ${why}`
    onTrouble(new Error(isRemoved ? `${what}, and is removed` : what))
  }

  async function isLink(file: string): Promise<boolean> {
    return (await lstat(file).catch(trouble))?.isSymbolicLink() ?? false
  }

  /** A file that is not there, or no longer, is what a cache is used to. */
  function trouble(error: unknown): undefined {
    if (codeOf(error) !== 'ENOENT') onTrouble(error)
  }

  function errand(work: Promise<void>): void {
    const done = work.catch(trouble).finally(() => errands.delete(done))
    errands.add(done)
  }

  async function settled(): Promise<void> {
    while (errands.size > 0) await Promise.all(errands)
  }

  async function close(): Promise<void> {
    closed = true
    clearInterval(checks)
    await settled()
  }

  const checks = setInterval(() => errand(makeRoom()), checkEveryMs).unref()
  errand(makeRoom()) // what is there from before is judged while we already serve
  return { read, stamp, write, path, settled, close }
}

function path(key: string): string {
  if (!/^[0-9a-f]{64}$/.test(key)) throw new TypeError('A cache key is a sha256 in lower-case hex')
  return `${key.slice(0, 2)}/${key}.svg`
}

function stampOf({ ino, size, mtimeMs }: { ino: number; size: number; mtimeMs: number }): string | undefined {
  return Date.now() - mtimeMs > minuteMs ? undefined : `${ino} ${size} ${mtimeMs}`
}

/** A disk gives whole blocks. */
function onDisk(bytes: number): number {
  return Math.ceil(bytes / 4096) * 4096
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

// Node's own recursive mkdir never ends in a place such as /proc, where a folder is there and takes no other.
async function makeFolder(folder: string): Promise<void> {
  try {
    await makeOneFolder(folder)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || dirname(folder) === folder) throw error
    await makeFolder(dirname(folder))
    await makeOneFolder(folder)
  }
}

async function makeOneFolder(folder: string): Promise<void> {
  await mkdir(folder).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw error
  })
}

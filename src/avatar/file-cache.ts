// The cache of avatar files.
// Key: the avatar's id, a SHA-256 in hex, never text from outside. File: {folder}/{the id's first two digits}/{id}.svg.
// Bound: maxBytes. Above it the least recently used files are deleted until the others take 90 % of maxBytes.
// Lifetime: until a file is deleted for that reason. There is no index, so several processes can share the folder.
import { createHash, randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, open, readdir, realpath, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { makeFolder } from '../make-folder.ts'

/** An SVG with its checksum: the SHA-256 of key and content, in hex. The checksum is also the ETag. */
export type StoredSvg = { svg: Buffer; checksum: string }

export type FileCache = {
  /** The SVG stored under this key; undefined if there is none or its file is damaged. */
  read(key: string): Promise<StoredSvg | undefined>
  /** Stores an SVG, in place of any file or folder with its name. An error is reported to `onError`, never thrown. */
  write(key: string, svg: Buffer): Promise<StoredSvg>
  /** Deletes the file. A failure is reported to `onError`, never thrown. */
  delete(key: string): Promise<void>
  /** Path of the file, relative to the folder. */
  path(key: string): string
  /** Deletes the least recently used files if the folder is over its bound. A timer does this, too. */
  trim(): Promise<void>
  /** Stops the timer. A trim that is under way may be interrupted at any point. */
  close(): void
}

type Options = { folder: string; maxBytes: number; onError: (error: unknown) => void }

/** The bound must be restored within a minute, also for files that other processes have written. */
const trimEveryMs = 45_000
/** The time of a file's last use is kept as its mtime, which is written at most this often. */
const touchEveryMs = 60_000
/** 256 KiB for the SVG, and some bytes for the checksum. A larger file is damaged, so it is not read. */
const maxFileBytes = 257 * 1024
/** The size of a block. A file takes whole blocks on a disk. */
const blockBytes = 4096
/** Matches the names of avatar files, and of temporary files that a killed process has left behind. */
const fileName = /^[0-9a-f]{64}\.svg(\.[\w-]+)?$/
const subfolderName = /^[0-9a-f]{2}$/

/** Opens the cache in a folder. If the disk is full, the folder is created with the first file. */
export async function openFileCache({ folder, maxBytes, onError }: Options): Promise<FileCache> {
  const root = await realpath(folder).catch(() => resolve(folder))
  let writtenBytes = 0 // what this process has written since the last trim
  let trimming: Promise<void> | undefined

  async function read(key: string): Promise<StoredSvg | undefined> {
    const file = join(root, path(key))
    try {
      // O_NOFOLLOW: a symbolic link could lead elsewhere. O_NONBLOCK: opening a named pipe would wait for a writer.
      await using handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
      const stats = await handle.stat()
      const stored = stats.isFile() && stats.size <= maxFileBytes ? checkedSvg(key, await handle.readFile()) : undefined
      if (stored === undefined) throw new Error(`${path(key)} in the avatar cache is damaged`)
      // If the clock was wrong when the time was written, the time may be in the future, and the difference negative.
      if (Math.abs(Date.now() - stats.mtimeMs) > touchEveryMs)
        await handle.utimes(new Date(), new Date()).catch(onError)
      return stored
    } catch (error) {
      reportUnlessMissing(error)
      return undefined
    }
  }

  async function write(key: string, svg: Buffer): Promise<StoredSvg> {
    const stored = { svg, checksum: checksumOf(key, svg) }
    const file = join(root, path(key))
    // The file is written under another name and renamed, so that it is complete whenever it exists, even after a kill.
    const temporary = `${file}.${randomUUID()}`
    try {
      await makeSubfolder(dirname(file))
      await writeFile(temporary, withChecksum(stored), { flag: 'wx' })
      await moveInto(file, temporary)
      writtenBytes += sizeOnDisk(svg.length)
      if (writtenBytes > maxBytes / 10) void trim()
    } catch (error) {
      onError(error)
      await rm(temporary, { force: true }).catch(onError)
    }
    return stored
  }

  async function deleteFile(key: string): Promise<void> {
    await rm(join(root, path(key)), { force: true }).catch(onError)
  }

  /** Creates the subfolder. Removes a file or symbolic link in its place; a link could point outside the cache. */
  async function makeSubfolder(subfolder: string): Promise<void> {
    const stats = await lstat(subfolder).catch(reportUnlessMissing)
    if (stats?.isDirectory()) return
    if (stats) await rm(subfolder)
    makeFolder(subfolder)
  }

  function trim(): Promise<void> {
    trimming ??= deleteExcess()
      .catch(reportUnlessMissing)
      .finally(() => {
        trimming = undefined
      })
    return trimming
  }

  async function deleteExcess(): Promise<void> {
    writtenBytes = 0
    const files = await listFiles()
    let totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0)
    if (totalBytes <= maxBytes) return
    for (const { file, bytes } of files.sort((a, b) => a.usedAtMs - b.usedAtMs)) {
      if (totalBytes <= 0.9 * maxBytes) return
      await rm(file, { force: true })
      totalBytes -= bytes
    }
  }

  async function listFiles() {
    const entries = await readdir(root, { withFileTypes: true })
    const subfolders = entries.filter((entry) => entry.isDirectory() && subfolderName.test(entry.name))
    const files: { file: string; bytes: number; usedAtMs: number }[] = []
    for (const { name: subfolder } of subfolders) {
      const names = (await readdir(join(root, subfolder)).catch(reportUnlessMissing)) ?? []
      const found = names.map(async (name) => {
        if (!fileName.test(name)) return
        const file = join(root, subfolder, name)
        const stats = await lstat(file).catch(reportUnlessMissing)
        if (stats?.isFile()) files.push({ file, bytes: sizeOnDisk(stats.size), usedAtMs: stats.mtimeMs })
      })
      await Promise.all(found)
    }
    return files
  }

  /** Reports an error, but not that a file or folder is missing: another process or an operator may have deleted it. */
  function reportUnlessMissing(error: unknown): undefined {
    if (codeOf(error) !== 'ENOENT') onError(error)
  }

  const timer = setInterval(trim, trimEveryMs).unref()
  void trim()

  const close = () => clearInterval(timer)

  return { read, write, delete: deleteFile, path, trim, close }
}

/** Renames `temporary` to `file`, in place of a file or folder of that name. */
async function moveInto(file: string, temporary: string): Promise<void> {
  try {
    await rename(temporary, file)
  } catch (error) {
    if (codeOf(error) !== 'EISDIR') throw error
    await rm(file, { recursive: true })
    await rename(temporary, file)
  }
}

function path(key: string): string {
  if (!/^[0-9a-f]{64}$/.test(key)) throw new TypeError('A cache key is a SHA-256 in lower-case hex')
  return `${key.slice(0, 2)}/${key}.svg`
}

const checksumOf = (key: string, svg: Buffer) => createHash('sha256').update(key).update(svg).digest('hex')

/** The content of a file: the SVG, then its checksum in a comment, so that the file is a valid SVG, too. */
const withChecksum = ({ svg, checksum }: StoredSvg) => Buffer.concat([svg, Buffer.from(comment(checksum))])
const comment = (checksum: string) => `\n<!-- ${checksum} -->\n`
const commentLength = comment('0'.repeat(64)).length

/** The SVG in the content of a file; undefined if the content is not what was stored under this key. */
function checkedSvg(key: string, content: Buffer): StoredSvg | undefined {
  const svg = content.subarray(0, -commentLength)
  const checksum = checksumOf(key, svg)
  return content.toString('latin1', svg.length) === comment(checksum) ? { svg, checksum } : undefined
}

function sizeOnDisk(bytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

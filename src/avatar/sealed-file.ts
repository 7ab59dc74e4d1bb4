import { createHash } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { dirname } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { z } from 'zod'

/** What tells a file that was written from another; or why there is none: what is no folder or no file, or a full disk. */
export const Written = z.union([
  z.object({ ino: z.number(), size: z.number(), mtimeMs: z.number() }),
  z.literal(['in the way', 'cut off']),
])

/** Writes an SVG with its seal, whole or not at all. Holds up whoever calls it, so it is called in a thread. */
export function writeSealed({
  file,
  key,
  svg,
}: {
  file: string
  key: string
  svg: Uint8Array
}): z.infer<typeof Written> {
  // write-file-atomic writes through links, and they may lead anywhere.
  if (!lstatSync(dirname(file), { throwIfNoEntry: false })?.isDirectory()) return 'in the way'
  const there = lstatSync(file, { throwIfNoEntry: false })
  if (there && !there.isFile()) return 'in the way'
  const sealed = Buffer.concat([svg, Buffer.from(seal(key, svg))])
  writeFileAtomic.sync(file, sealed, { fsync: false }) // what a power cut leaves half done, the seal finds
  const { ino, size, mtimeMs } = lstatSync(file)
  return size === sealed.length ? { ino, size, mtimeMs } : 'cut off'
}

/** The SVG of a sealed file; undefined where the file is damaged, or another key's. */
export function unseal(key: string, sealed: Buffer): Buffer | undefined {
  const svg = sealed.subarray(0, -seal('', new Uint8Array()).length)
  return sealed.toString('latin1', svg.length) === seal(key, svg) ? svg : undefined
}

/** The last line of a file, by which it proves to be whole and to belong to its key; the file is still a valid SVG. */
function seal(key: string, svg: Uint8Array): string {
  return `\n<!-- ${createHash('sha256').update(key).update(svg).digest('hex')} -->\n`
}

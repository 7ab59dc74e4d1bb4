import { lstatSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { getSystemErrorMessage, parseEnv } from 'node:util'
import { z } from 'zod'

const SystemError = z.object({ code: z.string(), errno: z.number() })

/**
 * Reads the settings in a file, by name; returns none if there is no such file. Throws an Error if the file cannot be
 * read or is not text. Node's own loadEnvFile is not used, because it loses the first setting after a byte order mark
 * and all settings in UTF-16, which editors on Windows write.
 */
export function readEnvFile(file: string): Record<string, string> {
  const bytes = readIfExists(resolve(file))
  if (bytes === undefined) return {}
  const text = decode(bytes)
  if (text === undefined) {
    throw new Error(`Cannot start. ${resolve(file)} must be a text file in UTF-8, or in UTF-16 with a byte order mark.`)
  }
  const settings = parseEnv(text.replaceAll(/\r\n?/g, '\n'))
  return Object.fromEntries(
    Object.entries(settings).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

function readIfExists(path: string): Buffer | undefined {
  try {
    // lstat also finds a symbolic link to a missing file. Reading then fails, so the link is reported, not ignored.
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined
    return readFileSync(path)
  } catch (cause) {
    const { code, errno } = SystemError.parse(cause)
    const reason = `${getSystemErrorMessage(errno)} (${code})`
    const problem = code === 'EISDIR' ? 'must be a file, and is a folder' : `cannot be read: ${reason}`
    throw new Error(`Cannot start. ${path} ${problem}.`, { cause })
  }
}

/** Decodes UTF-8, or UTF-16 with a byte order mark; undefined if the bytes are anything else. */
function decode(bytes: Buffer): string | undefined {
  const [first, second] = bytes
  const encoding =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8'
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes) // without the byte order mark
    return text.includes('\0') ? undefined : text
  } catch {
    return undefined
  }
}

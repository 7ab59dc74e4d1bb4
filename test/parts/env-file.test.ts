import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { readEnvFile } from '../../src/env-file.ts'
import { startAndFail, startApp } from '../support/start-app.ts'

let file: string
beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'env-file-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  file = join(folder, '.env')
})

const text = 'PORT=8080\n# Zoë\nCACHE_DIR="kept here"\n'
const settings = { PORT: '8080', CACHE_DIR: 'kept here' }
const utf16le = Buffer.from(`\ufeff${text}`, 'utf16le')
const utf16be = Buffer.from(utf16le).swap16()

test.each<[what: string, content: string | Buffer]>([
  ['UTF-8', text],
  ['UTF-8 with a byte order mark', `\ufeff${text}`],
  ['UTF-16, little-endian', utf16le],
  ['UTF-16, big-endian', utf16be],
  ['line ends of Windows', text.replaceAll('\n', '\r\n')],
  ['line ends of Windows and a byte order mark', `\ufeff${text.replaceAll('\n', '\r\n')}`],
  ['line ends that are carriage returns', text.replaceAll('\n', '\r')],
  ['no line end after the last line', text.trimEnd()],
])('every setting is read from a file in %s', async (_what, content) => {
  await writeFile(file, content)
  expect(readEnvFile(file)).toEqual(settings)
})

test('a file that does not exist counts as a file without settings', () => {
  expect(readEnvFile(file)).toEqual({})
})

describe('a file that cannot be read as text is refused', () => {
  test.each<[what: string, content: Buffer]>([
    ['UTF-16 without a byte order mark', utf16le.subarray(2)],
    ['UTF-32', Buffer.from([0xff, 0xfe, 0, 0, 0x41, 0, 0, 0, 0x3d, 0, 0, 0, 0x31, 0, 0, 0])],
    ['UTF-16 that is cut off', utf16le.subarray(0, -1)],
    ['Latin-1', Buffer.from('PORT=8080\nREDIS_URL=redis://:Zo\xeb@localhost', 'latin1')],
    ['Latin-1 that begins with ÿ', Buffer.from('ÿA=1', 'latin1')],
    ['no text at all', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0])],
  ])('%s', async (_what, content) => {
    await writeFile(file, content)
    expect(() => readEnvFile(file)).toThrow(/^Cannot start\. \S+\.env must be a text file in UTF-8, [^\n]+$/)
  })

  test('a folder', async () => {
    await mkdir(file)
    expect(() => readEnvFile(file)).toThrow(/^Cannot start\. \S+\.env must be a file, [^\n]+folder[^\n]+$/)
  })

  test('a link to a missing file, or to itself', async () => {
    await symlink('nowhere', file)
    expect(() => readEnvFile(file)).toThrow(/^Cannot start\. \S+\.env cannot be read: [^\n]+ENOENT[^\n]+$/)
    await rm(file)
    await symlink('.env', file)
    expect(() => readEnvFile(file)).toThrow(/^Cannot start\. \S+\.env cannot be read: [^\n]+ELOOP[^\n]+$/)
  })
})

describe('the app', () => {
  test('starts with the settings of a file in UTF-16, and those of the environment take precedence', async () => {
    const app = await startApp({ LOG_LEVEL: 'warn' }, (folder) =>
      writeFile(
        join(folder, '.env'),
        Buffer.from('\ufeffPORT=1\r\nCACHE_DIR=pictures\r\nLOG_LEVEL=loud\r\n', 'utf16le'),
      ),
    )
    onTestFinished(() => app.stop())
    expect((await fetch(`${app.url}/healthz`)).status).toBe(200)
    expect((await stat(join(app.folder, 'pictures'))).isDirectory()).toBe(true)
  })

  test.each<[what: string, prepare: (file: string) => Promise<unknown>]>([
    ['a folder', mkdir],
    ['not text', (file) => writeFile(file, Buffer.from('PORT=8080', 'utf16le'))],
    // Even root, who may read every file, cannot read this one.
    ['a link to itself', (file) => symlink('.env', file)],
  ])('does not start with a file that is %s, says so in one sentence, and exits with 1', async (_what, prepare) => {
    const { code, output } = await startAndFail({}, (folder) => prepare(join(folder, '.env')))
    expect(output).toMatch(/^Cannot start\. \S+\.env (must be|cannot be read)[^\n]+\n$/)
    expect(code).toBe(1)
  })
})

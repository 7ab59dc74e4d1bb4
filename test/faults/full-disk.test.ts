import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { agent } from 'supertest'
import { expect, onTestFinished, test } from 'vitest'
import { agreeAtDiscord } from '../support/consent.ts'
import { comeBack, leave, shownAvatar } from '../support/open-app.ts'
import { startApp } from '../support/start-app.ts'

/** Code that fakes a full disk: while the file `full` exists, Node's `fs` can create nothing below `folder`. */
const fullDisk = (folder: string, full: string, code: string) => `
  import fs from 'node:fs'
  import { syncBuiltinESMExports } from 'node:module'
  const refuse = (path) => {
    if (!fs.existsSync(${JSON.stringify(full)}) || !String(path).startsWith(${JSON.stringify(folder)})) return
    throw Object.assign(new Error('${code}: no space left on device'), { code: '${code}' })
  }
  for (const [of, name] of [[fs, 'mkdirSync'], [fs, 'mkdtempSync'], [fs.promises, 'mkdir'], [fs.promises, 'writeFile']]) {
    const original = of[name]
    of[name] = of === fs
      ? (path, ...rest) => { refuse(path); return original(path, ...rest) }
      : async (path, ...rest) => { refuse(path); return original(path, ...rest) }
  }
  syncBuiltinESMExports()`

test.each([
  ['ENOSPC', 'exists', ''],
  ['ENOSPC', 'cannot be created', 'not/yet/there'],
  ['EDQUOT', 'exists', ''],
])(
  'with a disk that is full at the start (%s), and a cache folder that %s, the app warns, and stores files once it can',
  async (code, _what, below) => {
    const folder = await mkdtemp(join(tmpdir(), 'disk-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const full = `${folder}.full`
    await writeFile(full, '')
    onTestFinished(() => rm(full, { force: true }))
    const preload = encodeURIComponent(fullDisk(folder, full, code))
    const cacheDir = join(folder, below)
    const app = await startApp({ CACHE_DIR: cacheDir, NODE_OPTIONS: `--import=data:text/javascript,${preload}` })
    onTestFinished(() => app.stop())
    expect(app.output.stdout).toMatch(/"level":40,.*"msg":"CACHE_DIR [^"]*full/)

    async function newAvatar(seed: string): Promise<number> {
      const visitor = agent(app.url).redirects(0)
      const callback = await agreeAtDiscord(await leave(visitor, { style: 'rings', seed }))
      expect((await comeBack(visitor, callback)).headers.location).toBe('/show_avatar')
      const id = shownAvatar((await visitor.get('/show_avatar')).text)
      return (await visitor.get(`/avatars/${id}.svg`)).status
    }
    expect(await newAvatar('meanwhile')).toBe(200)
    expect((await fetch(`${app.url}/readyz`)).status).toBe(200)

    await rm(full)
    expect(await newAvatar('afterwards')).toBe(200)
    const written = await readdir(cacheDir, { recursive: true })
    expect(written.filter((name) => name.endsWith('.svg'))).toHaveLength(1)
  },
)

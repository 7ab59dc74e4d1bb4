import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { drawEmbedded } from '../../src/avatar/embedded.ts'
import { drawInWorker } from '../../src/avatar/worker.ts'
import { styleList } from '../support/drawn.ts'

const choice = { seed: 'fern 🦊', style: 'adventurer', backgroundColor: 'ffd29d', mood: 'happy', animated: false }

test('the worker draws what the library draws on the main thread, for each choice its own picture', async () => {
  const choices = styleList.map(({ name: style }) => ({ ...choice, style, mood: '', animated: true }))
  const drawn = await Promise.all(choices.map(drawInWorker))
  expect(drawn).toEqual(await Promise.all(choices.map(drawEmbedded)))
})

test('a failed drawing affects no other', async () => {
  const [bad, good] = await Promise.allSettled([drawInWorker({ ...choice, style: 'nobody-s' }), drawInWorker(choice)])
  expect(bad).toMatchObject({
    status: 'rejected',
    reason: expect.objectContaining({ message: expect.stringMatching('nobody-s') }),
  })
  expect(good).toEqual({ status: 'fulfilled', value: await drawEmbedded(choice) })
})

test('a style that could not be loaded is loaded the next time', async () => {
  const script = `import { closeSync, openSync } from 'node:fs'
    import { drawEmbedded } from './src/avatar/embedded.ts'
    const draw = (style) => drawEmbedded({ ...${JSON.stringify(choice)}, style, mood: '' })
    await draw('rings')
    const opened = []
    try { for (;;) opened.push(openSync('/dev/null')) } catch {}
    const failure = await draw('adventurer').catch((error) => error)
    for (const file of opened) closeSync(file)
    console.log(failure.code, (await draw('adventurer')).slice(0, 5))`
  // At most a hundred open files.
  const shell = ['-c', 'ulimit -n 100; exec "$0" --input-type=module --eval "$1"', process.execPath, script]
  expect((await promisify(execFile)('sh', shell)).stdout).toBe('EMFILE <svg \n')
})

test('previews are drawn in the worker, and an idle worker does not keep the process alive', async () => {
  // Nothing can be drawn on the main thread: the worker loads the library for itself.
  const script = `import { Avatar } from '@dicebear/core'
    import { drawInWorker } from './src/avatar/worker.ts'
    Avatar.prototype.toString = () => { throw new Error('drawn on the main thread') }
    console.log((await drawInWorker(${JSON.stringify(choice)})).length)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
  expect(Number(stdout)).toBe((await drawEmbedded(choice)).length)
})

test('SVGs from outside are checked in the worker, which returns what is wrong with one', async () => {
  // Nothing can be parsed on the main thread.
  const script = `import { SaxesParser } from 'saxes'
    import { checkInWorker } from './src/avatar/worker.ts'
    SaxesParser.prototype.write = () => { throw new Error('checked on the main thread') }
    const check = (inside) => checkInWorker(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg">' + inside + '</svg>'))
    console.log([await check('<g/>'), await check('<script/>')].map(String).join(', '))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
  expect(stdout).toBe('undefined, element script\n')
})

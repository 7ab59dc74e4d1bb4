import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { drawEmbedded } from '../src/avatar/embedded.ts'
import { drawInThread } from '../src/avatar/thread.ts'
import { styleList } from './support/drawn.ts'

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

test('the thread keeps no process from its end', async () => {
  const script = `import { drawInThread } from './src/avatar/thread.ts'
    console.log(String(await drawInThread(${JSON.stringify(choice)})).length)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
  expect(Number(stdout)).toBe((await drawEmbedded(choice)).length)
})

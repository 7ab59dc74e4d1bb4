// The pictures that are kept in memory, beside their files.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createAvatars } from '../../src/avatar/avatars.ts'
import { openFileCache } from '../../src/avatar/file-cache.ts'

const choice = { seed: 'fern', style: 'adventurer', backgroundColor: 'ffd29d', mood: '', animated: false }
const svg = '<svg xmlns="http://www.w3.org/2000/svg"><text>“fern”</text></svg>'

async function openAvatars(askDiceBear: (() => Promise<Buffer>) | undefined) {
  const folder = await mkdtemp(join(tmpdir(), 'avatars-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const onTrouble = (error: unknown) => {
    throw error
  }
  const cache = await openFileCache({ folder, maxBytes: 2 ** 30, onTrouble })
  onTestFinished(() => cache.close())
  return createAvatars({ askDiceBear, cache, onRead: () => undefined, onFallback: onTrouble })
}

test.each([
  { from: 'DiceBear', ask: async () => Buffer.from(svg) },
  { from: 'the library', ask: undefined },
])('what is kept of a picture from $from is its bytes alone, not the pool that they came in', async ({ ask }) => {
  const avatars = await openAvatars(ask)
  const avatar = await avatars.make(choice, true, performance.now() + 10_000)
  const { svg: kept } = await avatars.svg(avatar)
  expect(kept.toString()).toMatch(/^<svg .*<\/svg>$/s)
  expect(kept.buffer.byteLength).toBe(kept.length)
})

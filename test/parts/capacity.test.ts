import os from 'node:os'
import { agent } from 'supertest'
import { expect, onTestFinished, test, vi } from 'vitest'
import { availableMemoryMb, capacityFor } from '../../src/capacity.ts'
import { agreeAtDiscord } from '../support/consent.ts'
import { comeBack, leave, shownAvatar } from '../support/open-app.ts'
import { childrenOf } from '../support/renderers.ts'
import { startApp } from '../support/start-app.ts'

/** Starts the app with a memory limit like that of a container's control group. */
async function startedWith(memoryMb: number) {
  const code = `process.constrainedMemory = () => ${memoryMb} * 1024 * 1024`
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(code)}`
  const app = await startApp({ DICEBEAR_URL: 'embedded', TRUST_PROXY: 'loopback', NODE_OPTIONS })
  onTestFinished(() => app.stop())
  return app
}

/** Signs in a visitor with an avatar. Returns a function that requests the avatar as a PNG. */
async function signedIn(url: string, address: string, style: string) {
  const visitor = agent(url).redirects(0).set('X-Forwarded-For', address)
  await comeBack(visitor, await agreeAtDiscord(await leave(visitor, { seed: 'fern', style })))
  const id = shownAvatar((await visitor.get('/show_avatar')).text)
  return (size: number) => visitor.get(`/avatars/${id}.png?size=${size}`)
}

// The columns: memory, the status of DiceBear's most costly drawing, a blur at 1024 pixels, and the child processes.
test.each([
  [256, 503, 2],
  [384, 200, 2],
  [1024, 200, 3],
])(
  'with %i MB of memory the most costly PNG gets %i, and %i child processes draw all others',
  async (memoryMb, status, processes) => {
    const app = await startedWith(memoryMb)
    const visitors = await Promise.all([
      signedIn(app.url, '192.0.2.1', 'glass'),
      signedIn(app.url, '192.0.2.2', 'adventurer'),
      signedIn(app.url, '192.0.2.3', 'adventurer'),
    ])
    const small = await Promise.all(visitors.map((png) => png(512)))
    expect(small.map((answer) => answer.status)).toEqual([200, 200, 200])
    expect(childrenOf(app.child.pid ?? 0)).toHaveLength(processes)
    const [glass] = visitors
    expect((await glass?.(1024))?.status).toBe(status)
    expect((await visitors[1]?.(1024))?.status).toBe(200)
    // With DICEBEAR_URL=embedded the demo does not call its own DiceBear either.
    expect(app.output.stdout).not.toContain('/demo/dicebear/')
  },
)

test.each([350, 650, 1000])('one megabyte less than %i MB of memory lowers some limits and raises none', (memoryMb) => {
  const [less, more] = [memoryMb - 1, memoryMb].map((mb) => Object.values(capacityFor(mb)))
  const differences = more?.map((limit, place) => limit - (less?.[place] ?? 0)) ?? []
  expect(Math.min(...differences)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...differences)).toBeGreaterThan(0)
})

test.each([
  [649, 1],
  [650, 2],
])('with %i MB of memory %i processes render pictures', (memoryMb, processes) => {
  expect(capacityFor(memoryMb).renderingProcesses).toBe(processes)
})

test.each([256, 350, 650, 1000])(
  'with %i MB the caches may take a tenth, and the processes nine tenths',
  (memoryMb) => {
    const { pictureCacheMb, renderingProcesses, renderingMaxMb, drawingMaxMb } = capacityFor(memoryMb)
    // The previews of the form, those of links, PNGs and GIFs. The latter two caches are twice as large.
    expect((1 + 1 + 2 + 2) * pictureCacheMb).toBeLessThanOrEqual(memoryMb / 10)
    // All processes share 60 MB of files.
    const ownMb = renderingProcesses * (renderingMaxMb - 60) + (drawingMaxMb - 60)
    expect(ownMb).toBeLessThanOrEqual(0.9 * memoryMb)
  },
)

const machineMb = os.totalmem() / 2 ** 20

test.each([
  ['the limit of the control group', 512, 512],
  ['half of the machine’s if there is no limit', 0, machineMb / 2],
  ['half of the machine’s if the limit is larger than the machine', 2 * machineMb, machineMb / 2],
])('the available memory is %s', (_what, limitMb, availableMb) => {
  vi.spyOn(process, 'constrainedMemory').mockReturnValue(limitMb * 2 ** 20)
  onTestFinished(() => void vi.restoreAllMocks())
  expect(availableMemoryMb()).toBeCloseTo(availableMb)
})

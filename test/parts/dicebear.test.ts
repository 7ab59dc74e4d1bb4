// The client of DiceBear's HTTP API against a server that reads queries as DiceBear's strictest version does.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDiceBear } from '../../src/avatar/dicebear.ts'
import { svgProblem } from '../../src/avatar/safe-svg.ts'
import { type Connections, createConnections } from '../../src/upstream/call.ts'
import { type DiceBearDouble, openDiceBear } from '../support/doubles.ts'
import { drawn, moodMap } from '../support/drawn.ts'

const pairs = Object.entries(moodMap.styles).flatMap(([style, moods]) =>
  Object.keys(moods).map((mood) => ({ style, mood })),
)

let double: DiceBearDouble
let connections: Connections
let askDiceBear: ReturnType<typeof createDiceBear>
beforeAll(async () => {
  double = await openDiceBear()
  connections = createConnections()
  const check = async (svg: Buffer) => svgProblem(svg)
  askDiceBear = createDiceBear({ url: double.apiUrl, userAgent: 'a test', timeoutMs: 15_000, connections, check })
})
afterAll(async () => {
  connections.close()
  await double.close()
})

const choice = { seed: 'fern', style: 'lorelei', mood: '', backgroundColor: 'ffd29d', animated: false }

describe('DiceBear’s HTTP API', () => {
  test('accepts every mood of every style, and draws what the library draws', async () => {
    expect(pairs).toHaveLength(238)
    for (const pair of pairs) {
      const svg = await askDiceBear({ ...choice, ...pair })
      expect(String(svg), `${pair.style}, ${pair.mood}`).toBe(drawn({ ...choice, ...pair, animated: '' }))
    }
  })

  test.each(['a,b', ',', 'fern, moss & co', '100%25', 'a+b c', '🦊&seed=x#y'])(
    'takes the seed %s as one',
    async (seed) => {
      expect(String(await askDiceBear({ ...choice, seed }))).toBe(drawn({ ...choice, seed, animated: '' }))
    },
  )

  test('refuses a list whose comma is encoded', async () => {
    const { status } = await fetch(`${double.apiUrl}/lorelei/svg?mouthVariant=happy01%2Chappy02`)
    expect(status).toBe(400)
  })
})

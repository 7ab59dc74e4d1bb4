// Tests the client of DiceBear's HTTP API with a server that reads queries as strictly as the real API.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { avatarId } from '../../src/avatar/avatars.ts'
import { createDiceBear } from '../../src/avatar/dicebear.ts'
import { maxVariants } from '../../src/avatar/parts.ts'
import { svgProblem } from '../../src/avatar/safe-svg.ts'
import { DiceBearRefused, DiceBearUnavailable, UnsafeSvg } from '../../src/errors.ts'
import { readForm } from '../../src/pages/form.ts'
import { type Connections, createConnections } from '../../src/upstream/call.ts'
import { at, type DiceBearDouble, openDiceBear } from '../support/doubles.ts'
import { drawn, moodMap, styleList } from '../support/drawn.ts'
import { type Fault, faults } from '../support/faults.ts'
import { partTable } from '../support/parts.ts'

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

/** Random pinned parts and colours of a random style, as form fields. */
const Pinned = fc.constantFrom(...styleList).chain(({ name: style, moods }) => {
  const { parts, colours } = partTable[style] ?? { parts: [], colours: [] }
  const ofParts = parts.map(({ name, optional, variants }): [string, fc.Arbitrary<string>] => {
    const one = fc.constantFrom(...variants, ...(optional ? ['none'] : []))
    const several = fc
      .subarray(variants, { minLength: 1, maxLength: Math.min(variants.length, maxVariants) })
      .map((names) => names.join(','))
    return [`${name}Variant`, fc.oneof(one, several)]
  })
  const ofColours = colours.map(({ name }): [string, fc.Arbitrary<string>] => [
    `${name}Color`,
    fc.stringMatching(/^#?[0-9a-fA-F]{6}$/),
  ])
  return fc.record({
    style: fc.constant(style),
    seed: fc.string({ maxLength: 20 }),
    mood: fc.constantFrom('', ...moods),
    pins: fc.record(Object.fromEntries([...ofParts, ...ofColours]), { requiredKeys: [] }),
  })
})

/** Each option of framing and background by itself, and all together. */
const framings: Record<string, string>[] = [
  { backgroundColor: 'own' },
  { backgroundColorFill: 'linear', backgroundColor2: '#A9D6F5' },
  { backgroundColorFill: 'radial', backgroundColor2: 'a9d6f5', backgroundColorAngle: '-30' },
  { scale: '0.85' },
  { translateX: '-12.5' },
  { translateY: '50' },
  { rotate: '-45' },
  { flip: 'horizontal' },
  { flip: 'vertical' },
  {
    backgroundColorFill: 'linear',
    backgroundColor2: '263239',
    backgroundColorAngle: '360',
    scale: '1.25',
    translateX: '3',
    translateY: '-7.25',
    rotate: '8',
    flip: 'both',
  },
]

test.each([
  [
    ['fern', 'adventurer', 'ffd29d', 'happy', false],
    '6126af50d5493b60bc5e5e9f124ab42628d562c781153d627ac5c26b00cb6059',
  ],
  [['Zoë, 🦊', 'lorelei', '', 'sleepy', false], 'af1cd294d4d014e6ef8c49191e0b6ec747083db09333634e314b95e921a99781'],
  [['fern', 'glass', '', '', false], 'a019a5594b3088528aa8d11052f39969b411140258d95cf802fe588af71629ab'],
  [['fern', 'constellation', '', '', true], 'b933971185555fd3bd6fe4e0fd5323db1a208fc780c06068222ae73f59f58e0e'],
  [['a,b', 'rings', 'a9d6f5', '', false], '28c961e2eecd08c124b515f7ac9f6eb8845cd2bfc99323c514b9371afcb2586c'],
  [
    ['kit', 'big-smile', 'ffffff', 'playful', false],
    '6508a6c283cc359f8562dda50f55ac3a96f5ea00e659b045fe7ca9aa9aa037ec',
  ],
  [['Ada', 'initials', '347a9d', '', false], 'da3dac78277c06c85ee99c5f8c9da640a9d62b5a8f1d9bb0efd845e8f3b92543'],
  [['moss', 'voxel-art', '263239', 'angry', false], '2251c737db5dbac4c56d5a3834723f95023fd548a000d9205ed1e1a602a164ee'],
  [
    ['otter', 'big-ears', 'c9c3f5', 'surprised', false],
    'f392ef2b085d592d3c5369c231d95504dd7f5d6b86d601b3570c2e3fb41a5fcb',
  ],
  [['fern', 'sprouts', '', '', true], 'e77731dd88721bb9fb278b016a39992b8e93acb9100b401095aa2cd2b127a6f9'],
] as const)(
  '%o has the id that it has always had, also with every default written out',
  ([seed, style, backgroundColor, mood, animated], id) => {
    const sent = { seed, style, backgroundColor, mood, animated: animated ? 'on' : '' }
    const defaults = {
      backgroundColorFill: 'solid',
      backgroundColor2: 'a9d6f5',
      backgroundColorAngle: '90',
      scale: '1.0',
      translateX: '0',
      translateY: '-0',
      rotate: '0.00',
      flip: 'none',
    }
    for (const form of [sent, { ...sent, ...defaults }]) {
      const { choice } = readForm(form)
      expect(choice && avatarId(choice)).toBe(id)
    }
  },
)

describe('DiceBear’s HTTP API', () => {
  test('accepts every mood of every style, and draws what the library draws', async () => {
    expect(pairs).toHaveLength(238)
    for (const pair of pairs) {
      const svg = await askDiceBear({ ...choice, ...pair })
      expect(String(svg), `${pair.style}, ${pair.mood}`).toBe(drawn({ ...choice, ...pair, animated: '' }))
    }
  })

  test.each(styleList)('draws $name with each background and framing as the library draws it', async ({ name }) => {
    const plain = { seed: 'fern', style: name, backgroundColor: 'ffd29d' }
    const pictures = new Set([drawn(plain)])
    for (const framing of framings) {
      const { choice } = readForm({ ...plain, ...framing })
      if (choice === undefined) throw new Error(`refused: ${JSON.stringify(framing)}`)
      const svg = String(await askDiceBear(choice))
      expect([framing, svg]).toEqual([framing, drawn({ ...plain, ...framing })])
      pictures.add(svg)
    }
    expect(pictures.size).toBe(framings.length + 1)
  })

  test('draws any parts and colours of any style as the library draws them', async () => {
    const seen = new Set<string>()
    const property = fc.asyncProperty(Pinned, async ({ pins, ...look }) => {
      const { choice } = readForm({ ...look, ...pins })
      if (choice === undefined) throw new Error(`refused: ${JSON.stringify({ ...look, ...pins })}`)
      expect(String(await askDiceBear(choice))).toBe(drawn({ ...look, seed: choice.seed }, choice.pins))
      expect(Object.keys(choice.pins ?? {}).sort()).toEqual(Object.keys(pins).sort())
      seen.add(look.style)
    })
    await fc.assert(property, { numRuns: 150 })
    expect(seen.size).toBeGreaterThan(40)
  }, 60_000)

  test('draws the longest list of variants that the form accepts', async () => {
    const icons = partTable.icons?.parts[0]?.variants.slice(0, maxVariants) ?? []
    const { choice } = readForm({ style: 'icons', seed: 'fern', iconVariant: icons.join() })
    if (choice === undefined) throw new Error('refused')
    const svg = String(await askDiceBear(choice))
    expect(svg).toBe(drawn({ style: 'icons', seed: 'fern' }, { iconVariant: icons.join() }))
    expect(svg).not.toBe(drawn({ style: 'icons', seed: 'fern' }))
  })

  test.each(['a,b', ',', 'fern, moss & co', '100%25', 'a+b c', '🦊&seed=x#y'])(
    'does not split the seed %s',
    async (seed) => {
      expect(String(await askDiceBear({ ...choice, seed }))).toBe(drawn({ ...choice, seed, animated: '' }))
    },
  )

  test('is told which app asks, and for what', async () => {
    await askDiceBear({ ...choice, seed: 'who asks' })
    expect(double.calls.at(-1)?.headers).toMatchObject({ accept: 'image/svg+xml', 'user-agent': 'a test' })
  })

  const svgType = { 'content-type': 'image/svg+xml; charset=utf-8' }
  const small = '<svg xmlns="http://www.w3.org/2000/svg"/>'
  test.each<[string, Fault, new () => Error, string]>([
    [
      'a part of a picture',
      faults.answer(206, small, svgType),
      DiceBearUnavailable,
      'answered 206, image/svg+xml; charset=utf-8',
    ],
    [
      'another type',
      faults.wrongType(small, `text/html; not=image/svg+xml; ${'x'.repeat(99)}`),
      DiceBearUnavailable,
      `answered 200, text/html; not=image/svg+xml; ${'x'.repeat(10)}`,
    ],
    ['a status of 500', faults.answer(500, small, svgType), DiceBearUnavailable, 'no picture'],
    [
      'a status of 400',
      faults.answer(400, small, svgType),
      DiceBearRefused,
      'answered 400 (style lorelei, mood happy)',
    ],
    ['a script', faults.answer(200, small.replace('/>', '><script/></svg>'), svgType), UnsafeSvg, 'element script'],
  ])('may send %s, which is refused with its reason', async (_, fault, kind, message) => {
    double.fail(at.svg, fault, { times: 1 })
    const failure = await askDiceBear({ ...choice, mood: 'happy' }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(kind)
    expect(failure).toMatchObject({ message })
  })

  test('may name a character encoding with its type', async () => {
    double.fail(at.svg, faults.answer(200, small, svgType), { times: 1 })
    expect(String(await askDiceBear(choice))).toBe(small)
  })

  test('refuses a list whose comma is encoded', async () => {
    const { status } = await fetch(`${double.apiUrl}/lorelei/svg?mouthVariant=happy01%2Chappy02`)
    expect(status).toBe(400)
  })
})

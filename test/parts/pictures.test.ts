// The modules that render pictures, with small drawings in which every pixel is known.
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { drawCard } from '../../src/pictures/card.ts'
import { framesOf } from '../../src/pictures/frames.ts'
import { drawGif } from '../../src/pictures/gif.ts'
import { createPictureCache } from '../../src/pictures/picture-cache.ts'
import { drawPng } from '../../src/pictures/png.ts'

const svg = (content: string, viewBox = '0 0 100 100') =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${viewBox}">${content}</svg>`

/** Returns a function that reads the colour of a pixel, as hex digits with the opacity. */
async function pixelsOf(png: Buffer) {
  const { data, info } = await sharp(png).ensureAlpha().raw().toBuffer({ resolveWithObject: true })
  const colourAt = (x: number, y: number) =>
    data.toString('hex', 4 * (y * info.width + x), 4 * (y * info.width + x) + 4)
  return { ...info, colourAt }
}

describe('the picture of a link preview', () => {
  const [red, title, subtitle] = ['ff0000ff', 'f3f0eaff', 'b6c4c9ff']

  test('has the avatar in a circle on the left, and beside it the title above the subtitle, in the middle', async () => {
    const avatar = svg('<path d="M0 0h100v100H0z" fill="#f00"/>')
    const { colourAt, width, height } = await pixelsOf(
      await drawCard(avatar, 'A title of more than a line', 'A subtitle'),
    )

    /** Returns the edges of all pixels of this colour. */
    function edgesOf(colour: string) {
      const found = { left: width, top: height, right: 0, bottom: 0 }
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          if (colourAt(x, y) !== colour) continue
          found.left = Math.min(found.left, x)
          found.right = Math.max(found.right, x)
          found.top = Math.min(found.top, y)
          found.bottom = y
        }
      }
      return found
    }

    const [circle, first, second] = [red, title, subtitle].map(edgesOf)
    if (!circle || !first || !second) throw new Error('unreachable')
    const edges = [circle.left, circle.right, circle.top, circle.bottom]
    expect(edges.map((edge) => 10 * Math.round(edge / 10))).toEqual([80, 550, 80, 550])
    // The corners beside the circle show the card.
    expect([colourAt(circle.left, circle.top), colourAt(circle.right, circle.bottom)]).toEqual(['10181bff', '10181bff'])
    for (const text of [first, second]) {
      expect(text.left).toBeGreaterThanOrEqual(circle.right + 80)
      expect(text.left).toBeLessThan(circle.right + 90)
      expect(text.right).toBeLessThanOrEqual(width - 80)
    }
    expect(second.top - first.bottom).toBeGreaterThan(20)
    expect(second.top - first.bottom).toBeLessThan(50)
    expect(Math.abs(first.top + second.bottom - height)).toBeLessThan(20)
    expect(second.right - second.left).toBeLessThan(200)
    // Of letters of 34 pixels, without those that reach below the line.
    expect(second.bottom - second.top).toBeGreaterThan(22)
    // The title has two lines, and its letters are larger.
    expect(first.bottom - first.top).toBeGreaterThan(3 * (second.bottom - second.top))
  })

  test('has its title in bold', async () => {
    const { colourAt, width, height } = await pixelsOf(await drawCard(svg(''), 'l', 'l'))
    const columns = Array.from({ length: width }, (_, x) => x)
    // At this height is the stroke of the title's letter, 9 pixels wide. Without bold it would be 5.
    expect(columns.filter((x) => colourAt(x, height / 2 - 20) === title).length).toBeGreaterThan(7)
  })
})

describe('a PNG', () => {
  test.each(['0 0 200 100', '0 0 100 200'])(
    'of a drawing that is not square shows all of it, on a transparent ground: %s',
    async (viewBox) => {
      const isWide = viewBox.startsWith('0 0 200')
      const { colourAt } = await pixelsOf(await drawPng(svg('<path d="M0 0h200v200H0z" fill="#f00"/>', viewBox), 128))
      const places = [1, 64, 126].map((place) => (isWide ? colourAt(64, place) : colourAt(place, 64)))
      expect(places).toEqual(['00000000', 'ff0000ff', '00000000'])
      expect([isWide ? colourAt(1, 64) : colourAt(64, 1), isWide ? colourAt(126, 64) : colourAt(64, 126)]).toEqual([
        'ff0000ff',
        'ff0000ff',
      ])
    },
  )
})

/** An SVG in which a drawing with the class "a" moves. */
const moving = (css: string, content = '<path d="M0 0h10v10H0z"/>') =>
  svg(`<style>${css}</style><g class="a">${content}</g>`)

describe('an animation', () => {
  /** Returns the attributes of the animated group after this many iterations. */
  function attributesAt(css: string, iterations: number, content?: string) {
    const still = framesOf(moving(css, content)).at(() => iterations)
    return Object.fromEntries(
      [...still.matchAll(/<g class="a"([^>]*)>/g)].flatMap(([, text = '']) => {
        return [...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value = '']) => [
          name,
          value.replaceAll('translate(0 0)', '').trim(),
        ])
      }),
    )
  }
  const to = (transform: string) => `@keyframes k{to{transform:${transform}}}.a{animation:k 2s linear infinite}`

  test.each([
    ['rotate(90deg)', 'rotate(45)'],
    ['translate(8px)', 'translate(4 0)'],
    ['translate(8px,4px)', 'translate(4 2)'],
    ['translateX(8px)', 'translate(4 0)'],
    ['translateY(8px)', 'translate(0 4)'],
    ['scale(3)', 'scale(2 2)'],
    ['scale(3,1)', 'scale(2 1)'],
    ['scaleY(3)', 'scale(1 2)'],
    ['translate(8px,4px) rotate(90deg)', 'translate(4 2) rotate(45)'],
  ])('without a first keyframe begins with the untransformed drawing: %s', (transform, half) => {
    expect(attributesAt(to(transform), 0.5)).toEqual({ transform: half })
  })

  test('without a last keyframe ends with the original drawing, and each iteration is the same', () => {
    const css = '@keyframes k{from{opacity:.5}}.a{animation:k 2s linear infinite}'
    expect([0, 0.5, 1, 2.5].map((iterations) => attributesAt(css, iterations).opacity)).toEqual([
      '0.5',
      '0.75',
      '0.5',
      '0.75',
    ])
    // A negative number is a moment before the start.
    expect(attributesAt(css, -0.5)).toEqual({ opacity: '0.75' })
  })

  test('may change place and opacity at once, and be in a stylesheet of its own', () => {
    const css = '@keyframes k{to{transform:rotate(90deg);opacity:0}}.a{animation:k 2s linear infinite}'
    expect(attributesAt(css, 0.5)).toEqual({ transform: 'rotate(45)', opacity: '0.5' })
    const second = '<style>.b{animation:k 3s linear infinite}</style><path class="b" d="M0 0h9v9z"/>'
    expect(framesOf(moving(css, second)).timings).toMatchObject([{ periodMs: 2000 }, { periodMs: 3000 }])
  })

  // Compare https://cubic-bezier.com
  test.each([
    ['', 0.8],
    ['ease', 0.8],
    ['linear', 0.5],
    ['ease-in', 0.32],
    ['ease-out', 0.68],
    ['ease-in-out', 0.5],
    ['step-end', 0],
  ])('has the timing function “%s” of CSS, in the rule or in a keyframe', (easing, half) => {
    const keyframes = (more: string) => `@keyframes k{from{opacity:0;${more}}to{opacity:1}}`
    const rule = `${keyframes('')}.a{animation:k 2s ${easing} infinite}`
    expect(Number(attributesAt(rule, 0.5).opacity)).toBeCloseTo(half, 1)
    const keyframe = `${keyframes(easing && `animation-timing-function:${easing}`)}.a{animation:k 2s infinite}`
    expect(Number(attributesAt(keyframe, 0.5).opacity)).toBeCloseTo(half, 1)
    expect(Number(attributesAt(rule, 0.25).opacity) < 0.25).toBe(/^(ease-in|ease-in-out|step-end)$/.test(easing))
  })

  test.each<[string, string, string]>([
    ['a path', '<path d="M20 20h20v40z"/>', '30 40'],
    ['a circle', '<circle cx="20" cy="30" r="5"/>', '20 30'],
    ['an ellipse', '<ellipse cx="20" cy="30" rx="5" ry="9"/>', '20 30'],
    ['a rectangle', '<rect x="20" y="30" width="10" height="20"/>', '25 40'],
    ['two shapes', '<circle r="5"/><circle cx="20" cy="30" r="5"/>', '10 15'],
    ['two shapes in another order', '<circle cx="20" cy="30" r="5"/><circle r="5"/>', '10 15'],
    ['a transformed shape', '<g transform="translate(9 9)"><circle r="5"/></g>', '9 9'],
    ['a repeated drawing', '<defs><circle id="c" cx="2" r="5"/></defs><use href="#c" x="10" y="20"/>', '12 20'],
    [
      'a clipped shape',
      '<clipPath><circle r="90"/></clipPath><mask><circle r="90"/></mask><circle cx="9" r="5"/>',
      '9 0',
    ],
    ['nothing', '', '0 0'],
  ])('turns around the middle of its drawing, if the style says so: %s', (_, content, middle) => {
    const css = `${to('rotate(90deg)')}.a{transform-box:fill-box;transform-origin:center}`
    const [x, y] = middle.split(' ').map(Number)
    const expected = `translate(${x} ${y}) rotate(45) translate(${x && -x} ${y && -y})`
    expect(attributesAt(css, 0.5, content).transform?.replaceAll('-0', '0')).toBe(
      expected.replaceAll('translate(0 0)', '').trim(),
    )
  })

  test.each([
    ['50% 100%', '25 50'],
    ['10px 20px', '30 50'],
    ['10px', '30 40'], // in CSS a missing second value is the middle
    ['0 0', '20 30'],
  ])('turns around the point %s of its drawing', (origin, point) => {
    const css = `${to('rotate(90deg)')}.a{transform-box:fill-box;transform-origin:${origin}}`
    expect(attributesAt(css, 0.5, '<rect x="20" y="30" width="10" height="20"/>').transform).toMatch(
      `translate(${point})`,
    )
  })

  test('turns around a point of the whole picture, if the style does not say otherwise', () => {
    const css = `${to('rotate(90deg)')}.a{transform-origin:10px 20px}`
    const rect = '<rect x="20" y="30" width="10" height="20"/>'
    expect(attributesAt(css, 0.5, rect).transform).toBe('translate(10 20) rotate(45) translate(-10 -20)')
    expect(attributesAt(to('rotate(90deg)'), 0.5, rect).transform).toBe('rotate(45)')
  })

  test('may have a name that ends like a time', () => {
    const css = '@keyframes k4s{to{opacity:0}}.a{animation:k4s 2s linear infinite}'
    expect(framesOf(moving(css)).timings).toMatchObject([{ periodMs: 2000, delayMs: 0 }])
    expect(attributesAt(css, 0.5).opacity).toBe('0.5')
  })

  test('with a transform that is no function is refused', () => {
    expect(() => attributesAt(to('none'), 0.5)).toThrow('unsupported animation: none')
  })

  test.each(['k 2s linear infinite alternate', 'k 0s linear infinite', 'k linear infinite'])(
    'that is not understood is refused: %s',
    (animation) => {
      const css = `@keyframes k{to{opacity:0}}.a{animation:${animation}}`
      expect(() => framesOf(moving(css))).toThrow(`unsupported animation: ${animation}`)
    },
  )

  test.each([
    ['rotate(9deg)', 'scale(2)'],
    ['translate(8px)', 'translate(8px,4px)'],
  ])('from one function to another is refused: from %s to %s', (from, last) => {
    const css = `@keyframes k{from{transform:${from}}to{transform:${last}}}.a{animation:k 2s linear infinite}`
    expect(() => attributesAt(css, 0.5)).toThrow(
      /^unsupported animation: from (rotate to scale|translate to translate)$/,
    )
  })

  test('has the time and the delay that its style sets with a custom property of the whole picture', () => {
    const css =
      'svg:has(.a){--t:.5}.b{--t:9}@keyframes k{to{opacity:0}}.a{animation:k calc(var(--t,1)*4s) linear infinite calc(var(--u,1)*3s)}'
    // The classes of the shapes begin like that of the group, but are others.
    const content = '<path class="b" d="M0 0h9v9z"/><path class="ab" d="M0 0h9v9z"/>'
    expect(framesOf(moving(css, content)).timings).toMatchObject([{ periodMs: 2000, delayMs: 3000 }])
  })
})

describe('a GIF of a simple drawing', () => {
  /** A red square that moves to the right within this time, on a blue ground. */
  const sliding = (seconds: number, delay = '') =>
    svg(`<style>@keyframes k{to{transform:translateX(80px)}}.a{animation:k ${seconds}s linear infinite ${delay}}</style>
      <path d="M0 0h100v100H0z" fill="#00f"/><path class="a" d="M0 0h10v100H0z" fill="#f00"/>`)

  async function read(gif: Buffer) {
    const { delay = [] } = await sharp(gif, { animated: true }).metadata()
    /** Returns how red the picture is, from 0 to 255, at a place and a time in milliseconds. */
    async function redAt(x: number, timeMs: number): Promise<number> {
      const ends = delay.map((_, page) => delay.slice(0, page + 1).reduce((sum, one) => sum + one, 0))
      const page = ends.findIndex((end) => end > timeMs)
      const { colourAt } = await pixelsOf(await sharp(gif, { page }).png().toBuffer())
      return Number.parseInt(colourAt(Math.round(2.56 * x), 128).slice(0, 2), 16)
    }
    return { lastsMs: delay.reduce((sum, one) => sum + one, 0), redAt }
  }

  test.each([
    [2, 4000], // twice
    [9.6, 8000], // faster, so that it runs once
    [9.7, 6000], // as fast as it is; the end fades into the beginning
  ])(
    'with an animation of %f s runs it a whole number of times, if its speed need not change much',
    async (seconds, ms) => {
      expect((await read(await drawGif(sliding(seconds)))).lastsMs).toBe(ms)
    },
  )

  test('shows at each time what the SVG shows, and begins an animation with a delay in the middle', async () => {
    const { redAt } = await read(await drawGif(sliding(4, '1s')))
    // At the start three quarters of an iteration have passed.
    for (const [timeMs, left] of [
      [0, 60],
      [500, 70],
      [1040, 1],
      [2000, 20],
      [3960, 59],
    ] as const) {
      expect([timeMs, await redAt(left + 5, timeMs)]).toEqual([timeMs, expect.closeTo(255, -2)])
      expect([timeMs, await redAt(left + 15, timeMs)]).toEqual([timeMs, 0])
      if (left > 10) expect([timeMs, await redAt(left - 5, timeMs)]).toEqual([timeMs, 0])
    }
  })

  test('fades in its last second into the frames that come before its beginning', async () => {
    const { lastsMs, redAt } = await read(await drawGif(sliding(20)))
    expect(lastsMs).toBe(6000)
    // At the end of the iteration before, the square is on the right.
    const onTheRight = await Promise.all([5040, 5520, 5920].map((timeMs) => redAt(85, timeMs)))
    for (const [i, red] of [0, 128, 234].entries()) expect([i, onTheRight[i]]).toEqual([i, expect.closeTo(red, -1.7)])
  })

  test.each([
    [15, '00000000'],
    [25, 'ffffffff'],
  ])('of which %i percent are translucent has this ground: %s', async (percent, ground) => {
    const translucent = `<path d="M0 0h${percent}v100H0z" fill="#00f" fill-opacity=".5"/>`
    const { colourAt } = await pixelsOf(await drawGif(svg(translucent)))
    expect(colourAt(250, 128)).toBe(ground)
  })
})

describe('a cache of pictures', () => {
  const picture = (size: number) => ({ bytes: Buffer.alloc(size), etag: '"x"' })

  test('keeps the pictures that were asked for last, within its limit of bytes', async () => {
    const drawn: string[] = []
    const cache = createPictureCache({ maxBytes: 1000, onLookup: () => undefined })
    const ask = (key: string) =>
      cache(key, async () => {
        drawn.push(key)
        return picture(300)
      })
    for (const key of ['a', 'b', 'c', 'a', 'd', 'a', 'c', 'b']) await ask(key)
    expect(drawn).toEqual(['a', 'b', 'c', 'd', 'b'])
  })

  test('counts the keys, which may be longer than the pictures', async () => {
    const drawn: string[] = []
    const cache = createPictureCache({ maxBytes: 1000, onLookup: () => undefined })
    for (const name of ['a', 'b', 'c', 'd', 'a']) {
      await cache(name.repeat(300), async () => {
        drawn.push(name)
        return picture(1)
      })
    }
    expect(drawn.join('')).toBe('abcda')
  })

  test('returns a picture that is larger than its limit, and does not keep it', async () => {
    const found: boolean[] = []
    const cache = createPictureCache({ maxBytes: 1000, onLookup: (one) => found.push(one) })
    for (const _ of [1, 2]) expect((await cache('large', async () => picture(1001))).bytes).toHaveLength(1001)
    expect(found).toEqual([false, false])
  })
})

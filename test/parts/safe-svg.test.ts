import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Avatar, Style } from '@dicebear/core'
import fc from 'fast-check'
import { XmlDocument, XmlElement } from 'libxml2-wasm'
import { describe, expect, test } from 'vitest'
import { moodOptions, moods } from '../../src/avatar/catalogue.ts'
import { DECLARATION_TOKENS, STYLESHEET_TOKENS, VALUE_TOKENS } from '../../src/avatar/safe-css.ts'
import { ATTRIBUTES, checkSvg, ELEMENTS, MAX_SVG_BYTES, METADATA, NAMESPACES, ROOT } from '../../src/avatar/safe-svg.ts'
import { COST_KINDS, MAX_COST } from '../../src/avatar/svg-cost.ts'
import { UnsafeSvg } from '../../src/errors.ts'

type Options = Record<string, unknown>

// The styles of the package itself, not of src/avatar/catalogue.ts, so that a new style is tested first of all here.
const folder = join(import.meta.dirname, '../../node_modules/@dicebear/styles/dist')
const styles = new Map(
  readdirSync(folder)
    .filter((file) => file.endsWith('.min.json'))
    .map((file) => [
      file.replace('.min.json', ''),
      new Style<unknown>(JSON.parse(readFileSync(join(folder, file), 'utf8'))),
    ]),
)

function draw(name: string, options: Options): string {
  const style = styles.get(name)
  if (!style) throw new Error(`no style ${name}`)
  return new Avatar(style, options).toString()
}

/** Returns the options that draw this variant of a part. */
const only = (part: { sourceName(): string }, variant: string | undefined): Options => ({
  [`${part.sourceName()}Variant`]: variant,
  [`${part.sourceName()}Probability`]: 100,
})

/** Returns drawings with each common option and mood for a few seeds, and with each variant and colour by itself. */
function everyDrawing(name: string): string[] {
  const drawn = drawnBefore.get(name) ?? drawEvery(name)
  drawnBefore.set(name, drawn)
  return drawn
}
const drawnBefore = new Map<string, string[]>()

function drawEvery(name: string): string[] {
  const colours = ['b6e3f4', 'c0aede', 'ffd5dc']
  const common: Options[] = [
    {},
    { backgroundColor: 'b6e3f4' },
    { backgroundColor: 'ffffff00' },
    { backgroundColor: colours, backgroundColorFill: 'linear', backgroundColorAngle: 30 },
    { backgroundColor: colours, backgroundColorFill: 'radial' },
    { tags: ['animation'] },
    { tags: ['animation'], backgroundColor: 'ffffff00', idRandomization: true },
    { size: 128, flip: 'both', rotate: 10, scale: 0.9, translateX: 5, borderRadius: 50 },
    ...moods.map((mood) => ({ ...moodOptions(name, mood), tags: ['animation'] })),
  ]
  const style = styles.get(name)
  const variants: Options[] = [...(style?.components().values() ?? [])].flatMap((part) =>
    [...part.variants().keys()].map((variant) => only(part, variant)),
  )
  const gradients: Options[] = [...(style?.colors().keys() ?? [])].flatMap((colour) => [
    { [`${colour}ColorFill`]: 'linear', [`${colour}ColorAngle`]: 30 },
    { [`${colour}ColorFill`]: 'radial' },
  ])
  return [
    ...common.flatMap((options) => ['Ada', 'Bo', 'C3-PO'].map((seed) => draw(name, { seed, ...options }))),
    ...[...variants, ...gradients].map((options) => draw(name, { seed: 'Ada', ...options })),
  ]
}

/** For each kind of cost, returns drawings that combine the most costly variant of every part. */
function costliestTogether(name: string): string[] {
  const parts = [...(styles.get(name)?.components().values() ?? [])].map((part) =>
    [...part.variants().keys()].map((variant) => {
      const options = only(part, variant)
      return { options, cost: checkSvg(draw(name, { seed: 'Ada', ...options })) }
    }),
  )
  return COST_KINDS.flatMap((kind) => {
    const costliest = parts.map((variants) => variants.toSorted((a, b) => b.cost[kind] - a.cost[kind])[0]?.options)
    const options = Object.fromEntries(costliest.flatMap((one) => Object.entries(one ?? {})))
    return ['Ada', 'Bo'].map((seed) => draw(name, { seed, tags: ['animation'], ...options }))
  })
}

/** Returns what checkSvg found wrong, or undefined. Throws if checkSvg throws anything but UnsafeSvg. */
function problemIn(svg: string): string | undefined {
  try {
    checkSvg(svg)
    return undefined
  } catch (err) {
    if (err instanceof UnsafeSvg) return err.message
    throw err
  }
}

describe('the check of SVGs', () => {
  test.each([...styles.keys()])('accepts %s with each variant, colour, mood and option', (name) => {
    const drawings = everyDrawing(name)
    expect(drawings.length).toBeGreaterThan(45)
    expect(drawings.map(problemIn).filter((problem) => problem !== undefined)).toEqual([])
  })

  test('allows nothing that DiceBear does not use', () => {
    const all = [...styles.keys()].flatMap(everyDrawing).join('\n')
    const elements = new Set([...all.matchAll(/<([\w:]+)/g)].map(([, name]) => name))
    expect([...ROOT, ...ELEMENTS, ...METADATA].filter((name) => !elements.has(name))).toEqual([])
    expect([...ATTRIBUTES].filter((name) => !all.includes(` ${name}="`))).toEqual([])
    expect([...NAMESPACES].filter(([name, uri]) => !all.includes(` ${name}="${uri}"`))).toEqual([])
    const named = [...VALUE_TOKENS, ...DECLARATION_TOKENS, ...STYLESHEET_TOKENS].filter((it) => !it.endsWith('-token'))
    expect(named.filter((it) => it !== '--:' && !all.includes(it))).toEqual([])
  })

  test('allows about twice the cost of DiceBear’s most costly drawing, and not much more', () => {
    const most = { ...checkSvg(draw('initials', { seed: '' })) }
    for (const svg of [...styles.keys()].flatMap((name) => [...everyDrawing(name), ...costliestTogether(name)])) {
      const cost = checkSvg(svg)
      for (const kind of COST_KINDS) most[kind] = Math.max(most[kind], cost[kind])
    }
    const seedOfOneLetter = `a${'\u0301'.repeat(127)}`
    most.letters = checkSvg(draw('initials', { seed: seedOfOneLetter })).letters
    for (const kind of COST_KINDS) {
      expect(MAX_COST[kind], kind).toBeGreaterThan(1.8 * most[kind])
      expect(MAX_COST[kind], kind).toBeLessThan(2.5 * most[kind])
    }
  })

  const oddSeeds = [
    '',
    '<b>&"\'',
    ']]>',
    '🦊',
    '👩‍👩‍👧',
    'שלום',
    'Ж',
    'ß',
    'ﬃ',
    '𝔘𝔫𝔦',
    '\ud83d',
    'a\udc00b',
    '\u0000',
    '\ufffe',
    '&#60;',
  ]
  test.each(oddSeeds)('accepts drawings with the seed %j', (seed) => {
    for (const name of styles.keys()) checkSvg(draw(name, { seed }))
  })

  test('accepts drawings with random seeds', () => {
    const seed = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 128 }),
      fc.string({ unit: fc.constantFrom('a', 'ΐ', '\u0301', '𝔘', '@', "'", ' ', '<'), maxLength: 128 }),
    )
    fc.assert(
      fc.property(fc.constantFrom('initials', 'initial-face', ...styles.keys()), seed, (name, seed) => {
        checkSvg(draw(name, { seed, tags: ['animation'] }))
      }),
      { numRuns: 200 },
    )
  })
})

describe('an SVG that is more than a drawing is refused', () => {
  const svg = (inside: string, attributes = '') =>
    `<svg xmlns="http://www.w3.org/2000/svg"${attributes}>${inside}</svg>`
  const rect = (attributes: string) => svg(`<g id="a"/><rect ${attributes}/>`)
  const css = (text: string) => svg(`<style>${text}</style>`)
  const meta = (inside: string) =>
    svg(`<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>${inside}</dc:title></metadata>`)

  const harmless = [
    svg(''),
    svg('<!-- a comment --> text <![CDATA[and more]]>'),
    rect('fill="url(#a)"'),
    rect('fill="&#117;rl( #a )"'),
    svg('<g id="a"/><use href="#a"/>'),
    css('.a{opacity:.5}'),
    css('<![CDATA[.a{opacity:.5}]]>'),
    meta('javascript:alert(1) https://example.com url(x)'),
    rect('style="mask-type:alpha"'),
  ]
  test.each(harmless)('but %s is accepted', (drawing) => {
    expect(problemIn(drawing)).toBeUndefined()
  })

  const hostileSelectors = [
    '*',
    '* ~ * ~ *',
    '.a ~ .b',
    '.a + .b',
    '.a > .b',
    '.a .b',
    '.a.b',
    'g',
    '#a',
    ':has(.a)',
    'svg:has(.a .b)',
    'svg:has(.a):has(.b)',
    '.a,*',
    '.a,,.b',
    '.a{.b',
    '@media (prefers-reduced-motion: no-preference){.a{.b',
    '@media (prefers-reduced-motion: reduce){.a',
    '@keyframes a b{from',
    '',
  ]

  const attacks: [message: string, ...svgs: string[]][] = [
    [
      'element script',
      svg('<script>alert(1)</script>'),
      svg('<script href="https://evil.example/x.js"/>'),
      svg('<g><g><script/></g></g>'),
      svg('<defs><script/></defs>'),
    ],
    ['element Script', svg('<Script/>')],
    ['element svg:script', svg('<svg:script xmlns:svg="http://www.w3.org/2000/svg"/>')],
    ['element x:script', svg('<x:script xmlns:x="http://www.w3.org/2000/svg">alert(1)</x:script>')],
    ['element h:script', svg('<h:script xmlns:h="http://www.w3.org/1999/xhtml"/>')],
    ['element foreignObject', svg('<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"/></foreignObject>')],
    ['element iframe', svg('<iframe xmlns="http://www.w3.org/1999/xhtml" src="https://evil.example"/>')],
    ['element a', svg('<a href="javascript:alert(1)"><rect/></a>'), svg('<a href="#x"/>')],
    [
      'element image',
      svg('<image href="https://evil.example/x.png"/>'),
      svg('<image href="data:image/svg+xml,x"/>'),
      svg('<image href="#a"/>'),
    ],
    ['element feImage', svg('<filter><feImage href="#a"/></filter>')],
    ['element animate', svg('<animate attributeName="href" values="javascript:alert(1)"/>')],
    ['element set', svg('<g><set attributeName="onclick" to="alert(1)"/></g>')],
    ['element animateTransform', svg('<animateTransform attributeName="transform"/>')],
    ['element svg', svg(svg(''))],
    ['element symbol', svg('<symbol/>')],
    ['element handler', svg('<handler/>')],
    ['element title', svg('<title>x</title>')],
    ['element dc:title', svg('<dc:title xmlns:dc="http://purl.org/dc/elements/1.1/"/>')],
    ['element path', meta('<path/>')],
    ['element style', meta('<style>@import "x"</style>')],
    ['element g', '<g xmlns="http://www.w3.org/2000/svg"/>', css('.a{}<g/>')],
    ['element html', '<html xmlns="http://www.w3.org/1999/xhtml"/>'],
    ['element svg:svg', '<svg:svg xmlns:svg="http://www.w3.org/2000/svg"/>'],
    ['not in the SVG namespace', '<svg/>', '<svg xmlns="http://www.w3.org/1999/xhtml"/>'],
    [
      'namespace xmlns',
      svg('<g xmlns="http://www.w3.org/2000/svg "/>'),
      svg('<g xmlns=""/>'),
      svg('<style xmlns="http://www.w3.org/1999/xhtml"/>'),
    ],
    ['namespace xmlns:dc', svg('<g xmlns:dc="http://www.w3.org/2000/svg"/>'), svg('<g xmlns:dc="urn:x"/>')],
    ['attribute xmlns:xlink', svg('<use xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="#a"/>')],
    ['attribute xmlns:ev', svg('', ' xmlns:ev="http://www.w3.org/2001/xml-events"')],
    ['attribute onload', svg('', ' onload="alert(1)"'), rect('onload=""')],
    ['attribute onclick', rect('fill="red"\nonclick\t=\n"alert(1)"')],
    ['attribute ONLOAD', rect('ONLOAD="alert(1)"')],
    ['attribute xml:base', svg('<use href="#a"/>', ' xml:base="https://evil.example/"')],
    ['attribute src', rect('src="https://evil.example"')],
    ['attribute cursor', rect('cursor="url(#a)"')],
    [
      'an outside reference',
      svg('<use href="https://evil.example/x.svg#a"/>'),
      svg('<use href="//evil.example/x.svg#a"/>'),
      svg('<use href="x.svg#a"/>'),
      svg('<use href=" #a"/>'),
      svg('<use href="&#32;https://evil.example"/>'),
      svg('<use href="data:image/svg+xml;base64,AAAA#a"/>'),
      svg('<use href="javascript:alert(1)"/>'),
      svg('<use href="JaVa&#x53;cript&#58;alert(1)"/>'),
      svg('<use href="java&#9;script:alert(1)"/>'),
      svg('<use href=""/>'),
      svg('<use href="#"/>'),
      svg('<g id="%61"/><use href="#%61"/>'),
      svg('<g id="a"/><use href="#a%62"/>'),
      rect('fill="url(https://evil.example/x.svg#a)"'),
      rect('fill="url(//evil.example)"'),
      rect('fill="URL(x.svg#a)"'),
      rect('filter="url( x.svg#a )"'),
      rect('fill="u&#114;l(x)"'),
      rect('mask="url(#a) url(x.svg#a)"'),
      rect('clip-path="url(data:image/svg+xml,x#a)"'),
      rect('class="url(x)"'),
    ],
    ['a reference to nothing', svg('<use href="#b"/>'), rect('fill="url(#b)"')],
    ['CSS url(', rect('fill="url(\'https://evil.example\')"'), rect('fill="url(&quot;#a&quot;)"')],
    ['CSS bad-url-token', rect('fill="url(a b)"'), rect('fill="url(x&quot;y)"')],
    ['CSS comment', rect('fill="/**/url(#a)"'), css('/* x */')],
    ['CSS ident-token', rect('fill="url(#a) red"')],
    ['CSS image-set(', rect('fill="image-set(&apos;x.png&apos; 1x)"')],
    ['CSS var(', rect('fill="var(--x)"')],
    ['CSS src(', rect('mask="src(&apos;x.svg&apos;)"')],
    [
      'an escape in CSS',
      rect('fill="u\\72l(https://evil.example)"'),
      rect('style="mask-type:\\61lpha"'),
      css('@\\69mport "x";'),
      css('.a{fill:\\75\\72\\6c(x)}'),
    ],
    ['CSS background:', rect('style="background:url(x)"')],
    ['CSS fill:', rect('style="fill:url(#a)"'), css('.a{fill:red}')],
    ['CSS semicolon-token', rect('style="mask-type:alpha;fill:url(x)"')],
    ['CSS url-token', css('.a{transform:url(#a)}'), css('.a{--x:url(https://evil.example)}'), css('@media url(x){}')],
    ['CSS url(', css('.a{--x:url("https://evil.example")}')],
    ['CSS mix-blend-mode:', css('*{mix-blend-mode:screen}')],
    ['CSS filter:', css('*{filter:blur(9px)}')],
    ['CSS behavior:', css('*{behavior:url(x.htc)}')],
    ['CSS -moz-binding:', css('*{-moz-binding:url(x)}')],
    ['CSS expression(', css('*{opacity:expression(alert(1))}')],
    ['CSS image-set(', css('*{--x:image-set("x")}')],
    ['CSS src(', css('*{--x:src("x")}')],
    ['CSS attr(', css('*{--x:attr(href)}')],
    ['CSS element(', css('*{--x:element(#a)}')],
    ['CSS string-token', css('*{--x:"https://evil.example"}')],
    [
      'CSS @import',
      css('@import "https://evil.example";'),
      css('@import url(x);'),
      css('&#64;import "x";'),
      css('@imp<!-- -->ort "x";'),
      css('@<![CDATA[import "x";]]>'),
      svg('<g><defs><style>@import "x";</style></defs></g>'),
    ],
    ['CSS @IMPORT', css('@IMPORT "x";')],
    ['CSS @font-face', css('@font-face{src:url(x)}')],
    ['CSS @namespace', css('@namespace url(x);')],
    ['CSS @charset', css('@charset "utf-7";')],
    ['CSS @Media', css('@Media print{}')],
    ['CSS CDO-token', css('&lt;!-- --&gt;')],
    [
      'a document type',
      `<!DOCTYPE svg>${svg('')}`,
      `<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">${svg('')}`,
      `<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>${svg('<text>&x;</text>')}`,
      `<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>${svg('&b;')}`,
      `<!DOCTYPE svg [<!ATTLIST svg onload CDATA "alert(1)">]>${svg('')}`,
    ],
    [
      'a processing instruction',
      `<?xml-stylesheet href="https://evil.example"?>${svg('')}`,
      `${svg('')}<?php x?>`,
      svg('<?x y?>'),
    ],
    [
      'an XML declaration',
      `<?xml version="1.0"?>${svg('')}`,
      `<?xml version="1.1" encoding="UTF-16"?>${svg('')}`,
      `<?xml version="1.0" encoding="utf-7"?>${svg('+ADw-script+AD4-')}`,
    ],
    [
      'not well-formed XML',
      '',
      ' ',
      'hello',
      '{"svg":true}',
      '<svg',
      svg('<g>'),
      svg('</g>'),
      svg('<g></G>'),
      `${svg('')}<script/>`,
      `${svg('')}${svg('')}`,
      `${svg('')}tail`,
      `head${svg('')}`,
      ` <?xml version="1.0"?>${svg('')}`,
      svg('&nbsp;'),
      svg('&xxe;'),
      svg('&constructor;'),
      svg('a & b'),
      svg('&#0;'),
      svg('&#1;'),
      svg('&#xD800;'),
      svg('\u0000'),
      svg('\u0008'),
      svg('\uffff'),
      svg(']]>'),
      svg('<!-- -- -->'),
      svg('<![CDATA[x'),
      svg('<g fill=red/>'),
      svg('<g fill/>'),
      svg('<g fill="<"/>'),
      svg('<g fill="red" fill="red"/>'),
      svg('<g fill="red"id="a"/>'),
      svg('<g / id="a">'),
      svg('<x:g/>'),
      svg('<g x:href="#a"/>'),
      svg('<g xmlns="http://www.w3.org/2000/svg" xmlns="http://www.w3.org/2000/svg"/>'),
      svg('<g xmlns:a="u" xmlns:b="u" a:c="" b:c=""/>'),
      svg('<g xmlns:xml="u"/>'),
    ],
    ['not Unicode', svg('\ud83d<script>alert(1)</script>'), svg('\udc00'), rect('class="\ud83d"')],
    ['an id twice', svg('<g id="a"/><g id="a"/>')],
    ['too long', svg(' '.repeat(MAX_SVG_BYTES)), svg('é'.repeat(MAX_SVG_BYTES / 2))],
    ['CSS ', ...hostileSelectors.map((selector) => css(`${selector}{opacity:1}`))],
    ['CSS ', css('.a{--x:var(--y)}'), css('.a{opacity:1;--x : calc(1)}'), css('.a{--a:1;--b:var(--a,1)var(--a,1)}')],
    [
      'too many elements',
      svg('<g>'.repeat(40) + '</g>'.repeat(40)),
      svg('<g>'.repeat(50_000)),
      svg('<g/>'.repeat(2_000)),
    ],
    ['too many classes', svg('<g class="a"/>'.repeat(60))],
    ['too much CSS', css('.a{opacity:1}'.repeat(300)), svg('<style>.a{opacity:1}</style>'.repeat(300))],
    ['too long a path', svg(`<path d="${'l9 9'.repeat(9_000)}"/>`)],
    [
      'a reference to itself',
      svg('<g id="a"><use href="#a"/></g>'),
      svg('<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>'),
      svg('<mask id="a"><rect mask="url(#a)"/></mask>'),
      svg('<linearGradient id="a" href="#a"/>'),
      svg('<g><use href="#root"/></g>', ' id="root"'),
    ],
    [
      'too much to draw',
      svg(`<g id="g0"/>${tenfold('<use href="#', '"/>')}`),
      svg(`<g id="g0"/>${tenfold('<rect mask="url(#', ')"/>')}`),
      svg(`<filter id="a">${'<feFlood/>'.repeat(30)}</filter><rect filter="url(#a)"/>`),
      svg(`<filter id="a">${'<feGaussianBlur/>'.repeat(5)}</filter><rect filter="url(#a)"/>`),
      svg(`<filter id="a"><feGaussianBlur/></filter>${'<rect filter="url(#a)"/>'.repeat(5)}`),
      svg('<g style="mix-blend-mode:screen"/>'.repeat(100)),
      svg('<g opacity=".5"/>'.repeat(100)),
      svg(`<clipPath id="a"/>${'<g clip-path="url(#a)"/>'.repeat(100)}`),
      svg(`<g id="a">${'<g/>'.repeat(90)}</g>${'<use href="#a"/>'.repeat(60)}`),
      svg(`<g id="a">${'<path/><rect/><circle/><ellipse/>'.repeat(10)}</g>${'<use href="#a"/>'.repeat(40)}`),
      svg(`<text>${'A'.repeat(600)}</text>`),
      svg(`<path id="a" d="${'l9 9'.repeat(7_000)}"/>${'<use href="#a"/>'.repeat(10)}`),
      svg(`${gradient(99)}<g id="b">${'<rect fill="url(#a)"/>'.repeat(9)}</g>${'<use href="#b"/>'.repeat(9)}`),
      svg(`${gradient(99)}<g stroke="url(#a)">${'<rect/>'.repeat(30)}</g>`),
    ],
  ]
  const each = attacks.flatMap(([message, ...svgs]) => svgs.map((attack) => ({ message, attack })))
  test.each(each)('$message: $attack', ({ message, attack }) => {
    expect(problemIn(attack)?.startsWith(message), problemIn(attack)).toBe(true)
  })

  test.each([
    ['filter', '<feFlood/>'],
    ['mask', '<rect/>'],
    ['clipPath', '<rect/>'],
  ])('but a definition that nothing refers to has no cost: %s', (name, content) => {
    const definition = `<${name} id="a">${content.repeat(100)}</${name}>`
    expect(checkSvg(svg(`${definition}<rect/>`))).toEqual(checkSvg(svg('<rect/>')))
  })

  test.each([
    ['filter', '<feFlood/>'],
    ['defs', '<rect/>'],
    ['linearGradient', '<stop/>'],
    ['radialGradient', '<stop/>'],
  ])('but a definition in another element has no cost of its own: %s', (name, content) => {
    const { elements, ...cost } = checkSvg(svg(`<g><${name}>${content}</${name}></g>`))
    expect([elements, new Set(Object.values(cost))]).toEqual([2, new Set([0])])
  })

  test.each<[string, (count: number) => string, number]>([
    ['elements inside each other', (count) => svg('<g>'.repeat(count - 1) + '</g>'.repeat(count - 1)), 20],
    ['elements', (count) => svg('<g/>'.repeat(count - 1)), 640],
    ['classes', (count) => svg('<g class="a"/>'.repeat(count)), 40],
    ['characters of CSS', (count) => css(' '.repeat(count)), 3000],
    [
      'characters of CSS in two elements',
      (count) => svg(`<style> </style><style>${' '.repeat(count - 1)}</style>`),
      3000,
    ],
    ['coordinates of a path', (count) => svg(path(count)), 16_000],
  ])('but up to the limit: %s', (_, drawing, limit) => {
    expect([problemIn(drawing(limit)), problemIn(drawing(limit + 1))]).toEqual([
      undefined,
      expect.stringMatching(/^too (many|much|long)/),
    ])
  })

  /** A drawing for each kind of cost, which costs `count` of this kind. */
  const drawings: [keyof typeof MAX_COST, (count: number) => string][] = [
    ['elements', (count) => svg(drawnOften('<g/>'.repeat(98), count / 100) + '<g/>'.repeat(count % 100))],
    ['shapes', (count) => svg(drawnOften('<rect/>'.repeat(100), count / 100) + '<rect/>'.repeat(count % 100))],
    ['coordinates', (count) => svg(drawnOften(path(9000), count / 9000) + path(count % 9000))],
    ['letters', (count) => svg(`<text>${'A'.repeat(count)}</text>`)],
    [
      'stops',
      (count) => svg(gradient(60) + '<text fill="url(#a)"/>'.repeat(count / 60) + '<stop/>'.repeat(count % 60)),
    ],
    ['layers', (count) => svg('<g opacity=".5"/>'.repeat(count))],
    ['filterSteps', (count) => svg('<feFlood/>'.repeat(count))],
    ['blurs', (count) => svg('<feGaussianBlur/>'.repeat(count))],
  ]
  test.each(drawings)('but up to the limit of cost: %s', (kind, drawing) => {
    expect(checkSvg(drawing(MAX_COST[kind]))[kind]).toBe(MAX_COST[kind])
    expect(problemIn(drawing(MAX_COST[kind] + 1))).toBe('too much to draw')
  })

  test.each<[string, Partial<typeof MAX_COST>]>([
    ['<circle/>', { shapes: 1 }],
    ['<ellipse/>', { shapes: 1 }],
    ['<path d="M0 1.5h9"/>', { shapes: 1, coordinates: 4 }],
    ['<rect/>', { shapes: 1 }],
    ['<text>ab</text>', { letters: 2 }],
    ['<g>ab</g>', {}],
    ['<g clip-path="url(#a)"/>', { layers: 1, elements: 2 }],
    ['<g filter="url(#a)"/>', { layers: 1, elements: 2 }],
    ['<g mask="url(#a)"/>', { layers: 1, elements: 2 }],
    ['<g opacity=".5" style="mix-blend-mode:screen"/>', { layers: 2 }],
    ['<feBlend/>', { filterSteps: 1 }],
    ['<feGaussianBlur/>', { filterSteps: 1, blurs: 1 }],
  ])('and each element has its cost: %s', (element, cost) => {
    const definition = checkSvg(svg('<mask id="a"/>'))
    const { elements = 1, ...others } = cost
    expect(checkSvg(svg(`<mask id="a"/>${element}`))).toEqual({
      ...definition,
      ...others,
      elements: definition.elements + elements,
    })
  })

  test('but 256 KiB are accepted, and one byte more is too long', () => {
    const room = MAX_SVG_BYTES - svg('<!---->').length
    expect(problemIn(svg(`<!--${'x'.repeat(room)}-->`))).toBeUndefined()
    expect(problemIn(svg(`<!--${'x'.repeat(room + 1)}-->`))).toBe('too long')
    expect(problemIn(svg(`<!--${'x'.repeat(room - 1)}é-->`))).toBe('too long')
  })

  test('with a short message, however long the attack is', () => {
    const long = 'x'.repeat(10_000)
    const attacks = [
      `<${long}/>`,
      rect(`${long}=""`),
      css(`${long}:`),
      css(`@${long}`),
      css(`${long}(`),
      svg(`&${long};`),
    ]
    for (const attack of attacks) expect(problemIn(attack)?.length).toBeLessThan(60)
  })
})

/** Returns a group with this content, which is drawn `times` times in all. */
const drawnOften = (content: string, times: number) => `<g id="a">${content}</g>${'<use href="#a"/>'.repeat(times - 1)}`

/** Returns a path with this many coordinates. */
const path = (coordinates: number) => `<path d="${'l9'.repeat(coordinates)}"/>`

const gradient = (stops: number) => `<radialGradient id="a">${'<stop/>'.repeat(stops)}</radialGradient>`

/** Returns nine groups, each of which uses the one before it ten times. */
function tenfold(before: string, after: string): string {
  return Array.from({ length: 9 }, (_, i) => `<g id="g${i + 1}">${`${before}g${i}${after}`.repeat(10)}</g>`).join('')
}

describe('random input', () => {
  const samples = [...styles.keys()].map((name) => draw(name, { seed: 'Ada', tags: ['animation'] }))
  const sample = fc.constantFrom(...samples)

  const hostileElements = [
    '<script>alert(1)</script>',
    '<script xmlns="http://www.w3.org/2000/svg" href="x.js"/>',
    '<x:script xmlns:x="http://www.w3.org/2000/svg"/>',
    '<foreignObject/>',
    '<iframe xmlns="http://www.w3.org/1999/xhtml" src="https://evil.example"/>',
    '<image href="https://evil.example/x.png"/>',
    '<use href="https://evil.example/x.svg#a"/>',
    '<use href="#nothing-here"/>',
    '<a href="javascript:alert(1)"/>',
    '<set attributeName="href" to="javascript:alert(1)"/>',
    '<animate attributeName="href" values="javascript:alert(1)"/>',
    '<style>@import "https://evil.example";</style>',
    '<style>*{fill:url(https://evil.example)}</style>',
    '<svg xmlns="http://www.w3.org/2000/svg"/>',
    '<!DOCTYPE svg>',
    '<?xml-stylesheet href="https://evil.example"?>',
    '&xxe;',
    '\ud800<script>alert(1)</script>',
    '\u0000',
  ]
  const hostileAttributes = [
    'onload="alert(1)"',
    'OnClick="alert(1)"',
    'href="https://evil.example"',
    'href="javascript:alert(1)"',
    'xlink:href="https://evil.example"',
    'xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="https://evil.example"',
    'xml:base="https://evil.example/"',
    'xmlns="http://www.w3.org/1999/xhtml"',
    'xmlns:dc="http://www.w3.org/2000/svg"',
    'fill="url(https://evil.example)"',
    'filter="url(//evil.example#a)"',
    'class="u&#114;l(x)"',
    'style="background:url(https://evil.example)"',
    'style="mask-type:\\61lpha"',
  ]

  test('a hostile piece anywhere in a real avatar is found', () => {
    const hostile = fc.oneof(
      fc.record({ element: fc.constantFrom(...hostileElements) }),
      fc.record({ attribute: fc.constantFrom(...hostileAttributes) }),
    )
    fc.assert(
      fc.property(sample, hostile, fc.nat(), (svg, injected, anywhere) => {
        const tags = [...svg.matchAll(/<[a-zA-Z:]+(?=[ />])/g)]
        const tag = tags[anywhere % tags.length]
        const at = tag ? tag.index + tag[0].length : 0
        if ('attribute' in injected) {
          expect(problemIn(`${svg.slice(0, at)} ${injected.attribute}${svg.slice(at)}`)).toBeDefined()
        } else {
          const after = svg.indexOf('>', at) + 1
          expect(problemIn(svg.slice(0, after) + injected.element + svg.slice(after))).toBeDefined()
        }
      }),
      { numRuns: 800 },
    )
  })

  test('a random text is refused in a few words, or consists of allowed parts only', () => {
    const pieces = fc.constantFrom(
      ...[
        '<svg',
        ' xmlns="http://www.w3.org/2000/svg"',
        '>',
        '/>',
        '</svg>',
        '<g',
        '</g>',
        '<style',
        '</style>',
        '<use',
      ],
      ...[
        ' href="#a"',
        ' id="a"',
        ' id="__proto__"',
        ' href="#constructor"',
        ' fill="url(#a)"',
        ' style="',
        '"',
        '&',
        ';',
      ],
      ...['<![CDATA[', ']]>', '<!--', '-->', '<?', '?>', '<!DOCTYPE', '[', ']', '@media', '{', '}', 'calc(', ')', '\\'],
    )
    // Some texts are well-formed SVGs, so that some are accepted.
    const whole = fc
      .array(pieces, { maxLength: 3 })
      .map((inside) => [`<svg xmlns="${NAMESPACES.get('xmlns')}">`, ...inside, '</svg>'])
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(fc.oneof(pieces, fc.string()), { maxLength: 30 }),
      whole,
    )
    fc.assert(
      fc.property(text, (pieces) => {
        const svg = typeof pieces === 'string' ? pieces : pieces.join('')
        const problem = problemIn(svg)
        if (problem === undefined) expectOnlyAllowed(svg)
        else expect(problem).toMatch(/^.{1,60}$/s)
      }),
      { numRuns: 1000 },
    )
  })

  test('a damaged avatar that is accepted consists of allowed parts for another parser, too', () => {
    const add = fc.oneof(
      fc.constantFrom(...'<>/="\'&;:#()! \n\r\t\u0085\u2028-[]?x1'),
      fc.constantFrom('<!--', '-->', '<![CDATA[', ']]>', '<g>', '<g/>', '</g>', '&lt;', '&#9;', ' id="', 'url(#'),
      fc.string({ unit: 'binary', maxLength: 3 }),
    )
    const damage = fc.record({ at: fc.noBias(fc.nat()), cut: fc.nat(1), add })
    let passed = 0
    fc.assert(
      fc.property(sample, fc.array(damage, { minLength: 1, maxLength: 3 }), (svg, damages) => {
        const damaged = damages.reduce((text, { at, cut, add }) => {
          const place = at % text.length
          return text.slice(0, place) + add + text.slice(place + cut)
        }, svg)
        if (problemIn(damaged) !== undefined) return
        passed += 1
        expectOnlyAllowed(damaged)
      }),
      { numRuns: 800 },
    )
    expect(passed).toBeGreaterThan(80)
  })

  test('the other parser notices what is not allowed', () => {
    for (const svg of samples) expectOnlyAllowed(svg)
    const inside = (text: string) => `<svg xmlns="http://www.w3.org/2000/svg">${text}</svg>`
    for (const bad of [
      '<script/>',
      '<g onload=""/>',
      '<use href="x"/>',
      '<g fill="url(x)"/>',
      '<?x y?>',
      '<g xmlns=""/>',
      '<g>',
    ]) {
      expect(() => expectOnlyAllowed(inside(bad)), bad).toThrow()
    }
  })
})

/** Checks with libxml2, the parser of librsvg and so of sharp, that an SVG has allowed parts only. */
function expectOnlyAllowed(svg: string): void {
  using document = XmlDocument.fromBuffer(Buffer.from(svg))
  expect(document.dtd).toBeNull()
  expect(document.find('//processing-instruction()')).toEqual([])
  for (const node of document.find('//*')) {
    if (!(node instanceof XmlElement)) throw new Error('XPath gave no element')
    const name = node.prefix ? `${node.prefix}:${node.name}` : node.name
    expect(node.parent ? [...ELEMENTS, ...METADATA] : [...ROOT]).toContain(name)
    expect(node.namespaceUri).toBe(NAMESPACES.get(node.prefix ? `xmlns:${node.prefix}` : 'xmlns'))
    for (const { prefix, name, value } of node.attrs) {
      expect(ATTRIBUTES).toContain(prefix ? `${prefix}:${name}` : name)
      if (name === 'href') expect(value).toMatch(/^#/)
      expect(value.replaceAll(/url\(\s*#/gi, '')).not.toMatch(/url\(/i)
    }
  }
}

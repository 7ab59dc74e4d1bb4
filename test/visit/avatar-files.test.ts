import { createHash } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parse as parseDisposition } from 'content-disposition'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createAvatars } from '../../src/avatar/avatars.ts'
import { drawPng } from '../../src/pictures/png.ts'
import { ask } from '../support/ask.ts'
import { at } from '../support/doubles.ts'
import { drawn, type Look, styleList } from '../support/drawn.ts'
import { type Fault, faults } from '../support/faults.ts'
import {
  comeBack,
  leave,
  look,
  type OpenOptions,
  openApp,
  shownAvatar,
  signIn,
  type TestApp,
  type Visitor,
} from '../support/open-app.ts'

let app: TestApp
beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())
afterEach(() => {
  app.dicebear.heal()
  app.discord.heal()
})

const query = (fields: Record<string, string>) => new URLSearchParams(fields).toString()
const svgType = { 'content-type': 'image/svg+xml' }

/** Opens an app for one test only. */
async function ownApp(options: OpenOptions = {}): Promise<TestApp> {
  const own = await openApp(options)
  onTestFinished(() => own.close())
  return own
}

/** Signs in with this look. Returns the visitor and the id of the avatar. */
async function wear(choice: Partial<Look> = {}, there = app, accountId?: string) {
  const visitor = there.visitor()
  const landed = await signIn(there, visitor, { ...look, ...choice }, accountId)
  if (landed.headers.location !== '/show_avatar') throw new Error(`The callback answered ${landed.status}`)
  return { visitor, id: shownAvatar((await visitor.get('/show_avatar')).text) }
}

/** Requests the SVG as the visitor's `<img>` does. Returns its text. */
async function pictureOf(visitor: Visitor, id: string): Promise<string> {
  const answer = await visitor.get(`/avatars/${id}.svg`)
  if (answer.status !== 200) throw new Error(`The SVG answered ${answer.status}`)
  return answer.body.toString()
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

const fileOf = (there: TestApp, id: string) => join(there.folder, there.parts.cache.path(id))

describe('the same choice gives the same picture', () => {
  test('in the preview and by DiceBear’s library, for every style in every mood', async () => {
    for (const { name: style, moods } of styleList) {
      for (const mood of ['', ...moods]) {
        const asked = { seed: 'fern & <b>', style, mood, backgroundColor: '#C9C3F5' }
        const answer = await ask(app.url, `/preview.svg?${query(asked)}`)
        expect([style, mood, answer.text]).toEqual([style, mood, drawn(asked)])
      }
    }
  })

  test.each<Look>([
    { seed: 'Zoë, 🦊 & "<b>"', style: 'lorelei', mood: 'sleepy', backgroundColor: 'transparent' },
    { seed: 'a,b,c', style: 'rings', backgroundColor: '#A9D6F5' },
    { seed: 'Ada Lovelace', style: 'initials', backgroundColor: '' },
    { seed: '../../x?y#z&a=\u2028b', style: 'voxel-art', mood: 'love' },
    { seed: 'moving', style: 'sprouts', animated: 'on' },
    {
      ...{ seed: 'framed', style: 'micah', mood: 'sad', backgroundColor: '#ffd29d', backgroundColorFill: 'radial' },
      ...{ backgroundColor2: '263239', scale: '0.8', translateY: '7.5', rotate: '-4', flip: 'horizontal' },
    },
    { seed: 'its own', style: 'thumbs', backgroundColor: 'own', backgroundColorFill: 'linear', scale: '1.5' },
    { seed: 'moving and sad', style: 'fun-emoji', mood: 'sad', animated: 'on' },
  ])('from DiceBear, in the preview and by the library: %o', async (choice) => {
    const { visitor, id } = await wear({ mood: '', backgroundColor: '', ...choice })
    const svg = await pictureOf(visitor, id)
    expect(svg).toBe(drawn(choice))
    expect((await ask(app.url, `/preview.svg?${query(choice)}`)).text).toBe(svg)
    const call = app.dicebear.calls.at(-1)
    expect([call?.method, call?.path, call?.query.get('seed')]).toEqual([
      'GET',
      `/10.x/${choice.style}/svg`,
      choice.seed,
    ])
  })

  test('at the sign-in, at a restyle, in the preview and in links, with chosen parts and colours', async () => {
    const pins = {
      hairVariant: 'long01,long02',
      glassesVariant: 'none',
      mouthVariant: 'variant03',
      skinColor: '9e5622',
    }
    const plain = { seed: 'pinned', style: 'adventurer', mood: 'happy', backgroundColor: 'ffd29d' }
    const { visitor, id } = await wear({ ...plain, ...pins })
    const svg = await pictureOf(visitor, id)
    expect(svg).toBe(drawn(plain, pins))
    expect((await ask(app.url, `/preview.svg?${query({ ...plain, ...pins, topVariant: 'hat' })}`)).text).toBe(svg)
    const other = { hairVariant: 'short01', eyesVariant: 'nope' }
    await visitor
      .post('/show_avatar')
      .type('form')
      .send({ ...plain, ...other })
    const { text } = await visitor.get('/show_avatar')
    expect(await pictureOf(visitor, shownAvatar(text))).toBe(drawn(plain, { hairVariant: 'short01' }))
    // The history has both avatars, each with its own parts.
    expect(await pictureOf(visitor, id)).toBe(svg)
    const cards = [pins, {}].map((more) => ask(app.url, `/og.png?${query({ ...plain, ...more })}`))
    const [pinned, unpinned] = await Promise.all(cards)
    expect([pinned?.status, pinned?.headers.etag === unpinned?.headers.etag]).toEqual([200, false])
  })

  test('animated only if “Animate” was chosen and the style can move', async () => {
    const moving = styleList.find(({ animated }) => animated)?.name ?? ''
    const stiff = styleList.find(({ animated }) => !animated)?.name ?? ''
    const [still, moves] = await Promise.all([
      wear({ style: moving, mood: '' }),
      wear({ style: moving, mood: '', animated: 'on' }),
    ])
    expect(moves.id).not.toBe(still.id)
    expect(await pictureOf(moves.visitor, moves.id)).toContain('@keyframes')
    expect(await pictureOf(still.visitor, still.id)).not.toContain('@keyframes')
    const asked = app.dicebear.calls.slice(-2).map((call) => call.query.get('tags'))
    expect(asked.sort()).toEqual(['animation', null].sort())

    const [one, other] = [
      await wear({ style: stiff, mood: '' }),
      await wear({ style: stiff, mood: '', animated: 'on' }),
    ]
    expect(other.id).toBe(one.id)
    expect(app.dicebear.calls.at(-1)?.query.has('tags')).toBe(false)
    expect((await other.visitor.get(`/avatars/${other.id}.gif`)).status).toBe(404)
    expect((await other.visitor.get('/show_avatar')).text).not.toContain('.gif')
    expect((await other.visitor.get('/show_avatar')).text).not.toContain(`srcset="/avatars`)
  })

  test('under the same id as in earlier versions', async () => {
    const ids = [
      await wear({ style: 'adventurer', seed: 'fern', mood: 'happy', backgroundColor: '#ffd29d' }),
      await wear({ style: 'sprouts', seed: 'Zoë, 🦊', mood: '', backgroundColor: '', animated: 'on' }),
      await wear({ style: 'glass', seed: 'fern', mood: '', backgroundColor: '' }),
    ]
    expect(ids.map(({ id }) => id)).toEqual([
      '6126af50d5493b60bc5e5e9f124ab42628d562c781153d627ac5c26b00cb6059',
      'fcfbb255d1576c04c0b45d22b51a9a6b3be8dcbeeea74c60302fa10cc6f77b03',
      'a019a5594b3088528aa8d11052f39969b411140258d95cf802fe588af71629ab',
    ])
  })

  test('under the same id for every visitor and in every spelling', async () => {
    const [first, second] = [await wear(), await wear({ backgroundColor: 'FFD29D', seed: ' fern ' })]
    expect(second.id).toBe(first.id)
    const others = [{ seed: 'Fern' }, { style: 'lorelei' }, { mood: 'sad' }, { mood: '' }, { backgroundColor: '' }]
    const ids = await Promise.all(others.map(async (other) => (await wear(other)).id))
    expect(new Set([first.id, ...ids]).size).toBe(others.length + 1)
  })
})

describe('the library draws the picture', () => {
  const svg = (inside: string, attributes = '') =>
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"${attributes}>${inside}</svg>`
  const drawing = (body: string | Buffer): Fault => faults.answer(200, body, svgType)
  const evil = 'https://evil.example'

  test.each<[string, Fault]>([
    ['sends a picture as text/html', faults.wrongType(svg('<rect width="7"/>'))],
    ['sends a page as image/svg+xml', drawing('<!doctype html><title>evil</title>')],
    ['sends half a picture', drawing('<svg xmlns="http://www.w3.org/2000/svg"><g>')],
    ['sends two pictures', drawing(svg('') + svg(''))],
    ['sends a script', drawing(svg('<script>evil()</script>'))],
    ['sends a script of another site', drawing(svg(`<script href="${evil}/x.js"/>`))],
    ['sends an onload', drawing(svg('', ' onload="evil()"'))],
    ['sends an onclick inside', drawing(svg('<rect width="7" onclick="evil()"/>'))],
    [
      'sends HTML inside',
      drawing(svg('<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">evil</p></foreignObject>')),
    ],
    ['refers to a picture of another site', drawing(svg(`<image href="${evil}/x.png"/>`))],
    ['refers to a drawing of another site', drawing(svg(`<use href="${evil}/x.svg#a"/>`))],
    [
      'refers to another site with xlink:href',
      drawing(svg(`<use xlink:href="${evil}/#a" xmlns:xlink="http://www.w3.org/1999/xlink"/>`)),
    ],
    ['paints with a gradient of another site', drawing(svg(`<rect fill="url(${evil}/#a)" width="7"/>`))],
    ['links to a script', drawing(svg('<a href="javascript:evil()"><rect width="7"/></a>'))],
    ['imports a stylesheet', drawing(svg(`<style>@import url(${evil}/x.css);</style>`))],
    ['refers to a stylesheet', drawing(`<?xml-stylesheet href="${evil}/x.css"?>${svg('')}`)],
    ['declares entities', drawing(`<!DOCTYPE svg [<!ENTITY evil "evil">]>${svg('&evil;')}`)],
    ['declares an external entity', drawing(`<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>${svg('&x;')}`)],
    ['hides a script in an animation', drawing(svg('<animate attributeName="href" to="javascript:evil()"/>'))],
    ['sends 300 KiB', drawing(svg(`<path d="${'M1 1'.repeat(75 * 1024)}"/>`))],
    ['sends one byte over 256 KiB', drawing(svg(`<path d="${'M'.repeat(256 * 1024)}"/>`))],
    ['sends UTF-16', drawing(Buffer.from(`\ufeff${svg('<script>evil()</script>')}`, 'utf16le'))],
    ['sends UTF-16 without a byte order mark', drawing(Buffer.from(svg('<rect width="7"/>'), 'utf16le'))],
    ['sends broken UTF-8', drawing(Buffer.from(svg('<text>\xff</text>'), 'latin1'))],
  ])('when DiceBear %s, of which nothing is stored', async (what, fault) => {
    const choice = { ...look, seed: `DiceBear ${what}` }
    app.dicebear.fail(at.svg, fault)
    const before = app.dicebear.count(at.svg)
    const { visitor, id } = await wear(choice)
    const svgThen = await pictureOf(visitor, id)
    expect(app.dicebear.count(at.svg)).toBe(before + 1)
    expect(svgThen).toBe(drawn(choice))

    // The picture is cached like any other, so DiceBear is not asked for the next visitor.
    const known = app.dicebear.count(at.svg)
    app.dicebear.heal()
    expect(await pictureOf((await wear(choice)).visitor, id)).toBe(svgThen)
    expect(app.dicebear.count(at.svg)).toBe(known)
    const file = await readFile(fileOf(app, id), 'utf8')
    expect(file.startsWith(svgThen)).toBe(true)
    expect(file).not.toMatch(/evil|passwd|width="7"/)
  })

  test('when DiceBear sends unsafe SVGs, of which nothing is in the cache', async () => {
    const own = await ownApp()
    const bad = [
      svg('<script>evil()</script>'),
      svg('', ' onload="evil()"'),
      svg(`<image href="${evil}/x.png"/>`),
      svg(`<!-- evil -->${' '.repeat(300 * 1024)}`),
    ]
    for (const [i, picture] of bad.entries()) {
      own.dicebear.replaceSvg(picture)
      await wear({ seed: `bad picture ${i}` }, own)
    }
    const files = await filesIn(own.folder)
    expect(files).toHaveLength(bad.length)
    const kept = await Promise.all(files.map((file) => readFile(file, 'utf8')))
    expect(kept.filter((text) => text.includes('evil'))).toEqual([])
    expect(own.dicebear.count(at.svg)).toBe(bad.length)
  })

  test.each([
    ['a small one', svg('<rect width="7" height="7"/>')],
    ['one of just 256 KiB', svg(`<path d="${'M'.repeat(256 * 1024 - svg('<path d=""/>').length)}"/>`)],
  ])('but not when DiceBear sends a safe SVG, which is served unchanged: %s', async (what, picture) => {
    app.dicebear.replaceSvg(picture)
    const { visitor, id } = await wear({ seed: what })
    expect(await pictureOf(visitor, id)).toBe(picture)
  })

  test.each([
    ['has no size', '<svg xmlns="http://www.w3.org/2000/svg"/>'],
    ['is 0 wide', '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" width="0" height="0"/>'],
    ['is 100,000 wide', '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" width="100000" height="100000"/>'],
    ['is very small', '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 0.001 0.001"/>'],
  ])('of a PNG when DiceBear’s SVG is safe, but %s and cannot be rendered', async (what, picture) => {
    app.dicebear.replaceSvg(picture)
    const { visitor, id } = await wear({ seed: what })
    const png = await visitor.get(`/avatars/${id}.png`)
    expect([png.status, png.headers['content-type']]).toEqual([200, 'image/png'])
    expect(png.body).toEqual(await drawPng(drawn({ ...look, seed: what }), 512))
  })

  test('when DiceBear fails, for a reason that is in the log and on no page', async () => {
    app.dicebear.fail(at.svg, faults.answer(500))
    const before = app.logged.length
    const { visitor } = await wear({ seed: 'a fault in the log' })
    expect(app.logged.slice(before).join('\n')).toContain('answered 500')
    expect((await visitor.get('/show_avatar')).text).not.toMatch(/class="(notice|problem)"/)
  })
})

test('a seed can change neither the path nor the parameters of the request to DiceBear', async () => {
  const seed = '../../x?y#z&style=nope&backgroundColor=000000\u00a0%0d%0aX: y'
  await wear({ seed, style: 'bottts', mood: '' })
  const call = app.dicebear.calls.at(-1)
  expect(call?.path).toBe('/10.x/bottts/svg')
  expect([...(call?.query.entries() ?? [])]).toEqual([
    ['seed', seed],
    ['backgroundColor', 'ffd29d'],
  ])
  expect(call?.headers.x).toBeUndefined()
})

describe('DiceBear is not called after a 429', () => {
  afterEach(() => vi.useRealTimers())

  test.each([
    ['that names an hour', faults.rateLimited(3600), 31],
    ['that names no time', faults.rateLimitedInPlainText(), 31],
    ['that names ten seconds', faults.rateLimited(10), 11],
  ])('%s until that time is over, or half a minute', async (_what, fault, laterS) => {
    const own = await ownApp()
    vi.useFakeTimers({ toFake: ['performance'] })
    own.dicebear.fail(at.svg, fault, { times: 1 })
    for (const seed of ['first', 'second', 'third']) {
      const { visitor, id } = await wear({ seed }, own)
      expect(await pictureOf(visitor, id)).toBe(drawn({ ...look, seed }))
    }
    expect(own.dicebear.count(at.svg)).toBe(1)
    vi.advanceTimersByTime(laterS * 1000)
    await wear({ seed: 'fourth' }, own)
    expect(own.dicebear.count(at.svg)).toBe(2)
  })
})

test('DiceBear is never called with DICEBEAR_URL=embedded', async () => {
  const own = await ownApp({ settings: { DICEBEAR_URL: 'embedded' } })
  for (const choice of [look, { seed: 'moving', style: 'sprouts', mood: '', animated: 'on' }]) {
    const { visitor, id } = await wear(choice, own)
    expect(await pictureOf(visitor, id)).toBe(drawn({ ...look, ...choice }))
  }
  expect(own.dicebear.calls).toEqual([])
  // A drawing that fails while Discord fails, too, is only the failure of this visit.
  const impossible = { ...look, style: 'nobody-s', animated: false }
  const avatar = own.parts.avatars.begin(impossible, performance.now() + 1000)
  await expect(own.parts.renderers.draw(impossible)).rejects.toThrow('nobody-s')
  await expect(avatar('juniper.moss')).rejects.toThrow('nobody-s')
})

describe('DiceBear is asked for the picture', () => {
  const delayMs = 600
  const slow = () => {
    for (const path of [at.token, at.user]) app.discord.delay(path, delayMs)
    app.dicebear.delay(at.svg, delayMs)
  }
  const lastCalls = () => ({
    token: app.discord.calls.findLast(({ path }) => path === at.token)?.at ?? 0,
    user: app.discord.calls.findLast(({ path }) => path === at.user)?.at ?? 0,
    picture: app.dicebear.calls.at(-1)?.at ?? 0,
  })

  test('at the same time as Discord for the user, if the seed was typed', async () => {
    const visitor = app.visitor()
    const authorize = await leave(visitor, { ...look, seed: 'in a hurry' })
    slow()
    await comeBack(visitor, app.discord.codeFor(authorize))
    const { token, user, picture } = lastCalls()
    expect(app.dicebear.calls.at(-1)?.query.get('seed')).toBe('in a hurry')
    expect(picture - token).toBeLessThan(delayMs)
    expect(user - token).toBeGreaterThanOrEqual(delayMs - 5)
    expect(picture).toBeLessThan(user)
  })

  test('at the same time as Discord for the user at a restyle, too', async () => {
    const { visitor } = await wear()
    slow()
    await visitor
      .post('/show_avatar')
      .type('form')
      .send({ ...look, seed: 'again in a hurry' })
    const { user, picture } = lastCalls()
    expect(app.dicebear.calls.at(-1)?.query.get('seed')).toBe('again in a hurry')
    expect(picture - user).toBeLessThan(delayMs)
  })

  test('after Discord if the seed is empty, because it is then the username', async () => {
    const visitor = app.visitor()
    const authorize = await leave(visitor, { ...look, seed: '', style: 'micah', mood: '' })
    slow()
    await comeBack(visitor, app.discord.codeFor(authorize))
    const { user, picture } = lastCalls()
    expect(app.dicebear.calls.at(-1)?.query.get('seed')).toBe('juniper.moss')
    expect(picture - user).toBeGreaterThanOrEqual(delayMs - 5)
  })

  test('once by twenty concurrent requests for the same new picture', async () => {
    const choice = { ...look, seed: 'what everybody wants' }
    const visitors = Array.from({ length: 20 }, () => app.visitor())
    const callbacks = await Promise.all(visitors.map(async (one) => app.discord.codeFor(await leave(one, choice))))
    const before = app.dicebear.count(at.svg)
    app.dicebear.delay(at.svg, delayMs)
    const landed = await Promise.all(visitors.map((visitor, i) => comeBack(visitor, callbacks[i] ?? '')))
    expect(landed.map(({ headers }) => headers.location)).toEqual(visitors.map(() => '/show_avatar'))
    expect(app.dicebear.count(at.svg)).toBe(before + 1)
    const pages = await Promise.all(visitors.map((visitor) => visitor.get('/show_avatar')))
    const [id, ...others] = new Set(pages.map(({ text }) => shownAvatar(text)))
    expect(others).toEqual([])
    for (const visitor of visitors) expect(await pictureOf(visitor, id ?? '')).toBe(drawn(choice))
  })
})

describe('the cache folder', () => {
  test.each(['fern', ''])('has the file before the visitor is sent to the avatar’s page: seed “%s”', async (seed) => {
    const own = await ownApp()
    const visitor = own.visitor()
    const callback = own.discord.codeFor(await leave(visitor, { ...look, seed }))
    own.dicebear.delay(at.svg, 200)
    await comeBack(visitor, callback)
    const [file, ...others] = await filesIn(own.folder)
    expect([file?.endsWith('.svg'), others]).toEqual([true, []])
  })

  test('has files whose names are hashes, and no others, whatever the seed', async () => {
    const own = await ownApp()
    const seeds = ['../../etc/passwd', '/etc/passwd', 'C:\\x', 'a%00b', '.'.repeat(128), '🦊'.repeat(128), '-rf', '']
    const ids = new Set<string>()
    for (const seed of seeds) ids.add((await wear({ seed }, own)).id)
    expect(ids.size).toBe(seeds.length)
    const entries = await readdir(own.folder, { recursive: true })
    const files = entries.filter((entry) => !/^[0-9a-f]{2}$/.test(entry))
    expect(files.sort()).toEqual([...ids].map((id) => join(id.slice(0, 2), `${id}.svg`)).sort())
  })

  /** The ways in which a file is damaged. */
  const damages: [string, (file: string, there: TestApp) => Promise<unknown>][] = [
    ['deleted', (file) => rm(file)],
    ['deleted with its folder', (file) => rm(dirname(file), { recursive: true })],
    ['gone with the whole cache', (_file, there) => rm(there.folder, { recursive: true })],
    ['cut short', (file) => truncate(file, 100)],
    ['emptied', (file) => truncate(file, 0)],
    ['made longer', (file) => writeFile(file, '<!-- x -->', { flag: 'a' })],
    [
      'changed by one byte',
      async (file) => {
        const bytes = await readFile(file)
        bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
        await writeFile(file, bytes)
      },
    ],
    ['replaced by an unsafe SVG', (file) => writeFile(file, '<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>')],
    [
      'replaced by another picture of the cache',
      async (file, there) => {
        const other = (await filesIn(there.folder)).find((one) => one !== file)
        await copyFile(other ?? 'there is no other', file)
      },
    ],
    ['replaced by a folder', (file) => rm(file).then(() => mkdir(file))],
  ]

  test.each(damages)('stores a file again that is %s, and the visitor gets the picture', async (what, damage) => {
    const own = await ownApp()
    await wear({ seed: 'another' }, own)
    const choice = { ...look, seed: `about to be ${what}` }
    const { visitor, id } = await wear(choice, own)
    const file = fileOf(own, id)
    const whole = await readFile(file)

    for (const suffix of ['svg', 'png?size=128']) {
      await damage(file, own)
      const answer = await visitor.get(`/avatars/${id}.${suffix}`)
      expect(answer.status).toBe(200)
      if (suffix === 'svg') expect(answer.body.toString()).toBe(drawn(choice))
      if (what === 'replaced by a folder') await rm(file, { recursive: true })
      expect(await pictureOf(visitor, id)).toBe(drawn(choice))
      expect(await readFile(file)).toEqual(whole)
    }
  })

  test('stores a deleted file again while DiceBear is down', async () => {
    const own = await ownApp()
    const { visitor, id } = await wear({}, own)
    await own.dicebear.refuse()
    await rm(fileOf(own, id))
    expect(await pictureOf(visitor, id)).toBe(drawn(look))
    expect((await stat(fileOf(own, id))).size).toBeGreaterThan(0)
  })

  test('is all that another instance needs to describe the avatar', async () => {
    const own = await ownApp({ settings: { DICEBEAR_URL: 'embedded' } })
    const choice = { seed: 'fern', style: 'adventurer', backgroundColor: '', mood: '', animated: false }
    const avatar = await own.parts.avatars.begin(choice, performance.now() + 1000)('juniper.moss')
    const unused = { askDiceBear: undefined, onRead: () => undefined, onFallback: () => undefined }
    const another = createAvatars({ cache: own.parts.cache, ...unused })
    const drawing = await another.drawing(avatar)
    expect(drawing).toEqual(await own.parts.avatars.drawing(avatar))
    expect(drawing?.parts).toContainEqual(expect.objectContaining({ name: 'hair' }))
    await rm(own.folder, { recursive: true })
    expect(await createAvatars({ cache: own.parts.cache, ...unused }).drawing(avatar)).toBeUndefined()
    // The instance that has drawn an avatar needs no file.
    await writeFile(own.folder, 'no folder')
    const unwritten = await own.parts.avatars.begin({ ...choice, seed: 'moss' }, performance.now() + 1000)('')
    const { parts } = (await own.parts.avatars.drawing(unwritten)) ?? {}
    expect(parts).toContainEqual(expect.objectContaining({ name: 'hair' }))
  })

  test('may be unwritable: every picture is served all the same, and stored afterwards', async () => {
    const own = await ownApp()
    const before = await wear({}, own)
    await rm(own.folder, { recursive: true })
    await writeFile(own.folder, 'no folder: this stops root too, unlike a mode')
    expect(await pictureOf(before.visitor, before.id)).toBe(drawn(look))
    const during = await wear({ seed: 'meanwhile' }, own)
    expect(await pictureOf(during.visitor, during.id)).toBe(drawn({ ...look, seed: 'meanwhile' }))
    // The operator is warned (level 40).
    expect(own.logged.filter((line) => /"level":40,.*"code":"ENOTDIR".*"msg":"avatar cache"/.test(line))).not.toEqual(
      [],
    )
    expect((await during.visitor.get(`/avatars/${during.id}.png`)).status).toBe(200)
    const ready = await own.visitor().get('/readyz')
    expect([ready.status, ready.body.dependencies.cache]).toEqual([200, 'down'])
    await rm(own.folder)
    await pictureOf(during.visitor, during.id)
    expect(await filesIn(own.folder)).toEqual([fileOf(own, during.id)])
  })

  test('takes no more than CACHE_MAX_MB', async () => {
    const own = await ownApp({ settings: { CACHE_MAX_MB: '1' } })
    for (const digit of '012345') await own.parts.cache.write(digit.repeat(64), Buffer.alloc(250 * 1024, '<svg/>'))
    await own.parts.cache.trim()
    // Four files fit. If there are more, files are deleted until they take nine tenths of it.
    expect((await filesIn(own.folder)).length).toBeOneOf([3, 4])
  })

  test('is reported by /readyz if it is read-only', async () => {
    const own = await ownApp()
    const cache = async () => (await own.visitor().get('/readyz')).body.dependencies.cache
    expect(await cache()).toBe('ok')
    await rm(own.folder, { recursive: true })
    // On Linux not even root can write in this folder.
    await symlink('/proc/sys', own.folder)
    expect(await cache()).toBe('down')
  })
})

describe('an avatar', () => {
  let owner: Visitor
  let id: string
  beforeAll(async () => {
    ;({ visitor: owner, id } = await wear({ seed: 'mine alone' }))
  })
  const unknown = createHash('sha256').update('no such avatar').digest('hex')
  const parts = ['svg', 'png', 'svg?download', 'png?size=128']

  test('can be seen by its owner', async () => {
    for (const part of parts) expect((await owner.get(`/avatars/${id}.${part}`)).status).toBe(200)
  })

  test.each<[string, () => Promise<Visitor>]>([
    ['a visitor without a session', async () => app.visitor()],
    ['another visitor', async () => (await wear({ seed: 'another one’s' })).visitor],
    ['a visitor who has signed out', async () => {
      const { visitor } = await wear({ seed: 'mine alone' })
      await visitor.post('/sign_out')
      return visitor
    }], // biome-ignore format: a row
  ])('is answered for %s as if it did not exist', async (who, find) => {
    const other = await find()
    const plain = (text: string) => text.replace(/404-[0-9a-f]{8}/, '')
    for (const part of parts) {
      const [theirs, none] = [await other.get(`/avatars/${id}.${part}`), await other.get(`/avatars/${unknown}.${part}`)]
      expect([theirs.status, none.status]).toEqual([404, 404])
      expect(plain(theirs.text)).toBe(plain(none.text))
    }
    for (const one of [id, unknown]) expect((await other.post(`/avatars/${one}/forget`)).status).toBe(404)
    for (const one of [id, unknown]) {
      const page = await other.get(`/show_avatar?avatar=${one}`)
      // A visitor without any avatar is sent to the form.
      const expected = who === 'another visitor' ? [404, undefined] : [303, '/?notice=no-looks']
      expect([page.status, page.headers.location]).toEqual(expected)
    }
    expect((await owner.get(`/avatars/${id}.svg`)).status).toBe(200)
  })

  test('is answered with 404 to a visitor who has its ETag but not the avatar', async () => {
    const { headers } = await owner.get(`/avatars/${id}.svg`)
    const answer = await app
      .visitor()
      .get(`/avatars/${id}.svg`)
      .set('If-None-Match', headers.etag ?? '')
    expect(answer.status).toBe(404)
  })

  test.each([
    ['in capitals', () => `${id.toUpperCase()}.svg`],
    ['with an ending in capitals', () => `${id}.SVG`],
    ['with another dot', () => `${id}..svg`],
    ['one character short', () => `${id.slice(1)}.svg`],
    ['one character long', () => `${id}0.svg`],
    ['two thousand characters long', () => `${id.repeat(32)}.svg`],
    ['with a NUL', () => `${id}%00.svg`],
    ['with a NUL in front', () => `%00${id}.svg`],
    ['as the path of its file', () => `${id.slice(0, 2)}/${id}.svg`],
    ['with half a letter', () => '%E0%A4%A.svg'],
    ['as the path of its file, with an encoded slash', () => `${id.slice(0, 2)}%2f${id}.svg`],
    ['that leads to the folder above', () => `..%2f..%2fetc%2fpasswd.svg`],
    ['that leads to the folder above, encoded twice', () => '%252e%252e%252fpasswd.svg'],
    ['with backslashes', () => `..%5c..%5cpasswd.svg`],
    ['that is an absolute path', () => '%2fetc%2fpasswd.svg'],
    ['that is empty', () => '.svg'],
    ['with the name of a property of every object', () => '__proto__.svg'],
  ])('is answered with 404 for an id %s', async (_what, path) => {
    for (const file of [path(), path().replace(/svg$/, 'png').replace(/SVG$/, 'PNG')]) {
      const answer = await ask(app.url, `/avatars/${file}`, { headers: { Cookie: cookiesOf(owner) } })
      expect([file, answer.status]).toEqual([file, 404])
      expect(answer.text).not.toContain('root:')
    }
  })
})

/** Returns the Cookie header that the visitor's browser would send. */
function cookiesOf(visitor: Visitor): string {
  return visitor.jar.getCookies({ domain: '127.0.0.1', path: '/', secure: false, script: false }).toValueString()
}

describe('a PNG', () => {
  let visitor: Visitor
  let id: string
  beforeAll(async () => {
    ;({ visitor, id } = await wear({ seed: 'in pixels' }))
  })
  const sizeOf = (png: Buffer) => [png.subarray(1, 4).toString('latin1'), png.readUInt32BE(16), png.readUInt32BE(20)]

  test.each([128, 256, 512, 1024])('can be %i pixels wide', async (size) => {
    const { body, headers } = await visitor.get(`/avatars/${id}.png?size=${size}`)
    expect(headers['content-type']).toBe('image/png')
    expect(sizeOf(body)).toEqual(['PNG', size, size])
  })

  test('is 512 pixels wide by default', async () => {
    for (const asked of ['', '?download', '?size[]=128', '?Size=128']) {
      expect(sizeOf((await visitor.get(`/avatars/${id}.png${asked}`)).body)).toEqual(['PNG', 512, 512])
    }
  })

  test.each([
    '',
    '0',
    '1',
    '64',
    '129',
    '2048',
    '100000',
    '1e9',
    '-1',
    '-512',
    '512.0',
    '0512',
    '+512',
    '0x200',
    '512px',
    'NaN',
    'null',
    '512&size=512',
    '512&size=128',
    '512%00',
    '512%20',
    '５１２',
  ])('cannot have the size %o', async (size) => {
    // biome-ignore format: a list
    const answer = await visitor.get(`/avatars/${id}.png?size=${size}`)
    expect(answer.status).toBe(400)
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
    expect((await app.visitor().get(`/avatars/${id}.png?size=${size}`)).status).toBeGreaterThanOrEqual(400)
  })
})

describe('a download', () => {
  const account = (username: string, i: number) => {
    const id = String(100 + i)
    return { id, username, globalName: null, discriminator: '0', avatar: null }
  }
  /** Usernames and their file names. Most of the usernames are not possible at Discord. */
  const names: [username: string, file: string][] = [
    ['juniper.moss', 'juniper.moss'],
    ['a"b\'c', 'a-b-c'],
    ['x/../..\\y', 'x-..-..-y'],
    ['cr\r\nSet-Cookie: evil=1', 'cr-Set-Cookie-evil-1'],
    ['; filename="evil.exe"', 'filename-evil.exe'],
    ['🦊🦊', 'avatar'],
    ['a🦊b', 'a-b'],
    ['أوزي', 'أوزي'],
    ['\u202egpj.exe', 'gpj.exe'],
    ['Zoë', 'Zoë'],
    ['Zoe\u0308', 'Zoë'],
    ['नमस्ते', 'नमस्ते'],
    ['..', 'avatar'],
    ['-rf', 'rf'],
    ['%41%00', '41-00'],
    ['$(reboot) `x` | y', 'reboot-x-y'],
    ['𝓐 of the astral plane', '𝓐-of-the-astral-plane'],
    ['x'.repeat(200), 'x'.repeat(40)],
    ['𝓐'.repeat(50), '𝓐'.repeat(40)],
    ['moss.-', 'moss'],
  ]
  let named: TestApp
  beforeAll(async () => {
    named = await openApp({ accounts: names.map(([username], i) => account(username, i)) })
  })
  afterAll(() => named.close())

  // Exactly as RFC 6266 and RFC 8187 define it.
  const header =
    /^attachment; filename=(?:[\w!#$&+.^`|~-]+|"[ !#-[\]-~]*")(?:; filename\*=UTF-8''(?:[\w!#$&+.^`|~-]|%[0-9A-F]{2})+)?$/

  test.each(names.map(([username, file], i) => ({ username, file, id: String(100 + i) })))(
    'of $username has the name $file',
    async ({ file, id: accountId }) => {
      const { visitor, id } = await wear({ style: 'bottts', mood: 'love' }, named, accountId)
      for (const kind of ['svg', 'png']) {
        const { headers } = await visitor.get(`/avatars/${id}.${kind}?download`)
        const disposition = headers['content-disposition'] ?? ''
        expect(disposition).toMatch(header)
        const { type, parameters } = parseDisposition(disposition)
        expect([type, parameters.filename]).toEqual(['attachment', `${file}-bottts-love.${kind}`])
        expect(disposition.includes('filename*=')).toBe(/[^ -~]/.test(file))
        expect(headers['set-cookie']?.toString() ?? '').not.toContain('evil')
      }
    },
  )

  test('is sent only for ?download', async () => {
    const { visitor, id } = await wear()
    for (const kind of ['svg', 'png']) {
      expect((await visitor.get(`/avatars/${id}.${kind}`)).headers['content-disposition']).toBeUndefined()
      for (const asked of ['download', 'download=', 'download=1']) {
        const { headers } = await visitor.get(`/avatars/${id}.${kind}?${asked}`)
        expect(headers['content-disposition']).toMatch(/^attachment; /)
      }
    }
  })

  test('has no mood in its name when none was chosen', async () => {
    const { visitor, id } = await wear({ style: 'rings', mood: '' })
    const { headers } = await visitor.get(`/avatars/${id}.png?download`)
    expect(headers['content-disposition']).toBe('attachment; filename=juniper.moss-rings.png')
  })
})

describe('the answer with a picture', () => {
  let visitor: Visitor
  let id: string
  beforeAll(async () => {
    ;({ visitor, id } = await wear({ seed: 'with its headers' }))
  })
  const svgPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
  const files: [string, () => string, string, RegExp][] = [
    ['SVG', () => `/avatars/${id}.svg`, 'image/svg+xml; charset=utf-8', /^private, max-age=31536000, immutable$/],
    [
      'SVG to download',
      () => `/avatars/${id}.svg?download`,
      'image/svg+xml; charset=utf-8',
      /^private, max-age=31536000, immutable$/,
    ],
    ['PNG', () => `/avatars/${id}.png`, 'image/png', /^private, max-age=31536000, immutable$/],
    ['PNG of another size', () => `/avatars/${id}.png?size=128`, 'image/png', /^private, max-age=31536000, immutable$/],
    ['preview', () => '/preview.svg?style=rings&seed=x', 'image/svg+xml; charset=utf-8', /^public, max-age=604800$/],
    ['picture beside a link', () => '/og.png?style=rings&seed=z', 'image/png', /^public, max-age=604800$/],
    ['look for other sites', () => '/look.png?style=rings&seed=z', 'image/png', /^public, max-age=86400$/],
  ]

  test.each(files)('can draw and nothing else: %s', async (_what, path, type, caching) => {
    const { headers, status } = await visitor.get(path())
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': type,
      'content-security-policy': type === 'image/png' ? `${svgPolicy} allow-same-origin; img-src 'self'` : svgPolicy,
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': /^\/(og|look)\.png/.test(path()) ? 'cross-origin' : 'same-origin',
      'cache-control': expect.stringMatching(caching),
    })
    expect(headers['access-control-allow-origin']).toBeUndefined()
  })

  test.each(files)('is a 304 for a client that has the picture: %s', async (_what, path) => {
    const first = await visitor.get(path())
    const { etag } = first.headers
    expect(etag).toMatch(/^"[\w-]{64,}"$/)
    const again = await visitor.get(path()).set('If-None-Match', etag ?? '')
    expect(again.status).toBe(304)
    expect(again.text ?? '').toBe('')
    expect([again.headers.etag, again.headers['cache-control']]).toEqual([etag, first.headers['cache-control']])
    const older = await visitor.get(path()).set('If-None-Match', '"an older one"')
    expect(older.status).toBe(200)
    const head = await visitor.head(path())
    expect([head.status, head.headers.etag]).toEqual([200, etag])
  })

  // With an ETag made of the address, browsers would keep outdated pictures after an upgrade of DiceBear.
  test.each(['/preview.svg?style=rings&seed=x', '/og.png?style=rings&seed=z', '/look.png?style=rings&seed=z'])(
    'has a hash of the content as its ETag: %s',
    async (path) => {
      const { headers, body } = await visitor.get(path).responseType('blob')
      expect(headers.etag).toBe(`"${createHash('sha256').update(body).digest('hex')}"`)
    },
  )

  test('has a different ETag for each picture', async () => {
    const paths = [
      ...files.map(([, path]) => path()),
      `/avatars/${id}.png?size=1024`,
      '/preview.svg?style=rings&seed=y',
    ]
    const tags = await Promise.all(paths.map(async (path) => (await visitor.get(path)).headers.etag))
    // The first two are the same bytes, once shown and once downloaded.
    expect(tags[1]).toBe(tags[0])
    expect(new Set(tags).size).toBe(tags.length - 1)
  })
})

test('with little memory the latest 2 MB of previews are kept, and not drawn again', async () => {
  vi.spyOn(process, 'constrainedMemory').mockReturnValue(200 * 1024 * 1024)
  onTestFinished(() => void vi.restoreAllMocks())
  const own = await ownApp()
  const { draw } = own.parts.renderers
  let drawings = 0
  own.parts.renderers.draw = (choice) => {
    drawings += 1
    return draw(choice)
  }
  const preview = async (seed: string) => (await ask(own.url, `/preview.svg?style=disco&seed=${seed}`)).body.length
  const sizes: number[] = []
  const sizeMb = (from: number) => sizes.slice(from).reduce((sum, bytes) => sum + bytes, 0) / 2 ** 20
  while (sizeMb(1) <= 2) sizes.push(await preview(`number-${sizes.length}`))
  const oldestKept = sizes.findIndex((_, place) => sizeMb(place) < 1.95)
  await preview(`number-${oldestKept}`)
  expect(drawings).toBe(sizes.length)
  await preview('number-0')
  expect(drawings).toBe(sizes.length + 1)
})

describe('the link preview picture', () => {
  const card = (fields: Record<string, string>) => ask(app.url, `/og.png?${query(fields)}`)

  test.each<Look>([
    { style: 'adventurer', seed: 'fern', mood: 'happy', backgroundColor: '#ffd29d' },
    { style: 'glass', seed: '' },
    { style: 'sprouts', seed: '<b>&amp;</b> 🦊', animated: 'on' },
  ])('of %o is a PNG, 1200 by 630', async (choice) => {
    const { status, headers, body } = await card(choice)
    expect(status).toBe(200)
    expect(headers['content-type']).toBe('image/png')
    expect(headers['set-cookie']).toBeUndefined()
    expect([body.toString('latin1', 1, 4), body.readUInt32BE(16), body.readUInt32BE(20)]).toEqual(['PNG', 1200, 630])
  })

  test('shows the avatar without animation', async () => {
    const choice = { style: 'sprouts', seed: 'fern' }
    const [one, again, moving, other] = await Promise.all(
      [choice, choice, { ...choice, animated: 'on' }, { ...choice, seed: 'moss' }].map(card),
    )
    expect(again?.body).toEqual(one?.body)
    expect(moving?.body).toEqual(one?.body)
    expect(other?.body).not.toEqual(one?.body)
    expect(other?.headers.etag).not.toBe(one?.headers.etag)
  })

  test('shows an avatar without a background on a colour on which dark and light lines can be seen', async () => {
    const { body } = await card({ style: 'initials', seed: 'fern' })
    const { data, info } = await sharp(body).removeAlpha().raw().toBuffer({ resolveWithObject: true })
    const colourAt = (x: number, y: number) => {
      const from = (y * info.width + x) * info.channels
      return `#${data.toString('hex', from, from + 3)}`
    }
    // One pixel at the top of the circle, above the letters, and one outside of the circle.
    expect([colourAt(315, 100), colourAt(85, 85)]).toEqual(['#7c939b', '#10181b'])
  })

  test.each([
    '',
    'style=nope',
    'style=adventurer&style=rings',
    'style=bottts&mood=sad',
    'style=rings&backgroundColor=red',
    'style=rings&animated=yes',
    'style=rings&seed=%00x%01',
    `style=rings&seed=${'x'.repeat(129)}`,
  ])('is refused with %o, and so is the preview', async (values) => {
    for (const path of ['/og.png', '/look.png', '/preview.svg']) {
      const { status, headers } = await ask(app.url, `${path}?${values}`)
      expect([path, status]).toEqual([path, 400])
      expect(headers['content-type']).toBe('text/html; charset=utf-8')
      expect(headers.etag).toBeUndefined()
    }
  })
})

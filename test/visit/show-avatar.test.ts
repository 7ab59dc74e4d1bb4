// The avatar's page: the way to it, and the history.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from '../support/ask.ts'
import { drawn } from '../support/drawn.ts'
import { look, openApp, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { connectRaw } from '../support/raw-connection.ts'

let app: TestApp
beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())

describe('the way to the avatars', () => {
  test('every page has a link in its header, which needs no session', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    const malformed = await connectRaw(app.url, 'GET / HTTP/1.1\r\nHost: a\r\nb c\r\n\r\n')
    await malformed.closed
    const pages = {
      form: await ask(app.url, '/'),
      licences: await ask(app.url, '/licences'),
      error: await ask(app.url, '/nowhere'),
      malformed: { text: malformed.received(), headers: {} },
      avatar: await visitor.get('/show_avatar'),
    }
    for (const [name, { text }] of Object.entries(pages)) {
      const [header = ''] = /<header>.*<\/header>/s.exec(text) ?? []
      expect(header, name).toMatch(/<a [^>]*href="\/show_avatar"[^>]*>Your looks<\/a>/)
    }
    expect(pages.form.headers['set-cookie']).toBeUndefined()
  })

  test('the title of the page names the look that it shows', async () => {
    const visitor = app.visitor()
    await signIn(app, visitor)
    await visitor.post('/show_avatar').type('form').send({ style: 'bottts', seed: 'otter' })
    const title = async (path: string) => /<title>([^<]*)/.exec((await visitor.get(path)).text)?.[1]
    expect(await title('/show_avatar')).toMatch(/^Bottts · Looking good/)
    const older = /href="(\/show_avatar\?avatar=[0-9a-f]{64})"(?! aria-current)/.exec(
      (await visitor.get('/show_avatar')).text,
    )
    expect(await title(older?.[1] ?? '')).toMatch(/^Adventurer, happy · Looking good/)
    const refused = await visitor
      .post('/show_avatar')
      .type('form')
      .send({ ...look, style: 'nope' })
    expect(refused.text).toContain('<title>Error: Bottts · Looking good')
  })
})

/** A visitor with as many avatars. Returns their ids, newest first. */
async function withLooks(count: number): Promise<{ visitor: Visitor; ids: string[] }> {
  const visitor = app.visitor()
  await signIn(app, visitor, seeded(1))
  for (let seed = 2; seed <= count; seed += 1) await make(visitor, seed)
  return { visitor, ids: await historyOf(visitor) }
}

test('the text alternative says what DiceBear has drawn, from its answer and from the file', async () => {
  const pins = { hairVariant: 'short03', glassesVariant: 'variant02', hairColor: '#0E0E0E', skinColor: '763900' }
  const visitor = app.visitor()
  await signIn(app, visitor, { ...look, ...pins })
  const altOn = (html: string) => /<img class="[^"]*portrait[^>]* alt="([^"]*)"/.exec(html)?.[1]
  const alt = 'Your avatar: Adventurer, happy, with short black hair, glasses and dark brown skin'
  expect(altOn((await visitor.get('/show_avatar')).text)).toBe(alt)
  // A second instance has not drawn it.
  const other = await openApp({ beside: app, settings: { CACHE_DIR: app.folder } })
  try {
    const elsewhere = other.visitor()
    await signIn(other, elsewhere, look)
    await elsewhere
      .post('/show_avatar')
      .type('form')
      .send({ ...look, ...pins })
    expect(altOn((await elsewhere.get('/show_avatar')).text)).toBe(alt)
  } finally {
    await other.close()
  }
})

const seeded = (seed: number) => ({ ...look, seed: `look ${seed}` })
const make = (visitor: Visitor, seed: number) => visitor.post('/show_avatar').type('form').send(seeded(seed))

async function historyOf(visitor: Visitor): Promise<string[]> {
  const { text } = await visitor.get('/show_avatar')
  return [...text.matchAll(/href="\/show_avatar\?avatar=([0-9a-f]{64})"/g)].map(([, id = '']) => id)
}

/** Which avatars have a star, by their places. */
async function keptPlaces(visitor: Visitor): Promise<number[]> {
  const { text } = await visitor.get('/show_avatar')
  const actions = [...text.matchAll(/action="\/avatars\/[0-9a-f]{64}\/(unkeep|keep)#/g)]
  return actions.flatMap(([, action], place) => (action === 'unkeep' ? [place] : []))
}

/** Does something to an avatar, and expects to be led to the page. */
async function act(visitor: Visitor, id: string | undefined, action: string): Promise<void> {
  const answer = await visitor.post(`/avatars/${id}/${action}`)
  expect([action, answer.status, answer.headers.location]).toEqual([action, 303, '/show_avatar'])
}

describe('removing', () => {
  test('takes one avatar away from its owner, and nothing from anybody else', async () => {
    const { visitor, ids } = await withLooks(2)
    const { visitor: twin } = await withLooks(2)
    const [newer, older] = ids
    await act(visitor, older, 'forget')
    for (const file of [`${older}.svg`, `${older}.png`]) {
      expect((await visitor.get(`/avatars/${file}`)).status).toBe(404)
    }
    expect((await visitor.get(`/show_avatar?avatar=${older}`)).status).toBe(404)
    expect((await visitor.post(`/avatars/${older}/forget`)).status).toBe(404)
    expect(await historyOf(visitor)).toEqual([newer])
    expect((await twin.get(`/avatars/${older}.svg`)).body.toString()).toBe(drawn(seeded(1)))
  })

  test('can be undone: the avatar is back in its place, kept as before, until another one is made', async () => {
    const { visitor, ids } = await withLooks(4)
    await act(visitor, ids[2], 'keep')
    await act(visitor, ids[2], 'forget')
    const { text } = await visitor.get('/show_avatar')
    expect(text).toContain('Removed Adventurer, happy, from the seed “<bdi>look 2</bdi>”.')
    const undo = /action="(\/avatars\/[0-9a-f]{64}\/restore)#looks"/.exec(text)?.[1]
    expect(undo).toBe(`/avatars/${ids[2]}/restore`)
    // Twice: the button is pressed twice.
    for (const _ of ['first', 'second']) await act(visitor, ids[2], 'restore')
    expect(await historyOf(visitor)).toEqual(ids)
    expect(await keptPlaces(visitor)).toEqual([2])
    expect((await visitor.get('/show_avatar')).text).not.toContain('/restore')

    await act(visitor, ids[0], 'forget')
    await act(visitor, ids[1], 'forget')
    expect((await visitor.post(`/avatars/${ids[0]}/restore`)).status).toBe(404)
    await make(visitor, 5)
    expect((await visitor.post(`/avatars/${ids[1]}/restore`)).status).toBe(404)
    expect((await historyOf(visitor)).slice(1)).toEqual(ids.slice(2))
  })

  test('of the last one leads to the form, and can be undone', async () => {
    const { visitor, ids } = await withLooks(1)
    await act(visitor, ids[0], 'forget')
    const page = await visitor.get('/show_avatar')
    expect([page.status, page.headers.location]).toEqual([303, '/?notice=no-looks'])
    await act(visitor, ids[0], 'restore')
    expect(await historyOf(visitor)).toEqual(ids)
  })
})

describe('keeping', () => {
  test('a kept avatar stays when newer ones come, and leaves like any other when it is no longer kept', async () => {
    const { visitor, ids } = await withLooks(12)
    const [oldest, second] = ids.toReversed()
    await act(visitor, oldest, 'keep')
    await make(visitor, 13)
    expect(await historyOf(visitor)).toEqual([expect.any(String), ...ids.filter((id) => id !== second)])
    // Made again, it is the newest, and still kept.
    await make(visitor, 1)
    expect((await historyOf(visitor))[0]).toBe(oldest)
    expect(await keptPlaces(visitor)).toEqual([0])
    await act(visitor, oldest, 'unkeep')
    for (let seed = 20; seed < 32; seed += 1) await make(visitor, seed)
    expect(await historyOf(visitor)).not.toContain(oldest)
  })

  test('six at most: the page says so, and the seventh is not kept', async () => {
    const { visitor, ids } = await withLooks(8)
    for (const id of ids.slice(0, 5)) await act(visitor, id, 'keep')
    const notice = 'Six looks have a star'
    expect((await visitor.get('/show_avatar')).text).not.toContain(notice)
    for (const id of ids.slice(5)) await act(visitor, id, 'keep')
    expect((await visitor.get('/show_avatar')).text).toContain(notice)
    expect(await keptPlaces(visitor)).toEqual([0, 1, 2, 3, 4, 5])
    // A star that another avatar got meanwhile is not given twice.
    await act(visitor, ids[0], 'forget')
    await act(visitor, ids[7], 'keep')
    await act(visitor, ids[0], 'restore')
    expect(await keptPlaces(visitor)).toEqual([1, 2, 3, 4, 5, 7])
    for (let seed = 20; seed < 34; seed += 1) await make(visitor, seed)
    const history = await historyOf(visitor)
    expect(history).toHaveLength(12)
    expect(history.slice(6)).toEqual([1, 2, 3, 4, 5, 7].map((place) => ids[place]))
  })

  test('presses in two tabs at once all count', async () => {
    const { visitor, ids } = await withLooks(6)
    await Promise.all([
      ...ids.slice(0, 4).map((id) => act(visitor, id, 'keep')),
      act(visitor, ids[5], 'forget'),
      make(visitor, 7),
    ])
    expect((await historyOf(visitor)).slice(1)).toEqual(ids.slice(0, 5))
    expect(await keptPlaces(visitor)).toEqual([1, 2, 3, 4])
  })
})

describe('what is done to an avatar', () => {
  const actions = ['forget', 'restore', 'keep', 'unkeep']

  test.each(actions)('%s works only by a post from our own page, and only for its owner', async (action) => {
    const { visitor, ids } = await withLooks(1)
    const { visitor: other } = await withLooks(2)
    const path = `/avatars/${ids[0]}/${action}`
    await act(other, ids[0], 'forget')
    await make(other, 9)
    for (const stranger of [other, app.visitor()]) expect((await stranger.post(path)).status).toBe(404)
    expect((await visitor.post(`/avatars/${'0'.repeat(64)}/${action}`)).status).toBe(404)
    expect((await visitor.post(path).set('Sec-Fetch-Site', 'cross-site')).status).toBe(403)
    expect((await visitor.get(path)).status).toBe(405)
    expect(await historyOf(visitor)).toEqual(ids)
    expect(await keptPlaces(visitor)).toEqual([])
  })

  test('the page says until when the avatars are kept, and what signing out removes', async () => {
    const { visitor } = await withLooks(1)
    const days = [0, 1].map((late) => new Date(Date.now() + (7 * 24 * 60 * 60 - late) * 1000))
    const dates = days.map(
      (day) => `${day.getUTCDate()} ${day.toLocaleString('en-GB', { month: 'long', timeZone: 'UTC' })}`,
    )
    const { text } = await visitor.get('/show_avatar')
    expect(dates).toContain(/stay until ([^:]*):/.exec(text)?.[1])
    expect(text).toContain('Sign out<small>deletes looks</small>')
  })
})

// The avatar's page: the links to it, and the history.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { ask } from '../support/ask.ts'
import { drawn } from '../support/drawn.ts'
import { look, openApp, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { connectRaw } from '../support/raw-connection.ts'

let app: TestApp
beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())

describe('the visitor’s avatars', () => {
  test('are linked in the header of every page, also without a session', async () => {
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

  test('have a page whose title names the look that it shows', async () => {
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

/** Signs in a visitor and makes this many avatars. Returns the visitor and the ids, newest first. */
async function withLooks(count: number): Promise<{ visitor: Visitor; ids: string[] }> {
  const visitor = app.visitor()
  await signIn(app, visitor, seeded(1))
  for (let seed = 2; seed <= count; seed += 1) await make(visitor, seed)
  return { visitor, ids: await historyOf(visitor) }
}

test('the page asks before it copies a link with the username, even if the visitor typed it as the seed', async () => {
  const ask = async (seed: string) => {
    const visitor = app.visitor()
    await signIn(app, visitor, { ...look, seed })
    return (await visitor.get('/show_avatar')).text.includes(words.show.copyWithName)
  }
  expect([await ask(''), await ask('juniper.moss'), await ask('juniper')]).toEqual([true, true, false])
})

test('“Make it fit” keeps an empty seed, and a long seed is cut in the heading only', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor, { ...look, seed: '', translateX: '40' })
  const { text } = await visitor.get('/show_avatar')
  const [fit = ''] = /<form class="notice" method="post" action="\/show_avatar">.*?<\/form>/s.exec(text) ?? []
  expect([...fit.matchAll(/name="(\w+)" value="(\w*)"/g)].map(([, name, value]) => `${name} ${value}`)).toEqual([
    'style adventurer',
    'backgroundColor ffd29d',
    'mood happy',
  ])
  const seed = 'x'.repeat(41)
  await visitor
    .post('/show_avatar')
    .type('form')
    .send({ ...look, seed })
  const { text: long } = await visitor.get('/show_avatar')
  expect(long).toContain(`from the seed “<bdi>${seed.slice(0, 39)}…</bdi>”.`)
  expect(long).toContain(` from the seed “<bdi>${seed}</bdi>”</span>`)
})

test('the faces to pick from are in the style of the avatar that is shown, and so is the link to twelve more', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor, { ...look, style: 'thumbs' })
  const [older] = await historyOf(visitor)
  await visitor.post('/show_avatar').type('form').send({ style: 'bottts', seed: 'otter' })
  const [newer] = await historyOf(visitor)
  for (const [style, id] of Object.entries({ bottts: newer, thumbs: older })) {
    const { text } = await visitor.get(`/show_avatar?avatar=${id}`)
    const [faces = ''] = /<form class="tiles wall-faces".*?#twelve"/s.exec(text) ?? []
    const styles = [...faces.matchAll(/style=([\w-]+)/g)].map(([, name]) => name)
    expect([styles.length, new Set(styles), faces.includes(`avatar=${id}`)]).toEqual([12, new Set([style]), true])
  }
})

test('the form on the page has the style of the avatar if its address has none that is known', async () => {
  const visitor = app.visitor()
  await signIn(app, visitor, { style: 'thumbs', seed: 'fern' })
  for (const query of ['style=nope', 'seed=moss', 'style=']) {
    const { text } = await visitor.get(`/show_avatar?${query}`)
    expect([query, /name="style" value="([\w-]+)"[^>]*? checked/.exec(text)?.[1]]).toEqual([query, 'thumbs'])
    // The preview is the visitor's own face, also if the seed is the username.
    expect(/ data-state>([^<]*)/.exec(text)?.[1]).toBe('')
  }
})

test('the text alternative says what DiceBear has drawn, from its answer and from the file', async () => {
  const pins = { hairVariant: 'short03', glassesVariant: 'variant02', hairColor: '#0E0E0E', skinColor: '763900' }
  const visitor = app.visitor()
  await signIn(app, visitor, { ...look, ...pins })
  const altOn = (html: string) => /<img class="[^"]*portrait[^>]* alt="([^"]*)"/.exec(html)?.[1]
  const alt = 'Your avatar: Adventurer, happy, with short black hair, glasses and dark brown skin'
  expect(altOn((await visitor.get('/show_avatar')).text)).toBe(alt)
  // A second instance reads the avatar's file, because it has not drawn the avatar itself.
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

/** Returns the places in the history of the avatars that have a star. */
async function keptPlaces(visitor: Visitor): Promise<number[]> {
  const { text } = await visitor.get('/show_avatar')
  const actions = [...text.matchAll(/action="\/avatars\/[0-9a-f]{64}\/(unkeep|keep)#/g)]
  return actions.flatMap(([, action], place) => (action === 'unkeep' ? [place] : []))
}

/** Posts this action for an avatar, and expects a redirect to the page. */
async function act(visitor: Visitor, id: string | undefined, action: string): Promise<void> {
  const answer = await visitor.post(`/avatars/${id}/${action}`)
  expect([action, answer.status, answer.headers.location]).toEqual([action, 303, '/show_avatar'])
}

describe('removing an avatar', () => {
  test('takes it away from its owner, and from nobody else', async () => {
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

  test('can be undone until another one is made: it is back in its place, and kept if it was', async () => {
    const { visitor, ids } = await withLooks(4)
    await act(visitor, ids[2], 'keep')
    await act(visitor, ids[2], 'forget')
    const { text } = await visitor.get('/show_avatar')
    expect(text).toContain('Removed Adventurer, happy, from the seed “<bdi>look 2</bdi>”.')
    const undo = /action="(\/avatars\/[0-9a-f]{64}\/restore)#looks"/.exec(text)?.[1]
    expect(undo).toBe(`/avatars/${ids[2]}/restore`)
    // The button is pressed twice.
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

  test('leads to the form if it was the last one, and can be undone', async () => {
    const { visitor, ids } = await withLooks(1)
    await act(visitor, ids[0], 'forget')
    const page = await visitor.get('/show_avatar')
    expect([page.status, page.headers.location]).toEqual([303, '/?notice=no-looks'])
    // The form does not read the session, so its button does not have the id of the avatar.
    const { text } = await visitor.get('/?notice=no-looks')
    expect(text).toContain('action="/avatars/removed/restore"')
    expect((await app.visitor().post('/avatars/removed/restore')).status).toBe(404)
    const refused = await visitor
      .post('/show_avatar')
      .type('form')
      .send({ ...look, style: 'nope' })
    expect([refused.status, refused.text.includes('action="/get_avatar"')]).toEqual([422, true])
    await act(visitor, 'removed', 'restore')
    expect(await historyOf(visitor)).toEqual(ids)
    expect((await visitor.post('/avatars/removed/restore')).status).toBe(404)
  })
})

describe('keeping an avatar', () => {
  test('lets it stay when newer ones come, until it is no longer kept', async () => {
    const { visitor, ids } = await withLooks(12)
    const [oldest, second] = ids.toReversed()
    await act(visitor, oldest, 'keep')
    await make(visitor, 13)
    expect(await historyOf(visitor)).toEqual([expect.any(String), ...ids.filter((id) => id !== second)])
    // When it is made again, it is the newest one, and still kept.
    await make(visitor, 1)
    expect((await historyOf(visitor))[0]).toBe(oldest)
    expect(await keptPlaces(visitor)).toEqual([0])
    await act(visitor, oldest, 'unkeep')
    await make(visitor, 1)
    expect(await keptPlaces(visitor)).toEqual([])
    for (let seed = 20; seed < 32; seed += 1) await make(visitor, seed)
    expect(await historyOf(visitor)).not.toContain(oldest)
  })

  test('is possible for six avatars; for the seventh the page says so', async () => {
    const { visitor, ids } = await withLooks(8)
    for (const id of ids.slice(0, 5)) await act(visitor, id, 'keep')
    const notice = 'Six looks have a star'
    expect((await visitor.get('/show_avatar')).text).not.toContain(notice)
    for (const id of ids.slice(5)) await act(visitor, id, 'keep')
    expect((await visitor.get('/show_avatar')).text).toContain(notice)
    expect(await keptPlaces(visitor)).toEqual([0, 1, 2, 3, 4, 5])
    // The star of a removed avatar does not come back if another avatar has taken the sixth star.
    await act(visitor, ids[0], 'forget')
    await act(visitor, ids[7], 'keep')
    await act(visitor, ids[0], 'restore')
    expect(await keptPlaces(visitor)).toEqual([1, 2, 3, 4, 5, 7])
    for (let seed = 20; seed < 34; seed += 1) await make(visitor, seed)
    const history = await historyOf(visitor)
    expect(history).toHaveLength(12)
    expect(history.slice(6)).toEqual([1, 2, 3, 4, 5, 7].map((place) => ids[place]))
    await act(visitor, ids[7], 'unkeep')
    expect(await keptPlaces(visitor)).toEqual([6, 7, 8, 9, 10])
  })

  test('works in two tabs at once', async () => {
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

describe('an action on an avatar', () => {
  const actions = ['forget', 'restore', 'keep', 'unkeep']

  test.each(actions)('(%s) works only by a post from the site’s own page, and only for the owner', async (action) => {
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

  test('is explained: the page says until when avatars are kept, and what signing out removes', async () => {
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

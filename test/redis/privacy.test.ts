import { createClient } from 'redis'
import type { Response } from 'supertest'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { at } from '../support/doubles.ts'
import { faults } from '../support/faults.ts'
import { comeBack, leave, look, openApp, signIn, type TestApp } from '../support/open-app.ts'
import { openReader, type Reader } from '../support/page.ts'
import { openRedis, type Redis } from '../support/redis.ts'
import { restyle, send, setCookies } from '../support/visits.ts'

let redis: Redis
let reader: Reader

beforeAll(async () => {
  ;[redis, reader] = await Promise.all([openRedis(), openReader()])
})
afterAll(() => Promise.all([redis.stop(), reader.close()]))

async function opened(settings: Record<string, string> = {}): Promise<TestApp> {
  const app = await openApp({ redisUrl: redis.url, settings: { RATE_LIMIT: 'on', ...settings } })
  onTestFinished(() => app.close())
  return app
}

async function pageOf(app: TestApp) {
  const answer = await app.visitor().get('/privacy')
  expect([answer.status, answer.get('Set-Cookie')]).toEqual([200, undefined])
  return { text: answer.text, page: await reader.read(answer.text) }
}

/** Returns the rows of the tables on the page that have the name of a key or a cookie. */
async function rowsOf(app: TestApp) {
  const { page } = await pageOf(app)
  const named = (await page.find('tr:has(code) td')).map(({ text }) => text)
  return named.flatMap((text, place) =>
    place % 3 === 1 ? [{ name: text.replace(/^\w+ /, ''), howLong: named[place + 1] ?? '' }] : [],
  )
}

const numbers: Record<string, number> = { a: 1, an: 1, one: 1, three: 3, seven: 7, ten: 10 }
const units: Record<string, number> = { second: 1, minute: 60, hour: 3600, day: 86_400 }

/** Returns the first duration in a text, in seconds. */
function secondsIn(text: string): number {
  const [, count = '', unit = ''] = /(\w+) (second|minute|hour|day)s?/.exec(text.toLowerCase()) ?? []
  return (numbers[count] ?? Number(count)) * (units[unit] ?? Number.NaN)
}

/** Does everything that a visitor and Discord can do. Calls `inspect` after each step with the answers of the step. */
async function walk(app: TestApp, inspect: (...answers: Response[]) => Promise<void>): Promise<void> {
  const visitor = app.visitor()
  const leaving = await visitor.post('/get_avatar').type('form').send(look)
  await inspect(leaving, await visitor.get('/readyz'))
  app.discord.delay(at.user, 100)
  const returning = send(comeBack(visitor, app.discord.codeFor(String(leaving.headers.location))))
  await expect.poll(() => app.discord.count(at.user), { interval: 5 }).toBe(1)
  await inspect()
  app.discord.heal()
  await inspect(await returning, await signIn(app, visitor, { ...look, seed: 'again' }))
  app.discord.fail(at.user, faults.rateLimited(3600), { times: 1 })
  await inspect(await restyle(visitor))
  const other = app.visitor()
  await signIn(app, other, look, app.discord.accounts[1]?.id)
  app.discord.deauthorize(app.discord.accounts[1]?.id ?? '')
  await inspect(await restyle(other))
  await leave(other)
  await inspect(await visitor.post('/forget_me'))
}

describe('GET /privacy', () => {
  test('names each kind of key and each cookie of a visit, with its lifetime, and no other', async () => {
    const app = await opened()
    const db = await createClient({ url: redis.url }).connect()
    onTestFinished(() => db.destroy())
    const longestS = new Map<string, number>()
    const cookies = new Map<string, number>()
    await walk(app, async (...answers) => {
      for (const key of await db.keys('*')) {
        const kind = `${key.replace(/^\{/, '').split(':')[0]}:`
        longestS.set(kind, Math.max(longestS.get(kind) ?? 0, await db.ttl(key)))
      }
      for (const line of answers.flatMap(setCookies)) {
        const name = (line.split('=')[0] ?? '').replace(/^state-.*/, 'state-…')
        const lifeS = Number(/Max-Age=(\d+)/.exec(line)?.[1] ?? 0)
        cookies.set(name, Math.max(cookies.get(name) ?? 0, lifeS))
      }
    })
    const rows = await rowsOf(app)
    const found = [...longestS.keys(), ...cookies.keys()]
    expect(rows.map(({ name }) => name).sort()).toEqual(found.sort())
    for (const { name, howLong } of rows) {
      const said = name.startsWith('avatar-session') ? 7 * 86_400 : secondsIn(howLong)
      const isS = longestS.get(name) ?? cookies.get(name) ?? 0
      expect([name, isS <= said, isS > said * 0.9 - 2]).toEqual([name, true, true])
    }
  })

  test('is linked at the foot of every page', async () => {
    const app = await opened()
    const visitor = app.visitor()
    await signIn(app, visitor)
    for (const path of ['/', '/show_avatar', '/licences', '/privacy', '/nowhere', '/get_avatar?code=x']) {
      const page = await reader.read((await visitor.get(path)).text)
      expect([path, await page.find('footer a[href="/privacy"]')]).toEqual([path, [expect.anything()]])
    }
  })

  test('says whether DiceBear is sent the username, and at which address', async () => {
    const asked = await pageOf(await opened())
    expect(asked.text).toMatch(/<strong>DiceBear<\/strong>, at 127\.0\.0\.1:\d+, draws the looks/)
    expect(asked.text).toContain('<strong>the seed is your Discord username</strong>')
    const embedded = await pageOf(await opened({ DICEBEAR_URL: 'embedded' }))
    expect(embedded.text).toContain('This site draws all looks itself')
    expect(embedded.text).not.toContain('the seed is your Discord username')
  })

  test('names whom to ask, and links to the operator’s own policy', async () => {
    const nobody = await pageOf(await opened())
    expect(nobody.text).toContain(words.privacy.noContact)
    expect(nobody.text).not.toContain(words.privacy.policy)
    const PRIVACY_URL = 'https://avatars.example/policy?a=1&b=2'
    const { page } = await pageOf(await opened({ CONTACT: 'help@avatars.example', PRIVACY_URL }))
    const links = await page.find('main a')
    const targets = links.map(({ attributes }) => attributes.get('href'))
    expect(targets).toEqual(expect.arrayContaining(['mailto:help@avatars.example', PRIVACY_URL]))
  })

  test('has the button that deletes everything after a confirmation', async () => {
    const { page } = await pageOf(await opened())
    expect(await page.find('details:not([open]) form[method="post"][action="/forget_me"] button')).toHaveLength(1)
    expect(await page.find('form[action="/forget_me"] :is(input, button[name])')).toEqual([])
  })
})

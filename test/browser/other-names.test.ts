// The site at a host name that is not in BASE_URL. Cookies and Discord's redirect work at BASE_URL only.
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AskOptions, ask, formOf } from '../support/ask.ts'
import { inPage, openBrowser } from '../support/browser.ts'
import { look, openApp, type TestApp } from '../support/open-app.ts'

let app: TestApp
let secure: TestApp

beforeAll(async () => {
  app = await openApp()
  secure = await openApp({ settings: { BASE_URL: 'https://avatars.localhost' } })
})
afterAll(() => Promise.all([app.close(), secure.close()]))

const port = () => new URL(app.url).port

function post(at: TestApp, path: string, headers: Record<string, string>, fields = look): ReturnType<typeof ask> {
  const form: AskOptions = formOf(fields)
  return ask(at.url, path, { ...form, headers: { ...form.headers, ...headers } })
}

/** The headers that a browser sends when a page of this origin posts a form to the same origin. */
const from = (origin: string) => ({ Origin: origin, Host: new URL(origin).host })

type Post = [what: string, at: () => TestApp, headers: () => Record<string, string>]

const otherNames: Post[] = [
  ['localhost', () => app, () => from(`http://localhost:${port()}`)],
  ['::1', () => app, () => from(`http://[::1]:${port()}`)],
  ['127.0.0.2', () => app, () => from(`http://127.0.0.2:${port()}`)],
  ['www.', () => secure, () => from('https://www.avatars.localhost')],
  ['a dot at the end', () => secure, () => from('https://avatars.localhost.')],
  ['http', () => secure, () => from('http://avatars.localhost')],
  ['http and www.', () => secure, () => from('http://www.avatars.localhost')],
]

describe('the form, posted at another host name of the site', () => {
  test.each(otherNames)('%s: is redirected (303) to the form at BASE_URL with its values', async (_, at, headers) => {
    for (const site of [{}, { 'Sec-Fetch-Site': 'same-origin' }]) {
      const answer = await post(at(), '/get_avatar', { ...headers(), ...site })
      expect(answer.status).toBe(303)
      const location = new URL(String(answer.headers.location))
      expect(location.origin + location.pathname).toBe(`${at().config.baseUrl}/`)
      expect(Object.fromEntries(location.searchParams)).toMatchObject({ ...look, backgroundColor: 'ffd29d' })
      expect(answer.headers['set-cookie']).toBeUndefined()
    }
  })

  test('leads to a form that keeps the values and says why the address has changed', async () => {
    const answer = await post(app, '/get_avatar', from(`http://localhost:${port()}`))
    const { pathname, search } = new URL(String(answer.headers.location))
    const form = await ask(app.url, pathname + search)
    expect(form.text).toContain('works only at this address')
    expect(form.text).toContain(`value="${look.seed}"`)
  })

  test('with invalid values is answered with 422, and the values are kept', async () => {
    const answer = await post(app, '/get_avatar', from(`http://localhost:${port()}`), { ...look, style: 'nope' })
    expect([answer.status, answer.text.includes(`value="${look.seed}"`)]).toEqual([422, true])
  })

  test('is redirected behind a proxy that changes Host, too, if the browser says that it is same-origin', async () => {
    const headers = { Origin: 'https://www.avatars.localhost', 'Sec-Fetch-Site': 'same-origin' }
    expect((await post(secure, '/get_avatar', headers)).status).toBe(303)
  })

  test('is served there, with a content policy that allows the redirect to BASE_URL', async () => {
    const Host = `localhost:${port()}`
    const page = await ask(app.url, '/', { headers: { Host } })
    expect(page.status).toBe(200)
    const [, allowed] = /form-action ([^;]*)/.exec(String(page.headers['content-security-policy'])) ?? []
    expect(allowed?.split(' ')).toEqual(["'self'", new URL(app.discord.authorizeUrl).origin, app.config.baseUrl])
  })
})

const noNames: Post[] = [
  ['another port', () => app, () => from('http://localhost:1')],
  ['https for http', () => app, () => from(`https://localhost:${port()}`)],
  ['another subdomain', () => secure, () => from('https://evil.avatars.localhost')],
  ['a name that ends like ours', () => secure, () => from('https://www.evil-avatars.localhost')],
  ['a name that begins like ours', () => secure, () => from('https://www.avatars.localhost.evil.example')],
  ['twice www.', () => secure, () => from('https://www.www.avatars.localhost')],
  ['localhost, for a public site', () => secure, () => from('https://localhost')],
  [
    'another name, sent to ours',
    () => secure,
    () => ({ Origin: 'https://www.avatars.localhost', Host: 'avatars.localhost' }),
  ],
  [
    'another name, and cross-site',
    () => secure,
    () => ({ ...from('https://www.avatars.localhost'), 'Sec-Fetch-Site': 'cross-site' }),
  ],
]

test.each(noNames)('a post from a host name that is not the site’s is refused (403): %s', async (_, at, headers) => {
  const answer = await post(at(), '/get_avatar', headers())
  expect([answer.status, answer.headers.location]).toEqual([403, undefined])
})

test('a post is not redirected if only its Host header is another name, which a proxy may have set', async () => {
  for (const headers of [
    {},
    { 'Sec-Fetch-Site': 'same-origin' },
    { 'Sec-Fetch-Site': 'same-origin', Origin: app.url },
  ]) {
    const answer = await post(app, '/get_avatar', { ...headers, Host: `localhost:${port()}` })
    expect(answer.status).toBe(302)
  }
})

test('any other post at another host name, from a browser without Sec-Fetch-Site, is refused (403)', async () => {
  for (const path of ['/show_avatar', '/sign_out']) {
    expect((await post(app, path, from(`http://localhost:${port()}`))).status).toBe(403)
  }
})

test('the error page for an unknown state names the likely reasons', async () => {
  const answer = await ask(app.url, '/get_avatar?code=x&state=y')
  expect(answer.status).toBe(400)
  for (const reason of ['another browser', 'Discord app', 'cookies', 'ten minutes'])
    expect(answer.text).toContain(reason)
})

describe('in a browser', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await openBrowser()
  })
  afterAll(() => browser.close())

  test.each([true, false])(
    'a visit from another host name leads to the avatar (script: %s)',
    async (javaScriptEnabled) => {
      await inPage(browser, { javaScriptEnabled }, async (page) => {
        await page.goto(`http://localhost:${port()}/?style=bottts&seed=river+otter`)
        await page.getByRole('button', { name: 'Continue with Discord' }).last().click()
        await page.waitForURL((url) => url.origin === app.url)
        expect(await page.getByRole('textbox', { name: 'Name or word' }).inputValue()).toBe('river otter')
        expect(await page.getByText('works only at this address').isVisible()).toBe(true)
      })
    },
  )
})

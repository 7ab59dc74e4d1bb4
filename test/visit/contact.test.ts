import { expect, onTestFinished, test } from 'vitest'
import { words } from '../../src/pages/words.ts'
import { ask } from '../support/ask.ts'
import { openApp } from '../support/open-app.ts'
import { connectRaw } from '../support/raw-connection.ts'

async function opened(settings: Record<string, string>) {
  const app = await openApp({ settings })
  onTestFinished(() => app.close())
  return app
}

test.each([
  ['help@avatars.example', 'mailto:help@avatars.example', 'help@avatars.example'],
  ['mailto:help@avatars.example', 'mailto:help@avatars.example', 'help@avatars.example'],
  [
    'https://avatars.example/help?from=avatars&us=1',
    'https://avatars.example/help?from=avatars&us=1',
    'avatars.example/help?from=avatars&us=1',
  ],
])('every error page shows CONTACT=%s beside the number of the error', async (CONTACT, href, text) => {
  const { url } = await opened({ CONTACT })
  const escaped = (value: string) => value.replaceAll('&', '&amp;')
  const link = `<a href="${escaped(href)}">${escaped(text)}</a>`
  const missing = await ask(url, '/nowhere')
  expect(missing.text).toMatch(/The number of this error is <bdi>404-[0-9a-f]{8}<\/bdi>\./)
  const [before, after] = words.errors.ask.split('{contact}')
  for (const page of [missing, await ask(url, '/get_avatar?code=x')]) {
    expect(page.text).toContain(`${before}${link}${after}`)
  }
  const problem = await ask(url, '/nowhere', { headers: { Accept: 'application/json' } })
  expect(JSON.parse(problem.text)).toMatchObject({ errorNumber: expect.stringMatching(/^404-/), contact: href })
  // A request that Node cannot parse gets a page from another part of the app.
  const malformed = await connectRaw(url, 'GET / HTTP/1.1\r\nHost: a\r\nb c\r\n\r\n')
  await malformed.closed
  expect(malformed.received()).toContain(link)
  expect(malformed.received()).toContain(words.errors.invalidValues.advice)
  expect(malformed.received()).toContain(`<h1>${words.errors.invalidValues.title}</h1>`)
  expect(malformed.received()).toContain(`<a class="button next" href="/">${words.errors.start}</a>`)
  expect(malformed.received()).toMatch(/<header>.*<a class="brand" href="\/".*<footer>.*<a href="\/privacy">/s)
  expect(malformed.received()).toMatch(/<img class="sorry-face round" src="\/surprised\.svg" alt=""/)
  expect((await ask(url, '/')).text).not.toContain(link)
})

test('error pages name nobody without CONTACT', async () => {
  const { url } = await opened({})
  const page = await ask(url, '/nowhere')
  expect(page.text).toMatch(/<bdi>404-[0-9a-f]{8}<\/bdi>/)
  expect(page.text).not.toContain('If this goes on')
  const problem = await ask(url, '/nowhere', { headers: { Accept: 'application/json' } })
  expect(Object.keys(JSON.parse(problem.text))).not.toContain('contact')
})

// The avatar's page: the way to it, and the history.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from '../support/ask.ts'
import { look, openApp, signIn, type TestApp } from '../support/open-app.ts'
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

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ask } from './support/ask.ts'
import { openApp, type TestApp } from './support/open-app.ts'

let app: TestApp
beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())

describe('an address that is no path', () => {
  test.each(['http://[', '*', 'https://evil.example:99999/'])('%s gets our page and our headers', async (target) => {
    const answer = await ask(app.url, target)
    expect([400, 404]).toContain(answer.status)
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(answer.headers['x-frame-options']).toBe('DENY')
    expect(answer.headers['content-security-policy']).toContain("form-action 'self'")
    expect(answer.text).toContain('<h1')
  })

  test('is read as one where it names a host as proxies do', async () => {
    const answer = await ask(app.url, 'http://evil.example/licences?x')
    expect(answer.status).toBe(200)
    expect(answer.text).not.toContain('evil.example')
  })
})

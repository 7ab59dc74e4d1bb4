import { readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Response } from 'supertest'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { z } from 'zod'
import { words } from '../../src/pages/words.ts'
import { ask } from '../support/ask.ts'
import { at } from '../support/doubles.ts'
import { faults } from '../support/faults.ts'
import { clientSecret, comeBack, look, openApp, sessionSecret, signIn, type TestApp } from '../support/open-app.ts'
import { locationOf } from '../support/visits.ts'

let app: TestApp
beforeAll(async () => {
  app = await openApp()
})
afterAll(() => app.close())

/** Does everything that a visitor can do. Returns the responses to posts, and all responses. */
async function visitWithEverything(): Promise<{ posts: Response[]; all: Response[] }> {
  const visitor = app.visitor()
  const form = (path: string, fields: Record<string, string> = look) => visitor.post(path).type('form').send(fields)
  const leaving = await form('/get_avatar')
  const back = await comeBack(visitor, app.discord.codeFor(locationOf(leaving)))
  const page = await visitor.get('/show_avatar')
  const id = /\/avatars\/([0-9a-f]{64})\.svg/.exec(page.text)?.[1] ?? 'none'
  const picture = await visitor.get(`/avatars/${id}.svg`)
  const restyled = await form('/show_avatar', { ...look, seed: 'later' })
  const refused = await form('/show_avatar', { style: 'nope' })
  const forgotten = await form(`/avatars/${id}/forget`)
  const other = await visitor.get('/show_avatar')
  const out = await form('/sign_out')
  const posts = [leaving, restyled, refused, forgotten, out]
  return { posts, all: [...posts, back, page, picture, other, await visitor.get('/')] }
}

const Issued = z.object({ access_token: z.string(), refresh_token: z.string() })

test('no response during a visit contains a token, the PKCE verifier or a secret', async () => {
  app.discord.calls.length = 0
  const { all } = await visitWithEverything()
  const exchanges = app.discord.calls.filter(({ path }) => path === at.token)
  const secrets = exchanges.flatMap(({ body, answer }) => {
    const { access_token, refresh_token } = Issued.parse(answer)
    return [access_token, refresh_token, new URLSearchParams(body).get('code_verifier') ?? 'no verifier']
  })
  expect(secrets.length).toBeGreaterThanOrEqual(3)
  for (const { headers, text, body } of all) {
    const whole = `${JSON.stringify(headers)}${text ?? ''}${Buffer.isBuffer(body) ? body : ''}`
    for (const secret of [...secrets, clientSecret, sessionSecret]) {
      expect(whole).not.toContain(secret)
      expect(whole).not.toContain(Buffer.from(secret).toString('base64url'))
    }
  }
})

test('a post is answered with a page, 302 or 303, so that a browser never repeats it at another address', async () => {
  const { posts } = await visitWithEverything()
  expect(posts.map(({ status }) => status)).toEqual([302, 303, 422, 303, 303])
})

test('an error page reveals nothing internal, whatever failed', async () => {
  const broken = await openApp()
  try {
    // An unexpected error, as a bug in the app would throw it.
    broken.parts.states.start = () => Promise.reject(new TypeError(`x of undefined at ${broken.folder}/secret.ts`))
    const answer = await broken.visitor().post('/get_avatar').type('form').send(look)
    expect(answer.status).toBe(500)
    expect(answer.text).not.toMatch(/TypeError|secret\.ts|node_modules|\bat .*:\d+:\d+/)
    expect(answer.text).not.toContain(broken.folder)
    const number = /<bdi>500-([0-9a-f]{8})<\/bdi>/.exec(answer.text)?.[1] ?? 'no number on the page'
    const [line = '{}'] = broken.logged.filter((one) => one.includes(number))
    expect(JSON.parse(line)).toMatchObject({ level: 50, err: { type: 'TypeError', stack: expect.any(String) } })
  } finally {
    await broken.close()
  }
})

test('an error page reveals nothing of a template that fails', async () => {
  // The first call is for the problem+json that a program would get, the second one is in the template.
  const failing = vi
    .spyOn(words.problems, 'summary')
    .mockReturnValueOnce('')
    .mockImplementation(() => {
      throw new TypeError('x of undefined')
    })
  const form = app.visitor().post('/get_avatar').type('form')
  try {
    const answer = await form.send({ ...look, style: 'nope' })
    expect(answer.status).toBe(500)
    expect(failing).toHaveBeenCalledTimes(2)
    // EJS puts the path of the template and some of its lines into its error message.
    expect(answer.text).not.toMatch(/TypeError|x of undefined|\.ejs|<%|&lt;%|node_modules/)
    expect(answer.text).toMatch(/<bdi>500-[0-9a-f]{8}<\/bdi>/)
    expect(app.logged.at(-1)).toContain('error-summary.ejs')
  } finally {
    failing.mockRestore()
  }
})

test('an error page that fails itself reveals nothing', async () => {
  const text = Object.getOwnPropertyDescriptor(words.errors, 'yourUsername') ?? {}
  onTestFinished(() => {
    Object.defineProperty(words.errors, 'yourUsername', text)
    vi.restoreAllMocks()
  })
  const fail = () => {
    throw new TypeError('x of undefined')
  }
  Object.defineProperty(words.errors, 'yourUsername', { configurable: true, get: fail })
  const printed = vi.spyOn(console, 'error').mockReturnValue() // where Express prints such an error
  app.discord.fail(at.token, faults.answer(500), { times: 1 })
  // Without a seed the error page names the username instead.
  const answer = await signIn(app, app.visitor(), { style: 'rings' })
  await expect.poll(() => printed).toHaveBeenCalledOnce()
  expect([answer.status, answer.text]).toEqual([502, expect.stringContaining('Bad Gateway')])
  expect(answer.text).not.toMatch(/TypeError|x of undefined|\.ejs|node_modules/)
})

describe('the log line of a request', () => {
  const Line = z.looseObject({ level: z.number(), msg: z.string(), req: z.unknown(), responseTime: z.number() })
  const down = faults.answer(500)

  // The levels of pino: 20 is debug, 30 info, 40 warn, 50 error.
  test.each([
    ['/healthz', 200, 20],
    ['/readyz?exclude=dependencies', 200, 20],
    ['/licences', 200, 30],
    ['/nowhere?code=the-code', 404, 30],
    ['/preview.svg?style=nope', 400, 30],
    ['a callback while Discord fails', 502, 40],
  ])('for %s (%i) has the level %i, the path without the query, and the time', async (path, status, level) => {
    const before = app.logged.length
    const since = performance.now()
    if (path.startsWith('/')) expect((await ask(app.url, path)).status).toBe(status)
    else {
      app.discord.fail(at.token, down, { times: 1 })
      expect((await signIn(app, app.visitor())).status).toBe(status)
    }
    const lastLine = () => Line.parse(JSON.parse(app.logged.slice(before).at(-1) ?? ''))
    const line = await vi.waitFor(lastLine, 5000)
    const expected = path.startsWith('/') ? path.replace(/\?.*/, '') : '/get_avatar'
    expect(line).toMatchObject({
      level,
      msg: status < 400 ? 'request completed' : 'request errored',
      req: { id: expect.stringMatching(/^[\da-f-]{36}$/), method: 'GET', path: expected },
      res: { statusCode: status },
    })
    expect(Number.isInteger(line.responseTime)).toBe(true)
    expect(line.responseTime).toBeLessThanOrEqual(Math.ceil(performance.now() - since))
    expect(JSON.stringify(line)).not.toContain('the-code')
  })
})

test('a chunked body without end is cut off', async () => {
  const head = [
    'POST /get_avatar HTTP/1.1',
    'Host: localhost',
    'Content-Type: application/x-www-form-urlencoded',
    'Transfer-Encoding: chunked',
  ]
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
  socket.on('error', () => undefined).write(`${head.join('\r\n')}\r\n\r\n`)
  const piece = `10000\r\n${'x'.repeat(0x10000)}\r\n`
  await expect
    .poll(
      () => {
        if (socket.writable) socket.write(piece)
        return socket.destroyed
      },
      { interval: 5, timeout: 10_000 },
    )
    .toBe(true)
  expect(socket.bytesWritten).toBeLessThan(32 * 1024 * 1024)
})

describe('an unusual request target', () => {
  test.each([
    'http://[',
    '*',
    'x://evil.example',
    'https://evil.example:99999/',
    '/%',
    '/avatars/%E0%A4%A.svg',
    '/avatars/%ff/forget',
  ])('%s is answered with an error page and the security headers', async (target) => {
    const answer = await ask(app.url, target)
    expect(answer.status).toBe(404)
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(answer.headers['x-frame-options']).toBe('DENY')
    expect(answer.headers['content-security-policy']).toContain("form-action 'self'")
    expect(answer.text).toContain('<h1')
  })

  test.each(['/licences/', '/show_avatar/', '/healthz/', '/style.css/', '/preview.svg/?style=rings'])(
    '%s is 404 because of the slash at its end',
    async (path) => {
      expect((await ask(app.url, path)).status).toBe(404)
    },
  )

  test('is read as a path if it is in absolute form, as proxies send it', async () => {
    const answer = await ask(app.url, 'http://evil.example/licences?x')
    expect(answer.status).toBe(200)
    expect(answer.text).not.toContain('evil.example')
    // Without its query this would get 400.
    expect((await ask(app.url, 'http://evil.example/preview.svg?style=rings')).status).toBe(200)
  })

  test('may have a query that is not UTF-8', async () => {
    expect((await ask(app.url, '/?seed=%ff&style=rings')).status).toBe(200)
  })
})

/** The Observatory's bonus points, and the header values that earn them. headers.test.ts tests what loses points. */
const bonuses: [points: number, header: string, earns: RegExp][] = [
  [10, 'content-security-policy', /^default-src 'none';(?!.*unsafe)(?!.*(script|style)-src[^;]*(https?:|data:|\*))/],
  [5, 'content-security-policy', /frame-ancestors 'none'/],
  [5, 'referrer-policy', /^(no-referrer|same-origin|strict-origin|strict-origin-when-cross-origin)$/],
  [10, 'cross-origin-resource-policy', /^same-(origin|site)$/],
  [10, 'cross-origin-opener-policy', /^same-origin$/],
  [10, 'cross-origin-embedder-policy', /^(require-corp|credentialless)$/],
]

test('the headers earn 150 points or more by the rules of the MDN HTTP Observatory', async () => {
  const secure = await openApp({ settings: { BASE_URL: 'https://avatars.localhost' } })
  try {
    const { headers } = await ask(secure.url, '/')
    const earned = bonuses.filter(([, header, earns]) => earns.test(String(headers[header])))
    expect(earned).toEqual(bonuses)
    expect(100 + earned.reduce((sum, [points]) => sum + points, 0)).toBeGreaterThanOrEqual(150)
    // The Observatory takes points off for wrong values of these headers.
    expect(Number(/max-age=(\d+)/.exec(String(headers['strict-transport-security']))?.[1])).toBeGreaterThan(15_768_000)
    expect(headers['x-content-type-options']).toBe('nosniff')
    expect(headers['access-control-allow-origin']).toBeUndefined()
    expect(headers['set-cookie']).toBeUndefined()
  } finally {
    await secure.close()
  }
})

describe('SECURITY.md', () => {
  const tests = join(import.meta.dirname, '..')
  const rows = [...readFileSync(join(tests, '../SECURITY.md'), 'utf8').matchAll(/^\| ([STIHU]\d+) \| .+ \| (.+) \|$/gm)]
  const named = rows.flatMap(([, id, cell = '']) =>
    cell
      .split('<br>')
      .map((entry) => ({ id, file: /^`(.+?)`: /.exec(entry)?.[1] ?? entry, title: entry.replace(/^`.+?`: /, '') })),
  )

  test('has a row for every promise', () => {
    const counts = { S: 18, T: 9, I: 11, H: 8, U: 10 }
    const ids = Object.entries(counts).flatMap(([letter, count]) =>
      Array.from({ length: count }, (_, i) => `${letter}${i + 1}`),
    )
    expect(rows.map(([, id]) => id)).toEqual(ids)
  })

  test('names only tests that exist', () => {
    const sources = new Map(
      readdirSync(tests, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.test.ts'))
        .map((file) => [file, readFileSync(join(tests, file), 'utf8')]),
    )
    // A title is the first argument of test() or describe(), or of the call that follows a table of cases. The titles of a
    // test and of its groups are joined by " > ".
    const exists = ({ file, title }: { file: string; title: string }) =>
      title.split(' > ').every((part) =>
        ["'", '`', '"'].some((quote) => {
          const [...before] = (sources.get(file) ?? '').split(`${quote}${part}${quote},`).slice(0, -1)
          return before.some((text) => /(\b(test|describe)\(|\)\()\s*$/.test(text))
        }),
      )
    expect(named.length).toBeGreaterThan(rows.length)
    expect(named.filter((entry) => !exists(entry))).toEqual([])
  })
})

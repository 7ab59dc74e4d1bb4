import { execFile } from 'node:child_process'
import { appendFile, cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { DomUtils, parseDocument } from 'htmlparser2'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { assetOf } from '../../src/middleware/public-files.ts'
import { type Asked, type AskOptions, ask, formOf } from '../support/ask.ts'
import { at, type DiceBearDouble, type DiscordDouble, openDiceBear, openDiscord } from '../support/doubles.ts'
import { faults } from '../support/faults.ts'
import { clientId, clientSecret, look, openApp, shownAvatar, type TestApp } from '../support/open-app.ts'
import { connectRaw } from '../support/raw-connection.ts'

const secureUrl = 'https://avatars.localhost'
const root = join(import.meta.dirname, '../..')

type Site = {
  app: TestApp
  /** The Cookie header of a browser that is signed in. */
  cookies: string
  /** The id of the newest avatar. */
  id: string
}
let plain: Site
let secure: Site
let discord: DiscordDouble
let dicebear: DiceBearDouble

beforeAll(async () => {
  discord = await openDiscord({ clientId, clientSecret, redirectUri: `${secureUrl}/get_avatar` })
  dicebear = await openDiceBear()
  ;[plain, secure] = await Promise.all([
    openApp().then(openSite),
    openApp({ beside: { url: secureUrl, discord, dicebear } }).then(openSite),
  ])
})
afterAll(async () => {
  await Promise.all([plain.app.close(), secure.app.close()])
  await Promise.all([discord.close(), dicebear.close()])
})

/** Signs in. It uses no cookie jar, because a jar would not send cookies for https to a plain http server. */
async function openSite(app: TestApp): Promise<Site> {
  const { callback, cookies: stateCookies } = await leave(app)
  const answer = await ask(app.url, callback, { headers: { Cookie: stateCookies } })
  if (answer.headers.location !== '/show_avatar') throw new Error(`The callback answered ${answer.status}`)
  const cookies = cookiesIn(answer)
  const page = await ask(app.url, '/show_avatar', { headers: { Cookie: cookies } })
  return { app, cookies, id: shownAvatar(page.text) }
}

async function leave(app: TestApp): Promise<{ leaving: Asked; callback: string; cookies: string }> {
  const leaving = await ask(app.url, '/get_avatar', formOf(look))
  const { pathname, search } = new URL(app.discord.codeFor(String(leaving.headers.location)))
  return { leaving, callback: pathname + search, cookies: cookiesIn(leaving) }
}

const cookiesIn = ({ headers }: Asked) =>
  [headers['set-cookie'] ?? []]
    .flat()
    .map((line) => line.split(';')[0])
    .join('; ')

const withCookies = ({ cookies }: Site, options: AskOptions = {}): AskOptions => ({
  ...options,
  headers: { ...options.headers, Cookie: cookies },
})

type Kind = [what: string, status: number, answer: (site: Site) => Promise<Asked>]

const pages: Kind[] = [
  ['the form', 200, ({ app }) => ask(app.url, '/')],
  ['the licences', 200, ({ app }) => ask(app.url, '/licences')],
  ['what is kept', 200, ({ app }) => ask(app.url, '/privacy')],
  ['the avatar', 200, (site) => ask(site.app.url, '/show_avatar', withCookies(site))],
  ['an invalid callback', 400, ({ app }) => ask(app.url, '/get_avatar?code=x')],
  ['an invalid size', 400, (site) => ask(site.app.url, `/avatars/${site.id}.png?size=3`, withCookies(site))],
  ['an invalid preview', 400, ({ app }) => ask(app.url, '/preview.svg?style=nope')],
  ['a cross-site post', 403, ({ app }) => ask(app.url, '/get_avatar', { method: 'POST', headers: { Origin: 'null' } })],
  ['an unknown path', 404, ({ app }) => ask(app.url, '/nope')],
  ['an unknown avatar', 404, (site) => ask(site.app.url, `/avatars/${'0'.repeat(64)}.svg`, withCookies(site))],
  ['another method', 405, ({ app }) => ask(app.url, '/get_avatar', { method: 'PUT' })],
  ['TRACE', 405, ({ app }) => ask(app.url, '/', { method: 'TRACE' })],
  ['another method for a file', 405, ({ app }) => ask(app.url, '/style.css', { method: 'PUT' })],
  ['another method for a health route', 405, ({ app }) => ask(app.url, '/healthz', { method: 'PUT' })],
  [
    'a body that is too large',
    413,
    ({ app }) => ask(app.url, '/get_avatar', { ...formOf([]), body: 'x'.repeat(20_000) }),
  ],
  ['a body that is no form', 415, ({ app }) => ask(app.url, '/get_avatar', { method: 'POST', body: 'style=rings' })],
  ['a refused form', 422, ({ app }) => ask(app.url, '/get_avatar', formOf([]))],
  ['a path that is not UTF-8', 404, ({ app }) => ask(app.url, '/avatars/%ff.svg')],
  ['a HEAD', 200, ({ app }) => ask(app.url, '/', { method: 'HEAD' })],
  ['a refused restyle', 422, (site) => ask(site.app.url, '/show_avatar', withCookies(site, formOf([])))],
  [
    'an error of Discord',
    502,
    async ({ app }) => {
      const { callback, cookies } = await leave(app)
      app.discord.fail(at.token, faults.answer(500), { times: 1 })
      return ask(app.url, callback, { headers: { Cookie: cookies } })
    },
  ],
]

const redirects: Kind[] = [
  ['a redirect to Discord', 302, async ({ app }) => (await leave(app)).leaving],
  [
    'a callback',
    302,
    async ({ app }) => {
      const { callback, cookies } = await leave(app)
      return ask(app.url, callback, { headers: { Cookie: cookies } })
    },
  ],
  ['no avatar yet', 303, ({ app }) => ask(app.url, '/show_avatar')],
  ['a restyle', 303, (site) => ask(site.app.url, '/show_avatar', withCookies(site, formOf(look)))],
  [
    'a declined sign-in',
    303,
    async ({ app }) => {
      const { leaving, cookies } = await leave(app)
      const state = new URL(String(leaving.headers.location)).searchParams.get('state')
      return ask(app.url, `/get_avatar?error=access_denied&state=${state}`, { headers: { Cookie: cookies } })
    },
  ],
  ['a sign-out', 303, ({ app }) => ask(app.url, '/sign_out', { method: 'POST' })],
  ['“Forget me” of a stranger', 303, ({ app }) => ask(app.url, '/forget_me', { method: 'POST' })],
]

const machines: Kind[] = [
  ['a problem as JSON', 404, ({ app }) => ask(app.url, '/nope', { headers: { Accept: 'application/json' } })],
  ['/healthz', 200, ({ app }) => ask(app.url, '/healthz')],
  ['/readyz', 200, ({ app }) => ask(app.url, '/readyz')],
]

const files: Kind[] = [
  ['the stylesheet', 200, ({ app }) => ask(app.url, '/style.css')],
  ['the script', 200, ({ app }) => ask(app.url, assetOf('js/form.js').url)],
  ['the icon', 200, ({ app }) => ask(app.url, '/favicon.svg')],
  ['the PNG icon', 200, ({ app }) => ask(app.url, '/icon-180.png')],
]

/** Requests for files that are refused. */
const refusedFiles: Kind[] = [
  [
    'a range outside the stylesheet',
    416,
    ({ app }) => ask(app.url, '/style.css', { headers: { Range: 'bytes=99999999-' } }),
  ],
  ['a failed If-Match', 412, ({ app }) => ask(app.url, '/style.css', { headers: { 'If-Match': '"x"' } })],
]

const pictures: Kind[] = [
  ['an avatar’s SVG', 200, (site) => ask(site.app.url, `/avatars/${site.id}.svg`, withCookies(site))],
  ['an avatar’s PNG', 200, (site) => ask(site.app.url, `/avatars/${site.id}.png`, withCookies(site))],
  ['a preview', 200, ({ app }) => ask(app.url, '/preview.svg?style=rings')],
  ['a link preview picture', 200, ({ app }) => ask(app.url, '/og.png?style=rings')],
  ['a look for other sites', 200, ({ app }) => ask(app.url, '/look.png?style=rings&seed=fern')],
]

const everything = [...pages, ...redirects, ...machines, ...files, ...refusedFiles, ...pictures]

describe.each([
  ['http', () => plain],
  ['https', () => secure],
])('over %s', (scheme, site) => {
  test.each(everything)('%s (%i) has the security headers', async (what, status, answer) => {
    const { headers, ...answered } = await answer(site())
    expect(answered.status).toBe(status)

    // H5
    expect(headers['x-content-type-options']).toBe('nosniff')
    // H6: with "no-referrer" the app's own form would send "Origin: null".
    expect(headers['referrer-policy']).toBe('same-origin')
    // H7
    expect(headers['cross-origin-opener-policy']).toBe('same-origin')
    const isPublic = what === 'a link preview picture' || what === 'a look for other sites'
    expect(headers['cross-origin-resource-policy']).toBe(isPublic ? 'cross-origin' : 'same-origin')
    // With "require-corp" browsers would not show Discord's pictures, which have no Cross-Origin-Resource-Policy.
    expect(headers['cross-origin-embedder-policy']).toBe('credentialless')
    // H3
    expect(headers['x-frame-options']).toBe('DENY')
    // H8
    expect(headers['x-powered-by']).toBeUndefined()
    expect(headers.server).toBeUndefined()
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([])
    // H4
    const hsts = scheme === 'https' ? 'max-age=31536000; includeSubDomains' : undefined
    expect(headers['strict-transport-security']).toBe(hsts)
  })

  test.each([...pages, ...redirects, ...machines, ...files, ...refusedFiles])(
    '%s has a content policy that allows only what the page needs',
    async (_what, _status, answer) => {
      const app = site().app
      const { headers } = await answer(site())
      const policy = readPolicy(String(headers['content-security-policy']))
      // H1
      expect(policy.get('default-src')).toEqual(["'none'"])
      expect(policy.get('script-src')).toEqual(["'self'"])
      expect(policy.get('style-src')).toEqual(["'self'"])
      expect(policy.get('img-src')).toEqual(["'self'", 'https://cdn.discordapp.com'])
      expect(policy.get('connect-src')).toEqual(["'self'"])
      const sources = [...policy.values()].flat()
      expect(sources.filter((source) => /unsafe|^(https?|data|blob):$|\*/.test(source))).toEqual([])
      // H2: form-action also applies to the redirect (302) after the form.
      expect(policy.get('form-action')).toEqual(["'self'", new URL(app.discord.authorizeUrl).origin])
      // H3
      expect(policy.get('base-uri')).toEqual(["'none'"])
      expect(policy.get('frame-ancestors')).toEqual(["'none'"])
      // H4: on plain http Safari would request the stylesheet over https.
      expect(policy.has('upgrade-insecure-requests')).toBe(scheme === 'https')
    },
  )

  test.each(pictures)('%s has a content policy that allows only to draw', async (_what, _status, answer) => {
    const { headers } = await answer(site())
    // A browser shows a PNG in a page that it makes itself, and requests the site's icon for it.
    const more = String(headers['content-type']).startsWith('image/svg+xml') ? '' : " allow-same-origin; img-src 'self'"
    const policy = `default-src 'none'; style-src 'unsafe-inline'; sandbox${more}`
    expect(headers['content-security-policy']).toBe(policy)
  })

  test.each([...pages, ...refusedFiles])('%s (%i) is a page that may not be cached', async (_what, _status, answer) => {
    const { headers } = await answer(site())
    expect(headers['content-type']).toBe('text/html; charset=utf-8')
    expect([headers['cache-control'], headers.etag]).toEqual(['no-store', undefined])
  })

  test.each(refusedFiles)('%s (%i) has none of the headers of the file', async (_what, _status, answer) => {
    const { headers } = await answer(site())
    expect([headers.etag, headers['last-modified']]).toEqual([undefined, undefined])
  })

  test.each([...redirects, ...machines])('%s (%i) may not be cached', async (_what, _status, answer) => {
    const { headers } = await answer(site())
    expect([headers['cache-control'], headers.etag]).toEqual(['no-store', undefined])
  })

  test.each([...machines, ...files, ...pictures])(
    '%s (%i) has the right content type',
    async (_what, _status, answer) => {
      const { headers, text } = await answer(site())
      const type = String(headers['content-type'])
      expect(type).toMatch(/^(application\/(problem\+)?json|text\/(css|javascript)|image\/(svg\+xml|png))/)
      if (/json|^text\//.test(type)) expect(type).toMatch(/; charset=utf-8$/)
      if (type.startsWith('image/svg')) expect(text).toMatch(/^<svg /)
    },
  )

  test('avatars may be cached by private caches only, other pictures by all caches for a week or a day', async () => {
    const caching = await Promise.all(
      pictures.map(async ([, , answer]) => (await answer(site())).headers['cache-control']),
    )
    const [avatar, week, day] = [
      'private, max-age=31536000, immutable',
      'public, max-age=604800',
      'public, max-age=86400',
    ]
    expect(caching).toEqual([avatar, avatar, week, week, day])
  })

  test('a file is cached for ever under the address with its hash, and for a short time under any other', async () => {
    const { text } = await ask(site().app.url, '/')
    const [versioned] = /\/style\.css\?v=\w+/.exec(text) ?? []
    for (const path of [versioned ?? '/there-is-none', assetOf('js/form.js').url]) {
      const kept = await ask(site().app.url, path)
      expect(kept.headers['cache-control']).toBe('public, max-age=31536000, immutable')
    }
    // During a deployment an older instance may get this request. Its content must not be cached under this address.
    for (const path of ['/style.css?v=0000deadbeef', '/style.css?0000deadbeef']) {
      expect((await ask(site().app.url, path)).headers['cache-control']).toBe('no-cache')
    }
    const plainly = await ask(site().app.url, '/style.css')
    expect(plainly.headers['cache-control']).toBe('public, max-age=3600')
    expect(plainly.headers['set-cookie']).toBeUndefined()
  })

  test('no answer has CORS headers', async () => {
    const headers = { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'POST' }
    for (const [method, path] of [
      ['GET', '/'],
      ['GET', '/preview.svg?style=rings'],
      ['GET', '/style.css'],
      ['OPTIONS', '/get_avatar'],
      ['OPTIONS', '/nope'],
    ] as const) {
      const answer = await ask(site().app.url, path, { method, headers })
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control-'))).toEqual([])
    }
  })

  test.each(['TRACE', 'PUT', 'DELETE', 'PATCH', 'PROPFIND'])('the method %s is refused (405)', async (method) => {
    for (const path of ['/', '/get_avatar', '/show_avatar', '/style.css', '/healthz', '/preview.svg']) {
      const answer = await ask(site().app.url, path, { method, headers: { 'X-Secret': 'seen' } })
      expect([path, answer.status]).toEqual([path, 405])
      expect(answer.text).not.toContain('seen')
    }
  })
})

describe('cookies', () => {
  /** Returns the name and attributes of each cookie that an answer sets. */
  const cookiesSet = ({ headers }: Asked) =>
    [headers['set-cookie'] ?? []].flat().map((line) => {
      const [pair = '', ...attributes] = line.split('; ')
      return { name: pair.split('=')[0] ?? '', attributes }
    })

  // These requests have no X-Forwarded-Proto, because BASE_URL alone decides.
  test.each([...redirects, ...pages])(
    'are __Host- and Secure if BASE_URL is https: %s (%i)',
    async (_what, _status, answer) => {
      for (const { name, attributes } of cookiesSet(await answer(secure))) {
        expect(name).toMatch(/^__Host-(avatar-session|state-\S+|avatar-switch-account)$/)
        expect(attributes).toEqual(expect.arrayContaining(['Path=/', 'HttpOnly', 'Secure', 'SameSite=Lax']))
        expect(attributes.join()).not.toMatch(/domain/i)
      }
    },
  )

  test('have 80, the port of plain http, in their names if BASE_URL has no port', async () => {
    const app = await openApp({ settings: { BASE_URL: 'http://localhost' }, beside: plain.app })
    onTestFinished(() => app.close())
    const signedOut = await ask(app.url, '/sign_out', { method: 'POST' })
    expect(cookiesSet(signedOut).map(({ name, attributes }) => [name, attributes[0]])).toContainEqual([
      'avatar-switch-account-80',
      'Max-Age=86400', // until then, another account can be chosen
    ])
  })

  test.each([
    ['http', '', () => plain],
    ['https', '__Host-', () => secure],
  ])('have the documented names during a whole visit over %s', async (scheme, prefix, site) => {
    const { app } = site()
    const { leaving, callback, cookies } = await leave(app)
    const signedIn = await ask(app.url, callback, { headers: { Cookie: cookies } })
    const signedOut = await ask(app.url, '/sign_out', { method: 'POST', headers: { Cookie: cookiesIn(signedIn) } })
    const names = (answer: Asked) => cookiesSet(answer).map(({ name }) => name.replace(/state-.*/, 'state'))
    expect(names(leaving)).toEqual([`${prefix}state`])
    // Cookies are shared between the ports of a host, so their names contain the port if there is no prefix.
    const port = scheme === 'https' ? '' : `-${new URL(app.config.baseUrl).port}`
    expect(names(signedIn).sort()).toEqual([`${prefix}avatar-session${port}`, `${prefix}state`])
    const cleared = names(signedOut).filter((name) => !name.endsWith('state'))
    expect(cleared.sort()).toEqual([`${prefix}avatar-session${port}`, `${prefix}avatar-switch-account${port}`])
    const attributes = [leaving, signedIn, signedOut]
      .flatMap(cookiesSet)
      .map((cookie) => cookie.attributes.includes('Secure'))
    expect(new Set(attributes)).toEqual(new Set([scheme === 'https']))
  })

  test.each([
    ...files,
    ...refusedFiles,
    ...machines,
    ...pictures.slice(2),
    ...pages.filter(([what]) => /^(the form|the licences|an unknown path|a HEAD|another method)$/.test(what)),
  ])('are not set before they are needed: %s (%i)', async (_what, _status, answer) => {
    for (const site of [plain, secure]) expect((await answer(site)).headers['set-cookie']).toBeUndefined()
  })
})

describe.each(pages)('%s (%i)', (_what, _status, answer) => {
  type Attributes = Partial<Record<string, string>> & { element: string }
  const attributesOf = ({ text }: Asked): Attributes[] =>
    DomUtils.getElementsByTagName('*', parseDocument(text)).map(({ name, attribs }) => ({ ...attribs, element: name }))

  test('has a name for each section and group, and all elements to which others refer', async () => {
    const all = attributesOf(await answer(plain))
    const groups = all.filter(({ element, role = '' }) => {
      return element === 'section' || (element !== 'fieldset' && /^(group|radiogroup|img)$/.test(role))
    })
    expect(groups.filter((group) => !group['aria-label'] && !group['aria-labelledby'])).toEqual([])
    const ids = all.flatMap(({ id }) => id ?? [])
    expect(ids).toEqual([...new Set(ids)])
    const references = all.flatMap(({ href, ...others }) => [
      ...['for', 'aria-labelledby', 'aria-describedby', 'aria-controls'].flatMap(
        (name) => others[name]?.split(' ') ?? [],
      ),
      ...(href?.startsWith('#') ? [href.slice(1)] : []),
    ])
    expect(references.filter((id) => !ids.includes(id))).toEqual([])
  })

  test('has no link to another site that sends a Referer', async () => {
    const links = attributesOf(await answer(plain)).filter(({ element }) => element === 'a')
    const outside = links.filter(({ href = '' }) => /^https?:/.test(href))
    expect(outside.filter(({ rel = '' }) => !rel.split(' ').includes('noreferrer'))).toEqual([])
  })
})

test('a request that Node cannot parse is answered with HSTS over https only', async () => {
  for (const site of [plain, secure]) {
    const connection = await connectRaw(site.app.url, 'evil\r\n\r\n')
    await connection.closed
    expect(connection.received()).toMatch(/^HTTP\/1.1 400 /)
    const header = 'Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n'
    expect(connection.received().includes(header)).toBe(site === secure)
  }
})

test('the address of a file changes with its content, and that of a script with any of the scripts', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'public-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const path of ['public', 'src/middleware/public-files.ts']) {
    await cp(join(root, path), join(folder, path), { recursive: true })
  }
  const print = `import { assetOf } from './src/middleware/public-files.ts'
    console.log(JSON.stringify(['style.css', 'js/form.js', 'favicon.svg'].map((file) => assetOf(file).url)))`
  const addresses = async () => {
    const code = ['--input-type=module', '--eval', print]
    const { stdout } = await promisify(execFile)(process.execPath, code, { cwd: folder })
    return z.tuple([z.string(), z.string(), z.string()]).parse(JSON.parse(stdout))
  }
  const [style, script, icon] = await addresses()
  await appendFile(join(folder, 'public/style.css'), '/* changed */')
  const [newStyle, sameScript, sameIcon] = await addresses()
  expect(newStyle).not.toBe(style)
  expect([sameScript, sameIcon]).toEqual([script, icon])
  for (const name of ['preview.js', 'wait.js']) {
    await appendFile(join(folder, 'public/js', name), '// changed')
    expect((await addresses())[1]).not.toBe(script)
    await cp(join(root, 'public/js', name), join(folder, 'public/js', name))
  }
  expect(await addresses()).toEqual([newStyle, script, icon])
})

test('an answer that can be a page or JSON has Vary: Accept', async () => {
  for (const accept of ['text/html', 'image/png', 'application/json']) {
    const headers = { Accept: accept }
    for (const [path, options] of [
      ['/nope', {}],
      ['/get_avatar', { method: 'PUT' }],
      ['/get_avatar', formOf([])],
    ] as const) {
      const answer = await ask(plain.app.url, path, { ...options, headers: { ...formOf([]).headers, ...headers } })
      expect(String(answer.headers.vary).split(/, */)).toContain('Accept')
      const kind = accept === 'application/json' ? 'application/problem+json' : 'text/html'
      expect([path, answer.headers['content-type']]).toEqual([path, `${kind}; charset=utf-8`])
    }
  }
})

test('a 304 for a picture has the security headers, too', async () => {
  for (const site of [plain, secure]) {
    for (const [, , answer] of pictures) {
      const { etag } = (await answer(site)).headers
      const path = [
        `/avatars/${site.id}.svg`,
        `/avatars/${site.id}.png`,
        '/preview.svg?style=rings',
        '/og.png?style=rings',
        '/look.png?style=rings&seed=fern',
      ]
      const known = await Promise.all(
        path.map((one) => ask(site.app.url, one, withCookies(site, { headers: { 'If-None-Match': String(etag) } }))),
      )
      const [same, ...others] = known.filter(({ status }) => status === 304)
      expect(others).toEqual([])
      expect(same?.headers['x-content-type-options']).toBe('nosniff')
      expect(same?.headers['cross-origin-opener-policy']).toBe('same-origin')
      expect(same?.headers['cross-origin-resource-policy']).toMatch(/^(same|cross)-origin$/)
      expect(same?.text).toBe('')
    }
  }
})

function readPolicy(text: string): Map<string, string[]> {
  const directives = text.split(';').map((directive) => directive.trim().split(/\s+/))
  return new Map(directives.map(([name = '', ...sources]) => [name, sources]))
}

test('no answer reveals a version', async () => {
  for (const [, , answer] of everything) {
    const { headers, text } = await answer(plain)
    // Cookies and redirects contain random letters, in which any short word may occur.
    const { 'set-cookie': _cookies, location: _location, ...others } = headers
    expect(JSON.stringify(others)).not.toMatch(/express|node|undici|sharp|redis/i)
    expect(text).not.toMatch(/\bexpress\b|node_modules|undici|\bat .*\.ts:\d+/i)
  }
})

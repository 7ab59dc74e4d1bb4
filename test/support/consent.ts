import ejs from 'ejs'

const consentPage = `<!doctype html><title><%= name %></title>
<form method="post" action="<%= action %>">
<% for (const { id, username, displayName, pictureUrl } of accounts) { %>
<label><input type="radio" name="account" value="<%= id %>"<% if (id === chosen) { %> checked<% } %>>
<img src="<%= pictureUrl %>" alt=""><%= displayName %> (<%= username %>)</label>
<% } %>
<button name="decision" value="agree">Agree</button>
<button name="decision" value="decline">Decline</button>
</form>`

/** A simple consent page as an Express view, so that a double does not need the app's templates. */
export class PlainConsentPage {
  readonly path = 'consent'
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
  render(locals: Record<string, unknown>, done: (error: unknown, html?: string) => void): void {
    done(null, ejs.render(consentPage, { ...locals, name: this.name }))
  }
}

/** The cookies of a browser, by host and path. */
export class CookieJar {
  readonly #cookies = new Map<string, { value: string; path: string }>()

  /** Returns the Cookie header for an address, or undefined if there are no cookies. */
  header(url: string | URL): string | undefined {
    const { host, pathname } = new URL(url)
    const mine = [...this.#cookies].filter(
      ([key, { path }]) => key.startsWith(`${host} `) && (path === '/' || `${pathname}/`.startsWith(`${path}/`)),
    )
    return mine.map(([key, { value }]) => `${key.slice(host.length + 1)}=${value}`).join('; ') || undefined
  }

  keep(url: string | URL, response: globalThis.Response): void {
    for (const line of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
      const [name = '', value = ''] = pair.split('=')
      const path = attributes.find((attribute) => /^path=/i.test(attribute))?.slice('path='.length) ?? '/'
      this.#cookies.set(`${new URL(url).host} ${name}`, { value, path })
    }
  }
}

export type Consent = {
  /** The account's id. By default it is the account that the page has preselected. */
  account?: string
  decision?: 'agree' | 'decline'
  cookieJar?: CookieJar
}

/**
 * Opens the stand-in's consent page over HTTP and submits it. Returns the address to which it redirects. With
 * `prompt=none` and a jar from an earlier consent, the stand-in redirects without a page.
 */
export async function agreeAtDiscord(authorizeUrl: string, consent: Consent = {}): Promise<string> {
  const { decision = 'agree', cookieJar = new CookieJar() } = consent
  const arrived = await visit(authorizeUrl, cookieJar)
  if (arrived.status === 302) return locationOf(arrived)
  if (arrived.status !== 200) throw await unexpected('authorize page', arrived)

  const page = await arrived.text()
  const form = new URLSearchParams({ account: consent.account ?? chosenAccount(page), decision })
  const action = new URL(attribute(/<form[^>]*\saction="([^"]*)"/, page), authorizeUrl)
  const left = await visit(action, cookieJar, form)
  if (left.status !== 303) throw await unexpected('consent form', left)
  return locationOf(left)
}

async function visit(url: string | URL, jar: CookieJar, form?: URLSearchParams): Promise<globalThis.Response> {
  const cookie = jar.header(url)
  const headers = { 'user-agent': 'Mozilla/5.0 (a test)', ...(cookie === undefined ? {} : { cookie }) }
  const request = form === undefined ? {} : { method: 'POST', body: form }
  const response = await fetch(url, { ...request, headers, redirect: 'manual' })
  jar.keep(url, response)
  return response
}

function locationOf(response: globalThis.Response): string {
  const location = response.headers.get('location')
  if (location === null) throw new Error('Discord redirects to nowhere')
  return location
}

async function unexpected(what: string, response: globalThis.Response): Promise<Error> {
  return new Error(`Discord's ${what} answered ${response.status}: ${await response.text()}`)
}

const chosenAccount = (page: string) => attribute(/<input[^>]*\sname="account"\svalue="([^"]*)"\s+checked/, page)

function attribute(pattern: RegExp, page: string): string {
  const value = pattern.exec(page)?.[1]
  if (value === undefined) throw new Error(`Discord's page has no ${pattern}`)
  return value.replaceAll('&#34;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&')
}

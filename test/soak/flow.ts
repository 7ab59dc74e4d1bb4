import { setTimeout as wait } from 'node:timers/promises'
import { avatarId } from '../../src/avatar/avatars.ts'
import type { CookieJar } from '../support/consent.ts'
import type { DiscordDouble } from '../support/doubles.ts'
import { drawn, type Look } from '../support/drawn.ts'
import type { Site } from './site.ts'

/** A visitor who has no avatar after this time is lost. */
const flowTimeoutMs = 90_000
/** The longest time for one response: three upstream timeouts, Redis, and a busy machine. */
const responseTimeoutMs = 12_000
/** A visitor tries again after this time at the latest, even if Retry-After is longer. */
const maxRetryDelayMs = 2000
/** The longest history of a visitor. */
const maxHistory = 12

/** The statuses of pages that offer to try again. Any other unexpected status is a fault of the app. */
const retryStatuses = new Set([429, 502, 503, 504])

/** Functions that count events for the final report. */
export type Counters = {
  errorPage(status: number): void
  /** Counts a request that was cut off because its instance was killed. */
  cutOff(): void
  /** Counts a history that was compared with the confirmed avatars. */
  historyChecked(length: number): void
}

/** Thrown for what must never happen: a wrong picture, a lost session or avatar, an error page without a next step. */
export class VisitLost extends Error {}
/** Thrown when a page says to start again, or to try again later. */
class StartAgain extends Error {}

type Answer = { status: number; location: string; retryAfterMs: number; text: string }

/** A browser, and the ids of the avatars that the app has confirmed to it, newest first, like a visitor's history. */
export type Browser = { jar: CookieJar; confirmed: string[] }

export type Visit = {
  site: Site
  discord: DiscordDouble
  browser: Browser
  /** The visitor's Discord account. */
  account: { id: string; username: string }
  random: () => number
  counters: Counters
}

/**
 * Makes one visit from the form to the avatar. The visitor tries or starts again whenever a page says so. Resolves when
 * the avatar was seen. Throws VisitLost if that is impossible.
 */
export async function flow(visit: Visit, look: Look): Promise<void> {
  const deadline = Date.now() + flowTimeoutMs
  for (;;) {
    try {
      return await attempt(visit, look)
    } catch (error) {
      if (!(error instanceof StartAgain)) throw error
      if (Date.now() > deadline) throw new VisitLost(`no avatar after ${flowTimeoutMs / 1000} s: ${error.message}`)
    }
  }
}

async function attempt(visit: Visit, look: Look): Promise<void> {
  const { discord, account, random } = visit
  const leaving = await post(visit, '/get_avatar', look, 302)
  const { pathname, search } = new URL(discord.codeFor(leaving.location, account.id))
  const callback = await get(visit, `${pathname}${search}`, [302])
  if (callback.location !== '/show_avatar') {
    throw new VisitLost(`the callback redirected to ${callback.location.split('?')[0]}`)
  }
  await seeAvatar(visit, look)
  if (random() < 0.4) await restyle(visit, { ...look, seed: `${look.seed || 'once'} again` })
  if (random() < 0.15) await signOut(visit)
}

/** Checks an avatar that the app has confirmed: the page, the file, sometimes a PNG, and the history. */
async function seeAvatar(visit: Visit, look: Look): Promise<void> {
  const { browser, account, random } = visit
  const expected = { ...look, seed: look.seed || account.username }
  const id = idOf(expected)
  browser.confirmed = [id, ...browser.confirmed.filter((other) => other !== id)].slice(0, maxHistory)
  const page = await get(visit, '/show_avatar', [200, 303])
  if (page.status === 303) throw new VisitLost('signed in, and signed out again')
  if (!page.text.includes(`/avatars/${id}.svg`)) throw new VisitLost('the page shows another avatar')
  checkHistory(visit, page.text)
  const picture = await get(visit, `/avatars/${id}.svg`, [200])
  if (picture.text !== drawn(expected)) throw new VisitLost('the file is another picture')
  if (random() < 0.3) await get(visit, `/avatars/${id}.png?size=128`, [200])
}

/**
 * Checks that a confirmed avatar leaves the history only if newer ones fill it. The history may have avatars that were
 * not confirmed, because their response was cut off.
 */
function checkHistory({ browser, counters }: Visit, page: string): void {
  const shown = new Set([...page.matchAll(/\/show_avatar\?avatar=([0-9a-f]{64})"/g)].map(([, id]) => id))
  const missing = browser.confirmed.filter((id) => !shown.has(id))
  counters.historyChecked(shown.size)
  if (missing.length > 0 && shown.size < maxHistory) {
    throw new VisitLost(`${missing.length} of ${browser.confirmed.length} confirmed avatars left the history`)
  }
}

async function restyle(visit: Visit, look: Look): Promise<void> {
  const answer = await post(visit, '/show_avatar', look, 303)
  // The visitor has to sign in again. The form is filled with the same values.
  if (answer.location.startsWith('/?')) return
  await seeAvatar(visit, look)
}

async function signOut(visit: Visit): Promise<void> {
  const { jar } = visit.browser
  const oldCookie = jar.header(visit.site.url)
  // A sign-out may have taken effect even if its response was cut off.
  visit.browser.confirmed = []
  await post(visit, '/sign_out', {}, 303)
  // The old cookie must not open the session any more.
  await get(visit, '/show_avatar', [303], oldCookie)
}

function idOf({ seed, style, backgroundColor = '', mood = '' }: Look): string {
  return avatarId({ seed, style, backgroundColor, mood, animated: false })
}

/** Requests a page or file, and reloads it while the answer says to try again. */
async function get(visit: Visit, path: string, expected: number[], cookie?: string): Promise<Answer> {
  const deadline = Date.now() + flowTimeoutMs
  const name = `GET ${path.split('?')[0]}`
  const isCallback = path.startsWith('/get_avatar')
  for (;;) {
    const answer = await send(visit, path, undefined, cookie)
    if (expected.includes(answer.status)) return answer
    if (answer.status === 400 && isCallback) throw new StartAgain('the state was unknown')
    if (!retryStatuses.has(answer.status)) throw new VisitLost(`${name} answered ${answer.status}`)
    // The state is used up, and the page offers to start again at the form.
    if (isCallback && answer.status !== 503) throw new StartAgain(`a page ${answer.status}`)
    if (Date.now() > deadline) throw new VisitLost(`${name} keeps answering ${answer.status}`)
    await wait(Math.min(answer.retryAfterMs, maxRetryDelayMs))
  }
}

async function post(visit: Visit, path: string, form: Record<string, string>, expected: number): Promise<Answer> {
  const answer = await send(visit, path, new URLSearchParams(form))
  if (answer.status === expected) return answer
  if (!retryStatuses.has(answer.status)) throw new VisitLost(`POST ${path} answered ${answer.status}`)
  await wait(Math.min(answer.retryAfterMs, maxRetryDelayMs))
  throw new StartAgain(`a page ${answer.status}`)
}

/** Sends one request to any instance, and to another one if that is killed meanwhile, as a proxy does. */
async function send(visit: Visit, path: string, form?: URLSearchParams, cookie?: string): Promise<Answer> {
  const { site, browser, counters, random } = visit
  for (;;) {
    const instance = site.anyInstance(random)
    const startedAt = Date.now()
    try {
      const sentCookie = cookie ?? browser.jar.header(site.url)
      const answer = await fetch(`${instance.url}${path}`, {
        ...(form ? { method: 'POST', body: form.toString() } : {}),
        headers: {
          ...(form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
          ...(sentCookie ? { cookie: sentCookie } : {}),
        },
        redirect: 'manual',
        signal: AbortSignal.timeout(responseTimeoutMs),
      })
      const text = await answer.text()
      if (cookie === undefined) browser.jar.keep(site.url, answer)
      if (answer.status >= 400) counters.errorPage(answer.status)
      const retryAfterMs = 1000 * Number(answer.headers.get('retry-after') ?? '1')
      return { status: answer.status, location: answer.headers.get('location') ?? '', retryAfterMs, text }
    } catch (cause) {
      if (!instance.wasKilledSince(startedAt)) {
        throw new VisitLost(`${form ? 'POST' : 'GET'} ${path.split('?')[0]}: no response`, { cause })
      }
      counters.cutOff()
    }
  }
}

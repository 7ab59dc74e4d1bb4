import { setTimeout as wait } from 'node:timers/promises'
import { avatarId } from '../../src/avatar/avatars.ts'
import type { CookieJar, DiscordDouble } from '../support/doubles.ts'
import { drawn, type Look } from '../support/drawn.ts'
import type { Site } from './site.ts'

/** A visitor's patience, in milliseconds: whoever has no avatar by then has been lost. */
const patienceMs = 90_000
/** The longest that one answer may take: three upstream waits, Redis and a loaded machine. */
const answerMs = 12_000
/** However long a page asks to wait, a test visitor comes back by then. */
const longestPauseMs = 2000

/** Pages that say to try again, or to start again; everything else that is not the way on is a fault of ours. */
const retryPages = new Set([429, 502, 503, 504])

export type Told = { page(status: number): void; cutOff(): void }

/** What a flow must never meet: a wrong picture, a lost session, an answer that nobody can do anything with. */
export class Broken extends Error {}
/** The page said to start again, or that it cannot go on just now. */
class StartAgain extends Error {}

type Answer = { status: number; location: string; retryAfterMs: number; text: string }

export type Visit = {
  site: Site
  discord: DiscordDouble
  jar: CookieJar
  /** The visitor's Discord account. */
  account: { id: string; username: string }
  random: () => number
  told: Told
}

/**
 * One visitor from the form to the avatar, as a patient person: whatever page says to try again is obeyed. Resolves when
 * the avatar was seen; throws Broken when that is not to be had.
 */
export async function flow(visit: Visit, look: Look): Promise<void> {
  const until = Date.now() + patienceMs
  for (;;) {
    try {
      return await walk(visit, look)
    } catch (error) {
      if (!(error instanceof StartAgain)) throw error
      if (Date.now() > until) throw new Broken(`no avatar after ${patienceMs / 1000} s: ${error.message}`)
    }
  }
}

async function walk(visit: Visit, look: Look): Promise<void> {
  const { discord, account, random } = visit
  const leaving = await post(visit, '/get_avatar', look, 302)
  const { pathname, search } = new URL(discord.codeFor(leaving.location, account.id))
  const back = await get(visit, `${pathname}${search}`, [302])
  if (back.location !== '/show_avatar') throw new Broken(`the callback led to ${back.location.split('?')[0]}`)
  await seeAvatar(visit, look)
  if (random() < 0.4) await restyle(visit, { ...look, seed: `${look.seed || 'once'} again` })
  if (random() < 0.3) await signOut(visit)
}

/** The page, the file and sometimes a PNG, each of them this look's. */
async function seeAvatar(visit: Visit, look: Look): Promise<void> {
  const wanted = { ...look, seed: look.seed || visit.account.username }
  const id = idOf(wanted)
  const page = await get(visit, '/show_avatar', [200, 303])
  if (page.status === 303) throw new Broken('signed in, and then not')
  if (!page.text.includes(`/avatars/${id}.svg`)) throw new Broken('the page shows another avatar')
  const picture = await get(visit, `/avatars/${id}.svg`, [200])
  if (picture.text !== drawn(wanted)) throw new Broken('the file is another picture')
  if (visit.random() < 0.3) await get(visit, `/avatars/${id}.png?size=128`, [200])
}

async function restyle(visit: Visit, look: Look): Promise<void> {
  const answer = await post(visit, '/show_avatar', look, 303)
  // Discord wants to see the visitor anew: that is a way on, and the form has the look.
  if (answer.location.startsWith('/?')) return
  await seeAvatar(visit, look)
}

async function signOut(visit: Visit): Promise<void> {
  const cookie = visit.jar.header(visit.site.url)
  await post(visit, '/sign_out', {}, 303)
  // The cookie as it was opens nothing any more.
  await get(visit, '/show_avatar', [303], cookie)
}

function idOf({ seed, style, backgroundColor = '', mood = '' }: Look): string {
  return avatarId({ seed, style, backgroundColor, mood, animated: false })
}

/** A page or file, asked for again while it says to: a browser's reload. */
async function get(visit: Visit, path: string, wanted: number[], cookie?: string): Promise<Answer> {
  const until = Date.now() + patienceMs
  for (;;) {
    const answer = await send(visit, path, undefined, cookie)
    if (wanted.includes(answer.status)) return answer
    if (answer.status === 400 && path.startsWith('/get_avatar')) throw new StartAgain('we lost track of the visit')
    if (!retryPages.has(answer.status)) throw new Broken(`GET ${path.split('?')[0]} answered ${answer.status}`)
    // Its state is used up, and the page offers to try again from the form.
    if (path.startsWith('/get_avatar') && answer.status !== 503) throw new StartAgain(`a page ${answer.status}`)
    if (Date.now() > until) throw new Broken(`GET ${path.split('?')[0]} answers ${answer.status} for ever`)
    await wait(Math.min(answer.retryAfterMs, longestPauseMs))
  }
}

async function post(visit: Visit, path: string, form: Record<string, string>, wanted: number): Promise<Answer> {
  const answer = await send(visit, path, new URLSearchParams(form))
  if (answer.status === wanted) return answer
  if (!retryPages.has(answer.status)) throw new Broken(`POST ${path} answered ${answer.status}`)
  await wait(Math.min(answer.retryAfterMs, longestPauseMs))
  throw new StartAgain(`a page ${answer.status}`)
}

/** One request at any instance; where one has just been killed, at another, as a proxy does. */
async function send(visit: Visit, path: string, form?: URLSearchParams, cookie?: string): Promise<Answer> {
  const { site, jar, told, random } = visit
  for (;;) {
    const instance = site.anyInstance(random)
    const since = Date.now()
    try {
      const sent = cookie ?? jar.header(site.url)
      const answer = await fetch(`${instance.url}${path}`, {
        ...(form ? { method: 'POST', body: form.toString() } : {}),
        headers: {
          ...(form ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
          ...(sent ? { cookie: sent } : {}),
        },
        redirect: 'manual',
        signal: AbortSignal.timeout(answerMs),
      })
      const text = await answer.text()
      if (cookie === undefined) jar.keep(site.url, answer)
      if (answer.status >= 400) told.page(answer.status)
      const retryAfterMs = 1000 * Number(answer.headers.get('retry-after') ?? '1')
      return { status: answer.status, location: answer.headers.get('location') ?? '', retryAfterMs, text }
    } catch (cause) {
      if (!instance.wasKilledSince(since))
        throw new Broken(`${form ? 'POST' : 'GET'} ${path.split('?')[0]}: no answer`, { cause })
      told.cutOff()
    }
  }
}

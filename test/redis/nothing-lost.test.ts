import { CookieAccessInfo } from 'cookiejar'
import type { Response } from 'supertest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { comeBack, leave, look, openApp, shownAvatar, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { openRedis, type Redis, until } from '../support/redis.ts'
import { type Fault, openRedisProxy } from '../support/redis-proxy.ts'
import { hasAvatar, sameBrowserAt } from '../support/visits.ts'

let redis: Redis
let app: TestApp

beforeAll(async () => {
  redis = await openRedis()
  app = await openApp({ redisUrl: redis.url, accounts: people })
  // Its file is there: these tests are about Redis, and no instance starts a renderer process.
  await signIn(app, app.visitor(), toCome)
})
afterAll(async () => {
  await app.close()
  await redis.stop()
})
/** One for each visit: to end the tokens of one visitor ends nobody else's. */
const people = Array.from({ length: 500 }, (_, place) => ({
  id: String(816822249063055437n + BigInt(place)),
  username: `visitor.${place}`,
  globalName: null,
  discriminator: '0',
  avatar: null,
}))
let visits = 0

const toCome = { ...look, seed: 'four' }
const confirmed = ['one', 'two', 'three'].map((seed) => ({ ...look, seed }))

/** A visitor with three avatars, each of which was shown to them. */
async function withThreeAvatars(accountId: string): Promise<Visitor> {
  const visitor = app.visitor()
  const [first, ...others] = confirmed
  await signIn(app, visitor, first, accountId)
  for (const choice of others) await visitor.post('/show_avatar').type('form').send(choice).expect(303)
  return visitor
}

/** The same browser, before the answers that are still to come. */
function copyOf(visitor: Visitor): Visitor {
  const copy = app.visitor()
  for (const cookie of visitor.jar.getCookies(CookieAccessInfo.All)) copy.jar.setCookie(String(cookie))
  return copy
}

type Step = {
  /** What is done before the fault is planned. */
  prepare(visitor: Visitor, accountId: string): Promise<string>
  act(there: Visitor, prepared: string): PromiseLike<Response>
  /** The avatars that must be there afterwards, or be offered to be restored. */
  kept: { seed: string }[]
  /** A visitor who is signed out afterwards has lost nothing. */
  mayEndSession?: boolean
}

const steps: Record<string, Step> = {
  callback: {
    prepare: async (visitor, accountId) => app.discord.codeFor(await leave(visitor, toCome), accountId),
    act: (there, callback) => comeBack(there, callback),
    kept: confirmed,
  },
  'callback with a token that Discord refuses': {
    async prepare(visitor, accountId) {
      app.discord.deauthorize(accountId)
      return app.discord.codeFor(await leave(visitor, toCome), accountId)
    },
    act: (there, callback) => comeBack(there, callback),
    kept: confirmed,
  },
  restyle: {
    prepare: async () => '',
    act: (there) => there.post('/show_avatar').type('form').send(toCome),
    kept: confirmed,
  },
  forget: {
    async prepare(visitor) {
      const page = await visitor.get('/show_avatar')
      return /action="(\/avatars\/[0-9a-f]{64}\/forget)#/.exec(page.text)?.[1] ?? ''
    },
    act: (there, path) => there.post(path),
    // The newest one is the one to go.
    kept: confirmed.slice(0, 2),
  },
  restore: {
    async prepare(visitor) {
      const page = await visitor.get('/show_avatar')
      const path = `/avatars/${shownAvatar(page.text)}`
      await visitor.post(`${path}/forget`).expect(303)
      return `${path}/restore`
    },
    act: (there, path) => there.post(path),
    kept: confirmed,
  },
  'being forgotten': {
    prepare: async () => '',
    act: (there) => there.post('/forget_me'),
    kept: confirmed,
    mayEndSession: true,
  },
  'sign-out': {
    prepare: async () => '',
    act: (there) => there.post('/sign_out'),
    kept: confirmed,
    mayEndSession: true,
  },
}

let preparing: Promise<unknown> = Promise.resolve()

/** One case is prepared after the other: a hundred sign-ins at once would meet Redis's time limits on a busy machine. */
function afterOthers<Prepared>(prepare: () => Promise<Prepared>): Promise<Prepared> {
  const prepared = preparing.then(prepare)
  preparing = prepared.catch(() => undefined)
  return prepared
}

/** An instance behind a proxy, and a visitor about to take the step. */
async function openFaulty(step: Step) {
  const proxy = await openRedisProxy(redis.port)
  const faulty = await openApp({ redisUrl: proxy.url, beside: app, settings: { CACHE_DIR: app.folder } })
  await until(async () => (await faulty.parts.store.state()) === 'ok')
  visits += 1
  const accountId = people[visits % people.length]?.id ?? ''
  const visitor = await withThreeAvatars(accountId)
  return { proxy, faulty, visitor, prepared: await step.prepare(visitor, accountId) }
}

/** Does the step while the write at `place` goes wrong. Returns what the browser has lost, and the writes that there were. */
async function during(step: Step, fault: Fault, place = -1, command = '') {
  const { act, kept, mayEndSession } = step
  const { proxy, faulty, visitor, prepared } = await afterOthers(() => openFaulty(step))
  try {
    // The answer of a process that was killed never arrives. The one DEL, of the old session, comes after the answer.
    const isAnswered = !fault.kind.startsWith('kill') || place < 0 || command === 'DEL'
    const browser = isAnswered ? visitor : copyOf(visitor)
    proxy.plan(place, fault)
    await act(sameBrowserAt(faulty, visitor), prepared)
    const lost = await lostBy(browser, kept, mayEndSession)
    // The visitor reloads, or presses the button again.
    await act(browser, prepared)
    return { lost: [...lost, ...(await lostBy(browser, kept, mayEndSession))], writes: proxy.writes() }
  } finally {
    await faulty.close()
    proxy.close()
  }
}

async function lostBy(browser: Visitor, kept: { seed: string }[], mayEndSession = false): Promise<string[]> {
  const page = await browser.get('/show_avatar')
  const found = await Promise.all(kept.map((choice) => hasAvatar(browser, choice)))
  // Looked at last: a sign-out that stalled may arrive at any time.
  if (mayEndSession && (await browser.get('/show_avatar')).status === 303) return []
  const canRestore = (seed: string) => new RegExp(`/restore.*<bdi>${seed}</bdi>`).test(page.text)
  return kept.flatMap(({ seed }, place) => (found[place] || canRestore(seed) ? [] : [seed]))
}

const faults: Fault[] = [
  { kind: 'stall', ms: 1000 },
  { kind: 'refuse' },
  { kind: 'kill before' },
  { kind: 'kill after' },
]

// Most of the time is waiting, for an answer that does not come or for the lock of a process that was killed.
describe.each(Object.entries(steps))('%s: no avatar that was confirmed is lost', (_, step) => {
  test.concurrent.each(faults)('when any one write to Redis meets: $kind', { timeout: 60_000 }, async (fault) => {
    const { writes, lost } = await during(step, fault)
    expect(lost).toEqual([])
    expect(writes.length).toBeGreaterThan(1)
    const results = await Promise.all(writes.map((command, place) => during(step, fault, place, command)))
    expect(results.map(({ lost }, place) => `${writes[place]} ${place}: ${lost.join()}`)).toEqual(
      writes.map((command, place) => `${command} ${place}: `),
    )
  })
})

import type { Response } from 'supertest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { comeBack, leave, look, openApp, shownAvatar, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { openRedis, type Redis, until } from '../support/redis.ts'
import { type Fault, openRedisProxy } from '../support/redis-proxy.ts'
import { copyOf, expectLanding, hasAvatar, sameBrowserAt } from '../support/visits.ts'

/** These tests are about Redis only: on a busy machine Discord's stand-in may take long to respond. */
const settings = { UPSTREAM_TIMEOUT_MS: '10000' }

let redis: Redis
let app: TestApp

beforeAll(async () => {
  redis = await openRedis()
  app = await openApp({ redisUrl: redis.url, accounts: people, settings })
  // This stores the file of the avatar that all tests make, so that no instance needs to start a renderer process.
  await signIn(app, app.visitor(), toCome)
})
afterAll(async () => {
  await Promise.all(idle.map(close))
  await app.close()
  await redis.stop()
})
/** One account for each visit, because a sign-out revokes all tokens of its account. */
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

/** Returns a visitor with three avatars, each confirmed by an answer. */
async function withThreeAvatars(accountId: string): Promise<Visitor> {
  const visitor = app.visitor()
  const [first, ...others] = confirmed
  expectLanding(await signIn(app, visitor, first, accountId), 302)
  for (const choice of others) await visitor.post('/show_avatar').type('form').send(choice).expect(303)
  return visitor
}

type Step = {
  /** Runs before the fault, and returns what `act` needs, such as an address. */
  prepare(visitor: Visitor, accountId: string): Promise<string>
  act(there: Visitor, prepared: string): PromiseLike<Response>
  /** The avatars that must still be there afterwards, or for which the page must offer "Undo". */
  kept: { seed: string }[]
  /** Whether the visitor may be signed out afterwards. */
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
  'removal of an avatar': {
    async prepare(visitor) {
      const page = await visitor.get('/show_avatar')
      return /action="(\/avatars\/[0-9a-f]{64}\/forget)#/.exec(page.text)?.[1] ?? ''
    },
    act: (there, path) => there.post(path),
    // This step removes the newest avatar.
    kept: confirmed.slice(0, 2),
  },
  'restoration of an avatar': {
    async prepare(visitor) {
      const page = await visitor.get('/show_avatar')
      const path = `/avatars/${shownAvatar(page.text)}`
      await visitor.post(`${path}/forget`).expect(303)
      return `${path}/restore`
    },
    act: (there, path) => there.post(path),
    kept: confirmed,
  },
  'POST /forget_me': {
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

/** Prepares one case after the other: a hundred sign-ins at once would exceed Redis's timeouts on a busy machine. */
function afterOthers<Prepared>(prepare: () => Promise<Prepared>): Promise<Prepared> {
  const prepared = preparing.then(prepare)
  preparing = prepared.catch(() => undefined)
  return prepared
}

type Instance = { proxy: Awaited<ReturnType<typeof openRedisProxy>>; faulty: TestApp }
/** Instances that are open and have no visitor now. */
const idle: Instance[] = []

/** Opens an instance whose Redis is behind a proxy that can fail. */
async function openInstance(): Promise<Instance> {
  const proxy = await openRedisProxy(redis.port)
  const faulty = await openApp({ redisUrl: proxy.url, beside: app, settings: { ...settings, CACHE_DIR: app.folder } })
  await until(async () => (await faulty.parts.store.state()) === 'ok')
  return { proxy, faulty }
}

async function close({ proxy, faulty }: Instance): Promise<void> {
  await faulty.close()
  proxy.close()
}

/** Returns such an instance, and a visitor just before the step. */
async function openFaulty(step: Step) {
  const instance = idle.pop() ?? (await openInstance())
  visits += 1
  const accountId = people[visits % people.length]?.id ?? ''
  const visitor = await withThreeAvatars(accountId)
  return { instance, visitor, prepared: await step.prepare(visitor, accountId) }
}

/** Runs the step while the write number `place` fails. Returns the lost avatars and all writes of the step. */
async function during(step: Step, fault: Fault, place = -1, command = '') {
  const { act, kept, mayEndSession } = step
  const { instance, visitor, prepared } = await afterOthers(() => openFaulty(step))
  const { proxy, faulty } = instance
  const hasFault = place >= 0
  try {
    // A killed process sends no answer, except at the DEL of the old session, which comes after the answer.
    const isAnswered = !hasFault || !fault.kind.startsWith('kill') || command === 'DEL'
    const browser = isAnswered ? visitor : copyOf(app, visitor)
    proxy.plan(place, fault)
    const { status } = await act(sameBrowserAt(faulty, visitor), prepared)
    const lost = await lostBy(browser, kept, mayEndSession)
    // The visitor reloads, or presses the button again.
    const again = await act(browser, prepared)
    // The step succeeds, or gets a 503 because Redis failed. The second attempt must not get a 503.
    const wrong = [302, 303, 503].includes(status) && again.status !== 503 ? [] : [`answers ${status}, ${again.status}`]
    return { lost: [...wrong, ...lost, ...(await lostBy(browser, kept, mayEndSession))], writes: proxy.writes() }
  } finally {
    // A stalled connection may still have commands to send, and a killed one sends nothing.
    if (hasFault && fault.kind !== 'refuse') await close(instance)
    else idle.push(instance)
  }
}

async function lostBy(browser: Visitor, kept: { seed: string }[], mayEndSession = false): Promise<string[]> {
  const page = await browser.get('/show_avatar')
  const found = await Promise.all(kept.map((choice) => hasAvatar(browser, choice)))
  // Checked last, because a sign-out that was delayed may take effect at any time.
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

// These tests run concurrently, because they mostly wait: for an answer, or for the lock of a killed process to expire.
describe.each(Object.entries(steps))('a %s loses no avatar', (_, step) => {
  test.concurrent.each(faults)('whichever of its writes to Redis fails: $kind', { timeout: 60_000 }, async (fault) => {
    const { writes, lost } = await during(step, fault)
    expect(lost).toEqual([])
    expect(writes.length).toBeGreaterThan(1)
    const results = await Promise.all(writes.map((command, place) => during(step, fault, place, command)))
    expect(results.map(({ lost }, place) => `${writes[place]} ${place}: ${lost.join()}`)).toEqual(
      writes.map((command, place) => `${command} ${place}: `),
    )
  })
})

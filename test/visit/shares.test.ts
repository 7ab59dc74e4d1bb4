import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ask } from '../support/ask.ts'
import { openApp, shownAvatar, signIn, type TestApp, type Visitor } from '../support/open-app.ts'
import { childrenOf } from '../support/renderers.ts'
import { send } from '../support/visits.ts'

const still = { style: 'disco', seed: '', backgroundColor: '', mood: '' }
const moving = { style: 'gaze', seed: '', backgroundColor: '', mood: '', animated: 'on' }

let app: TestApp
beforeAll(async () => {
  app = await openApp({ settings: { TRUST_PROXY: 'loopback' } })
})
afterAll(() => app.close())

const from = (address: string) => ({ 'X-Forwarded-For': address })

/** Addresses of two clients. With IPv6 a client is a /64 network; these two are neighbours in one /56. */
const crowdAddress = (place = 0) => `2001:db8:0:1::${place}`
const otherAddress = '2001:db8:0:2::1'

/** Signs in and makes an avatar for each seed. Returns the addresses of the avatars, without extension. */
async function wearAll(
  look: Record<string, string>,
  seeds: string[],
): Promise<{ visitor: Visitor; avatars: string[] }> {
  const visitor = app.visitor()
  const avatars: string[] = []
  for (const seed of seeds) {
    if (avatars.length === 0) await signIn(app, visitor, { ...look, seed })
    else
      await visitor
        .post('/show_avatar')
        .type('form')
        .send({ ...look, seed })
    avatars.push(`/avatars/${shownAvatar((await visitor.get('/show_avatar')).text)}`)
  }
  return { visitor, avatars }
}

const seeds = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name} ${i}`)

/**
 * Sends all requests of the first client at once, and the one of the second client when the first answer has arrived.
 * Returns how many more answers the first client gets before the second client gets its own.
 */
async function answersInBetween(
  first: (() => PromiseLike<{ status: number }>)[],
  second: () => PromiseLike<{ status: number }>,
) {
  let answered = 0
  const count = async (ask: () => PromiseLike<{ status: number }>) => {
    const { status } = await ask()
    if (status === 200) answered += 1
    return status
  }
  const all = first.map(count)
  await Promise.race(all)
  const before = answered
  expect((await second()).status).toBe(200)
  const inBetween = answered - before
  return { inBetween, statuses: await Promise.all(all) }
}

test('a client that asks for 48 PNGs at once does not make another client wait for them', async () => {
  const crowd = await wearAll(still, seeds('crowd', 12))
  const other = await wearAll(still, ['other'])
  const paths = crowd.avatars.flatMap((avatar) => [128, 256, 512, 1024].map((size) => `${avatar}.png?size=${size}`))
  const { inBetween, statuses } = await answersInBetween(
    paths.map((path, place) => () => crowd.visitor.get(path).set(from(crowdAddress(place)))),
    () => other.visitor.get(`${other.avatars[0]}.png?size=512`).set(from(otherAddress)),
  )
  // Without shares all 47 others would come first. With shares only a few do, or some more on a busy machine.
  expect(inBetween).toBeLessThan(24)
  expect(new Set(statuses)).toEqual(new Set([200]))
}, 60_000)

test('a client that asks for as many GIFs as it may does not make another client wait for them', async () => {
  const crowd = await wearAll(moving, seeds('crowd', 12))
  const other = await wearAll(moving, ['other'])
  const { inBetween, statuses } = await answersInBetween(
    crowd.avatars.map((avatar, place) => () => crowd.visitor.get(`${avatar}.gif`).set(from(crowdAddress(place)))),
    () => other.visitor.get(`${other.avatars[0]}.gif`).set(from(otherAddress)),
  )
  // After its first answer, four requests of the first client are left.
  expect(inBetween).toBeLessThan(4)
  // Requests of the first client over its share are refused.
  expect(new Set(statuses)).toEqual(new Set([200, 503]))
}, 60_000)

test.each(['/og.png', '/look.png'])(
  'a client that asks for many link previews at once does not make another client wait for them: %s',
  async (path) => {
    const ask = (seed: string, address: string) => () =>
      app
        .visitor()
        .get(`${path}?style=disco&seed=${encodeURIComponent(seed)}`)
        .set(from(address))
    const { inBetween, statuses } = await answersInBetween(
      seeds('crowd', 48).map((seed, place) => ask(seed, crowdAddress(place))),
      ask('other', otherAddress),
    )
    // After its first answer, twenty requests of the first client are left.
    expect(inBetween).toBeLessThan(10)
    expect(new Set(statuses)).toEqual(new Set([200, 503]))
  },
  60_000,
)

test.each([
  // The first two clients have four tasks each that the drawing process may do, and 300 that wait.
  ['/preview.svg', [304, 304, 300, 100]],
  // The first client has one task that is done, and 20 that wait.
  ['/look.png', [21, 20, 20, 0]],
] as const)('%s: four clients can ask at once for so many pictures, and no more: %j', async (file, limits) => {
  const refused: number[] = []
  const askForPreviews = (count: number, client: number) =>
    Array.from({ length: count }, async (_, place) => {
      const path = `${file}?style=rings&size=128&seed=${client}-${place}`
      const { status } = await ask(app.url, path, { headers: from(`192.0.2.${client}`) })
      if (status === 503) refused.push(client)
      return status
    })
  await app.visitor().get('/preview.svg?style=rings')
  // While the processes are stopped, nothing is drawn.
  const children = childrenOf(process.pid)
  const signal = (name: string) => children.forEach((child) => void process.kill(child, name))
  signal('SIGSTOP')
  onTestFinished(() => signal('SIGCONT'))
  const statuses: Promise<number>[] = []
  for (const [client, most] of limits.entries()) {
    statuses.push(...askForPreviews(most + 1, client))
    await expect.poll(() => refused).toContain(client)
  }
  signal('SIGCONT')
  const counts = Map.groupBy(await Promise.all(statuses), (status) => status)
  const accepted = limits.reduce<number>((sum, most) => sum + most, 0)
  expect([counts.size, counts.get(200)?.length, refused]).toEqual([2, accepted, [0, 1, 2, 3]])
})

test('a client that asks for many previews at once has half of the tasks of the drawing process at most', async () => {
  const order: string[] = []
  const ask = (name: string, address: string) =>
    send(app.visitor().get(`/preview.svg?style=rings&seed=${name}`).set(from(address))).then(() => order.push(name))
  await ask('first', crowdAddress())
  // While the processes are stopped, tasks that are sent to them wait in their order.
  const children = childrenOf(process.pid)
  for (const child of children) process.kill(child, 'SIGSTOP')
  const crowd = Array.from({ length: 12 }, (_, place) => ask(`crowd-${place}`, crowdAddress(place)))
  await app.visitor().get('/healthz')
  const other = ask('other', otherAddress)
  await app.visitor().get('/healthz')
  for (const child of children) process.kill(child, 'SIGCONT')
  await Promise.all([...crowd, other])
  expect(order.indexOf('other')).toBe(5)
})

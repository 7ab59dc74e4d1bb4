// A hostile DiceBear, whose SVGs pass as harmless drawings, and are costly to check, to animate or to render.
import { setTimeout as wait } from 'node:timers/promises'
import { agent } from 'supertest'
import { expect, onTestFinished, test } from 'vitest'
import { ask } from '../support/ask.ts'
import { costlySvgs } from '../support/costly-svg.ts'
import { at, openDiceBear, openDiscord } from '../support/doubles.ts'
import { faults } from '../support/faults.ts'
import { freePort } from '../support/free-port.ts'
import {
  clientId,
  clientSecret,
  comeBack,
  leave,
  sessionSecret,
  shownAvatar,
  type Visitor,
} from '../support/open-app.ts'
import { watchMemory } from '../support/renderers.ts'
import { startApp } from '../support/start-app.ts'
import { timed } from '../support/visits.ts'

const svgs = costlySvgs(200, 20)
/** Pictures that are given up after 2.5 s take most of this test's time, so only every ninth avatar is rendered. */
const rendersPictures = (number: number) => number % 9 === 0
/** One for each process with which the app renders pictures. */
const visitorsAtOnce = 2
const healthMs = 300
/** The limit while other tests keep the processors busy: less than the time after which a costly SVG is given up. */
const busyHealthMs = 2000
/** The limit for a picture: the costly SVG is given up after 2.5 s, then the library's own SVG takes about a second. */
const busyPictureMs = 17_000

/** Starts the app as `npm start` does, with a DiceBear that answers the seed n with the nth SVG. */
async function openApp() {
  const port = await freePort()
  const baseUrl = `http://localhost:${port}`
  const discord = await openDiscord({ clientId, clientSecret, redirectUri: `${baseUrl}/get_avatar` })
  const dicebear = await openDiceBear()
  dicebear.fail(at.svg, (req, res) => {
    const svg = svgs[Number(req.query.seed)]?.svg ?? ''
    return faults.answer(200, svg, { 'content-type': 'image/svg+xml' })(req, res)
  })
  const app = await startApp({
    PORT: String(port),
    BASE_URL: baseUrl,
    SESSION_SECRET: sessionSecret,
    DISCORD_CLIENT_ID: clientId,
    DISCORD_CLIENT_SECRET: clientSecret,
    DISCORD_API_URL: discord.apiUrl,
    DISCORD_AUTHORIZE_URL: discord.authorizeUrl,
    DICEBEAR_URL: dicebear.apiUrl,
    RATE_LIMIT: 'off',
    TRUST_PROXY: 'loopback',
  })
  onTestFinished(async () => {
    await Promise.all([app.stop(), discord.close(), dicebear.close()])
  })
  return { ...app, discord }
}
type App = Awaited<ReturnType<typeof openApp>>

/** Asks for /healthz again and again until it is stopped. Returns how long each answer took, in milliseconds. */
function watchHealth(url: string) {
  let isStopped = false
  async function watch(): Promise<number[]> {
    const took: number[] = []
    while (!isStopped) {
      const { answer, ms } = await timed(ask(url, '/healthz'))
      expect(answer.status).toBe(200)
      took.push(ms)
      await wait(20)
    }
    return took
  }
  const watching = watch()
  return {
    stop(): Promise<number[]> {
      isStopped = true
      return watching
    },
  }
}

const choiceOf = (number: number) => ({
  style: 'moods',
  seed: String(number),
  backgroundColor: '#ffd29d',
  mood: 'happy',
  animated: 'on',
})

/** Signs in from an address that no other visitor has, because pictures of one client are rendered one by one. */
async function signedIn({ url, discord }: App, address: string): Promise<Visitor> {
  const visitor = agent(url).redirects(0).set('X-Forwarded-For', address)
  const landed = await comeBack(visitor, discord.codeFor(await leave(visitor, choiceOf(0))))
  expect(landed.headers.location).toBe('/show_avatar')
  return visitor
}

/** Makes an avatar of the SVG with this number. Returns whether it passed the check, and how long its pictures took. */
async function makeAvatar(visitor: Visitor, number: number) {
  const made = await visitor.post('/show_avatar').type('form').send(choiceOf(number))
  expect([made.status, made.headers.location]).toEqual([303, '/show_avatar'])
  const avatar = `/avatars/${shownAvatar((await visitor.get('/show_avatar')).text)}`
  const svg = await visitor.get(`${avatar}.svg`)
  expect([svg.status, svg.type]).toEqual([200, 'image/svg+xml'])

  const sent = svgs[number]?.svg
  const pictures: number[] = []
  const passed = svg.body.toString() === sent
  const files = [`${avatar}.png?size=1024`, ...(sent?.includes('<style') ? [`${avatar}.gif`] : [])]
  for (const file of passed && rendersPictures(number) ? files : []) {
    const { answer, ms } = await timed(visitor.get(file))
    expect(answer.status).toBe(200)
    pictures.push(ms)
  }
  return { passed, pictures }
}

test('each of 200 costly SVGs becomes an avatar with pictures, while other requests are answered at once', async () => {
  const app = await openApp()
  const mostMemoryMb = watchMemory(app.child.pid ?? 0)
  const health = watchHealth(app.url)
  const avatars: Awaited<ReturnType<typeof makeAvatar>>[] = []
  const numbers = svgs.keys()
  async function makeInTurn(_: unknown, i: number): Promise<void> {
    const visitor = await signedIn(app, `10.0.0.${i}`)
    for (const number of numbers) avatars.push(await makeAvatar(visitor, number))
  }
  await Promise.all(Array.from({ length: visitorsAtOnce }, makeInTurn))

  expect(avatars).toHaveLength(svgs.length)
  expect(avatars.filter(({ passed }) => passed).length).toBeGreaterThan(25)
  expect(Math.max(...avatars.flatMap(({ pictures }) => pictures))).toBeLessThan(busyPictureMs)
  expect(mostMemoryMb()).toBeLessThan(300)
  const took = await health.stop()
  expect(Math.max(...took)).toBeLessThan(busyHealthMs)
  expect(took.filter((ms) => ms > healthMs).length).toBeLessThanOrEqual(took.length / 20)
  expect(app.output.stdout).toMatch(/"level":40,.*"message":"renderer process .*"msg":"renderer"/)
}, 180_000)

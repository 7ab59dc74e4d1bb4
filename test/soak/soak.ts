// `npm run soak -- --minutes 10 --visitors 8 --seed 1` makes complete visits through two instances with one Redis,
// while Discord, DiceBear, Redis, an instance and the disk fail at random. Exits with 1 if a visit or a confirmed
// avatar is lost, a key in Redis has no expiry, or memory or open handles grow.
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { styles } from '../../src/avatar/catalogue.ts'
import type { Account } from '../../src/demo/accounts.ts'
import { CookieJar } from '../support/consent.ts'
import { openDiceBear, openDiscord } from '../support/doubles.ts'
import type { Look } from '../support/drawn.ts'
import { freePort } from '../support/free-port.ts'
import { clientId, clientSecret, sessionSecret } from '../support/open-app.ts'
import { openRedis } from '../support/redis.ts'
import { failAtRandom } from './failures.ts'
import { type Browser, type Counters, flow } from './flow.ts'
import { keysWithoutExpiry, retainedBy } from './health.ts'
import { openSite } from './site.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    visitors: { type: 'string', default: '8' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
  },
})
const [minutes, visitors, seed] = [Number(values.minutes), Number(values.visitors), Number(values.seed)]

/** How much the heap may grow after the warm-up, because the bounded caches of pictures may still fill. */
const maxHeapGrowthBytes = 16 * 1024 * 1024
const maxHandleGrowth = 10
/** How long to wait, so that connections to Discord and DiceBear reach the end of their keep-alive. */
const idleMs = 6000

/** mulberry32: a seed always gives the same numbers, so that a failed run can be repeated, as far as timing allows. */
function randomFrom(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const random = randomFrom(seed)
const accounts: Account[] = Array.from({ length: visitors }, (_, i) => ({
  id: String(10n ** 17n + BigInt(i)),
  username: `visitor.${i}`,
  globalName: null,
  discriminator: '0',
  avatar: null,
}))

const ports = [await freePort(), await freePort()]
const url = `http://127.0.0.1:${ports[0]}`
const redis = await openRedis(['appendonly yes', 'appendfsync always'])
const discord = await openDiscord({ clientId, clientSecret, redirectUri: `${url}/get_avatar`, accounts })
discord.tokenLifeS = 30
const dicebear = await openDiceBear()
const site = await openSite(url, ports, {
  NODE_ENV: 'production',
  REDIS_URL: redis.url,
  SESSION_SECRET: sessionSecret,
  DISCORD_CLIENT_ID: clientId,
  DISCORD_CLIENT_SECRET: clientSecret,
  DISCORD_API_URL: discord.apiUrl,
  DISCORD_AUTHORIZE_URL: discord.authorizeUrl,
  DICEBEAR_URL: dicebear.apiUrl,
  UPSTREAM_TIMEOUT_MS: '1000',
  RATE_LIMIT: 'off',
  LOG_LEVEL: 'error',
})

const count = { visits: 0, cutOff: 0, histories: 0, longestHistory: 0 }
const errorPages = new Map<number, number>()
const failures = new Map<string, number>()
const lost: string[] = []
const increment = <Key>(map: Map<Key, number>, key: Key) => map.set(key, (map.get(key) ?? 0) + 1)

const counters: Counters = {
  errorPage: (status) => increment(errorPages, status),
  cutOff: () => {
    count.cutOff += 1
  },
  historyChecked: (length) => {
    count.histories += 1
    count.longestHistory = Math.max(count.longestHistory, length)
  },
}

function randomLook(): Look {
  const style = styles[Math.floor(random() * styles.length)]
  if (style === undefined) throw new Error('there are no styles')
  const mood = style.moods[Math.floor(random() * (style.moods.length + 1))] ?? ''
  const seed = random() < 0.3 ? '' : `seed ${Math.floor(random() * 5)}`
  return { seed, style: style.name, mood, backgroundColor: random() < 0.5 ? '' : 'a9d6f5' }
}

const newBrowser = (): Browser => ({ jar: new CookieJar(), confirmed: [] })

/** Makes one visit after the other with the same Discord account, most of them in the browser of the previous one. */
async function visitsOf(account: Account, signal: AbortSignal): Promise<void> {
  let browser = newBrowser()
  while (!signal.aborted) {
    if (random() < 0.2) browser = newBrowser()
    const look = randomLook()
    try {
      await flow({ site, discord, browser, account, random, counters }, look)
    } catch (error) {
      lost.push(`${new Date().toISOString()} ${look.style}: ${error instanceof Error ? error.message : error}`)
      browser = newBrowser()
    }
    count.visits += 1
  }
}

async function visitsFor(durationMs: number, { withFailures }: { withFailures: boolean }): Promise<void> {
  const signal = AbortSignal.timeout(durationMs)
  const world = { site, redis, discord, dicebear, random }
  const failing = withFailures ? failAtRandom(world, signal, (name) => increment(failures, name)) : undefined
  await Promise.all([...accounts.map((account) => visitsOf(account, signal)), failing])
}

/**
 * Draws all styles before the first measurement, because each is loaded when it is first drawn, and stays in memory.
 */
async function drawAllStyles(): Promise<void> {
  for (const port of ports) {
    for (const { name } of styles) {
      for (const picture of ['preview.svg', 'og.png']) {
        const answer = await fetch(`http://127.0.0.1:${port}/${picture}?seed=warm&style=${name}`)
        await answer.bytes()
        if (answer.status !== 200) throw new Error(`no ${picture} of ${name}: ${answer.status}`)
      }
    }
  }
}

const pid = site.instances[0]?.pid ?? 0
const runMs = minutes * 60_000
// There are visits without failures before both measurements, so that both follow the same work.
await drawAllStyles()
await visitsFor(runMs / 10, { withFailures: false })
await wait(idleMs)
const warm = await retainedBy(pid, site.inspectorPort)
await visitsFor(runMs, { withFailures: true })
await visitsFor(runMs / 10, { withFailures: false })
await wait(idleMs)
const end = await retainedBy(pid, site.inspectorPort)
const withoutExpiry = await keysWithoutExpiry(redis.url)

await site.close()
await Promise.all([discord.close(), dicebear.close(), redis.stop()])

const megabytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MB`
const listed = <Key>(map: Map<Key, number>) => [...map].map(([key, times]) => `${key}: ${times}`).join(' · ') || 'none'
process.stdout.write(`
visits                       ${count.visits} in ${minutes} minutes by ${visitors} visitors, seed ${seed}
failures                     ${listed(failures)}
error pages                  ${listed(errorPages)}
requests cut off by a kill   ${count.cutOff}
histories checked            ${count.histories}, the longest with ${count.longestHistory} avatars
lost visits or avatars       ${lost.length}
heap after a collection      ${megabytes(warm.heapBytes)} warm, ${megabytes(end.heapBytes)} at the end
open files and sockets       ${warm.handles} warm, ${end.handles} at the end
keys without an expiry       ${withoutExpiry.length}
`)
for (const line of [...lost, ...withoutExpiry].slice(0, 20)) process.stdout.write(`${line}\n`)

const failed =
  count.visits === 0 ||
  count.histories === 0 ||
  lost.length > 0 ||
  withoutExpiry.length > 0 ||
  end.heapBytes - warm.heapBytes > maxHeapGrowthBytes ||
  end.handles - warm.handles > maxHandleGrowth
process.exit(failed ? 1 : 0)

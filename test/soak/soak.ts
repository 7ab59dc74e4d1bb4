// npm run soak -- --minutes 10 --visitors 8 --seed 1
// Complete visits through two instances on one Redis, while Discord, DiceBear, Redis, an instance and the disk fail by chance.
// Ends with an error when a visit was lost, a key in Redis would stay for ever, or memory or handles grow.
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { styles } from '../../src/avatar/styles.ts'
import type { Account } from '../../src/demo/discord.ts'
import { CookieJar, openDiceBear, openDiscord } from '../support/doubles.ts'
import type { Look } from '../support/drawn.ts'
import { freePort } from '../support/free-port.ts'
import { clientId, clientSecret, sessionSecret } from '../support/open-app.ts'
import { openRedis } from '../support/redis.ts'
import { flow } from './flow.ts'
import { heldBy, keysForEver } from './health.ts'
import { openSite } from './site.ts'
import { troubles } from './trouble.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    visitors: { type: 'string', default: '8' },
    seed: { type: 'string', default: String(Date.now() % 100_000) },
  },
})
const [minutes, visitors, seed] = [Number(values.minutes), Number(values.visitors), Number(values.seed)]

/** Growth between warm and end that is still no leak: what the bounded caches of pictures may have taken up since. */
const mostHeapGrowthBytes = 16 * 1024 * 1024
const mostHandleGrowth = 10
/** At rest: connections to the outside end after their keep-alive. */
const restMs = 6000

/** The same numbers for the same seed (mulberry32), so that a bad run can be had again, as far as timing allows. */
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
const discord = await openDiscord({
  clientId,
  clientSecret,
  redirectUri: `${url}/get_avatar`,
  accounts,
  tokenLifeS: 30,
})
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

const count = { flows: 0, cutOff: 0, pages: new Map<number, number>(), troubles: new Map<string, number>() }
const lost: string[] = []
const add = <Key>(map: Map<Key, number>, key: Key) => map.set(key, (map.get(key) ?? 0) + 1)

function look(): Look {
  const style = styles[Math.floor(random() * styles.length)]
  if (style === undefined) throw new Error('there are no styles')
  const mood = style.moods[Math.floor(random() * (style.moods.length + 1))] ?? ''
  const seed = random() < 0.3 ? '' : `seed ${Math.floor(random() * 5)}`
  return { seed, style: style.name, mood, backgroundColor: random() < 0.5 ? '' : 'a9d6f5' }
}

/** One person after the other at one keyboard; some come back in the same browser. */
async function visitorsOf(account: Account, signal: AbortSignal): Promise<void> {
  let jar = new CookieJar()
  while (!signal.aborted) {
    if (random() < 0.5) jar = new CookieJar()
    const told = { page: (status: number) => add(count.pages, status), cutOff: () => (count.cutOff += 1) }
    const wanted = look()
    try {
      await flow({ site, discord, jar, account, random, told }, wanted)
    } catch (error) {
      lost.push(`${new Date().toISOString()} ${wanted.style}: ${error instanceof Error ? error.message : error}`)
      jar = new CookieJar()
    }
    count.flows += 1
  }
}

async function visitsFor(ms: number, withTroubles: boolean): Promise<void> {
  const visiting = AbortSignal.timeout(ms)
  const world = { site, redis, discord, dicebear, random }
  const trouble = withTroubles ? troubles(world, visiting, (name) => add(count.troubles, name)) : undefined
  await Promise.all([...accounts.map((account) => visitorsOf(account, visiting)), trouble])
}

/**
 * Each style is read once, when it is first drawn, and stays: all of them belong to the warm state. The picture beside a
 * link is drawn in the main thread, as is what stands in for DiceBear's; previews have a thread of their own.
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
// Quiet visits before and after, so that what is compared is the same work, and the second time after the troubles.
await drawAllStyles()
await visitsFor(runMs / 10, false)
await wait(restMs)
const warm = await heldBy(pid, site.inspectorPort)
await visitsFor(runMs, true)
await visitsFor(runMs / 10, false)
await wait(restMs)
const end = await heldBy(pid, site.inspectorPort)
const forEver = await keysForEver(redis.url)

await site.close()
await Promise.all([discord.close(), dicebear.close(), redis.stop()])

const megabytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MB`
const listed = <Key>(map: Map<Key, number>) => [...map].map(([key, times]) => `${key}: ${times}`).join(' · ') || 'none'
process.stdout.write(`
visits              ${count.flows} in ${minutes} minutes by ${visitors} visitors, seed ${seed}
troubles            ${listed(count.troubles)}
pages that said to try again   ${listed(count.pages)}
requests cut off by a kill     ${count.cutOff}
lost visits         ${lost.length}
heap after a collection        ${megabytes(warm.heapBytes)} warm, ${megabytes(end.heapBytes)} at the end
open files and sockets         ${warm.handles} warm, ${end.handles} at the end
keys without an end in Redis   ${forEver.length}
`)
for (const line of [...lost, ...forEver].slice(0, 20)) process.stdout.write(`${line}\n`)

const failed =
  count.flows === 0 ||
  lost.length > 0 ||
  forEver.length > 0 ||
  end.heapBytes - warm.heapBytes > mostHeapGrowthBytes ||
  end.handles - warm.handles > mostHandleGrowth
process.exit(failed ? 1 : 0)

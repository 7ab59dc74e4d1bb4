import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { at, type DiceBearDouble, type DiscordDouble, type Fault, faults } from '../support/doubles.ts'
import type { Redis } from '../support/redis.ts'
import type { Instance, Site } from './site.ts'

type World = { site: Site; redis: Redis; discord: DiscordDouble; dicebear: DiceBearDouble; random: () => number }

/** How long each trouble lasts, and the quiet after it, in milliseconds: at most. */
const longestTroubleMs = 4000
const longestQuietMs = 3000

const svg = { 'content-type': 'image/svg+xml' }
const bad: Fault[] = [
  faults.silent(),
  faults.drip(),
  faults.reset(),
  faults.truncated(),
  faults.malformed(),
  faults.wrongType(),
  faults.huge(),
  faults.bomb(),
  faults.redirect('http://127.0.0.1:9/'),
  faults.json(500, { message: '500: Internal Server Error', code: 0 }),
  faults.json(400, { error: 'invalid_grant' }),
  faults.busy(1),
  faults.busy(2, { global: true }),
]
const badSvg: Fault[] = [
  faults.silent(),
  faults.reset('<svg xmlns="http://www.w3.org/2000/svg">', svg),
  faults.answer(200, '<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', svg),
  faults.answer(503),
  faults.bomb(undefined, svg),
  faults.huge(undefined, svg),
  faults.busy(1),
]

/**
 * One thing after the other goes wrong, by chance, and is well again, until the signal. The first instance is spared the
 * kill, so that its memory tells of the whole time. Tells each trouble by name.
 */
export async function troubles(world: World, signal: AbortSignal, told: (name: string) => void): Promise<void> {
  const { site, redis, discord, dicebear, random } = world
  const oneOf = <Kind>(list: Kind[]): Kind => {
    const one = list[Math.floor(random() * list.length)]
    if (one === undefined) throw new Error('nothing to choose from')
    return one
  }
  const lasting = () => wait(random() * longestTroubleMs)
  const [, ...mortal] = site.instances

  const all: Record<string, () => Promise<void>> = {
    'Discord’s token address': () => failing(discord, at.token, oneOf(bad)),
    'Discord’s user address': () => failing(discord, at.user, oneOf(bad)),
    'Discord’s revoke address': () => failing(discord, at.revoke, oneOf(bad)),
    DiceBear: () => failing(dicebear, at.svg, oneOf(badSvg)),
    'Discord refuses connections': () => refusing(discord),
    'DiceBear refuses connections': () => refusing(dicebear),
    'Redis says nothing': async () => {
      redis.pause()
      await lasting()
      redis.resume()
    },
    'Redis is killed': async () => {
      await redis.kill()
      await lasting()
      await redis.restart()
    },
    'an instance is killed': async () => {
      const one = oneOf(mortal)
      await one.kill()
      await lasting()
      await one.restart()
    },
    'files are lost or damaged': () => spoilFiles(oneOf(site.instances), random),
  }

  async function failing(double: DiscordDouble | DiceBearDouble, path: string | RegExp, fault: Fault): Promise<void> {
    double.fail(path, fault)
    await lasting()
    double.heal(path)
  }

  async function refusing(double: DiscordDouble | DiceBearDouble): Promise<void> {
    await double.refuse()
    await lasting()
    await double.accept()
  }

  while (!signal.aborted) {
    const [name, happen] = oneOf(Object.entries(all))
    told(name)
    await happen()
    await wait(random() * longestQuietMs, undefined, { signal }).catch(() => undefined)
  }
}

/** Every third file of a cache folder is deleted, overwritten or emptied. */
async function spoilFiles({ cacheFolder }: Instance, random: () => number): Promise<void> {
  const files = await readdir(cacheFolder, { recursive: true })
  for (const file of files.filter((name) => name.endsWith('.svg') && random() < 0.33)) {
    const path = join(cacheFolder, file)
    if (random() < 0.5) await rm(path, { force: true })
    else await writeFile(path, random() < 0.5 ? '' : '<svg xmlns="http://www.w3.org/2000/svg"/>')
  }
}

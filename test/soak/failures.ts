import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { at, type DiceBearDouble, type DiscordDouble } from '../support/doubles.ts'
import { type Fault, faults } from '../support/faults.ts'
import type { Redis } from '../support/redis.ts'
import type { Instance, Site } from './site.ts'

type World = { site: Site; redis: Redis; discord: DiscordDouble; dicebear: DiceBearDouble; random: () => number }

/** The longest duration of a failure, and of the pause after it. */
const maxFailureMs = 4000
const maxPauseMs = 3000

const svg = { 'content-type': 'image/svg+xml' }
const badJson: Fault[] = [
  faults.hang(),
  faults.drip(),
  faults.reset(),
  faults.truncated(),
  faults.malformed(),
  faults.wrongType(),
  faults.huge(),
  faults.gzipBomb(),
  faults.redirect('http://127.0.0.1:9/'),
  faults.json(500, { message: '500: Internal Server Error', code: 0 }),
  faults.json(400, { error: 'invalid_grant' }),
  faults.rateLimited(1),
  faults.rateLimited(2, { global: true }),
]
const badSvg: Fault[] = [
  faults.hang(),
  faults.reset('<svg xmlns="http://www.w3.org/2000/svg">', svg),
  faults.answer(200, '<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', svg),
  faults.answer(503),
  faults.gzipBomb(undefined, svg),
  faults.huge(undefined, svg),
  faults.rateLimited(1),
]

/**
 * Causes one random failure after the other, and ends each, until the signal aborts. Calls `onFailure` with the name of
 * each. The first instance is never killed: its memory is measured over the whole run.
 */
export async function failAtRandom(
  world: World,
  signal: AbortSignal,
  onFailure: (name: string) => void,
): Promise<void> {
  const { site, redis, discord, dicebear, random } = world
  const oneOf = <Kind>(list: Kind[]): Kind => {
    const item = list[Math.floor(random() * list.length)]
    if (item === undefined) throw new Error('nothing to choose from')
    return item
  }
  const failureEnds = () => wait(random() * maxFailureMs)
  const [, ...killable] = site.instances

  const all: Record<string, () => Promise<void>> = {
    'Discord’s token address': () => failing(discord, at.token, oneOf(badJson)),
    'Discord’s user address': () => failing(discord, at.user, oneOf(badJson)),
    'Discord’s revoke address': () => failing(discord, at.revoke, oneOf(badJson)),
    DiceBear: () => failing(dicebear, at.svg, oneOf(badSvg)),
    'Discord refuses connections': () => refusing(discord),
    'DiceBear refuses connections': () => refusing(dicebear),
    'Redis does not answer': async () => {
      redis.pause()
      await failureEnds()
      redis.resume()
    },
    'Redis is killed': async () => {
      await redis.kill()
      await failureEnds()
      await redis.restart()
    },
    'an instance is killed': async () => {
      const instance = oneOf(killable)
      await instance.kill()
      await failureEnds()
      await instance.restart()
    },
    'files are lost or damaged': () => damageFiles(oneOf(site.instances), random),
  }

  async function failing(double: DiscordDouble | DiceBearDouble, path: string | RegExp, fault: Fault): Promise<void> {
    double.fail(path, fault)
    await failureEnds()
    double.heal(path)
  }

  async function refusing(double: DiscordDouble | DiceBearDouble): Promise<void> {
    await double.refuse()
    await failureEnds()
    await double.accept()
  }

  while (!signal.aborted) {
    const [name, cause] = oneOf(Object.entries(all))
    onFailure(name)
    await cause()
    await wait(random() * maxPauseMs, undefined, { signal }).catch(() => undefined)
  }
}

/** Deletes, overwrites or empties a third of the files in a cache folder. */
async function damageFiles({ cacheFolder }: Instance, random: () => number): Promise<void> {
  const files = await readdir(cacheFolder, { recursive: true })
  for (const file of files.filter((name) => name.endsWith('.svg') && random() < 0.33)) {
    const path = join(cacheFolder, file)
    if (random() < 0.5) await rm(path, { force: true })
    else await writeFile(path, random() < 0.5 ? '' : '<svg xmlns="http://www.w3.org/2000/svg"/>')
  }
}

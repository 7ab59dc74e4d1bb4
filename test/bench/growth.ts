// `npm run bench:growth -- 10000 100000`: what looking up, starting and making room cost with so many avatars on disk and
// as many sessions in Redis. A million avatars take 4 GB of disk and some minutes. Ends with 1 when a bound is missed.
import { createHash } from 'node:crypto'
import { mkdir, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { openFileCache } from '../../src/avatar/file-cache.ts'
import { visitOnce } from './load.ts'
import { emptyFolder, openStage, type Stage } from './stage.ts'

const sizes = process.argv.slice(2).map(Number)
if (sizes.length === 0) sizes.push(1_000, 10_000, 100_000)

const keyOf = (what: string) => createHash('sha256').update(what).digest('hex')
const fileBytes = 4096
const asked = 500

const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><rect width="1" height="1"/></svg>')
const onError = (error: unknown) => process.stderr.write(`${error}\n`)

const percentile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; value: T }> {
  const since = performance.now()
  const value = await work()
  return { ms: performance.now() - since, value }
}

/** Files as the cache names them, from one number to another. */
async function fill(folder: string, from: number, to: number): Promise<void> {
  for (let i = 0; i < 256; i++) await mkdir(join(folder, i.toString(16).padStart(2, '0')), { recursive: true })
  const lane = async (first: number) => {
    for (let i = first; i < to; i += 16) {
      const key = keyOf(`filler ${i}`)
      await writeFile(join(folder, key.slice(0, 2), `${key}.svg`), svg)
    }
  }
  await Promise.all(Array.from({ length: 16 }, (_, i) => lane(from + i)))
}

/** Sessions in Redis, copies of a real one. */
async function fillSessions({ redis }: Stage, session: string, from: number, to: number): Promise<void> {
  for (let start = from; start < to; start += 1000) {
    const batch = redis.multi()
    for (let i = start; i < Math.min(start + 1000, to); i++) batch.set(`session:filler-${i}`, session)
    await batch.execAsPipeline()
  }
}

/** The median time to read one of the files that are really avatars, in milliseconds. */
async function lookUp(folder: string, maxBytes: number): Promise<{ openMs: number; readMs: number }> {
  const opened = await timed(() => openFileCache({ folder, maxBytes, onError }))
  const cache = opened.value
  const keys = Array.from({ length: asked }, (_, i) => keyOf(`real ${i}`))
  for (const key of keys) await cache.write(key, svg)
  await cache.trim()
  const times: number[] = []
  for (const key of keys) times.push((await timed(() => cache.read(key))).ms)
  await cache.close()
  return { openMs: opened.ms, readMs: percentile(times, 0.5) }
}

/** How long reads take while half of the folder is thrown away, beside how long they take in peace. */
async function makeRoom(folder: string, files: number): Promise<{ quietMs: number; busyMs: number; tookMs: number }> {
  const key = keyOf('real 0')
  const reads = async (going: () => boolean) => {
    const times: number[] = []
    while (going()) {
      times.push((await timed(() => cache.read(key))).ms)
      await wait(2)
    }
    return percentile(times, 0.99)
  }
  let cache = await openFileCache({ folder, maxBytes: 10 * files * fileBytes, onError })
  await cache.trim()
  const until = performance.now() + 2000
  const quietMs = await reads(() => performance.now() < until)
  await cache.close()
  let busy = true
  const since = performance.now()
  cache = await openFileCache({ folder, maxBytes: (files * fileBytes) / 2, onError })
  const done = cache.trim().then(() => {
    busy = false
  })
  const busyMs = await reads(() => busy)
  await done
  await cache.close()
  return { quietMs, busyMs, tookMs: performance.now() - since }
}

async function sessionAsked(visitor: Awaited<ReturnType<typeof visitOnce>>): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < asked; i++) times.push((await timed(() => visitor.go(visitor.picture))).ms)
  return percentile(times, 0.5)
}

const folder = await emptyFolder()
const most = Math.max(...sizes)
const disk = await statfs(folder)
if (disk.bavail * disk.bsize < 1.5 * most * fileBytes || disk.ffree < 1.5 * most) {
  throw new Error(`${folder} has no room for ${most} files`)
}
const stage = await openStage({ settings: { CACHE_DIR: folder, CACHE_MAX_MB: '100000' } })
const lines: string[] = []
let missed = false
const say = (what: string, value: number, unit: string, holds = true) => {
  missed ||= !holds
  lines.push(`${what.padEnd(64)} ${value.toFixed(2).padStart(10)} ${unit}${holds ? '' : '   MISSED'}`)
}

try {
  const visitor = await visitOnce(stage.ours.url)
  for (let i = 1; i < 12; i++) {
    const body = new URLSearchParams({
      seed: `look ${i}`,
      style: 'adventurer',
      backgroundColor: 'ffd29d',
      mood: 'happy',
    })
    await visitor.go('/show_avatar', { method: 'POST', body })
  }
  const [sessionKey = ''] = await stage.redis.keys('session:*').then((keys) => keys.toSorted())
  const bytes = Math.max(
    ...(await Promise.all(
      (await stage.redis.keys('session:*')).map(async (key) => (await stage.redis.memoryUsage(key)) ?? 0),
    )),
  )
  say('bytes of Redis for a session with 12 avatars', bytes, 'B, 2048 or less', bytes <= 2048)
  const session = (await stage.redis.get(sessionKey)) ?? ''
  const first: { readMs: number; sessionMs: number; readyMs: number }[] = []
  let filled = 0
  for (const size of sizes) {
    process.stderr.write(`${size}\n`)
    const filling = await timed(async () => {
      await fill(folder, filled, size)
      await fillSessions(stage, session, filled, size)
    })
    filled = size
    const { openMs, readMs } = await lookUp(folder, 100 * most * fileBytes)
    const sessionMs = await sessionAsked(visitor)
    const another = await stage.startOurs({}, false)
    await another.stop()
    first.push({ readMs, sessionMs, readyMs: another.readyMs })
    const [base] = first
    const flat = (value: number, of: number | undefined) => value <= 1.2 * (of ?? value) + 0.05
    lines.push(`\n${size} avatars and sessions (filled in ${(filling.ms / 1000).toFixed(0)} s)`)
    say('a file read, median', readMs, 'ms, flat within 20 %', flat(readMs, base?.readMs))
    say(
      'a picture asked for with its session, median',
      sessionMs,
      'ms, flat within 20 %',
      flat(sessionMs, base?.sessionMs),
    )
    say('the folder opened', openMs, 'ms')
    say('start to ready', another.readyMs, 'ms, flat within 20 %', flat(another.readyMs, base?.readyMs))
  }
  process.stderr.write('making room\n')
  const { quietMs, busyMs, tookMs } = await makeRoom(folder, filled)
  lines.push(`\nhalf of ${filled} thrown away, in ${(tookMs / 1000).toFixed(1)} s`)
  say('a file read in peace, p99', quietMs, 'ms')
  say('a file read meanwhile, p99', busyMs, 'ms, 10 more or less', busyMs - quietMs <= 10)
} finally {
  await stage.close()
}
process.stdout.write(`${lines.join('\n')}\n`)
process.exit(missed ? 1 : 0)

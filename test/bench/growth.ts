// `npm run bench:growth -- 10000 100000` measures look-ups, starts and evictions with that many avatars on disk and as
// many sessions in Redis. A million avatars take 4 GB of disk and some minutes. Exits with 1 when a bound is missed.
import { createHash } from 'node:crypto'
import { mkdir, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { openFileCache } from '../../src/avatar/file-cache.ts'
import { visitOnce } from './load.ts'
import { emptyFolder, openStage, type Stage } from './stage.ts'

const sizes = process.argv.slice(2).map(Number)
if (sizes.length === 0) sizes.push(1_000, 10_000, 100_000)

const keyOf = (text: string) => createHash('sha256').update(text).digest('hex')
/** A small file takes one block of the disk. */
const fileBytes = 4096
const samples = 500

const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><rect width="1" height="1"/></svg>')
const onError = (error: unknown) => process.stderr.write(`${error}\n`)

const percentile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; value: T }> {
  const startedAt = performance.now()
  const value = await work()
  return { ms: performance.now() - startedAt, value }
}

/** Writes files number `from` to `to`, named as the cache names them. */
async function fill(folder: string, from: number, to: number): Promise<void> {
  for (let i = 0; i < 256; i++) await mkdir(join(folder, i.toString(16).padStart(2, '0')), { recursive: true })
  const writeEvery16th = async (first: number) => {
    for (let i = first; i < to; i += 16) {
      const key = keyOf(`filler ${i}`)
      await writeFile(join(folder, key.slice(0, 2), `${key}.svg`), svg)
    }
  }
  await Promise.all(Array.from({ length: 16 }, (_, i) => writeEvery16th(from + i)))
}

/** Writes sessions number `from` to `to` into Redis, copies of a real one. */
async function fillSessions({ redis }: Stage, session: string, from: number, to: number): Promise<void> {
  for (let start = from; start < to; start += 1000) {
    const batch = redis.multi()
    for (let i = start; i < Math.min(start + 1000, to); i++) batch.set(`session:filler-${i}`, session)
    await batch.execAsPipeline()
  }
}

/** Returns how long the cache takes to open the folder, and the median time to read a file. */
async function lookUp(folder: string, maxBytes: number): Promise<{ openMs: number; readMs: number }> {
  const opened = await timed(() => openFileCache({ folder, maxBytes, onError }))
  const cache = opened.value
  const keys = Array.from({ length: samples }, (_, i) => keyOf(`real ${i}`))
  for (const key of keys) await cache.write(key, svg)
  await cache.trim()
  const times: number[] = []
  for (const key of keys) times.push((await timed(() => cache.read(key))).ms)
  cache.close()
  return { openMs: opened.ms, readMs: percentile(times, 0.5) }
}

/** Returns the 99th percentile of read times, without other work and while the cache evicts half of the folder. */
async function evictHalf(folder: string, files: number): Promise<{ quietMs: number; busyMs: number; tookMs: number }> {
  const key = keyOf('real 0')
  const readsWhile = async (isRunning: () => boolean) => {
    const times: number[] = []
    while (isRunning()) {
      times.push((await timed(() => cache.read(key))).ms)
      await wait(2)
    }
    return percentile(times, 0.99)
  }
  let cache = await openFileCache({ folder, maxBytes: 10 * files * fileBytes, onError })
  await cache.trim()
  const deadline = performance.now() + 2000
  const quietMs = await readsWhile(() => performance.now() < deadline)
  cache.close()
  let isEvicting = true
  const startedAt = performance.now()
  cache = await openFileCache({ folder, maxBytes: (files * fileBytes) / 2, onError })
  const evicted = cache.trim().then(() => {
    isEvicting = false
  })
  const busyMs = await readsWhile(() => isEvicting)
  await evicted
  cache.close()
  return { quietMs, busyMs, tookMs: performance.now() - startedAt }
}

/** Returns the median time of a request for a picture, which needs the session. */
async function pictureMs(visitor: Awaited<ReturnType<typeof visitOnce>>): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < samples; i++) times.push((await timed(() => visitor.send(visitor.picture))).ms)
  return percentile(times, 0.5)
}

const folder = await emptyFolder()
const maxSize = Math.max(...sizes)
const disk = await statfs(folder)
if (disk.bavail * disk.bsize < 1.5 * maxSize * fileBytes || disk.ffree < 1.5 * maxSize) {
  throw new Error(`${folder} has no room for ${maxSize} files`)
}
const stage = await openStage({ settings: { CACHE_DIR: folder, CACHE_MAX_MB: '100000' } })
const lines: string[] = []
let missed = false
const report = (name: string, value: number, unit: string, isMet = true) => {
  missed ||= !isMet
  lines.push(`${name.padEnd(64)} ${value.toFixed(2).padStart(10)} ${unit}${isMet ? '' : '   MISSED'}`)
}

try {
  const visitor = await visitOnce(stage.app.url)
  for (let i = 1; i < 12; i++) {
    const body = new URLSearchParams({
      seed: `avatar ${i}`,
      style: 'adventurer',
      backgroundColor: 'ffd29d',
      mood: 'happy',
    })
    await visitor.send('/show_avatar', { method: 'POST', body })
  }
  const [sessionKey = ''] = await stage.redis.keys('session:*').then((keys) => keys.toSorted())
  const bytes = Math.max(
    ...(await Promise.all(
      (await stage.redis.keys('session:*')).map(async (key) => (await stage.redis.memoryUsage(key)) ?? 0),
    )),
  )
  report('memory of Redis for a session with 12 avatars', bytes, 'B, 2048 or less', bytes <= 2048)
  const session = (await stage.redis.get(sessionKey)) ?? ''
  let base: { readMs: number; sessionMs: number; readyMs: number } | undefined
  let filled = 0
  for (const size of sizes) {
    process.stderr.write(`${size}\n`)
    const filling = await timed(async () => {
      await fill(folder, filled, size)
      await fillSessions(stage, session, filled, size)
    })
    filled = size
    const { openMs, readMs } = await lookUp(folder, 100 * maxSize * fileBytes)
    const sessionMs = await pictureMs(visitor)
    const another = await stage.startApp({}, false)
    await another.stop()
    base ??= { readMs, sessionMs, readyMs: another.readyMs }
    const isFlat = (ms: number, baseMs: number) => ms <= 1.2 * baseMs + 0.05
    lines.push(`\n${size} avatars and sessions (filled in ${(filling.ms / 1000).toFixed(0)} s)`)
    report('read a file, median', readMs, 'ms, flat within 20 %', isFlat(readMs, base.readMs))
    const isSessionFlat = isFlat(sessionMs, base.sessionMs)
    report('request a picture, with its session, median', sessionMs, 'ms, flat within 20 %', isSessionFlat)
    report('open the folder', openMs, 'ms')
    report('start to ready', another.readyMs, 'ms, flat within 20 %', isFlat(another.readyMs, base.readyMs))
  }
  process.stderr.write('evicting\n')
  const { quietMs, busyMs, tookMs } = await evictHalf(folder, filled)
  lines.push(`\nhalf of ${filled} evicted in ${(tookMs / 1000).toFixed(1)} s`)
  report('read a file before that, p99', quietMs, 'ms')
  report('read a file meanwhile, p99', busyMs, 'ms, at most 10 more', busyMs - quietMs <= 10)
} finally {
  await stage.close()
}
process.stdout.write(`${lines.join('\n')}\n`)
process.exit(missed ? 1 : 0)

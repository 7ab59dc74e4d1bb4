// `npm run bench`: the app and the bare program in alternating rounds, so that other work on the machine slows both.
// Bounds apply to the median of the rounds' ratios. Exits with 1 when one is missed. `-- --only=svg` runs the
// measurements whose name begins with "svg", `-- --rounds=9` more rounds, `-- --json` prints JSON.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import type { Request } from 'autocannon'
import { z } from 'zod'
import { load, visit, visitOnce, visitRequests } from './load.ts'
import { visitSmallServer } from './small-server.ts'
import { openStage, type Program, type Stage } from './stage.ts'

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
})
const rounds = Number(flags.rounds)
/** The number of rounds for measurements that take many seconds. */
const longRounds = Math.min(rounds, 3)
const seconds = Number(flags.seconds)

type Row = {
  name: string
  app: number
  bare?: number | undefined
  ratio?: number | undefined
  /**
   * The app's processor time per request, divided by the bare program's. Other work on the machine disturbs it least.
   */
  cpuRatio?: number | undefined
  redisCommands?: number | undefined
  bound: string
  isMet: boolean
}
const rows: Row[] = []
const progress = (text: string) => process.stderr.write(`${performance.now().toFixed().padStart(6)} ms  ${text}\n`)

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

type Measured = { perSecond: number; cpuMs: number }

async function measure(program: Program, requests: Request[], statuses: number[]) {
  const before = program.cpuMs()
  const { perSecond, requests: count } = await load({ url: program.url, requests, seconds, statuses })
  return {
    perSecond,
    cpuMs: (program.cpuMs() - before) / count,
  } satisfies Measured
}

type Side = { program: Program; requests: () => Request[] }
type Comparison = {
  name: string
  minRatio: number
  app: Side
  bare: Side
  statuses?: number[]
  /** How many requests are counted as one, for example the five of a visit. */
  per?: number
  maxRedisCommands: number
}

/** Runs alternating rounds of both programs. The first round is not counted. */
async function compare(stage: Stage, comparison: Comparison) {
  const { name, minRatio, app, bare, statuses = [200], per = 1, maxRedisCommands } = comparison
  if (!isSelected(name)) return
  progress(name)
  const round = ({ program, requests }: Side) => measure(program, requests(), statuses)
  await round(app)
  await round(bare)
  const pairs: { app: Measured; bare: Measured }[] = []
  for (let n = 0; n < rounds; n++) {
    const first = await round(n % 2 ? bare : app)
    const second = await round(n % 2 ? app : bare)
    pairs.push(n % 2 ? { app: second, bare: first } : { app: first, bare: second })
  }
  const ratio = median(pairs.map((pair) => pair.app.perSecond / pair.bare.perSecond))
  const redisCommands = await redisCommandsPer(stage, app, statuses, per)
  rows.push({
    name: `${name}, per second`,
    app: median(pairs.map((pair) => pair.app.perSecond)) / per,
    bare: median(pairs.map((pair) => pair.bare.perSecond)) / per,
    ratio,
    cpuRatio: median(pairs.map((pair) => pair.app.cpuMs / pair.bare.cpuMs)),
    redisCommands,
    bound: `ratio >= ${minRatio}, ${maxRedisCommands} Redis commands`,
    isMet: ratio >= minRatio && redisCommands <= maxRedisCommands,
  })
}

/** Counts Redis commands per request or visit, in a run of its own, because MONITOR would slow the rounds. */
async function redisCommandsPer(stage: Stage, { program, requests }: Side, statuses: number[], per: number) {
  const repeats = 20
  const send = () => load({ url: program.url, requests: requests(), amount: repeats * per, connections: 1, statuses })
  return (await stage.countCommands(send)) / repeats
}

function addRow(name: string, app: number, bound: string, isMet: boolean, bare?: number) {
  rows.push({ name, app, bare, ratio: bare === undefined ? undefined : app / bare, bound, isMet })
}

const isSelected = (name: string) => name.startsWith(flags.only)

/**
 * Sends requests until V8 has optimized the code, which takes about 20,000, as the app has more code than the bare
 * program.
 */
async function warmUp({ url }: Program, requests: Request[]) {
  progress('warm-up')
  await load({ url, requests, seconds: 8 })
}

async function pages(stage: Stage) {
  const { app, bare } = stage
  const [appVisit, bareVisit] = [await visitOnce(app.url), await visitOnce(bare.url)]
  const etags = [appVisit, bareVisit].map(async ({ send, picture }) => (await send(picture)).headers.get('etag') ?? '')
  const [appETag = '', bareETag = ''] = await Promise.all(etags)
  const side = (program: Program, path: string, headers: Record<string, string> = {}): Side => ({
    program,
    requests: () => [{ method: 'GET', path, headers }],
  })
  const [appCookie, bareCookie] = [{ cookie: appVisit.cookie }, { cookie: bareVisit.cookie }]
  if (['svg', 'home', 'show'].some(isSelected)) {
    const three = (picture: string, headers: Record<string, string>): Request[] =>
      ['/', '/show_avatar', picture].map((path) => ({ method: 'GET', path, headers }))
    await warmUp(app, three(appVisit.picture, appCookie))
    await warmUp(bare, three(bareVisit.picture, bareCookie))
  }
  await compare(stage, {
    name: 'svg',
    minRatio: 0.8,
    app: side(app, appVisit.picture, appCookie),
    bare: side(bare, bareVisit.picture, bareCookie),
    maxRedisCommands: 1,
  })
  await compare(stage, {
    name: 'svg 304',
    minRatio: 0.7,
    app: side(app, appVisit.picture, { ...appCookie, 'if-none-match': appETag }),
    bare: side(bare, bareVisit.picture, { ...bareCookie, 'if-none-match': bareETag }),
    statuses: [304],
    maxRedisCommands: 1,
  })
  await compare(stage, {
    name: 'home',
    minRatio: 0.9,
    app: side(app, '/'),
    bare: side(bare, '/'),
    maxRedisCommands: 0,
  })
  const filledForm = '/?seed=fern&style=bottts&backgroundColor=a9d6f5&mood=happy'
  await compare(stage, {
    name: 'home with a query',
    minRatio: 0.9,
    app: side(app, filledForm),
    bare: side(bare, filledForm),
    maxRedisCommands: 0,
  })
  await compare(stage, {
    name: 'show',
    minRatio: 0.55,
    app: side(app, '/show_avatar', appCookie),
    bare: side(bare, '/show_avatar', bareCookie),
    maxRedisCommands: 1,
  })
}

let previewCount = 0
const newPreview: Request = {
  setupRequest: (request) => {
    previewCount += 1
    return { ...request, path: `/preview.svg?seed=new+${previewCount}&style=adventurer&backgroundColor=ffd29d` }
  },
}

async function previews({ app, bare }: Stage) {
  if (!isSelected('preview')) return
  await warmUp(app, [newPreview])
  progress('preview')
  const known: Request[] = [{ path: '/preview.svg?seed=fern&style=adventurer&backgroundColor=ffd29d' }]
  const knownRates: number[] = []
  const pairs: { app: number; bare: number; delayMs: number }[] = []
  for (let round = 0; round < rounds; round++) {
    knownRates.push((await load({ url: app.url, requests: known, seconds })).perSecond)
    const fresh = await load({ url: app.url, requests: [newPreview], seconds })
    // Measured in another round, because measuring the event loop costs the app 5 % of its pictures.
    await app.watch()
    await load({ url: app.url, requests: [newPreview], seconds })
    const delayMs = await app.delayP99Ms()
    const loop = await (await fetch(`${bare.url}/draw-loop?ms=${1000 * seconds}`)).json()
    pairs.push({ app: fresh.perSecond, bare: loop.perSecond, delayMs })
  }
  const rate = median(knownRates)
  addRow('preview, known, per second', rate, '>= 5000', rate >= 5000)
  const ratio = median(pairs.map((pair) => pair.app / pair.bare))
  rows.push({
    name: 'preview, new, per second (bare: the library in a loop)',
    app: median(pairs.map((pair) => pair.app)),
    bare: median(pairs.map((pair) => pair.bare)),
    ratio,
    bound: 'ratio >= 0.45',
    isMet: ratio >= 0.45,
  })
  const delayMs = median(pairs.map((pair) => pair.delayMs))
  addRow('preview, new: event loop delay, p99, ms', delayMs, '< 20', delayMs < 20)
}

const run = promisify(execFile)
const Latency = z.object({ p99Ms: z.number() })

/**
 * Measures how much a flood of new previews by one client delays the form page for another, with rate limits.
 */
async function fairness(stage: Stage) {
  if (!isSelected('fairness')) return
  progress('fairness')
  const app = await stage.startApp({ RATE_LIMIT: 'on', TRUST_PROXY: '1' })
  const pairs: { busyMs: number; quietMs: number }[] = []
  for (let round = 0; round < longRounds; round++) {
    const quietMs = await formPageP99Ms(app, `10.0.${round}.1`)
    const requests = [{ ...newPreview, headers: { 'x-forwarded-for': `10.0.${round}.3` } }]
    const flooding = load({ url: app.url, requests, amount: 10_000, connections: 32, statuses: [200, 429, 503] })
    const busyMs = await formPageP99Ms(app, `10.0.${round}.2`)
    await flooding
    pairs.push({ busyMs, quietMs })
  }
  await app.stop()
  const ratio = median(pairs.map(({ busyMs, quietMs }) => busyMs / quietMs))
  rows.push({
    name: 'fairness: form page during 10,000 previews, p99, ms (bare: without them)',
    app: median(pairs.map(({ busyMs }) => busyMs)),
    bare: median(pairs.map(({ quietMs }) => quietMs)),
    ratio,
    bound: 'ratio <= 3',
    isMet: ratio <= 3,
  })
}

async function formPageP99Ms({ url }: Program, address: string): Promise<number> {
  const { stdout } = await run(process.execPath, [join(import.meta.dirname, 'form-page.ts'), url, address])
  return Latency.parse(JSON.parse(stdout)).p99Ms
}

let visitCount = 0
const maxRssMb = { app: 0, bare: 0 }

/** Makes this many visits to one program, and records its largest resident memory. */
async function runVisits(stage: Stage, name: 'app' | 'bare', amount: number) {
  const program = stage[name]
  const sampler = setInterval(() => {
    maxRssMb[name] = Math.max(maxRssMb[name], program.rssMb())
  }, 100)
  await load({ url: program.url, requests: visit(), amount: amount * visitRequests, statuses: [200, 302] })
  clearInterval(sampler)
}

/**
 * Makes visits until each program has served `minVisits`, for at most 90 s: V8 optimizes the last of the app's code
 * after tens of thousands of requests. The programs alternate, because V8 discards the optimized code of an idle
 * process.
 */
async function warmUpVisits(stage: Stage, minVisits: number) {
  progress('warm-up')
  const deadline = performance.now() + 90_000
  for (; visitCount < minVisits && performance.now() < deadline; visitCount += 1000) {
    await runVisits(stage, 'app', 1000)
    await runVisits(stage, 'bare', 1000)
  }
}

async function visits(stage: Stage) {
  if (!isSelected('visits')) return
  const { app, bare } = stage
  await warmUpVisits(stage, 20_000)
  await compare(stage, {
    name: 'visits',
    minRatio: 0.65,
    app: { program: app, requests: visit },
    bare: { program: bare, requests: visit },
    statuses: [200, 302],
    per: visitRequests,
    maxRedisCommands: 9,
  })
}

async function callbacks(stage: Stage) {
  if (!isSelected('callback')) return
  progress('callback')
  await stage.setLatency(100)
  const upstreamMs: number[] = []
  const firstMs: number[] = []
  const againMs: number[] = []
  for (let n = 0; n < 15; n++) {
    upstreamMs.push(await upstreamCallMs(stage))
    const visitor = await visitOnce(stage.app.url, `callback ${Date.now()} ${n}`)
    firstMs.push(visitor.callbackMs)
    const body = new URLSearchParams({ seed: 'fern', style: 'adventurer', backgroundColor: 'ffd29d', mood: 'happy' })
    const leaving = await visitor.send('/get_avatar', { method: 'POST', body })
    const state = new URL(leaving.headers.get('location') ?? '').searchParams.get('state') ?? ''
    const startedAt = performance.now()
    await visitor.send(`/get_avatar?${new URLSearchParams({ code: 'c0de', state })}`)
    againMs.push(performance.now() - startedAt)
  }
  await stage.setLatency(0)
  const oneCallMs = median(upstreamMs)
  const addCallbackRow = (name: string, ms: number, callsMs: number) =>
    addRow(`callback: ${name}, p50, ms`, ms, 'bare + 10 ms', ms <= callsMs + 10, callsMs)
  addCallbackRow('typed seed (bare: two upstream calls of 100 ms)', median(firstMs), 2 * oneCallMs)
  addCallbackRow('cached token and known picture (bare: one call)', median(againMs), oneCallMs)
}

/** Returns how long a call to an upstream server with 100 ms of latency takes, in milliseconds. */
async function upstreamCallMs({ upstream }: Stage): Promise<number> {
  const startedAt = performance.now()
  await (await fetch(`${upstream.url}/discord/users/@me`)).text()
  return performance.now() - startedAt
}

async function memoryAfterLoad(stage: Stage) {
  if (!isSelected('memory')) return
  // Fill the bounded caches first, so that only unbounded growth is measured.
  await warmUpVisits(stage, 5000)
  const { app, bare } = maxRssMb
  progress('memory')
  const before = await stage.app.heapMb()
  await runVisits(stage, 'app', 10_000)
  const growthMb = (await stage.app.heapMb()) - before
  addRow('memory: heap growth by 10,000 visits, MB', growthMb, '<= 10', growthMb <= 10)
  addRow('memory: resident under load, MB', app, 'ratio <= 1.1', app / bare <= 1.1, bare)
}

async function starts(stage: Stage) {
  if (!isSelected('start')) return
  progress('start')
  const pairs: { appMs: number; bareMs: number; appMb: number; bareMb: number }[] = []
  for (let round = 0; round < longRounds; round++) {
    const app = await stage.startApp({}, false)
    const bare = await stage.startBare(false)
    pairs.push({ appMs: app.readyMs, bareMs: bare.readyMs, appMb: app.rssMb(), bareMb: bare.rssMb() })
    await Promise.all([app.stop(), bare.stop()])
  }
  const of = (field: 'appMs' | 'bareMs' | 'appMb' | 'bareMb') => median(pairs.map((pair) => pair[field]))
  addRow('start to ready, ms', of('appMs'), '< 800', of('appMs') < 800, of('bareMs'))
  const ratio = median(pairs.map(({ appMb, bareMb }) => appMb / bareMb))
  addRow('start: resident memory, MB', of('appMb'), 'ratio <= 1.15', ratio <= 1.15, of('bareMb'))
}

/** Measures the app alone, because the bare program draws nothing. */
async function smallServers(stage: Stage) {
  if (!isSelected('small server')) return
  for (const { memoryMb, minPerSecond } of [
    { memoryMb: 384, minPerSecond: 10 },
    { memoryMb: 256, minPerSecond: 5 },
  ]) {
    progress(`small server, ${memoryMb} MB`)
    const visits = await visitSmallServer(stage, memoryMb, 10 * seconds)
    if (visits === undefined) {
      progress('skipped: no control groups here that limit memory')
      return
    }
    const { perSecond, maxMb, killed, isAlive } = visits
    const isMet = perSecond >= minPerSecond && isAlive && killed === 0
    const name = `small server, one core and ${memoryMb} MB`
    addRow(`${name}: visits with a PNG, per second`, perSecond, `>= ${minPerSecond}, no process killed`, isMet)
    addRow(`${name}: allocated, MB`, maxMb, `< ${memoryMb}`, maxMb < memoryMb)
  }
}

function table(): string {
  const number = (value: number | undefined) =>
    value === undefined ? '' : value.toFixed(Math.abs(value) >= 100 ? 0 : 2)
  const head = ['measurement', 'app', 'bare', 'ratio', 'cpu ratio', 'Redis', 'bound', '']
  const lines = rows.map((row) => [
    row.name,
    ...[row.app, row.bare, row.ratio, row.cpuRatio, row.redisCommands].map(number),
    row.bound,
    row.isMet ? 'met' : 'MISSED',
  ])
  const widths = head.map((_, column) => Math.max(...[head, ...lines].map((line) => line[column]?.length ?? 0)))
  return [head, ...lines]
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const stage = await openStage()
try {
  for (const part of [starts, pages, previews, fairness, callbacks, visits, memoryAfterLoad, smallServers]) {
    await part(stage).catch((error: Error) => {
      progress(`${part.name}: ${error.stack}`)
      addRow(part.name, Number.NaN, error.message.slice(0, 60), false)
    })
  }
} finally {
  await stage.close()
}
process.stdout.write(flags.json ? `${JSON.stringify(rows, null, 2)}\n` : `${table()}\n`)
process.exit(rows.every(({ isMet }) => isMet) ? 0 : 1)

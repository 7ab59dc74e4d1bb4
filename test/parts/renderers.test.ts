// The renderer processes (src/avatar/renderers.ts): their limits, and that a costly SVG delays nobody but its visitor.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { drawEmbedded, styleOf } from '../../src/avatar/embedded.ts'
import { Overloaded } from '../../src/errors.ts'
import { costlySvg } from '../support/costly-svg.ts'
import { styleList } from '../support/drawn.ts'
import { childrenOf, openRenderers, program, watchMemory } from '../support/renderers.ts'

const choice = { seed: 'fern 🦊', style: 'adventurer', backgroundColor: 'ffd29d', mood: 'happy', animated: false }
const small = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9z"/></svg>'

let renderers: ReturnType<typeof openRenderers>
beforeAll(() => {
  renderers = openRenderers()
})
afterAll(() => renderers.close())

test('a renderer process draws the same pictures as the library in this process', async () => {
  const choices = styleList.map(({ name: style }) => ({ ...choice, style, mood: '', animated: true }))
  const drawn = await Promise.all(choices.map(renderers.draw))
  expect(drawn).toEqual(await Promise.all(choices.map(drawEmbedded)))
})

test('a drawing that waits for its style to be loaded is not mixed up with the next one', async () => {
  const fresh = openRenderers()
  onTestFinished(() => fresh.close())
  const [loaded, notLoaded] = [
    { ...choice, style: 'rings', mood: '' },
    { ...choice, style: 'adventurer' },
  ] as const
  const expected = await Promise.all([loaded, notLoaded, loaded].map(drawEmbedded))
  await fresh.draw(loaded)
  expect(await Promise.all([loaded, notLoaded, loaded].map(fresh.draw))).toEqual(expected)
})

test('a renderer process says what is wrong with an SVG, and accepts one that is safe', async () => {
  expect(await renderers.check(Buffer.from(small))).toBeUndefined()
  expect(await renderers.check(Buffer.from(small.replace('path', 'script')))).toBe('element script')
})

test('a drawing that fails does not affect others', async () => {
  const [bad, good] = await Promise.allSettled([
    renderers.draw({ ...choice, style: 'nobody-s' }),
    renderers.draw(choice),
  ])
  expect(bad).toMatchObject({
    status: 'rejected',
    reason: expect.objectContaining({ message: expect.stringMatching('nobody-s') }),
  })
  expect(good).toEqual({ status: 'fulfilled', value: await drawEmbedded(choice) })
})

test('a style is loaded once', async () => {
  expect(await styleOf('rings')).toBe(await styleOf('rings'))
})

test('a style that could not be loaded is loaded at the next request', async () => {
  const script = `import { closeSync, openSync } from 'node:fs'
    import { drawEmbedded } from './src/avatar/embedded.ts'
    const draw = (style) => drawEmbedded({ ...${JSON.stringify(choice)}, style, mood: '' })
    await draw('rings')
    const opened = []
    try { for (;;) opened.push(openSync('/dev/null')) } catch {}
    const failure = await draw('adventurer').catch((error) => error)
    for (const file of opened) closeSync(file)
    console.log(failure.code, (await draw('adventurer')).slice(0, 5))`
  // The process may open a hundred files at most, so that loading fails.
  const shell = ['-c', 'ulimit -n 100; exec "$0" --input-type=module --eval "$1"', process.execPath, script]
  expect((await promisify(execFile)('sh', shell)).stdout).toBe('EMFILE <svg \n')
})

describe('an SVG that costs too much', () => {
  /** Renders two pictures at once, so that both processes are started. */
  const warmUp = () => Promise.all([0, 1].map(() => renderers.png(small, 128, true)))

  test.each([
    ['in native code, as a PNG', () => renderers.png(costlySvg('a long path'), 1024, false)],
    ['in native threads, as a PNG', () => renderers.png(costlySvg('blurs'), 1024, false)],
    ['in JavaScript, as a GIF', () => renderers.gif(costlySvg('elements that move'), false)],
    ['in memory, as a PNG', () => renderers.png(costlySvg('results of a filter'), 1024, false)],
    ['in memory of JavaScript, as a GIF', () => renderers.gif(costlySvg('keyframes'), false)],
  ])('%s: is given up within 3 s and 300 MB, and the next SVG is rendered', async (_, render) => {
    await warmUp()
    const mostMemoryMb = watchMemory(process.pid)
    const ownMemory = process.memoryUsage.rss()
    const start = performance.now()
    await expect(render()).rejects.toThrow(Overloaded)
    // The process is killed after 2.5 s; the rest allows for a busy machine.
    expect(performance.now() - start).toBeLessThan(4000)
    expect(mostMemoryMb()).toBeLessThan(300)
    // Far less than the SVG would take here. The rest is what this process collects later as garbage.
    expect(process.memoryUsage.rss() - ownMemory).toBeLessThan(100_000_000)
    expect((await renderers.png(small, 128, true)).subarray(1, 4).toString()).toBe('PNG')
  })

  test('delays nobody: checks, drawings and pictures for others go on meanwhile', async () => {
    await warmUp()
    let isGivenUp = false
    const costlyOne = renderers.png(costlySvg('a long path'), 1024, false).catch(() => {
      isGivenUp = true
    })
    let others = 0
    for (; !isGivenUp; others += 1) {
      await Promise.all([renderers.check(Buffer.from(small)), renderers.draw(choice), renderers.png(small, 128, false)])
    }
    await costlyOne
    expect(others).toBeGreaterThan(5)
  })
})

test('DiceBear’s most costly drawing is rendered as large PNGs and as a GIF, several times in a row', async () => {
  const failures = renderers.failures.length
  for (const seed of ['one', 'two']) {
    const svg = await renderers.draw({ ...choice, style: 'glass', mood: '', seed, animated: true })
    const pictures = [renderers.png(svg, 1024, true), renderers.gif(svg, true), renderers.png(svg, 512, true)]
    expect(await Promise.all(pictures)).toHaveLength(3)
  }
  expect(renderers.failures.slice(failures)).toEqual([])
}, 60_000)

test('work fails if its process ends, and the work that waited behind it is done by a new process', async () => {
  const before = childrenOf(process.pid)
  const renderers = openRenderers()
  onTestFinished(renderers.close)
  await renderers.draw(choice)
  // Linux may list no child for a moment. Never kill 0: this would be the whole process group, with this process.
  const first = await vi.waitFor(() => {
    const child = childrenOf(process.pid).find((pid) => !before.includes(pid))
    if (child === undefined) throw new Error('no renderer process')
    return child
  }, 5000)
  process.kill(first, 'SIGSTOP')
  const work = [1, 2, 3].map(() => renderers.draw(choice))
  process.kill(first, 'SIGKILL')
  const [failed, ...others] = await Promise.allSettled(work)
  expect(failed).toMatchObject({ status: 'rejected', reason: expect.any(Overloaded) })
  const value = await drawEmbedded(choice)
  expect(others).toEqual([1, 2].map(() => ({ status: 'fulfilled', value })))
  expect(renderers.failures.at(-1)).toBe('renderer process ended with SIGKILL.')
})

test('a renderer process that has done its tasks takes no processor time', async () => {
  const before = childrenOf(process.pid)
  const own = openRenderers()
  onTestFinished(own.close)
  await Promise.all(Array.from({ length: 200 }, () => own.check(Buffer.from(small))))
  const [child = 0] = childrenOf(process.pid).filter((pid) => !before.includes(pid))
  /** Returns the processor time in hundredths of a second (proc(5), utime and stime). */
  const processorTime = () => {
    const [, afterName = ''] = readFileSync(`/proc/${child}/stat`, 'utf8').split(') ')
    const [utime, stime] = afterName.split(' ').slice(11, 13)
    return Number(utime) + Number(stime)
  }
  const takenMeanwhile = async () => {
    const start = processorTime()
    await wait(200)
    return processorTime() - start
  }
  await expect.poll(takenMeanwhile, { timeout: 5000 }).toBe(0)
})

test('a renderer process ignores the signals of a shutdown, because open requests still need it', async () => {
  const before = childrenOf(process.pid)
  const own = openRenderers()
  onTestFinished(own.close)
  await own.draw(choice)
  const started = childrenOf(process.pid).filter((pid) => !before.includes(pid))
  for (const pid of started) for (const signal of ['SIGINT', 'SIGTERM']) process.kill(pid, signal)
  expect(await own.draw(choice)).toBe(await drawEmbedded(choice))
  expect(started).toHaveLength(1)
  expect(own.failures).toEqual([])
})

test('a picture whose process ends is rendered by another one, unless its SVG came from outside', async () => {
  const others = childrenOf(process.pid)
  const renderers = openRenderers({ renderingProcesses: 1 })
  onTestFinished(renderers.close)
  await renderers.png(small, 128, true)
  const render = async (trusted: boolean) => {
    const children = childrenOf(process.pid).filter((pid) => !others.includes(pid))
    for (const pid of children) process.kill(pid, 'SIGSTOP')
    const picture = renderers.png(small, 256, trusted)
    for (const pid of children) process.kill(pid, 'SIGKILL')
    return (await picture).subarray(1, 4).toString()
  }
  expect(await render(true)).toBe('PNG')
  await expect(render(false)).rejects.toThrow(Overloaded)
})

/** Returns the memory limit of a renderer process in megabytes, which is its last argument. */
const memoryLimitOf = (pid: number) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').at(-2)

test('a process for pictures ends after a minute without work, the process that draws stays', async () => {
  const before = childrenOf(process.pid)
  const renderers = openRenderers({ renderingProcesses: 1, drawingMaxMb: 201, renderingMaxMb: 202 })
  onTestFinished(renderers.close)
  const started = () => childrenOf(process.pid).filter((pid) => !before.includes(pid))
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  await renderers.draw(choice)
  const drawing = started()
  await Promise.all([128, 256].map((size) => renderers.png(small, size, true)))
  const both = started()
  expect(both.map(memoryLimitOf)).toEqual(['201', '202'])
  vi.advanceTimersByTime(59_000)
  // If one of the processes had ended, a new one would do its task.
  await Promise.all([renderers.draw(choice), renderers.png(small, 128, true)])
  expect(started()).toEqual(both)
  vi.advanceTimersByTime(60_000)
  await expect.poll(started).toEqual(drawing)
  await renderers.draw(choice)
  expect(started()).toEqual(drawing)
  expect(renderers.failures).toEqual([])
})

describe('a renderer process that does not reply', () => {
  type Run = (there: typeof renderers) => Promise<unknown>
  const checks: Run = (there) => there.check(Buffer.from(small))
  const rendersPng: Run = (there) => there.png(small, 128, true)

  /** Returns renderers whose process, which is started by `first`, is silent from now on. */
  async function silentRenderers(first: Run) {
    const there = openRenderers({ program: new URL('../support/silent-renderer.ts', import.meta.url) })
    onTestFinished(there.close)
    await first(there).catch(() => undefined)
    return there
  }

  /** Returns a function that lets time pass for timers and `performance.now()`. */
  function fakeTime() {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    return (ms: number) => vi.advanceTimersByTimeAsync(ms)
  }

  // An SVG from outside has the shorter time, because it may be costly.
  test.each<[string, number, Run, Run]>([
    ['check', 2500, checks, checks],
    ['PNG of an SVG from outside', 2500, rendersPng, (there) => there.png(small, 128, false)],
    ['GIF of an SVG from outside', 2500, rendersPng, (there) => there.gif(small, false)],
    ['drawing', 15_000, checks, (there) => there.draw(choice)],
    ['effects', 15_000, checks, (there) => there.effects(choice)],
    ['moves', 15_000, checks, (there) => there.moves(choice)],
    ['letters', 15_000, checks, (there) => there.lettersWithoutFont(choice)],
    ['PNG', 15_000, rendersPng, rendersPng],
    ['GIF', 15_000, rendersPng, (there) => there.gif(small, true)],
    ['card', 15_000, rendersPng, (there) => there.card(small, 'title', 'subtitle')],
  ])('%s: is given up after %i ms, and not tried again', async (_, timeoutMs, first, run) => {
    const there = await silentRenderers(first)
    const passTime = fakeTime()
    let outcome: unknown = 'waits'
    void run(there).catch((error) => {
      outcome = error
    })
    await passTime(timeoutMs - 1)
    expect(outcome).toBe('waits')
    await passTime(1)
    expect(outcome).toBeInstanceOf(Overloaded)
    expect(there.failures).toEqual([`renderer process took more than ${timeoutMs} ms.`])
  })

  test('is given up in time, even if more tasks are sent to it meanwhile', async () => {
    const there = await silentRenderers(checks)
    const passTime = fakeTime()
    const first = expect(checks(there)).rejects.toThrow(Overloaded)
    await passTime(2000)
    const second = expect(there.draw(choice)).rejects.toThrow(Overloaded)
    await passTime(500)
    expect(there.failures).toEqual(['renderer process took more than 2500 ms.'])
    there.close()
    await Promise.all([first, second])
  })

  test('is given up after ten seconds if it has not even started', async () => {
    const before = childrenOf(process.pid)
    const there = openRenderers()
    onTestFinished(there.close)
    const passTime = fakeTime()
    const failed = expect(there.draw(choice)).rejects.toThrow('took more than 10000 ms')
    for (const pid of childrenOf(process.pid)) if (!before.includes(pid)) process.kill(pid, 'SIGSTOP')
    await passTime(10_000)
    await failed
  })
})

test('a process that cannot be started fails its task, and the next task starts another one', async () => {
  const there = openRenderers()
  onTestFinished(there.close)
  const { execPath } = process
  process.execPath = '/nowhere/node'
  onTestFinished(() => {
    process.execPath = execPath
  })
  await expect(there.draw(choice)).rejects.toThrow(/renderer process .*ENOENT/)
  process.execPath = execPath
  expect(await there.draw(choice)).toBe(await drawEmbedded(choice))
})

test('the failure of a renderer process has the first 300 characters of its output', async () => {
  const there = openRenderers({ program: new URL('../support/ending-renderer.ts', import.meta.url) })
  onTestFinished(there.close)
  // It has written everything before its third task.
  for (const _ of ['first', 'second']) await there.draw(choice)
  await expect(there.draw(choice)).rejects.toThrow(Overloaded)
  expect(there.failures).toEqual([`renderer process ended with 1. broken ${'x'.repeat(293)}`])
})

test('a failed trial of pictures is repeated five seconds later, a successful one never', async () => {
  const changes: unknown[] = []
  const there = openRenderers({
    program: new URL('../support/failing-renderer.ts', import.meta.url),
    onState: (state, error) => changes.push([state, error instanceof Error ? error.message : error]),
  })
  onTestFinished(there.close)
  let nowMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
  onTestFinished(() => void vi.restoreAllMocks())
  const states: string[] = []
  for (const laterMs of [0, 5000, 1, 6000]) {
    nowMs += laterMs
    states.push(await there.picturesState())
  }
  expect(states).toEqual(['down', 'down', 'ok', 'ok'])
  expect(changes).toEqual([
    ['down', 'out of order'],
    ['ok', undefined],
  ])
})

test('when renderers are closed, all tasks fail at once, nothing is reported, and no process is left', async () => {
  const before = childrenOf(process.pid)
  const states: string[] = []
  const there = openRenderers({ onState: (state) => states.push(state) })
  const trial = there.picturesState()
  // Eight tasks are sent to the process, the others wait here.
  const tasks = Array.from({ length: 10 }, () => there.draw(choice))
  there.close()
  const outcomes = await Promise.allSettled([...tasks, there.draw(choice), there.png(small, 128, true)])
  expect(outcomes.map((outcome) => 'reason' in outcome && outcome.reason)).toEqual(
    outcomes.map(() => expect.any(Overloaded)),
  )
  expect([await trial, states, there.failures]).toEqual(['down', [], []])
  await expect.poll(() => childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([])
})

test('renderer processes end when their parent is killed, and do not inherit its settings', async () => {
  const script = `import { createRenderers } from './src/avatar/renderers.ts'
    const limits = { renderingProcesses: 1, renderingMaxMb: 250, drawingMaxMb: 250, onFailure: () => undefined }
    const renderers = createRenderers({ program: new URL('${program}'), ...limits })
    await renderers.check(Buffer.from(''))
    console.log('ready')
    await renderers.png(${JSON.stringify(costlySvg('a long path'))}, 1024, true)`
  // Libraries, Node's compile cache, and the fonts of the machine are found by these.
  const inherited = ['HOME', 'LD_LIBRARY_PATH', 'NODE_COMPILE_CACHE', 'XDG_CACHE_HOME', 'XDG_DATA_HOME']
  const folder = await mkdtemp(join(tmpdir(), 'renderers-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const folders = Object.fromEntries(inherited.map((name) => [name, join(folder, name)]))
  const env = { ...process.env, ...folders, SESSION_SECRET: 'a secret' }
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], { env })
  await once(parent.stdout, 'data')
  const children = childrenOf(parent.pid ?? 0)
  expect(children.length).toBeGreaterThan(0)
  for (const pid of children) {
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
    expect(environment.join()).not.toContain('secret')
    expect(environment).toEqual(expect.arrayContaining(Object.entries(folders).map((pair) => pair.join('='))))
    // With these variables glibc returns freed memory, so that a few large PNGs do not take up the limit.
    expect(environment).toEqual(expect.arrayContaining(['MALLOC_ARENA_MAX=2', 'MALLOC_MMAP_THRESHOLD_=131072']))
    // Of 250 MB, 90 are for what is outside JavaScript's heap. So garbage is collected before the limit is reached.
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')).toContain('--max-old-space-size=160')
  }
  // If memory runs out, Linux kills a renderer process and not the server.
  const killedFirst = (pid: number) => readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8') === '1000\n'
  await vi.waitFor(() => expect(children.filter((pid) => !killedFirst(pid))).toEqual([]), 5000)
  parent.kill('SIGKILL')
  await vi.waitFor(() => expect(children.filter((pid) => existsSync(`/proc/${pid}/exe`))).toEqual([]), 5000)
})

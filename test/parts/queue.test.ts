import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Overloaded } from '../../src/errors.ts'
import { createQueue } from '../../src/pictures/queue.ts'

/** Returns functions that create work, and that end it. */
function controlledWork() {
  const begun: number[] = []
  const ends: (() => void)[] = []
  const work = (number: number) => () => {
    begun.push(number)
    return new Promise<number>((resolve) => ends.push(() => resolve(number)))
  }
  return { begun, work, endNext: () => ends.shift()?.() }
}

/** Waits until all pending promises are settled. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await setImmediate()
}

test('no more than the concurrency limit run at once, and the others wait in their order', async () => {
  const run = createQueue({ concurrency: 2, maxWaiting: 10 })
  const { begun, work, endNext } = controlledWork()
  const results = [1, 2, 3, 4].map((number) => run(work(number)))
  await settle()
  expect(begun).toEqual([1, 2])
  endNext()
  await settle()
  expect(begun).toEqual([1, 2, 3])
  for (let i = 0; i < 3; i++) {
    endNext()
    await settle()
  }
  expect(await Promise.all(results)).toEqual([1, 2, 3, 4])
})

test('a full queue refuses work at once, and accepts work when there is room again', async () => {
  const run = createQueue({ concurrency: 1, maxWaiting: 2 })
  const { work, endNext } = controlledWork()
  const results = [1, 2, 3].map((number) => run(work(number)))
  await expect(run(work(4))).rejects.toThrow(Overloaded)
  endNext()
  await settle()
  results.push(run(work(5)))
  for (let i = 0; i < 3; i++) {
    endNext()
    await settle()
  }
  expect(await Promise.all(results)).toEqual([1, 2, 3, 5])
})

test('one client has no more than its limit running, and another client does not wait for the rest', async () => {
  const run = createQueue({ concurrency: 3, perClient: 2, maxWaiting: 10 })
  const { begun, work, endNext } = controlledWork()
  const results = [1, 2, 3, 4].map((number) => run(work(number), 'first'))
  await settle()
  expect(begun).toEqual([1, 2])
  results.push(...[5, 6].map((number) => run(work(number), 'second')))
  await settle()
  expect(begun).toEqual([1, 2, 5])
  for (let i = 0; i < 6; i++) {
    endNext()
    await settle()
  }
  expect(begun).toEqual([1, 2, 5, 6, 3, 4])
  expect(await Promise.all(results)).toEqual([1, 2, 3, 4, 5, 6])
})

test('the bound of the queue counts the waiting work of all clients together', async () => {
  const run = createQueue({ concurrency: 2, perClient: 1, maxWaiting: 2 })
  const { begun, work, endNext } = controlledWork()
  const results = [1, 2, 3].map((number) => run(work(number), 'first'))
  results.push(run(work(4), 'second')) // the second client has none running
  await expect(run(work(5), 'third')).rejects.toThrow(Overloaded)
  await settle()
  expect(begun).toEqual([1, 4])
  for (let i = 0; i < 4; i++) {
    endNext()
    await settle()
  }
  expect(await Promise.all(results)).toEqual([1, 2, 3, 4])
})

test('a client’s first request is served before another client’s second, even if it came later', async () => {
  const run = createQueue({ concurrency: 1, maxWaiting: 10 })
  const { begun, work, endNext } = controlledWork()
  const results = [1, 2, 3].map((number) => run(work(number), 'first'))
  results.push(...[4, 5].map((number) => run(work(number), 'second')))
  results.push(run(work(6), 'third'))
  for (let i = 0; i < 6; i++) {
    await settle()
    endNext()
  }
  expect(begun).toEqual([1, 4, 6, 2, 5, 3])
  expect(await Promise.all(results)).toEqual([1, 2, 3, 4, 5, 6])
})

test('clients with ever new requests do not delay another client’s second request for ever', async () => {
  const run = createQueue({ concurrency: 1, maxWaiting: 10 })
  const { begun, work, endNext } = controlledWork()
  const results = [run(work(0), 'first'), run(work(1), 'first')]
  for (let number = 2; number < 10; number++) {
    results.push(run(work(number), number % 2 === 0 ? 'second' : 'third'))
    await settle()
    endNext()
  }
  await settle()
  expect(begun.indexOf(1)).toBeGreaterThan(0)
  expect(begun.indexOf(1)).toBeLessThanOrEqual(3)
  while (begun.length < results.length) {
    endNext()
    await settle()
  }
  endNext()
  await Promise.all(results)
})

test('no client can fill the whole queue', async () => {
  const run = createQueue({ concurrency: 1, maxWaiting: 3, maxWaitingPerClient: 2 })
  const { work, endNext } = controlledWork()
  const results = [1, 2, 3].map((number) => run(work(number), 'first'))
  await expect(run(work(4), 'first')).rejects.toThrow(Overloaded)
  results.push(run(work(5), 'second'))
  for (let i = 0; i < 4; i++) {
    await settle()
    endNext()
  }
  expect(await Promise.all(results)).toEqual([1, 2, 3, 5])
})

test('work that fails does not stop the work behind it', async () => {
  const run = createQueue({ concurrency: 1, maxWaiting: 10 })
  const failed = run(async () => {
    throw new Error('no picture')
  })
  const after = run(async () => 'a picture')
  await expect(failed).rejects.toThrow('no picture')
  expect(await after).toBe('a picture')
})

test('work that has waited for 15 s is refused, and the work behind it still runs', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const run = createQueue({ concurrency: 1, maxWaiting: 10 })
  const { begun, work, endNext } = controlledWork()
  const first = run(work(1))
  let isRefused = false
  const second = run(work(2)).finally(() => {
    isRefused = true
  })
  const tooLate = expect(second).rejects.toThrow(Overloaded)
  vi.advanceTimersByTime(10_000)
  const inTime = run(work(3))
  vi.advanceTimersByTime(4999)
  await settle()
  expect(isRefused).toBe(false)
  vi.advanceTimersByTime(1)
  await tooLate
  endNext()
  await settle()
  expect(begun).toEqual([1, 3])
  const last = run(work(4))
  vi.advanceTimersByTime(10_000) // The time of the third is over, but it does not wait any more.
  endNext()
  await settle()
  expect(begun).toEqual([1, 3, 4])
  endNext()
  expect(await Promise.all([first, inTime, last])).toEqual([1, 3, 4])
})

test('waiting too long does not give a client more running work than its limit', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const run = createQueue({ concurrency: 2, perClient: 1, maxWaiting: 10 })
  const { begun, work, endNext } = controlledWork()
  const results = [run(work(1), 'first')]
  const tooLate = expect(run(work(2), 'first')).rejects.toThrow(Overloaded)
  vi.advanceTimersByTime(15_000)
  await tooLate
  results.push(run(work(3), 'first'))
  await settle()
  expect(begun).toEqual([1])
  for (const _ of results) {
    endNext()
    await settle()
  }
  expect(await Promise.all(results)).toEqual([1, 3])
})

test('a queue keeps nothing of a client whose work is done, or has waited too long', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc')
  const run = createQueue({ concurrency: 1, maxWaiting: 10 })
  const usedBytes = () => {
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
  await run(async () => undefined, 'first client')
  const before = usedBytes()
  for (let client = 0; client < 50_000; client += 1) await run(async () => undefined, `client ${client}`)
  expect(usedBytes() - before).toBeLessThan(1_000_000)

  const { work, endNext } = controlledWork()
  const first = run(work(1))
  for (let client = 0; client < 20_000; client += 10) {
    const waiting = Array.from({ length: 10 }, (_, i) => run(work(2), `late client ${client + i}`))
    vi.advanceTimersByTime(15_000)
    await Promise.allSettled(waiting)
  }
  expect(usedBytes() - before).toBeLessThan(1_000_000)
  endNext()
  await first
})

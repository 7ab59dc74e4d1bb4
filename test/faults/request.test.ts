// One request to Discord or DiceBear: its time and size limits, stale connections, and what it reports for the metrics.
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { DeadlineExceeded, UpstreamTimeout, UpstreamUnavailable } from '../../src/errors.ts'
import { type Connections, createConnections } from '../../src/upstream/call.ts'
import { type BreakerChange, type Called, createUpstream, type UpstreamOptions } from '../../src/upstream/upstream.ts'
import { at, type DiceBearDouble, openDiceBear } from '../support/doubles.ts'
import { type Fault, faults } from '../support/faults.ts'

describe('a request', () => {
  const longMs = 15_000
  const maxBytes = 64 * 1024
  let double: DiceBearDouble
  let connections: Connections
  beforeAll(async () => {
    double = await openDiceBear()
    connections = createConnections()
  })
  afterAll(async () => {
    connections.close()
    await double.close()
  })
  afterEach(() => double.heal())

  const url = (seed: unknown = '') => `${double.apiUrl}/bottts/svg?seed=${seed}`
  const way = (options: Partial<UpstreamOptions> = {}) =>
    createUpstream({ name: 'dicebear', timeoutMs: longMs, maxBytes, connections, ...options })

  test('reports its outcome, its duration and each change of its circuit breaker', async () => {
    const calls: Called[] = []
    const changes: BreakerChange[] = []
    const ask = way({
      timeoutMs: 300,
      breaker: { failures: 1, pauseMs: 0, isFailure: (error) => error instanceof UpstreamTimeout },
      onCall: (call) => calls.push(call),
      onBreaker: (change) => changes.push(change),
    })
    const answers = [200, 400, 404, 429, 503, 500, 300, 302].map((status) => faults.answer(status))
    for (const fault of [...answers, faults.hang()]) {
      double.fail(at.svg, fault, { times: 1 })
      await ask(url()).catch(() => undefined)
    }
    await Promise.allSettled([ask(url()), ask(url())])
    const unavailable = ['unavailable', 'unavailable', 'unavailable', 'unavailable']
    const outcomes = ['ok', 'refused', 'refused', 'rate-limited', ...unavailable, 'timeout', 'circuit-open', 'ok']
    expect(calls.map(({ upstream, outcome }) => [upstream, outcome])).toEqual(outcomes.map((one) => ['dicebear', one]))
    expect(calls.find(({ outcome }) => outcome === 'timeout')?.durationMs).toBeGreaterThan(290)
    expect(changes).toEqual(['open', 'half-open', 'closed'].map((state) => ({ upstream: 'dicebear', state })))
  })

  test('closes its circuit breaker if it is the trial and ends in an error that does not count as a failure', async () => {
    const states: string[] = []
    const ask = way({
      timeoutMs: 300,
      breaker: { failures: 1, pauseMs: 0, isFailure: (error) => error instanceof UpstreamTimeout },
      onBreaker: ({ state }) => states.push(state),
    })
    double.fail(at.svg, faults.hang(), { times: 1 })
    double.fail(at.svg, faults.answer(503), { times: 1 })
    await expect(ask(url())).rejects.toThrow(UpstreamTimeout)
    await expect(ask(url())).rejects.toThrow(UpstreamUnavailable)
    expect(states).toEqual(['open', 'half-open', 'closed'])
    expect((await ask(url())).status).toBe(200)
  })

  test('is counted from 0 again after its circuit breaker has closed', async () => {
    const states: string[] = []
    const ask = way({
      breaker: { failures: 2, pauseMs: 0, isFailure: () => true },
      onBreaker: ({ state }) => states.push(state),
    })
    for (const status of [503, 503, 200, 503, 200, 503, 200]) {
      double.fail(at.svg, faults.answer(status), { times: 1 })
      await ask(url()).catch(() => undefined)
    }
    expect(states).toEqual(['open', 'half-open', 'closed'])
  })

  test('does not change the state of its circuit breaker if it began before the circuit opened', async () => {
    const states: string[] = []
    const ask = way({
      breaker: { failures: 1, pauseMs: 0, isFailure: () => true },
      onBreaker: ({ state }) => states.push(state),
    })
    const [earlier, trial] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const before = double.count(at.svg)
    double.fail(at.svg, (req, res) => earlier.promise.then(() => faults.answer(429)(req, res)), { times: 1 })
    const asking = ask(url())
    await expect.poll(() => double.count(at.svg) - before).toBe(1)
    double.fail(at.svg, faults.answer(429), { times: 1 })
    await expect(ask(url())).rejects.toThrow('answered 429')
    double.fail(at.svg, (req, res) => trial.promise.then(() => faults.answer(200)(req, res)), { times: 1 })
    const trying = ask(url())
    earlier.resolve()
    await expect(asking).rejects.toThrow('answered 429')
    await expect(ask(url())).rejects.toThrow('circuit breaker is half-open')
    trial.resolve()
    expect((await trying).status).toBe(200)
    expect(states).toEqual(['open', 'half-open', 'closed'])
  })

  test('does not wait for a hundred other requests that hang; their connections are closed afterwards', async () => {
    double.fail(at.svg, faults.hang(), { times: 100 })
    const ask = way({ timeoutMs: 3000 })
    const before = double.count(at.svg)
    const stuck = Array.from({ length: 100 }, (_, i) => ask(url(i)))
    const ended = Promise.allSettled(stuck)
    await expect.poll(() => double.count(at.svg) - before).toBe(100)
    let isEnded = false
    ended.then(() => {
      isEnded = true
    })
    // Without the header Keep-Alive, which would tell the client when this server closes the connection.
    double.fail(at.svg, (_req, res) => res.set('Connection', 'keep-alive').sendStatus(200), { times: 1 })
    expect((await way()(url('one more'))).status).toBe(200)
    const since = performance.now()
    expect(isEnded).toBe(false)
    for (const { status } of await ended) expect(status).toBe('rejected')
    // A connection that is kept alive, too, is closed after four seconds without a request.
    await expect.poll(() => double.connections()).toBe(0)
    expect(performance.now() - since).toBeGreaterThan(3500)
  })

  test('asks for no content encoding, and refuses a response that has one', async () => {
    double.fail(at.svg, (_req, res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('fern')))
    await expect(way()(url())).rejects.toThrow('content-encoding gzip')
    expect(double.calls.at(-1)?.headers['accept-encoding']).toBe('identity')
  })

  test('accepts a response whose Content-Encoding is identity', async () => {
    double.fail(at.svg, (_req, res) => res.writeHead(200, { 'content-encoding': 'Identity' }).end('fern'))
    expect(String((await way()(url())).body)).toBe('fern')
  })

  /** The ways in which a server can end a connection without a response. */
  const endings: [string, Fault][] = [
    ['closed', (req) => req.socket.end()],
    ['reset', (req) => req.socket.resetAndDestroy()],
  ]

  describe.each(endings)('on a connection that is %s before the response', (_, fault) => {
    const request = { method: 'POST', body: 'a=b' } as const

    test('is repeated once on a new connection, if the old connection was in use before', async () => {
      await Promise.all([way()(url('one')), way()(url('another'))])
      const used = double.calls.slice(-2).map(({ socket }) => socket)
      const before = double.calls.length
      double.fail(at.svg, fault, { times: 1 })
      double.fail(at.svg, faults.answer(200), { times: 1 })
      expect((await way()(url(), request)).status).toBe(200)
      const [first, second] = double.calls.slice(before)
      expect([first?.body, second?.body]).toEqual(['a=b', 'a=b'])
      expect(double.calls.length - before).toBe(2)
      expect(used).toContain(first?.socket)
      expect(used).not.toContain(second?.socket)
    })

    test('is repeated only once', async () => {
      await way()(url())
      const before = double.calls.length
      double.fail(at.svg, fault)
      await expect(way()(url(), request)).rejects.toThrow(UpstreamUnavailable)
      expect(double.calls.length - before).toBe(2)
    })

    test('is not repeated if the connection was new', async () => {
      const own = createConnections()
      double.fail(at.svg, fault)
      const before = double.calls.length
      await expect(way({ connections: own })(url(), request)).rejects.toThrow(UpstreamUnavailable)
      expect(double.calls.length - before).toBe(1)
    })

    test.each([
      ['a byte', 'H'],
      ['half a head', 'HTTP/1.1 200 OK\r\nContent-Le'],
      ['a head', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'],
    ])('is not repeated after %s of a response', async (_what, begun) => {
      await way()(url())
      const before = double.calls.length
      double.fail(at.svg, (req, res) => void req.socket.write(begun, () => fault(req, res)))
      await expect(way()(url(), request)).rejects.toThrow(UpstreamUnavailable)
      expect(double.calls.length - before).toBe(1)
    })
  })

  test('is not repeated after its timeout', async () => {
    await way()(url())
    const before = double.calls.length
    double.fail(at.svg, faults.hang())
    await expect(way({ timeoutMs: 200 })(url())).rejects.toThrow(UpstreamTimeout)
    expect(double.calls.length - before).toBe(1)
  })

  test('is not sent after the deadline, and is aborted at the deadline', async () => {
    const before = double.count(at.svg)
    await expect(way()(url(), { deadline: performance.now() })).rejects.toThrow(UpstreamTimeout)
    expect(double.count(at.svg)).toBe(before)
    double.fail(at.svg, faults.hang())
    const since = performance.now()
    // Not the timeout of this request, for which its server would be to blame.
    await expect(way()(url(), { deadline: since + 200 })).rejects.toThrow(DeadlineExceeded)
    expect(performance.now() - since).toBeLessThan(longMs / 3)
  })

  test('may have a response as large as the limit, and no larger', async () => {
    double.fail(at.svg, faults.answer(200, 'x'.repeat(maxBytes)), { times: 1 })
    expect((await way()(url())).body).toHaveLength(maxBytes)
    double.fail(at.svg, faults.answer(200, 'x'.repeat(maxBytes + 1)), { times: 1 })
    await expect(way()(url())).rejects.toThrow(`response over ${maxBytes} bytes`)
  })

  const rowsOfBytes: [string, () => Fault, string][] = [
    ['plain', () => faults.huge(), `response over ${maxBytes} bytes`],
    ['in gzip', () => faults.gzipBomb(), 'content-encoding gzip'],
  ]
  test.each(rowsOfBytes)(
    'with a response of 50 MB (%s) is aborted before all of it is in memory',
    async (_, fault, expected) => {
      const answered = fault()
      const megabyte = 1024 * 1024
      const sent: number[] = []
      double.fail(at.svg, (req, res) => {
        res.on('close', () => sent.push(req.socket.bytesWritten))
        answered(req, res)
      })
      const used = () => process.memoryUsage().heapUsed + process.memoryUsage().external
      const before = used()
      let most = before
      const watch = setInterval(() => {
        most = Math.max(most, used())
      }, 1)
      onTestFinished(() => clearInterval(watch))
      const ask = way()
      const answers = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => ask(url(i))))
      // Ten complete responses would be 500 MB.
      expect((most - before) / megabyte).toBeLessThan(150)
      for (const answer of answers) {
        expect(answer).toMatchObject({ status: 'rejected', reason: { message: expected } })
      }
      await expect.poll(() => sent.length).toBe(10)
      expect(Math.max(...sent) / megabyte).toBeLessThan(25)
    },
  )
})

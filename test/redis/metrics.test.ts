import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { Agent, createServer, get, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Client } from 'undici'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { readConfig } from '../../src/config.ts'
import { metricsPage } from '../../src/metrics.ts'
import { type Asked, ask, formOf } from '../support/ask.ts'
import { at } from '../support/doubles.ts'
import { type Fault, faults } from '../support/faults.ts'
import { freePort } from '../support/free-port.ts'
import {
  comeBack,
  leave,
  look,
  type OpenOptions,
  openApp,
  shownAvatar,
  signIn,
  type TestApp,
} from '../support/open-app.ts'
import { openRedis } from '../support/redis.ts'
import { startAndFail, startApp } from '../support/start-app.ts'

const cleanUps: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

/** Opens an app with metrics. openApp opens no metrics port, so they are read from the app's parts. */
async function watchedApp({ settings = {}, ...options }: OpenOptions = {}): Promise<TestApp> {
  const app = await openApp({
    ...options,
    settings: { METRICS_PORT: '9464', UPSTREAM_TIMEOUT_MS: '15000', ...settings },
  })
  cleanUps.push(() => app.close())
  return app
}

function metricsOf({ parts }: TestApp) {
  if (parts.metrics === undefined) throw new Error('this app has no metrics')
  return parts.metrics
}

type Sample = { name: string; labels: Record<string, string>; value: number }

const sampleLine = /^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\]|\\["\\n])*",?)*)\})? (\S+)$/

/** Parses Prometheus's text format 0.0.4. Throws for anything that Prometheus would refuse or misread. */
function readMetrics(text: string): Sample[] {
  expect(text.endsWith('\n')).toBe(true)
  const types = new Map<string, string>()
  const helped = new Set<string>()
  const seen = new Set<string>()
  const samples: Sample[] = []
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const [, help] = /^# HELP (\S+) .+$/.exec(line) ?? []
    const [, typed, type] = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line) ?? []
    if (help !== undefined) helped.add(help)
    else if (typed !== undefined && type !== undefined) types.set(typed, type)
    else {
      const [, name = '', inside = '', number = ''] = sampleLine.exec(line) ?? []
      if (name === '' || seen.has(`${name}{${inside}`)) throw new Error(`not a sample, or a repeated one: ${line}`)
      seen.add(`${name}{${inside}`)
      const family = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '')
      if (!helped.has(family)) throw new Error(`a sample without help: ${line}`)
      if (types.get(family) !== (family === name ? types.get(name) : 'histogram')) throw new Error(`no type: ${line}`)
      const labels = Object.fromEntries(
        [...inside.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, label = '', value = '']) => [label, value]),
      )
      const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number === 'Nan' ? 'NaN' : number)
      if (Number.isNaN(value) && number !== 'Nan') throw new Error(`no number: ${line}`)
      samples.push({ name, labels, value })
    }
  }
  return samples
}

const read = async (app: TestApp) => readMetrics(await metricsOf(app).registry.metrics())

/** Returns the sum of all samples with this name and these labels. */
function sum(samples: Sample[], name: string, labels: Record<string, string> = {}): number {
  const fitting = samples.filter(
    (one) => one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value),
  )
  return fitting.reduce((total, { value }) => total + value, 0)
}

/** Returns how many answers there were by method, route and status, such as `GET / 200`. */
const answers = (samples: Sample[]) =>
  Object.fromEntries(
    samples
      .filter(({ name, value }) => name === 'http_requests_total' && value > 0)
      .map(({ labels, value }) => [`${labels.method} ${labels.route} ${labels.status}`, value]),
  )

describe('metrics', () => {
  test('are off by default: nothing is counted, and there is no /metrics', async () => {
    const app = await openApp()
    cleanUps.push(() => app.close())
    expect(app.parts.metrics).toBeUndefined()
    expect((await ask(app.url, '/metrics')).status).toBe(404)
  })

  test.each<Record<string, string>>([{}, { METRICS_PORT: 'off' }, { METRICS_PORT: '' }])(
    'are off with %o',
    (settings) => {
      expect(readConfig(settings).metricsPort).toBeUndefined()
    },
  )

  test.each(['0', '65536', 'on', '-1', '90 90', '9e3'])(
    'cannot have the port %s, which is refused with a message',
    (value) => {
      expect(() => readConfig({ METRICS_PORT: value })).toThrow(
        /^[^\n]+:\n {2}METRICS_PORT must be "off" or a port from 1 to 65535$/,
      )
    },
  )

  test.each([{ PORT: '4000', METRICS_PORT: '4000' }, { METRICS_PORT: '3000' }, { METRICS_PORT: '03000' }])(
    'cannot have the port of the site, which is refused: %o',
    (settings) => {
      expect(() => readConfig(settings)).toThrow(/^[^\n]+:\n {2}METRICS_PORT must be another port than PORT[^\n]+$/)
      expect(readConfig({ ...settings, METRICS_PORT: '9464' }).metricsPort).toBe(9464)
    },
  )
})

describe('the metrics', () => {
  test('count answers by route, method and status, with durations, the sign-in, and cache look-ups', async () => {
    const app = await watchedApp()
    const since = performance.now()
    const visitor = app.visitor()
    await visitor.get('/')
    await signIn(app, visitor)
    const id = shownAvatar((await visitor.get('/show_avatar')).text)
    for (const path of [`${id}.svg`, `${id}.png?size=128`, `${id}.png?size=128`, `${id}.png?size=1`]) {
      await visitor.get(`/avatars/${path}`)
    }
    await visitor.head('/')
    await visitor.put('/get_avatar')
    for (const _ of ['miss', 'hit', 'hit']) await visitor.get('/preview.svg?style=rings')
    // Both requests get the same picture, because link preview pictures do not move.
    for (const moves of ['', 'on']) await visitor.get('/og.png').query({ style: 'sprouts', animated: moves })
    await visitor.get('/style.css')
    await visitor.post('/get_avatar').type('form').send({ style: 'nope' })
    await visitor.post(`/avatars/${id}/forget`)
    await visitor.post('/sign_out').set('Origin', 'https://evil.example')
    await visitor.post('/sign_out')
    await visitor.get('/healthz')
    await visitor.get(`/nowhere/${id}`)

    const samples = await read(app)
    expect(answers(samples)).toEqual({
      'GET / 200': 1,
      'POST /get_avatar 302': 1,
      'GET /get_avatar 302': 1,
      'GET /show_avatar 200': 1,
      'GET /avatars/:id.svg 200': 1,
      'GET /avatars/:id.png 200': 2,
      'GET /avatars/:id.png 400': 1,
      'HEAD / 200': 1,
      'other /get_avatar 405': 1,
      'GET /preview.svg 200': 3,
      'GET /og.png 200': 2,
      'GET static 200': 1,
      'POST /get_avatar 422': 1,
      'POST /avatars/:id/forget 303': 1,
      'POST /sign_out 403': 1,
      'POST /sign_out 303': 1,
      'GET /healthz 200': 1,
      'GET other 404': 1,
    })
    const pngs = { route: '/avatars/:id.png', method: 'GET' }
    const buckets = samples.filter(
      ({ name, labels }) => name === 'http_request_duration_seconds_bucket' && labels.route === pngs.route,
    )
    expect(buckets.map(({ value }) => value)).toEqual(buckets.map(({ value }) => value).sort((a, b) => a - b))
    expect(buckets.at(-1)).toMatchObject({ labels: { le: '+Inf' }, value: 3 })
    expect(sum(samples, 'http_request_duration_seconds_count', pngs)).toBe(3)
    const seconds = sum(samples, 'http_request_duration_seconds_sum', pngs)
    expect(seconds).toBeGreaterThan(0)
    expect(seconds).toBeLessThan((performance.now() - since) / 1000)
    const failures = samples.filter(({ name, value }) => name === 'http_failures_total' && value > 0)
    expect(Object.fromEntries(failures.map(({ labels, value }) => [labels.failure, value]))).toEqual({
      InvalidValues: 1,
      MethodNotAllowed: 1,
      CrossSiteRequest: 1,
      NotFound: 1,
    })
    expect(sum(samples, 'sign_ins_started_total')).toBe(1)
    expect(sum(samples, 'sign_ins_total')).toBe(1)
    expect(sum(samples, 'sign_ins_total', { outcome: 'signed-in' })).toBe(1)
    const pictures = (cache: string) =>
      ['hit', 'miss'].map((result) => sum(samples, 'avatar_cache_total', { cache, result }))
    expect(pictures('file')).toEqual([3, 1])
    expect(pictures('png')).toEqual([1, 1])
    expect(pictures('preview')).toEqual([2, 1])
    expect(pictures('card')).toEqual([1, 1])
    expect(sum(samples, 'avatar_fallbacks_total')).toBe(0)
    for (const upstream of ['discord-token', 'discord-user', 'discord-revoke', 'dicebear']) {
      expect([upstream, sum(samples, 'upstream_requests_total', { upstream, outcome: 'ok' })]).toEqual([upstream, 1])
    }
  })

  test('count a malformed request once, which is logged, too', async () => {
    const app = await watchedApp()
    const socket = connect({ port: Number(new URL(app.url).port), host: '127.0.0.1', allowHalfOpen: true })
    const received: Buffer[] = []
    socket.on('data', (bytes) => received.push(bytes)).write('evil evil\r\n\r\n')
    await once(socket, 'end')
    expect(String(received[0])).toMatch(/^HTTP\/1.1 400 /)
    // What the client sends after the answer is not counted.
    socket.end('more')
    await ask(app.url, '/healthz') // arrives after it
    const samples = await read(app)
    expect(sum(samples, 'http_requests_total', { route: 'other', method: 'other', status: '400' })).toBe(1)
    const lines = app.logged.filter((line) => line.includes('malformed request'))
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: 30, res: { statusCode: 400 }, code: 'HPE_INVALID_METHOD' },
    ])
    expect(lines.join()).not.toContain('evil')
  })

  test('count GIFs apart from PNGs', async () => {
    const app = await watchedApp()
    const visitor = app.visitor()
    await signIn(app, visitor, { style: 'sprouts', seed: 'fern', animated: 'on' })
    const id = shownAvatar((await visitor.get('/show_avatar')).text)
    await visitor.get(`/avatars/${id}.gif`).expect(200)
    // The file to download has its own extension.
    await visitor.get(`/avatars/${id}.gif?download`).expect('Content-Disposition', /^attachment; filename=.+\.gif$/)
    const samples = await read(app)
    expect(sum(samples, 'avatar_cache_total', { cache: 'gif', result: 'miss' })).toBe(1)
    expect(sum(samples, 'avatar_cache_total', { cache: 'gif', result: 'hit' })).toBe(1)
    expect(sum(samples, 'avatar_cache_total', { cache: 'png' })).toBe(0)
  })

  test('do not count a preview with invalid values as a cache miss', async () => {
    const app = await watchedApp()
    for (let i = 0; i < 3; i++) expect((await app.visitor().get('/preview.svg?style=nobody-s')).status).toBe(400)
    const samples = await read(app)
    expect(sum(samples, 'avatar_cache_total', { cache: 'preview' })).toBe(0)
  })

  test('count sign-ins that were declined or failed, and requests that were refused', async () => {
    const app = await watchedApp()
    await leave(app.visitor())
    for (const visitor of [app.visitor(), app.visitor()]) {
      const state = new URL(await leave(visitor)).searchParams.get('state') ?? ''
      for (const _ of ['declines', 'reloads']) await visitor.get('/get_avatar').query({ error: 'access_denied', state })
    }
    app.discord.fail(at.user, faults.answer(500))
    expect((await signIn(app, app.visitor())).status).toBe(502)
    await app.visitor().get('/get_avatar').query({ code: 'x', state: 'never-seen' })
    const tooLarge = 'x'.repeat(20_000)
    for (const _ of [1, 2]) await app.visitor().post('/get_avatar').type('form').send({ seed: tooLarge }).expect(413)
    // An unexpected error, as a bug in the app would throw it.
    app.parts.states.start = () => Promise.reject(new TypeError('not a function'))
    await app.visitor().post('/get_avatar').type('form').send(look).expect(500)

    const samples = await read(app)
    expect(sum(samples, 'sign_ins_started_total')).toBe(4)
    const outcomes = ['signed-in', 'declined', 'failed']
    expect(outcomes.map((outcome) => sum(samples, 'sign_ins_total', { outcome }))).toEqual([0, 2, 1])
    expect(sum(samples, 'http_failures_total', { failure: 'UnknownState' })).toBe(1)
    expect(sum(samples, 'http_failures_total', { failure: 'DiscordUnavailable' })).toBe(1)
    expect(sum(samples, 'http_failures_total', { failure: 'Refused' })).toBe(2)
    expect(sum(samples, 'http_failures_total', { failure: 'Unexpected' })).toBe(1)
  })

  test('count a sign-in as failed, and once, if the visitor signs out before its callback is answered', async () => {
    const app = await watchedApp()
    const visitor = app.visitor()
    const callback = app.discord.codeFor(await leave(visitor))
    const { id, username } = app.discord.accounts[0] ?? {}
    app.discord.fail(at.user, async (_req, res) => {
      await visitor.post('/sign_out').expect(303)
      res.json({ id, username })
    })
    expect((await comeBack(visitor, callback)).status).toBe(400)
    const samples = await read(app)
    const outcomes = ['signed-in', 'declined', 'failed']
    expect(outcomes.map((outcome) => sum(samples, 'sign_ins_total', { outcome }))).toEqual([0, 0, 1])
  })

  test('count a sign-in once that starts at one instance and ends at another', async () => {
    const redis = await openRedis()
    cleanUps.push(() => redis.stop())
    const app = await watchedApp({ redisUrl: redis.url })
    const { url, discord, dicebear } = app
    const other = await watchedApp({ redisUrl: redis.url, beside: { url, discord, dicebear } })
    const visitor = app.visitor()
    const callback = discord.codeFor(await leave(visitor))
    const there = other.visitor()
    there.jar = visitor.jar
    expect((await comeBack(there, callback)).status).toBe(302)
    const [here, away] = [await read(app), await read(other)]
    expect([sum(here, 'sign_ins_started_total'), sum(here, 'sign_ins_total')]).toEqual([1, 0])
    expect([sum(away, 'sign_ins_started_total'), sum(away, 'sign_ins_total')]).toEqual([0, 1])
  })

  test('count avatars that the app drew because DiceBear failed, by reason', async () => {
    const app = await watchedApp()
    const fallbacks = async (reason: string) => sum(await read(app), 'avatar_fallbacks_total', { reason })
    const reasons: [string, Fault][] = [
      ['DiceBearUnavailable', faults.answer(500)],
      ['DiceBearUnavailable', faults.answer(503)],
      ['UnsafeSvg', faults.answer(200, '<svg onload="x"/>', { 'content-type': 'image/svg+xml' })],
      ['DiceBearRefused', faults.json(400, { statusCode: 400, error: 'Bad Request' })],
      ['DiceBearUnavailable', faults.rateLimited(1)],
    ]
    for (const [reason, fault] of reasons) {
      const before = await fallbacks(reason)
      app.dicebear.fail(at.svg, fault, { times: 1 })
      await signIn(app, app.visitor(), { ...look, seed: `${reason} ${before}` })
      expect(await fallbacks(reason)).toBe(before + 1)
    }
    const samples = await read(app)
    expect(sum(samples, 'avatar_fallbacks_total')).toBe(reasons.length)
    const outcomes = ['ok', 'refused', 'unavailable', 'rate-limited']
    const calls = (upstream: string) =>
      outcomes.map((outcome) => sum(samples, 'upstream_requests_total', { upstream, outcome }))
    expect(calls('dicebear')).toEqual([1, 1, 2, 1])
    expect(calls('discord-token')).toEqual([reasons.length, 0, 0, 0])
    // After a 429 the circuit is open.
    expect(sum(samples, 'upstream_breaker_state', { upstream: 'dicebear', state: 'open' })).toBe(1)
    expect(sum(samples, 'upstream_breaker_state', { upstream: 'dicebear', state: 'closed' })).toBe(0)
  })

  test('begin at 0 for everything that can fail, so that Prometheus sees the first failure', async () => {
    const redis = await openRedis()
    cleanUps.push(() => redis.stop())
    const app = await watchedApp({ redisUrl: redis.url })
    const isFailure = ({ name, labels }: Sample) =>
      /^(http_failures|upstream_requests|avatar_fallbacks|store_failures|sign_ins)_total$/.test(name) ||
      (name === 'http_requests_total' && /^5/.test(labels.status ?? ''))
    const failures = async () => (await read(app)).filter(isFailure)
    const keyOf = ({ name, labels }: Sample) => JSON.stringify([name, labels])
    const atStart = await failures()
    expect(atStart.filter(({ value }) => value !== 0)).toEqual([])

    app.dicebear.fail(at.svg, faults.answer(200, '<svg onload="x"/>', { 'content-type': 'image/svg+xml' }))
    app.discord.fail(at.user, faults.answer(500), { times: 1 })
    await signIn(app, app.visitor())
    app.discord.fail(at.token, faults.rateLimited(1), { times: 1 })
    await signIn(app, app.visitor())
    for (const path of ['/nowhere', '/get_avatar?code=x&state=y']) await app.visitor().get(path)
    await redis.kill()
    await app.visitor().get('/show_avatar').set('Cookie', 'avatar-session=s%3Ax.y')
    await app.visitor().post('/get_avatar').type('form').send(look)

    const counted = (await failures()).filter(({ value }) => value > 0)
    expect(counted.length).toBeGreaterThan(10)
    const known = new Set(atStart.map(keyOf))
    expect(counted.filter((one) => !known.has(keyOf(one)))).toEqual([])
  })

  const upstreams = ['dicebear', 'discord-revoke', 'discord-token', 'discord-user']

  test.each<[name: string, labels: Record<string, string[]>]>([
    ['avatar_cache_total', { cache: ['card', 'file', 'gif', 'png', 'preview'], result: ['hit', 'miss'] }],
    ['avatar_fallbacks_total', { reason: ['DiceBearRefused', 'DiceBearUnavailable', 'Overloaded', 'UnsafeSvg'] }],
    ['sign_ins_total', { outcome: ['declined', 'failed', 'signed-in'] }],
    [
      'upstream_requests_total',
      {
        upstream: upstreams,
        outcome: ['circuit-open', 'ok', 'rate-limited', 'refused', 'timeout', 'unavailable'],
      },
    ],
    [
      'upstream_breaker_state',
      {
        upstream: upstreams.filter((name) => name !== 'discord-revoke'),
        state: ['closed', 'half-open', 'open'],
      },
    ],
  ])('have all values of the labels of %s from the start', async (name, labels) => {
    const samples = (await read(await watchedApp())).filter((one) => one.name === name)
    for (const [label, values] of Object.entries(labels)) {
      expect([...new Set(samples.map((one) => one.labels[label]))].toSorted()).toEqual(values)
    }
    const combinations = Object.values(labels).reduce((product, values) => product * values.length, 1)
    expect(samples).toHaveLength(combinations)
  })

  test.each([
    ['other', ['GET', 'POST']],
    ['/get_avatar', ['GET', 'POST']],
    ['/licences', ['GET']],
    ['/forget_me', ['POST']],
  ])('have server errors of the route %s from the start, at 0, for the methods %j', async (route, methods) => {
    const app = await watchedApp()
    const samples = (await read(app)).filter(
      ({ name, labels }) => name === 'http_requests_total' && labels.route === route,
    )
    const keys = samples.map(({ labels, value }) => `${labels.method} ${labels.status}: ${value}`)
    const statuses = [500, 502, 503, 504]
    expect(keys).toEqual(methods.flatMap((method) => statuses.map((status) => `${method} ${status}: 0`)))
  })

  test('have every kind of failure from the start, at 0', async () => {
    const samples = (await read(await watchedApp())).filter(({ name }) => name === 'http_failures_total')
    expect(new Set(samples.map(({ value }) => value))).toEqual(new Set([0]))
    const named = samples.map(({ labels }) => labels.failure)
    const kinds = ['UnknownState', 'StoreUnavailable', 'LockLost', 'DiscordRateLimitActive', 'Refused', 'Unexpected']
    expect(named).toEqual(expect.arrayContaining(kinds))
  })

  test('count refused requests (429) for their route', async () => {
    const app = await watchedApp({ settings: { RATE_LIMIT: 'on' } })
    for (let sent = 0; sent < 32; sent += 1) await ask(app.url, '/get_avatar', formOf({ style: 'nope' }))
    expect(answers(await read(app))).toEqual({ 'POST /get_avatar 422': 30, 'POST /get_avatar 429': 2 })
  })

  test('count a request whose client disconnects as aborted', async () => {
    const app = await watchedApp()
    const visitor = app.visitor()
    const { pathname, search } = new URL(app.discord.codeFor(await leave(visitor)))
    const cookie = visitor.jar.getCookies({ domain: '127.0.0.1', path: '/', secure: false, script: false })
    const asked = new Promise<void>((resolve) => app.discord.fail(at.token, () => resolve()))
    const headers = { Cookie: cookie.toValueString() }
    const asking = get(`${app.url}${pathname}${search}`, { headers, agent: false }).on('error', () => undefined)
    await asked
    asking.destroy()
    await expect.poll(async () => answers(await read(app))['GET /get_avatar aborted']).toBe(1)
    expect(app.logged.filter((line) => line.includes('"method":"GET","path":"/get_avatar"'))).toHaveLength(1)
  })
})

describe('the metrics also have', () => {
  test('requests to Discord and DiceBear by outcome, with durations, and the state of the circuit breaker', async () => {
    const app = await watchedApp()
    const { onCall, onBreaker } = metricsOf(app)
    onCall({ upstream: 'discord-token', outcome: 'ok', durationMs: 250 })
    onCall({ upstream: 'discord-token', outcome: 'timeout', durationMs: 5000 })
    onCall({ upstream: 'discord-token', outcome: 'circuit-open', durationMs: 0 })
    onBreaker({ upstream: 'dicebear', state: 'open' })
    onBreaker({ upstream: 'discord-user', state: 'open' })
    onBreaker({ upstream: 'discord-user', state: 'half-open' })
    const samples = await read(app)
    expect(sum(samples, 'upstream_requests_total', { upstream: 'discord-token', outcome: 'timeout' })).toBe(1)
    expect(sum(samples, 'upstream_requests_total', { upstream: 'discord-token' })).toBe(3)
    expect(sum(samples, 'upstream_request_duration_seconds_sum', { upstream: 'discord-token' })).toBeCloseTo(5.25)
    expect(sum(samples, 'upstream_request_duration_seconds_count')).toBe(2)
    const states = (upstream: string) =>
      ['closed', 'open', 'half-open'].map((state) => sum(samples, 'upstream_breaker_state', { upstream, state }))
    expect(states('dicebear')).toEqual([0, 1, 0])
    expect(states('discord-user')).toEqual([0, 0, 1])
    expect(states('discord-token')).toEqual([1, 0, 0])
  })

  test('redis_up, which follows Redis as it hangs, stops and comes back, without delaying the metrics', async () => {
    const redis = await openRedis()
    cleanUps.push(() => redis.stop())
    const app = await watchedApp({ redisUrl: redis.url })
    const isUp = async () => sum(await read(app), 'redis_up')
    await expect.poll(isUp, { timeout: 5000 }).toBe(1)
    expect(sum(await read(app), 'store_failures_total')).toBe(0)
    redis.pause()
    const since = performance.now()
    expect(await isUp()).toBe(0)
    expect(performance.now() - since).toBeLessThan(3000)
    redis.resume()
    await expect.poll(isUp, { timeout: 5000 }).toBe(1)
    await redis.kill()
    await expect.poll(isUp, { timeout: 5000 }).toBe(0)
    const failed = sum(await read(app), 'store_failures_total')
    expect((await app.visitor().post('/get_avatar').type('form').send(look)).status).toBe(503)
    const samples = await read(app)
    expect(sum(samples, 'store_failures_total')).toBeGreaterThan(failed)
    expect(sum(samples, 'http_failures_total', { failure: 'StoreUnavailable' })).toBe(1)
    expect(sum(samples, 'sign_ins_started_total')).toBe(0)
    await redis.restart()
    await expect.poll(isUp, { timeout: 5000 }).toBe(1)
  })

  test('no redis_up without Redis', async () => {
    const app = await watchedApp()
    expect((await read(app)).map(({ name }) => name)).not.toContain('redis_up')
  })

  test('event loop, heap and garbage collection of the process', async () => {
    const names = (await read(await watchedApp())).map(({ name }) => name)
    expect(names).toEqual(
      expect.arrayContaining([
        'nodejs_eventloop_lag_p99_seconds',
        'nodejs_heap_size_used_bytes',
        'process_cpu_seconds_total',
      ]),
    )
  })

  test('separate counts for two apps in one process', async () => {
    const [one, other] = [await watchedApp(), await watchedApp()]
    await ask(one.url, '/')
    expect(answers(await read(one))).toEqual({ 'GET / 200': 1 })
    expect(answers(await read(other))).toEqual({})
  })
})

describe('no request can create a time series', () => {
  const shapes: ((text: string) => string)[] = [
    (text) => `/${text}`,
    (text) => `/avatars/${text}.svg`,
    (text) => `/avatars/${text}.png?size=${text}`,
    (text) => `/avatars/${text}/forget`,
    (text) => `/${text}.css`,
    (text) => `/get_avatar/${text}?state=${text}`,
    (text) => `/get_avatar?code=${text}&state=${text}`,
    (text) => `/healthz?${text}`,
    (text) => `/demo/${text}`,
    (text) => `//${text}/%0a%22%7d`,
  ]

  /** Sends this many requests of each kind over one connection, each with a different text. */
  async function sendMadeUp(url: string, perShape: number): Promise<void> {
    const client = new Client(url, { pipelining: 20 })
    const headers = { accept: 'application/json' }
    for (let sent = 0; sent < perShape; sent += 20) {
      const texts = Array.from({ length: Math.min(20, perShape - sent) }, (_, i) => `made-up-${sent + i}`)
      const paths = texts.flatMap((text) => shapes.map((shape) => shape(text)))
      await Promise.all(paths.map(async (path) => (await client.request({ method: 'GET', path, headers })).body.dump()))
    }
    await client.close()
  }

  const seriesOf = (samples: Sample[]) =>
    samples.filter(({ name }) => !/^(nodejs|process)_/.test(name)).map(({ name, labels }) => ({ name, labels }))

  test('by its path or query', async () => {
    const app = await watchedApp({ settings: { LOG_LEVEL: 'silent' } })
    await sendMadeUp(app.url, 1)
    const before = await read(app)
    await sendMadeUp(app.url, 40)
    const after = await read(app)
    expect(sum(after, 'http_requests_total')).toBe(410)
    expect(seriesOf(after)).toEqual(seriesOf(before))
    expect(JSON.stringify(after)).not.toContain('made-up')
  })

  test('by its method, or by a request target in another form', async () => {
    const app = await watchedApp()
    for (const method of ['PUT', 'DELETE', 'OPTIONS', 'PROPFIND', 'PURGE', 'M-SEARCH', 'TRACE', 'QUERY', 'PATCH']) {
      await ask(app.url, '/', { method })
    }
    for (const path of ['*', 'http://evil.example/get_avatar', '//', '/%', '/__proto__']) {
      await ask(app.url, path, { method: 'OPTIONS' })
    }
    const samples = (await read(app)).filter(({ name, value }) => name === 'http_requests_total' && value > 0)
    expect(sum(samples, 'http_requests_total')).toBe(14)
    for (const { labels } of samples) {
      expect(labels.method).toBe('other')
      expect(['/', '/get_avatar', 'other']).toContain(labels.route)
    }
  })

  test('with data of a visit', async () => {
    const app = await watchedApp()
    const visitor = app.visitor()
    const authorize = await leave(visitor, { ...look, seed: 'a secret seed' })
    const callback = app.discord.codeFor(authorize)
    await comeBack(visitor, callback)
    const id = shownAvatar((await visitor.get('/show_avatar')).text)
    await visitor.get(`/avatars/${id}.svg?download=a+secret+seed`)
    const [account] = app.discord.accounts
    const metrics = JSON.stringify(await read(app))
    const { code = '', state = '' } = Object.fromEntries(new URL(callback).searchParams)
    const secrets = ['secret', 'adventurer', id, code, state, account?.username ?? '', account?.id ?? '', app.folder]
    for (const secret of secrets) {
      expect(secret.length).toBeGreaterThan(5)
      expect(metrics).not.toContain(secret)
    }
  })
})

test('every route of the app is counted under its own name', async () => {
  const src = join(import.meta.dirname, '../../src')
  const files = [...readdirSync(join(src, 'pages')).map((file) => join('pages', file)), 'middleware/health.ts']
  const sources = files.map((file) => readFileSync(join(src, file), 'utf8')).join('\n')
  const patterns = new Set([...sources.matchAll(/\broute\('([^']+)'/g)].map(([, pattern = '']) => pattern))
  expect(patterns.size).toBeGreaterThan(10)
  expect(patterns).toContain('/avatars/:id.png')
  const app = await watchedApp()
  for (const pattern of patterns) await ask(app.url, pattern.replaceAll(/:\w+/g, 'made-up'))
  const counted = (await read(app))
    .filter(({ name, value }) => name === 'http_requests_total' && value > 0)
    .map(({ labels }) => labels.route)
  expect(new Set(counted)).toEqual(patterns)
})

describe('METRICS_PORT', () => {
  test('serves /metrics and nothing else, and a connected Prometheus does not delay the end', async () => {
    const metricsPort = await freePort()
    const app = await startApp({ METRICS_PORT: String(metricsPort), LOG_LEVEL: 'warn' })
    cleanUps.push(() => app.stop())
    const there = `http://127.0.0.1:${metricsPort}`
    await ask(app.url, '/')
    await ask(app.url, '/demo/nowhere')
    const metrics = await ask(there, '/metrics')
    expect([metrics.status, metrics.headers['content-type']]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
    expect(answers(readMetrics(metrics.text))).toEqual({ 'GET / 200': 1, 'GET demo 404': 1 })
    expect((await ask(there, '/metrics', { method: 'HEAD' })).status).toBe(200)
    // On HOST only, like the app.
    await expect(ask(`http://127.0.0.2:${metricsPort}`, '/metrics')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    const others: Asked[] = []
    for (const path of ['/', '/healthz', '/metrics/', '/metricsx', '/get_avatar']) others.push(await ask(there, path))
    others.push(await ask(there, '/metrics', { method: 'POST' }))
    expect(others.map(({ status, text }) => [status, text])).toEqual(others.map(() => [404, '']))
    expect((await ask(app.url, '/metrics')).status).toBe(404)

    const connected = new Agent({ keepAlive: true })
    cleanUps.push(async () => connected.destroy())
    const [answer] = await once(request(`${there}/metrics?x=1`, { agent: connected }).end(), 'response')
    expect(answer.statusCode).toBe(200)
    answer.resume()
    await once(answer, 'end')
    const since = performance.now()
    app.child.kill('SIGTERM')
    expect(await app.exited).toEqual([0, null])
    expect(performance.now() - since).toBeLessThan(8000)
  })

  test('answers 500 if the metrics cannot be read, and the next request succeeds', async () => {
    const metrics = metricsOf(await watchedApp())
    const server = createServer(metricsPage(metrics)).listen(0, '127.0.0.1')
    cleanUps.push(async () => void server.close())
    await once(server, 'listening')
    const { port } = z.object({ port: z.number() }).parse(server.address())
    vi.spyOn(metrics.registry, 'metrics').mockRejectedValueOnce(new Error('no file in /proc'))
    const answers = [
      await ask(`http://127.0.0.1:${port}`, '/metrics'),
      await ask(`http://127.0.0.1:${port}`, '/metrics'),
    ]
    expect(answers.map(({ status, text }) => [status, text.includes('# HELP')])).toEqual([
      [500, false],
      [200, true],
    ])
  })

  test('that is in use ends the start with a message that names the setting', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    cleanUps.push(async () => void other.close())
    await once(other, 'listening')
    const { port: taken } = z.object({ port: z.number() }).parse(other.address())
    const { code, output } = await startAndFail({ METRICS_PORT: String(taken) })
    expect([code, output]).toEqual([1, expect.stringContaining(`at HOST=127.0.0.1, METRICS_PORT=${taken}: `)])
    expect(output).not.toMatch(/^\s+at /m)
  })
})

describe('the Grafana dashboard', () => {
  const source = z.object({ type: z.literal('prometheus'), uid: z.literal(['$', '{datasource}'].join('')) })
  const Target = z.object({ datasource: source, expr: z.string(), legendFormat: z.string(), refId: z.string() })
  const Panel = z.looseObject({
    id: z.number(),
    type: z.string(),
    title: z.string().min(1),
    gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
    datasource: source.optional(),
    targets: z.array(Target).default([]),
  })
  const Dashboard = z.looseObject({
    schemaVersion: z.number().min(39),
    title: z.string(),
    uid: z.string().max(40),
    templating: z.object({ list: z.array(z.looseObject({ name: z.string(), type: z.string() })) }),
    panels: z.array(Panel),
  })
  const file = join(import.meta.dirname, '../../deploy/grafana-dashboard.json')
  const { panels, templating } = Dashboard.parse(JSON.parse(readFileSync(file, 'utf8')))
  const targets = panels.flatMap((panel) => panel.targets)

  test('can be imported: it has one variable for the data source and no overlapping panels', () => {
    expect(templating.list.map(({ name, type }) => [name, type])).toEqual([
      ['datasource', 'datasource'],
      ['job', 'query'],
      ['instance', 'query'],
    ])
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
    expect(targets.length).toBeGreaterThan(20)
    for (const { type, datasource, targets } of panels) {
      expect([datasource !== undefined, targets.length > 0]).toEqual(type === 'row' ? [false, false] : [true, true])
    }
  })

  test('queries only metrics, labels and values that exist, and shows every metric of the app', async () => {
    const redis = await openRedis()
    cleanUps.push(() => redis.stop())
    const app = await watchedApp({ redisUrl: redis.url })
    await ask(app.url, '/nowhere')
    await ask(app.url, '/get_avatar?code=x&state=y')
    metricsOf(app).onCall({ upstream: 'dicebear', outcome: 'ok', durationMs: 1 })
    globalThis.gc?.()
    const samples = await read(app)
    const valuesOf = (metric: string) => {
      const values = new Map<string, Set<string>>([
        ['job', new Set(['$job'])],
        ['instance', new Set(['$instance'])],
      ])
      for (const { name, labels } of samples) {
        if (name !== metric) continue
        for (const [label, value] of Object.entries(labels)) {
          values.set(label, (values.get(label) ?? new Set()).add(value))
        }
      }
      return values
    }
    const known = new Set(samples.map(({ name }) => name))
    const shown = new Set<string>()
    for (const { expr, legendFormat } of targets) {
      const selectors = [...expr.matchAll(/(\w+)\{([^}]*)\}/g)]
      expect(selectors.length).toBeGreaterThan(0)
      for (const [, metric = '', inside = ''] of selectors) {
        shown.add(metric.replace(/_(bucket|sum|count)$/, ''))
        // These metrics appear with the first garbage collection, which may be still to come.
        if (!metric.startsWith('nodejs_gc_')) expect(known).toContain(metric)
        const values = valuesOf(metric)
        expect(inside).toMatch(/^job="\$job",instance=~"\$instance"/)
        for (const [, label = '', operator = '', value = ''] of inside.matchAll(/(\w+)(=|!=|=~|!~)"([^"]*)"/g)) {
          expect([...values.keys()]).toContain(label)
          if (operator === '=' || operator === '!=') expect([...(values.get(label) ?? [])]).toContain(value)
        }
        const grouped = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '))
        const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label)
        if (!metric.startsWith('nodejs_gc_'))
          expect([...values.keys()]).toEqual(expect.arrayContaining([...grouped, ...named]))
        // A label that is not in "by (...)" cannot be in the legend.
        if (grouped.length > 0) expect(grouped).toEqual(expect.arrayContaining(named))
      }
    }
    const ours = samples
      .map(({ name }) => name.replace(/_(bucket|sum|count)$/, ''))
      .filter((name) => !/^(nodejs|process)_/.test(name))
    expect([...shown]).toEqual(expect.arrayContaining([...new Set(ours)]))
  })
})

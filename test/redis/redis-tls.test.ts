import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { makeCertificate } from '../support/certificate.ts'
import { freePort } from '../support/free-port.ts'
import { look, openApp, signIn } from '../support/open-app.ts'
import { openRedis, type Redis, tell, until } from '../support/redis.ts'
import { startApp } from '../support/start-app.ts'
import { expectLanding } from '../support/visits.ts'

let folder: string
let certificate: string
/** The lines of redis.conf for TLS. */
let tls: (port: number) => string[]
let redis: Redis
let tlsPort: number
let url: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tls-'))
  const made = await makeCertificate(folder, 'localhost')
  certificate = made.certificate
  const files = [`tls-cert-file ${certificate}`, `tls-key-file ${made.key}`, `tls-ca-cert-file ${certificate}`]
  tls = (port) => [`tls-port ${port}`, 'tls-auth-clients no', ...files]
  tlsPort = await freePort()
  redis = await openRedis(tls(tlsPort))
  url = `rediss://localhost:${tlsPort}`
})
afterAll(async () => {
  await redis.stop()
  await rm(folder, { recursive: true, force: true })
})

const startSignIn = (appUrl: string) =>
  fetch(`${appUrl}/get_avatar`, { method: 'POST', body: new URLSearchParams(look), redirect: 'manual' })
const storedStates = () => tell(redis.port, ['KEYS', 'state:*'])

test('Redis over TLS is used if its certificate is trusted', async () => {
  const app = await startApp({ REDIS_URL: url, NODE_EXTRA_CA_CERTS: certificate })
  try {
    await until(async () => (await fetch(`${app.url}/readyz`)).ok)
    expect(await storedStates()).toBe('[]')
    expect((await startSignIn(app.url)).status).toBe(302)
    expect(await storedStates()).toContain('state:')
  } finally {
    await app.stop()
  }
})

test('Redis over TLS gets no command if its certificate is not trusted', async () => {
  await tell(redis.port, ['FLUSHALL'])
  const app = await startApp({ REDIS_URL: url })
  try {
    await until(async () => app.output.stdout.includes('self-signed certificate'))
    expect((await fetch(`${app.url}/readyz`)).status).toBe(503)
    expect((await startSignIn(app.url)).status).toBe(503)
    expect(await storedStates()).toBe('[]')
  } finally {
    await app.stop()
  }
})

/** A cluster of one node, which has all slots. */
async function openCluster() {
  const [port, busPort] = [await freePort(), await freePort()]
  const names = ['cluster-announce-hostname localhost', 'cluster-preferred-endpoint-type hostname']
  const cluster = ['cluster-enabled yes', `cluster-port ${busPort}`, 'tls-cluster yes', ...names]
  const node = await openRedis([...tls(port), ...cluster])
  await tell(node.port, ['CLUSTER', 'ADDSLOTSRANGE', '0', '16383'])
  return { url: `rediss://localhost:${port},rediss://localhost:${port}`, server: node, stop: node.stop }
}

/** A sentinel that watches the server of these tests. */
async function openSentinel() {
  const port = await freePort()
  const names = ['sentinel resolve-hostnames yes', 'sentinel announce-hostnames yes']
  const monitor = `sentinel monitor mymaster localhost ${tlsPort} 1`
  const sentinel = await openRedis([...tls(port), 'tls-replication yes', ...names, monitor])
  return { url: `sentinels://localhost:${port}/mymaster`, server: redis, stop: sentinel.stop }
}

test.each([
  ['a cluster', openCluster],
  ['a master behind sentinels', openSentinel],
])('%s is spoken to over TLS, too', async (_, open) => {
  const trusted = getCACertificates('default')
  setDefaultCACertificates([...trusted, await readFile(certificate, 'utf8')])
  onTestFinished(() => setDefaultCACertificates(trusted))
  const place = await open()
  onTestFinished(place.stop)
  await tell(place.server.port, ['FLUSHALL'])
  const app = await openApp({ redisUrl: place.url })
  onTestFinished(() => app.close())
  await until(async () => (await app.visitor().get('/readyz')).status === 200)
  expectLanding(await signIn(app, app.visitor()))
  expect(await tell(place.server.port, ['KEYS', 'session:*'])).toContain('session:')
})

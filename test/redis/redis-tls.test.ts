import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeCertificate } from '../support/certificate.ts'
import { freePort } from '../support/free-port.ts'
import { look } from '../support/open-app.ts'
import { openRedis, type Redis, tell, until } from '../support/redis.ts'
import { startApp } from '../support/start-app.ts'

let folder: string
let certificate: string
let redis: Redis
let url: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tls-'))
  const made = await makeCertificate(folder, 'localhost')
  certificate = made.certificate
  const port = await freePort()
  const files = [`tls-cert-file ${certificate}`, `tls-key-file ${made.key}`]
  redis = await openRedis([`tls-port ${port}`, 'tls-auth-clients no', ...files])
  url = `rediss://localhost:${port}`
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

// Redis at the other end of TLS: used where its certificate is vouched for, and not at all where nobody vouches for it.
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

const leave = (at: string) =>
  fetch(`${at}/get_avatar`, { method: 'POST', body: new URLSearchParams(look), redirect: 'manual' })
const visits = () => tell(redis.port, ['KEYS', 'visit:*'])

test('a certificate that is vouched for: visits are kept there', async () => {
  const app = await startApp({ REDIS_URL: url, NODE_EXTRA_CA_CERTS: certificate })
  try {
    await until(async () => (await fetch(`${app.url}/readyz`)).ok)
    expect(await visits()).toBe('[]')
    expect((await leave(app.url)).status).toBe(302)
    expect(await visits()).toContain('visit:')
  } finally {
    await app.stop()
  }
})

test('one that nobody vouches for: nothing is sent there, and a visitor is told to come again', async () => {
  await tell(redis.port, ['FLUSHALL'])
  const app = await startApp({ REDIS_URL: url })
  try {
    await until(async () => app.output.stdout.includes('self-signed certificate'))
    expect((await fetch(`${app.url}/readyz`)).status).toBe(503)
    expect((await leave(app.url)).status).toBe(503)
    expect(await visits()).toBe('[]')
  } finally {
    await app.stop()
  }
})

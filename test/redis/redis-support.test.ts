// Tests of test/support/redis.ts, because other tests rely on what it does when it is killed or paused.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { openRedis, type Redis } from '../support/redis.ts'

describe('the Redis of the tests', () => {
  let redis: Redis
  beforeAll(async () => {
    redis = await openRedis()
  })
  afterAll(() => redis.stop())

  async function client() {
    const opened = createClient({ url: redis.url, disableOfflineQueue: true, socket: { reconnectStrategy: false } })
    opened.on('error', () => undefined)
    return opened.connect()
  }

  test('can be killed, and comes back empty at the same port', async () => {
    const first = await client()
    await first.set('a', 'b')
    const url = redis.url
    const lost = once(first, 'error')
    await redis.kill()
    await lost
    await expect(client()).rejects.toThrow('ECONNREFUSED')
    await redis.restart()
    expect(redis.url).toBe(url)
    const second = await client()
    expect(await second.get('a')).toBeNull()
    second.destroy()
  })

  test('accepts connections while it is paused, and answers afterwards', async () => {
    const socket = connect(redis.port, '127.0.0.1')
    await once(socket, 'connect')
    redis.pause()
    let answer = ''
    socket.on('data', (part) => {
      answer += part
    })
    socket.write('PING\r\n')
    const other = connect(redis.port, '127.0.0.1')
    await once(other, 'connect')
    expect(answer).toBe('')
    redis.resume()
    await expect.poll(() => answer).toBe('+PONG\r\n')
    socket.destroy()
    other.destroy()
  })

  test('can be stopped even while it is paused', async () => {
    const other = await openRedis()
    other.pause()
    await other.stop()
    expect(await connectionError(other.port)).toBe('ECONNREFUSED')
  })

  test.each(['running', 'paused'])('ends when the process that started it is killed, while it is %s', async (state) => {
    const program = `
      import { openRedis } from ${JSON.stringify(new URL('../support/redis.ts', import.meta.url))}
      const redis = await openRedis()
      if (${state === 'paused'}) redis.pause()
      process.stdout.write(String(redis.port), () => process.kill(process.pid, 'SIGKILL'))`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [[port], [, signal]] = await Promise.all([once(child.stdout, 'data'), once(child, 'exit')])
    expect(signal).toBe('SIGKILL')
    await expect.poll(() => connectionError(Number(port))).toBe('ECONNREFUSED')
  })

  test('names the package to install if redis-server is missing', async () => {
    vi.stubEnv('PATH', import.meta.dirname)
    onTestFinished(() => void vi.unstubAllEnvs())
    await expect(openRedis()).rejects.toThrow('`redis-server`')
  })
})

/** Tries to connect. Returns the error code, or undefined if the port accepts connections. */
function connectionError(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(undefined))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    socket.on('connect', () => socket.destroy())
  })
}

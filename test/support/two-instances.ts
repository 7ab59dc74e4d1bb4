// Two instances of one site with one Redis.
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { openApp, type TestApp } from './open-app.ts'
import { openRedis, type Redis } from './redis.ts'

export let redis: Redis
export let app: TestApp
export let other: TestApp
/** A client of the same Redis. */
export let db: ReturnType<typeof createClient>

/** Opens them for the tests of this file, and empties Redis before each test. */
export function useTwoInstances(): void {
  beforeAll(async () => {
    redis = await openRedis()
    app = await openApp({ redisUrl: redis.url })
    other = await openApp({ redisUrl: redis.url, beside: app })
    db = createClient({ url: redis.url })
    await db.connect()
  })
  afterAll(async () => {
    db.destroy()
    await Promise.all([other.close(), app.close()])
    await redis.stop()
  })
  beforeEach(async () => {
    await db.flushDb()
    app.discord.calls.length = 0
  })
  afterEach(() => {
    app.discord.heal()
    app.dicebear.heal()
  })
}

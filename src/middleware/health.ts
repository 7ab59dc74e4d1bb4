import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { Router } from 'express'
import type { Config } from '../config.ts'
import type { Store } from '../store/store.ts'
import { onlyBy } from './methods.ts'

/** GET /healthz: the process lives. GET /readyz: it can do its work and is not about to end, so send it visitors. */
export function health(config: Config, store: Store, closing: AbortSignal): Router {
  const router = Router({ caseSensitive: true })
  router.get('/healthz', (_req, res) => {
    res.set('Cache-Control', 'no-store').json({ status: 'ok' })
  })
  router.get('/readyz', async (_req, res) => {
    const [redis, cache] = await Promise.all([
      state(store.ping()),
      state(access(join(config.cacheDir, '/'), constants.R_OK | constants.W_OK)), // with the slash no plain file will do
    ])
    // Without the cache folder everything is still served, only slower.
    const status = closing.aborted ? 'closing' : redis === 'ok' ? 'ok' : 'not ready'
    res
      .set('Cache-Control', 'no-store')
      .status(status === 'ok' ? 200 : 503)
      .json({ status, dependencies: { redis: config.redis === undefined ? 'not used' : redis, cache } })
  })
  router.all(['/healthz', '/readyz'], onlyBy('GET', 'HEAD'))
  return router
}

function state(check: Promise<void>): Promise<'ok' | 'down'> {
  return check.then(
    () => 'ok' as const,
    () => 'down' as const,
  )
}

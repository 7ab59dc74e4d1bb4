import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import type { Store } from '../store/store.ts'
import type { AddRoute } from './routes.ts'

/**
 * GET /healthz: the process is alive. GET /readyz: it can serve visitors, and is not shutting down. With
 * ?exclude=dependencies it only says whether it is shutting down, for load balancers: when Redis is down it is down for
 * all instances, and they still serve what needs no session.
 */
export function health(route: AddRoute, config: Config, store: Store, closing: AbortSignal): void {
  route('/healthz', { GET: 'none' }).get((_req, res) => {
    res.logLevel = 'debug'
    res.json({ status: 'ok' })
  })

  route('/readyz', { GET: 'none' }).get(async (req, res) => {
    res.logLevel = 'debug'
    if (req.query.exclude === 'dependencies') {
      return void res.status(closing.aborted ? 503 : 200).json({ status: closing.aborted ? 'closing' : 'ok' })
    }
    const [redis, cache] = await Promise.all([
      store.state(),
      // The trailing slash makes access() fail for a file that is not a folder.
      stateOf(access(join(config.cacheDir, '/'), constants.R_OK | constants.W_OK)),
    ])
    // Without the cache folder every avatar is still served, drawn anew.
    const status = closing.aborted ? 'closing' : redis === 'ok' ? 'ok' : 'not ready'
    res
      .status(status === 'ok' ? 200 : 503)
      .json({ status, dependencies: { redis: config.redis === undefined ? 'not used' : redis, cache } })
  })
}

function stateOf(check: Promise<void>): Promise<'ok' | 'down'> {
  return check.then(
    () => 'ok' as const,
    () => 'down' as const,
  )
}

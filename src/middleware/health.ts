import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import type { Store } from '../store/store.ts'
import type { AddRoute } from './routes.ts'

type Checked = {
  config: Config
  store: Store
  renderers: { picturesState(): Promise<string> }
  closing: AbortController
}

/**
 * GET /healthz tells whether the process is alive, GET /readyz whether it can serve visitors and is not shutting down.
 * /readyz?exclude=dependencies tells only whether it is shutting down. Load balancers use this one: Redis is down for
 * all instances at once, and pages without a session still work then.
 */
export function health(route: AddRoute, { config, store, renderers, closing: { signal: closing } }: Checked): void {
  route('/healthz', { GET: 'none' }).get((_req, res) => {
    res.logLevel = 'debug'
    res.json({ status: 'ok' })
  })

  route('/readyz', { GET: 'none' }).get(async (req, res) => {
    res.logLevel = 'debug'
    if (req.query.exclude === 'dependencies') {
      return void res.status(closing.aborted ? 503 : 200).json({ status: closing.aborted ? 'closing' : 'ok' })
    }
    const [redis, cache, pictures] = await Promise.all([
      store.state(),
      // The trailing slash makes access() fail for a file that is not a folder.
      access(join(config.cacheDir, '/'), constants.R_OK | constants.W_OK).then(
        () => 'ok',
        () => 'down',
      ),
      renderers.picturesState(),
    ])
    // The state of the cache folder does not matter: without the folder every avatar is drawn anew.
    const isReady = redis === 'ok' && pictures === 'ok'
    const status = closing.aborted ? 'closing' : isReady ? 'ok' : 'not ready'
    res
      .status(status === 'ok' ? 200 : 503)
      .json({ status, dependencies: { redis: config.redis === undefined ? 'not used' : redis, cache, pictures } })
  })
}

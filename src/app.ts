import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import compression from 'compression'
import express, { type Express, type RequestHandler, type Router } from 'express'
import { groups, lacks, moods, palette, popular, styles, stylesByTitle } from './avatar/catalogue.ts'
import { withAddress } from './middleware/address.ts'
import { form, parseFields } from './middleware/form-body.ts'
import { headers } from './middleware/headers.ts'
import { health } from './middleware/health.ts'
import { limitPipelining } from './middleware/pipelining.ts'
import { assetOf, publicFiles, staticFiles } from './middleware/public-files.ts'
import { limits } from './middleware/rate-limit.ts'
import { requestLog } from './middleware/request-log.ts'
import { sameOrigin } from './middleware/same-origin.ts'
import { avatarFiles, previewFile } from './pages/avatar-files.ts'
import { errorPage, isOurs, notFound } from './pages/error-page.ts'
import { getAvatarPage } from './pages/get-avatar.ts'
import { homePage } from './pages/home.ts'
import { licencesPage } from './pages/licences.ts'
import { exampleSeed, lookUrl, pictureUrl } from './pages/look.ts'
import { showAvatarPage } from './pages/show-avatar.ts'
import { signOut } from './pages/sign-out.ts'
import { viewEngine } from './pages/views.ts'
import { fill, words } from './pages/words.ts'
import type { Parts } from './parts.ts'

const viewFolder = join(import.meta.dirname, '../views')

/**
 * The whole walk of a request, in order. `standIns` are the demo's Discord and DiceBear: they are the outside, so they
 * come before our guards.
 */
export function createApp(parts: Parts, standIns?: Router): RequestListener {
  const { config, store } = parts
  const app = express()
  settings(app, parts)

  app.use(limitPipelining())
  app.use(requestLog(parts.log, isOurs), ...requestCount(parts), ...headers(config, parts.closing.signal))
  app.use(health(config, store, parts.closing.signal)) // must answer even when Redis does not
  if (standIns) app.use('/demo', standIns)
  // No page holds a secret of ours, so none is told by the size of what is packed (BREACH).
  app.use(...limits(config, store), compression(), staticFiles())
  app.use(homePage(config), previewFile(parts), licencesPage()) // none of these needs a session
  app.use(sameOrigin(config))
  app.use(getAvatarPage(parts, form), showAvatarPage(parts, form))
  app.use(avatarFiles(parts), signOut(parts))
  app.use(notFound, errorPage(config.upstreamTimeoutMs))
  return withAddress(app)
}

function settings(app: Express, { config }: Parts): void {
  app.set('trust proxy', config.trustProxy)
  app.set('query parser', (query: string | null) => parseFields(query ?? ''))
  app.set('case sensitive routing', true)
  app.disable('x-powered-by')
  app.set('env', 'production') // where even the error page fails, Express says no more than the status
  app.disable('etag') // pages are never cached; pictures and files have their own
  app.set('views', viewFolder)
  app.set('view engine', 'ejs')
  app.engine('ejs', viewEngine())
  app.enable('view cache')
  Object.assign(app.locals, {
    words,
    fill,
    styles,
    stylesByTitle,
    lacks,
    moods,
    palette,
    groups,
    popular,
    lookUrl,
    pictureUrl,
    exampleSeed,
    asset: (file: string) => assetOf(file).url,
    integrity: (file: string) => assetOf(file).integrity,
  })
  app.locals.demo = config.demo
}

/** With metrics on, counts each answer. */
function requestCount({ metrics }: Parts): RequestHandler[] {
  return metrics ? [metrics.requests(publicFiles())] : []
}

import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import compression from 'compression'
import express, { type Express, type Router } from 'express'
import { fill, isolate, lookEntries } from '../public/js/look.js'
import { parseFields } from './middleware/form-body.ts'
import { headers } from './middleware/headers.ts'
import { health } from './middleware/health.ts'
import { limitPipelining } from './middleware/pipelining.ts'
import { assetOf, publicFiles } from './middleware/public-files.ts'
import { createRateLimits, limitDemo } from './middleware/rate-limit.ts'
import { requestLog } from './middleware/request-log.ts'
import { requireHost, withRequestTarget } from './middleware/request-target.ts'
import { guardedRoutes, nameRoute } from './middleware/routes.ts'
import { avatarFiles, previewFile } from './pages/avatar-files.ts'
import { errorPage, isOurFault, notFound } from './pages/error-page.ts'
import { getAvatarPage } from './pages/get-avatar.ts'
import { historyActions } from './pages/history.ts'
import { homePage } from './pages/home.ts'
import { licencesPage } from './pages/licences.ts'
import { lookPictures } from './pages/look-picture.ts'
import { privacyPage } from './pages/privacy.ts'
import { showAvatarPage } from './pages/show-avatar.ts'
import { signOut } from './pages/sign-out.ts'
import { escapeHtml, viewEngine } from './pages/views.ts'
import { words } from './pages/words.ts'
import type { Parts } from './parts.ts'

const viewFolder = join(import.meta.dirname, '../views')

/**
 * Creates the app: everything that a request passes, in order. `standIns` are the demo's Discord and DiceBear. Like the
 * real servers they accept posts from other sites.
 */
export function createApp(parts: Parts, standIns?: Router): RequestListener {
  const { config, log, metrics, store, closing } = parts
  const app = express()
  configure(app, parts)
  const limits = createRateLimits(config, store)
  const route = guardedRoutes(app, config, limits, metrics?.onRoute)

  app.use(limitPipelining())
  app.use(requestLog(log, isOurFault))
  if (metrics) app.use(metrics.countRequest)
  app.use(headers(config, closing.signal))
  app.use(requireHost(limits.page))
  if (standIns) app.use('/demo', nameRoute('demo'), limitDemo(limits, parts.userAgent), standIns, notFound)
  // Compression is safe against BREACH: pages contain no secrets.
  app.use(compression())
  health(route, parts)
  publicFiles(route)
  homePage(route, parts)
  previewFile(route, parts)
  lookPictures(route, parts)
  licencesPage(route)
  privacyPage(route, config)
  getAvatarPage(route, parts)
  showAvatarPage(route, parts)
  avatarFiles(route, parts)
  historyActions(route, parts)
  signOut(route, parts)
  app.use(limits.page, notFound)
  app.use(errorPage(config))
  return withRequestTarget(app)
}

function configure(app: Express, { config }: Parts): void {
  app.set('trust proxy', config.trustProxy)
  app.set('query parser', (query: string | null) => parseFields(query ?? ''))
  app.enable('case sensitive routing')
  app.enable('strict routing') // /privacy/ is another path than /privacy
  app.disable('x-powered-by')
  app.set('env', 'production') // if the error page itself fails, Express then sends no stack trace
  app.disable('etag') // pages are never cached; pictures and static files set their own ETag
  app.set('views', viewFolder)
  app.set('view engine', 'ejs')
  app.engine('ejs', viewEngine())
  app.enable('view cache')
  Object.assign(app.locals, {
    words,
    // These texts are escaped here once, because every page contains them. Views write them unescaped.
    scriptTexts: escapeHtml(JSON.stringify(words.script)),
    fill,
    isolate,
    lookEntries,
    asset: (file: string) => assetOf(file).url,
    integrity: (file: string) => assetOf(file).integrity,
    demo: config.demo,
    contact: config.contact,
  })
}

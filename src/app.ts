import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import compression from 'compression'
import express, { type Express, type RequestHandler, Router } from 'express'
import { moods } from './avatar/moods.ts'
import { styles } from './avatar/styles.ts'
import { NotAForm } from './errors.ts'
import { headers } from './middleware/headers.ts'
import { health } from './middleware/health.ts'
import { onlyBy } from './middleware/methods.ts'
import { limits } from './middleware/rate-limit.ts'
import { requestLog } from './middleware/request-log.ts'
import { sameOrigin } from './middleware/same-origin.ts'
import { visitorSession } from './middleware/session.ts'
import { avatarFiles, previewFile } from './pages/avatar-files.ts'
import { errorPage, isOurs, notFound } from './pages/error-page.ts'
import { getAvatarPage } from './pages/get-avatar.ts'
import { homePage } from './pages/home.ts'
import { licencesPage } from './pages/licences.ts'
import { exampleSeed, lookUrl, pictureUrl } from './pages/look.ts'
import { palette } from './pages/palette.ts'
import { showAvatarPage } from './pages/show-avatar.ts'
import { signOut } from './pages/sign-out.ts'
import { groups, popular } from './pages/style-groups.ts'
import { viewEngine } from './pages/views.ts'
import type { Parts } from './parts.ts'
import { fill, words } from './words.ts'

const viewFolder = join(import.meta.dirname, '../views')
const publicFolder = join(import.meta.dirname, '../public')

/**
 * The whole walk of a request, in order. `standIns` are the demo's Discord and DiceBear: they are the outside, so they
 * come before our guards.
 */
export function createApp(parts: Parts, standIns?: Router): Express {
  const { config, store } = parts
  const app = express()
  settings(app, parts)

  app.use(requestLog(parts.log, isOurs), headers(config))
  app.use(health(config, store)) // must answer even when Redis does not
  if (standIns) app.use('/demo', standIns)
  // No page holds a secret of ours, so none is told by the size of what is packed (BREACH).
  app.use(...limits(config, store), compression(), staticFiles())
  app.use(homePage(config), previewFile(), licencesPage()) // none of these needs a session
  app.use(sameOrigin(config))
  const session = visitorSession(parts, true)
  app.use(getAvatarPage(parts, form, session), showAvatarPage(parts, form, session))
  app.use(avatarFiles(parts, visitorSession(parts, false)), signOut(parts, session))
  app.use(notFound, errorPage(config.upstreamTimeoutMs))
  return app
}

function settings(app: Express, { config }: Parts): void {
  app.set('trust proxy', config.trustProxy)
  app.set('query parser', 'simple')
  app.set('case sensitive routing', true)
  app.disable('x-powered-by')
  app.disable('etag') // pages are never cached; pictures and files have their own
  app.set('views', viewFolder)
  app.set('view engine', 'ejs')
  app.engine('ejs', viewEngine())
  app.enable('view cache')
  Object.assign(app.locals, {
    words,
    fill,
    styles,
    moods,
    palette,
    groups,
    popular,
    lookUrl,
    pictureUrl,
    exampleSeed,
    asset,
  })
  app.locals.demo = config.demo
}

const isForm: RequestHandler = (req, _res, next) => {
  // An empty post is an empty form, whatever it calls itself.
  const empty =
    req.get('content-length') === '0' || !('content-length' in req.headers || 'transfer-encoding' in req.headers)
  if (empty || req.is('urlencoded')) return next()
  throw new NotAForm('not a urlencoded form')
}
const form = [isForm, express.urlencoded({ extended: false, limit: '16kb' })]

const hashes = new Map<string, string>()

/** Address of a file in public/ that changes with its content, so that it can be cached for ever. */
function asset(file: string): string {
  const hash =
    hashes.get(file) ??
    createHash('sha256')
      .update(readFileSync(join(publicFolder, file)))
      .digest('hex')
      .slice(0, 12)
  hashes.set(file, hash)
  return `/${file}?v=${hash}`
}

/** The files of public/, and no other method for them than reading. */
function staticFiles(): RequestHandler {
  const files = new Set(readdirSync(publicFolder).map((file) => `/${file}`))
  const router = Router()
  router.use(
    express.static(publicFolder, {
      index: false,
      redirect: false,
      setHeaders: (res) => {
        const versioned = 'req' in res && res.req instanceof IncomingMessage && res.req.url?.includes('?v=')
        res.setHeader('Cache-Control', versioned ? 'public, max-age=31536000, immutable' : 'public, max-age=3600')
      },
    }),
    onlyBy('GET', 'HEAD'),
  )
  // Whatever else is asked for is not looked for on the disk.
  return (req, res, next) => (files.has(req.path) ? router(req, res, next) : next())
}

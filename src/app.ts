import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { IncomingMessage, type RequestListener } from 'node:http'
import { basename, join } from 'node:path'
import { parse as parseFields } from 'node:querystring'
import compression from 'compression'
import express, { type Express, type RequestHandler, Router } from 'express'
import { moods } from './avatar/moods.ts'
import { styles } from './avatar/styles.ts'
import { NotAForm, TooLarge } from './errors.ts'
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
import { groups, lacks, popular, stylesByTitle } from './pages/style-groups.ts'
import { viewEngine } from './pages/views.ts'
import type { Parts } from './parts.ts'
import { fill, words } from './words.ts'

const viewFolder = join(import.meta.dirname, '../views')
const publicFolder = join(import.meta.dirname, '../public')

/**
 * The whole walk of a request, in order. `standIns` are the demo's Discord and DiceBear: they are the outside, so they
 * come before our guards.
 */
export function createApp(parts: Parts, standIns?: Router): RequestListener {
  const { config, store } = parts
  const app = express()
  settings(app, parts)

  app.use(requestLog(parts.log, isOurs), ...requestCount(parts), headers(config))
  app.use(health(config, store, parts.closing.signal)) // must answer even when Redis does not
  if (standIns) app.use('/demo', standIns)
  // No page holds a secret of ours, so none is told by the size of what is packed (BREACH).
  app.use(...limits(config, store), compression(), staticFiles())
  app.use(homePage(config), previewFile(parts), licencesPage()) // none of these needs a session
  app.use(sameOrigin(config))
  const session = visitorSession(parts, true)
  app.use(getAvatarPage(parts, form, session), showAvatarPage(parts, form, session))
  app.use(avatarFiles(parts, visitorSession(parts, false)), signOut(parts, session))
  app.use(notFound, errorPage(config.upstreamTimeoutMs))
  return guarded(app)
}

/** Express lets a request pass by every middleware when it cannot read its address, such as `http://[`. */
function guarded(app: Express): RequestListener {
  return (req, res) => {
    req.url = addressOf(req.url ?? '/')
    app(req, res)
  }
}

/** Path and query; what cannot be read as one is an address that is not here. */
function addressOf(target: string): string {
  const address = target.startsWith('/') ? target : withoutHost(target)
  return address !== undefined && isReadable(address) ? address : '/%'
}

/** The absolute form, RFC 9112, 3.2.2. */
function withoutHost(target: string): string | undefined {
  const url = URL.parse(target)
  return url?.pathname.startsWith('/') ? url.pathname + url.search : undefined
}

/** Whether its path is UTF-8 under its escapes. */
function isReadable(address: string): boolean {
  try {
    decodeURIComponent(address.split('?', 1)[0] ?? '')
    return true
  } catch {
    return false
  }
}

function settings(app: Express, { config }: Parts): void {
  app.set('trust proxy', config.trustProxy)
  app.set('query parser', (query: string | null) => parseFields(query ?? '', '&', '=', allFields))
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

const isForm: RequestHandler = (req, _res, next) => {
  // An empty post is an empty form, whatever it calls itself.
  const empty =
    req.get('content-length') === '0' || !('content-length' in req.headers || 'transfer-encoding' in req.headers)
  if (empty || (req.is('urlencoded') && !isForeign.test(req.get('content-type') ?? ''))) return next()
  throw new NotAForm('not a urlencoded form')
}
/** Our pages are in UTF-8, so browsers send their forms in it. */
const isForeign = /;\s*charset=(?!"?utf-?8\b)/i
const longestFormBytes = 16 * 1024
/** Whether a request is longer than any form, by its own word. */
export const isTooLong = ({ headers }: IncomingMessage) => Number(headers['content-length']) > longestFormBytes
/** Who asks before sending the body, with "Expect: 100-continue", has our answer at once. */
const isWelcome: RequestHandler = (req, _res, next) => {
  if (req.get('expect') === undefined || !isTooLong(req)) return next()
  throw new TooLarge('a form that is too long, by its own word')
}
/** The parser reads on past its limit, so that an honest browser gets to our answer; nobody needs to be read longer. */
const longestReadBytes = 16 * 1024 * 1024
const cutOff: RequestHandler = (req, _res, next) => {
  let readBytes = 0
  req.on('data', (part: Buffer) => {
    readBytes += part.length
    if (readBytes > longestReadBytes) req.destroy()
  })
  next()
}
/** However many they are, or one could hide behind the thousandth. */
const allFields = { maxKeys: 0 }
/** express.urlencoded takes time by the square of their number, a second for 16 KiB of "&". */
const readFields: RequestHandler = (req, _res, next) => {
  if (typeof req.body === 'string') req.body = parseFields(req.body, '&', '=', allFields)
  next()
}
const form = [isForm, isWelcome, cutOff, express.text({ type: 'urlencoded', limit: longestFormBytes }), readFields]

type Asset = { url: string; integrity: string }
const assets = new Map<string, Asset>()

/** A file in public/, read once: an address that changes with its content, so that it can be cached for ever. */
function assetOf(file: string): Asset {
  const known = assets.get(file)
  if (known) return known
  const content = readFileSync(join(publicFolder, file))
  const hash = (algorithm: string) => createHash(algorithm).update(content)
  const asset = {
    url: `/${file}?v=${hash('sha256').digest('hex').slice(0, 12)}`,
    integrity: `sha384-${hash('sha384').digest('base64')}`,
  }
  assets.set(file, asset)
  return asset
}

/** For ever where the address is of this very content; while versions change it may be another one's, for another instance. */
function cachingOf(url: string | undefined, file: string): string {
  if (url === assetOf(file).url) return 'public, max-age=31536000, immutable'
  return url?.includes('?') ? 'no-cache' : 'public, max-age=3600'
}

/** The files of public/, and no other method for them than reading. */
function staticFiles(): RequestHandler {
  const files = new Set(publicFiles())
  const router = Router()
  router.use(
    express.static(publicFolder, {
      index: false,
      redirect: false,
      setHeaders: (res, path) => {
        const url = 'req' in res && res.req instanceof IncomingMessage ? res.req.url : undefined
        res.setHeader('Cache-Control', cachingOf(url, basename(path)))
      },
    }),
    onlyBy('GET', 'HEAD'),
  )
  // Whatever else is asked for is not looked for on the disk.
  return (req, res, next) => (files.has(req.path) ? router(req, res, next) : next())
}

/** Their addresses. */
const publicFiles = () => readdirSync(publicFolder).map((file) => `/${file}`)

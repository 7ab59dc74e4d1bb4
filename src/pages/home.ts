import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Request, Response } from 'express'
import { LRUCache } from 'lru-cache'
import type { Config } from '../config.ts'
import type { AddRoute } from '../middleware/routes.ts'
import { type Entered, goodPart, readForm } from './form.ts'
import { lookQuery, lookUrl } from './look.ts'
import { rendered } from './views.ts'
import { words } from './words.ts'

/** What the form opens with: a good first picture, without a click. */
const firstChoice: Entered = {
  seed: '',
  style: 'adventurer',
  backgroundColor: 'ffd29d',
  mood: 'happy',
  animated: '',
}

/** Why the visitor was sent here, as named in the address. */
const notices = new Map<unknown, string>([
  ['declined', words.notices.declined],
  ['sign-in', words.notices.signInAgain],
  ['no-looks', words.notices.noLooks],
  ['no-session', words.notices.noSession],
])

/** The page as it is sent; packed once, for browsers that take it so. */
type Page = { plain: Buffer; br?: Promise<Buffer>; gzip?: Promise<Buffer> }

/** Room for the pages that were asked for last. A page is a function of its address, and of nothing else. */
const pageBytes = 8 * 1024 * 1024

/** GET /: the form, filled from the query where its values are good. Needs no session and no Redis. */
export function homePage(route: AddRoute, config: Config): void {
  const pages = new LRUCache<string, Page>({
    maxSize: pageBytes,
    sizeCalculation: ({ plain }, url) => 2 * (plain.length + url.length),
  })

  route('/', { GET: 'page' }).get(async (req, res) => {
    const page = pages.get(req.url) ?? { plain: Buffer.from(await rendered(res, 'home', shown(req.query, config))) }
    pages.set(req.url, page)
    await send(req, res, page)
  })
}

/** What the page shows. */
function shown(query: Record<string, unknown>, { baseUrl }: Config) {
  const isLink = Object.keys(firstChoice).some((field) => query[field] !== undefined)
  const read = readForm(isLink ? { style: firstChoice.style, ...query } : firstChoice)
  const good = goodPart(read)
  const entered = { ...good, style: good.style || firstChoice.style }
  const look = readForm(entered).choice ?? entered
  const said = [notices.get(query.notice), read.problems.length > 0 ? words.notices.badLink : undefined]
  return {
    choice: entered,
    problems: [],
    notices: said.filter((notice) => notice !== undefined),
    canonical: `${baseUrl}${isLink ? lookUrl(look) : '/'}`,
    ogImage: `${baseUrl}/og.png?${lookQuery(look)}`,
    ...(isLink ? { lookLink: lookUrl(look) } : {}),
  }
}

const packers = {
  br: (plain: Buffer) => promisify(brotliCompress)(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
  gzip: (plain: Buffer) => promisify(gzip)(plain),
}

async function send(req: Request, res: Response, page: Page): Promise<void> {
  const encoding = (['br', 'gzip'] as const).find((one) => req.acceptsEncodings(one, 'identity') === one)
  res.vary('Accept-Encoding').type('html')
  if (encoding === undefined) return void res.send(page.plain)
  const packed = await packedOnce(page, encoding)
  res.set('Content-Encoding', encoding).send(packed)
}

/** What failed is tried anew by the next one who asks. */
function packedOnce(page: Page, encoding: keyof typeof packers): Promise<Buffer> {
  page[encoding] ??= packers[encoding](page.plain).catch((error: unknown) => {
    delete page[encoding]
    throw error
  })
  return page[encoding]
}

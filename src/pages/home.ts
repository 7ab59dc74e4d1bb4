import { LRUCache } from 'lru-cache'
import { fittingFraming, fittingScale } from '../../public/js/circle.js'
import { isEmptyDrawing, lookWith, randomItem, wallSeeds } from '../../public/js/look.js'
import { drawnParts } from '../avatar/drawn.ts'
import type { Config } from '../config.ts'
import type { AddRoute } from '../middleware/routes.ts'
import type { Parts } from '../parts.ts'
import { descriptionOf } from './description.ts'
import { fieldsView, type Query } from './fields-view.ts'
import { type Entered, isLink, type Problem, readForm, readLook } from './form.ts'
import { validEntered } from './form-view.ts'
import { exampleSeed, lookQuery, lookUrl } from './look.ts'
import { partsView } from './parts-view.ts'
import { rendered } from './views.ts'
import { words } from './words.ts'

/** The form's initial values, except the seed. */
const firstLook = { style: 'adventurer', mood: 'happy', backgroundColor: 'ffd29d' }

/** The form opens with one of these seeds filled in. There are only twelve, so that pages can be cached. */
const openingSeeds = wallSeeds(words.script, 1)

/** Notices that tell why the visitor was redirected here, by the value of `notice` in the address. */
const notices = new Map<unknown, string>([
  ['declined', words.notices.declined],
  ['sign-in', words.notices.signInAgain],
  ['no-looks', words.notices.noLooks],
  ['no-session', words.notices.noSession],
  ['signed-out', words.notices.signedOut],
  ['address', words.notices.otherAddress],
  ['forgotten', words.notices.forgotten],
  ['signed-out-everywhere', words.notices.signedOutEverywhere],
  ['not-signed-in', words.notices.notSignedIn],
])

const maxCachedBytes = 8 * 1024 * 1024

/** GET /: the form, filled in with the valid values in the query. Needs neither a session nor Redis. */
export function homePage(route: AddRoute, { config, renderers }: Parts): void {
  // A page depends only on its address and the opening seed. Without this cache it would miss its bound in test/bench,
  // because rendering the tiles of 61 styles takes longer than the rest of the response.
  const pages = new LRUCache<string, Buffer>({
    maxSize: maxCachedBytes,
    sizeCalculation: (page) => page.length,
  })

  route('/', { GET: 'page' }).get(async (req, res) => {
    const openingSeed = isLink(req.query) ? '' : (randomItem(openingSeeds) ?? '')
    const key = `${openingSeed} ${req.url}`
    res.type('html')
    const cached = pages.get(key)
    if (cached) return res.send(cached)
    const { isDrawn, ...values } = await pageOf(req.query, openingSeed)
    const page = Buffer.from(await rendered(res, 'home', values))
    if (isDrawn) pages.set(key, page)
    return res.send(page)
  })

  /** The values of the page. `isDrawn` is false if the look could not be drawn; the next request then tries again. */
  async function pageOf(query: Record<string, unknown>, openingSeed: string) {
    const page = pageWithoutDrawing(query, openingSeed, config)
    const { look, entered, pins, name } = page.form
    const { choice } = readLook(look)
    if (!choice) return { ...page, isDrawn: true }
    // If the look cannot be drawn, every part is offered, and nothing is said about the drawing.
    const [svg, effects] = await Promise.all([
      renderers.draw(choice).catch(() => ''),
      renderers.effects(choice).catch(() => undefined),
    ])
    const fitting = fittingFraming(choice, fittingScale(choice.style, svg))
    const drawn = {
      isEmpty: isEmptyDrawing(choice.style, svg),
      fitUrl: fitting && lookUrl({ ...entered, ...fitting }),
      parts: partsView(look, entered, query.part, pins, effects),
      described: lookWith(words.script, name, descriptionOf(choice, drawnParts(choice, svg))),
    }
    return { ...page, form: { ...page.form, ...drawn }, isDrawn: svg !== '' && effects !== undefined }
  }
}

function pageWithoutDrawing(query: Record<string, unknown>, openingSeed: string, { baseUrl }: Config) {
  const read = readForm(isLink(query) ? { style: firstLook.style, ...query } : { ...firstLook, seed: openingSeed })
  const valid = validEntered(read)
  const entered = { ...valid, style: valid.style || firstLook.style }
  // The look without values that the style ignores, such as the mood of a style without a face.
  const look = readLook(entered).choice ?? entered
  const reasons = [notices.get(query.notice), read.problems.length > 0 ? words.notices.badLink : undefined]
  return {
    ...homeView(entered, [], query),
    notices: reasons.filter((notice) => notice !== undefined),
    mayRestore: query.notice === 'no-looks',
    canonical: `${baseUrl}${isLink(query) ? lookUrl(look) : '/'}`,
    ogImage: `${baseUrl}/og.png?${lookQuery(isLink(query) ? look : firstLook)}`,
    isLink: isLink(query),
  }
}

/** The values of the view `home`. For `query` see `fieldsView`. */
export const homeView = (entered: Entered, problems: Problem[], query: Query = {}) => ({
  notices: [],
  ...fieldsView(entered, problems, query, exampleSeed),
})

import { LRUCache } from 'lru-cache'
import { fittingFraming, fittingScale } from '../../public/js/circle.js'
import { fill, lookWith, oneOf, stillHint, wallSeeds } from '../../public/js/look.js'
import { popular, type Style, styles } from '../avatar/catalogue.ts'
import { drawnParts } from '../avatar/drawn.ts'
import { betterSwatches, faintGrounds } from '../avatar/faint.ts'
import { pinFields } from '../avatar/parts.ts'
import type { Config } from '../config.ts'
import type { AddRoute } from '../middleware/routes.ts'
import type { Parts } from '../parts.ts'
import { drawnText } from './drawn.ts'
import { type Entered, fields, type Problem, readForm, readLook } from './form.ts'
import { formView, lackingMoods, moodFor, validEntered, wallView } from './form-view.ts'
import { exampleSeed, lookQuery, lookUrl, pictureUrl } from './look.ts'
import { partsView } from './parts-view.ts'
import { validPins } from './pins.ts'
import { rendered } from './views.ts'
import { words } from './words.ts'

/** The form's initial values, except the seed. */
const firstLook = { style: 'adventurer', mood: 'happy', backgroundColor: 'ffd29d' }

/**
 * The seeds with which the form may open. The seed is filled in, so that the visitor gets the face of the preview.
 * There are only twelve, so that pages can be cached.
 */
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
  // A page depends only on its address and the opening seed. Without this cache the page would miss its bound in
  // test/bench, because rendering 61 tiles takes longer than the rest of the response.
  const pages = new LRUCache<string, Buffer>({
    maxSize: maxCachedBytes,
    sizeCalculation: (page, url) => page.length + url.length,
  })

  route('/', { GET: 'page' }).get(async (req, res) => {
    const openingSeed = isLink(req.query) ? '' : (oneOf(openingSeeds) ?? '')
    const key = `${openingSeed} ${req.url}`
    const page = pages.get(key) ?? Buffer.from(await rendered(res, 'home', await pageOf(req.query, openingSeed)))
    pages.set(key, page)
    res.type('html').send(page)
  })

  async function pageOf(query: Record<string, unknown>, openingSeed: string) {
    const page = pageWithoutDrawing(query, openingSeed, config)
    const { look, entered, pins, name } = page.form
    const { choice } = readLook(look)
    if (!choice) return page
    // If the look cannot be drawn, every part is offered, and nothing is said about the drawing.
    const [svg, effects] = await Promise.all([
      renderers.draw(choice).catch(() => ''),
      renderers.effects(choice).catch(() => undefined),
    ])
    const fitting = fittingFraming(choice, fittingScale(choice.style, svg))
    const drawn = {
      fitUrl: fitting && lookUrl({ ...entered, ...fitting }),
      parts: partsView(look, entered, query.part, pins, effects),
      described: lookWith(words.script, name, drawnText(choice, drawnParts(choice, svg))),
    }
    return { ...page, form: { ...page.form, ...drawn } }
  }
}

/** Whether the address contains a look. If that look has no seed, the form chooses the visitor's Discord username. */
export const isLink = (query: Record<string, unknown>) =>
  ['seedFrom', ...fields, ...pinFields].some((field) => query[field] !== undefined)

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

/** The tiles of the styles. The popular styles come first, because the filter "Popular" is selected initially. */
const styleTiles = [
  ...popular.flatMap((name) => styles.filter((style) => style.name === name)),
  ...styles.filter(({ name }) => !popular.includes(name)),
].map((style) => ({
  ...style,
  isPopular: popular.includes(style.name),
  lacks: lackingMoods(style).join(' '),
  faint: faintGrounds(style.name).join(' '),
  better: betterSwatches(style.name).join(' '),
}))

const isInFilter: Record<string, (style: Style) => boolean> = {
  popular: ({ name }) => popular.includes(name),
  moving: ({ animated }) => animated,
  all: () => true,
}

const filters = Object.entries(words.groups).map(([name, title]) => ({
  name,
  title,
  count: styles.filter(isInFilter[name] ?? (({ group }) => group === name)).length,
}))

const movingStyles = styleTiles.filter(({ animated }) => animated)
const moves = {
  hint: fill(words.home.animatedHint, { count: movingStyles.length }),
  names: movingStyles.slice(0, 3).map(({ title }) => title),
}

/** The values of the view `home`. For `query` see `fieldsView`. */
export const homeView = (entered: Entered, problems: Problem[] = [], query: Query = {}) => ({
  notices: [],
  ...fieldsView(entered, problems, query, exampleSeed),
})

type Query = Readonly<Record<string, unknown>>

/**
 * The values of the cards of a form (views/partials/fields.ejs). The query names the selected filter, the open part and
 * the open wall of faces. The pictures are drawn from `fallbackSeed` if the seed is empty or wrong.
 */
export function fieldsView(entered: Entered, problems: Problem[], query: Query, fallbackSeed: string) {
  const form = formView(entered, problems, fallbackSeed)
  const isMoving = form.isAnimated && form.style?.animated === true
  return {
    filters,
    filter: (filters.find(({ name }) => name === query.filter) ?? filters[0])?.name,
    moves,
    form: {
      ...form,
      parts: partsView(form.look, entered, query.part, form.pins),
      wall: wallView(query.wall, form.look),
      stillHint:
        form.style && form.isAnimated && !isMoving ? stillHint(words.script, form.style.title, moves.names) : '',
      preview: pictureUrl({ ...form.look, animated: isMoving }),
      /** The preview for visitors who prefer reduced motion. */
      stillPreview: isMoving ? pictureUrl(form.look) : undefined,
      styles: styleTiles.map((style) => ({
        ...style,
        picture: pictureUrl({
          ...form.look,
          style: style.name,
          mood: moodFor(style, entered.mood),
          pins: validPins(style.name, entered.pins),
        }),
      })),
      moods: form.moods.map((mood) => ({
        ...mood,
        picture: pictureUrl({ ...form.look, mood: mood.isLacking ? '' : mood.value }),
      })),
    },
  }
}

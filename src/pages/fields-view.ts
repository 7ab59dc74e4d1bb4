import { fill, stillHint } from '../../public/js/look.js'
import { popular, type Style, styles } from '../avatar/catalogue.ts'
import { betterSwatches, faintBackgrounds } from '../avatar/faint.ts'
import type { Entered, Problem } from './form.ts'
import { formView, lackingMoods, moodFor, wallView } from './form-view.ts'
import { pictureUrl } from './look.ts'
import { partsView } from './parts-view.ts'
import { validPins } from './pins.ts'
import { words } from './words.ts'

/** The tiles of the styles. The popular styles come first, because the filter "Popular" is selected initially. */
const styleTiles = [
  ...popular.flatMap((name) => styles.filter((style) => style.name === name)),
  ...styles.filter(({ name }) => !popular.includes(name)),
].map((style) => ({
  ...style,
  isPopular: popular.includes(style.name),
  lacks: lackingMoods(style).join(' '),
  faint: faintBackgrounds(style.name).join(' '),
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

export type Query = Readonly<Record<string, unknown>>

/**
 * The values of the cards of a form (views/partials/fields.ejs). The query names the selected filter, the open part and
 * the open wall (see `wallView`). The pictures are drawn from `fallbackSeed` if the seed is empty or wrong.
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

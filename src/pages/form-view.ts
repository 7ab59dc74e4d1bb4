import { fill, hexColour, moodHint } from '../../public/js/look.js'
import { findStyle, moods, palette, popular, type Style } from '../avatar/catalogue.ts'
import type { Choice } from '../avatar/choice.ts'
import type { Entered, Problem } from './form.ts'
import { exampleSeed, lookUrl, nameOfLook, pictureUrl } from './look.ts'
import { words } from './words.ts'

/**
 * What a view shows of a form: what was entered, what is wrong with it, and what there is to choose from.
 * `fallbackSeed` is for the pictures, where the seed is empty or wrong.
 */
export function formView(entered: Entered, problems: Problem[], fallbackSeed: string) {
  const problem = new Map(problems.map(({ field, message }) => [field, message]))
  const style = findStyle(entered.style)
  const seed = problem.has('seed') ? '' : entered.seed
  const mood = style ? moodFor(style, entered.mood) : ''
  return {
    entered,
    problems,
    problem: (field: Problem['field']) => problem.get(field),
    style,
    fallbackSeed,
    isAnimated: entered.animated === 'on',
    name: style ? nameOfLook({ style: style.name, mood }) : '',
    credit: style ? fill(words.script.by, { creator: style.creator }) : '',
    ...moodsView(style, entered.mood),
    background: backgroundView(entered.backgroundColor),
    /** The entered values that can be drawn, for previews. */
    look: {
      seed: seed || fallbackSeed,
      style: style?.name ?? popular[0] ?? '',
      backgroundColor: hexColour(entered.backgroundColor) ?? '',
      mood,
    },
  }
}

/** The mood, or none if the style cannot show it. */
export const moodFor = (style: Style, mood: string) => (style.moods.includes(mood) ? mood : '')

/** The moods that a style cannot show. */
export const lackingMoods = (style: Style) => moods.filter((mood) => !style.moods.includes(mood))

/** The mood that was entered is never disabled: a disabled field would not be sent again. */
function moodsView(style: Style | undefined, entered: string) {
  const lacking = style ? lackingMoods(style) : []
  return {
    moodHint: style ? moodHint(words.script, style.title, lacking) : '',
    moods: ['', ...moods].map((mood) => ({
      value: mood,
      title: words.moods[mood] ?? words.home.anyMood,
      isChosen: mood === entered,
      isLacking: lacking.includes(mood),
      isDisabled: lacking.includes(mood) && mood !== entered,
    })),
  }
}

function backgroundView(entered: string) {
  const colour = hexColour(entered)
  const isNone = entered === '' || entered === 'transparent'
  return {
    isNone,
    swatches: palette.map(({ value, name }) => ({ value, title: words.colours[name], isChosen: value === colour })),
    /** In the colour well: the colour that was entered, or the first swatch. */
    wellColour: colour ?? palette[0]?.value ?? '',
    ownColour: palette.some(({ value }) => value === colour) ? undefined : colour,
    /** What was entered, if it is no colour. */
    invalidColour: isNone || colour ? undefined : entered,
  }
}

/** A choice in words, with its picture and the address of the form filled in with it. */
export function choiceView(choice: Choice) {
  const swatch = palette.find(({ value }) => value === choice.backgroundColor)
  return {
    choice,
    style: findStyle(choice.style)?.title,
    mood: words.moods[choice.mood] ?? words.home.anyMood,
    background: swatch
      ? words.colours[swatch.name]
      : choice.backgroundColor
        ? `#${choice.backgroundColor}`
        : words.home.none,
    seed: choice.seed,
    picture: pictureUrl({ ...choice, seed: choice.seed || exampleSeed, animated: false }),
    url: lookUrl(choice),
  }
}

import { backgroundOf, fill, hexColour, type Look, moodHint, wallCount, wallSeeds } from '../../public/js/look.js'
import { findStyle, moods, palette, popular, type Style } from '../avatar/catalogue.ts'
import type { Choice } from '../avatar/choice.ts'
import type { Entered, Field, Problem, ReadForm } from './form.ts'
import { exampleSeed, lookUrl, nameOfLook, pictureUrl } from './look.ts'
import { words } from './words.ts'

/**
 * What a view shows of a form: what was entered, what is wrong with it, and what there is to choose from.
 * `fallbackSeed` is for the pictures, where the seed is empty or wrong.
 */
export function formView(entered: Entered, problems: Problem[], fallbackSeed: string) {
  const problem = new Map(problems.map(({ field, message }) => [field, message]))
  const style = findStyle(entered.style)
  const good = goodPart({ entered, problems })
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
    carried: carried.map((name) => ({ name, value: entered[name], message: problem.get(name) })),
    /** The entered values that can be drawn, for previews. Not animated. */
    look: {
      ...good,
      seed: good.seed || fallbackSeed,
      style: style?.name ?? popular[0] ?? '',
      backgroundColor: backgroundOf(entered.backgroundColor),
      backgroundColor2: hexColour(entered.backgroundColor2) ?? '',
      mood,
      animated: '',
    },
  }
}

/** What was entered, with an empty text for each field that is wrong. */
export function goodPart({ entered, problems }: Pick<ReadForm, 'entered' | 'problems'>): Entered {
  const wrong = problems.map(({ field }) => [field, ''])
  return { ...entered, ...Object.fromEntries(wrong) }
}

/** Fields that have no control on the page: what came with a link is sent on. */
const carried: Field[] = [
  'backgroundColorFill',
  'backgroundColor2',
  'backgroundColorAngle',
  'scale',
  'translateX',
  'translateY',
  'rotate',
  'flip',
]

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
  const isOwn = entered === 'own'
  return {
    isNone,
    /** The style's own. */
    isOwn,
    swatches: palette.map(({ value, name }) => ({ value, title: words.colours[name], isChosen: value === colour })),
    /** In the colour well: the colour that was entered, or the first swatch. */
    wellColour: colour ?? palette[0]?.value ?? '',
    ownColour: palette.some(({ value }) => value === colour) ? undefined : colour,
    /** What was entered, if it is no colour. */
    invalidColour: isNone || isOwn || colour ? undefined : entered,
  }
}

/** Twelve faces in this look; undefined unless the address has the number of a wall. */
export function wallView(entered: unknown, look: Look & { seed: string; style: string }) {
  const count = wallCount(words.script)
  const number = typeof entered === 'string' && /^[1-9]\d{0,3}$/.test(entered) ? Number(entered) : 0
  if (number < 1 || number > count) return undefined
  const faces = wallSeeds(words.script, number).map((seed) => ({ seed, picture: pictureUrl({ ...look, seed }) }))
  return { number, next: (number % count) + 1, faces }
}

/** A choice in words, with its picture and the address of the form filled in with it. */
export function choiceView(choice: Choice) {
  return {
    choice,
    style: findStyle(choice.style)?.title,
    mood: words.moods[choice.mood] ?? words.home.anyMood,
    background: backgroundName(choice),
    seed: choice.seed,
    picture: pictureUrl({ ...choice, seed: choice.seed || exampleSeed, animated: false }),
    url: lookUrl(choice),
  }
}

function backgroundName({ backgroundColor, backgroundColor2 }: Choice): string {
  if (backgroundColor === '') return words.home.none
  if (backgroundColor === 'own') return words.home.stylesOwn
  if (!backgroundColor2) return colourName(backgroundColor)
  return fill(words.home.gradient, { first: colourName(backgroundColor), second: colourName(backgroundColor2) })
}

function colourName(colour: string): string {
  const swatch = palette.find(({ value }) => value === colour)
  return (swatch && words.colours[swatch.name]) ?? `#${colour}`
}

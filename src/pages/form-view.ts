import {
  backgroundOf,
  fill,
  hexColour,
  type Look,
  moodHint,
  ownPartsHint,
  wallCount,
  wallSeeds,
} from '../../public/js/look.js'
import { findStyle, moods, popular, type Style } from '../avatar/catalogue.ts'
import type { Choice } from '../avatar/choice.ts'
import { backgroundName, backgroundView } from './background-view.ts'
import type { Entered, Problem, ReadForm } from './form.ts'
import { framingView } from './framing-view.ts'
import { exampleSeed, lookUrl, nameOfLook, pictureUrl } from './look.ts'
import { validPins } from './pins.ts'
import { words } from './words.ts'

/**
 * What was entered in a form, what is wrong with it, and what can be chosen. `fieldsView` adds the parts, the tiles of
 * the styles and the preview. Pictures are drawn from `fallbackSeed` if the seed is empty or wrong.
 */
export function formView(entered: Entered, problems: Problem[], fallbackSeed: string) {
  const problem = new Map(problems.map(({ field, message }) => [field, message]))
  const style = findStyle(entered.style)
  const valid = validEntered({ entered, problems })
  const mood = style ? moodFor(style, entered.mood) : ''
  const drawnStyle = style?.name ?? popular[0] ?? ''
  /** The entered values that can be drawn, for previews that do not move. */
  const look = {
    ...valid,
    seed: valid.seed || fallbackSeed,
    style: drawnStyle,
    pins: validPins(drawnStyle, valid.pins),
    backgroundColor: backgroundOf(entered.backgroundColor),
    backgroundColor2: hexColour(entered.backgroundColor2) ?? '',
    mood,
    animated: '',
  }
  return {
    entered,
    problems,
    problem: (field: string) => problem.get(field),
    style,
    fallbackSeed,
    isAnimated: entered.animated === 'on',
    /** Whether the seed will be the Discord username. */
    isFromUsername: entered.seed === '' && !problem.has('seed'),
    name: style ? nameOfLook({ style: style.name, mood }) : '',
    credit: style ? fill(words.script.by, { creator: style.creator }) : '',
    ...moodsView(style, entered),
    background: backgroundView(entered, style),
    framing: framingView(entered, look, style),
    /** The entered parts and colours, also those of other styles. */
    pins: Object.entries(entered.pins).map(([name, value]) => {
      return { name, value, label: words.problems.pins(name), message: problem.get(name) }
    }),
    look,
  }
}

/** What was entered, but empty for each field that is wrong. */
export function validEntered({ entered, problems }: Pick<ReadForm, 'entered' | 'problems'>): Entered {
  const { pins, ...texts } = entered
  const wrong = new Set(problems.map(({ field }) => field))
  const validTexts = Object.entries(texts).map(([field, value]) => [field, wrong.has(field) ? '' : value])
  const pinEntries = Object.entries(pins).filter(([field]) => !wrong.has(field))
  return { ...entered, ...Object.fromEntries(validTexts), pins: Object.fromEntries(pinEntries) }
}

/** The mood if the style can show it, otherwise ''. */
export const moodFor = (style: Style, mood: string) => (style.moods.includes(mood) ? mood : '')

/** The moods that a style cannot show. */
export const lackingMoods = (style: Style) => moods.filter((mood) => !style.moods.includes(mood))

/** The values of the card "Mood". The entered mood is never disabled, because browsers do not send a disabled field. */
function moodsView(style: Style | undefined, { mood: entered, pins }: Entered) {
  const lacking = style ? lackingMoods(style) : []
  return {
    moodHint: style ? moodHint(words.script, style.title, lacking) + ownPartsHint(words.script, pins) : '',
    moods: ['', ...moods].map((mood) => ({
      value: mood,
      title: words.moods[mood] ?? words.home.anyMood,
      isChosen: mood === entered,
      isLacking: lacking.includes(mood),
      isDisabled: lacking.includes(mood) && mood !== entered,
    })),
  }
}

/** A wall: twelve faces in this look, each with another seed. Undefined unless `entered` is the number of a wall. */
export function wallView(entered: unknown, look: Look & { seed: string; style: string }) {
  const count = wallCount(words.script)
  const number = typeof entered === 'string' && /^[1-9]\d{0,3}$/.test(entered) ? Number(entered) : 0
  if (number < 1 || number > count) return undefined
  const faces = wallSeeds(words.script, number).map((seed) => ({ seed, picture: pictureUrl({ ...look, seed }) }))
  return { number, next: (number % count) + 1, faces }
}

/** A choice in words, and the address of its picture. `url` opens the form with this choice filled in. */
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

import {
  backgroundOf,
  fill,
  flips,
  gradients,
  hexColour,
  isFaint,
  type Look,
  measure,
  moodHint,
  ownPartsHint,
  ranges,
  wallCount,
  wallSeeds,
} from '../../public/js/look.js'
import { findStyle, framings, moods, palette, popular, type Style } from '../avatar/catalogue.ts'
import type { Choice } from '../avatar/choice.ts'
import { betterSwatches, faintGrounds } from '../avatar/faint.ts'
import type { Field } from './fields.ts'
import type { Entered, Problem, ReadForm } from './form.ts'
import { exampleSeed, lookUrl, nameOfLook, pictureUrl } from './look.ts'
import { validPins } from './pins.ts'
import { words } from './words.ts'

/**
 * The values of a form for views: what was entered, what is wrong with it, and what can be chosen. The pictures are
 * drawn from `fallbackSeed` if the seed is empty or wrong.
 */
export function formView(entered: Entered, problems: Problem[], fallbackSeed: string) {
  const problem = new Map(problems.map(({ field, message }) => [field, message]))
  const style = findStyle(entered.style)
  const valid = validEntered({ entered, problems })
  const mood = style ? moodFor(style, entered.mood) : ''
  const drawnStyle = style?.name ?? popular[0] ?? ''
  /** The entered values without those that cannot be drawn, for previews that do not move. */
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
  const wrong = Object.fromEntries(problems.map(({ field }) => [field, '']))
  const entries = Object.entries(pins).filter(([field]) => !(field in wrong))
  const validTexts = Object.entries(texts).map(([field, value]) => [field, wrong[field] ?? value])
  return { ...entered, ...Object.fromEntries(validTexts), pins: Object.fromEntries(entries) }
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

const backgroundFields = [
  'backgroundColor',
  'backgroundColorFill',
  'backgroundColor2',
  'backgroundColorAngle',
] as const satisfies Field[]

function backgroundView(entered: Entered, style: Style | undefined) {
  const isOwn = entered.backgroundColor === 'own'
  const isNone = ['', 'transparent'].includes(entered.backgroundColor)
  const first = {
    ...coloursView(isNone || isOwn ? '' : entered.backgroundColor),
    hasWell: true,
    none: true,
    isNone,
    stylesOwn: { isOffered: isOwn || style?.ownBackground === true, isChosen: isOwn },
  }
  return {
    isFaint: style !== undefined && isFaint(faintGrounds(style.name), entered.backgroundColor),
    better: (style ? betterSwatches(style.name) : []).map((value) => ({
      value,
      title: words.colours[palette.find((swatch) => swatch.value === value)?.name ?? ''],
      url: lookUrl({ ...entered, backgroundColor: value, backgroundColorFill: '' }),
    })),
    fields: backgroundFields,
    first,
    fills: ['', ...gradients].map((value) => ({
      value,
      title: words.fills[value],
      isChosen: value === entered.backgroundColorFill.replace('solid', ''),
    })),
    second: {
      ...coloursView(entered.backgroundColor2, palette[secondSwatch]?.value),
      // The colour input is only there if a gradient is chosen. Otherwise the script adds it later.
      hasWell: gradients.some((one) => one === entered.backgroundColorFill),
    },
    angle: sliderView('backgroundColorAngle', entered.backgroundColorAngle, { min: 0, step: 15 }),
  }
}

/**
 * The index of the swatch that is the second colour if none was entered. It differs from the first colour's default.
 */
const secondSwatch = 3

/** The values of the swatches and the colour input for one colour. `initial` is chosen if nothing was entered. */
function coloursView(entered: string, initial?: string) {
  const colour = hexColour(entered) ?? (entered === '' ? initial : undefined)
  return {
    swatches: palette.map(({ value, name }) => ({ value, title: words.colours[name], isChosen: value === colour })),
    /** The value of the colour input: the entered colour, or the first swatch. */
    wellColour: colour ?? palette[0]?.value ?? '',
    ownColour: palette.some(({ value }) => value === colour) ? undefined : colour,
    /** The entered text if it is not a colour. */
    invalidColour: entered === '' || colour ? undefined : entered,
  }
}

const framingFields = ['scale', 'translateX', 'translateY', 'rotate', 'flip'] as const satisfies Field[]

function framingView(entered: Entered, look: PictureLook, style: Style | undefined) {
  /** Whether the style is a pattern, whose edges would be visible at a smaller scale. */
  const isEdgeToEdge = style?.edgeToEdge === true
  const scale = entered.scale === '' ? ranges.scale.initial : Number(entered.scale)
  const mirror = entered.flip === 'none' ? '' : entered.flip
  const isOwnScale = !framings.some(({ scale: one }) => one === scale)
  const sliders = (['translateX', 'translateY', 'rotate'] as const).map((name) => sliderView(name, entered[name]))
  const percent = Math.round(100 * scale)
  return {
    fields: framingFields,
    hint: style && isEdgeToEdge ? fill(words.script.edgeToEdge, { style: style.title }) : '',
    scales: framings.map(({ name, scale: one }) => {
      const value = one === ranges.scale.initial ? '' : String(one)
      return {
        value,
        title: words.framings[name],
        isChosen: one === scale,
        // The entered value is never disabled, because browsers do not send a disabled field.
        isDisabled: isEdgeToEdge && one < ranges.scale.initial && one !== scale,
        picture: pictureUrl({ ...look, scale: value }),
      }
    }),
    /** The radio button for a scale that the tiles do not have, which the slider sets. */
    ownScale: {
      value: entered.scale,
      isChosen: isOwnScale,
      text: isOwnScale ? measure(String(percent), words.script.units.scale) : '',
    },
    size: {
      min: 100 * ranges.scale.min,
      max: 100 * ranges.scale.max,
      value: percent,
      text: measure(String(percent), words.script.units.scale),
    },
    sliders,
    mirror: { value: flips.find((one) => one === mirror) ?? flips[0], isChosen: flips.some((one) => one === mirror) },
    isAdjusted: isOwnScale || mirror !== '' || sliders.some(({ isSet }) => isSet),
  }
}

type PictureLook = Parameters<typeof pictureUrl>[0]

function sliderView(name: 'backgroundColorAngle' | 'translateX' | 'translateY' | 'rotate', entered: string, own = {}) {
  const { min, max, initial } = { ...ranges[name], ...own }
  const value = entered === '' ? String(initial) : entered
  // If the entered number is not a multiple of the step, any number is allowed, because a browser would round the
  // entered one.
  const step = { step: 1, ...own }.step
  return {
    name,
    title: words.sliders[name],
    entered,
    value,
    isSet: Number(value) !== initial,
    text: measure(value, words.script.units[name]),
    min: Math.min(min, Number(value) || 0),
    max,
    step: Number(value) % step === 0 ? step : 'any',
  }
}

/**
 * The twelve faces of a wall in this look. `entered` is the number of the wall in the query; undefined if it is not
 * one.
 */
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

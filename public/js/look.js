// A look - style, mood, background, seed - as an address and in words. The server imports this module too, so that both
// sides build the same addresses and texts.

/** The fields of a look, in the order of an address. */
export const lookFields = /** @type {const} */ ([
  'seed',
  'style',
  'backgroundColor', // six hex digits, "own" for the style's own, or empty for none
  'backgroundColorFill',
  'backgroundColor2',
  'backgroundColorAngle', // degrees
  'mood',
  'scale',
  'translateX', // percent
  'translateY',
  'rotate', // degrees
  'flip',
  'animated',
])

/**
 * The fields as entered or as checked. A missing or empty one has DiceBear's default.
 * `pins` are the parts and colours that are chosen, under DiceBear's names.
 * @typedef {{ [Name in (typeof lookFields)[number]]?: string | number | boolean | undefined }
 *   & { pins?: Readonly<Record<string, string>> | undefined }} Look
 */

/**
 * Whether a field of the form pins a part or a colour.
 * @param {string} field
 */
export const isPin = (field) => /^[a-z]\w*(Variant|Color)$/.test(field) && field !== 'backgroundColor'

/**
 * The fields that are numbers, with DiceBear's default as `initial`. Beyond these bounds DiceBear would draw next to
 * nothing.
 */
export const ranges = {
  backgroundColorAngle: { min: -360, max: 360, initial: 0 },
  scale: { min: 0.5, max: 2, initial: 1 },
  translateX: { min: -50, max: 50, initial: 0 },
  translateY: { min: -50, max: 50, initial: 0 },
  rotate: { min: -45, max: 45, initial: 0 },
}

/** @type {Map<string, number>} */
const initialOf = new Map(Object.entries(ranges).map(([name, { initial }]) => [name, initial]))

/**
 * "−5°", or "120 %": a number with its unit, and a minus sign instead of a hyphen.
 * @param {string} number
 * @param {string} unit
 */
export const measure = (number, unit) => number.replace('-', '−') + unit

/** A background of two colours. */
export const gradients = /** @type {const} */ (['linear', 'radial'])

/** Mirrored left to right, upside down, or both. */
export const flips = /** @type {const} */ (['horizontal', 'vertical', 'both'])

/**
 * The fields of a look that are not at their default, as names and values of a form. What describes a gradient is left
 * out unless there are two colours for it.
 * @param {Look} look
 * @returns {[name: string, value: string][]}
 */
export function lookEntries(look) {
  const { backgroundColorFill, backgroundColor2, backgroundColorAngle, ...others } = look
  const isGradient =
    gradients.some((fill) => fill === backgroundColorFill) &&
    isColour(look.backgroundColor) &&
    isColour(backgroundColor2)
  /** @type {Look} */
  const known = isGradient ? look : others
  /** @type {[name: string, value: string][]} */
  const entries = lookFields.flatMap((name) => {
    const value = name === 'animated' && known.animated ? 'on' : String(known[name] || '')
    const isDefault = value === '' || Number(value) === initialOf.get(name) || (name === 'flip' && value === 'none')
    return isDefault ? [] : [[name, value]]
  })
  return [...entries, ...Object.entries(look.pins ?? {}).filter(([, value]) => value !== '')]
}

/** @param {unknown} value */
const isColour = (value) => typeof value === 'string' && hexColour(value) !== undefined

/** In code points, after trimming. */
export const maxSeedLength = 128

/** @param {string} seed */
export const seedLength = (seed) => [...seed].length

/**
 * A colour as six lower-case hex digits; undefined if the text is none.
 * @param {string} text
 */
export const hexColour = (text) => /^#?([0-9a-f]{6})$/i.exec(text)?.[1]?.toLowerCase()

/**
 * A background as entered: six lower-case hex digits, "own", or empty for none and for what is no colour.
 * @param {string} text
 */
export const backgroundOf = (text) => (text === 'own' ? text : (hexColour(text) ?? ''))

/**
 * Address of the live preview.
 * @param {Look & { seed: string, style: string }} look
 */
export const pictureUrl = (look) => `/preview.svg?${new URLSearchParams(lookEntries(look))}`

/**
 * The fields of a look in an address. No background is written as "transparent", because a missing field could mean
 * that the background was not chosen.
 * @param {Look} look
 */
export const lookQuery = (look) =>
  new URLSearchParams(lookEntries({ ...look, backgroundColor: look.backgroundColor || 'transparent' }))

/**
 * Address of the form filled in with a look.
 * @param {Look} look
 */
export const lookUrl = (look) => `/?${lookQuery(look)}`

/**
 * "{style} has no face" with { style: 'Rings' } is "Rings has no face".
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (placeholder, name) => String(values[name] ?? placeholder))
}

/**
 * A name or seed for a text where no <bdi> can stand: its direction does not change that of the text around it, as it has
 * no control of its own that would end the isolate. https://www.unicode.org/reports/tr9/#Explicit_Directional_Isolates
 * @param {string} name
 */
export const isolate = (name) => `\u2068${name.replace(/\p{Bidi_Control}/gu, '')}\u2069`

/**
 * The texts that these functions need, from src/pages/words.ts. A mood is `inText` in "Adventurer, happy" and `look` in
 * "can't look happy".
 * @typedef {object} LookTexts
 * @property {string} locale
 * @property {string} look
 * @property {string} moodAll
 * @property {string} moodSome
 * @property {string} moodNone
 * @property {string} still
 * @property {Record<string, { inText: string, look: string }>} moods
 */

/**
 * "Adventurer, happy", or "Adventurer" without a mood.
 * @param {LookTexts} texts
 * @param {string} styleTitle
 * @param {string} mood
 */
export function lookName(texts, styleTitle, mood) {
  const name = texts.moods[mood]?.inText
  return name ? fill(texts.look, { style: styleTitle, mood: name }) : styleTitle
}

/**
 * The hint below the moods: which of them a style cannot show.
 * @param {LookTexts} texts
 * @param {string} styleTitle
 * @param {readonly string[]} lacking
 */
export function moodHint(texts, styleTitle, lacking) {
  if (lacking.length === 0) return fill(texts.moodAll, { style: styleTitle })
  if (lacking.length === Object.keys(texts.moods).length) return fill(texts.moodNone, { style: styleTitle })
  const list = new Intl.ListFormat(texts.locale, { type: 'disjunction' })
  return fill(texts.moodSome, {
    style: styleTitle,
    moods: list.format(lacking.map((mood) => texts.moods[mood]?.look ?? mood)),
  })
}

/**
 * What is said instead of moving: the style does not, these others do.
 * @param {LookTexts} texts
 * @param {string} styleTitle
 * @param {readonly string[]} movers titles of styles that move
 */
export function stillHint(texts, styleTitle, movers) {
  const list = new Intl.ListFormat(texts.locale, { type: 'conjunction' })
  return fill(texts.still, { style: styleTitle, styles: list.format(movers) })
}

/**
 * The words of rolled seeds, from src/pages/words.ts, each in a text with spaces between.
 * @typedef {object} SeedTexts
 * @property {string} rollFirst
 * @property {string} rollSecond
 */

const facesPerWall = 12
/** Prime, and no divisor of the number of pairs: counting by it meets each pair once, in no order that shows. */
const step = 997

/** @param {SeedTexts} texts */
const wordsOf = ({ rollFirst, rollSecond }) => ({ firsts: rollFirst.split(' '), seconds: rollSecond.split(' ') })

/**
 * The number of walls on which no seed is repeated; they are numbered from 1.
 * @param {SeedTexts} texts
 */
export function wallCount(texts) {
  const { firsts, seconds } = wordsOf(texts)
  return Math.floor((firsts.length * seconds.length) / facesPerWall)
}

/**
 * The twelve seeds of a wall of faces: the same number is the same wall for everybody.
 * @param {SeedTexts} texts
 * @param {number} wall
 */
export function wallSeeds(texts, wall) {
  const { firsts, seconds } = wordsOf(texts)
  return Array.from({ length: facesPerWall }, (_, i) => {
    const pair = (((wall - 1) * facesPerWall + i) * step) % (firsts.length * seconds.length)
    return `${firsts[pair % firsts.length]} ${seconds[Math.floor(pair / firsts.length)]}`
  })
}

/**
 * A seed by chance.
 * @param {SeedTexts} texts
 */
export function rolledSeed(texts) {
  const { firsts, seconds } = wordsOf(texts)
  return `${oneOf(firsts)} ${oneOf(seconds)}`
}

/**
 * @template Item
 * @param {readonly Item[]} items
 */
export const oneOf = (items) => items[Math.floor(Math.random() * items.length)]

// A look (seed, style, mood, background, framing, parts) as an address and in words. The server imports this module,
// too, so that it builds the same addresses and texts as the browser.

/** The fields of a look, in the order that they have in an address. */
export const lookFields = /** @type {const} */ ([
  'seed',
  'style',
  'backgroundColor', // six hex digits, "own" for the style's own background, or empty for none
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
 * The fields of a look, entered or checked. A field that is missing or empty has DiceBear's default. `pins` are the
 * chosen parts and colours, by DiceBear's names.
 * @typedef {{ [Name in (typeof lookFields)[number]]?: string | number | boolean | undefined }
 *   & { pins?: Readonly<Record<string, string>> | undefined }} Look
 */

/**
 * Whether a form field is for a part or a colour.
 * @param {string} field
 */
export const isPin = (field) => /^[a-z]\w*(Variant|Color)$/.test(field) && field !== 'backgroundColor'

/**
 * The fields that are numbers. `initial` is DiceBear's default. Outside these limits almost nothing would be visible.
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
 * A number with its unit, such as "120 %", and with a minus sign instead of a hyphen, as in "−5°".
 * @param {string} number
 * @param {string} unit
 */
export const measure = (number, unit) => number.replace('-', '−') + unit

/** The kinds of gradient between two background colours. */
export const gradients = /** @type {const} */ (['linear', 'radial'])

/** The ways to mirror a drawing: left to right, upside down, or both. */
export const flips = /** @type {const} */ (['horizontal', 'vertical', 'both'])

/**
 * The fields of a look that do not have their default, as names and values of a form. The fields of a gradient are left
 * out unless the look has two colours.
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

/** The longest seed after trimming, in code points. */
export const maxSeedLength = 128

/** @param {string} seed */
export const seedLength = (seed) => [...seed].length

/**
 * The colour in a text as six lower-case hex digits; undefined if the text is not a colour.
 * @param {string} text
 */
export const hexColour = (text) => /^#?([0-9a-f]{6})$/i.exec(text)?.[1]?.toLowerCase()

/**
 * The background in a text: six lower-case hex digits, "own" for the style's own, or '' for any other text.
 * @param {string} text
 */
export const backgroundOf = (text) => (text === 'own' ? text : (hexColour(text) ?? ''))

/** The colours behind an avatar without a background: those of Discord's dark theme and of its light theme. */
export const themeColours = ['313338', 'ffffff']

/**
 * Whether a look is hardly visible on its background or, without a background, in one of Discord's themes.
 * @param {readonly string[]} faintBackgrounds the backgrounds on which the style is hardly visible
 * @param {string} backgroundColor
 */
export function isFaint(faintBackgrounds, backgroundColor) {
  const colour = hexColour(backgroundColor)
  if (colour !== undefined) return faintBackgrounds.includes(colour)
  return backgroundColor !== 'own' && themeColours.some((theme) => faintBackgrounds.includes(theme))
}

/**
 * Whether an SVG shows nothing but its background. This happens in the style Initials if the seed has no letters. All
 * other styles always show something.
 * @param {string} style
 * @param {string} svg
 */
export const isEmptyDrawing = (style, svg) =>
  style === 'initials' && svg !== '' && !/<text\b[^>]*>\s*[^<\s\p{Default_Ignorable_Code_Point}]/u.test(svg)

/**
 * The address of a look's picture for the form and its live preview.
 * @param {Look & { seed: string, style: string }} look
 */
export const pictureUrl = (look) => `/preview.svg?${new URLSearchParams(lookEntries(look))}`

/**
 * The fields of a look as a query. "No background" is written as "transparent", because a missing field would mean that
 * no background has been chosen yet.
 * @param {Look} look
 */
export const lookQuery = (look) =>
  new URLSearchParams(lookEntries({ ...look, backgroundColor: look.backgroundColor || 'transparent' }))

/**
 * The address of the form filled in with a look.
 * @param {Look} look
 */
export const lookUrl = (look) => `/?${lookQuery(look)}`

/**
 * Fills in the placeholders of a text: "{style} has no face" with { style: 'Rings' } becomes "Rings has no face".
 * @param {string} text
 * @param {Record<string, string | number>} values
 */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (placeholder, name) => String(values[name] ?? placeholder))
}

/**
 * Isolates the writing direction of a name or seed from the text around it, in places where <bdi> cannot be used.
 * Control characters that would end the isolation are removed.
 * https://www.unicode.org/reports/tr9/#Explicit_Directional_Isolates
 * @param {string} name
 */
export const isolate = (name) => `\u2068${name.replace(/\p{Bidi_Control}/gu, '')}\u2069`

/**
 * The texts that these functions need, from src/pages/words.ts.
 * @typedef {object} LookTexts
 * @property {string} locale
 * @property {string} look
 * @property {string} lookWith
 * @property {string} edgeToEdge
 * @property {string} lowerEdge
 * @property {string} moodAll
 * @property {string} moodSome
 * @property {string} moodNone
 * @property {string} still
 * @property {Record<string, string>} ownParts
 * @property {Record<string, string>} moods
 */

/**
 * The name of a look: "Adventurer, happy", or "Adventurer" without a mood.
 * @param {LookTexts} texts
 * @param {string} styleTitle
 * @param {string} mood
 */
export function lookName(texts, styleTitle, mood) {
  const moodText = texts.moods[mood]
  return moodText ? fill(texts.look, { style: styleTitle, mood: moodText }) : styleTitle
}

/**
 * The name of a look with the description of its drawing, if there is one: "Adventurer, happy, with short hair and
 * brown skin".
 * @param {LookTexts} texts
 * @param {string} look
 * @param {string} drawn
 */
export const lookWith = (texts, look, drawn) => (drawn ? fill(texts.lookWith, { look, drawn }) : look)

/**
 * The hint beside the moods, which names those that the style cannot show.
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
    moods: list.format(lacking.map((mood) => texts.moods[mood] ?? mood)),
  })
}

/**
 * The hint beside the sizes, which tells that a pattern cannot be zoomed out, or that a bust then shows its straight
 * lower edge.
 * @param {LookTexts} texts
 * @param {{ title: string, edgeToEdge: boolean, bust: boolean }} style
 * @param {Look} look
 */
export function scaleHint(texts, { title, edgeToEdge, bust }, { scale, translateY }) {
  if (edgeToEdge) return fill(texts.edgeToEdge, { style: title })
  // The distance from the lower edge of the drawing to that of the picture, in percent of the picture.
  const percent = Math.round(50 * (1 - Number(scale || 1)))
  return bust && percent > Number(translateY || 0) ? fill(texts.lowerEdge, { percent }) : ''
}

/**
 * The hint that a chosen part takes precedence over the mood: "The mouth is your own."
 * @param {LookTexts} texts
 * @param {Readonly<Record<string, string>>} pins
 */
export const ownPartsHint = (texts, pins) =>
  Object.entries(texts.ownParts)
    .flatMap(([field, text]) => (pins[field] ? [` ${text}`] : []))
    .join('')

/**
 * The hint for a style that cannot move, which names styles that can.
 * @param {LookTexts} texts
 * @param {string} styleTitle
 * @param {readonly string[]} movers titles of styles that move
 */
export function stillHint(texts, styleTitle, movers) {
  const list = new Intl.ListFormat(texts.locale, { type: 'conjunction' })
  return fill(texts.still, { style: styleTitle, styles: list.format(movers) })
}

/**
 * The words for random seeds, from src/pages/words.ts. Each text is a list of words with spaces between them.
 * @typedef {object} SeedTexts
 * @property {string} rollFirst
 * @property {string} rollSecond
 */

const facesPerWall = 12
/**
 * Seeds are numbered pairs of words, and this is the step from one seed of a wall to the next. It is a prime that does
 * not divide the number of pairs, so each pair occurs once, in no visible order.
 */
const step = 997

/** @param {SeedTexts} texts */
const wordsOf = ({ rollFirst, rollSecond }) => ({ firsts: rollFirst.split(' '), seconds: rollSecond.split(' ') })

/**
 * How many walls of faces there are without repeating a seed. The first wall has the number 1.
 * @param {SeedTexts} texts
 */
export function wallCount(texts) {
  const { firsts, seconds } = wordsOf(texts)
  return Math.floor((firsts.length * seconds.length) / facesPerWall)
}

/**
 * The twelve seeds of a wall of faces. The wall of a number is the same for everybody.
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
 * A random seed of two words. It differs from the current seed, so that every roll shows another avatar.
 * @param {SeedTexts} texts
 * @param {string} current
 */
export function rolledSeed(texts, current) {
  const { firsts, seconds } = wordsOf(texts)
  const others = seconds.filter((second) => !current.endsWith(` ${second}`))
  return `${randomItem(firsts)} ${randomItem(others)}`
}

/**
 * @template Item
 * @param {readonly Item[]} items
 */
export const randomItem = (items) => items[Math.floor(Math.random() * items.length)]

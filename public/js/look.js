// A look - style, mood, background, seed - as an address and in words. The server imports this module too, so that both
// sides build the same addresses and texts.

/**
 * The fields of the form, as entered or as checked.
 * @typedef {object} Look
 * @property {string} [seed]
 * @property {string} [style]
 * @property {string} [backgroundColor] six hex digits, or empty for none
 * @property {string} [mood]
 * @property {boolean | string} [animated]
 */

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
 * Address of the live preview.
 * @param {Look & { seed: string, style: string }} look
 */
export function pictureUrl({ seed, style, backgroundColor, mood, animated }) {
  const query = new URLSearchParams({ seed, style })
  if (backgroundColor) query.set('backgroundColor', backgroundColor)
  if (mood) query.set('mood', mood)
  if (animated) query.set('animated', 'on')
  return `/preview.svg?${query}`
}

/**
 * The fields of a look in an address. No background is written as "transparent", because a missing field could mean
 * that the background was not chosen.
 * @param {Look} look
 */
export function lookQuery({ seed, style, backgroundColor, mood, animated }) {
  const query = new URLSearchParams()
  if (seed) query.set('seed', seed)
  if (style) query.set('style', style)
  query.set('backgroundColor', backgroundColor || 'transparent')
  if (mood) query.set('mood', mood)
  if (animated) query.set('animated', 'on')
  return query
}

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

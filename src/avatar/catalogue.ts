// What a visitor can choose from: styles, moods and background colours.
import moodsJson from './moods.json' with { type: 'json' }
import stylesJson from './styles.json' with { type: 'json' }

/** Options of a style, by DiceBear's names. If an option is a list, the seed decides which of its values is used. */
export type StyleOptions = Readonly<Record<string, string[] | number>>

export type Style = {
  /** The name in DiceBear's addresses. */
  name: string
  title: string
  /** Filter group on the form, assigned by hand. */
  group: string
  /** Whether DiceBear can animate the style. */
  animated: boolean
  /** Whether DiceBear draws a background of the style's own if no background colour is sent. */
  ownBackground: boolean
  /** Whether the style is a pattern that fills the picture, so that a scale below 1 would show its edges. */
  edgeToEdge: boolean
  /** Whether the drawings are busts, so that a scale below 1 would show their straight lower edge. */
  bust: boolean
  /** The original drawing, its creator and licence. */
  sourceTitle: string
  sourceUrl: string
  creator: string
  creatorUrl: string
  license: string
  licenseUrl: string
  /** Whether the licence requires that creator, source and licence be named. */
  attribution: boolean
  hasFace: boolean
  /** The moods that the style can show; none if it has no face. */
  moods: readonly string[]
}

type MoodMap = {
  /** All moods, in the order of the form. */
  moods: readonly string[]
  /** The options of each mood that a style can show, by style and mood. */
  styles: Readonly<Record<string, Readonly<Record<string, StyleOptions>>>>
  /** The options for every mood of a style. They leave out glasses and beards, which would hide the mood. */
  always: Readonly<Record<string, StyleOptions>>
}
const moodMap: MoodMap = moodsJson

/**
 * DiceBear has no moods. A mood of this app is a selection of mouths, eyes and brows for each style, made by hand.
 * After an upgrade of DiceBear test/parts/catalogue.test.ts finds variants that no longer exist.
 */
export const moods = moodMap.moods

/** DiceBear 10's styles. */
export const styles: readonly Style[] = stylesJson.map((style) => {
  const ofStyle = moodMap.styles[style.name]
  return { ...style, hasFace: ofStyle !== undefined, moods: moods.filter((mood) => ofStyle?.[mood] !== undefined) }
})

const byName = new Map(styles.map((style) => [style.name, style]))

/** The style of this name; undefined when DiceBear 10 has none. */
export const findStyle = (name: string): Style | undefined => byName.get(name)

/** DiceBear's options for a style in a mood; undefined if the style cannot show the mood. */
export function moodOptions(style: string, mood: string): StyleOptions | undefined {
  const options = moodMap.styles[style]?.[mood]
  return options && { ...moodMap.always[style], ...options }
}

export const stylesByTitle = styles.toSorted((a, b) => a.title.localeCompare(b.title))

/** The first twelve styles on the form, in this order. */
export const popular: readonly string[] = [
  'adventurer',
  'lorelei',
  'notionists',
  'avataaars',
  'open-peeps',
  'micah',
  'fun-emoji',
  'bottts',
  'pixel-art',
  'big-smile',
  'toon-head',
  'thumbs',
]

/** The sizes of the drawing that the form offers. `name` is a key of `words.framings`. */
export const framings: readonly { name: string; scale: number }[] = [
  { name: 'close', scale: 1.25 },
  { name: 'normal', scale: 1 },
  { name: 'roomy', scale: 0.8 },
]

/** Background colours on the form: first the light ones, then four dark ones. `name` is a key of `words.colours`. */
export const palette: readonly { value: string; name: string }[] = [
  { value: 'ffd29d', name: 'apricot' },
  { value: 'f7a98b', name: 'coral' },
  { value: 'f6b8c6', name: 'blossom' },
  { value: 'c9c3f5', name: 'lilac' },
  { value: 'a9d6f5', name: 'sky' },
  { value: 'b8e0c8', name: 'mint' },
  { value: 'f4e9c9', name: 'cream' },
  { value: '3f7d6e', name: 'pine' },
  { value: '2c5a7a', name: 'harbour' },
  { value: '7a3f5c', name: 'plum' },
  { value: '263239', name: 'slate' },
]

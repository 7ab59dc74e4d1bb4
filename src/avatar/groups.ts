import { moods } from './moods.ts'
import { styles } from './styles.ts'

/** What each style draws, as a visitor would say it; found by looking at several seeds of every style. */
const drawnAs = {
  // Somebody with a head and hair of their own, down to the silhouette.
  people: [
    'adventurer',
    'avataaars',
    'big-ears',
    'big-smile',
    'croodles',
    'cutouts',
    'dylan',
    'lorelei',
    'micah',
    'miniavs',
    'notionists',
    'open-peeps',
    'personas',
    'pixel-art',
    'shadows',
    'toon-head',
    'voxel-art',
  ],
  // A face and nobody around it.
  faces: [
    'adventurer-neutral',
    'avataaars-neutral',
    'big-ears-neutral',
    'cameo',
    'croodles-neutral',
    'fun-emoji',
    'line-face',
    'lorelei-neutral',
    'marbles',
    'moods',
    'notionists-neutral',
    'pixel-art-neutral',
  ],
  // Robots, plants, lumps with eyes.
  creatures: ['bottts', 'bottts-neutral', 'clay', 'critters', 'gaze', 'pixelbot', 'sprouts', 'thumbs', 'voxel-bot'],
  shapes: [
    'blobs',
    'constellation',
    'disco',
    'glass',
    'icons',
    'identicon',
    'landscape',
    'loops',
    'patchwork',
    'planets',
    'rings',
    'shape-grid',
    'shapes',
    'slice',
    'squircles',
    'stack',
    'stripes',
    'triangles',
    'waves',
    'weave',
  ],
  text: ['glyphs', 'initial-face', 'initials'],
}

/** The filter group of each style. */
export const groups: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(drawnAs).flatMap(([group, names]) => names.map((name) => [name, group])),
)

/** The first twelve a visitor meets, in this order. */
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

/** In the order of a list to choose from. */
export const stylesByTitle = styles.toSorted((a, b) => a.title.localeCompare(b.title))

/** The moods that each style cannot show, as page.js reads them. */
export const lacks: Readonly<Record<string, string>> = Object.fromEntries(
  styles.map((style) => [
    style.name,
    style.hasFace ? moods.filter((mood) => !style.moods.includes(mood)).join(' ') : 'all',
  ]),
)

// The addresses and the name of a look. public/js/look.js builds them, because the browser scripts need the same ones.
import { lookName } from '../../public/js/look.js'
import { findStyle } from '../avatar/catalogue.ts'
import type { Choice } from '../avatar/choice.ts'
import { words } from './words.ts'

export { lookQuery, lookUrl, pictureUrl } from '../../public/js/look.js'

/** The seed of the pictures if the visitor has not signed in and has entered no seed. */
export const exampleSeed = 'juniper'

/** "Adventurer, happy", or "Adventurer" without a mood. */
export function nameOfLook({ style, mood }: Pick<Choice, 'style' | 'mood'>): string {
  return lookName(words.script, findStyle(style)?.title ?? style, mood)
}

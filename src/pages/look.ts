// The addresses and the name of a look. Browsers need the same addresses, so they are built in public/js/look.js.
import { lookName } from '../../public/js/look.js'
import { findStyle } from '../avatar/catalogue.ts'
import type { Choice } from '../avatar/choice.ts'
import { words } from './words.ts'

export { lookQuery, lookUrl, pictureUrl } from '../../public/js/look.js'

/** The seed of pictures for a visitor who has not signed in and has entered none. */
export const exampleSeed = 'juniper'

/** "Adventurer, happy", or "Adventurer" without a mood. */
export function nameOfLook({ style, mood }: Pick<Choice, 'style' | 'mood'>): string {
  return lookName(words.script, findStyle(style)?.title ?? style, mood)
}

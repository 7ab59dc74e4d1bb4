import { DomUtils, parseDocument } from 'htmlparser2'
import { LRUCache } from 'lru-cache'
import type { Choice } from '../avatar/choice.ts'
import { drawEmbedded } from '../avatar/embedded.ts'
import { drawPixels } from './png.ts'

/** Whether a font has the character. Key: the character. Bound: 1,000, LRU; no expiry. */
const known = new LRUCache<string, boolean>({ max: 1000 })
/** The styles draw one or two letters, of a few characters each. */
const maxCharacters = 16

/**
 * The letters in this avatar that no font at hand has: a PNG or a GIF of it is without them, while a browser may show
 * them.
 */
export async function lettersWithoutFont(choice: Choice): Promise<string[]> {
  const svg = await drawEmbedded(choice)
  if (!svg.includes('<text')) return []
  const texts = DomUtils.getElementsByTagName('text', parseDocument(svg, { xmlMode: true }))
  // Neither spaces nor characters that never show, such as a zero-width joiner.
  const visible = DomUtils.textContent(texts).match(/[^\p{White_Space}\p{Default_Ignorable_Code_Point}]/gu) ?? []
  const characters = [...new Set(visible)].slice(0, maxCharacters)
  const drawn = await Promise.all(characters.map(canBeDrawn))
  return characters.filter((_, i) => !drawn[i])
}

/**
 * Renders the character as the PNG would: where no other font has it, fonts.conf takes blank.ttf, and nothing shows.
 */
async function canBeDrawn(character: string): Promise<boolean> {
  const answer = known.get(character)
  if (answer !== undefined) return answer
  const text = `<text x="50%" y="60%" font-size="16" text-anchor="middle">&#${character.codePointAt(0)};</text>`
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${text}</svg>`
  const pixels = await drawPixels(svg, 32)
  const isDrawn = pixels.some((value) => value > 0)
  known.set(character, isDrawn)
  return isDrawn
}

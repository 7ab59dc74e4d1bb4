import { DomUtils, parseDocument } from 'htmlparser2'
import type { Choice } from '../avatar/choice.ts'
import { drawEmbedded } from '../avatar/embedded.ts'
import { drawPixels } from './png.ts'

/** Limit of the characters that are tried. Styles draw one or two letters, of a few characters each. */
const maxCharacters = 16

/** The letters of this avatar that no font has. PNG and GIF lack them, though a browser may show them. */
export async function lettersWithoutFont(choice: Choice): Promise<string[]> {
  const svg = await drawEmbedded(choice)
  if (!svg.includes('<text')) return []
  const texts = DomUtils.getElementsByTagName('text', parseDocument(svg, { xmlMode: true }))
  // Spaces and invisible characters, such as a zero-width joiner, need no font.
  const visible = DomUtils.textContent(texts).match(/[^\p{White_Space}\p{Default_Ignorable_Code_Point}]/gu) ?? []
  const characters = [...new Set(visible)].slice(0, maxCharacters)
  const drawn = await Promise.all(characters.map(canBeDrawn))
  return characters.filter((_, i) => !drawn[i])
}

/** Whether a font has the character. If none has it, fonts.conf chooses blank.ttf, and nothing is visible. */
async function canBeDrawn(character: string): Promise<boolean> {
  const text = `<text x="50%" y="60%" font-size="16" text-anchor="middle">&#${character.codePointAt(0)};</text>`
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${text}</svg>`
  const pixels = await drawPixels(svg, 32)
  return pixels.some((value) => value > 0)
}

import { Avatar, Style } from '@dicebear/core'
import { type Choice, dicebearOptions } from './choice.ts'

/** The styles by name, each loaded when it is first needed, because it is up to 370 KB of JSON. */
const loadedStyles = new Map<string, Promise<Style>>()

async function loadStyle(name: string): Promise<Style> {
  const file = `@dicebear/styles/${name}.json`
  const definition = await import(file, { with: { type: 'json' } })
  return new Style(definition.default)
}

/** A style of DiceBear's library. Rejects if there is none of this name. */
export function styleOf(name: string): Promise<Style> {
  const style = loadedStyles.get(name) ?? loadStyle(name)
  loadedStyles.set(name, style)
  // A failure is not cached, because it may be temporary, such as EMFILE.
  style.catch(() => loadedStyles.delete(name))
  return style
}

/** Draws an SVG with DiceBear's library. The HTTP API returns the same picture for the same options. */
export async function drawEmbedded(choice: Choice): Promise<string> {
  return new Avatar(await styleOf(choice.style), dicebearOptions(choice)).toString()
}

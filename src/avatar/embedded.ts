import { Avatar, Style } from '@dicebear/core'
import { type Choice, dicebearOptions } from './choice.ts'

/** Styles by name. The definition of a style is up to 300 KB of JSON, so it is loaded when it is first needed. */
const loadedStyles = new Map<string, Promise<Style>>()

async function loadStyle(name: string): Promise<Style> {
  const file = `@dicebear/styles/${name}.json`
  const definition = await import(file, { with: { type: 'json' } })
  return new Style(definition.default)
}

function styleOf(name: string): Promise<Style> {
  const style = loadedStyles.get(name) ?? loadStyle(name)
  loadedStyles.set(name, style)
  // Failures are not cached: one such as EMFILE may be temporary.
  style.catch(() => loadedStyles.delete(name))
  return style
}

/**
 * The SVG drawn in this process by the DiceBear library. It is the same picture as from the HTTP API with the same
 * options.
 */
export async function drawEmbedded(choice: Choice): Promise<string> {
  return new Avatar(await styleOf(choice.style), dicebearOptions(choice)).toString()
}

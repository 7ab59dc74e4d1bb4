import { Avatar, Style } from '@dicebear/core'
import { type Choice, dicebearOptions } from './choice.ts'

// A definition is up to 300 KB of JSON: each is read when it is first asked for.
const loaded = new Map<string, Promise<Style>>()

function load(name: string): Promise<Style> {
  const definition = `@dicebear/styles/${name}.json`
  const loading =
    loaded.get(name) ?? import(definition, { with: { type: 'json' } }).then((module) => new Style(module.default))
  loaded.set(name, loading)
  // What failed once, as where too many files are open, may be there the next time.
  loading.catch(() => loaded.delete(name))
  return loading
}

/** Draws the SVG in this process by the DiceBear library: the same options as at its HTTP API, the same picture. */
export async function drawEmbedded(choice: Choice): Promise<string> {
  return (await avatarOf(choice)).toString()
}

/** The same in UTF-8, which is passed on between threads in half the time. */
export async function drawEmbeddedUtf8(choice: Choice): Promise<Uint8Array> {
  return new TextEncoder().encode(await drawEmbedded(choice))
}

/** Whether the seed picks one of these, where the choice leaves it open: variants by DiceBear's names, `hairVariant` and so on. */
export async function isOneOfPicked({ choice, variants }: { choice: Choice; variants: Record<string, unknown[]> }) {
  const picked: Record<string, unknown> = (await avatarOf(choice)).toJSON().options
  return Object.entries(variants).some(([option, names]) => names.includes(picked[option]))
}

async function avatarOf(choice: Choice): Promise<Avatar> {
  return new Avatar(await load(choice.style), dicebearOptions(choice))
}

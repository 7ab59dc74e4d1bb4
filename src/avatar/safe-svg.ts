import { type CSSToken, TokenType, tokenize } from '@csstools/css-tokenizer'
import { type SaxesAttributeNS, SaxesParser, type SaxesTagNS } from 'saxes'
import { UnsafeSvg } from '../errors.ts'

export const MAX_SVG_BYTES = 256 * 1024

// What DiceBear's styles are made of; all else is refused. test/parts/safe-svg.test.ts draws each variant of each style and
// tells what is missing here, or no longer needed, after an upgrade of DiceBear.
export const NAMESPACES: ReadonlyMap<string, string> = new Map([
  ['xmlns', 'http://www.w3.org/2000/svg'],
  ['xmlns:dc', 'http://purl.org/dc/elements/1.1/'],
  ['xmlns:dcterms', 'http://purl.org/dc/terms/'],
  ['xmlns:rdf', 'http://www.w3.org/1999/02/22-rdf-syntax-ns#'],
  ['xmlns:xsi', 'http://www.w3.org/2001/XMLSchema-instance'],
])
export const ROOT = words('svg')
export const ELEMENTS = words(`
  circle clipPath defs ellipse feBlend feColorMatrix feComposite feFlood feGaussianBlur feOffset filter g
  linearGradient mask metadata path radialGradient rect stop style text use`)
/** The licence, inside `metadata`. Its addresses are text, nothing follows them. */
export const METADATA = words(`
  dc:creator dc:rights dc:source dc:title dcterms:license rdf:Description rdf:RDF`)
export const ATTRIBUTES = words(`
  aria-hidden class clip-path clip-rule color color-interpolation-filters cx cy d dominant-baseline dy fill
  fill-opacity fill-rule filter filterUnits flood-opacity font-family font-size font-weight gradientTransform
  gradientUnits height href id in in2 k2 k3 mask offset opacity operator r result rx ry shape-rendering stdDeviation
  stop-color stop-opacity stroke stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width style
  text-anchor transform values viewBox width x x1 x2 xsi:type y y1 y2`)
// CSS by its tokens. One with a name stands here by that, a colon by what is before it, where `--:` is any `--x:`.
/** In an attribute that holds a bracket. */
export const VALUE_TOKENS = words(`
  )-token EOF-token comma-token matrix( number-token rotate( scale( translate( url-token whitespace-token`)
/** In `style="…"`. */
export const DECLARATION_TOKENS = words('EOF-token ident-token mask-type: mix-blend-mode:')
/** In `<style>`: what moves and how. No url and no string, so nothing to load from. */
export const STYLESHEET_TOKENS = words(`
  (-token )-token --: @keyframes @media EOF-token animation-play-state: animation-timing-function: animation: calc(
  comma-token delim-token dimension-token has( ident-token number-token opacity: percentage-token
  prefers-reduced-motion: rotate( scale( scaleY( semicolon-token svg: transform-box: transform-origin: transform:
  translate( translateX( translateY( var( whitespace-token {-token }-token`)
const NOTHING: ReadonlySet<string> = new Set()

function words(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/\s+/))
}

// Room for drawings a few times richer than DiceBear's richest.
const MAX_DEPTH = 32
const MAX_PARTS = 2_000
// A short SVG can be hours of work: ten groups that each use the next one ten times, or a blur over a blur over a blur.
// Work is counted in characters of SVG, as if each reference were written out; what takes longer counts for more.
const MAX_WORK = 1_000_000
const WORK = { letter: 300, layer: 1_000, filterStep: 10_000 }
const LAYERS = words('clip-path filter mask style')

type Part = {
  name: string
  text: string
  work: number
  /** Work with all that is inside or referred to. */
  wholeWork?: number
  inside: Part[]
  refersTo: string[]
}

/**
 * What is wrong with an SVG as it came; undefined when it is a drawing and nothing more. It says so rather than throws:
 * between threads an error loses its class.
 */
export function wrongWith(bytes: Uint8Array): string | undefined {
  try {
    checkSvg(decode(bytes))
    return undefined
  } catch (error) {
    if (error instanceof UnsafeSvg) return error.message
    throw error
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    refuse('not UTF-8')
  }
}

/** Is this SVG a drawing and nothing more? Throws UnsafeSvg when it is not. */
export function checkSvg(svg: string): void {
  if (Buffer.byteLength(svg) > MAX_SVG_BYTES) refuse('too long')
  // saxes takes what follows half a surrogate pair, even a "<", for the other half; on disk it would be a "<" again.
  if (!svg.isWellFormed()) refuse('not Unicode')

  const open: Part[] = []
  const byId = new Map<string, Part>()
  let count = 0

  function openPart(tag: SaxesTagNS): void {
    const parent = open.at(-1)
    if (!childrenOf(parent).has(tag.name)) refuse('element', tag.name)
    if (!parent && tag.uri !== NAMESPACES.get('xmlns')) refuse('not in the SVG namespace')
    const part: Part = {
      name: tag.name,
      text: '',
      work: tag.name.startsWith('fe') ? WORK.filterStep : 1,
      inside: [],
      refersTo: [],
    }
    for (const attribute of Object.values(tag.attributes)) {
      checkAttribute(attribute, part)
      if (attribute.name === 'id') {
        if (byId.has(attribute.value)) refuse('an id twice')
        byId.set(attribute.value, part)
      }
    }
    parent?.inside.push(part)
    open.push(part)
    count += 1
    if (open.length > MAX_DEPTH || count > MAX_PARTS) refuse('too many elements')
  }

  function closePart(): void {
    const part = open.pop()
    if (!part) return
    part.work += part.text.length * (part.name === 'text' ? WORK.letter : 1)
    if (part.name === 'style') checkCss(part.text, STYLESHEET_TOKENS)
    if (open.length === 0 && wholeWork(part, byId) > MAX_WORK) refuse('too much to draw')
  }

  function addText(text: string): void {
    const part = open.at(-1)
    if (part) part.text += text
  }

  const parser = new SaxesParser({ xmlns: true, position: false })
  // No more than six: with a seventh V8 keeps the parser's fields in a dictionary, and parsing takes five times as long.
  parser.on('doctype', () => refuse('a document type'))
  parser.on('processinginstruction', () => refuse('a processing instruction'))
  parser.on('opentag', openPart)
  parser.on('closetag', closePart)
  parser.on('text', addText)
  parser.on('cdata', addText)
  try {
    parser.write(svg)
    if (parser.xmlDecl.version !== undefined) refuse('an XML declaration')
    parser.close()
  } catch (error) {
    if (error instanceof UnsafeSvg) throw error
    refuse('not well-formed XML')
  }
}

function childrenOf(parent: Part | undefined): ReadonlySet<string> {
  if (!parent) return ROOT
  if (parent.name === 'style') return NOTHING
  return parent.name === 'metadata' || METADATA.has(parent.name) ? METADATA : ELEMENTS
}

// Prefixes always mean the same, so a name as it is written tells the namespace as well.
function checkAttribute({ name, value }: SaxesAttributeNS, part: Part): void {
  part.work += value.length + (LAYERS.has(name) ? WORK.layer : 0)
  if (NAMESPACES.has(name)) {
    if (NAMESPACES.get(name) !== value) refuse('namespace', name)
  } else if (!ATTRIBUTES.has(name)) {
    refuse('attribute', name)
  } else if (name === 'href') {
    part.refersTo.push(fragment(value))
  } else if (name === 'style') {
    checkCss(value, DECLARATION_TOKENS)
  } else if (value.includes('(')) {
    part.refersTo.push(...checkCss(value, VALUE_TOKENS))
  }
}

/** Gives the ids that `css` refers to by `url(#id)`. */
function checkCss(css: string, allowed: ReadonlySet<string>): string[] {
  if (css.includes('\\')) refuse('an escape in CSS')
  const ids: string[] = []
  let before = ''
  for (const token of tokenize({ css })) {
    const item = cssItem(token, before)
    if (!allowed.has(item)) refuse('CSS', item)
    if (token[0] === TokenType.URL) ids.push(fragment(token[4].value))
    before = token[1]
  }
  return ids
}

function cssItem([type, text]: CSSToken, before: string): string {
  if (type === TokenType.Function || type === TokenType.AtKeyword) return text
  if (type === TokenType.Colon) return before.startsWith('--') ? '--:' : `${before}:`
  return type
}

// Plain ids only: a browser reads "#%61" as "#a", and we would count the work of another part.
function fragment(address: string): string {
  if (!/^#[\w-]+$/.test(address)) refuse('an outside reference')
  return address.slice(1)
}

function wholeWork(part: Part, byId: ReadonlyMap<string, Part>): number {
  if (part.wholeWork === undefined) {
    part.wholeWork = Number.POSITIVE_INFINITY // stays so if the part turns up inside itself
    const others = [...part.inside, ...part.refersTo.map((id) => byId.get(id) ?? refuse('a reference to nothing'))]
    part.wholeWork = others.reduce((sum, other) => sum + wholeWork(other, byId), part.work)
  }
  return part.wholeWork
}

function refuse(what: string, name = ''): never {
  throw new UnsafeSvg(name ? `${what} ${name.slice(0, 40)}` : what)
}

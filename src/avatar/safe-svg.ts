// Checks that an SVG from outside is a drawing and nothing more: an allow list of elements, attributes and CSS,
// references only within the document, and bounds on its size and on the cost of rendering it. An SVG that fails is
// never cleaned.
import { type CSSToken, TokenType, tokenize } from '@csstools/css-tokenizer'
import { type SaxesAttributeNS, SaxesParser, type SaxesTagNS } from 'saxes'
import { UnsafeSvg } from '../errors.ts'

export const MAX_SVG_BYTES = 256 * 1024

// The allow list: what DiceBear's styles are made of. test/parts/safe-svg.test.ts draws each variant of each style and
// tells what is missing here, or no longer needed, after an upgrade of DiceBear.
export const NAMESPACES: ReadonlyMap<string, string> = new Map([
  ['xmlns', 'http://www.w3.org/2000/svg'],
  ['xmlns:dc', 'http://purl.org/dc/elements/1.1/'],
  ['xmlns:dcterms', 'http://purl.org/dc/terms/'],
  ['xmlns:rdf', 'http://www.w3.org/1999/02/22-rdf-syntax-ns#'],
  ['xmlns:xsi', 'http://www.w3.org/2001/XMLSchema-instance'],
])
export const ROOT = namesIn('svg')
export const ELEMENTS = namesIn(`
  circle clipPath defs ellipse feBlend feColorMatrix feComposite feFlood feGaussianBlur feOffset filter g
  linearGradient mask metadata path radialGradient rect stop style text use`)
/** The licence, inside `metadata`. Its addresses are text that nothing follows. */
export const METADATA = namesIn(`
  dc:creator dc:rights dc:source dc:title dcterms:license rdf:Description rdf:RDF`)
export const ATTRIBUTES = namesIn(`
  aria-hidden class clip-path clip-rule color color-interpolation-filters cx cy d dominant-baseline dy fill
  fill-opacity fill-rule filter filterUnits flood-opacity font-family font-size font-weight gradientTransform
  gradientUnits height href id in in2 k2 k3 mask offset opacity operator r result rx ry shape-rendering stdDeviation
  stop-color stop-opacity stroke stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width style
  text-anchor transform values viewBox width x x1 x2 xsi:type y y1 y2`)
// CSS tokens. A function or at-keyword is listed by its name, a declaration by its property and colon (`--:` is any
// custom property), every other token by its type.
/** In an attribute whose value has a bracket. */
export const VALUE_TOKENS = namesIn(`
  )-token EOF-token comma-token matrix( number-token rotate( scale( translate( url-token whitespace-token`)
/** In `style="…"`. */
export const DECLARATION_TOKENS = namesIn('EOF-token ident-token mask-type: mix-blend-mode:')
/** In `<style>`: what moves and how. No url and no string, so nothing can be loaded. */
export const STYLESHEET_TOKENS = namesIn(`
  (-token )-token --: @keyframes @media EOF-token animation-play-state: animation-timing-function: animation: calc(
  comma-token delim-token dimension-token has( ident-token number-token opacity: percentage-token
  prefers-reduced-motion: rotate( scale( scaleY( semicolon-token svg: transform-box: transform-origin: transform:
  translate( translateX( translateY( var( whitespace-token {-token }-token`)
const NO_CHILDREN: ReadonlySet<string> = new Set()

function namesIn(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/\s+/))
}

// A few times more than DiceBear's richest drawing.
const MAX_DEPTH = 32
const MAX_ELEMENTS = 2_000
// A short SVG can take hours to render: ten groups that each use the next one ten times, or a blur of a blur of a blur.
// The cost is counted in characters of SVG, as if each reference were written out; what is slow to render counts for
// more.
const MAX_COST = 1_000_000
const COST = { letter: 300, layer: 1_000, filterStep: 10_000 }
const LAYER_ATTRIBUTES = namesIn('clip-path filter mask style')

type SvgElement = {
  name: string
  text: string
  ownCost: number
  /** With the cost of its children and of what it refers to; undefined until computed. */
  totalCost?: number
  children: SvgElement[]
  /** Ids. */
  references: string[]
}

/**
 * What is wrong with an SVG from outside, in a few words; undefined when it is safe. Returned, not thrown: an error
 * that crosses from a worker thread loses its class.
 */
export function svgProblem(bytes: Uint8Array): string | undefined {
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

/** Throws UnsafeSvg unless the SVG is a drawing and nothing more. */
export function checkSvg(svg: string): void {
  if (Buffer.byteLength(svg) > MAX_SVG_BYTES) refuse('too long')
  // saxes takes the character after a lone surrogate, even a "<", as its other half; in UTF-8 it would be a "<" again.
  if (!svg.isWellFormed()) refuse('not Unicode')

  const open: SvgElement[] = []
  const byId = new Map<string, SvgElement>()
  let count = 0

  function openElement(tag: SaxesTagNS): void {
    const parent = open.at(-1)
    if (!allowedChildren(parent).has(tag.name)) refuse('element', tag.name)
    if (!parent && tag.uri !== NAMESPACES.get('xmlns')) refuse('not in the SVG namespace')
    const ownCost = tag.name.startsWith('fe') ? COST.filterStep : 1
    const element: SvgElement = { name: tag.name, text: '', ownCost, children: [], references: [] }
    for (const attribute of Object.values(tag.attributes)) {
      checkAttribute(attribute, element)
      if (attribute.name === 'id') {
        if (byId.has(attribute.value)) refuse('an id twice')
        byId.set(attribute.value, element)
      }
    }
    parent?.children.push(element)
    open.push(element)
    count += 1
    if (open.length > MAX_DEPTH || count > MAX_ELEMENTS) refuse('too many elements')
  }

  function closeElement(): void {
    const element = open.pop()
    if (!element) return
    element.ownCost += element.text.length * (element.name === 'text' ? COST.letter : 1)
    if (element.name === 'style') checkCss(element.text, STYLESHEET_TOKENS)
    if (open.length === 0 && totalCost(element, byId) > MAX_COST) refuse('too much to draw')
  }

  function addText(text: string): void {
    const element = open.at(-1)
    if (element) element.text += text
  }

  const parser = new SaxesParser({ xmlns: true, position: false })
  // At most six handlers: with a seventh V8 stores the parser's fields in a dictionary, and parsing takes four times as
  // long.
  parser.on('doctype', () => refuse('a document type'))
  parser.on('processinginstruction', () => refuse('a processing instruction'))
  parser.on('opentag', openElement)
  parser.on('closetag', closeElement)
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

function allowedChildren(parent: SvgElement | undefined): ReadonlySet<string> {
  if (!parent) return ROOT
  if (parent.name === 'style') return NO_CHILDREN
  return parent.name === 'metadata' || METADATA.has(parent.name) ? METADATA : ELEMENTS
}

/** A prefix is only ever bound to its one namespace, so the prefixed name determines the namespace. */
function checkAttribute({ name, value }: SaxesAttributeNS, element: SvgElement): void {
  element.ownCost += value.length + (LAYER_ATTRIBUTES.has(name) ? COST.layer : 0)
  if (NAMESPACES.has(name)) {
    if (NAMESPACES.get(name) !== value) refuse('namespace', name)
  } else if (!ATTRIBUTES.has(name)) {
    refuse('attribute', name)
  } else if (name === 'href') {
    element.references.push(idIn(value))
  } else if (name === 'style') {
    checkCss(value, DECLARATION_TOKENS)
  } else if (value.includes('(')) {
    element.references.push(...checkCss(value, VALUE_TOKENS))
  }
}

/** Returns the ids that the CSS refers to by `url(#id)`. */
function checkCss(css: string, allowed: ReadonlySet<string>): string[] {
  if (css.includes('\\')) refuse('an escape in CSS')
  const ids: string[] = []
  let previousText = ''
  for (const token of tokenize({ css })) {
    const name = tokenName(token, previousText)
    if (!allowed.has(name)) refuse('CSS', name)
    if (token[0] === TokenType.URL) ids.push(idIn(token[4].value))
    previousText = token[1]
  }
  return ids
}

/** The name under which the lists above have this token. */
function tokenName([type, text]: CSSToken, previousText: string): string {
  if (type === TokenType.Function || type === TokenType.AtKeyword) return text
  if (type === TokenType.Colon) return previousText.startsWith('--') ? '--:' : `${previousText}:`
  return type
}

/** Only plain ids: a browser reads "#%61" as "#a", and the cost of the wrong element would be counted. */
function idIn(address: string): string {
  if (!/^#[\w-]+$/.test(address)) refuse('an outside reference')
  return address.slice(1)
}

function totalCost(element: SvgElement, byId: ReadonlyMap<string, SvgElement>): number {
  if (element.totalCost === undefined) {
    element.totalCost = Number.POSITIVE_INFINITY // remains so if the element contains or refers to itself
    const targets = element.references.map((id) => byId.get(id) ?? refuse('a reference to nothing'))
    element.totalCost = [...element.children, ...targets].reduce(
      (sum, other) => sum + totalCost(other, byId),
      element.ownCost,
    )
  }
  return element.totalCost
}

function refuse(what: string, name = ''): never {
  throw new UnsafeSvg(name ? `${what} ${name.slice(0, 40)}` : what)
}

// Checks that an SVG from outside is a drawing and nothing more. Elements, attributes and CSS must be on an allow list,
// references must stay within the document, and the size and the cost of rendering are bounded. An SVG that fails is
// refused, never repaired.
import { type SaxesAttributeNS, SaxesParser, type SaxesTagNS } from 'saxes'
import { UnsafeSvg } from '../errors.ts'
import { checkCss, checkStylesheet, DECLARATION_TOKENS, namesIn, refuse, VALUE_TOKENS } from './safe-css.ts'
import { type Cost, coordinatesIn, costOf, isTooMuch, type SvgElement } from './svg-cost.ts'

export const MAX_SVG_BYTES = 256 * 1024

// The allow list: the elements and attributes that DiceBear's styles use. test/parts/safe-svg.test.ts draws each
// variant of each style. After an upgrade of DiceBear it names what is missing here or no longer needed.
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
/** The elements inside `metadata`, which name the licence. No program loads the addresses in them. */
export const METADATA = namesIn(`
  dc:creator dc:rights dc:source dc:title dcterms:license rdf:Description rdf:RDF`)
export const ATTRIBUTES = namesIn(`
  aria-hidden class clip-path clip-rule color color-interpolation-filters cx cy d dominant-baseline dy fill
  fill-opacity fill-rule filter filterUnits flood-opacity font-family font-size font-weight gradientTransform
  gradientUnits height href id in in2 k2 k3 mask offset opacity operator r result rx ry shape-rendering stdDeviation
  stop-color stop-opacity stroke stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width style
  text-anchor transform values viewBox width x x1 x2 xsi:type y y1 y2`)
const NO_CHILDREN: ReadonlySet<string> = new Set()

// Bounds of the document as it is written. They are at least twice as large as in DiceBear's own drawings.
const MAX_DEPTH = 20
const MAX_ELEMENTS = 640
/** Limit of elements with a class. A stylesheet can animate each of them. */
const MAX_CLASSES = 40
const MAX_CSS_LENGTH = 3_000
/** Limit of one path, because the time to fill it grows with the square of the number of its coordinates. */
const MAX_COORDINATES = 16_000

/**
 * What is wrong with an SVG from outside; undefined if it is safe. It is returned and not thrown, because an error
 * loses its class when it is sent to another process.
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

/** Throws UnsafeSvg unless the SVG is a drawing and nothing more. Returns what it costs to render. */
export function checkSvg(svg: string): Cost {
  if (Buffer.byteLength(svg) > MAX_SVG_BYTES) refuse('too long')
  // saxes joins a lone surrogate with the next character, even with a "<". Browsers would read that "<" as a tag.
  if (!svg.isWellFormed()) refuse('not Unicode')

  const open: SvgElement[] = []
  const byId = new Map<string, SvgElement>()
  const written = { elements: 0, classes: 0, cssLength: 0 }
  let cost: Cost | undefined

  function openElement(tag: SaxesTagNS): void {
    const parent = open.at(-1)
    if (!allowedChildren(parent).has(tag.name)) refuse('element', tag.name)
    if (!parent && tag.uri !== NAMESPACES.get('xmlns')) refuse('not in the SVG namespace')
    const { name, attributes } = tag
    const element: SvgElement = { name, attributes, children: [], text: '', references: [], paints: [] }
    for (const attribute of Object.values(attributes)) checkAttribute(attribute, element)
    const id = attributes.id?.value
    if (id !== undefined) {
      if (byId.has(id)) refuse('an id twice')
      byId.set(id, element)
    }
    parent?.children.push(element)
    open.push(element)
    written.elements += 1
    written.classes += attributes.class ? 1 : 0
    if (open.length > MAX_DEPTH || written.elements > MAX_ELEMENTS) refuse('too many elements')
    if (written.classes > MAX_CLASSES) refuse('too many classes')
  }

  function closeElement(): void {
    const element = open.pop()
    if (!element) return
    if (element.name === 'style') {
      written.cssLength += element.text.length
      if (written.cssLength > MAX_CSS_LENGTH) refuse('too much CSS')
      checkStylesheet(element.text)
    }
    if (open.length === 0) {
      cost = costOf(element, byId)
      if (isTooMuch(cost)) refuse('too much to draw')
    }
  }

  function addText(text: string): void {
    const element = open.at(-1)
    if (element) element.text += text
  }

  const parser = new SaxesParser({ xmlns: true, position: false })
  // A seventh handler would make V8 store the parser's fields in a dictionary, and parsing take four times as long.
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
  return cost ?? refuse('not well-formed XML')
}

function allowedChildren(parent: SvgElement | undefined): ReadonlySet<string> {
  if (!parent) return ROOT
  if (parent.name === 'style') return NO_CHILDREN
  return parent.name === 'metadata' || METADATA.has(parent.name) ? METADATA : ELEMENTS
}

/** Checks an attribute by its name with prefix. That is enough, because each prefix must have its usual namespace. */
function checkAttribute({ name, value }: SaxesAttributeNS, element: SvgElement): void {
  if (NAMESPACES.has(name)) {
    if (NAMESPACES.get(name) !== value) refuse('namespace', name)
  } else if (!ATTRIBUTES.has(name)) {
    refuse('attribute', name)
  } else if (name === 'href') {
    element.references.push(idIn(value))
  } else if (name === 'style') {
    checkCss(value, DECLARATION_TOKENS)
  } else if (name === 'd' && coordinatesIn(value) > MAX_COORDINATES) {
    refuse('too long a path')
  } else if (value.includes('(')) {
    const ids = checkCss(value, VALUE_TOKENS).map(idIn)
    if (name === 'fill' || name === 'stroke') element.paints.push(...ids)
    else element.references.push(...ids)
  }
}

/**
 * The id in a reference. Escapes are refused: a browser reads "#%61" as "#a", but costOf() would look for another
 * element.
 */
function idIn(address: string): string {
  if (!/^#[\w-]+$/.test(address)) refuse('an outside reference')
  return address.slice(1)
}

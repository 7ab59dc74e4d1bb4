import { DomUtils, type parseDocument } from 'htmlparser2'
import { svgPathBbox } from 'svg-path-bbox'
import svgpath from 'svgpath'

export type Document = ReturnType<typeof parseDocument>
export type Element = ReturnType<typeof DomUtils.findAll>[number]
export type Box = [left: number, top: number, right: number, bottom: number]

/** What is drawn elsewhere, or not at all. */
const unseen = new Set(['clipPath', 'defs', 'filter', 'linearGradient', 'mask', 'metadata', 'radialGradient', 'style'])

/** A shape never changes, what moves is its group. */
const shapes = new WeakMap<Element, Box | undefined>()

/**
 * Measures elements in their own coordinates, without strokes, as CSS does for `transform-box: fill-box`. `transformOf`
 * tells where each stands now, `byId` what `<use href="#id">` refers to. https://www.w3.org/TR/SVG2/coords.html#BoundingBoxes
 */
export function boundsOf(byId: ReadonlyMap<string, Element>, transformOf: (element: Element) => string) {
  const known = new Map<Element, Box | undefined>()

  function bounds(element: Element): Box | undefined {
    if (!known.has(element)) known.set(element, measured(element))
    return known.get(element)
  }

  function measured(element: Element): Box | undefined {
    if (unseen.has(element.name)) return undefined
    if (element.name === 'use') {
      const { href = '', x = 0, y = 0 } = element.attribs
      const target = byId.get(href)
      return target && moved(inParent(target), `translate(${x} ${y})`)
    }
    if (element.name === 'g') return around(DomUtils.getElementsByTagName('*', element.children, false).map(inParent))
    if (!shapes.has(element)) shapes.set(element, shape(element))
    return shapes.get(element)
  }

  const inParent = (element: Element) => moved(bounds(element), transformOf(element))

  return bounds
}

function shape({ name, attribs }: Element): Box | undefined {
  const number = (attribute: string) => Number(attribs[attribute] ?? 0)
  const [cx, cy] = [number('cx'), number('cy')]
  switch (name) {
    case 'path':
      return svgPathBbox(attribs.d ?? '')
    case 'rect':
      return [number('x'), number('y'), number('x') + number('width'), number('y') + number('height')]
    case 'circle':
      return [cx - number('r'), cy - number('r'), cx + number('r'), cy + number('r')]
    case 'ellipse':
      return [cx - number('rx'), cy - number('ry'), cx + number('rx'), cy + number('ry')]
    default:
      throw new Error(`cannot measure <${name}>`)
  }
}

/** Browsers turn the box, not what is in it: a turned circle counts for more than it is. */
function moved(box: Box | undefined, transform: string): Box | undefined {
  if (!box || transform === '') return box
  const [left, top, right, bottom] = box
  return svgPathBbox(svgpath(`M${left} ${top}H${right}V${bottom}H${left}Z`).transform(transform))
}

function around(boxes: (Box | undefined)[]): Box | undefined {
  return boxes.reduce((one, other) => {
    if (!one || !other) return one ?? other
    return [
      Math.min(one[0], other[0]),
      Math.min(one[1], other[1]),
      Math.max(one[2], other[2]),
      Math.max(one[3], other[3]),
    ]
  }, undefined)
}

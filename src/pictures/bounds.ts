import { DomUtils, type parseDocument } from 'htmlparser2'
import { svgPathBbox } from 'svg-path-bbox'
import svgpath from 'svgpath'

export type Document = ReturnType<typeof parseDocument>
export type Element = ReturnType<typeof DomUtils.findAll>[number]
export type Box = [left: number, top: number, right: number, bottom: number]

/** Elements that are never rendered, or only if another element refers to them. */
const notRendered = new Set([
  'clipPath',
  'defs',
  'filter',
  'linearGradient',
  'mask',
  'metadata',
  'radialGradient',
  'style',
])

/** Returns the bounding box of an element; undefined if no part of it is rendered. */
export type Bounds = (element: Element) => Box | undefined

/**
 * Returns a function that measures elements at one moment of an animation. `transformOf` returns the transform of an
 * element at that moment. A box has the coordinates of its element and does not include strokes, as CSS demands for
 * `transform-box: fill-box`. The keys of `byId` are the values of `href` in a `<use>`.
 * https://www.w3.org/TR/SVG2/coords.html#BoundingBoxes
 */
export function createMeasure(byId: ReadonlyMap<string, Element>) {
  /** The boxes of shapes are measured only once, because animations move the groups around shapes, never the shapes. */
  const shapes = new Map<Element, Box | undefined>()

  return function boundsAt(transformOf: (element: Element) => string): Bounds {
    const measured = new Map<Element, Box | undefined>()

    function bounds(element: Element): Box | undefined {
      if (!measured.has(element)) measured.set(element, measure(element))
      return measured.get(element)
    }

    function measure(element: Element): Box | undefined {
      if (notRendered.has(element.name)) return undefined
      if (element.name === 'use') {
        const { href = '', x = 0, y = 0 } = element.attribs
        const target = byId.get(href)
        return target && transformed(boundsInParent(target), `translate(${x} ${y})`)
      }
      if (element.name === 'g') {
        return union(DomUtils.getElementsByTagName('*', element.children, false).map(boundsInParent))
      }
      if (!shapes.has(element)) shapes.set(element, shapeBounds(element))
      return shapes.get(element)
    }

    function boundsInParent(element: Element): Box | undefined {
      return transformed(bounds(element), transformOf(element))
    }

    return bounds
  }
}

function shapeBounds({ name, attribs }: Element): Box | undefined {
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

/**
 * The bounding box of a transformed box. As in browsers, it may be larger than that of the transformed shape, for
 * example of a rotated circle.
 */
function transformed(box: Box | undefined, transform: string): Box | undefined {
  if (!box || transform === '') return box
  const [left, top, right, bottom] = box
  return svgPathBbox(svgpath(`M${left} ${top}H${right}V${bottom}H${left}Z`).transform(transform))
}

function union(boxes: (Box | undefined)[]): Box | undefined {
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

import type { SaxesTagNS } from 'saxes'
import { namesIn, refuse } from './safe-css.ts'

/** An element of the SVG whose cost is counted. */
export type SvgElement = Pick<SaxesTagNS, 'name' | 'attributes'> & {
  children: SvgElement[]
  text: string
  /** Ids of the elements that are rendered with this one: the target of a `<use>`, a mask, a clip path or a filter. */
  references: string[]
  /** Ids of the gradients that fill or outline the shapes of this element. */
  paints: string[]
}

/**
 * Limits of everything that takes time or memory to render. An element counts once for each reference to it, because a
 * short SVG can draw one a billion times: ten groups, each of which refers to the next one ten times. DiceBear's own
 * drawings stay below about half of each limit.
 */
export const MAX_COST = {
  elements: 3_600,
  /** Each shape may cover the whole picture. */
  shapes: 1_200,
  /** The coordinates in all paths. */
  coordinates: 72_000,
  /** A seed of 128 combining characters, which is drawn as one letter, stays below this limit. */
  letters: 520,
  /** The colour stops of gradients, counted for each shape that they fill or outline. */
  stops: 2_400,
  /** A layer is a separate picture into which an element is rendered first, for example because of its mask. */
  layers: 60,
  /** Each step of a filter renders another picture, which is four times as large because of its margin. */
  filterSteps: 26,
  blurs: 4,
}
export type Cost = typeof MAX_COST

export const COST_KINDS = [
  'elements',
  'shapes',
  'coordinates',
  'letters',
  'stops',
  'layers',
  'filterSteps',
  'blurs',
] as const satisfies (keyof Cost)[]

const shapes = namesIn('circle ellipse path rect')
const layerAttributes = namesIn('clip-path filter mask opacity style')
/** Elements that are drawn only if another element refers to them. */
const drawnByReference = namesIn('clipPath defs filter linearGradient mask radialGradient')

/** The cost of an element with all that it holds or refers to. Throws UnsafeSvg for a circular or missing reference. */
export function costOf(root: SvgElement, byId: ReadonlyMap<string, SvgElement>): Cost {
  const costs = new Map<SvgElement, Cost | 'in progress'>()

  function totalCost(element: SvgElement): Cost {
    const known = costs.get(element)
    if (known === 'in progress') refuse('a reference to itself')
    if (known) return known
    costs.set(element, 'in progress')
    const total = ownCost(element)
    for (const child of element.children) {
      const cost = totalCost(child)
      if (!drawnByReference.has(child.name)) add(total, cost)
    }
    for (const id of element.references) add(total, totalCost(find(id)))
    for (const id of element.paints) total.stops += totalCost(find(id)).stops * Math.max(total.shapes, 1)
    costs.set(element, total)
    return total
  }

  function find(id: string): SvgElement {
    return byId.get(id) ?? refuse('a reference to nothing')
  }

  return totalCost(root)
}

export function isTooMuch(cost: Cost): boolean {
  return COST_KINDS.some((kind) => cost[kind] > MAX_COST[kind])
}

function ownCost({ name, attributes, text }: SvgElement): Cost {
  return {
    elements: 1,
    shapes: shapes.has(name) ? 1 : 0,
    coordinates: coordinatesIn(attributes.d?.value ?? ''),
    letters: name === 'text' ? text.length : 0,
    stops: name === 'stop' ? 1 : 0,
    layers: Object.keys(attributes).filter((attribute) => layerAttributes.has(attribute)).length,
    filterSteps: name.startsWith('fe') ? 1 : 0,
    blurs: name === 'feGaussianBlur' ? 1 : 0,
  }
}

/** The number of coordinates in a path. A coordinate with a fraction counts twice. */
export function coordinatesIn(path: string): number {
  return path.match(/\d+/g)?.length ?? 0
}

function add(total: Cost, cost: Cost): void {
  for (const kind of COST_KINDS) total[kind] += cost[kind]
}

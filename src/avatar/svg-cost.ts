import type { SaxesTagNS } from 'saxes'
import { namesIn, refuse } from './safe-css.ts'

/** An element of an SVG that is checked. */
export type SvgElement = Pick<SaxesTagNS, 'name' | 'attributes'> & {
  children: SvgElement[]
  text: string
  /** Ids of the elements that are drawn in the place of this one. */
  references: string[]
  /** Ids of the gradients that fill or outline its shapes. */
  paints: string[]
}

/**
 * Limits of what costs time or memory to render. Elements that are referenced count once for each reference: ten groups
 * that each use the next one ten times are a short SVG. DiceBear's own drawings stay below about half of each.
 */
export const MAX_COST = {
  elements: 3_600,
  /** Each of them may cover the whole picture. */
  shapes: 1_200,
  /** In the paths of all shapes. */
  coordinates: 72_000,
  /** High enough for a seed of 128 combining characters, which is drawn as one letter. */
  letters: 520,
  /** Colour stops of the gradients that fill or outline shapes. */
  stops: 2_400,
  /** Each is first rendered into a picture of its own. */
  layers: 60,
  /** Each step renders another picture, which with its margin is four times as large. */
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
/** Elements that are drawn only where another element refers to them. */
const drawnByReference = namesIn('clipPath defs filter linearGradient mask radialGradient')

/** The cost of an element with all that it contains and refers to. Throws UnsafeSvg if it refers to itself. */
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

/** Whether any part of the cost is above its limit in MAX_COST. */
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

/** The number of coordinates; those with a fraction count twice. */
export function coordinatesIn(path: string): number {
  return path.match(/\d+/g)?.length ?? 0
}

function add(total: Cost, cost: Cost): void {
  for (const kind of COST_KINDS) total[kind] += cost[kind]
}

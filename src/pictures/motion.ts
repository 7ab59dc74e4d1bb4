import { calc } from '@csstools/css-calc'
import bezier from 'bezier-easing'
import { selectAll } from 'css-select'
import { type Block, type FunctionNode, generate, parse, walk } from 'css-tree'
import type { Document, Element } from './bounds.ts'

/** How long one turn of an animation takes, and when it starts. All of DiceBear's go on for ever. */
export type Pace = { periodMs: number; delayMs: number }
/** A transform is several of these, an opacity one. */
export type Step = { name: string; numbers: number[] }
export type Easing = (progress: number) => number
export type Keyframe = { at: number; steps: Step[]; easing: Easing | undefined }
export type Animation = Pace & {
  easing: Easing
  /** From 0 to 1 each, or empty: a keyframe that does not name a property counts for nothing there. */
  transform: Keyframe[]
  opacity: Keyframe[]
  /** As it is written: a word or length across, another down. */
  origin: string
  /** Whether `origin` is meant within the element's own bounds, not within the drawing. */
  inBounds: boolean
}
type Declarations = Map<string, string>

/** Ten times DiceBear's longest. */
const maxCssLength = 20_000

/** https://www.w3.org/TR/css-easing-1/ */
const easings = new Map<string, Easing>([
  ['linear', (progress) => progress],
  ['ease', bezier(0.25, 0.1, 0.25, 1)],
  ['ease-in', bezier(0.42, 0, 1, 1)],
  ['ease-out', bezier(0, 0, 0.58, 1)],
  ['ease-in-out', bezier(0.42, 0, 0.58, 1)],
  ['step-end', () => 0],
])

/**
 * What moves in a drawing and how, by its stylesheet: just as much of CSS as DiceBear's styles are written in. Throws
 * where there is more.
 */
export function readAnimations(css: string, document: Document): Map<Element, Animation> {
  if (css.length > maxCssLength) notKnown('so much CSS')
  const keyframes = new Map<string, [places: string, Declarations][]>()
  const styles = new Map<Element, Declarations>()
  walk(parse(css, { parseValue: false }), {
    visit: 'Rule',
    enter({ prelude, block }) {
      const selector = generate(prelude)
      if (this.atrule?.name === 'keyframes' && this.atrule.prelude) {
        const name = generate(this.atrule.prelude)
        keyframes.set(name, [...(keyframes.get(name) ?? []), [selector, declarations(block)]])
        return
      }
      for (const element of selectAll<Document | Element, Element>(selector, document, { xmlMode: true })) {
        styles.set(element, new Map([...(styles.get(element) ?? []), ...declarations(block)]))
      }
    },
  })
  const variables = new Map([...styles].flatMap(([{ name }, style]) => (name === 'svg' ? [...style] : [])))
  const animations = new Map<Element, Animation>()
  for (const [element, style] of styles) {
    const animation = style.get('animation')
    if (animation === undefined) continue
    const { name, ...timing } = readTiming(solved(animation, variables))
    animations.set(element, {
      ...timing,
      transform: track('transform', keyframes.get(name) ?? []),
      opacity: track('opacity', keyframes.get(name) ?? []),
      origin: style.get('transform-origin') ?? '0 0',
      inBounds: style.get('transform-box') === 'fill-box',
    })
  }
  return animations
}

function declarations(block: Block): Declarations {
  const parts = block.children.toArray().filter((part) => part.type === 'Declaration')
  return new Map(parts.map(({ property, value }) => [property, generate(value).trim()]))
}

/** Without `var()` and `calc()`. */
function solved(value: string, variables: Declarations): string {
  return calc(
    value.replace(/var\((--[\w-]+),([^()]*)\)/g, (_, name: string, other: string) => variables.get(name) ?? other),
  )
}

/** The `animation` shorthand, such as "sway 4.4s ease-in-out infinite 1s". */
function readTiming(value: string) {
  const words = value.split(/\s+/)
  const times = words.filter((word) => /^[\d.]+s$/.test(word)).map((time) => Number.parseFloat(time) * 1000)
  const easing = words.find((word) => easings.has(word))
  const [name, ...others] = words.filter((word) => !/^[\d.]+s$/.test(word) && word !== easing && word !== 'infinite')
  const [periodMs = 0, delayMs = 0] = times
  if (name === undefined || others.length > 0 || !words.includes('infinite') || !(periodMs > 0)) notKnown(value)
  return { name, periodMs, delayMs, easing: easings.get(easing ?? 'ease') ?? notKnown(value) }
}

/** The keyframes of one property, in their order. */
function track(property: 'transform' | 'opacity', keyframes: [places: string, Declarations][]): Keyframe[] {
  const named = keyframes.flatMap(([places, style]) => {
    const value = style.get(property)
    if (value === undefined) return []
    const steps = property === 'opacity' ? [{ name: property, numbers: [Number(value)] }] : readTransform(value)
    const easing = easings.get(style.get('animation-timing-function') ?? '')
    return places.split(',').map((place) => ({ at: share(place), steps, easing }))
  })
  const [first] = named
  if (first === undefined) return []
  const rest = first.steps.map(({ name, numbers }) => ({
    name,
    numbers: numbers.map(() => (/^(scale|opacity)/.test(name) ? 1 : 0)),
  }))
  const ends = [0, 1].filter((end) => named.every(({ at }) => at !== end))
  return [...named, ...ends.map((at) => ({ at, steps: rest, easing: undefined }))].sort(
    (one, other) => one.at - other.at,
  )
}

function share(place: string): number {
  if (place === 'from') return 0
  return place === 'to' ? 1 : Number.parseFloat(place) / 100
}

function readTransform(value: string): Step[] {
  const parsed = parse(value, { context: 'value' })
  const parts = parsed.type === 'Value' ? parsed.children.toArray() : []
  return parts.map((part) => (part.type === 'Function' ? readStep(part) : notKnown(value)))
}

function readStep({ name, children }: FunctionNode): Step {
  const numbers = children.toArray().flatMap((part) => {
    if (part.type === 'Operator') return []
    const isLength = part.type === 'Dimension' && ['deg', 'px'].includes(part.unit)
    return isLength || part.type === 'Number' ? Number(part.value) : notKnown(generate(part))
  })
  return { name, numbers }
}

export function notKnown(what: string): never {
  throw new Error(`not a motion that we can draw: ${what.slice(0, 80)}`)
}

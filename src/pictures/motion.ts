import { calc } from '@csstools/css-calc'
import bezier from 'bezier-easing'
import { type Block, type FunctionNode, generate, parse, walk } from 'css-tree'
import { DomUtils } from 'htmlparser2'
import type { Document, Element } from './bounds.ts'

/** The timing of an animation. All animations repeat without end. */
export type Timing = { periodMs: number; delayMs: number }
/** One function of a `transform` with its arguments, or an opacity with its value. */
export type Step = { name: string; numbers: number[] }
/** Converts the share of the time between two keyframes to the share of the change, both from 0 to 1. */
type Easing = (progress: number) => number
/** A keyframe. `at` is its place in the period, from 0 to 1. */
export type Keyframe = { at: number; steps: Step[]; easing: Easing | undefined }
export type Animation = Timing & {
  easing: Easing
  /** The keyframes of `transform`, from 0 to 1; none if the animation does not change it. */
  transform: Keyframe[]
  /** The keyframes of `opacity`, in the same form. */
  opacity: Keyframe[]
  /** The value of `transform-origin`, as the stylesheet has it. */
  origin: string
  /** Whether the origin is relative to the bounding box of the element (`fill-box`), not to the drawing. */
  inBounds: boolean
}
type Declarations = Map<string, string>
type KeyframeRule = { selector: string; style: Declarations }

/** Limit of the length of a stylesheet. DiceBear's longest one has less than a tenth of it. */
const maxCssLength = 20_000

/** CSS easing functions by name: https://www.w3.org/TR/css-easing-1/ */
const easings = new Map<string, Easing>([
  ['linear', (progress) => progress],
  ['ease', bezier(0.25, 0.1, 0.25, 1)],
  ['ease-in', bezier(0.42, 0, 1, 1)],
  ['ease-out', bezier(0, 0, 0.58, 1)],
  ['ease-in-out', bezier(0.42, 0, 0.58, 1)],
  ['step-end', () => 0],
])

/** Reads the animations in a stylesheet, by the element that moves. Throws an Error for CSS that no style uses. */
export function readAnimations(css: string, document: Document): Map<Element, Animation> {
  const { keyframes, styles } = readRules(css, document)
  const variables = new Map([...styles].flatMap(([{ name }, style]) => (name === 'svg' ? [...style] : [])))
  const animations = new Map<Element, Animation>()
  for (const [element, style] of styles) {
    const animation = style.get('animation')
    if (animation === undefined) continue
    const { name, ...timing } = readShorthand(evaluate(animation, variables))
    animations.set(element, {
      ...timing,
      transform: readKeyframes('transform', keyframes.get(name) ?? []),
      opacity: readKeyframes('opacity', keyframes.get(name) ?? []),
      origin: style.get('transform-origin') ?? '0 0',
      inBounds: style.get('transform-box') === 'fill-box',
    })
  }
  return animations
}

/** The keyframe rules by the name of their animation, and the declarations by the element to which they apply. */
function readRules(css: string, document: Document) {
  if (css.length > maxCssLength) unsupported('so much CSS')
  const keyframes = new Map<string, KeyframeRule[]>()
  const styles = new Map<Element, Declarations>()
  walk(parse(css, { parseValue: false }), {
    visit: 'Rule',
    enter({ prelude, block }) {
      const selector = generate(prelude)
      const style = declarationsIn(block)
      if (this.atrule?.name === 'keyframes' && this.atrule.prelude) {
        const name = generate(this.atrule.prelude)
        keyframes.set(name, [...(keyframes.get(name) ?? []), { selector, style }])
        return
      }
      for (const element of selector.split(',').flatMap((one) => elementsOf(one, document))) {
        styles.set(element, new Map([...(styles.get(element) ?? []), ...style]))
      }
    },
  })
  return { keyframes, styles }
}

/**
 * The elements that a selector matches. `.name` matches by class; `svg:has(.name)` matches the root element if an
 * element has that class.
 */
function elementsOf(selector: string, document: Document): Element[] {
  const [, ofDrawing, name] = /^(svg:has\()?\.([\w-]+)\)?$/.exec(selector) ?? unsupported(selector)
  const elements = DomUtils.getElementsByTagName('*', document)
  const found = elements.filter(({ attribs }) => attribs.class?.split(' ').includes(name ?? ''))
  return ofDrawing && found.length > 0 ? elements.slice(0, 1) : found
}

function declarationsIn(block: Block): Declarations {
  const declarations = block.children.toArray().filter((node) => node.type === 'Declaration')
  return new Map(declarations.map(({ property, value }) => [property, generate(value).trim()]))
}

/** Replaces each `var(--name, fallback)` and `calc()` in a CSS value by its result. */
function evaluate(value: string, variables: Declarations): string {
  return calc(
    value.replace(
      /var\((--[\w-]+),([^()]*)\)/g,
      (_, name: string, fallback: string) => variables.get(name) ?? fallback,
    ),
  )
}

/** Reads the `animation` shorthand, such as "sway 4.4s ease-in-out infinite 1s". */
function readShorthand(value: string) {
  const isTime = (word: string) => /^[\d.]+s$/.test(word)
  const words = value.split(/\s+/)
  const [periodMs = 0, delayMs = 0] = words.filter(isTime).map((time) => Number.parseFloat(time) * 1000)
  const easing = words.find((word) => easings.has(word))
  const [name, ...others] = words.filter((word) => !isTime(word) && word !== easing && word !== 'infinite')
  if (name === undefined || others.length > 0 || !words.includes('infinite') || !(periodMs > 0)) unsupported(value)
  return { name, periodMs, delayMs, easing: easings.get(easing ?? 'ease') ?? unsupported(value) }
}

/** The keyframes of one property, in order. A missing first or last one gets the property's initial value. */
function readKeyframes(property: 'transform' | 'opacity', rules: KeyframeRule[]): Keyframe[] {
  const keyframes = rules.flatMap(({ selector, style }) => {
    const value = style.get(property)
    if (value === undefined) return []
    const steps = property === 'opacity' ? [{ name: property, numbers: [Number(value)] }] : readTransform(value)
    const easing = easings.get(style.get('animation-timing-function') ?? '')
    return selector.split(',').map((position) => ({ at: positionOf(position), steps, easing }))
  })
  const [first] = keyframes
  if (first === undefined) return []
  const missing = [0, 1].filter((end) => keyframes.every(({ at }) => at !== end))
  const steps = first.steps.map(initialStep)
  return [...keyframes, ...missing.map((at) => ({ at, steps, easing: undefined }))].sort((a, b) => a.at - b.at)
}

function initialStep({ name, numbers }: Step): Step {
  return { name, numbers: numbers.map(() => (/^(scale|opacity)/.test(name) ? 1 : 0)) }
}

function positionOf(selector: string): number {
  if (selector === 'from') return 0
  return selector === 'to' ? 1 : Number.parseFloat(selector) / 100
}

function readTransform(value: string): Step[] {
  const parsed = parse(value, { context: 'value' })
  const nodes = parsed.type === 'Value' ? parsed.children.toArray() : []
  return nodes.map((node) => (node.type === 'Function' ? readStep(node) : unsupported(value)))
}

function readStep({ name, children }: FunctionNode): Step {
  const numbers = children.toArray().flatMap((node) => {
    if (node.type === 'Operator') return []
    const isLength = node.type === 'Dimension' && ['deg', 'px'].includes(node.unit)
    return isLength || node.type === 'Number' ? Number(node.value) : unsupported(generate(node))
  })
  return { name, numbers }
}

export function unsupported(what: string): never {
  throw new Error(`unsupported animation: ${what.slice(0, 80)}`)
}

import { DomUtils, parseDocument } from 'htmlparser2'
import { findStyle } from '../avatar/catalogue.ts'
import type { Choice } from '../avatar/choice.ts'
import { drawEmbedded } from '../avatar/embedded.ts'
import { type Box, createMeasure, type Element } from './bounds.ts'
import { type Animation, type Keyframe, readAnimations, type Step, type Timing, unsupported } from './motion.ts'

type Frames = {
  /** The timings of all animations in the drawing. */
  timings: Timing[]
  /**
   * Returns the drawing at one moment, as an SVG without animations. `iterations` tells how many times an animation has
   * run by then: 2.25 means that a quarter of its third run has passed.
   */
  at(iterations: (timing: Timing) => number): string
}

/** Whether anything in this avatar moves. Some drawings of a style with animations have none. */
export async function moves(choice: Choice): Promise<boolean> {
  if (!choice.animated || !findStyle(choice.style)?.animated) return false
  return framesOf(await drawEmbedded(choice)).timings.length > 0
}

/**
 * Converts a checked SVG with CSS animations into SVGs of single moments without CSS, in which each animated element
 * has its `transform` and `opacity` at that moment as attributes. Throws an Error if an animation uses CSS that no
 * style of DiceBear uses.
 */
export function framesOf(svg: string): Frames {
  const document = parseDocument(svg, { xmlMode: true })
  const stylesheets = DomUtils.getElementsByTagName('style', document)
  const css = stylesheets.map((one) => DomUtils.textContent(one)).join('\n')
  for (const one of stylesheets) DomUtils.removeElement(one)
  const animations = readAnimations(css, document)
  const elements = DomUtils.getElementsByTagName('*', document)
  const boundsAt = createMeasure(new Map(elements.map((element) => [`#${element.attribs.id}`, element])))

  return {
    timings: [...animations.values()],
    at(iterations) {
      const transforms = new Map<Element, string>()
      const bounds = boundsAt(transformOf)

      // This function calls itself through `bounds`, because the origin of a group depends on the positions of the
      // animated elements inside the group.
      function transformOf(element: Element): string {
        const animation = animations.get(element)
        if (!animation?.transform.length) return element.attribs.transform ?? ''
        const transform =
          transforms.get(element) ?? transformAt(animation, iterations(animation), () => bounds(element))
        transforms.set(element, transform)
        return transform
      }

      for (const [element, animation] of animations) {
        const [opacity] = stepsAt(animation.opacity, animation, iterations(animation))
        if (opacity) element.attribs.opacity = opacity.numbers.join()
        if (animation.transform.length) element.attribs.transform = transformOf(element)
      }
      return DomUtils.getOuterHTML(document, { xmlMode: true })
    },
  }
}

/**
 * The value of the `transform` attribute. Unlike in CSS it has no origin, so the drawing is moved to the origin and
 * back.
 */
function transformAt(animation: Animation, iterations: number, bounds: () => Box | undefined): string {
  // Without a box there is no width or height for a percentage, so NaN makes `lengthIn` refuse it.
  const [left, top, right, bottom] = animation.inBounds ? (bounds() ?? [0, 0, 0, 0]) : [0, 0, Number.NaN, Number.NaN]
  const [originX = '50%', originY = '50%'] = animation.origin.replace(/^center$/, '50%').split(' ')
  const x = left + lengthIn(originX, right - left)
  const y = top + lengthIn(originY, bottom - top)
  const steps = stepsAt(animation.transform, animation, iterations).map(svgFunction)
  return `translate(${x} ${y}) ${steps.join(' ')} translate(${-x} ${-y})`
}

/** The number in a CSS length, or the share of `whole` for a percentage. */
function lengthIn(css: string, whole: number): number {
  const number = Number.parseFloat(css)
  const length = css.endsWith('%') ? (number / 100) * whole : number
  return Number.isFinite(length) ? length : unsupported(`transform-origin: ${css}`)
}

/** The values at a moment, interpolated between the keyframes before and after it; none if there are no keyframes. */
function stepsAt(keyframes: Keyframe[], animation: Animation, iterations: number): Step[] {
  const progress = iterations - Math.floor(iterations)
  const next = keyframes.findIndex(({ at }) => at > progress)
  const [from, to] = [keyframes[next - 1], keyframes[next]]
  if (!from || !to) return []
  const ease = from.easing ?? animation.easing
  const share = ease((progress - from.at) / (to.at - from.at))
  return from.steps.map((step, i) => interpolate(step, to.steps[i], share))
}

function interpolate({ name, numbers }: Step, to: Step | undefined, share: number): Step {
  if (to?.name !== name || to.numbers.length !== numbers.length) unsupported(`from ${name} to ${to?.name}`)
  return { name, numbers: numbers.map((number, i) => number + ((to.numbers[i] ?? 0) - number) * share) }
}

/** The function of SVG's attribute `transform` that does the same as this CSS function. */
function svgFunction({ name, numbers: [first = 0, second] }: Step): string {
  switch (name) {
    case 'rotate':
      return `rotate(${first})`
    case 'translate':
      return `translate(${first} ${second ?? 0})`
    case 'translateX':
      return `translate(${first} 0)`
    case 'translateY':
      return `translate(0 ${first})`
    case 'scale':
      return `scale(${first} ${second ?? first})`
    case 'scaleY':
      return `scale(1 ${first})`
    default:
      return unsupported(name)
  }
}

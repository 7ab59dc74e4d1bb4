import { selectAll } from 'css-select'
import { DomUtils, parseDocument } from 'htmlparser2'
import { type Box, boundsOf, type Document, type Element } from './bounds.ts'
import { type Animation, type Keyframe, notKnown, type Pace, readAnimations, type Step } from './motion.ts'

export type Frames = {
  /** Of each animation in the drawing. */
  paces: Pace[]
  /** The drawing, still, when each animation has done so many turns; 2.25 is a quarter of the third. */
  at(turns: (pace: Pace) => number): string
}

/**
 * Draws single moments of a checked SVG that moves by CSS, as SVGs that need none: what moves has its `transform` and
 * `opacity` of that moment. Throws where something moves in another way than
 * DiceBear's styles do.
 */
export function framesOf(svg: string): Frames {
  const document = parseDocument(svg, { xmlMode: true })
  const stylesheets = DomUtils.getElementsByTagName('style', document)
  const css = stylesheets.map((one) => DomUtils.textContent(one)).join('\n')
  for (const one of stylesheets) DomUtils.removeElement(one)
  const animations = readAnimations(css, document)
  const named = selectAll<Document | Element, Element>('[id]', document, { xmlMode: true })
  const byId = new Map(named.map((element) => [`#${element.attribs.id}`, element]))

  return {
    paces: [...animations.values()],
    at(turns) {
      const transforms = new Map<Element, string>()
      const bounds = boundsOf(byId, transformOf)

      // What moves may hold others that move: its bounds, and so its middle, depend on where those are.
      function transformOf(element: Element): string {
        const animation = animations.get(element)
        if (!animation?.transform.length) return element.attribs.transform ?? ''
        const transform = transforms.get(element) ?? transformAt(animation, turns(animation), () => bounds(element))
        transforms.set(element, transform)
        return transform
      }

      for (const [element, animation] of animations) {
        const [opacity] = stepsAt(animation.opacity, animation, turns(animation))
        if (opacity) element.attribs.opacity = opacity.numbers.join()
        if (animation.transform.length) element.attribs.transform = transformOf(element)
      }
      return DomUtils.getOuterHTML(document, { xmlMode: true })
    },
  }
}

/** As a `transform` attribute, which has no origin of its own: there, turned, and back. */
function transformAt(animation: Animation, turns: number, bounds: () => Box | undefined): string {
  const [left, top, right, bottom] = animation.inBounds ? (bounds() ?? [0, 0, 0, 0]) : [0, 0, Number.NaN, Number.NaN]
  const [across = '0', down = '0'] = animation.origin.replace(/^center$/, '50% 50%').split(' ')
  const x = left + length(across, right - left)
  const y = top + length(down, bottom - top)
  const steps = stepsAt(animation.transform, animation, turns).map(inSvg)
  return `translate(${x} ${y}) ${steps.join(' ')} translate(${-x} ${-y})`
}

function length(css: string, whole: number): number {
  const number = Number.parseFloat(css)
  const value = css.endsWith('%') ? (number / 100) * whole : number
  return Number.isFinite(value) ? value : notKnown(`transform-origin: ${css}`)
}

/** Where the keyframes stand, each number on its way from one to the next. */
function stepsAt(keyframes: Keyframe[], animation: Animation, turns: number): Step[] {
  const progress = turns - Math.floor(turns)
  const next = keyframes.findIndex(({ at }) => at > progress)
  const [from, to] = [keyframes[next - 1], keyframes[next]]
  if (!from || !to) return []
  const ease = from.easing ?? animation.easing
  const eased = ease((progress - from.at) / (to.at - from.at))
  return from.steps.map(({ name, numbers }, i) => {
    const other = to.steps[i]
    if (other?.name !== name || other.numbers.length !== numbers.length) notKnown(`from ${name} to ${other?.name}`)
    return { name, numbers: numbers.map((number, n) => number + ((other.numbers[n] ?? 0) - number) * eased) }
  })
}

/** SVG has fewer functions than CSS. */
function inSvg({ name, numbers: [first = 0, second] }: Step): string {
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
      return notKnown(name)
  }
}

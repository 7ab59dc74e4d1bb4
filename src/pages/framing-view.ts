// The card "Framing" of the form, and its sliders.
import { flips, measure, ranges, scaleHint } from '../../public/js/look.js'
import { framings, type Style } from '../avatar/catalogue.ts'
import { type Field, numberIn } from './field-schemas.ts'
import type { Entered } from './form.ts'
import { pictureUrl } from './look.ts'
import { words } from './words.ts'

const framingFields = ['scale', 'translateX', 'translateY', 'rotate', 'flip'] as const satisfies Field[]

export function framingView(entered: Entered, look: PictureLook, style: Style | undefined) {
  /** Whether the style is a pattern. At a smaller scale the edges of the pattern would be visible. */
  const isEdgeToEdge = style?.edgeToEdge === true
  const scale = entered.scale === '' ? ranges.scale.initial : numberIn(entered.scale)
  const mirror = entered.flip === 'none' ? '' : entered.flip
  const isOwnScale = !framings.some(({ scale: one }) => one === scale)
  const sliders = (['translateX', 'translateY', 'rotate'] as const).map((name) => sliderView(name, entered[name]))
  const isNumber = Number.isFinite(scale)
  const percent = Math.round(100 * (isNumber ? scale : ranges.scale.initial))
  const percentText = measure(String(percent), words.script.units.scale)
  return {
    fields: framingFields,
    hint: style ? scaleHint(words.script, style, entered) : '',
    scales: framings.map(({ name, scale: one }) => {
      const value = one === ranges.scale.initial ? '' : String(one)
      return {
        value,
        title: words.framings[name],
        isChosen: one === scale,
        // The entered value is never disabled, because browsers do not send a disabled field.
        isDisabled: isEdgeToEdge && one < ranges.scale.initial && one !== scale,
        picture: pictureUrl({ ...look, scale: value }),
      }
    }),
    /** The radio button for a scale that no tile has. The slider sets its value. */
    ownScale: {
      value: entered.scale,
      isChosen: isOwnScale,
      text: isOwnScale ? (isNumber ? percentText : entered.scale) : '',
    },
    size: {
      min: 100 * ranges.scale.min,
      max: 100 * ranges.scale.max,
      value: percent,
      text: percentText,
    },
    sliders,
    mirror: { value: flips.find((one) => one === mirror) ?? flips[0], isChosen: flips.some((one) => one === mirror) },
    isAdjusted: isOwnScale || mirror !== '' || sliders.some(({ isSet }) => isSet),
  }
}

type PictureLook = Parameters<typeof pictureUrl>[0]

export function sliderView(
  name: 'backgroundColorAngle' | 'translateX' | 'translateY' | 'rotate',
  entered: string,
  own: { min?: number; step?: number } = {},
) {
  const { min, max, initial, step } = { step: 1, ...ranges[name], ...own }
  const value = entered === '' ? String(initial) : entered
  return {
    name,
    title: words.sliders[name],
    entered,
    value,
    isSet: Number(value) !== initial,
    text: measure(value, words.script.units[name]),
    min: Math.min(min, Number(value) || 0),
    max,
    // If the number does not match the step, any number is allowed, because a browser would round this one.
    step: Number(value) % step === 0 ? step : 'any',
  }
}

// The card "Background" of the form.
import { fill, gradients, hexColour, isFaint } from '../../public/js/look.js'
import { palette, type Style } from '../avatar/catalogue.ts'
import type { Choice } from '../avatar/choice.ts'
import { betterSwatches, faintBackgrounds } from '../avatar/faint.ts'
import type { Field } from './field-schemas.ts'
import type { Entered } from './form.ts'
import { sliderView } from './framing-view.ts'
import { lookUrl } from './look.ts'
import { words } from './words.ts'

const backgroundFields = [
  'backgroundColor',
  'backgroundColorFill',
  'backgroundColor2',
  'backgroundColorAngle',
] as const satisfies Field[]

export function backgroundView(entered: Entered, style: Style | undefined) {
  const isOwn = entered.backgroundColor === 'own'
  const isNone = ['', 'transparent'].includes(entered.backgroundColor)
  const first = {
    ...coloursView(isNone || isOwn ? '' : entered.backgroundColor),
    hasWell: true,
    none: true,
    isNone,
    stylesOwn: { isOffered: isOwn || style?.ownBackground === true, isChosen: isOwn },
  }
  const isGradient = gradients.some((one) => one === entered.backgroundColorFill)
  // A gradient without a second colour is ignored. If it were chosen here, the form would send a second colour with it.
  const isIgnored = entered.backgroundColorFill === 'solid' || (isGradient && entered.backgroundColor2 === '')
  const chosenFill = isIgnored ? '' : entered.backgroundColorFill
  return {
    isFaint: style !== undefined && isFaint(faintBackgrounds(style.name), entered.backgroundColor),
    better: (style ? betterSwatches(style.name) : []).map((value) => ({
      value,
      title: words.colours[palette.find((swatch) => swatch.value === value)?.name ?? ''],
      url: lookUrl({ ...entered, backgroundColor: value, backgroundColorFill: '' }),
    })),
    fields: backgroundFields,
    first,
    fills: ['', ...gradients].map((value) => ({
      value,
      title: words.fills[value],
      isChosen: value === chosenFill,
    })),
    second: {
      ...coloursView(entered.backgroundColor2, palette[secondSwatch]?.value),
      // The page has this colour input only if a gradient is chosen. Otherwise the script adds it later.
      hasWell: isGradient && !isIgnored,
    },
    angle: sliderView('backgroundColorAngle', entered.backgroundColorAngle, { min: 0, step: 15 }),
  }
}

/** The index of the swatch that is the second colour by default. It is not the default of the first colour. */
const secondSwatch = 3

/** The values of the swatches and the colour input for one colour. `initial` is chosen if nothing was entered. */
function coloursView(entered: string, initial?: string) {
  const colour = hexColour(entered) ?? (entered === '' ? initial : undefined)
  return {
    swatches: palette.map(({ value, name }) => ({ value, title: words.colours[name], isChosen: value === colour })),
    /** The value of the colour input, which cannot be empty. */
    wellColour: colour ?? palette[0]?.value ?? '',
    ownColour: palette.some(({ value }) => value === colour) ? undefined : colour,
    /** The entered text if it is not a colour. */
    invalidColour: entered === '' || colour ? undefined : entered,
  }
}

/** The background of a choice in words. */
export function backgroundName({ backgroundColor, backgroundColor2 }: Choice): string {
  if (backgroundColor === '') return words.home.none
  if (backgroundColor === 'own') return words.home.stylesOwn
  if (!backgroundColor2) return colourName(backgroundColor)
  return fill(words.home.gradient, { first: colourName(backgroundColor), second: colourName(backgroundColor2) })
}

function colourName(colour: string): string {
  const swatch = palette.find(({ value }) => value === colour)
  return (swatch && words.colours[swatch.name]) ?? `#${colour}`
}

// Backgrounds on which a style is nearly invisible. test/parts/faint.test.ts compares them with rendered pixels.
import { themeColours } from '../../public/js/look.js'
import { palette } from './catalogue.ts'
import faintJson from './faint.json' with { type: 'json' }

const table = new Map<string, readonly string[]>(Object.entries(faintJson))

/** The backgrounds on which a style is nearly invisible: swatches of the form, and Discord's themes. */
export const faintBackgrounds = (style: string): readonly string[] => table.get(style) ?? []

/** The three swatches that are, in the palette, farthest from those on which the style is nearly invisible. */
export function betterSwatches(style: string): string[] {
  const values = palette.map(({ value }) => value)
  const [dark, light] = themeColours
  const placeOf = (background: string) =>
    background === dark ? values.length : background === light ? -1 : values.indexOf(background)
  const faintPlaces = faintBackgrounds(style).map(placeOf)
  const distance = (value: string) => Math.min(...faintPlaces.map((place) => Math.abs(place - values.indexOf(value))))
  return values.toSorted((a, b) => distance(b) - distance(a)).slice(0, 3)
}

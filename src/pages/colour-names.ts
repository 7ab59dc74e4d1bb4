/**
 * Returns a function that names a colour (six hex digits). It gets the name of the most similar colour in `examples`,
 * which maps colours to their names.
 */
export function colourNamer(examples: Readonly<Record<string, string>>): (colour: string) => string {
  const known = Object.entries(examples).map(([colour, name]) => ({ ...oklab(colour), name }))
  return (colour) => {
    const { l, a, b } = oklab(colour)
    const distances = known.map((one) => (one.l - l) ** 2 + (one.a - a) ** 2 + (one.b - b) ** 2)
    return known[distances.indexOf(Math.min(...distances))]?.name ?? ''
  }
}

/** Converts a colour to OKLab, where distance is visible difference. https://bottosson.github.io/posts/oklab/ */
function oklab(colour: string): { l: number; a: number; b: number } {
  const channel = (start: number) => linear(Number.parseInt(colour.slice(start, start + 2), 16) / 255)
  const [red, green, blue] = [channel(0), channel(2), channel(4)]
  const long = Math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
  const medium = Math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
  const short = Math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
  return {
    l: 0.2104542553 * long + 0.793617785 * medium - 0.0040720468 * short,
    a: 1.9779984951 * long - 2.428592205 * medium + 0.4505937099 * short,
    b: 0.0259040371 * long + 0.7827717662 * medium - 0.808675766 * short,
  }
}

/** Converts a channel of sRGB to linear light. */
function linear(value: number): number {
  return value > 0.04045 ? ((value + 0.055) / 1.055) ** 2.4 : value / 12.92
}

/**
 * Returns a function that names a colour of six hex digits, by the example that looks most similar. `examples` are
 * names by colour.
 */
export function colourNamer(examples: Readonly<Record<string, string>>): (colour: string) => string {
  const known = Object.entries(examples).map(([colour, name]) => ({ lab: oklab(colour), name }))
  return (colour) => {
    const lab = oklab(colour)
    const distances = known.map((example) => Math.hypot(...example.lab.map((part, i) => part - (lab[i] ?? 0))))
    return known[distances.indexOf(Math.min(...distances))]?.name ?? ''
  }
}

/**
 * Converts a colour to OKLab, in which the distance of two colours tells how different they look.
 * https://bottosson.github.io/posts/oklab/
 */
function oklab(colour: string): number[] {
  const channel = (start: number) => linear(Number.parseInt(colour.slice(start, start + 2), 16) / 255)
  const [r, g, b] = [channel(0), channel(2), channel(4)]
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ]
}

/** Converts a channel of sRGB to linear light. */
function linear(value: number): number {
  return value > 0.04045 ? ((value + 0.055) / 1.055) ** 2.4 : value / 12.92
}

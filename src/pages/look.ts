// Addresses of a look, for the views.

/** A checked choice, or the fields as they were entered, where `animated` is `on` or empty. */
type Look = { seed: string; style: string; backgroundColor?: string; mood?: string; animated?: boolean | string }

/** Stands in for the username where the seed is left empty and nobody has signed in. */
export const exampleSeed = 'juniper'

/** The live preview's address; page.js builds the same, so that the browser's cache serves both. */
export function pictureUrl({ seed, style, backgroundColor, mood, animated }: Look): string {
  const query = new URLSearchParams({ seed: seed || exampleSeed, style })
  if (backgroundColor && backgroundColor !== 'transparent') query.set('backgroundColor', backgroundColor)
  if (mood) query.set('mood', mood)
  if (animated) query.set('animated', 'on')
  return `/preview.svg?${query}`
}

/** The form filled with this look. */
export const lookUrl = (look: Look) => `/?${lookQuery(look)}`

/** A look's fields in an address. No background is written as "transparent", so that it does not read as "not said". */
export function lookQuery({ seed, style, backgroundColor, mood, animated }: Look): URLSearchParams {
  const query = new URLSearchParams()
  if (seed) query.set('seed', seed)
  if (style) query.set('style', style)
  query.set('backgroundColor', backgroundColor || 'transparent')
  if (mood) query.set('mood', mood)
  if (animated) query.set('animated', 'on')
  return query
}

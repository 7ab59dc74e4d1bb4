/** `name` is a key of `words.colours`. */
type Swatch = { value: string; name: string }

/** Backgrounds that suit most styles, light to dark; "none" is the page's own twelfth. */
export const palette: readonly Swatch[] = [
  { value: 'ffd29d', name: 'apricot' },
  { value: 'f7a98b', name: 'coral' },
  { value: 'f6b8c6', name: 'blossom' },
  { value: 'c9c3f5', name: 'lilac' },
  { value: 'a9d6f5', name: 'sky' },
  { value: 'b8e0c8', name: 'mint' },
  { value: 'f4e9c9', name: 'cream' },
  { value: '3f7d6e', name: 'pine' },
  { value: '2c5a7a', name: 'harbour' },
  { value: '7a3f5c', name: 'plum' },
  { value: '263239', name: 'slate' },
]

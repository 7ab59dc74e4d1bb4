import { words } from '../words.ts'

type Swatch = { value: string; name: string }

/** Backgrounds that suit most styles, light to dark; "none" is the page's own twelfth. */
export const palette: readonly Swatch[] = [
  { value: 'ffd29d', name: words.colours.apricot },
  { value: 'f7a98b', name: words.colours.coral },
  { value: 'f6b8c6', name: words.colours.blossom },
  { value: 'c9c3f5', name: words.colours.lilac },
  { value: 'a9d6f5', name: words.colours.sky },
  { value: 'b8e0c8', name: words.colours.mint },
  { value: 'f4e9c9', name: words.colours.cream },
  { value: '3f7d6e', name: words.colours.pine },
  { value: '2c5a7a', name: words.colours.harbour },
  { value: '7a3f5c', name: words.colours.plum },
  { value: '263239', name: words.colours.slate },
]

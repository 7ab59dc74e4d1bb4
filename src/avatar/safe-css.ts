// Checks the CSS in an SVG from outside by an allow list of tokens, and in a stylesheet of selectors, too. It lists
// what DiceBear's styles use; test/parts/safe-svg.test.ts names what is missing here, or no longer needed, after an
// upgrade of DiceBear.
import { type CSSToken, TokenType, tokenize } from '@csstools/css-tokenizer'
import { UnsafeSvg } from '../errors.ts'

// A function or at-keyword is listed by its name, a declaration by its property and colon (`--:` is any custom property),
// every other token by its type.
/** Tokens in an attribute whose value contains a bracket. */
export const VALUE_TOKENS = namesIn(`
  )-token EOF-token comma-token matrix( number-token rotate( scale( translate( url-token whitespace-token`)
/** Tokens in an attribute `style`. */
export const DECLARATION_TOKENS = namesIn('EOF-token ident-token mask-type: mix-blend-mode:')
/** Tokens in an element `<style>`: those of animations. There is no url and no string, so nothing can be loaded. */
export const STYLESHEET_TOKENS = namesIn(`
  (-token )-token --: @keyframes @media EOF-token animation-play-state: animation-timing-function: animation: calc(
  comma-token delim-token dimension-token has( ident-token number-token opacity: percentage-token
  prefers-reduced-motion: rotate( scale( scaleY( semicolon-token svg: transform-box: transform-origin: transform:
  translate( translateX( translateY( var( whitespace-token {-token }-token`)

/**
 * The selectors that are allowed. Combinators are not, because the cost of some grows with a power of the number of
 * elements.
 */
const SELECTOR = /^(\.[\w-]+|svg:has\(\.[\w-]+\)|from|to|[\d.]+%)$/
const AT_RULE = /^(@keyframes [\w-]+|@media \(prefers-reduced-motion: no-preference\))$/

/** Throws UnsafeSvg unless CSS is made of these tokens only. Returns the addresses in `url(…)`. */
export function checkCss(css: string, allowed: ReadonlySet<string>): string[] {
  if (css.includes('\\')) refuse('an escape in CSS')
  const urls: string[] = []
  let previousText = ''
  for (const token of tokenize({ css })) {
    const name = tokenName(token, previousText)
    if (!allowed.has(name)) refuse('CSS', name)
    if (token[0] === TokenType.URL) urls.push(token[4].value)
    previousText = token[1]
  }
  return urls
}

/** Throws UnsafeSvg unless a stylesheet is of the kind that DiceBear's styles have. */
export function checkStylesheet(css: string): void {
  checkCss(css, STYLESHEET_TOKENS)
  let isInRule = false
  // No other token contains one of these characters.
  for (const part of css.split(/(?<=[{};])/)) {
    const text = part.slice(0, -1).trim()
    if (part.endsWith('{') && !AT_RULE.test(text)) {
      if (isInRule || !text.split(',').every((selector) => SELECTOR.test(selector.trim()))) refuse('CSS selector', text)
      isInRule = true
    }
    if (part.endsWith('}')) isInRule = false
    // A variable whose value refers to other variables can grow exponentially.
    if (text.startsWith('--') && text.includes('(')) refuse('CSS custom property', text)
  }
}

/** The name of this token in the lists above. */
function tokenName([type, text]: CSSToken, previousText: string): string {
  if (type === TokenType.Function || type === TokenType.AtKeyword) return text
  if (type === TokenType.Colon) return previousText.startsWith('--') ? '--:' : `${previousText}:`
  return type
}

/** Throws UnsafeSvg. `name` comes from outside, so it is cut off. */
export function refuse(what: string, name = ''): never {
  throw new UnsafeSvg(name ? `${what} ${name.slice(0, 40)}` : what)
}

export function namesIn(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/\s+/))
}

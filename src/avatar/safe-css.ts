// Checks the CSS in an SVG from outside. Only listed tokens are allowed and, in a stylesheet, only listed selectors:
// those that DiceBear's styles use. After an upgrade of DiceBear test/parts/safe-svg.test.ts names tokens that are
// missing here or no longer needed.
import { type CSSToken, TokenType, tokenize } from '@csstools/css-tokenizer'
import { UnsafeSvg } from '../errors.ts'

// How tokens are listed: functions and at-keywords by their name, declarations by property and colon (`--:` for every
// custom property), all other tokens by their type.
/**
 * Tokens in the value of an attribute such as `fill` or `transform`. A value without "(" is not checked, because it
 * contains no function, and so no address.
 */
export const VALUE_TOKENS = namesIn(`
  )-token EOF-token comma-token matrix( number-token rotate( scale( translate( url-token whitespace-token`)
/** Tokens in the attribute `style`. */
export const DECLARATION_TOKENS = namesIn('EOF-token ident-token mask-type: mix-blend-mode:')
/** Tokens in the element `<style>`. They allow animations only: no url and no string, so that nothing can be loaded. */
export const STYLESHEET_TOKENS = namesIn(`
  (-token )-token --: @keyframes @media EOF-token animation-play-state: animation-timing-function: animation: calc(
  comma-token delim-token dimension-token has( ident-token number-token opacity: percentage-token
  prefers-reduced-motion: rotate( scale( scaleY( semicolon-token svg: transform-box: transform-origin: transform:
  translate( translateX( translateY( var( whitespace-token {-token }-token`)

/** The allowed selectors. Combinators are refused, because matching them can take very long. */
const SELECTOR = /^(\.[\w-]+|svg:has\(\.[\w-]+\)|from|to|[\d.]+%)$/
const AT_RULE = /^(@keyframes [\w-]+|@media \(prefers-reduced-motion: no-preference\))$/

/** Throws UnsafeSvg if CSS contains a token that is not `allowed`. Returns the addresses in `url(…)`. */
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

/** Throws UnsafeSvg if a stylesheet contains a token, selector or at-rule that is not allowed. */
export function checkStylesheet(css: string): void {
  checkCss(css, STYLESHEET_TOKENS)
  let isInRule = false
  // These characters occur only as tokens of their own, because strings, comments and escapes are refused.
  for (const part of css.split(/(?<=[{};])/)) {
    const text = part.slice(0, -1).trim()
    if (part.endsWith('{') && !AT_RULE.test(text)) {
      if (isInRule || !text.split(',').every((selector) => SELECTOR.test(selector.trim()))) refuse('CSS selector', text)
      isInRule = true
    }
    if (part.endsWith('}')) isInRule = false
    // A custom property whose value refers to others could make values grow exponentially.
    if (text.startsWith('--') && text.includes('(')) refuse('CSS custom property', text)
  }
}

/** The name of this token in the lists above. */
function tokenName([type, text]: CSSToken, previousText: string): string {
  if (type === TokenType.Function || type === TokenType.AtKeyword) return text
  if (type === TokenType.Colon) return previousText.startsWith('--') ? '--:' : `${previousText}:`
  return type
}

/** Throws UnsafeSvg. `name` is cut to 40 characters, because it comes from outside. */
export function refuse(what: string, name = ''): never {
  throw new UnsafeSvg(name ? `${what} ${name.slice(0, 40)}` : what)
}

export function namesIn(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/\s+/))
}

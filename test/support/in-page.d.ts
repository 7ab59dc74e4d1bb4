/// <reference lib="dom" />
/// <reference lib="dom.iterable" />

// Types for functions that run in a page: the DOM, and axe-core, which tests add to the page.
declare var axe: typeof import('axe-core')

/** What a test of the keyboard has found at each focused element. */
declare var focused: { what: string; problem: string }[]

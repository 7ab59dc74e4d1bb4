/// <reference lib="dom" />
/// <reference lib="dom.iterable" />

// What runs in a page: the document, and axe-core after its source was put there.
declare var axe: typeof import('axe-core')

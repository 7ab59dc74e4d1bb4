// Functions that several scripts of a page use.

/** The texts of the scripts, from src/pages/words.ts. */
export const texts = JSON.parse(document.body.dataset.words)

/**
 * Announces a text to screen readers. It is added as a new node, because Chromium does not announce a text that is set
 * again in the same node.
 */
export function announce(text) {
  document.querySelector('[data-announcements]')?.replaceChildren(text)
}

/** Returns a function that runs `work` once, `waitMs` after the last of several calls. */
export function debounce(work, waitMs) {
  let timer
  return (thisWaitMs = waitMs) => {
    clearTimeout(timer)
    timer = setTimeout(work, thisWaitMs)
  }
}

/** The number of the latest request for each element id. */
const latest = new Map()

/**
 * Replaces an element by the element with the same id in the page at this address, because only the server has the data
 * for it. Resolves with the new element; undefined if there was no response, or if a newer request has been made.
 */
export async function replaceFrom(url, id) {
  const number = (latest.get(id) ?? 0) + 1
  latest.set(id, number)
  const html = await fetch(url).then(
    (answer) => (answer.ok ? answer.text() : ''),
    () => '',
  )
  const fresh = new DOMParser().parseFromString(html, 'text/html').getElementById(id)
  if (!fresh || number !== latest.get(id)) return undefined
  document.getElementById(id)?.replaceWith(fresh)
  return fresh
}

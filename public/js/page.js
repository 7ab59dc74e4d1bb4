// Functions that the scripts of a page share.

/** The texts of the scripts, from src/pages/words.ts. */
export const texts = JSON.parse(document.body.dataset.words)

/** Announces a text to screen readers, as a new node: Chromium does not announce a textContent that is set again. */
export function announce(text) {
  document.querySelector('[data-announcements]')?.replaceChildren(text)
}

/** Runs `work` once, `waitMs` after the last of several calls. */
export function debounce(work, waitMs) {
  let timer
  return (thisWaitMs = waitMs) => {
    clearTimeout(timer)
    timer = setTimeout(work, thisWaitMs)
  }
}

/** Numbers of the latest requests, by id. */
const latest = new Map()

/**
 * Replaces an element by what the page at this address has under the same id, as what depends on the server's tables is
 * written there only. Resolves with the new element; undefined if there was no answer, or if a newer request is under way.
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

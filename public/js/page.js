// What the scripts of a page share.

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

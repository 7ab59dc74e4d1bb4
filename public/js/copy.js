// Buttons that copy a link (`data-copy`), or the text of the field with the id in `data-copy-from`.
import { announce, debounce, texts } from './page.js'

const copiedMs = 2500
/** How long the message about a failure is shown. It tells what to do instead, which takes a while to read. */
const notCopiedMs = 10_000

for (const button of document.querySelectorAll('[data-copy], [data-copy-from]')) {
  const label = button.querySelector('span')
  const text = label.textContent
  const restoreLabel = debounce(() => {
    label.textContent = text
  })
  button.addEventListener('click', async () => {
    const { copy: link, copyFrom } = button.dataset
    const isCopied = await copy(copyFrom ? document.getElementById(copyFrom).value : new URL(link, location.href).href)
    button.style.minInlineSize = `${button.offsetWidth}px`
    const notCopied = copyFrom ? texts.notCopiedText : texts.notCopied
    label.textContent = isCopied ? texts.copied : notCopied
    announce(label.textContent)
    restoreLabel(isCopied ? copiedMs : notCopiedMs)
  })
}

/**
 * Copies a text, and returns whether that was possible. Browsers have no clipboard API on plain http, and may refuse it
 * elsewhere.
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copyFromField(text)
  }
}

/** Copies a text by selecting it in a temporary field, as older browsers need it. */
function copyFromField(text) {
  const { activeElement } = document
  const field = document.createElement('textarea')
  field.value = text
  document.body.append(field)
  field.select()
  const isCopied = document.execCommand('copy')
  field.remove()
  activeElement?.focus({ preventScroll: true })
  return isCopied
}

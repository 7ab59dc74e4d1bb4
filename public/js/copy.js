// Buttons that copy a link, or a text.
import { announce, debounce, texts } from './page.js'

const copiedMs = 2500
/** How long the message stays that says what to do instead: it takes a while to read. */
const notCopiedMs = 10_000

for (const button of document.querySelectorAll('[data-copy]')) {
  const label = button.querySelector('span')
  const text = label.textContent
  const restoreLabel = debounce(() => {
    label.textContent = text
  })
  button.addEventListener('click', async () => {
    const { copy: content, copyAs } = button.dataset
    const isCopied = await copy(copyAs === 'text' ? content : new URL(content, location.href).href)
    button.style.minInlineSize = `${button.offsetWidth}px`
    label.textContent = isCopied ? texts.copied : texts.notCopied
    announce(label.textContent)
    restoreLabel(isCopied ? copiedMs : notCopiedMs)
  })
}

/**
 * Copies a text. Returns whether that succeeded: on plain http there is no clipboard, and a browser may refuse it
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

/** Copies in the way of older browsers: selects the text in a temporary field. */
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

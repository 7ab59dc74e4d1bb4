// Prevents a form from being sent twice. Its button says that the form is being sent, until the next page is shown or
// the visitor comes back.

/** The form can be sent again after this time. */
const giveUpMs = 20_000

const sending = new Map()

document.addEventListener('submit', (event) => {
  const { target: form, submitter: button } = event
  if (button?.formMethod === 'get') return
  if (sending.has(form)) return event.preventDefault()
  const label = button?.dataset.busy ? [...button.childNodes] : undefined
  if (label) button.replaceChildren(button.dataset.busy)
  button?.setAttribute('aria-disabled', 'true')
  sending.set(form, { button, label, timer: setTimeout(release, giveUpMs, form) })
})

addEventListener('pageshow', () => {
  for (const form of sending.keys()) release(form)
})

function release(form) {
  const { button, label, timer } = sending.get(form)
  clearTimeout(timer)
  button?.removeAttribute('aria-disabled')
  if (label) button.replaceChildren(...label)
  sending.delete(form)
}

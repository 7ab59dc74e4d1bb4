// Disables a button until it may be pressed, and counts down on it.
import { fill } from './look.js'

for (const button of document.querySelectorAll('[data-wait]')) {
  const { textContent: label } = button
  const endMs = performance.now() + 1000 * button.dataset.wait
  button.disabled = true
  count()
  const timer = setInterval(count, 1000)

  function count() {
    const seconds = Math.round((endMs - performance.now()) / 1000)
    if (seconds > 0) {
      const inMinutes = seconds > 90
      const text = inMinutes ? button.dataset.minutes : button.dataset.seconds
      button.textContent = fill(text, { count: inMinutes ? Math.ceil(seconds / 60) : seconds })
      return
    }
    clearInterval(timer)
    button.textContent = label
    button.disabled = false
  }
}

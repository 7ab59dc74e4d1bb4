// The moods: those that the style cannot show are disabled, with the reason in the hint.
import { moodHint } from './look.js'
import { announce, texts } from './page.js'

export function createMoods(form) {
  const options = [...form.querySelectorAll('[type="radio"][name="mood"], select[name="mood"] option')]
  const hint = form.querySelector('#mood-hint')
  /** The mood that the visitor has chosen; the next style that has it shows it again. */
  let wanted = new FormData(form).get('mood') ?? ''

  const lackingOf = (style) => style.dataset.lacks.split(' ').filter((mood) => mood !== '')
  /** The mood, if the style can show it. */
  const moodFor = (style, mood = wanted) => (lackingOf(style).includes(mood) ? '' : mood)

  function choose(mood) {
    wanted = mood
  }

  /** Chooses the wanted mood if the style has it, else "Any". */
  function update(style) {
    const lacking = lackingOf(style)
    const mood = moodFor(style)
    for (const option of options) {
      option.disabled = lacking.includes(option.value)
      if (option.type !== 'radio') option.selected = option.value === mood
      else {
        option.checked = option.value === mood
        if (option.disabled) option.setAttribute('aria-describedby', hint.id)
        else option.removeAttribute('aria-describedby')
      }
    }
    const text = moodHint(texts, titleOf(style), lacking)
    if (hint.textContent === text) return
    hint.textContent = text
    if (mood !== wanted) announce(text)
  }

  return { choose, moodFor, update }
}

/** Title of a style, from its radio button or option. */
export const titleOf = (style) => (style.labels?.[0].querySelector('span') ?? style).textContent

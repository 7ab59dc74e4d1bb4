// The small pictures: styles, moods and sizes in the visitor's own seed and colour.
import { moodHint, pictureUrl } from './look.js'
import { announce, texts } from './page.js'

export function createTiles(form, moods) {
  const styles = form.querySelectorAll('.tile [name="style"]')
  const moodTiles = form.querySelectorAll('.tile [name="mood"]')
  const scaleTiles = form.querySelectorAll('.tile [name="scale"]')

  function update(look, chosenStyle) {
    for (const radio of styles) {
      setPicture(imageOf(radio), pictureUrl({ ...look, style: radio.value, mood: moods.moodFor(radio) }))
    }
    for (const radio of scaleTiles) setPicture(imageOf(radio), pictureUrl({ ...look, scale: radio.value }))
    if (!chosenStyle) return
    for (const radio of moodTiles) {
      setPicture(imageOf(radio), pictureUrl({ ...look, mood: moods.moodFor(chosenStyle, radio.value) }))
    }
  }

  return { update }
}

const imageOf = (radio) => radio.nextElementSibling

/**
 * Images are loaded lazily: changing the address of one outside the window costs nothing until it is scrolled into
 * view.
 */
export function setPicture(image, url) {
  if (image.getAttribute('src') === url) return
  image.loading = 'lazy'
  image.src = url
}

/**
 * If a new picture fails to load, shows the last one again. If there is none, removes `src`, so that the next change
 * loads a picture.
 */
export function keepLastPictures(form) {
  const lastLoaded = new WeakMap()
  const remember = (image) => lastLoaded.set(image, image.getAttribute('src'))
  function restore(image) {
    if ('preview' in image.dataset) return // preview.js offers to try again
    const last = lastLoaded.get(image)
    if (last && last !== image.getAttribute('src')) image.src = last
    else image.removeAttribute('src')
  }
  for (const image of form.querySelectorAll('img')) if (image.complete && image.naturalWidth) remember(image)
  form.addEventListener('load', ({ target }) => remember(target), true)
  form.addEventListener('error', ({ target }) => restore(target), true)
}

/** The moods: those that the style cannot show are disabled, with the reason in the hint. */
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

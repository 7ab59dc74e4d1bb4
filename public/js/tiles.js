// The small pictures: styles and moods in the visitor's own seed and colour.
import { pictureUrl } from './look.js'

export function createTiles(form, moods) {
  const styles = form.querySelectorAll('.tile [name="style"]')
  const moodTiles = form.querySelectorAll('.tile [name="mood"]')

  function update(look, chosenStyle) {
    for (const radio of styles) {
      setPicture(imageOf(radio), pictureUrl({ ...look, style: radio.value, mood: moods.moodFor(radio) }))
    }
    if (!chosenStyle) return
    for (const radio of moodTiles) {
      setPicture(imageOf(radio), pictureUrl({ ...look, mood: moods.moodFor(chosenStyle, radio.value) }))
    }
  }

  return { update }
}

const imageOf = (radio) => radio.nextElementSibling

/** Lazily: outside the window a new address costs nothing until the image is scrolled to. */
export function setPicture(image, url) {
  if (image.getAttribute('src') === url) return
  image.loading = 'lazy'
  image.src = url
}

/**
 * Restores the last loaded picture when a new one fails to load; without one, removes src so that the next change loads
 * again.
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

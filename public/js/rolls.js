// The dice, and the last seeds that they rolled.
import { fill, isolate, maxSeedLength, pictureUrl, rolledSeed, seedLength } from './look.js'
import { announce, texts } from './page.js'
import { setPicture } from './tiles.js'

/** The large picture comes first; the small ones follow once nobody rolls on. */
const smallPicturesWaitMs = 500

export function createRolls(form, { currentLook, chooseSeed }) {
  const seedField = form.querySelector('[name="seed"]')
  const row = form.querySelector('[data-rolls]')
  const places = row?.querySelector('ul')
  let seeds = []

  const buttons = () => [...form.querySelectorAll('[data-rolls] button')]
  const faceUrl = (seed) => pictureUrl({ ...currentLook(), seed })

  function roll() {
    const before = seedField.value.trim()
    const seed = rolledSeed(texts)
    const isKept = before !== '' && seedLength(before) <= maxSeedLength
    seeds = [...new Set([seed, ...(isKept ? [before] : []), ...seeds])].slice(0, row?.dataset.rolls)
    chooseSeed(seed, smallPicturesWaitMs)
    list()
    mark(seed)
    announce(fill(texts.rolled, { seed }))
  }

  /** Reuses existing buttons: the picture of a new one would have to load. */
  function list() {
    const existing = new Map(buttons().map((button) => [button.dataset.seed, button.parentElement]))
    places.replaceChildren(...seeds.map((seed) => existing.get(seed) ?? createPlace(seed)))
  }

  function createPlace(seed) {
    const place = document.createElement('li')
    const button = document.createElement('button')
    const image = new Image(44, 44)
    image.alt = ''
    image.src = faceUrl(seed)
    button.type = 'button'
    button.dataset.seed = seed
    button.title = seed
    button.setAttribute('aria-label', fill(texts.backTo, { seed: isolate(seed) }))
    button.append(image)
    place.append(button)
    return place
  }

  /** Marks the roll that is in the seed field. */
  function mark(seed) {
    for (const button of buttons()) {
      if (button.dataset.seed === seed) button.setAttribute('aria-current', 'true')
      else button.removeAttribute('aria-current')
    }
  }

  function updateFaces() {
    for (const button of buttons()) setPicture(button.firstChild, faceUrl(button.dataset.seed))
  }

  form.addEventListener('click', ({ target }) => {
    if (target.closest('[data-roll]')) roll()
    const button = target.closest('[data-rolls] button')
    if (button) chooseSeed(button.dataset.seed)
  })

  return { mark, updateFaces }
}

// The card "Name or word": the dice button, which rolls a random seed, the last rolls, the twelve faces to choose from,
// and the check of the seed's length.
import { fill, isolate, lookQuery, maxSeedLength, pictureUrl, rolledSeed, seedLength } from './look.js'
import { announce, replaceFrom, texts } from './page.js'
import { setPicture } from './tiles.js'

/** The small pictures are requested when the visitor has not rolled for this long, the large picture at once. */
const smallPicturesWaitMs = 500

export function createRolls(form, { currentLook, chooseSeed }) {
  const seedField = form.querySelector('[name="seed"]')
  const row = form.querySelector('[data-rolls]')
  const places = row.querySelector('ul')
  let seeds = []

  const buttons = () => [...form.querySelectorAll('[data-rolls] button')]
  const faceUrl = (seed) => pictureUrl({ ...currentLook(), seed })

  function roll() {
    const before = seedField.value.trim()
    const seed = rolledSeed(texts, before)
    const isKept = before !== '' && seedLength(before) <= maxSeedLength
    seeds = [...new Set([seed, ...(isKept ? [before] : []), ...seeds])].slice(0, row.dataset.rolls)
    chooseSeed(seed, smallPicturesWaitMs)
    list()
    mark(seed)
    announce(fill(texts.rolled, { seed }))
  }

  /** Shows the last rolls. Existing buttons are reused, because their pictures are already loaded. */
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

  /** Marks the button of this seed, if it is one of the last rolls: its seed is in the seed field. */
  function mark(seed) {
    for (const button of buttons()) {
      if (button.dataset.seed === seed) button.setAttribute('aria-current', 'true')
      else button.removeAttribute('aria-current')
    }
  }

  function updateFaces() {
    for (const button of buttons()) setPicture(button.firstChild, faceUrl(button.dataset.seed))
    for (const radio of form.querySelectorAll('.wall-faces input'))
      setPicture(radio.nextElementSibling, faceUrl(radio.value))
  }

  /**
   * Replaces the wall of faces by the next one from the server. If there is no response, submits the form, which also
   * opens the next wall.
   */
  async function openWall(button) {
    const wall = button.closest('[data-wall]')
    button.setAttribute('aria-disabled', 'true')
    const query = `${lookQuery(currentLook())}&wall=${button.value}`
    const opened = await replaceFrom(`${wall.dataset.wall}?${query}`, wall.id)
    if (!opened) return form.requestSubmit(button)
    updateFaces()
    opened.querySelector('button').focus({ preventScroll: true })
    announce(texts.facesShown)
  }

  form.addEventListener('click', (event) => {
    const { target } = event
    if (target.closest('[data-roll]')) roll()
    const button = target.closest('[data-rolls] button')
    if (button) chooseSeed(button.dataset.seed)
    const more = target.closest('[data-wall] button')
    if (!more) return
    event.preventDefault()
    if (!more.hasAttribute('aria-disabled')) openWall(more)
  })

  return { mark, updateFaces }
}

export const isValidSeed = (seed) => seedLength(seed) <= maxSeedLength && !/\p{Cc}/u.test(seed)

/**
 * Returns a function that checks the length of a seed and returns the problem, or '' if there is none. It announces a
 * new problem, and marks the field.
 */
export function createSeedCheck(field, status) {
  // If the server refused the seed, the field stays marked, because the server's message stays beside it.
  const isRefused = field.hasAttribute('aria-invalid')
  const describedBy = field.getAttribute('aria-describedby')
  const isTooLong = (seed) => seedLength(seed) > maxSeedLength
  let wasTooLong = isRefused && isTooLong(field.value.trim())

  return (seed) => {
    const problem = isTooLong(seed) ? fill(texts.seedTooLong, { count: seedLength(seed), most: maxSeedLength }) : ''
    if (isTooLong(seed) !== wasTooLong) {
      wasTooLong = isTooLong(seed)
      announce(problem)
      if (problem || isRefused) field.setAttribute('aria-invalid', 'true')
      else field.removeAttribute('aria-invalid')
      field.setAttribute('aria-describedby', problem ? `${status.id} ${describedBy}` : describedBy)
    }
    return problem
  }
}

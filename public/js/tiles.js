// The tiles of the form, whose small pictures show the entered look in each style, mood, size and variant, and the
// cards "Mood" and "Parts".
import { isPin, lookQuery, moodHint, ownPartsHint, pictureUrl } from './look.js'
import { announce, replaceFrom, texts } from './page.js'

export function createTiles(form, moods) {
  const styles = form.querySelectorAll('.tile [name="style"]')
  const moodTiles = form.querySelectorAll('.tile [name="mood"]')
  const scaleTiles = form.querySelectorAll('.tile [name="scale"]')

  function update(look, chosenStyle) {
    for (const radio of styles) {
      setPicture(imageOf(radio), pictureUrl({ ...look, style: radio.value, mood: moods.moodFor(radio) }))
    }
    for (const radio of scaleTiles) setPicture(imageOf(radio), pictureUrl({ ...look, scale: radio.value }))
    for (const link of form.querySelectorAll('[data-look-fields]')) {
      setPicture(link.firstElementChild, pictureUrl(withReadyColours(look, link)))
    }
    for (const radio of form.querySelectorAll('.variants input')) {
      const field = radio.name || radio.dataset.variant
      setPicture(imageOf(radio), pictureUrl({ ...look, pins: { ...look.pins, [field]: radio.value } }))
    }
    if (!chosenStyle) return
    for (const radio of moodTiles) {
      setPicture(imageOf(radio), pictureUrl({ ...look, mood: moods.moodFor(chosenStyle, radio.value) }))
    }
  }

  return { update }
}

const imageOf = (radio) => radio.nextElementSibling

/** The chosen parts and colours, by their form fields. */
export const pinsOf = (form) =>
  Object.fromEntries([...new FormData(form)].filter(([name, value]) => isPin(name) && value !== ''))

/** A look with the colours of a ready-made look. */
function withReadyColours(look, link) {
  const fields = [...new URLSearchParams(link.dataset.lookFields)]
  const pins = Object.fromEntries(fields.filter(([name]) => isPin(name)))
  const background = Object.fromEntries(fields.filter(([name]) => !isPin(name)))
  return { ...look, ...background, pins: { ...look.pins, ...pins } }
}

/**
 * Sets the picture of a tile. It is loaded lazily, so a picture outside the window is not requested until it is
 * scrolled into view.
 */
export function setPicture(image, url) {
  if (image.getAttribute('src') === url) return
  image.loading = 'lazy'
  image.src = url
}

/**
 * If a picture fails to load, shows the last one again. If there is none, removes `src`, so that the next change
 * requests a picture in any case.
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

/** The tiles of moods. A mood that the style cannot show is disabled, and the hint tells why. */
export function createMoods(form) {
  const radios = form.querySelectorAll('[type="radio"][name="mood"]')
  const hint = form.querySelector('#mood-hint')
  /** The mood that the visitor has chosen. It is chosen again when a style that can show it follows one that cannot. */
  let wanted = new FormData(form).get('mood') ?? ''

  const lackingOf = (style) => style.dataset.lacks.split(' ').filter((mood) => mood !== '')
  /** The mood if the style can show it, otherwise ''. */
  const moodFor = (style, mood = wanted) => (lackingOf(style).includes(mood) ? '' : mood)

  function choose(mood) {
    wanted = mood
  }

  /** Chooses the wanted mood if the style can show it, otherwise "Any". */
  function update(style) {
    const lacking = lackingOf(style)
    const mood = moodFor(style)
    for (const radio of radios) {
      radio.disabled = lacking.includes(radio.value)
      radio.checked = radio.value === mood
      if (radio.disabled) radio.setAttribute('aria-describedby', hint.id)
      else radio.removeAttribute('aria-describedby')
    }
    const text = moodHint(texts, titleOf(style), lacking) + ownPartsHint(texts, pinsOf(form))
    if (hint.textContent === text) return
    hint.textContent = text
    if (mood !== wanted) announce(text)
  }

  return { choose, moodFor, update }
}

/** The title of a style, from its radio button. */
export const titleOf = (style) => style.labels[0].querySelector('span').textContent

/**
 * Allows or ends the choice of several variants of the open part, of which the seed then picks one. The tiles become
 * checkboxes, and a hidden field contains the list of chosen variants.
 */
function allowSeveral(card, field, isOn) {
  const variants = card.querySelectorAll(`[data-variant="${field}"]`)
  const pinned = pinsOf(card.form)[field]?.split(',') ?? []
  hiddenField(card, field)?.remove()
  for (const variant of variants) {
    // First, because a checked radio button would uncheck the others when it gets their name.
    variant.checked = isOn ? pinned.includes(variant.value) : variant.value === pinned[0]
    variant.type = isOn ? 'checkbox' : 'radio'
    variant.name = isOn ? '' : field
  }
  if (isOn) writeList(card, field)
}

/**
 * Writes the list of chosen variants into the hidden field, or chooses "As rolled" if none is left. `chosen` is a tile
 * that is not a variant, such as "None", if the visitor has just chosen it.
 */
function writeList(card, field, chosen) {
  const ticked = [...card.querySelectorAll(`[data-variant="${field}"]:checked`)]
  hiddenField(card, field)?.remove()
  for (const other of card.querySelectorAll(`[name="${field}"]`)) other.checked = other === chosen
  if (chosen) for (const variant of ticked) variant.checked = false
  else if (ticked.length === 0) card.querySelector(`[name="${field}"][value=""]`).checked = true
  else hide(card, field, ticked.map(({ value }) => value).join(','))
}

const hiddenField = (card, name) => card.querySelector(`[type="hidden"][name="${name}"]`)

const hide = (card, name, value) =>
  card.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }))

/**
 * The card "Parts", which the server renders with one part open. `fillIn` fills in the form with a look. `onUnpinned`
 * is called after the visitor has removed all pins.
 */
export function createParts(form, { currentLook, enteredLook, fillIn, onUnpinned }) {
  const card = () => form.querySelector('#parts')
  const chips = () => [...form.querySelectorAll('[data-part]')]
  const openPart = () => chips().find((chip) => chip.ariaExpanded === 'true')?.dataset.part ?? ''

  /** Requests the card with this part open from the server. If there is no response, the card stays as it is. */
  async function open(part) {
    const { activeElement: focused } = document
    const wasFocused = card().contains(focused) && focused
    const wasReadyOpen = card().querySelector('.ready')?.open === true
    const fresh = await replaceFrom(`${card().dataset.parts}?${lookQuery(currentLook())}&part=${part}`, 'parts')
    fresh?.querySelector('.ready')?.toggleAttribute('open', wasReadyOpen)
    mark()
    if (!fresh || !wasFocused) return
    const { part: chip } = focused.dataset
    const again = chip ? `[data-part="${chip}"]` : `[name="${focused.name}"][value="${focused.value}"]`
    fresh.querySelector(again)?.focus({ preventScroll: true })
  }

  /** Sets the chosen parts and colours. */
  function setPins(pins) {
    for (const several of card().querySelectorAll('[data-several]:checked')) {
      several.checked = false
      allowSeveral(card(), several.dataset.several, false)
    }
    // The text fields are those of values that the server has refused.
    for (const input of card().querySelectorAll('[type="hidden"], .field')) input.remove()
    const groups = Map.groupBy(card().querySelectorAll('[type="radio"]'), ({ name }) => name)
    const fields = { ...Object.fromEntries([...groups.keys()].map((name) => [name, ''])), ...pins }
    for (const [name, value] of Object.entries(fields)) {
      const radios = groups.get(name) ?? []
      const radio = radios.find((one) => one.value === value) ?? radios.find((one) => 'own' in one.dataset)
      if (radio) Object.assign(radio, { value, checked: true })
      else hide(card(), name, value)
      const several = card().querySelector(`[data-several="${name}"]`)
      if (!radio && several) {
        several.checked = true
        allowSeveral(card(), name, true)
      }
    }
  }

  /** Marks the parts that are pinned, and changes the text of the dice button, because rolling does not change them. */
  function mark() {
    const pins = pinsOf(form)
    const pinned = chips().filter((chip) => {
      const isPinned = chip.dataset.fields.split(' ').some((field) => pins[field])
      chip.classList.toggle('pinned', isPinned)
      return isPinned
    })
    const yours = form.querySelector('[data-yours]')
    if (yours) {
      yours.hidden = pinned.length === 0
      yours.querySelector('[data-pinned]').textContent = pinned.map(({ textContent }) => textContent.trim()).join(', ')
    }
    const [roll, rollLong] = pinned.length > 0 ? [texts.rollRest, texts.rollRestLong] : [texts.roll, texts.rollLong]
    for (const label of form.querySelectorAll('[data-roll-label]')) label.textContent = roll
    for (const dice of form.querySelectorAll('.dice')) dice.ariaLabel = rollLong
  }

  form.addEventListener('click', (event) => {
    const chip = event.target.closest('[data-part]')
    const unpin = event.target.closest('[data-unpin]')
    const ready = event.target.closest('[data-look-fields]')
    if (!chip && !unpin && !ready) return
    event.preventDefault()
    if (chip) return open(chip.value)
    if (ready) return fillIn(withReadyColours(enteredLook(), ready))
    setPins({})
    chips()[0].focus({ preventScroll: true })
    onUnpinned()
    announce(texts.unpinned)
  })

  form.addEventListener('input', ({ target }) => {
    if (target.dataset.several) return allowSeveral(card(), target.dataset.several, target.checked)
    const { several: field } = card().querySelector('[data-several]:checked')?.dataset ?? {}
    if (field && target.dataset.variant === field) writeList(card(), field)
    else if (field && target.name === field) writeList(card(), field, target)
  })

  return { update: () => open(openPart()), setPins, mark }
}

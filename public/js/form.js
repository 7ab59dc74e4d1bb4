// The form with its live preview. The form also works without this script.
import { fittingFraming, fittingScale } from './circle.js'
import {
  backgroundOf,
  fill,
  hexColour,
  isEmptyDrawing,
  isFaint,
  isPin,
  lookFields,
  lookName,
  lookQuery,
  lookUrl,
  lookWith,
  measure,
  pictureUrl,
  ranges,
  scaleHint,
  stillHint,
} from './look.js'
import { announce, debounce, texts } from './page.js'
import { createPreview } from './preview.js'
import { createRolls, createSeedCheck, isValidSeed } from './rolls.js'
import { createMoods, createParts, createTiles, keepLastPictures, pinsOf, titleOf } from './tiles.js'

const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)')
/** A change gets an entry in the browser's history if no other change follows within this time. */
const settledMs = 300
const smallPicturesWaitMs = 180
/** The description of a picture is announced to screen readers if no other picture follows within this time. */
const descriptionWaitMs = 1000

function enhance(form) {
  const find = (selector) => form.querySelector(selector)
  const seedField = find('[name="seed"]')
  const hasAddress = 'address' in form.dataset
  const chosenStyle = () => find('[name="style"]:checked')

  const preview = createPreview(form, { onShown: readPicture, onRetried: () => updateSmallPictures() })
  const moods = createMoods(form)
  const rolls = createRolls(form, { currentLook, chooseSeed })
  const tiles = createTiles(form, moods)
  const parts = createParts(form, {
    currentLook,
    enteredLook,
    fillIn(look) {
      fillIn(lookQuery(look))
      writeAddress()
    },
    onUnpinned() {
      update()
      writeAddress()
    },
  })
  const checkSeed = createSeedCheck(seedField, preview.status)
  /** The description of the preview. */
  let description = ''

  /**
   * Whether the visitor chose the Discord username as the seed. The text in the seed field then serves as an example.
   */
  const isFromUsername = () => find('[name="seedFrom"]:checked')?.value === 'username'

  /** The entered look, without values that the server would refuse. */
  function enteredLook() {
    const fields = new FormData(form)
    const text = (name) => (fields.get(name) ?? '').trim()
    const style = chosenStyle()
    return {
      ...Object.fromEntries(lookFields.map((name) => [name, text(name)])),
      seed: isFromUsername() || !isValidSeed(text('seed')) ? '' : text('seed'),
      pins: pinsOf(form),
      backgroundColor: backgroundOf(text('backgroundColor')),
      mood: style ? moods.moodFor(style) : '',
      animated: fields.has('animated'),
    }
  }

  /**
   * The entered look as it can be drawn, without animation. The seed of the example replaces an empty seed, and the
   * first style an empty style.
   */
  function currentLook() {
    const { seed: _, style, ...look } = enteredLook()
    const word = seedField.value.trim()
    return {
      ...look,
      seed: (isValidSeed(word) && word) || form.dataset.example,
      style: style || find('[name="style"]').value,
      animated: false,
    }
  }

  /**
   * On the page /, adds an entry with the address of the look to the browser's history. The entry's `state` is that
   * address, too.
   */
  const writeAddress = debounce(() => {
    if (!hasAddress) return
    const url = lookUrl(enteredLook())
    if (url !== history.state) history.pushState(url, '', url)
  }, settledMs)

  const updateSmallPictures = debounce(() => {
    tiles.update(currentLook(), chosenStyle())
    rolls.updateFaces()
  }, smallPicturesWaitMs)

  const announceDescription = debounce(() => {
    // A problem that was announced meanwhile, such as a seed that is too long, is not replaced.
    if (description && !form.classList.contains('failed')) announce(fill(texts.nowDrawn, { drawn: description }))
  }, descriptionWaitMs)

  /** Updates everything after a change. The small pictures are updated `waitMs` later. */
  function update(waitMs) {
    const style = chosenStyle()
    const chosenMood = new FormData(form).get('mood')
    if (chosenMood) moods.choose(chosenMood)
    if (style) moods.update(style)
    describe(style)
    showMovesHint(style)
    if (style) limitScales(style)
    showNumbers(form)
    showFaintNote(style)
    parts.mark()
    if (style && style.value !== shownPartsStyle) updateParts(style.value)
    if (style) find('[data-styles-own]').toggleAttribute('hidden', !offersOwn(style))
    const seed = seedField.value.trim()
    rolls.mark(seed)
    updateSmallPictures(waitMs)
    const problem = checkSeed(isFromUsername() ? '' : seed)
    if (problem) return preview.showProblem(problem)
    const animated = enteredLook().animated && !reducedMotion.matches && style?.closest('.moving')
    const isExample = 'sample' in form.dataset && (seed === '' || isFromUsername())
    preview.show(pictureUrl({ ...currentLook(), animated }), isExample ? texts.example : '')
  }

  /** Shows the name of the look and the creator of the style. */
  function describe(style) {
    const look = style ? lookName(texts, titleOf(style), moods.moodFor(style)) : ''
    find('[data-look]').textContent = look
    find('[data-credit]').textContent = style ? fill(texts.by, { creator: style.dataset.by ?? 'DiceBear' }) : ''
  }

  /** Describes the picture at this address, and warns if it is empty or the circle cuts it. */
  async function readPicture(url) {
    const { svg, description: newDescription } = await contentOf(url)
    if (url !== preview.images[0].getAttribute('src')) return
    setDescription(newDescription)
    checkCircle(svg)
    find('[data-empty]').hidden = !isEmptyDrawing(enteredLook().style, svg)
  }

  /** Sets the text alternative of the picture, and announces the description if it has changed. */
  function setDescription(newDescription) {
    const [image] = preview.images
    const alt = fill(texts.previewAlt, { look: lookWith(texts, find('[data-look]').textContent, newDescription) })
    if (alt === image.alt) return
    image.alt = alt
    if (newDescription === description) return
    description = newDescription
    announceDescription()
  }

  /** Shows a warning if the circle cuts the picture. The warning has a link to a framing that fits. */
  function checkCircle(svg) {
    const look = enteredLook()
    const fitting = fittingFraming(look, fittingScale(look.style, svg))
    for (const warning of form.querySelectorAll('[data-cut]')) {
      warning.hidden = !fitting
      if (fitting) warning.querySelector('[data-fit]').href = lookUrl({ ...look, ...fitting })
    }
  }

  /** If the look is hardly visible on its background, offers three better colours. */
  function showFaintNote(style) {
    const note = find('[data-faint-note]')
    if (!style) return
    const { faint = '', better = '' } = style.dataset
    const look = enteredLook()
    note.hidden = !isFaint(faint.split(' '), look.backgroundColor)
    if (note.hidden) return
    for (const [i, link] of [...note.querySelectorAll('[data-better]')].entries()) {
      const colour = better.split(' ')[i]
      const swatch = find(`[name="backgroundColor"][value="${colour}"]`).parentElement
      link.dataset.better = colour
      link.href = lookUrl({ ...look, backgroundColor: colour, backgroundColorFill: '' })
      link.title = swatch.title
      link.replaceChildren(...[...swatch.children].slice(1).map((child) => child.cloneNode(true)))
    }
  }

  /** Disables small scales for a style that is a pattern, because the edges of the pattern would be visible. */
  function limitScales(style) {
    const isBound = 'edgeToEdge' in style.dataset
    const hint = find('[data-scale-hint]')
    for (const radio of form.querySelectorAll('.tile [name="scale"]')) {
      radio.disabled = isBound && radio.value !== '' && radio.value < 1
      if (radio.disabled) radio.setAttribute('aria-describedby', hint.id)
      else radio.removeAttribute('aria-describedby')
    }
    if (isBound && find('[name="scale"]:checked').value < 1) find('[name="scale"][value=""]').checked = true
    const about = { title: titleOf(style), edgeToEdge: isBound, bust: 'bust' in style.dataset }
    hint.textContent = scaleHint(texts, about, enteredLook())
  }

  /** If "Animate" is chosen for a style that cannot move, says so and names some styles that can. */
  function showMovesHint(style) {
    const hint = find('[data-moves]')
    if (!style) return
    const isStill = find('[name="animated"]').checked && !style.closest('.moving')
    const text = isStill ? stillHint(texts, titleOf(style), hint.dataset.movers.split(', ')) : hint.dataset.moves
    if (text === hint.textContent) return
    hint.textContent = text
    if (isStill) announce(text)
  }

  /** The name of the style whose parts are shown. */
  let shownPartsStyle = chosenStyle()?.value
  function updateParts(style) {
    shownPartsStyle = style
    parts.update()
  }

  /** Fills in the form with the look in a query. */
  function fillIn(query) {
    fillForm(form, query)
    parts.setPins(Object.fromEntries([...query].filter(([name]) => isPin(name))))
    moods.choose(query.get('mood') ?? '')
    update()
  }

  function chooseWord() {
    find('[name="seedFrom"][value="word"]').checked = true
  }

  function chooseSeed(seed, waitMs) {
    seedField.value = seed
    chooseWord()
    update(waitMs)
    writeAddress()
  }

  form.addEventListener('click', (event) => {
    const better = event.target.closest('a[data-better]')
    if (better) {
      event.preventDefault()
      const swatch = find(`[name="backgroundColor"][value="${better.dataset.better}"]`)
      swatch.checked = true
      find('[name="backgroundColorFill"][value=""]').checked = true
      // The focused link will be hidden, so the focus moves.
      swatch.focus({ preventScroll: true })
      update()
      writeAddress()
    }
    const fit = event.target.closest('[data-fit]')
    if (!fit) return
    event.preventDefault()
    fillIn(new URL(fit.href).searchParams)
    // The focused link will be hidden, so the focus moves.
    find('[name="scale"]:checked').focus({ preventScroll: true })
    writeAddress()
  })
  form.addEventListener('input', ({ target }) => {
    if (target.name === 'mood') moods.choose(target.value)
    if (target === seedField) chooseWord()
    if (target.name === 'seedFrom' && !['word', 'username'].includes(target.value)) seedField.value = target.value
    if (target.name === 'backgroundColorFill' && target.value) addSecondWell(form)
    if ('ownColour' in target.dataset) chooseOwn(target.closest('.own'), target.value.slice(1))
    if ('scale' in target.dataset) chooseOwn(target.closest('.framing'), String(target.value / 100))
    update()
    writeAddress()
  })
  if (hasAddress) {
    history.replaceState(lookUrl(enteredLook()), '')
    addEventListener('popstate', ({ state }) => {
      if (!state) return
      fillIn(new URL(state, location.href).searchParams)
    })
    // This script replaces the button that updates the preview. Enter in the seed field does not submit the form.
    find('.update').remove()
    seedField.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.isComposing) event.preventDefault()
    })
  }
  keepLastPictures(form)
  // When the visitor comes back or reloads, the browser may have filled in other values than the server.
  addEventListener('pageshow', () => update())
  reducedMotion.addEventListener('change', () => update())
}

/**
 * The SVG and the description of a picture that is already shown, from the browser's cache; '' if they cannot be
 * fetched.
 */
async function contentOf(url) {
  try {
    const answer = await fetch(url)
    const description = decodeURIComponent(answer.headers.get('Content-Description') ?? '')
    return { svg: await answer.text(), description }
  } catch {
    return { svg: '', description: '' }
  }
}

/** Whether "The style's own" background is offered: if the style has one, or if it is already chosen. */
const offersOwn = (style) =>
  'ownBackground' in style.dataset || style.form.querySelector('[data-styles-own] :checked') !== null

/** Adds the colour input for a second colour of the visitor's own. */
function addSecondWell(form) {
  const own = form.querySelector('.two-colours .own')
  if (own.querySelector('[type="color"]')) return
  const well = form.querySelector('[data-own-colour]').cloneNode()
  well.value = `#${own.querySelector('[data-own]').value}`
  own.append(well)
}

/** Sets the value of the radio button for the visitor's own value, and selects it. */
function chooseOwn(group, value) {
  const radio = group.querySelector('[data-own]')
  Object.assign(radio, { value, checked: true })
}

/** Shows the current values of sliders and own colours. */
function showNumbers(form) {
  for (const own of form.querySelectorAll('.own [data-own]')) {
    own.parentElement.querySelector('[data-own-value]').textContent = own.checked ? ` #${hexColour(own.value)}` : ''
  }
  const size = form.querySelector('[data-scale]')
  const scale = form.querySelector('[name="scale"]:checked')
  const percent = Math.round(100 * Number.parseFloat(scale?.value || '1'))
  size.value = percent || 100
  scale?.closest('.own-pick')?.removeAttribute('hidden')
  const ownValue = form.querySelector('.framing [data-own-value]')
  // A size that is not a number, and was refused for it, is shown as it was entered.
  if ('own' in (scale?.dataset ?? {})) {
    ownValue.textContent = percent ? measure(String(percent), texts.units.scale) : scale.value
  }
  for (const slider of form.querySelectorAll('[data-slider]')) {
    const output = slider.querySelector('output')
    const { value } = slider.querySelector('input')
    if (output) output.textContent = measure(value, texts.units[slider.dataset.slider])
  }
}

/** Fills in the fields as the server would do for this query. */
function fillForm(form, query) {
  form.querySelector(`[name="seedFrom"][value="${query.has('seed') ? 'word' : 'username'}"]`).checked = true
  for (const name of lookFields) {
    const value = (query.get(name) ?? '').replace(/^transparent$/, '')
    const controls = [...form.querySelectorAll(`[name="${name}"]`)]
    const radios = controls.filter(({ type }) => type === 'radio')
    const radio = radios.find((one) => one.value === value)
    const own = radios.find((one) => 'own' in one.dataset)
    if (radio) radio.checked = true
    else if (value && own) Object.assign(own, { value, checked: true })
    else for (const one of radios) one.checked = one.defaultChecked
    for (const control of controls) {
      if (control.type === 'checkbox') control.checked = control.value === value
      else if (control.type !== 'radio') control.value = value || (ranges[name]?.initial ?? control.defaultValue)
    }
  }
}

for (const form of document.querySelectorAll('[data-live]')) enhance(form)
document.documentElement.classList.add('js')

// Adds to pages that work without it: live picture, address bar, dice, own colour, copying, busy buttons.
const words = JSON.parse(document.body.dataset.words)
const calm = matchMedia('(prefers-reduced-motion: reduce)')
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)
const orList = (list) => new Intl.ListFormat(words.locale, { type: 'disjunction' }).format(list)
const oneOf = (list) => list[Math.floor(Math.random() * list.length)]
const isColour = (text) => /^[0-9a-f]{6}$/i.test(text)
const mostCharacters = 128
const tooLong = (seed) => [...seed].length > mostCharacters

/** For those who hear the page. A new node each time: the same textContent is no news to Chromium. */
function say(text) {
  const line = document.querySelector('[data-say]')
  line?.replaceChildren(text)
}

/** One run after the last of many calls. */
function later(run, waitMs) {
  let timer
  return (thisWaitMs = waitMs) => {
    clearTimeout(timer)
    timer = setTimeout(run, thisWaitMs)
  }
}

/** A form whose picture follows it. */
function live(form) {
  const at = (selector) => form.querySelector(selector)
  const pictures = [...form.querySelectorAll('[data-preview]')]
  const seedField = at('[name="seed"]')
  const own = at('[data-own]')
  const state = at('[data-state]')
  const rolls = []
  const good = new WeakMap()
  let askedMood = ''
  let wanted = pictures[0].getAttribute('src')
  let asked = 0
  let shown = 0
  let stale
  const refused = seedField.hasAttribute('aria-invalid') // by the server, whose message stays beside the field
  const hints = seedField.getAttribute('aria-describedby')
  let wasTooLong = refused && tooLong(seedField.value.trim())

  const firstStyle = at('[name="style"]').value
  const chosen = (name) => at(`[name="${name}"]:checked, [name="${name}"] option:checked`)
  const nameOf = (style) => (style.labels?.[0].querySelector('span') ?? style).textContent
  const moodsOf = (style) => {
    const { lacks = '' } = style.dataset
    return lacks === 'all' ? [] : Object.keys(words.moods).filter((mood) => !lacks.split(' ').includes(mood))
  }
  /** The mood, if the style has it. */
  const moodOf = (style, mood) => (style && moodsOf(style).includes(mood) ? mood : '')

  function read() {
    const filled = new FormData(form)
    return {
      seed: filled.get('seed').trim(),
      style: filled.get('style') ?? '',
      backgroundColor: (filled.get('backgroundColor') ?? '').replace(/^#/, ''),
      mood: filled.get('mood') ?? '',
      animated: filled.get('animated') === 'on',
    }
  }

  // The same address as pictureUrl() in look.ts writes, so that the cache serves both. No style: the first.
  function pictureUrl({ seed, style, backgroundColor, mood, animated }) {
    const query = new URLSearchParams({ seed: seed || form.dataset.example, style: style || firstStyle })
    if (isColour(backgroundColor)) query.set('backgroundColor', backgroundColor)
    if (mood) query.set('mood', mood)
    if (animated) query.set('animated', 'on')
    return `/preview.svg?${query}`
  }

  /** The present look with another seed. */
  function rollUrl(seed) {
    const choice = read()
    return pictureUrl({ ...choice, seed, mood: moodOf(chosen('style'), choice.mood), animated: false })
  }

  const again = document.createElement('button')
  again.type = 'button'
  again.textContent = words.tryAgain
  again.addEventListener('click', () => draw(wanted))

  function tell(text, retry = false) {
    form.classList.toggle('failed', retry)
    if (state.textContent === (retry ? `${text} ${words.tryAgain}` : text)) return
    if (document.activeElement === again) {
      // The button goes: the focus is on what it was pressed for.
      pictures[0].tabIndex = -1
      pictures[0].focus()
    }
    state.textContent = text
    if (retry) state.append(' ', again)
  }
  const settled = () => tell(form.dataset.sample && !seedField.value.trim() ? words.example : '')

  function fresh() {
    clearTimeout(stale)
    form.classList.remove('stale')
  }

  // Answers may overtake each other: an older one never replaces a newer one.
  function draw(url) {
    const turn = ++asked
    wanted = url
    clearTimeout(stale)
    stale = setTimeout(() => {
      form.classList.add('stale')
      tell(words.drawing)
    }, 150)
    const picture = new Image()
    picture.fetchPriority = 'high' // before the tiles that follow
    picture.src = url
    picture.decode().then(
      () => {
        if (turn < shown) return
        shown = turn
        for (const image of pictures) image.src = url
        // What is for less motion is needed until then, and in the way of other pictures after that.
        for (const source of form.querySelectorAll('source')) source.remove()
        if (turn !== asked) return
        fresh()
        settled()
      },
      () => {
        if (turn !== asked) return
        fresh()
        tell(words.failed, true)
        say(words.failed)
      },
    )
  }

  let drawnAt = 0
  let drawing
  /** At once, but while a colour is dragged or a word typed no more than one in 60 ms. */
  function redraw(url) {
    clearTimeout(drawing)
    const waitMs = drawnAt + 60 - performance.now()
    if (waitMs > 0) drawing = setTimeout(redraw, waitMs, url)
    else {
      drawnAt = performance.now()
      draw(url)
    }
  }

  // Pictures out of sight are lazy: a new address costs nothing until they are seen.
  const redrawTiles = later(() => {
    const choice = { ...read(), animated: false }
    if (tooLong(choice.seed)) choice.seed = ''
    const style = chosen('style')
    const swap = (image, url) => {
      if (image.getAttribute('src') === url) return
      image.loading = 'lazy'
      image.src = url
    }
    for (const radio of form.querySelectorAll('.tile [name="style"]')) {
      const mood = moodOf(radio, askedMood)
      swap(radio.nextElementSibling, pictureUrl({ ...choice, style: radio.value, mood }))
    }
    for (const button of rollButtons()) swap(button.firstChild, rollUrl(button.dataset.seed))
    if (!style) return
    for (const radio of form.querySelectorAll('.tile [name="mood"]')) {
      swap(radio.nextElementSibling, pictureUrl({ ...choice, mood: moodOf(style, radio.value) }))
    }
  }, 180)

  // Only what the server takes: a link with the rest would open with "Part of that link made no sense".
  const writeAddress = later(() => {
    const { seed, style, backgroundColor, animated, ...choice } = read()
    const mood = moodOf(chosen('style'), choice.mood)
    const query = new URLSearchParams()
    if (seed && !tooLong(seed) && !/\p{Cc}/u.test(seed)) query.set('seed', seed)
    if (style) query.set('style', style)
    query.set('backgroundColor', isColour(backgroundColor) ? backgroundColor : 'transparent')
    if (mood) query.set('mood', mood)
    if (animated) query.set('animated', 'on')
    history.replaceState(null, '', `/?${query}`)
  }, 120)

  /** Disables the moods that the style lacks; the one that was asked for comes back with the next style that has it. */
  function showMoods(style) {
    const can = moodsOf(style)
    const mood = moodOf(style, askedMood)
    for (const one of form.querySelectorAll('[type="radio"][name="mood"], select[name="mood"] option')) {
      one.disabled = one.value !== '' && !can.includes(one.value)
      one[one.type === 'radio' ? 'checked' : 'selected'] = one.value === mood
      if (one.type !== 'radio') continue
      if (one.disabled) one.setAttribute('aria-describedby', 'mood-hint')
      else one.removeAttribute('aria-describedby')
    }
    const lacking = Object.keys(words.moods).filter((one) => !can.includes(one))
    const text = can.length === 0 ? words.moodNone : lacking.length ? words.moodSome : words.moodAll
    const moods = orList(lacking.map((one) => words.moods[one].look))
    const hint = fill(text, { style: nameOf(style), moods })
    const line = at('#mood-hint')
    if (line.textContent === hint) return
    line.textContent = hint
    if (mood !== askedMood) say(hint)
  }

  /** Whether the seed is short enough. Else that is told, whatever is still on its way, and said when it begins. */
  function fits(seed) {
    const isTooLong = tooLong(seed)
    const problem = isTooLong ? fill(words.seedTooLong, { count: [...seed].length, most: mostCharacters }) : ''
    if (isTooLong !== wasTooLong) {
      say(problem)
      if (isTooLong || refused) seedField.setAttribute('aria-invalid', 'true')
      else seedField.removeAttribute('aria-invalid')
      seedField.setAttribute('aria-describedby', isTooLong ? `${state.id} ${hints}` : hints)
    }
    wasTooLong = isTooLong
    if (!isTooLong) return true
    asked += 1
    wanted = ''
    fresh()
    tell(problem)
    form.classList.add('failed')
    return false
  }

  function follow(tilesWaitMs) {
    const choice = read()
    const style = chosen('style')
    const text = style ? nameOf(style) : ''
    if (choice.mood) askedMood = choice.mood
    const mood = moodOf(style, askedMood)
    if (style) showMoods(style)
    const look = mood ? fill(words.look, { style: text, mood: words.moods[mood].inText }) : text
    if (at('[data-look]')) {
      at('[data-look]').textContent = look
      at('[data-credit]').textContent = style ? fill(words.by, { creator: style.dataset.by ?? 'DiceBear' }) : ''
      if (look) pictures[0].alt = fill(words.previewAlt, { look })
    }
    markRolls(choice.seed)
    redrawTiles(tilesWaitMs)
    clearTimeout(drawing)
    if (!fits(choice.seed)) return
    const url = pictureUrl({
      ...choice,
      mood,
      animated: choice.animated && !calm.matches && style?.closest('.moving'),
    })
    if (url !== wanted) redraw(url)
    else if (asked === shown) settled()
  }

  const rollButtons = () => [...form.querySelectorAll('[data-rolls] button')]

  function markRolls(seed) {
    for (const button of rollButtons()) {
      if (button.dataset.seed === seed) button.setAttribute('aria-current', 'true')
      else button.removeAttribute('aria-current')
    }
  }

  function rollButton(seed) {
    const button = document.createElement('button')
    const image = new Image(44, 44)
    image.alt = ''
    image.src = rollUrl(seed)
    button.type = 'button'
    button.dataset.seed = seed
    button.title = seed
    button.setAttribute('aria-label', fill(words.backTo, { seed }))
    button.append(image)
    return button
  }

  // Those that are there move up: a new one would be without its picture for a moment.
  function listRolls() {
    const there = new Map(rollButtons().map((button) => [button.dataset.seed, button]))
    for (const [i, item] of [...at('[data-rolls] ul').children].entries()) {
      const seed = rolls[i]
      if (!seed) continue
      item.className = ''
      item.replaceChildren(there.get(seed) ?? rollButton(seed))
    }
    markRolls(rolls[0])
  }

  function take(seed, tilesWaitMs) {
    seedField.value = seed
    follow(tilesWaitMs)
    if ('address' in form.dataset) writeAddress()
  }

  function roll() {
    const before = seedField.value.trim()
    const seed = `${oneOf(words.rollFirst.split(' '))} ${oneOf(words.rollSecond.split(' '))}`
    const kept = [seed, ...(before && !tooLong(before) ? [before] : []), ...rolls]
    rolls.splice(0, rolls.length, ...[...new Set(kept)].slice(0, at('[data-rolls] ul').children.length))
    take(seed, 500) // the large picture first; the twenty others once nobody rolls on
    listRolls()
    say(fill(words.rolled, { seed }))
  }

  form.addEventListener('input', ({ target }) => {
    if (target.name === 'filter') return
    if (target.name === 'mood') askedMood = target.value
    if ('ownColour' in target.dataset) {
      own.value = target.value.slice(1)
      own.checked = true
    }
    if (own?.checked) at('.own-value').textContent = ` #${own.value.replace(/^#/, '')}`
    follow()
    if ('address' in form.dataset) writeAddress()
  })
  form.addEventListener('click', ({ target }) => {
    if (target.closest('[data-roll]')) roll()
    const back = target.closest('[data-rolls] button')
    if (back) take(back.dataset.seed)
  })
  if ('address' in form.dataset) {
    at('.update')?.remove()
    seedField.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.isComposing) return
      event.preventDefault()
      follow()
    })
  }
  // A browser that comes back, or reloads, may have filled the form otherwise than the server did.
  addEventListener('pageshow', () => follow())
  // A tile or a roll whose new picture does not come keeps the last that did; else the next change asks again.
  const keep = (image) => good.set(image, image.getAttribute('src'))
  const restore = (image) => {
    if (pictures.includes(image)) return // draw() sees to these
    const before = good.get(image)
    if (before && before !== image.getAttribute('src')) image.src = before
    else image.removeAttribute('src')
  }
  for (const image of form.querySelectorAll('img')) if (image.complete && image.naturalWidth) keep(image)
  form.addEventListener('load', ({ target }) => keep(target), true)
  form.addEventListener('error', ({ target }) => restore(target), true)
  calm.addEventListener('change', () => follow())
}

/** A form goes off once; the button says so until the next page is here, or the visitor comes back. */
const away = new Map()
function back(form) {
  const { button, inside, timer } = away.get(form)
  clearTimeout(timer)
  button?.removeAttribute('aria-disabled')
  if (inside) button.replaceChildren(...inside)
  away.delete(form)
}
document.addEventListener('submit', (event) => {
  const { target: form, submitter: button } = event
  if (event.defaultPrevented || button?.formMethod === 'get') return
  if (away.has(form)) return event.preventDefault()
  const inside = button?.dataset.busy ? [...button.childNodes] : undefined
  if (inside) {
    button.style.minInlineSize = `${button.offsetWidth}px`
    button.replaceChildren(button.dataset.busy)
  }
  button?.setAttribute('aria-disabled', 'true')
  away.set(form, { button, inside, timer: setTimeout(back, 20_000, form) })
})
addEventListener('pageshow', () => {
  for (const form of away.keys()) back(form)
})

/** Whether it could. On plain http there is no clipboard, and elsewhere it may be refused: then the old way. */
async function copy(text) {
  const writing = navigator.clipboard?.writeText(text).then(
    () => true,
    () => false,
  )
  if (await writing) return true
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
for (const button of document.querySelectorAll('[data-copy]')) {
  const label = button.querySelector('span')
  const text = label.textContent
  const back = later(() => {
    label.textContent = text
  })
  button.addEventListener('click', async () => {
    const isCopied = await copy(new URL(button.dataset.copy, location.href).href)
    button.style.minInlineSize = `${button.offsetWidth}px`
    label.textContent = isCopied ? words.copied : words.notCopied
    say(label.textContent)
    // What to do instead takes a while to read.
    back(isCopied ? 2500 : 10_000)
  })
}

for (const form of document.querySelectorAll('[data-live]')) live(form)
document.documentElement.classList.add('js')

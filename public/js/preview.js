// The live preview: the large picture, and the text beside it that tells whether the picture is loading.
import { announce, texts } from './page.js'

/** The shortest time between two requests for pictures while the visitor types or drags a slider. */
const minIntervalMs = 60
/** If the next picture takes longer than this, the one that is shown is dimmed. */
const staleMs = 150

/**
 * `onShown` is called with the address of each picture when it is shown. `onRetried` is called after "Try again" has
 * succeeded, because the small pictures may have failed, too.
 */
export function createPreview(form, { onShown, onRetried }) {
  const images = [...form.querySelectorAll('[data-preview]')]
  const status = form.querySelector('[data-state]')
  const retryButton = document.createElement('button')
  retryButton.type = 'button'
  retryButton.textContent = texts.tryAgain
  retryButton.addEventListener('click', async () => {
    if (await request(wantedUrl)) onRetried()
  })

  let wantedUrl = images[0].getAttribute('src')
  let idleText = ''
  let requestedNumber = 0
  let shownNumber = 0
  let requestedAtMs = 0
  let waiting
  let stale

  /** Requests the picture at this address and shows it, with `text` beside it, when it is loaded. */
  function show(url, text) {
    idleText = text
    clearTimeout(waiting)
    if (url !== wantedUrl) requestSoon(url)
    else if (requestedNumber === shownNumber) setStatus(idleText)
  }

  /** Shows a problem until the next picture is requested. Responses to earlier requests are ignored. */
  function showProblem(problem) {
    clearTimeout(waiting)
    requestedNumber += 1
    wantedUrl = ''
    unmarkStale()
    setStatus(problem)
    form.classList.add('failed')
  }

  function requestSoon(url) {
    const waitMs = requestedAtMs + minIntervalMs - performance.now()
    if (waitMs > 0) waiting = setTimeout(request, waitMs, url)
    else request(url)
  }

  /**
   * Requests a picture and shows it, unless a picture that was requested later is already shown. Resolves with whether
   * the picture was loaded and is still the one wanted.
   */
  async function request(url) {
    const number = ++requestedNumber
    requestedAtMs = performance.now()
    wantedUrl = url
    clearTimeout(stale)
    stale = setTimeout(markStale, staleMs)
    const picture = new Image()
    picture.fetchPriority = 'high' // before the tiles
    picture.src = url
    const isLoaded = await picture.decode().then(
      () => true,
      () => false,
    )
    if (isLoaded && number > shownNumber) showLoaded(url, number)
    if (number !== requestedNumber) return false
    unmarkStale()
    setStatus(isLoaded ? idleText : texts.failed, { canRetry: !isLoaded })
    if (!isLoaded) announce(texts.failed)
    return isLoaded
  }

  function showLoaded(url, number) {
    shownNumber = number
    for (const image of images) image.src = url
    // The <source> for reduced motion would take precedence over `src`.
    for (const source of form.querySelectorAll('source')) source.remove()
    onShown(url)
  }

  function markStale() {
    form.classList.add('stale')
    setStatus(texts.drawing)
  }

  function unmarkStale() {
    clearTimeout(stale)
    form.classList.remove('stale')
  }

  function setStatus(text, { canRetry = false } = {}) {
    form.classList.toggle('failed', canRetry)
    if (status.textContent === (canRetry ? `${text} ${texts.tryAgain}` : text)) return
    if (document.activeElement === retryButton) {
      // The button is going to disappear, so the picture gets the focus.
      images[0].tabIndex = -1
      images[0].focus()
    }
    status.textContent = text
    if (canRetry) status.append(' ', retryButton)
  }

  return { images, status, show, showProblem }
}

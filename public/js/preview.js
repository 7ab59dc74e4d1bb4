// The large picture, and the line beside it that says whether it is loading.
import { announce, texts } from './page.js'

/** While the visitor types or drags a colour, pictures are requested no more often than this. */
const minIntervalMs = 60
/** A picture that takes longer than this is dimmed. */
const staleMs = 150

/**
 * `onShown` is called with the address of each picture that is shown. `onRetried` is called when "Try again" has
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
  let lastRequest = 0
  let lastShown = 0
  let lastRequestMs = 0
  let waiting
  let stale

  /** Shows the picture at this address as soon as it is loaded, and then `text` beside it. */
  function show(url, text) {
    idleText = text
    clearTimeout(waiting)
    if (url !== wantedUrl) requestSoon(url)
    else if (lastRequest === lastShown) setStatus(idleText)
  }

  /** Shows a problem until the next picture is requested. Responses to earlier requests are ignored. */
  function refuse(problem) {
    clearTimeout(waiting)
    lastRequest += 1
    wantedUrl = ''
    unmarkStale()
    setStatus(problem)
    form.classList.add('failed')
  }

  function requestSoon(url) {
    const waitMs = lastRequestMs + minIntervalMs - performance.now()
    if (waitMs > 0) waiting = setTimeout(request, waitMs, url)
    else request(url)
  }

  /**
   * Requests a picture and shows it, unless one that was requested later has been shown already. Resolves with whether
   * it was loaded and is still wanted.
   */
  async function request(url) {
    const number = ++lastRequest
    lastRequestMs = performance.now()
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
    if (isLoaded && number > lastShown) showLoaded(url, number)
    if (number !== lastRequest) return false
    unmarkStale()
    setStatus(isLoaded ? idleText : texts.failed, { canRetry: !isLoaded })
    if (!isLoaded) announce(texts.failed)
    return isLoaded
  }

  function showLoaded(url, number) {
    lastShown = number
    for (const image of images) image.src = url
    // A <source> for reduced motion would take precedence over img.src.
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
      // The button will disappear, so the picture gets the focus.
      images[0].tabIndex = -1
      images[0].focus()
    }
    status.textContent = text
    if (canRetry) status.append(' ', retryButton)
  }

  return { images, status, show, refuse }
}

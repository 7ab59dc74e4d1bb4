// Downloads: the button "Save or share" in browsers that can share files, and progress beside the link to the GIF.
import { fill } from './look.js'
import { texts } from './page.js'

const shareButton = document.querySelector('[data-share]')
const gifLink = document.querySelector('[data-gif]')

const pngFile = (parts) => new File(parts, shareButton.dataset.name, { type: 'image/png' })

if (navigator.canShare?.({ files: [pngFile([])] })) offerSharing()
gifLink?.addEventListener('click', downloadGif)

/** Makes "Save or share" the main button, because sharing is how a phone saves a picture among the photos. */
function offerSharing() {
  shareButton.hidden = false
  for (const link of document.querySelectorAll('[data-download]')) {
    link.classList.replace('next', 'second')
    if (link.dataset.download) link.querySelector('span').textContent = link.dataset.download
  }
  // The file is fetched when the pointer goes down, because browsers allow sharing only for a short time after a click.
  let file
  const load = () => {
    file ??= fetchFile().catch((error) => {
      file = undefined
      throw error
    })
    return file
  }
  shareButton.addEventListener('pointerdown', () => load().catch(() => undefined))
  shareButton.addEventListener('click', () => share(load))
}

async function fetchFile() {
  const answer = await fetch(shareButton.dataset.share)
  if (!answer.ok) throw new Error('no picture')
  return pngFile([await answer.blob()])
}

async function share(load) {
  try {
    await navigator.share({ files: [await load()] })
  } catch (error) {
    // An AbortError means that the visitor has closed the dialog. After any other error the file is downloaded instead.
    if (error.name !== 'AbortError') document.querySelector('[data-download]').click()
  }
}

/** Fetches the GIF, which takes a while to draw, and then downloads it from the browser's cache. */
async function downloadGif(event) {
  event.preventDefault()
  if (gifLink.ariaDisabled === 'true') return
  const label = gifLink.querySelector('span')
  const { textContent: text } = label
  const state = document.querySelector('[data-gif-state]')
  const { textContent: hint } = state
  gifLink.ariaDisabled = 'true'
  label.textContent = texts.gifDrawing
  state.textContent = texts.gifWait
  const problem = await problemWith(gifLink.href)
  state.textContent = problem || hint
  label.textContent = text
  gifLink.ariaDisabled = null
  if (!problem) location.assign(gifLink.href)
}

/** Fetches a picture. Returns the problem in words, or '' if there was none. */
async function problemWith(url) {
  try {
    const answer = await fetch(url)
    await answer.blob()
    const seconds = answer.headers.get('Retry-After')
    if (answer.ok) return ''
    return seconds ? fill(texts.gifQueue, { seconds }) : texts.gifFailed
  } catch {
    return texts.gifFailed
  }
}

// Downloads: "Save or share" in browsers that can share files, and a link to the GIF that says while it is being drawn.
import { fill } from './look.js'
import { texts } from './page.js'

const shareButton = document.querySelector('[data-share]')
const gifLink = document.querySelector('[data-gif]')

const pngFile = (parts) => new File(parts, shareButton.dataset.name, { type: 'image/png' })

if (navigator.canShare?.({ files: [pngFile([])] })) offerSharing()
gifLink?.addEventListener('click', downloadGif)

/** Makes sharing the main button: on a phone it is the way to save a picture among the photos. */
function offerSharing() {
  shareButton.hidden = false
  for (const link of document.querySelectorAll('[data-download]')) {
    link.classList.replace('next', 'second')
    if (link.dataset.download) link.querySelector('span').textContent = link.dataset.download
  }
  // The file is fetched early, because a browser allows sharing only for a short time after a press.
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

/** Waits for the drawing before the download begins, which then comes from the browser's cache. */
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

/** Loads a picture. Returns why it failed, or an empty text. */
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

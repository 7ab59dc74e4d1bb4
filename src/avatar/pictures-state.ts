/** Whether PNGs, GIFs and cards can be rendered. `no font` means that they would have no letters. */
export type PicturesState = 'ok' | 'no font' | 'down'

type TrialOptions = {
  renderPng: (svg: string, size: number) => Promise<Buffer>
  /** Called when the state changes, with the error if there is one. */
  onState: (state: PicturesState, error?: unknown) => void
}

/** How long to wait after a failed trial before the next one. */
const trialPauseMs = 5000
const trialSvg = (content: string) =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><text y="24" font-size="24">${content}</text></svg>`

/**
 * Returns a function that finds out by a trial whether pictures can be rendered. It never rejects. Later calls return
 * the same result. A failed trial is repeated by the first call after `trialPauseMs`.
 */
export function createTrial({ renderPng, onState }: TrialOptions): () => Promise<PicturesState> {
  let state: PicturesState = 'ok'
  let trial: Promise<PicturesState> | undefined
  let triedAt = Number.NEGATIVE_INFINITY

  function changeState(next: PicturesState, error?: unknown): PicturesState {
    if (next !== state) onState(next, error)
    state = next
    return next
  }

  /** Renders one picture with a letter and one without. If they are equal, there is no font. */
  async function tryRendering(): Promise<PicturesState> {
    try {
      const letter = await renderPng(trialSvg('A'), 32)
      return changeState(letter.equals(await renderPng(trialSvg(''), 32)) ? 'no font' : 'ok')
    } catch (error) {
      return changeState('down', error)
    }
  }

  return () => {
    const mayRetry = state !== 'ok' && performance.now() - triedAt > trialPauseMs
    if (trial === undefined || mayRetry) {
      triedAt = performance.now()
      trial = tryRendering()
    }
    return trial
  }
}

import { afterEach, beforeEach, vi } from 'vitest'

/** Clocks that a test can set ahead, so that it need not wait for the end of a pause. Returns the function that does. */
export function movableClocks(): (seconds: number) => void {
  let aheadMs = 0
  beforeEach(() => {
    for (const clock of [Date, performance]) {
      const now = clock.now.bind(clock)
      vi.spyOn(clock, 'now').mockImplementation(() => now() + aheadMs)
    }
  })
  afterEach(() => vi.restoreAllMocks())
  return (seconds) => {
    aheadMs += seconds * 1000
  }
}

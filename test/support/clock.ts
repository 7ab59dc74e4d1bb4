import { afterEach, beforeEach, vi } from 'vitest'

/** Returns a function that sets the clocks ahead, so that a test need not wait for the end of a pause. */
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

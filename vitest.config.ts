import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ['dot'],
    // Much of the time is waiting: for what is silent, for what ends by itself.
    maxWorkers: 2,
  },
})

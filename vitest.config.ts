import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The test files that take longest come first, so that none of them is left alone at the end. */
const longest = [
  'faults/costly-svg',
  'browser/pages',
  'browser/fit',
  'faults/faults',
  'visit/form',
  'redis/nothing-lost',
  'faults/pipelining',
  'redis/state',
  'redis/redis-places',
  'redis/redis-refusals',
  'redis/redis',
  'redis/start',
  'redis/discord',
  'parts/renderers',
  'faults/slow-clients',
  'deploy/caddy',
  'redis/instances',
  'browser/page-script',
  'parts/circle',
  'visit/avatar-files',
  'faults/upstream',
  'faults/fuzz-files',
  'browser/engines',
].map((name) => `/test/${name}.test.ts`)

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const found = longest.findIndex((name) => moduleId.endsWith(name))
      return found < 0 ? longest.length : found
    }
    return (await super.sort(files)).sort((one, other) => place(one) - place(other))
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/compile.ts',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A busy machine may be slow. A poll ends as soon as it succeeds.
    expect: { poll: { timeout: 5000 } },
    reporters: ['dot'],
    sequence: { sequencer: LongestFirst },
    // No file leaves anything behind in its process, so the next one uses the modules that are loaded already.
    isolate: false,
    // More than the two cores of a small machine: much of the time is waiting, for what is silent or ends by itself.
    maxWorkers: 5,
  },
})

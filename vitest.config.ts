import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The test files that take longest come first, so that none of them is left alone at the end. */
const longest = [
  'browser/pages',
  'redis/redis-places',
  'faults/costly-svg',
  'browser/fit',
  'faults/pipelining',
  'redis/redis',
  'redis/discord',
  'redis/redis-refusals',
  'redis/nothing-lost',
  'faults/upstream',
  'redis/limits',
  'browser/page-script',
  'deploy/caddy',
  'visit/avatar-files',
  'visit/shares',
  'parts/safe-svg',
  'parts/renderers',
  'redis/start',
  'redis/state',
  'faults/faults',
  'redis/metrics',
  'faults/proxy',
  'visit/form',
  'redis/forget-me',
  'faults/slow-clients',
  'browser/form-script',
  'deploy/runtime',
  'redis/instances',
  'parts/address',
  'redis/locks',
  'visit/letters',
  'browser/engines',
  'faults/fuzz',
  'parts/circle',
  'browser/whole-way',
  'parts/gif',
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

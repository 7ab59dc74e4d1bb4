// `npm run audit` runs Lighthouse on the form and on the avatar's page, simulating a slow phone. Exits with 1 if the
// median of a score is below its minimum.
import lighthouse, { type Flags } from 'lighthouse'
import { chromium } from 'playwright-core'
import { chromiumPath, openAvatar } from '../support/browser.ts'
import { freePort } from '../support/free-port.ts'
import { startApp } from '../support/start-app.ts'

const minScores: Record<string, number> = { performance: 95, accessibility: 100, 'best-practices': 100, seo: 100 }

/** Lighthouse recommends the median of several runs. A busy moment costs a single run ten points of performance. */
const runs = 5
const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

const app = await startApp({ RATE_LIMIT: 'off' })
const port = await freePort()
const browser = await chromium.launchPersistentContext('', {
  executablePath: chromiumPath(),
  args: [`--remote-debugging-port=${port}`, '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
})
let failed = false
try {
  const page = await browser.newPage()
  await openAvatar(page, app.url)
  await page.close()
  // Keep the visitor's session for the second page.
  const flags: Flags = { port, output: 'json', logLevel: 'error', disableStorageReset: true }
  for (const path of ['/', '/show_avatar']) {
    const results = []
    for (let run = 0; run < runs; run += 1) results.push(await lighthouse(`${app.url}${path}`, flags))
    for (const [name, minScore] of Object.entries(minScores)) {
      const scores = results.map((result) => Math.round((result?.lhr.categories[name]?.score ?? 0) * 100))
      const isLow = median(scores) < minScore
      failed ||= isLow
      const result = `${median(scores)} (${scores.join(' ')})${isLow ? `, below ${minScore}` : ''}`
      process.stdout.write(`${path.padEnd(14)} ${name.padEnd(15)} ${result}\n`)
    }
  }
} finally {
  await browser.close()
  await app.stop()
}
process.exitCode = failed ? 1 : 0

// Measures the app on a small server: one processor, memory limited by a control group, 20 visitors at once.
import { createControlGroup } from './control-group.ts'
import { load, visitWithPictures, visitWithPicturesRequests } from './load.ts'
import type { Stage } from './stage.ts'

/** The expected statuses, with those of visits that end early: 503, and what follows from it. */
const statuses = [200, 302, 303, 400, 404, 429, 503]

/** Makes visits with a preview and a PNG. Returns undefined where the machine has no control groups for memory. */
export async function visitSmallServer(stage: Stage, memoryMb: number, seconds: number) {
  const group = createControlGroup(`bench-small-${process.pid}`, { memoryMb })
  if (group === undefined) return undefined
  const app = await stage.startApp({}, false, group)
  let maxMb = 0
  const sampler = setInterval(() => {
    maxMb = Math.max(maxMb, group.allocatedMb())
  }, 50)
  try {
    const { perSecond, unavailable } = await load({ url: app.url, requests: visitWithPictures(), seconds, statuses })
    const isAlive = (await fetch(`${app.url}/healthz`)).ok
    return { perSecond: perSecond / visitWithPicturesRequests, maxMb, killed: group.killed(), unavailable, isAlive }
  } finally {
    clearInterval(sampler)
    await app.stop()
    group.remove()
  }
}

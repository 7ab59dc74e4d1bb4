// Preloaded into a measured process (`node --import`). Serves at INSIDE_PORT what cannot be measured from outside. It
// runs on the measured event loop, and takes no time between requests.
import { createServer } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread } from 'node:worker_threads'

const delay = monitorEventLoopDelay({ resolution: 1 })
let collect: (() => void) | undefined

// Set only when it is needed, because --expose-gc slows the whole process by about a tenth.
function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
}

/**
 * GET /watch starts measuring event loop delays, GET /delay returns them; GET /heap returns the heap after a
 * collection.
 */
const server = createServer((req, res) => {
  if (req.url === '/watch') {
    delay.reset()
    delay.enable()
    return res.end('{}')
  }
  if (req.url === '/delay') {
    delay.disable()
    return res.end(JSON.stringify({ p99Ms: delay.percentile(99) / 1e6 }))
  }
  collect ??= collector()
  collect()
  return res.end(JSON.stringify({ usedMb: process.memoryUsage().heapUsed / 1024 / 1024 }))
})
// Worker threads of the process load this file, too, and must not listen.
if (isMainThread) server.listen(Number(process.env.INSIDE_PORT), '127.0.0.1').unref()

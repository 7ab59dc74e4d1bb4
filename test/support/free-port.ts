import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/**
 * The ports are below the ephemeral ports (from 49152 on in RFC 6335, from 32768 on in Linux), so that no outgoing
 * connection takes one before the caller listens on it. Each of vitest's processes has a range of its own and uses its
 * ports in turn, so that no other caller takes it either.
 */
const firstPort = 20_000
const portsPerProcess = 1500
const ranges = 8
const range = Number(process.env.VITEST_POOL_ID ?? 0) % ranges
let used = randomInt(portsPerProcess)

/** Returns a port that was free a moment ago. */
export async function freePort(): Promise<number> {
  used += 1
  const port = firstPort + range * portsPerProcess + (used % portsPerProcess)
  const server = createServer().listen(port, '127.0.0.1')
  const free = await once(server, 'listening').then(
    () => true,
    () => false,
  )
  if (!free) return freePort()
  server.close()
  await once(server, 'close')
  return port
}

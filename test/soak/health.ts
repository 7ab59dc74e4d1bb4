import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { createClient } from 'redis'
import { fetch, WebSocket } from 'undici'
import { z } from 'zod'

const Targets = z.array(z.object({ webSocketDebuggerUrl: z.string() }))
const HeapUsage = z.object({ result: z.object({ usedSize: z.number() }) })

/** Returns what an idle process retains: bytes of heap after a garbage collection, and the number of open handles. */
export async function retainedBy(pid: number, inspectorPort: number) {
  const [heapBytes, handles] = await Promise.all([heapOf(inspectorPort), readdir(`/proc/${pid}/fd`)])
  return { heapBytes, handles: handles.length }
}

/** A time limit, because a process that has ended never answers. */
const inspectorTimeout = () => ({ signal: AbortSignal.timeout(30_000) })

/** Measures the heap with the inspector protocol. https://chromedevtools.github.io/devtools-protocol/v8/ */
async function heapOf(inspectorPort: number): Promise<number> {
  const list = await fetch(`http://127.0.0.1:${inspectorPort}/json/list`)
  const [target] = Targets.parse(await list.json())
  if (target === undefined) throw new Error('nothing to inspect')
  const socket = new WebSocket(target.webSocketDebuggerUrl)
  await once(socket, 'open', inspectorTimeout())
  const call = async (method: string) => {
    socket.send(JSON.stringify({ id: 1, method }))
    const [{ data }] = z
      .tuple([z.object({ data: z.string() })])
      .parse(await once(socket, 'message', inspectorTimeout()))
    return JSON.parse(data)
  }
  // Finalizers run after a collection, and what they release is freed by the next collection.
  for (let pass = 0; pass < 3; pass += 1) {
    await call('HeapProfiler.collectGarbage')
    await wait(500)
  }
  const { result } = HeapUsage.parse(await call('Runtime.getHeapUsage'))
  socket.close()
  return result.usedSize
}

/** Returns the keys in Redis that have no expiry. */
export async function keysWithoutExpiry(url: string): Promise<string[]> {
  const client = createClient({ url })
  await client.connect()
  const found: string[] = []
  for await (const keys of client.scanIterator()) {
    for (const key of keys) if ((await client.ttl(key)) === -1) found.push(key)
  }
  client.destroy()
  return found
}

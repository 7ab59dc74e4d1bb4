import { readdir } from 'node:fs/promises'
import { createClient } from 'redis'
import { fetch, WebSocket } from 'undici'
import { z } from 'zod'

const Targets = z.array(z.object({ webSocketDebuggerUrl: z.string() }))
const HeapUsage = z.object({ id: z.literal(2), result: z.object({ usedSize: z.number() }) })

/** What a process that is at rest holds on to: bytes of heap after a collection, and open files and sockets. */
export async function heldBy(pid: number, inspectorPort: number) {
  const [heapBytes, handles] = await Promise.all([heapOf(inspectorPort), readdir(`/proc/${pid}/fd`)])
  return { heapBytes, handles: handles.length }
}

/** By the inspector's protocol. https://chromedevtools.github.io/devtools-protocol/v8/ */
async function heapOf(inspectorPort: number): Promise<number> {
  const list = await fetch(`http://127.0.0.1:${inspectorPort}/json/list`)
  const [target] = Targets.parse(await list.json())
  if (target === undefined) throw new Error('nothing to inspect')
  const socket = new WebSocket(target.webSocketDebuggerUrl)
  return new Promise((resolve, reject) => {
    socket.addEventListener('error', () => reject(new Error('the inspector is away')))
    socket.addEventListener('open', () => {
      // What the first collection finalizes, the second one frees.
      for (const id of [0, 1]) socket.send(JSON.stringify({ id, method: 'HeapProfiler.collectGarbage' }))
      socket.send(JSON.stringify({ id: 2, method: 'Runtime.getHeapUsage' }))
    })
    socket.addEventListener('message', ({ data }) => {
      const usage = HeapUsage.safeParse(JSON.parse(String(data)))
      if (!usage.success) return
      socket.close()
      resolve(usage.data.result.usedSize)
    })
  })
}

/** Keys in Redis that would stay for ever. */
export async function keysForEver(url: string): Promise<string[]> {
  const client = createClient({ url })
  await client.connect()
  const found: string[] = []
  for await (const keys of client.scanIterator()) {
    for (const key of keys) if ((await client.ttl(key)) === -1) found.push(key)
  }
  client.destroy()
  return found
}

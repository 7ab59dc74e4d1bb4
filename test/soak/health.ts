import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { createClient } from 'redis'
import { fetch, WebSocket } from 'undici'
import { z } from 'zod'

const Targets = z.array(z.object({ webSocketDebuggerUrl: z.string() }))
const HeapUsage = z.object({ result: z.object({ usedSize: z.number() }) })

/** What a process that is at rest holds on to: bytes of heap after a collection, and open files and sockets. */
export async function heldBy(pid: number, inspectorPort: number) {
  const [heapBytes, handles] = await Promise.all([heapOf(inspectorPort), readdir(`/proc/${pid}/fd`)])
  return { heapBytes, handles: handles.length }
}

/** A process that has died says nothing any more. */
const patience = () => ({ signal: AbortSignal.timeout(30_000) })

/** By the inspector's protocol. https://chromedevtools.github.io/devtools-protocol/v8/ */
async function heapOf(inspectorPort: number): Promise<number> {
  const list = await fetch(`http://127.0.0.1:${inspectorPort}/json/list`)
  const [target] = Targets.parse(await list.json())
  if (target === undefined) throw new Error('nothing to inspect')
  const socket = new WebSocket(target.webSocketDebuggerUrl)
  await once(socket, 'open', patience())
  const ask = async (method: string) => {
    socket.send(JSON.stringify({ id: 1, method }))
    const [{ data }] = z.tuple([z.object({ data: z.string() })]).parse(await once(socket, 'message', patience()))
    return JSON.parse(data)
  }
  // What a collection finalizes is freed by the next one, and only after the process had a turn.
  for (let turn = 0; turn < 3; turn += 1) {
    await ask('HeapProfiler.collectGarbage')
    await wait(500)
  }
  const { result } = HeapUsage.parse(await ask('Runtime.getHeapUsage'))
  socket.close()
  return result.usedSize
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

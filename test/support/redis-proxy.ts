import { connect, createServer, type Socket } from 'node:net'

/** What goes wrong with one command on its way to Redis. */
export type Fault =
  /** The command and all later ones on the connection arrive this much later. */
  | { kind: 'stall'; ms: number }
  /** Redis answers with an error. */
  | { kind: 'refuse' }
  /** From this command on nothing arrives, neither commands nor answers, as after a `kill -9` of the app. */
  | { kind: 'kill before' }
  /** The same, except that this command still arrives. */
  | { kind: 'kill after' }

/** The commands that change something, and those that run scripts. */
const writes = /^(SET|DEL|GETDEL|EXPIRE|EVAL|EVALSHA)$/i

/** Opens a proxy in front of a real Redis on loopback that lets one write command fail. */
export async function openRedisProxy(redisPort: number) {
  const sockets = new Set<Socket>()
  const seen: string[] = []
  let planned: { place: number; fault: Fault } | undefined
  let isKilled = false

  /** Counts the writes. Returns the fault if this command is the one that must fail. */
  function faultOf(name: string): Fault | undefined {
    if (!writes.test(name)) return undefined
    seen.push(name)
    return planned?.place === seen.length - 1 ? planned.fault : undefined
  }

  const server = createServer((client) => {
    const upstream = connect(redisPort, '127.0.0.1')
    let rest: Buffer = Buffer.alloc(0)
    let queue = Promise.resolve()
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    upstream.on('data', (part: Buffer) => isKilled || client.write(part))
    client.on('data', (part: Buffer) => {
      const { commands, rest: unread } = commandsIn(Buffer.concat([rest, part]))
      rest = unread
      for (const command of commands) queue = queue.then(() => forward(upstream, command))
    })
  })

  async function forward(upstream: Socket, { name, bytes }: Command): Promise<void> {
    const fault = faultOf(name)
    if (fault?.kind === 'kill before') isKilled = true
    if (isKilled) return
    if (fault?.kind === 'stall') await new Promise((resolve) => setTimeout(resolve, fault.ms))
    upstream.write(fault?.kind === 'refuse' ? '*1\r\n$7\r\nREFUSED\r\n' : bytes)
    if (fault?.kind === 'kill after') isKilled = true
  }

  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')

  return {
    url: `redis://127.0.0.1:${address.port}`,
    /** Counts writes from 0 again, and lets the one at `place` fail. */
    plan(place: number, fault: Fault): void {
      seen.length = 0
      planned = { place, fault }
    },
    /** Returns the names of the write commands since `plan`. */
    writes: () => [...seen],
    close(): void {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

type Command = { name: string; bytes: Buffer }

/**
 * Splits what a client sends into whole commands: arrays of bulk strings.
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 */
function commandsIn(bytes: Buffer): { commands: Command[]; rest: Buffer } {
  const commands: Command[] = []
  let start = 0
  for (;;) {
    const command = commandAt(bytes, start)
    if (command === undefined) return { commands, rest: bytes.subarray(start) }
    commands.push(command)
    start += command.bytes.length
  }
}

function commandAt(bytes: Buffer, start: number): Command | undefined {
  let at = start
  const readLine = () => {
    const end = bytes.indexOf('\r\n', at)
    if (end < 0) return undefined
    const line = bytes.toString('latin1', at + 1, end)
    at = end + 2
    return Number(line)
  }
  const count = readLine()
  if (count === undefined) return undefined
  let name = ''
  for (let item = 0; item < count; item += 1) {
    const length = readLine()
    if (length === undefined || at + length + 2 > bytes.length) return undefined
    if (item === 0) name = bytes.toString('latin1', at, at + length)
    at += length + 2
  }
  return { name, bytes: bytes.subarray(start, at) }
}

import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

async function listen(server: Server) {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address: AddressInfo | string | null = server.address()
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Forwards bytes in both directions, and closes each side when the other one ends or fails. */
function join(one: Socket, other: Socket): void {
  one.pipe(other).pipe(one)
  for (const [socket, peer] of [
    [one, other],
    [other, one],
  ] as const) {
    socket.on('error', () => peer.destroy())
    socket.on('close', () => peer.destroy())
  }
}

/** Opens a TLS server in front of a plain one on loopback. */
export async function openTlsFront(tls: { cert: Buffer; key: Buffer }, portBehind: number) {
  return listen(createTlsServer(tls, (socket) => join(socket, connect(portBehind, '127.0.0.1'))))
}

/** Opens a proxy for HTTPS (RFC 9110, 9.3.6). `hosts` has the hosts that it knows, with their ports on loopback. */
export async function openProxy(hosts: Record<string, number>) {
  const requests: { target: string; authorization: string | undefined }[] = []
  /** If `answer` is set, it answers instead of the proxy, or does not answer. */
  const fault: { answer?: (socket: Socket) => void } = {}
  const server = createServer((_req, res) => res.writeHead(405).end())
  server.on('connect', ({ url: target = '', headers }: IncomingMessage, socket: Socket) => {
    requests.push({ target, authorization: headers['proxy-authorization'] })
    socket.on('error', () => socket.destroy())
    if (fault.answer) return fault.answer(socket)
    const port = hosts[target]
    if (port === undefined) return socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
    join(socket, connect(port, '127.0.0.1'))
  })
  return { requests, fault, ...(await listen(server)) }
}

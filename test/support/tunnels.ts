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

/** Passes bytes on in both directions; when one side ends or breaks, so does the other. */
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

/** A server that speaks TLS, in front of one on loopback that does not. */
export async function openTlsFront(tls: { cert: Buffer; key: Buffer }, portBehind: number) {
  return listen(createTlsServer(tls, (socket) => join(socket, connect(portBehind, '127.0.0.1'))))
}

/** A proxy for HTTPS (RFC 9110, 9.3.6). `hosts` are those it knows, with the ports on loopback where they are. */
export async function openProxy(hosts: Record<string, number>) {
  const requests: { target: string; authorization: string | undefined }[] = []
  /** Answers instead, or not at all. */
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

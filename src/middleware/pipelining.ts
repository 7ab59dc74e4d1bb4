import type { Socket } from 'node:net'
import type { RequestHandler } from 'express'

/** Limit of requests on one connection that are not answered yet. Clients that use pipelining send 10 to 20 at once. */
const maxOpenPerConnection = 32

/**
 * Destroys a connection with too many pipelined requests (RFC 9112, 9.3.2). Node parses 64 KB at once, which may
 * contain thousands of requests. They are answered in order, and take memory until then.
 */
export function limitPipelining(): RequestHandler {
  const openRequests = new WeakMap<Socket, number>()
  return ({ socket }, res, next) => {
    const open = (openRequests.get(socket) ?? 0) + 1
    if (open > maxOpenPerConnection) return void socket.destroy()
    openRequests.set(socket, open)
    res.once('close', () => openRequests.set(socket, (openRequests.get(socket) ?? 1) - 1))
    next()
  }
}

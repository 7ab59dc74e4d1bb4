import type { Socket } from 'node:net'
import type { RequestHandler } from 'express'

/** Requests of one connection without a whole answer yet; no client that waits for its answers has so many. */
const maxOpenPerConnection = 32

/**
 * Destroys a connection that pipelines far more requests (RFC 9112, 9.3.2) than it waits to have answered. Node parses up to
 * 64 KB of a connection at once, thousands of requests, and each takes memory until all before it are answered.
 */
export function limitPipelining(): RequestHandler {
  const openRequests = new WeakMap<Socket, number>()
  return ({ socket }, res, next) => {
    // What Node had read with the request that was one too many.
    if (socket.destroyed) return
    const open = (openRequests.get(socket) ?? 0) + 1
    if (open > maxOpenPerConnection) return void socket.destroy()
    openRequests.set(socket, open)
    res.once('close', () => openRequests.set(socket, (openRequests.get(socket) ?? 1) - 1))
    next()
  }
}

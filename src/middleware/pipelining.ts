import type { Duplex } from 'node:stream'
import type { RequestHandler, Response } from 'express'

/** Limit of requests on one connection that are not answered yet. Clients that use pipelining send 10 to 20 at once. */
const maxOpenPerConnection = 32

/** The responses of each connection that are not sent yet. */
const openResponses = new WeakMap<Duplex, Set<Response>>()

/**
 * Destroys a connection with too many pipelined requests (RFC 9112, 9.3.2). Node parses 64 KB at once, which may
 * contain thousands of requests. They are answered in order, and take memory until then.
 */
export function limitPipelining(): RequestHandler {
  return ({ socket }, res, next) => {
    const open = openResponses.get(socket) ?? new Set()
    if (open.size >= maxOpenPerConnection) return void socket.destroy()
    openResponses.set(socket, open.add(res))
    res.once('close', () => open.delete(res))
    next()
  }
}

/** The last response on a connection that is not sent yet, to a request that arrived complete; undefined if none. */
export const lastOpenResponse = (socket: Duplex): Response | undefined =>
  [...(openResponses.get(socket) ?? [])].findLast(({ req }) => req.complete)

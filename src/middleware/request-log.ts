import { randomUUID } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import type { Logger } from 'pino'

declare module 'node:http' {
  interface IncomingMessage {
    /** Names the request in the log and, shortened, on an error page. */
    id: string
  }
  interface ServerResponse {
    /** The failure that this answer tells of, for the log. */
    err?: unknown
  }
}

/** Asked every few seconds by whoever looks after the machine. */
const isHealth = /^\/(healthz|readyz)$/

/**
 * One JSON line for each request, when its answer is out or its client gone. The address goes without its query: a
 * callback's holds code and state. `isOurs` tells the failures that are for us to mend.
 */
export function requestLog(log: Logger, isOurs: (error: unknown) => boolean): RequestHandler {
  return (req, res, next) => {
    req.id = randomUUID()
    const since = performance.now()
    res.once('close', () => {
      const level = levelOf(req, res, isOurs)
      if (!log.isLevelEnabled(level)) return
      const { id, method, originalUrl } = req
      const line = {
        req: { id, method, path: originalUrl.split('?', 1)[0] },
        res: { statusCode: res.statusCode },
        responseTime: Math.round(performance.now() - since),
      }
      if (res.err === undefined) log[level](line, 'request completed')
      else log[level]({ ...line, err: res.err }, 'request errored')
    })
    next()
  }
}

function levelOf({ originalUrl }: Request, { err, statusCode }: Response, isOurs: (error: unknown) => boolean) {
  if (isHealth.test(originalUrl)) return 'debug'
  if (err !== undefined && isOurs(err)) return 'error'
  return statusCode >= 500 ? 'warn' : 'info'
}

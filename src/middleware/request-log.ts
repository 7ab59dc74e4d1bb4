import { randomUUID } from 'node:crypto'
import type { RequestHandler, Response } from 'express'
import type { Logger } from 'pino'

declare module 'node:http' {
  interface IncomingMessage {
    /** Identifies the request in the log and, shortened, on an error page. */
    id: string
  }
  interface ServerResponse {
    /** The error behind this response, for the log and the metrics. */
    err?: unknown
    /** The log level of this request. If it is not set, it depends on the response. */
    logLevel?: 'debug'
  }
}

/**
 * Logs each request as one JSON line when its response has been sent or the client has disconnected. The query is left
 * out, because the query of a callback contains code and state. The level is error if `isOurFault` accepts the
 * request's error, because an operator must then act.
 */
export function requestLog(log: Logger, isOurFault: (error: unknown) => boolean): RequestHandler {
  return (req, res, next) => {
    req.id = randomUUID()
    const since = performance.now()
    res.once('close', () => {
      const level = levelOf(res, isOurFault)
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

function levelOf({ logLevel, err, statusCode }: Response, isOurFault: (error: unknown) => boolean) {
  if (logLevel !== undefined) return logLevel
  if (err !== undefined && isOurFault(err)) return 'error'
  return statusCode >= 500 ? 'warn' : 'info'
}

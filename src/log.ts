import { Failure } from './errors.ts'

/**
 * Serializers for pino. Messages of `Failure` contain no secrets. The `cause` of a `Failure` may be a library's error,
 * whose message may quote a malformed response that contains tokens, so only the type and code of that error are
 * logged.
 */
export const logSerializers = {
  err: (error: unknown) => describe(error),
}

type ErrorInLog = { type: string; message?: string; code?: string; stack?: string; cause?: ErrorInLog }

function describe(error: unknown, isCause = false): ErrorInLog {
  // The Redis client reports some errors of sentinels as text.
  if (typeof error === 'string' && !isCause) return { type: 'string', message: error }
  if (!(error instanceof Error)) return { type: typeof error }
  const { stack } = error
  const isOwn = error instanceof Failure
  const described: ErrorInLog = { type: error.name }
  if (isOwn || !isCause) described.message = error.message
  if ('code' in error && typeof error.code === 'string') described.code = error.code
  if (!isOwn && !isCause && stack) described.stack = stack
  if (error.cause !== undefined) described.cause = describe(error.cause, true)
  return described
}

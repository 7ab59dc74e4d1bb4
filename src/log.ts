import { Failure } from './errors.ts'

/**
 * Serializers for pino. A library's error that is the `cause` of ours may quote a response that could not be parsed,
 * tokens included, so of such a cause only type and code are logged. Messages of `Failure` contain no secrets.
 */
export const logSerializers = {
  err: (error: unknown) => describe(error),
}

type ErrorInLog = { type: string; message?: string; code?: string; stack?: string; cause?: ErrorInLog }

function describe(error: unknown, isCause = false): ErrorInLog {
  // The client of sentinels reports some of its errors as text.
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

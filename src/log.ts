import { Failure } from './errors.ts'

/**
 * Serializers for pino. The message of a library's error may quote what it could not parse, tokens included, so of a cause
 * only the type is logged. Messages of our own errors hold no secrets.
 */
export const logSerializers = {
  err: (error: unknown) => describe(error),
}

type ErrorInLog = { type: string; message?: string; code?: string; stack?: string; cause?: ErrorInLog }

function describe(error: unknown, isCause = false): ErrorInLog {
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

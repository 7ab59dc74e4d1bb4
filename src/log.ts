import { Failure } from './errors.ts'

/**
 * How failures are logged. A cause from a library may quote what it could not read, tokens too, so of causes only the
 * kind is told; our own messages hold no secrets.
 */
export const logSerializers = {
  err: (error: unknown) => describe(error),
}

type Described = { type: string; message?: string; code?: string; stack?: string; cause?: Described }

function describe(error: unknown, isCause = false): Described {
  if (!(error instanceof Error)) return { type: typeof error }
  const { stack } = error
  const own = error instanceof Failure
  const described: Described = { type: error.name }
  if (own || !isCause) described.message = error.message
  if ('code' in error && typeof error.code === 'string') described.code = error.code
  if (!own && !isCause && stack) described.stack = stack
  if (error.cause !== undefined) described.cause = describe(error.cause, true)
  return described
}

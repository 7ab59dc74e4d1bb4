import { ErrorReply } from 'redis'

/** Why Redis answers a command with an error, for /readyz and the log. */
export type Refusal =
  | 'read-only'
  | 'full'
  | 'not permitted'
  | 'cannot save'
  | 'replicas missing'
  | 'loading'
  | 'refuses commands'

// Scripts: Redis 6 puts the error code in the middle of the message, and for missing permissions Redis 7 has no code.
// https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
const refusals: [RegExp, Refusal][] = [
  [/\b(READONLY|MASTERDOWN)\b/, 'read-only'],
  [/\bOOM\b/, 'full'],
  [/\b(NOPERM|NOAUTH|WRONGPASS)\b|^ERR (The user executing the script|ACL failure)/, 'not permitted'],
  [/\bMISCONF\b/, 'cannot save'],
  [/\bNOREPLICAS\b/, 'replicas missing'],
  [/\bLOADING\b/, 'loading'],
]

/** Undefined if the error is not an answer of Redis. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof ErrorReply)) return undefined
  return refusals.find(([message]) => message.test(error.message))?.[1] ?? 'refuses commands'
}

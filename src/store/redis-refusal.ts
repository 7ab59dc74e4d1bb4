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

// The patterns match anywhere because an error in a script has its code in the middle of the message in Redis 6, and no
// code for missing permissions in Redis 7. https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
const refusals: [RegExp, Refusal][] = [
  [/\b(READONLY|MASTERDOWN)\b/, 'read-only'],
  [/\bOOM\b/, 'full'],
  [/\b(NOPERM|NOAUTH|WRONGPASS)\b|^ERR (The user executing the script|ACL failure)/, 'not permitted'],
  [/\bMISCONF\b/, 'cannot save'],
  [/\bNOREPLICAS\b/, 'replicas missing'],
  [/\bLOADING\b/, 'loading'],
]

/** Why Redis refused the command of this error; undefined if the error is not an answer of Redis. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof ErrorReply)) return undefined
  return refusals.find(([message]) => message.test(error.message))?.[1] ?? 'refuses commands'
}

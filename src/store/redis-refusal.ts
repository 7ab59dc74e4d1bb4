import { ErrorReply } from 'redis'

/** Why Redis refuses a command, in the words of /readyz and the log. */
export type Refusal =
  | 'read-only'
  | 'full'
  | 'not permitted'
  | 'cannot save'
  | 'replicas missing'
  | 'loading'
  | 'refuses commands'

// The patterns match anywhere in a message: in Redis 6 an error in a script has its code in the middle, and in Redis 7
// an error because of a missing permission has no code.
// https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
const refusals: [RegExp, Refusal][] = [
  [/\b(READONLY|MASTERDOWN)\b/, 'read-only'],
  [/\bOOM\b/, 'full'],
  [/\b(NOPERM|NOAUTH|WRONGPASS)\b|^ERR (The user executing the script|ACL failure)/, 'not permitted'],
  [/\bMISCONF\b/, 'cannot save'],
  [/\bNOREPLICAS\b/, 'replicas missing'],
  [/\bLOADING\b/, 'loading'],
]

/** Why Redis refused a command; undefined if the error is not a reply of Redis. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof ErrorReply)) return undefined
  return refusals.find(([message]) => message.test(error.message))?.[1] ?? 'refuses commands'
}

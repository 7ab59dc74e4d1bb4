// Everything that can go wrong, by name. What a visitor reads about each is in words.ts; pages/error-page.ts chooses.

import type { IncomingHttpHeaders } from 'node:http'

/** The base of all failures that we expect; the original stays in `cause` for the log and is never shown. */
export class Failure extends Error {
  override get name(): string {
    return this.constructor.name
  }
}

// On the way in
export class NotFound extends Failure {}
export class CrossSite extends Failure {}
export class NotAForm extends Failure {}
export class TooLarge extends Failure {}
export class BadValues extends Failure {}
export class WrongMethod extends Failure {}
export class TooManyVisits extends Failure {
  readonly retryAfterS: number
  constructor(message: string, retryAfterS: number) {
    super(message)
    this.retryAfterS = retryAfterS
  }
}

// Signing in
export class BadCallback extends Failure {}
export class UnknownState extends Failure {}
/** Discord came back with an error other than the visitor's "no". */
export class SignInFailed extends Failure {}
/** Discord refused the authorization code or refresh token (`invalid_grant`, `invalid_request`). */
export class GrantRefused extends Failure {}
/** Discord refused an access token (401). */
export class TokenRefused extends Failure {}
/** Discord refused us, not the visitor: wrong credentials, or a fresh token that it does not take. */
export class DiscordRefusedUs extends Failure {}
export class DiscordAway extends Failure {}
export class DiscordSilent extends Failure {}
/** Discord was not asked at all: others have just waited for it in vain. */
export class DiscordSpared extends DiscordSilent {}
/** Discord asked us to wait (429), now or a while ago. */
export class DiscordBusy extends Failure {
  readonly retryAfterS: number
  constructor(message: string, retryAfterS: number, options?: ErrorOptions) {
    super(message, options)
    this.retryAfterS = retryAfterS
  }
}

/** Discord was not asked at all: it asked us to wait a while ago. */
export class DiscordGateShut extends DiscordBusy {}

/** The visitor has no session with a Discord user in it, or it has ended. */
export class NotSignedIn extends Failure {}

// What we keep
export class StoreAway extends Failure {}

// The avatar
/** As many pictures are being drawn, and wait to be, as we take on. */
export class TooBusy extends Failure {}
export class DiceBearAway extends Failure {}
export class UnsafeSvg extends Failure {}

// An outside call, before its caller gives it the caller's name
/** No connection, a broken or oversized answer, a 5xx, an unexpected redirect. */
export class UpstreamAway extends Failure {}
/** A 429. */
export class UpstreamBusy extends Failure {
  readonly answer: { headers: IncomingHttpHeaders; body: Buffer }
  /** What its header names, where it does. */
  readonly retryAfterS: number | undefined
  constructor(
    message: string,
    answer: { headers: IncomingHttpHeaders; body: Buffer },
    retryAfterS: number | undefined,
  ) {
    super(message)
    this.answer = answer
    this.retryAfterS = retryAfterS
  }
}
/** No whole answer within the time limit. */
export class UpstreamSilent extends Failure {}
/** No whole answer in what was left of the visitor's patience, which others had used up. */
export class UpstreamCutShort extends UpstreamSilent {}
/** Not asked, because the calls before went wrong. */
export class UpstreamSpared extends Failure {}

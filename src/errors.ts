// The expected errors, one class each. pages/error-page.ts maps each class to a status and a text of words.ts.

import type { IncomingHttpHeaders } from 'node:http'

/** The base of all failures that we expect; the original stays in `cause` for the log and is never shown. */
export class Failure extends Error {
  override get name(): string {
    return this.constructor.name
  }
}

// Requests that are refused
export class NotFound extends Failure {}
export class CrossSiteRequest extends Failure {}
export class UnsupportedMediaType extends Failure {}
export class InvalidValues extends Failure {}
export class MethodNotAllowed extends Failure {}
/** A client sent more requests than our own rate limit allows. */
export class RateLimited extends Failure {
  readonly retryAfterS: number
  constructor(message: string, retryAfterS: number) {
    super(message)
    this.retryAfterS = retryAfterS
  }
}

// Signing in
/** More visitors are away at Discord than may be stored. */
export class TooManySignIns extends Failure {
  readonly retryAfterS: number
  constructor(message: string, retryAfterS: number) {
    super(message)
    this.retryAfterS = retryAfterS
  }
}
export class InvalidCallback extends Failure {}
export class UnknownState extends Failure {}
/** Discord's redirect carried an error other than access_denied. */
export class SignInFailed extends Failure {}
/** Discord refused the authorization code or refresh token (`invalid_grant`, `invalid_request`). */
export class GrantRefused extends Failure {}
/** Discord refused an access token (401). */
export class TokenRefused extends Failure {}
/** Discord refused this app, not the visitor: wrong client credentials, or a fresh token that it does not accept. */
export class DiscordRefusedClient extends Failure {}
/** No connection to Discord, a 5xx, or an answer that is incomplete, too large or malformed. */
export class DiscordUnavailable extends Failure {}
/** No complete answer from Discord within the time limit. */
export class DiscordTimeout extends Failure {}
/** No request was made: the circuit breaker is open after timeouts at Discord. */
export class DiscordCircuitOpen extends DiscordTimeout {}
/** Discord answered 429. */
export class DiscordRateLimited extends Failure {
  readonly retryAfterS: number
  constructor(message: string, retryAfterS: number, options?: ErrorOptions) {
    super(message, options)
    this.retryAfterS = retryAfterS
  }
}
/** No request was made: still within the Retry-After of an earlier 429, or after too many invalid requests. */
export class DiscordRateLimitActive extends DiscordRateLimited {}

/** The session holds no Discord user, or it has ended. */
export class NotSignedIn extends Failure {}

// Storage
/** Redis is down, does not answer in time, or refuses a command. */
export class StoreUnavailable extends Failure {}
/** A lock expired while its owner was stopped, so nothing was written. */
export class LockLost extends StoreUnavailable {}

// Avatars
/** Too much work is under way or queued, or one piece of it took too long. */
export class Overloaded extends Failure {}
/** This installation cannot render pictures: a native part is missing, for example. */
export class PicturesUnavailable extends Failure {}
/**
 * No SVG from DiceBear: no connection, circuit breaker open, an error status, a timeout, or another type of content.
 */
export class DiceBearUnavailable extends Failure {}
/** DiceBear refused the request (a 4xx, not 429): this app sent something wrong, or to the wrong address. */
export class DiceBearRefused extends Failure {}
/** An SVG that holds more than a drawing. */
export class UnsafeSvg extends Failure {}

// Requests to upstream servers, in general: the clients of Discord and DiceBear turn these into their own failures.
/** No connection, an incomplete or oversized answer, a 5xx, or a redirect. */
export class UpstreamUnavailable extends Failure {}
/** The upstream answered 429. */
export class UpstreamRateLimited extends Failure {
  readonly response: { headers: IncomingHttpHeaders; body: Buffer }
  /** From the header `Retry-After`; undefined without one. */
  readonly retryAfterS: number | undefined
  constructor(
    message: string,
    response: { headers: IncomingHttpHeaders; body: Buffer },
    retryAfterS: number | undefined,
  ) {
    super(message)
    this.response = response
    this.retryAfterS = retryAfterS
  }
}
/** No complete answer within the time limit of one request. */
export class UpstreamTimeout extends Failure {}
/** No complete answer before the deadline of the visitor's whole request, which earlier steps have used up in part. */
export class DeadlineExceeded extends UpstreamTimeout {}
/** No request was made: the circuit breaker is open after earlier failures. */
export class CircuitOpen extends Failure {}

// The expected errors, each with its own class. pages/error-page.ts has the status and text of each error page.

import type { IncomingHttpHeaders } from 'node:http'

/** The base class of all expected errors. The original error is the `cause`, which is logged and never shown. */
export class Failure extends Error {
  override get name(): string {
    return this.constructor.name
  }
}

/** A failure after which the client may try again, `retryAfterS` seconds later. */
class TemporaryFailure extends Failure {
  readonly retryAfterS: number
  constructor(message: string, retryAfterS: number) {
    super(message)
    this.retryAfterS = retryAfterS
  }
}

// Requests that are refused
export class NotFound extends Failure {}
export class CrossSiteRequest extends Failure {}
export class UnsupportedMediaType extends Failure {}
export class InvalidValues extends Failure {}
export class MethodNotAllowed extends Failure {}
/** A client sent more requests than our own rate limit allows. */
export class RateLimited extends TemporaryFailure {}

// Signing in
/** So many sign-ins have started in this minute that their records might fill Redis. */
export class TooManySignIns extends TemporaryFailure {}
export class InvalidCallback extends Failure {}
export class UnknownState extends Failure {}
/** Discord's redirect carried an error other than access_denied. */
export class SignInFailed extends Failure {}
/** Discord refused the authorization code or refresh token (`invalid_grant`, `invalid_request`). */
export class GrantRefused extends Failure {}
/** Discord refused an access token (401). */
export class TokenRefused extends Failure {}
/** Discord refused this app, not the visitor: the client credentials, or a token that Discord has just issued. */
export class DiscordRefusedClient extends Failure {}
/** No connection to Discord, a 5xx, or a response that is incomplete, too large or malformed. */
export class DiscordUnavailable extends Failure {}
/** No complete response from Discord within the time limit. */
export class DiscordTimeout extends Failure {}
/** No request was made, because the circuit breaker is open after timeouts of Discord. */
export class DiscordCircuitOpen extends DiscordTimeout {}
/** Discord answered 429. */
export class DiscordRateLimited extends TemporaryFailure {}
/** No request was made, because the Retry-After of an earlier 429 has not passed, or too many requests were invalid. */
export class DiscordRateLimitActive extends DiscordRateLimited {}

/** The session has no signed-in user, or it has ended. */
export class NotSignedIn extends Failure {}

// Storage
/** Redis is down, does not answer in time, or refuses a command. */
export class StoreUnavailable extends Failure {}
/** A lock expired while its owner was stopped. The owner has then written nothing. */
export class LockLost extends StoreUnavailable {}

// Avatars
/** Too many tasks are running or queued, or one of them took too long. */
export class Overloaded extends Failure {}
/** This installation cannot render pictures, for example because a native library is missing. */
export class PicturesUnavailable extends Failure {}
/** DiceBear sent no SVG: no connection, an open circuit breaker, an error status, a timeout, or other content. */
export class DiceBearUnavailable extends Failure {}
/** DiceBear refused the request (a 4xx other than 429). That is a fault of this app. */
export class DiceBearRefused extends Failure {}
/** An SVG from outside failed the checks of avatar/safe-svg.ts. */
export class UnsafeSvg extends Failure {}

// Errors of all upstream requests. The clients of Discord and DiceBear turn them into their own errors.
/** No connection, an incomplete or oversized response, a 5xx, or a redirect. */
export class UpstreamUnavailable extends Failure {}
/** The upstream answered 429. */
export class UpstreamRateLimited extends Failure {
  readonly response: { headers: IncomingHttpHeaders; body: Buffer }
  /** From the header `Retry-After`; undefined if there is none. */
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
/** No complete response within the time limit of one request. */
export class UpstreamTimeout extends Failure {}
/** No complete response before the deadline that the requests of one visit share. */
export class DeadlineExceeded extends UpstreamTimeout {}
/** No request was made, because the circuit breaker is open after earlier failures. */
export class CircuitOpen extends Failure {}

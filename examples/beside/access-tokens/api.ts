/**
 * An API for users with an access token. The token says who they are, and the session holds what they do.
 */
import { Context, Schema } from "effect"
import { type Session, SessionKey, SessionMiddleware } from "effect-session"
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity
} from "effect/http-api"

// -----------------------------------------------------------------------------
// theirs: who it is
// -----------------------------------------------------------------------------

/** The claims of a token, by their OpenID Connect names. */
export const Claims = Schema.Struct({
  sub: Schema.String,
  name: Schema.String,
  /** The login that the token comes from: the same in all of its tokens, and different after the next login. */
  sid: Schema.String,
  /** When the user logged in, in seconds. */
  auth_time: Schema.Int
})

export class AccessToken extends Context.Service<AccessToken, typeof Claims.Type>()("AccessToken") {}

export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}, { httpApiStatus: 401 }) {}

/** It does not depend on sessions, and could be the middleware of a library. */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: AccessToken }>()(
  "Authorization",
  { security: { bearer: HttpApiSecurity.bearer }, error: Unauthorized }
) {}

// -----------------------------------------------------------------------------
// ours: what they do
// -----------------------------------------------------------------------------

export const Draft = SessionKey.make("draft", Schema.String)

export class CurrentUser extends Context.Service<CurrentUser, { readonly id: string; readonly name: string }>()(
  "CurrentUser"
) {}

/** The session agrees with the token from here on. */
export class LoggedIn extends HttpApiMiddleware.Service<LoggedIn, {
  requires: Session.Session | AccessToken
  provides: CurrentUser
}>()("LoggedIn") {}

const Letters = HttpApiGroup.make("letters").add(
  HttpApiEndpoint.get("read", "/letter", {
    success: Schema.Struct({ user: Schema.String, draft: Schema.Option(Schema.String) })
  }),
  HttpApiEndpoint.put("write", "/letter", {
    payload: Schema.Struct({ draft: Schema.String }),
    success: HttpApiSchema.NoContent
  }),
  HttpApiEndpoint.post("logout", "/logout", { success: HttpApiSchema.NoContent })
)
  .middleware(LoggedIn)
  .middleware(Authorization)

export const Api = HttpApi.make("letters").add(Letters).middleware(SessionMiddleware.Api)

/**
 * The server of the API.
 */
import { Effect, Layer, Option, Redacted, Schema } from "effect"
import { Session, SessionGuard, SessionMiddleware } from "effect-session"
import { HttpApiBuilder } from "effect/http-api"
import { createRemoteJWKSet, errors, jwtVerify } from "jose"
import { agree } from "../agreement.ts"
import { AccessToken, Api, Authorization, Claims, CurrentUser, Draft, LoggedIn, Unauthorized } from "./api.ts"

export interface Options {
  readonly issuer: string
  readonly audience: string
  /** Where the issuer's public keys are. */
  readonly keys: URL
}

// -----------------------------------------------------------------------------
// theirs: who it is
// -----------------------------------------------------------------------------

const layerAuthorization = ({ audience, issuer, keys }: Options) => {
  const keySet = createRemoteJWKSet(keys)
  const verify = (token: string) =>
    Effect.tryPromise({ try: () => jwtVerify(token, keySet, { issuer, audience }), catch: (error) => error }).pipe(
      Effect.catchIf((error) => !isOfToken(error), Effect.die),
      Effect.flatMap(({ payload }) => Schema.decodeUnknownEffect(Claims)(payload)),
      Effect.mapError(() => new Unauthorized())
    )
  return Layer.succeed(Authorization, {
    bearer: (handler, { credential }) =>
      Effect.flatMap(
        verify(Redacted.value(credential)),
        (claims) => Effect.provideService(handler, AccessToken, claims)
      )
  })
}

/** An unreachable issuer is a server error, and no reason to log anyone out. */
const isOfToken = (error: unknown) =>
  error instanceof errors.JOSEError && !["ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT"].includes(error.code)

// -----------------------------------------------------------------------------
// ours: what they do
// -----------------------------------------------------------------------------

const user = Effect.gen(function*() {
  const { auth_time, name, sid, sub } = yield* AccessToken
  const user = { id: sub, name }
  yield* agree(Option.some({ id: sid, createdAt: new Date(auth_time * 1000), user }))
  return user
})

const Handlers = HttpApiBuilder.group(Api, "letters", (handlers) =>
  handlers.handleAll({
    read: () => Effect.all({ user: Effect.map(CurrentUser, ({ name }) => name), draft: Session.get(Draft) }),
    write: ({ payload }) => Session.put(Draft, payload.draft),
    logout: () => Session.logout
  }))

export const layer = (options: Options) =>
  HttpApiBuilder.layer(Api).pipe(
    Layer.provide(Handlers),
    Layer.provide(SessionGuard.layerApi(LoggedIn, CurrentUser, user)),
    Layer.provide(layerAuthorization(options)),
    Layer.provide(SessionMiddleware.layerApi)
  )

/**
 * Sessions outside the handling of an HTTP request, such as in a WebSocket or a background job.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Cookie from "./internal/http/cookie.ts"
import * as Environment from "./internal/request/environment.ts"
import { type Client, type Presented, RequestSession } from "./internal/request/requestSession.ts"
import type { Session } from "./Session.ts"
import { GenerateId, SessionConfig } from "./SessionConfig.ts"
import type { SessionStoreError } from "./SessionError.ts"
import { SessionStore } from "./SessionStore.ts"

/**
 * Opens the session of a token, or of the Cookie header of a request, and loads it. What is no valid session is an empty
 * one.
 *
 * **Details**
 *
 * With `readonly`, a change is a `SessionReadonlyError` and nothing is ever written, not even that the session was used:
 * for connections that live longer than a request. Without it, changes are written by `Session.commit` only.
 *
 * **Example** (In a WebSocket)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { HttpServerRequest } from "effect/http"
 * import { Session, Sessions } from "effect-session"
 *
 * const program = Effect.gen(function*() {
 *   const request = yield* HttpServerRequest.HttpServerRequest
 *   const session = yield* Sessions.open({ cookies: request.headers.cookie }, { readonly: true })
 *   return yield* Session.all.pipe(Effect.provideService(Session.Session, session))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = Effect.fnUntraced(function*(
  presented: { readonly token: Redacted.Redacted<string> } | { readonly cookies: string | undefined },
  options?: { readonly readonly?: boolean }
): Effect.fn.Return<Session, SessionStoreError, SessionStore | SessionConfig> {
  const settings = yield* SessionConfig
  const environment = Environment.make(settings, yield* SessionStore, yield* GenerateId)
  const present = (): Presented =>
    "token" in presented
      ? { _tag: "Token", token: Redacted.value(presented.token) }
      : Cookie.make(settings.cookie).read(presented.cookies)
  const session = new RequestSession(environment, { ...client, present }, options)
  yield* session.ready
  return session
})

const client: Omit<Client, "present"> = { input: Effect.succeed({}), messages: "leave", takesCookie: true }

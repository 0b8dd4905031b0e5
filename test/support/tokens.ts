/**
 * An application that keeps the tokens of an OAuth server in the session, and refreshes them when it is time.
 */
import { Effect, Layer, Option, Schema } from "effect"
import { Session, SessionKey } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"

export const Tokens = SessionKey.make("tokens", Schema.Struct({ refresh: Schema.String, isFresh: Schema.Boolean }))

export class RefreshRefused extends Schema.TaggedError<RefreshRefused>()("RefreshRefused", { status: Schema.Int }) {}

/** Asks the OAuth server at this URL. */
export const refresh = (url: string) => (token: string) =>
  Effect.flatMap(
    Effect.promise(async (signal) => {
      const response = await fetch(`${url}/${token}`, { method: "POST", signal })
      return { status: response.status, text: await response.text() }
    }),
    ({ status, text }) =>
      status === 200 ? Effect.succeed({ refresh: text, isFresh: true }) : Effect.fail(new RefreshRefused({ status }))
  )

type Refresh = (token: string) => Effect.Effect<SessionKey.Type<typeof Tokens>, RefreshRefused>

export const renewing = (
  refresh: Refresh,
  { lease = "20 seconds", onDue = () => {} }: {
    readonly lease?: Session.Renewal<unknown>["lease"]
    readonly onDue?: () => void
  } = {}
) =>
  Session.renew(Tokens, {
    when: ({ isFresh }) => {
      if (!isFresh) onDue()
      return !isFresh
    },
    renew: (tokens) => refresh(tokens.refresh),
    lease
  })

/** The first tokens come by POST /tokens/:refresh. GET /tokens answers with those that are in use, or with the tag of an error. */
export const tokenRoutes = (tokens: ReturnType<typeof renewing>) =>
  Layer.mergeAll(
    HttpRouter.add(
      "POST",
      "/tokens/:refresh",
      Effect.flatMap(HttpRouter.params, ({ refresh }) =>
        Effect.as(Session.put(Tokens, { refresh: refresh!, isFresh: false }), HttpServerResponse.empty()))
    ),
    HttpRouter.add(
      "GET",
      "/tokens",
      Effect.match(tokens, {
        onFailure: (error) =>
          HttpServerResponse.text("reason" in error ? `${error._tag} ${error.reason}` : error._tag, { status: 502 }),
        onSuccess: (tokens) =>
          HttpServerResponse.text(Option.isSome(tokens) ? tokens.value.refresh : "none")
      })
    )
  )

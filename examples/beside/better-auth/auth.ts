/**
 * better-auth as a service, which reports to our sessions when one of its own has ended.
 */
import { betterAuth, type BetterAuthPlugin } from "better-auth"
import { applySetCookies } from "better-auth/cookies"
import { getMigrations } from "better-auth/db/migration"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import type { SessionOwners } from "effect-session"
import { Cookies, HttpEffect, HttpServerRequest } from "effect/http"
import type { HttpServerError, HttpServerResponse } from "effect/http"
import { AsyncLocalStorage } from "node:async_hooks"
import type { DatabaseSync } from "node:sqlite"
import { endSessionsBeside, type Login } from "../agreement.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/** The user of a request, and the cookies that better-auth wants to set while looking it up. */
export interface Found {
  readonly login: Option.Option<Login>
  readonly cookies: Cookies.Cookies
}

export interface Options {
  readonly database: DatabaseSync
  readonly baseURL: string
  readonly secret: Redacted.Redacted<string>
  /** Other ways to log in, and further options of better-auth. */
  readonly plugins?: Array<BetterAuthPlugin>
}

// -----------------------------------------------------------------------------
// service
// -----------------------------------------------------------------------------

export class Auth extends Context.Service<Auth, {
  /** All routes of better-auth under /api/auth: sign-up, sign-in, sign-out, OAuth, and those of its plugins. */
  readonly handler: Effect.Effect<
    HttpServerResponse.HttpServerResponse,
    HttpServerError.HttpServerError,
    HttpServerRequest.HttpServerRequest
  >
  /** Who the request comes from; or who its client is from now on, if it has got these cookies. */
  readonly find: (received?: Cookies.Cookies) => Effect.Effect<Found, never, HttpServerRequest.HttpServerRequest>
}>()("Auth") {}

export const layer = (
  { baseURL, database, plugins = [], secret }: Options
): Layer.Layer<Auth, never, SessionOwners.SessionIndex> =>
  Layer.effect(
    Auth,
    Effect.gen(function*() {
      const server = yield* Effect.context<SessionOwners.SessionIndex>()
      // better-auth's hooks are plain functions, so this is how they find their request.
      const request = new AsyncLocalStorage<Context.Context<never>>()

      const auth = betterAuth({
        baseURL,
        database,
        secret: Redacted.value(secret),
        emailAndPassword: { enabled: true },
        plugins,
        databaseHooks: {
          session: {
            delete: {
              after: (ended) =>
                Effect.runPromiseWith(Context.merge(server, request.getStore() ?? Context.empty()))(
                  endSessionsBeside(ended)
                )
            }
          }
        }
      })
      const { runMigrations } = yield* Effect.promise(() => getMigrations(auth.options))
      yield* Effect.promise(runMigrations)

      const handler = Effect.contextWith((context: Context.Context<HttpServerRequest.HttpServerRequest>) =>
        HttpEffect.fromWebHandler((web) => request.run(context, () => auth.handler(web)))
      )

      const find = Effect.fnUntraced(function*(received = Cookies.empty) {
        const context = yield* Effect.context<HttpServerRequest.HttpServerRequest>()
        const headers = new Headers(Context.get(context, HttpServerRequest.HttpServerRequest).headers)
        applySetCookies(headers, Cookies.toSetCookieHeaders(received))
        const answer = yield* Effect.promise(() =>
          request.run(context, () => auth.api.getSession({ headers, returnHeaders: true }))
        )
        return {
          login: Option.map(Option.fromNullOr(answer.response), ({ session, user }) => ({ ...session, user })),
          cookies: Cookies.fromSetCookie(answer.headers.getSetCookie())
        }
      })

      return { handler, find }
    })
  )

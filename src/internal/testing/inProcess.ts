/**
 * A server without a port: requests go from the client to the application as values, in one process and with one clock.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpServer from "effect/http/HttpServer"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { Exchange } from "../http/exchange.ts"
import * as RequestScope from "../http/requestScope.ts"

type Handler = (request: Request, context: Context.Context<never>) => Promise<Response>

/** The server and its client. */
export const make = (
  base: URL
): { readonly server: HttpServer.HttpServer["Service"]; readonly client: HttpClient.HttpClient } => {
  let serving: Handler | undefined

  const server = HttpServer.make({
    address: Result.getOrThrow(NetAddress.inetAddressV4(NetAddress.ipv4Loopback, 443)),
    serve: (app, middleware) =>
      Effect.acquireRelease(
        Effect.contextWith((context: Context.Context<never>) =>
          Effect.sync(() => {
            serving = HttpEffect.toWebHandlerWith<never, HttpServerRequest | Scope.Scope>(context)(
              observed(app),
              middleware
            )
          })
        ),
        () => Effect.sync(() => void (serving = undefined))
      )
  })

  const client = HttpClient.make((request, url, signal) => {
    if (!isServed(base, url)) return failed(request, `Only ${base.origin} is served in process, not ${url.origin}`)
    if (serving === undefined) return Effect.die(new Error(nothingIsServed))
    const handler = serving
    return Effect.contextWith((context: Context.Context<never>) => {
      const sent = HttpClientRequest.toWebResult(HttpClientRequest.setHeader(request, "host", url.host), {
        signal,
        context
      })
      if (Result.isFailure(sent)) return failed(request, sent.failure.message)
      const seen: Array<Exchange> = []
      return Effect.map(
        Effect.promise(() => handler(sent.success, Context.make(Seen, seen))),
        (response) => {
          exchanges.set(response, seen)
          return HttpClientResponse.fromWeb(request, response)
        }
      )
    })
  })

  return { server, client: HttpClient.mapRequest(client, HttpClientRequest.updateUrl((url) => absolute(url, base))) }
}

/** An address as written in a page of this server. */
export const absolute = (url: string, base: URL): string => URL.canParse(url, base.href) ? new URL(url, base).href : url

/** The sessions that the application had for a response's request, if it was served in process. */
export const exchangesOf = (response: HttpClientResponse.HttpClientResponse): ReadonlyArray<Exchange> =>
  Option.match(HttpClientResponse.toWeb(response), {
    onNone: () => [],
    onSome: (response) => exchanges.get(response) ?? []
  })

const exchanges = new WeakMap<Response, ReadonlyArray<Exchange>>()

/** Records the application's sessions of a request. */
const Seen = Context.Reference<Array<Exchange>>("effect-session/SessionTest/Seen", { defaultValue: () => [] })

const observed = <E, R>(app: Effect.Effect<HttpServerResponse, E, R>): Effect.Effect<HttpServerResponse, E, R> =>
  Effect.onExit(app, () =>
    Effect.contextWith((context: Context.Context<never>) =>
      Effect.sync(() => {
        const scope = Context.getUnsafe(context as Context.Context<Scope.Scope>, Scope.Scope)
        Context.get(context, Seen).push(...RequestScope.exchangesOf(scope))
      })
    ))

const isServed = (base: URL, url: URL): boolean =>
  url.protocol === base.protocol && (url.host === base.host || url.host.endsWith(`.${base.host}`))

const failed = (request: HttpClientRequest.HttpClientRequest, description: string) =>
  Effect.fail(
    new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, description }) })
  )

const nothingIsServed =
  "SessionTest: there is no application yet. Provide SessionTest.layer() to HttpRouter.serve(routes), " +
  "in place of your server's NodeHttpServer.layer, and keep it for the test: App.pipe(Layer.provideMerge(SessionTest.layer()))"

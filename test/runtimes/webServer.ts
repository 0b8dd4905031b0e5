/**
 * `serve` of `test/support/server.ts` for runtimes that serve a function from a Request to a Response: through their own
 * server, or, on workerd, which opens no port itself, without one. In bundles it takes that module's place.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import { MemoryLayer, SessionConfig, type SessionError, SessionMiddleware } from "effect-session"
import { HttpEffect, HttpRouter, HttpServer, type HttpServerResponse } from "effect/http"
import { secret } from "../support/config.ts"
import { type Client, clientOf, type Options, type Routes, type Server, webServer } from "../support/server.ts"
import { assert } from "./runner.ts"

export { cookieNames, cookieOf } from "../support/server.ts"

type Handler = (request: Request) => Promise<Response>

/** Opens a port, and says which. */
export type Listen = (handler: Handler) => Effect.Effect<number, never, Scope.Scope>

declare const Bun: {
  readonly serve: (options: { readonly port: number; readonly hostname: string; readonly fetch: Handler }) => {
    readonly port: number
    readonly stop: (closeActiveConnections: boolean) => Promise<void>
  }
}

declare const Deno: {
  readonly serve: (
    options: { readonly port: number; readonly hostname: string; readonly onListen: () => void },
    handler: Handler
  ) => { readonly addr: { readonly port: number }; readonly shutdown: () => Promise<void> }
}

const hostname = "127.0.0.1"

const listenOnBun: Listen = (handler) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => Bun.serve({ port: 0, hostname, fetch: (request) => handler(request) })),
      (server) => Effect.promise(() => server.stop(true))
    ),
    ({ port }) => port
  )

const listenOnDeno: Listen = (handler) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => Deno.serve({ port: 0, hostname, onListen: () => {} }, (request) => handler(request))),
      (server) => Effect.promise(() => server.shutdown())
    ),
    ({ addr }) => addr.port
  )

/** What nobody asks of a server here. */
const lacking: Pick<Server, "aborted" | "browser" | "open"> = {
  aborted: Effect.die("no server here says it"),
  browser: () => assert.fail("no test here needs one"),
  open: () => Effect.die("no test here needs it")
}

/** Opens no port: the requests go to the function. */
const inProcess = (handler: Handler): Server => {
  const web = webServer(handler)
  const send: Client["send"] = (method, path, { cookie } = {}) =>
    // Not in the same step, as it is on a network.
    Effect.andThen(Effect.yieldNow, web.send(method, path, cookie === undefined ? {} : { cookie }))
  return {
    ...lacking,
    url: "http://localhost",
    send,
    get: (path, sent) => send("GET", path, sent),
    post: (path, sent) => send("POST", path, sent)
  }
}

const overHttp = (port: number): Server => {
  const url = `http://${hostname}:${port}`
  return { ...lacking, ...clientOf(url), url }
}

type App = Effect.Effect<
  Effect.Effect<HttpServerResponse.HttpServerResponse>,
  SessionError.SessionConfigError,
  Scope.Scope
>

export const serve = Effect.fnUntraced(function*(routes: Routes, options: Options = {}) {
  const services = yield* Layer.build(
    Layer.mergeAll(options.store ?? MemoryLayer.layer(), HttpServer.layerServices).pipe(
      Layer.provideMerge(SessionConfig.layer({ secret, ...options.config }))
    )
  )
  const app = yield* HttpRouter.toHttpEffect(
    Layer.provide(Layer.provide(routes, options.middleware ?? SessionMiddleware.layer), Layer.succeedContext(services))
  ) as App
  // With the clock of the test.
  const context = Context.merge(yield* Effect.context<never>(), services)
  const handler: Handler = HttpEffect.toWebHandlerWith(context)(app)
  if ("Bun" in globalThis) return overHttp(yield* listenOnBun(handler))
  if ("Deno" in globalThis) return overHttp(yield* listenOnDeno(handler))
  return inProcess(handler)
})

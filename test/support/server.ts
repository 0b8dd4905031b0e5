/**
 * A server with sessions on a port of its own, and clients that see what a browser hides: every Set-Cookie header, and
 * whether the connection broke. A server lives as long as the scope of its test.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { Deferred, Effect, Layer, Queue, type Scope } from "effect"
import {
  MemoryLayer,
  type Session,
  SessionConfig,
  type SessionError,
  SessionMiddleware,
  type SessionOwners,
  type SessionStore
} from "effect-session"
import { HttpRouter, HttpServer, type HttpServerError } from "effect/http"
import * as Http from "node:http"
import * as Https from "node:https"
import type { AddressInfo } from "node:net"
import { CookieJar } from "tough-cookie"
import type { Certificate } from "./certificate.ts"
import { secret } from "./config.ts"

export type StoreLayer = Layer.Layer<
  SessionStore.SessionStore,
  SessionError.SessionConfigError,
  SessionConfig.SessionConfig
>

/** One that knows the owners of its sessions. */
export type OwnerStoreLayer = Layer.Layer<
  SessionStore.SessionStore | SessionOwners.SessionOwners | SessionOwners.SessionIndex,
  SessionError.SessionConfigError,
  SessionConfig.SessionConfig
>

export interface Options {
  /** By default the MemoryLayer. */
  readonly store?: StoreLayer
  readonly config?: SessionConfig.Options
  /** By default the one of `SessionMiddleware.layer`, for every route. */
  readonly middleware?: typeof SessionMiddleware.layer
  /** Whether requests are logged, as they are by default in an application. */
  readonly logger?: boolean
  readonly node?: Http.ServerOptions
  /** The certificate of a server with TLS. Its clients are browsers: those of this file speak plain HTTP. */
  readonly tls?: Certificate
}

/** Whatever a router, the middleware and a store provide, if it knows the owners of its sessions. */
export type Provided =
  | HttpRouter.HttpRouter
  | HttpRouter.Request<"Requires", Session.Session>
  | HttpRouter.Request.From<"Requires", HttpServices>
  | HttpRouter.Request<"GlobalRequires", Session.Session>
  | HttpRouter.Request<"Error", unknown>
  | HttpRouter.Request<"GlobalError", unknown>
  | SessionStore.SessionStore
  | SessionOwners.SessionOwners
  | SessionOwners.SessionIndex
  | HttpRouter.Request<"Requires", SessionOwners.SessionOwners | SessionOwners.SessionIndex>
  | SessionConfig.SessionConfig
  | HttpServer.HttpServer
  | HttpServices

type HttpServices = Layer.Success<typeof NodeHttpServer.layerHttpServices>

export type Routes = Layer.Layer<never, SessionError.SessionConfigError, Provided>

// -----------------------------------------------------------------------------
// server
// -----------------------------------------------------------------------------

export interface Server extends Client {
  readonly url: string
  /** A client that keeps cookies by the rules, and takes the server for one behind a proxy with TLS. */
  readonly browser: () => Browser
  /** Waits for a client to be gone before its response was complete. */
  readonly aborted: Effect.Effect<void>
}

/** Serves routes, each with the session of its request. */
export const serve = (
  routes: Routes,
  options: Options = {}
): Effect.Effect<Server, SessionError.SessionConfigError | HttpServerError.ServeError, Scope.Scope> =>
  serveApp(Layer.provide(routes, options.middleware ?? SessionMiddleware.layer) as Routes, options)

/** Serves an application that has its own middleware. */
export const serveApp = (
  app: Routes,
  options: Options = {}
): Effect.Effect<Server, SessionError.SessionConfigError | HttpServerError.ServeError, Scope.Scope> =>
  serveLayer(
    HttpRouter.serve(app, { disableLogger: options.logger === false, disableListenLog: true }) as ServerLayer,
    options
  )

export type ServerLayer = Layer.Layer<
  never,
  SessionError.SessionConfigError,
  | SessionStore.SessionStore
  | SessionConfig.SessionConfig
  | HttpServer.HttpServer
  | HttpServices
>

/** Serves whatever a Layer serves. */
export const serveLayer = Effect.fnUntraced(function*(app: ServerLayer, options: Options = {}) {
  const aborts = yield* Queue.unbounded<void>()
  const node = options.tls === undefined
    ? Http.createServer(options.node ?? {})
    : Https.createServer({ ...options.node, ...options.tls })
  node.on("request", (_, response) => {
    response.on("close", () => {
      if (!response.writableEnded) Queue.offerUnsafe(aborts, undefined)
    })
  })
  yield* Layer.build(
    app.pipe(
      Layer.provide(options.store ?? MemoryLayer.layer()),
      Layer.provide(SessionConfig.layer({ secret, ...options.config })),
      Layer.provideMerge(NodeHttpServer.layer(() => node, { port: 0, host: "127.0.0.1" }))
    )
  )
  // Browsers open connections ahead of requests, and the server would wait for those.
  if (options.tls !== undefined) yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
  const url = `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${(node.address() as AddressInfo).port}`
  const server: Server = {
    ...makeClient(url, noCookies),
    url,
    browser: () => browserOf(url),
    aborted: Queue.take(aborts)
  }
  return server
})

// -----------------------------------------------------------------------------
// clients
// -----------------------------------------------------------------------------

export interface Sent {
  readonly headers?: Http.OutgoingHttpHeaders
  /** The Cookie header. */
  readonly cookie?: string | undefined
  readonly body?: string | Buffer | undefined
}

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  /** Every Set-Cookie header, as it came. */
  readonly setCookies: ReadonlyArray<string>
  readonly body: string
}

/** A response whose body has not been read. Closing the scope breaks the connection. */
export interface Opened extends Omit<Answer, "body"> {
  readonly text: Effect.Effect<string, Error>
  /** Waits for the next piece of the body. */
  readonly chunk: Effect.Effect<string, Error>
}

export interface Client {
  /** Sends a request and reads the response. Interruption breaks the connection. */
  readonly send: (method: string, path: string, sent?: Sent) => Effect.Effect<Answer, Error>
  readonly get: (path: string, sent?: Sent) => Effect.Effect<Answer, Error>
  readonly post: (path: string, sent?: Sent) => Effect.Effect<Answer, Error>
  /** Sends a request and waits for the headers of the response. */
  readonly open: (method: string, path: string, sent?: Sent) => Effect.Effect<Opened, Error, Scope.Scope>
}

export interface Browser extends Client {
  readonly jar: CookieJar
  /** The cookies it would send, as a Cookie header. */
  readonly cookies: () => string
}

interface Cookies {
  readonly toSend: (path: string) => string | undefined
  readonly received: (path: string, setCookies: ReadonlyArray<string>) => void
}

const noCookies: Cookies = { toSend: () => undefined, received: () => {} }

/** A client that keeps no cookies. */
export const clientOf = (url: string): Client => makeClient(url, noCookies)

const makeClient = (url: string, cookies: Cookies): Client => {
  const open: Client["open"] = (method, path, sent = {}) =>
    Effect.gen(function*() {
      const cookie = sent.cookie ?? cookies.toSend(path)
      const request = yield* Effect.acquireRelease(
        Effect.sync(() =>
          Http.request(url + path, {
            method,
            // A connection for each request, so that nothing keeps the server from closing.
            agent: false,
            maxHeaderSize: 1 << 20,
            headers: { ...sent.headers, ...(cookie !== undefined && cookie !== "" && { cookie }) }
          })
        ),
        (request) => Effect.sync(() => request.destroy())
      )
      const response = yield* Effect.callback<Http.IncomingMessage, Error>((resume) => {
        // Stays on, as destroying the request makes it complain.
        request.on("error", (error) => resume(Effect.fail(error)))
        request.once("response", (response) => resume(Effect.succeed(response)))
        request.end(sent.body)
      })
      const setCookies = response.headers["set-cookie"] ?? []
      cookies.received(path, setCookies)
      return { status: response.statusCode!, headers: response.headers, setCookies, ...bodyOf(response) }
    })
  const send: Client["send"] = (method, path, sent) =>
    Effect.scoped(
      Effect.gen(function*() {
        const { status, headers, setCookies, text } = yield* open(method, path, sent)
        return { status, headers, setCookies, body: yield* text }
      })
    )
  return { open, send, get: (path, sent) => send("GET", path, sent), post: (path, sent) => send("POST", path, sent) }
}

const bodyOf = (response: Http.IncomingMessage): Pick<Opened, "text" | "chunk"> => {
  const chunks: Array<Buffer> = []
  let seen = 0
  const ended = Deferred.makeUnsafe<string, Error>()
  let next = Deferred.makeUnsafe<void, Error>()
  const failed = (error: Error) => {
    Deferred.doneUnsafe(ended, Effect.fail(error))
    Deferred.doneUnsafe(next, Effect.fail(error))
  }
  response.on("data", (chunk: Buffer) => {
    chunks.push(chunk)
    Deferred.doneUnsafe(next, Effect.void)
  })
  response.on("end", () => Deferred.doneUnsafe(ended, Effect.succeed(Buffer.concat(chunks).toString())))
  response.on("error", failed)
  response.on("close", () => failed(new Error("The connection was closed")))
  const chunk: Opened["chunk"] = Effect.suspend(() => {
    if (seen < chunks.length) return Effect.succeed(chunks[seen++]!.toString())
    next = Deferred.makeUnsafe()
    return Effect.andThen(Deferred.await(next), chunk)
  })
  return { text: Deferred.await(ended), chunk }
}

/** A client of a server, which it takes for one at https://shop.example. Of several servers there, they share a jar. */
export const browserOf = (url: string, jar = new CookieJar(undefined, { prefixSecurity: "strict" })): Browser => {
  const address = (path: string) => `https://shop.example${path}`
  const client = makeClient(url, {
    toSend: (path) => jar.getCookieStringSync(address(path)),
    received: (path, setCookies) => {
      for (const setCookie of setCookies) jar.setCookieSync(setCookie, address(path))
    }
  })
  return { ...client, jar, cookies: () => jar.getCookieStringSync(address("/")) }
}

// -----------------------------------------------------------------------------
// web handlers
// -----------------------------------------------------------------------------

/** A function from a web Request to a Response, called as a server is. */
export interface WebServer {
  readonly send: (
    method: string,
    path: string,
    sent?: { readonly cookie?: string; readonly signal?: AbortSignal }
  ) => Effect.Effect<Answer>
}

export const webServer = (handler: (request: Request) => Promise<Response>): WebServer => ({
  send: (method, path, { cookie, signal } = {}) =>
    Effect.promise(async () => {
      const response = await handler(
        new Request(`http://localhost${path}`, {
          method,
          ...(cookie !== undefined && { headers: { cookie } }),
          ...(signal && { signal })
        })
      )
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        setCookies: response.headers.getSetCookie(),
        body: await response.text()
      }
    })
})

/** Serves routes, each with the session of its request, as a web handler. It has its own clock. */
export const serveWeb = (routes: Routes, options: Options = {}): Effect.Effect<WebServer, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        HttpRouter.toWebHandler(
          routes.pipe(
            Layer.provide(options.middleware ?? SessionMiddleware.layer),
            Layer.provide(options.store ?? MemoryLayer.layer()),
            Layer.provide(SessionConfig.layer({ secret, ...options.config })),
            Layer.provide(HttpServer.layerServices)
          ) as Layer.Layer<never, never, HttpRouter.HttpRouter>,
          { disableLogger: options.logger !== true }
        )
      ),
      ({ dispose }) => Effect.promise(dispose)
    ),
    ({ handler }) => webServer(handler)
  )

// -----------------------------------------------------------------------------
// what a response says
// -----------------------------------------------------------------------------

/** The Cookie header that gives back what a response has set, cookies that it cleared left out. */
export const cookieOf = ({ setCookies }: Pick<Answer, "setCookies">): string =>
  setCookies.map(pairOf).filter((pair) => !pair.endsWith("=")).join("; ")

const pairOf = (setCookie: string): string => setCookie.split(";", 1)[0]!

/** The names of the cookies that a response sets. */
export const cookieNames = ({ setCookies }: Pick<Answer, "setCookies">): ReadonlyArray<string> =>
  setCookies.map((setCookie) => setCookie.split("=", 1)[0]!)

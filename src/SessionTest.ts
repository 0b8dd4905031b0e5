/**
 * Tests of applications: clients that keep cookies as a browser does, that begin with what you put into their sessions, and
 * show what is in them after each response; and stores that fail when you say so.
 *
 * **Details**
 *
 * A {@link Client} is an `HttpClient`, so all that takes one takes it, such as `HttpApiClient.makeWith`. It asks the application in
 * process, through {@link layer}, or over HTTP, such as through `NodeHttpServer.layerTest`, and it uses the application's own
 * `SessionStore` and `SessionConfig`, whatever the driver.
 *
 * Mistakes in how a test is set up, such as another secret than the application's, are defects whose message says what to
 * write.
 *
 * **Example** (Routes, in process)
 *
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Effect, Layer, Option, Schema } from "effect"
 * import { MemoryLayer, Session, SessionConfig, SessionKey, SessionMiddleware } from "effect-session"
 * import * as SessionTest from "effect-session/SessionTest"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 *
 * const UserId = SessionKey.make("user_id", Schema.Int)
 *
 * const Routes = HttpRouter.add(
 *   "POST",
 *   "/logout",
 *   Effect.as(Session.logout, HttpServerResponse.redirect("/"))
 * ).pipe(Layer.provide(SessionMiddleware.layer))
 *
 * const Test = HttpRouter.serve(Routes).pipe(
 *   Layer.provideMerge(SessionTest.layer()), // where your server has NodeHttpServer.layer
 *   Layer.provideMerge(MemoryLayer.layer()),
 *   Layer.provideMerge(SessionConfig.layer({ secret: "for tests only, thirty-two characters" }))
 * )
 *
 * it.effect("logs out", () =>
 *   Effect.gen(function*() {
 *     const ada = yield* SessionTest.client()
 *     yield* ada.modifySession(Session.put(UserId, 7))
 *
 *     const response = yield* ada.submit("/logout")
 *
 *     assert.strictEqual(response.status, 302)
 *     const session = yield* ada.session
 *     assert.deepStrictEqual(session.get(UserId), Option.none())
 *     assert.isFalse(session.exists)
 *   }).pipe(Effect.provide(Test)))
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Cookies from "effect/http/Cookies"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpServer from "effect/http/HttpServer"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import * as FaultyStore from "./internal/testing/faultyStore.ts"
import * as Forms from "./internal/testing/forms.ts"
import * as InProcess from "./internal/testing/inProcess.ts"
import * as Jar from "./internal/testing/jar.ts"
import * as Mistakes from "./internal/testing/mistakes.ts"
import * as Session from "./Session.ts"
import { SessionConfig } from "./SessionConfig.ts"
import { type CommitError, OwnerOperation, type SessionStoreError, StoreOperation } from "./SessionError.ts"
import * as Sessions from "./Sessions.ts"
import { SessionStore } from "./SessionStore.ts"

// -----------------------------------------------------------------------------
// clients
// -----------------------------------------------------------------------------

/**
 * A client with cookies of its own: a browser, as far as an application can tell.
 *
 * **Details**
 *
 * Cookies count by their domain, path, life, size and prefix, by `Secure` and `SameSite`, and by the `Clock`, so also by the
 * `TestClock`. A cookie that a browser would refuse is not kept, with a warning in the log. Redirects are not followed, so that
 * you see them and what they flash; {@link Client.follow} does.
 *
 * A request says what a browser says of where it comes from, in `Sec-Fetch-Site` and `Origin`, so {@link Csrf} lets it pass. For a
 * page of another site there is {@link Client.from}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client extends HttpClient.HttpClient {
  /**
   * The session of this client as it is in the store now, or in its cookie. Looking at it changes nothing: no message leaves
   * it, and its life is not extended.
   */
  readonly session: Effect.Effect<Snapshot, SessionStoreError>

  /**
   * Runs the effect with the session of this client, writes what it has changed, and gives the client the cookie. If it has no
   * session, one begins. What is flashed is for the next request.
   */
  readonly modifySession: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | CommitError, Exclude<R, Session.Session>>

  /** Sends a form, by POST. */
  readonly submit: (
    url: string | URL,
    fields?: UrlParams.Input,
    options?: HttpClientRequest.Options.NoUrl
  ) => Response

  /** Goes where a response redirects to, until one does not: with a GET after a 303, and after the 301 or 302 of a form. */
  readonly follow: (response: HttpClientResponse.HttpClientResponse) => Response

  /**
   * The same client on a page of another origin, such as `"https://evil.example"`: a link (GET) or a form (POST) there. Cookies
   * go along as their `SameSite` says.
   */
  readonly from: (origin: string) => HttpClient.HttpClient

  /** The cookies that it holds. */
  readonly cookies: Effect.Effect<ReadonlyArray<Cookies.Cookie>>

  /** Closes the browser and opens it again: cookies without an end are gone. */
  readonly restart: Effect.Effect<void>
}

type Response = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

/**
 * What is in a session at some moment, and what is known of it.
 *
 * - `get`, `has` and `all` are what is in it, by key.
 * - `flashMessages` and `flashed` are the messages that the next request will see.
 * - `exists`: whether there is a session.
 * - `handle`: its name for logs. Another handle means another id, as there must be after a login.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot extends Session.SessionView {
  readonly exists: boolean
  readonly handle: Option.Option<string>
  readonly owner: Option.Option<string>
  readonly authentication: Option.Option<Session.Authentication>
  readonly createdAt: Option.Option<DateTime.Utc>
  readonly expiresAt: Session.Ends
}

/**
 * How a client is made.
 *
 * - `url`: where the application is, such as `"http://127.0.0.1:3000"`. By default the `HttpClient` knows.
 * - `fetchMetadata`: whether it says where requests come from, by `Sec-Fetch-Site` and `Origin`, as browsers do. Without that,
 *   {@link Csrf} asks for a token. Default `true`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly url?: string
  readonly fetchMetadata?: boolean
}

/**
 * A new client, without cookies. Several of them are several browsers.
 *
 * **Details**
 *
 * It sends requests by the `HttpClient` of the context: that of {@link layer}, of `NodeHttpServer.layerTest`, or, with the option
 * `url`, any other.
 *
 * **Example** (A real server)
 *
 * ```ts
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { MemoryLayer, SessionConfig } from "effect-session"
 * import { HttpRouter } from "effect/http"
 *
 * declare const Routes: Layer.Layer<never, never, HttpRouter.HttpRouter>
 *
 * const Test = HttpRouter.serve(Routes).pipe(
 *   Layer.provideMerge(NodeHttpServer.layerTest),
 *   Layer.provideMerge(MemoryLayer.layer()),
 *   Layer.provideMerge(SessionConfig.layer({ secret: "for tests only, thirty-two characters" }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const client = Effect.fnUntraced(function*(options: Options = {}): Effect.fn.Return<
  Client,
  never,
  HttpClient.HttpClient | SessionStore | SessionConfig
> {
  const store = yield* SessionStore
  const settings = yield* SessionConfig
  if (!settings.transports.includes("cookie")) return yield* Mistakes.noCookies
  const services = Context.make(SessionStore, store).pipe(Context.add(SessionConfig, settings))
  const { base, http } = yield* addressed(yield* HttpClient.HttpClient, options)
  const jar = yield* Ref.make<Jar.Jar>([])
  const held = Effect.zip(Ref.get(jar), Clock.currentTimeMillis)

  /** Where the session's cookie is for. */
  const home = new URL(settings.cookie.path, base)
  const cookies = Effect.map(held, ([jar, now]) => Jar.toSend(jar, home, now))

  const keep = Effect.fnUntraced(function*(url: URL, setCookie: string) {
    const now = yield* Clock.currentTimeMillis
    const refusal = yield* Ref.modify(jar, (before) =>
      Result.match(Jar.receive(before, url, setCookie, now), {
        onFailure: (refusal) => [refusal, before] as const,
        onSuccess: (after) => [undefined, after] as const
      }))
    if (refusal !== undefined) yield* Mistakes.refused(settings, url, setCookie, refusal)
  })

  const findMistakes = Mistakes.make(settings, store)

  const sendFrom = Effect.fnUntraced(function*(request: HttpClientRequest.HttpClientRequest, page: URL | undefined) {
    const url = new URL(request.url)
    const [before, now] = yield* held
    const cookie = request.headers["cookie"] ?? Jar.toSend(before, url, now, { method: request.method, page })
    const said = options.fetchMetadata === false ? {} : metadata(page ?? url, url, request.method)
    const response = yield* withoutRedirects(
      http.postprocess(Effect.succeed(HttpClientRequest.setHeaders(request, {
        ...said,
        ...request.headers,
        ...(cookie !== undefined && { cookie })
      })))
    )
    yield* Effect.forEach(Mistakes.setCookiesOf(response), (setCookie) => keep(url, setCookie), { discard: true })
    yield* Ref.update(jar, (jar) => Jar.withoutSiteData(jar, url, response.headers["clear-site-data"]))
    yield* FaultyStore.asTest(findMistakes(response, cookie, yield* cookies))
    return response
  })

  const on = (page?: URL): HttpClient.HttpClient =>
    HttpClient.makeWith((request) => Effect.flatMap(request, (request) => sendFrom(request, page)), http.preprocess)

  const open = Effect.flatMap(cookies, (cookies) => Sessions.open({ cookies }, { readonly: true }))

  const isThere = Effect.map(Effect.provideServiceEffect(Session.createdAt, Session.Session, open), Option.isSome)

  const modifySession = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
    const { setCookie, value } = (yield* isThere)
      ? yield* Sessions.modify({ cookies: yield* cookies }, effect)
      : yield* Sessions.create(effect)
    yield* Effect.forEach(Redacted.value(setCookie), (setCookie) => keep(home, setCookie), { discard: true })
    return value
  })

  const self = on()
  return Object.assign(self, {
    session: Effect.provideServiceEffect(snapshot, Session.Session, open).pipe(
      FaultyStore.asTest,
      Effect.provideContext(services)
    ),
    modifySession: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      modifySession(effect).pipe(FaultyStore.asTest, Effect.provideContext(services)),
    submit: (url: string | URL, fields: UrlParams.Input = {}, options?: HttpClientRequest.Options.NoUrl) =>
      self.post(url, { ...options, body: HttpBody.urlParams(UrlParams.fromInput(fields)) }),
    follow: (response: HttpClientResponse.HttpClientResponse) => follow(self, response),
    from: (origin: string) => on(new URL(origin)),
    cookies: Effect.map(held, ([jar, now]) => Jar.alive(jar, now)),
    restart: Ref.update(jar, Jar.withoutSessionCookies)
  })
})

/** The client with the address of the application. */
const addressed = Effect.fnUntraced(function*(client: HttpClient.HttpClient, { url }: Options) {
  if (url !== undefined) {
    const base = new URL(url)
    return {
      base,
      http: HttpClient.mapRequest(client, HttpClientRequest.updateUrl((url) => InProcess.absolute(url, base)))
    }
  }
  const { url: root } = yield* Effect.orDie(client.preprocess(HttpClientRequest.get("/")))
  return URL.canParse(root) ? { base: new URL(root), http: client } : yield* Mistakes.noAddress
})

/** What a browser says of where a request comes from. */
const metadata = (page: URL, url: URL, method: string): Record<string, string> => ({
  ...(Jar.isTrustworthy(url) && { "sec-fetch-site": Jar.siteOf(page, url) }),
  ...(method !== "GET" && method !== "HEAD" && { origin: page.origin })
})

/** A client of fetch follows them by itself, and nobody sees the cookies on the way. */
const withoutRedirects = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateContext(effect, (context: Context.Context<R>) =>
    Context.add(context, FetchHttpClient.RequestInit, {
      ...Context.getOrUndefined(context as Context.Context<FetchHttpClient.RequestInit>, FetchHttpClient.RequestInit),
      redirect: "manual"
    }))

const follow = (client: HttpClient.HttpClient, response: HttpClientResponse.HttpClientResponse): Response =>
  Effect.suspend(() => {
    let isFirst = true
    const goOn = HttpClient.makeWith(
      (request: Effect.Effect<HttpClientRequest.HttpClientRequest>): Response => {
        if (!isFirst) return client.postprocess(request)
        isFirst = false
        return Effect.as(request, response)
      },
      Effect.succeed
    )
    const { request } = response
    return HttpClient.followRedirects(goOn).execute(HttpClientRequest.updateHeaders(request, Headers.removeMany(own)))
  })

/** What the client says by itself, anew for each request. */
const own = ["cookie", "origin", "sec-fetch-site"]

const snapshot: Effect.Effect<Snapshot, SessionStoreError, Session.Session> = Effect.gen(function*() {
  const createdAt = yield* Session.createdAt
  const exists = Option.isSome(createdAt)
  return {
    ...yield* Session.view,
    exists,
    handle: exists ? Option.some(yield* Session.handle) : Option.none(),
    owner: yield* Session.owner,
    authentication: yield* Session.authentication,
    createdAt,
    expiresAt: yield* Session.expiresAt
  }
})

/**
 * The hidden fields of the forms of a page, by name, such as the token of {@link Csrf}.
 *
 * **Example** (A form, as it is on the page)
 *
 * ```ts
 * import { Effect } from "effect"
 * import * as SessionTest from "effect-session/SessionTest"
 *
 * const logIn = Effect.fn(function*(client: SessionTest.Client) {
 *   const page = yield* client.get("/login")
 *   const hidden = SessionTest.hiddenFields(yield* page.text)
 *   return yield* client.submit("/login", { ...hidden, name: "Ada" })
 * })
 * ```
 *
 * @since 0.1.0
 * @category forms
 */
export const hiddenFields: (html: string) => { readonly [name: string]: string } = Forms.hiddenFields

// -----------------------------------------------------------------------------
// in process
// -----------------------------------------------------------------------------

/**
 * A server in this process, and the `HttpClient` of it: no port is opened, and all goes by the `Clock` of the test. Provide it
 * to `HttpRouter.serve` where your server has `NodeHttpServer.layer`.
 *
 * **Details**
 *
 * The address is `https://localhost`, or `url`, and all hosts below it. So cookies that are `Secure` are kept.
 *
 * An `HttpApi` and responses with files need services that come with `NodeHttpServer.layer`: provide
 * `NodeHttpServer.layerHttpServices`, or `HttpServer.layerServices`, which has no files.
 *
 * **Gotchas**
 *
 * There are no WebSockets. For those, take a real server.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: { readonly url?: string } = {}
): Layer.Layer<HttpServer.HttpServer | HttpClient.HttpClient> =>
  Layer.effectContext(Effect.sync(() => {
    const { client, server } = InProcess.make(new URL(options.url ?? "https://localhost"))
    return Context.make(HttpServer.HttpServer, server).pipe(Context.add(HttpClient.HttpClient, client))
  }))

// -----------------------------------------------------------------------------
// stores that fail
// -----------------------------------------------------------------------------

/**
 * What a store is asked to do: operations on a session, and on those of an owner.
 *
 * @since 0.1.0
 * @category models
 */
export type Operation = StoreOperation | OwnerOperation

/**
 * All operations: for a store that is down.
 *
 * @since 0.1.0
 * @category models
 */
export const operations: ReadonlyArray<Operation> = [...StoreOperation.literals, ...OwnerOperation.literals]

/**
 * When an effect is run.
 *
 * - `times`: for so many calls, and then no more. By default for all.
 * - `after`: whether the store does its work before: then it has changed the session, and nobody learns of it. Default `false`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Injection {
  readonly times?: number
  readonly after?: boolean
}

/**
 * What was put in the way of a store: `reached` waits for the first call that meets it, and `remove` takes it away.
 *
 * @since 0.1.0
 * @category models
 */
export interface Injected {
  readonly reached: Effect.Effect<void>
  readonly remove: Effect.Effect<void>
}

/**
 * What happens to the store of {@link layerFaults}.
 *
 * **Details**
 *
 * `inject` runs an effect in each call of an operation. If it fails, the operation fails with a `SessionStoreError` that has the
 * failure as its cause; if it never ends, the setting `timeLimit` ends it; `retries` count as well. What a {@link Client} asks the
 * store by itself, to show a session or to change it, is left alone.
 *
 * `clear` takes all of that away. `takeCalls` has the operations that were called since it was last run, in order.
 *
 * **Example** (Down, silent, slow, and down once)
 *
 * ```ts
 * import { Effect } from "effect"
 * import * as SessionTest from "effect-session/SessionTest"
 *
 * const faults = Effect.gen(function*() {
 *   const store = yield* SessionTest.StoreFaults
 *   yield* store.inject(SessionTest.operations, Effect.fail("ECONNREFUSED"))
 *   yield* store.inject("load", Effect.never)
 *   yield* store.inject("update", Effect.sleep("2 seconds"))
 *   yield* store.inject("destroy", Effect.fail("ECONNRESET"), { times: 1 })
 *   yield* store.clear
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class StoreFaults extends Context.Service<StoreFaults, {
  readonly inject: (
    operation: Operation | ReadonlyArray<Operation>,
    effect: Effect.Effect<unknown, unknown>,
    when?: Injection
  ) => Effect.Effect<Injected>
  readonly clear: Effect.Effect<void>
  readonly takeCalls: Effect.Effect<ReadonlyArray<Operation>>
}>()("effect-session/SessionTest/StoreFaults") {}

/**
 * A store that fails when the test says so, around any other: it provides what that one provides, and {@link StoreFaults}.
 *
 * **Example** (An outage is not a logout)
 *
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Effect, Layer } from "effect"
 * import { MemoryLayer, SessionConfig } from "effect-session"
 * import * as SessionTest from "effect-session/SessionTest"
 * import { HttpServer } from "effect/http"
 *
 * declare const App: Layer.Layer<never, never, HttpServer.HttpServer>
 *
 * const Test = App.pipe(
 *   Layer.provideMerge(SessionTest.layer()),
 *   Layer.provideMerge(SessionTest.layerFaults(MemoryLayer.layer())),
 *   Layer.provideMerge(SessionConfig.layer({ secret: "for tests only, thirty-two characters" }))
 * )
 *
 * it.effect("says that it is out of order", () =>
 *   Effect.gen(function*() {
 *     const store = yield* SessionTest.StoreFaults
 *     const ada = yield* SessionTest.client()
 *     yield* ada.modifySession(Effect.void)
 *     yield* store.inject("load", Effect.fail("ECONNREFUSED"))
 *     assert.strictEqual((yield* ada.get("/account")).status, 503)
 *     assert.isTrue((yield* ada.session).exists)
 *   }).pipe(Effect.provide(Test)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFaults = <Provided, E, R>(
  store: Layer.Layer<Provided | SessionStore, E, R>
): Layer.Layer<Provided | SessionStore | StoreFaults, E, R | SessionConfig> =>
  Layer.effectContext(
    Effect.gen(function*() {
      const built = yield* Layer.build(store)
      const { faults, service } = makeFaults()
      const faulty = yield* FaultyStore.make(Context.get(built as Context.Context<SessionStore>, SessionStore), faults)
      return Context.merge(
        built,
        Context.mergeAll(
          Context.make(StoreFaults, service),
          Context.make(SessionStore, faulty),
          FaultyStore.ownersOf(faulty)
        )
      ) as Context.Context<Provided | SessionStore | StoreFaults>
    })
  )

interface Active {
  readonly operations: ReadonlyArray<Operation>
  readonly effect: Effect.Effect<unknown, unknown>
  readonly isAfter: boolean
  readonly reached: Deferred.Deferred<void>
  left: number
}

const makeFaults = (): { readonly faults: FaultyStore.Faults; readonly service: StoreFaults["Service"] } => {
  const active = new Set<Active>()
  let calls: ReadonlyArray<Operation> = []

  const run = (operation: Operation, isAfter: boolean): Effect.Effect<void, unknown> =>
    Effect.suspend(() => {
      const due = [...active].filter((one) => one.isAfter === isAfter && one.operations.includes(operation))
      return Effect.forEach(due, (one) => {
        if (--one.left <= 0) active.delete(one)
        return Effect.andThen(Deferred.succeed(one.reached, undefined), one.effect)
      }, { discard: true })
    })

  return {
    faults: {
      before: (operation) =>
        Effect.suspend(() => {
          calls = [...calls, operation]
          return run(operation, false)
        }),
      after: (operation) => run(operation, true)
    },
    service: {
      inject: (operation, effect, { after = false, times = Infinity } = {}) =>
        Effect.sync(() => {
          const reached = Deferred.makeUnsafe<void>()
          const one = { operations: [operation].flat(), effect, isAfter: after, reached, left: times }
          active.add(one)
          return { reached: Deferred.await(reached), remove: Effect.sync(() => void active.delete(one)) }
        }),
      clear: Effect.sync(() => active.clear()),
      takeCalls: Effect.sync(() => {
        const taken = calls
        calls = []
        return taken
      })
    }
  }
}

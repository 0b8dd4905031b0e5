/**
 * Streams that end with their session: server-sent events (`text/event-stream`) and other long-lived response bodies.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Connection from "./internal/http/connection.ts"
import * as Lasting from "./internal/http/lasting.ts"
import type { RequestSession } from "./internal/request/requestSession.ts"
import { Session } from "./Session.ts"
import type { SessionClosedError, SessionStoreError, SessionUnauthenticatedError } from "./SessionError.ts"

/**
 * - `extend`: whether the session is extended while the stream runs, once per `touchEvery`. Fails with a
 *   `SessionClosedError` if each extension needs a cookie, which can no longer be set: with `CookieLayer`, and with a
 *   `persistent` cookie, which is the default. Default `false`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly extend?: boolean
}

/** Elements that the client has not read when the stream ends are not delivered. */
const patience = Duration.seconds(30)

/**
 * Makes a stream for a response body that ends when the session of the request ends or gets a new id. Fails with a
 * `SessionUnauthenticatedError`, status 401, if there is no session.
 *
 * **Details**
 *
 * If this process ends the session, the stream ends immediately. If another server ends it or it expires, the stream
 * ends within `touchEvery`, see `Sessions.watch`. With `CookieLayer` it ends when the cookie of the request expires.
 * The stream ends without a failure.
 *
 * When the session gets a new id, for example by a login in another tab, a browser's `EventSource` reconnects with the
 * new cookie. An attacker who planted the old id receives nothing more.
 *
 * The stream's Effects see the session as the request loaded it. To see later changes, open it again with
 * `Sessions.open`.
 *
 * **Gotchas**
 *
 * An `EventSource` reconnects when its stream ends, and gives up when it gets a 401. This is how the page notices the
 * end of the session.
 *
 * **Example** (Server-sent events)
 *
 * ```ts
 * import { Effect, Schedule, Stream } from "effect"
 * import { Sse } from "effect/encoding"
 * import { HttpServerResponse } from "effect/http"
 * import { SessionStream } from "effect-session"
 *
 * const event = (data: string) => Sse.encoder.write({ _tag: "Event", event: "tick", id: undefined, data })
 *
 * const ticks = Stream.fromSchedule(Schedule.spaced("1 second")).pipe(Stream.map(String), Stream.map(event))
 *
 * const handler = Effect.map(
 *   SessionStream.whileAlive(ticks),
 *   (events) =>
 *     HttpServerResponse.stream(Stream.encodeText(events), {
 *       contentType: "text/event-stream",
 *       headers: { "cache-control": "no-store" }
 *     })
 * )
 * ```
 *
 * @since 0.1.0
 * @category streams
 */
export const whileAlive: {
  /**
   * Makes a stream for a response body that ends when the session of the request ends or gets a new id.
   *
   * @since 0.1.0
   * @category streams
   */
  (options?: Options): <A, E, R>(self: Stream.Stream<A, E, R>) => Alive<A, E, R>
  /**
   * Makes a stream for a response body that ends when the session of the request ends or gets a new id.
   *
   * @since 0.1.0
   * @category streams
   */
  <A, E, R>(self: Stream.Stream<A, E, R>, options?: Options): Alive<A, E, R>
} = dual(
  (args) => Stream.isStream(args[0]),
  <A, E, R>(self: Stream.Stream<A, E, R>, options: Options = {}): Alive<A, E, R> =>
    Effect.gen(function*() {
      const session = yield* Session
      const request = yield* HttpServerRequest
      const lasting = yield* Lasting.of(session as unknown as RequestSession)
      const extending = yield* lasting.extension(options.extend === true)
      const over = yield* watching(lasting, Connection.of(request))
      yield* lasting.check
      return Stream.provideService(whileOpen(self, lasting, extending, over), Session, session)
    })
)

/**
 * The services that such a stream needs, and the errors of making one.
 *
 * @since 0.1.0
 * @category models
 */
export type Alive<A, E, R> = Effect.Effect<
  Stream.Stream<A, E, Exclude<R, Session>>,
  SessionUnauthenticatedError | SessionStoreError | SessionClosedError,
  Session | HttpServerRequest | Scope.Scope
>

/**
 * Runs in the request's scope, until the response is sent: a client that does not read would not see the stream end.
 */
const watching = Effect.fnUntraced(function*(session: Lasting.LastingSession, connection: Connection.Connection) {
  const over = yield* Deferred.make<void>()
  const watched = Effect.gen(function*() {
    yield* session.over
    yield* Deferred.succeed(over, undefined)
    yield* Effect.sleep(patience)
    yield* connection.breakOff
  })
  yield* Effect.forkScoped(watched, { startImmediately: true })
  return Deferred.await(over)
})

const whileOpen = <A, E, R>(
  self: Stream.Stream<A, E, R>,
  session: Lasting.LastingSession,
  extending: Effect.Effect<never>,
  over: Effect.Effect<void>
): Stream.Stream<A, E, R> =>
  Stream.unwrap(
    Effect.as(
      Effect.andThen(Effect.addFinalizer(() => Effect.sync(() => session.close())), Effect.forkScoped(extending)),
      Stream.interruptWhen(self, over)
    )
  )

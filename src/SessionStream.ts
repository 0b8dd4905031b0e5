/**
 * Streams that end with their session: server-sent events (`text/event-stream`), and other bodies that are streamed for long.
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
 * - `extend`: whether the session's life is extended as long as the stream runs, once per `touchEvery`. If that takes a cookie
 *   each time, which can't be set any more, it is a `SessionClosedError`: with `CookieLayer`, and with a cookie that is
 *   `persistent`, as by default. Default `false`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly extend?: boolean
}

/** What a client has not read by then, when the stream has ended, it does not get any more. */
const patience = Duration.seconds(30)

/**
 * A stream for the body of a response that ends when the session of the request ends, or gets another id. Without a session it
 * is a `SessionUnauthenticatedError`, status 401.
 *
 * **Details**
 *
 * What ends the session in this process ends the stream at once. What another server does, and the end of the session's time, end it
 * within `touchEvery`, see `Sessions.watch`. With `CookieLayer` that is when the cookie of the request is over. An end is
 * no failure of the stream.
 *
 * When the session gets another id, as by a login in another tab, a browser's `EventSource` connects again by itself, with
 * the new cookie. Who had the old one, such as an attacker who had planted it, gets nothing more.
 *
 * The stream's Effects have the session of the request, as it was found then. To look at it as it is later, open it again with
 * `Sessions.open`.
 *
 * **Gotchas**
 *
 * An `EventSource` that is answered 401 gives up, but one whose stream has ended asks again: that is how the page finds out.
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
   * A stream for the body of a response that ends when the session of the request ends, or gets another id.
   *
   * @since 0.1.0
   * @category streams
   */
  (options?: Options): <A, E, R>(self: Stream.Stream<A, E, R>) => Alive<A, E, R>
  /**
   * A stream for the body of a response that ends when the session of the request ends, or gets another id.
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
 * What it takes to make such a stream, and what that fails with.
 *
 * @since 0.1.0
 * @category models
 */
export type Alive<A, E, R> = Effect.Effect<
  Stream.Stream<A, E, Exclude<R, Session>>,
  SessionUnauthenticatedError | SessionStoreError | SessionClosedError,
  Session | HttpServerRequest | Scope.Scope
>

/** Until the response is sent, as the client may not read, and so not see the end. */
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

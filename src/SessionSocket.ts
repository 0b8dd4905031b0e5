/**
 * WebSockets with sessions: each message is handled in the session as it is at that moment.
 *
 * **Details**
 *
 * {@link serve} is the handler of a route inside the session's middleware. Before the handshake it rejects
 *
 * - a page of another site (cross-site WebSocket hijacking), by the same rules as `Csrf`, see `Csrf.checkHandshake`: a
 *   `CsrfError`, status 403;
 * - a client without a session: a `SessionUnauthenticatedError`, status 401. To require a login, use a guard.
 *
 * After that, each message is like a separate request: it loads the session again, and its changes are written before
 * its reply is sent. If it fails, nothing is written. Messages are handled one at a time and in order, unless you set
 * `concurrency`. The next message is read from the client only when there is room for it.
 *
 * When the session ends, the socket is closed with the code 4401: immediately if this process ends it; if it expires or
 * another server ends it, with the next message or within `touchEvery`, see `Sessions.watch`. Later messages are not
 * handled.
 *
 * When the session gets a new id, for example by a login in another tab, the socket is closed with the code 4409. The
 * page then reconnects and sends the new cookie. The old id never gives access to the new session, not even through an
 * open socket: otherwise an attacker who planted the id would be logged in together with the user (session fixation).
 *
 * A message that uses the session extends its life, at most once per `touchEvery`, like a request. An open socket alone
 * does not; see `extend`.
 *
 * **Gotchas**
 *
 * - A socket can't set a cookie. Changes that need one fail with a `SessionClosedError`: `login`, `logout`,
 *   `regenerate`, `destroy` and `setLifetime`, and every change with `CookieLayer`. A `persistent` cookie, which is the
 *   default, has its own expiry, so messages can't extend such a session: let the page send a request from time to
 *   time.
 * - With `CookieLayer`, the socket sees only the cookie of its handshake. It is closed when that cookie expires, even
 *   if other tabs already have a newer one.
 * - Effect's server for Node.js reads messages of up to 100 MiB into memory before `maxMessageSize` is checked. Set its
 *   option `websocket: { maxPayload: 65_536 }`.
 * - With `rolling: "never"`, messages do not extend the session either.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { HttpServerError } from "effect/http/HttpServerError"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as Csrf from "./Csrf.ts"
import * as Setting from "./internal/config/settings.ts"
import * as Connection from "./internal/http/connection.ts"
import * as Lasting from "./internal/http/lasting.ts"
import * as Upgrade from "./internal/http/upgrade.ts"
import type { RequestSession } from "./internal/request/requestSession.ts"
import { Session } from "./Session.ts"
import type { DurationInput, SizeInput } from "./SessionConfig.ts"
import type { CommitError, SessionClosedError, SessionStoreError, SessionUnauthenticatedError } from "./SessionError.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * A message: text or bytes.
 *
 * @since 0.1.0
 * @category models
 */
export type Message = string | Uint8Array

/**
 * The reply to a message, if any.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer = Message | void

/**
 * An open socket.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionSocket {
  /**
   * Sends a message. Waits until the client has received what was sent before (see `sendTimeout`). If the socket is
   * closed, it interrupts.
   */
  readonly send: (message: Message) => Effect.Effect<void>
  /**
   * Runs an effect in the session as it is now and writes its changes, as for a message: for work that the server
   * starts. It does not count as use of the session. Fails with a `SessionGoneError` once the session has ended.
   */
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CommitError, Exclude<R, Session>>
  /** Closes the socket, by default with the code 1000, and interrupts everything that is still running. */
  readonly close: (code?: number, reason?: string) => Effect.Effect<void>
}

/**
 * The handlers and limits of a socket.
 *
 * - `onMessage`: handles a message in the current session and in its own scope. The result is sent to the client once
 *   the changes are written. By default, messages are discarded.
 * - `onOpen`: runs in the background until the socket is closed: for messages that the server sends on its own. It has
 *   the session of the handshake, read-only; use `run` for the current one. If it ends, the socket stays open.
 * - `onError`: handles a failed message, whether the error comes from your handler, the store or the commit. By
 *   default, the socket is closed with the code 1011, and the route's handler fails with the error.
 * - `extend`: what extends the session: `"messages"`; also the open socket (`"open"`), which fails with a
 *   `SessionClosedError` before the handshake if each extension needs a cookie; or nothing (`"never"`). Default
 *   `"messages"`.
 * - `concurrency`: how many messages are handled at the same time. Replies are sent as they become ready. Default 1.
 * - `maxMessageSize`: a larger message closes the socket with the code 1009. Default `"64 KiB"`.
 * - `sendTimeout`: how long a client may take to receive what was sent before its connection is dropped. Supported by
 *   Effect's server for Node.js. Default `"30 seconds"`.
 * - `closeCodes`: the codes for closing the socket when the session has `ended` (default 4401), or was `renewed` with a
 *   new id (default 4409).
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E, R, EOpen, ROpen> {
  readonly onMessage?: (message: Message, socket: SessionSocket) => Effect.Effect<Answer, E, R>
  readonly onOpen?: (socket: SessionSocket) => Effect.Effect<unknown, EOpen, ROpen>
  readonly extend?: "never" | "messages" | "open"
  readonly concurrency?: number
  readonly maxMessageSize?: SizeInput
  readonly sendTimeout?: DurationInput
  readonly closeCodes?: { readonly [End in Lasting.End]?: number }
}

/**
 * The errors of handling a message, in addition to your own.
 *
 * @since 0.1.0
 * @category models
 */
export type MessageError = CommitError

/**
 * The errors of an upgrade.
 *
 * @since 0.1.0
 * @category models
 */
export type UpgradeError =
  | Csrf.CsrfError
  | SessionUnauthenticatedError
  | SessionStoreError
  | SessionClosedError
  | HttpServerError

/** The services provided to each message. */
type Provided = Session | Scope.Scope

// -----------------------------------------------------------------------------
// serving
// -----------------------------------------------------------------------------

/**
 * The handler of a route that is a WebSocket. It ends when the socket is closed.
 *
 * **Details**
 *
 * A request that does not ask for a WebSocket is answered with 426. Connection errors, such as invalid frames, close
 * the socket and are not errors of the handler.
 *
 * `serve` throws an `Error` if an option is invalid.
 *
 * **Example** (Counting messages)
 *
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { HttpRouter } from "effect/http"
 * import { Session, SessionKey, SessionMiddleware, SessionSocket } from "effect-session"
 *
 * const Count = SessionKey.make("count", Schema.Int).pipe(SessionKey.withDefault(() => 0))
 *
 * const Counter = HttpRouter.add(
 *   "GET",
 *   "/counter",
 *   SessionSocket.serve({
 *     onMessage: () => Effect.map(Session.increment(Count), String),
 *     onError: ({ _tag }) => Effect.succeed(_tag === "SessionStoreError" ? "Please try again." : "Something went wrong.")
 *   })
 * ).pipe(Layer.provide(SessionMiddleware.layer))
 * ```
 *
 * @since 0.1.0
 * @category serving
 */
export function serve<E = never, R = never, EOpen = never, ROpen = never, EError = never, RError = never>(
  options: Options<E, R, EOpen, ROpen> & {
    readonly onError: (error: NoInfer<E> | MessageError, socket: SessionSocket) => Effect.Effect<Answer, EError, RError>
  }
): Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  EOpen | EError | UpgradeError,
  Exclude<R, Provided> | Exclude<ROpen, Provided> | Exclude<RError, Scope.Scope> | HttpServerRequest | Session
>
/**
 * The handler of a route that is a WebSocket. It ends when the socket is closed, or with the first message that fails.
 *
 * @since 0.1.0
 * @category serving
 */
export function serve<E = never, R = never, EOpen = never, ROpen = never>(
  options: Options<E, R, EOpen, ROpen>
): Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  E | MessageError | EOpen | UpgradeError,
  Exclude<R, Provided> | Exclude<ROpen, Provided> | HttpServerRequest | Session
>
export function serve(options: AnyOptions): Effect.Effect<HttpServerResponse.HttpServerResponse> {
  const rules = rulesOf(options)
  const handler = Effect.gen(function*() {
    const request = yield* HttpServerRequest
    if (!Upgrade.isForWebSocket(request)) return upgradeRequired
    yield* Csrf.checkHandshake
    const session = yield* Lasting.of((yield* Session) as unknown as RequestSession)
    const extending = yield* session.extension(rules.extend === "open")
    const over = yield* Effect.forkChild(session.over, { startImmediately: true })
    yield* session.check
    const socket = yield* request.upgrade
    const talking = Effect.gen(function*() {
      // Without one, the handshake was invalid and has been answered.
      const connected = yield* Effect.option(connect(socket, Connection.of(request), session, rules))
      if (Option.isNone(connected)) return
      const { closed, closeWith } = connected.value
      yield* Effect.raceAllFirst([
        closed,
        extending,
        Effect.flatMap(Fiber.join(over), (end) => closeWith(rules.closeCodes[end], reasons[end])),
        running(connected.value, session, options.onOpen),
        reading(connected.value, session, rules, options)
      ])
    })
    yield* Effect.ensuring(Effect.scoped(talking), Effect.sync(() => session.close()))
    return HttpServerResponse.empty()
  })
  return handler as Effect.Effect<HttpServerResponse.HttpServerResponse>
}

/** The types above contain the errors and requirements of the application's functions. */
interface AnyOptions extends Options<unknown, unknown, unknown, unknown> {
  readonly onError?: (error: unknown, socket: SessionSocket) => Effect.Effect<Answer, unknown, unknown>
}

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

const upgradeRequired = HttpServerResponse.text("Upgrade Required", { status: 426, headers: { upgrade: "websocket" } })

const reasons: { readonly [End in Lasting.End]: string } = {
  ended: "The session has ended",
  renewed: "The session has a new id: reconnect"
}

// -----------------------------------------------------------------------------
// the connection
// -----------------------------------------------------------------------------

interface Connected {
  readonly socket: SessionSocket
  readonly messages: Stream.Stream<Message>
  /** Waits until the application has closed it. */
  readonly closed: Effect.Effect<void>
  readonly closeWith: (code: number, reason?: string) => Effect.Effect<void>
}

const connect = Effect.fnUntraced(function*(
  socket: Socket.Socket,
  connection: Connection.Connection,
  session: Lasting.LastingSession,
  { sendTimeout }: Rules
): Effect.fn.Return<Connected, Socket.SocketError, Scope.Scope> {
  const { pull } = yield* socket.reader
  const writer = yield* socket.writer
  const closed = yield* Deferred.make<void>()
  // Effect's socket would keep a later sender waiting for a new connection.
  yield* Effect.addFinalizer(() => Deferred.succeed(closed, undefined))
  yield* connection.keepAlive
  const inTurn = Semaphore.withPermit(Semaphore.makeUnsafe(1))
  const write = (message: Message) =>
    Effect.suspend(() => {
      if (Deferred.isDoneUnsafe(closed) || connection.isGone()) return Effect.interrupt
      return Effect.catchTag(writer.write(message), "SocketError", () => Effect.interrupt)
    })
  const closeWith = (code: number, reason?: string) =>
    Effect.suspend(() =>
      Deferred.isDoneUnsafe(closed)
        ? Effect.void
        : Effect.andThen(
          Effect.ignore(writer.write(new Socket.CloseEvent(code, reason))),
          Deferred.succeed(closed, undefined)
        )
    )
  return {
    closed: Deferred.await(closed),
    closeWith,
    // This ends with the connection, whatever the reason.
    messages: Stream.flattenArray(Stream.fromEffectRepeat(Effect.catchTag(pull, "SocketError", () => Cause.done()))),
    socket: {
      send: (message) => inTurn(Effect.andThen(connection.drained(sendTimeout), write(message))),
      run: (effect) => session.work(false, (session) => Effect.provideService(effect, Session, session)),
      close: (code = 1000, reason) => closeWith(code, reason)
    }
  }
})

const sizeOf = (message: Message): number =>
  typeof message === "string" ? Buffer.byteLength(message) : message.byteLength

// -----------------------------------------------------------------------------
// what the application does
// -----------------------------------------------------------------------------

const running = (
  { socket }: Connected,
  session: Lasting.LastingSession,
  onOpen: AnyOptions["onOpen"] = () => Effect.void
): AnyEffect =>
  Effect.andThen(
    unlessInterrupted(Effect.scoped(Effect.provideService(onOpen(socket), Session, session.snapshot))),
    Effect.never
  )

const reading = (
  { closeWith, messages, socket }: Connected,
  session: Lasting.LastingSession,
  { concurrency, extend, maxMessageSize }: Rules,
  { onError = Effect.fail, onMessage }: AnyOptions
): AnyEffect => {
  if (onMessage === undefined) return Stream.runDrain(messages)
  const answered = (message: Message) =>
    session.work(
      extend !== "never",
      (session) => Effect.scoped(Effect.provideService(onMessage(message, socket), Session, session))
    ).pipe(
      // No reply is needed when the session has ended: the socket is about to be closed.
      Effect.catch((error) => session.isOver ? Effect.never : onError(error, socket))
    )
  const handled = (message: Message) =>
    sizeOf(message) > maxMessageSize
      ? closeWith(1009, "The message is too large")
      : unlessInterrupted(
        Effect.flatMap(answered(message), (answer) => answer === undefined ? Effect.void : socket.send(answer))
      )
  return Stream.runDrain(Stream.mapEffect(messages, handled, { concurrency, unordered: true }))
}

/** Sending to a closed socket interrupts only the sender. */
const unlessInterrupted = (effect: AnyEffect): AnyEffect =>
  Effect.catchCauseIf(effect, Cause.hasInterruptsOnly, () => Effect.void)

// -----------------------------------------------------------------------------
// options
// -----------------------------------------------------------------------------

interface Rules {
  readonly extend: "never" | "messages" | "open"
  readonly concurrency: number
  readonly maxMessageSize: number
  readonly sendTimeout: Duration.Duration
  readonly closeCodes: { readonly [End in Lasting.End]: number }
}

const rulesOf = (
  { closeCodes, concurrency = 1, extend = "messages", maxMessageSize = "64 KiB", sendTimeout = "30 seconds" }:
    AnyOptions
): Rules => {
  const codes = { ended: 4401, renewed: 4409, ...closeCodes }
  const size = Setting.parseSize(maxMessageSize)
  const timeout = Setting.parseDuration(sendTimeout)
  if (!["never", "messages", "open"].includes(extend)) {
    throw mistake("extend", extend, Setting.writeOneOf(["never", "messages", "open"]))
  }
  if (!(Number.isInteger(concurrency) && concurrency >= 1)) {
    throw mistake("concurrency", concurrency, "Write a positive whole number")
  }
  if (size === undefined) throw mistake("maxMessageSize", maxMessageSize, Setting.howToWriteSize)
  if (timeout === undefined || !Duration.isPositive(timeout)) {
    throw mistake("sendTimeout", sendTimeout, "Write a duration longer than zero with its unit, such as \"30 seconds\"")
  }
  for (const [end, code] of Object.entries(codes)) {
    if (Number.isInteger(code) && code >= 3000 && code <= 4999) continue
    throw mistake(`closeCodes.${end}`, code, "Write a code from 4000 to 4999, or a registered one from 3000 to 3999")
  }
  return { extend, concurrency, maxMessageSize: size, sendTimeout: timeout, closeCodes: codes }
}

const mistake = (option: string, found: unknown, write: string): Error =>
  new Error(`SessionSocket.serve: ${option}: found ${Setting.describe(found)}. ${write}`)

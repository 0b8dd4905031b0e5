/**
 * WebSockets with sessions: a handler for each message, in the session as it is then.
 *
 * **Details**
 *
 * {@link serve} is the handler of a route, inside of the session's middleware. Before the handshake it refuses
 *
 * - a page of another site (cross-site WebSocket hijacking), by the same rules as `Csrf`, see `Csrf.checkHandshake`: a
 *   `CsrfError`, status 403;
 * - a client without a session: a `SessionUnauthenticatedError`, status 401. Who has to be logged in is for a guard to say.
 *
 * From then on each message is a request of its own: it loads the session anew, and what it has changed is written before its
 * answer is sent. If it fails, nothing is written. Messages are handled in their order, one at a time, if `concurrency` says
 * nothing else, and no more are read from the client meanwhile.
 *
 * When the session ends, the socket is closed with the code 4401: at once if this process ends it, and when it
 * expires or another server ends it, with the next message or within `touchEvery`, see `Sessions.watch`. A message that comes later
 * is not handled.
 *
 * When the session gets another id, as by a login in another tab, the socket is closed with the code 4409, and its page
 * connects again, which sends the new cookie. The old id gives nobody access to the new session, not even by a
 * socket that was open before: otherwise an attacker who had planted the id would be logged in with the user (session fixation).
 *
 * A message that uses the session is use, as a request is: it extends the session's life once per `touchEvery`. An open socket
 * is not, see `extend`.
 *
 * **Gotchas**
 *
 * - A socket can't set a cookie. A change that needs one is a `SessionClosedError`: `login`, `logout`, `regenerate`, `destroy`
 *   and `setLifetime`, and with `CookieLayer` every change. The cookie of a session that is `persistent`, as by default, has an end of
 *   its own, so messages can't extend the life of such a session: let the page send a request now and then.
 * - With `CookieLayer`, the socket knows only the cookie of its handshake. It is closed when that is over, even if other tabs have
 *   a newer one by then.
 * - Effect's server for Node.js takes messages of up to 100 MiB into memory before `maxMessageSize` is asked. Give it
 *   `websocket: { maxPayload: 65_536 }`.
 * - Nothing extends a session where sessions never are, as with `rolling: "never"`.
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
 * A message: text, or bytes.
 *
 * @since 0.1.0
 * @category models
 */
export type Message = string | Uint8Array

/**
 * What a message is answered with, if it is.
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
   * Sends a message. It waits until the client has taken what was sent before (see `sendTimeout`), one sender after the other. If
   * the socket is closed, it interrupts.
   */
  readonly send: (message: Message) => Effect.Effect<void>
  /**
   * Runs an effect in the session as it is now, and writes what it has changed, as for a message: for what the server does by
   * itself. That is no use of the session. Once the session has ended, it is a `SessionGoneError`.
   */
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CommitError, Exclude<R, Session>>
  /** Closes the socket, by default with the code 1000. What is still at work is interrupted. */
  readonly close: (code?: number, reason?: string) => Effect.Effect<void>
}

/**
 * What a socket does, and within which bounds.
 *
 * - `onMessage`: handles a message, in the session as it is then and in a scope of its own. What it gives is sent to the client
 *   when the changes are written. Default: messages are thrown away.
 * - `onOpen`: runs beside, until the socket is closed: for what the server sends by itself. Its session is the one of the
 *   handshake, read-only, as it was then; `run` has it as it is now. If it ends, the socket stays open.
 * - `onError`: what becomes of a message that has failed, with an error of its own, of the store or of the commit. Default: the
 *   socket is closed with the code 1011, and the handler of the route fails with the error.
 * - `extend`: what counts as use of the session: `"messages"`; also that the socket is open (`"open"`), which is a
 *   `SessionClosedError` before the handshake if that takes a cookie each time; or nothing (`"never"`). Default `"messages"`.
 * - `concurrency`: how many messages are handled at the same time; their answers come as they are ready. Default 1.
 * - `maxMessageSize`: a larger message closes the socket with the code 1009. Default `"64 KiB"`.
 * - `sendTimeout`: if the client does not take what was sent to it for as long as this, its connection is broken off. That
 *   holds with Effect's server for Node.js. Default `"30 seconds"`.
 * - `closeCodes`: the code with which the socket is closed when the session has `ended` (default 4401), or was `renewed`, with
 *   another id (default 4409).
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
 * What a message can fail with, beside its own errors.
 *
 * @since 0.1.0
 * @category models
 */
export type MessageError = CommitError

/**
 * What an upgrade can fail with.
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

/** What is provided for each message. */
type Provided = Session | Scope.Scope

// -----------------------------------------------------------------------------
// serving
// -----------------------------------------------------------------------------

/**
 * The handler of a route that is a WebSocket. It ends when the socket is closed.
 *
 * **Details**
 *
 * A request that asks for no WebSocket is answered with 426. The connection's errors, such as frames that are none, close the
 * socket, and are no errors of the handler.
 *
 * An option that can't be is an `Error` where `serve` is called.
 *
 * **Example** (Counts what it is told)
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
      // Without it the handshake was none, and has been answered.
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

/** What the application's functions fail with and need is in the types above. */
interface AnyOptions extends Options<unknown, unknown, unknown, unknown> {
  readonly onError?: (error: unknown, socket: SessionSocket) => Effect.Effect<Answer, unknown, unknown>
}

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

const upgradeRequired = HttpServerResponse.text("Upgrade Required", { status: 426, headers: { upgrade: "websocket" } })

const reasons: { readonly [End in Lasting.End]: string } = {
  ended: "The session has ended",
  renewed: "The session has a new id: connect again"
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
  // Effect's socket would keep a later sender waiting for another connection.
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
    // It ends with the connection, whatever the reason.
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
      // Nobody waits for an answer when the session is over: the socket is about to be closed.
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

/** What sends to a socket that is closed interrupts itself, and nothing else. */
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
    throw mistake("concurrency", concurrency, "Write a whole number from 1 on")
  }
  if (size === undefined) throw mistake("maxMessageSize", maxMessageSize, Setting.howToWriteSize)
  if (timeout === undefined || !Duration.isPositive(timeout)) {
    throw mistake("sendTimeout", sendTimeout, "Write a duration longer than zero with its unit, such as \"30 seconds\"")
  }
  for (const [end, code] of Object.entries(codes)) {
    if (Number.isInteger(code) && code >= 3000 && code <= 4999) continue
    throw mistake(`closeCodes.${end}`, code, "Write a code from 4000 to 4999, or a registered one from 3000 on")
  }
  return { extend, concurrency, maxMessageSize: size, sendTimeout: timeout, closeCodes: codes }
}

const mistake = (option: string, found: unknown, write: string): Error =>
  new Error(`SessionSocket.serve: ${option}: found ${Setting.describe(found)}. ${write}`)

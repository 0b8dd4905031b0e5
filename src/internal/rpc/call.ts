/**
 * The session of one call of a procedure.
 *
 * Over HTTP it is an atomic part of the request's session, because a request may contain several calls, and each succeeds or fails
 * separately. If answers are framed, the headers are sent with the first of them, and a call that is still running can then save
 * only changes that need no cookie. On a WebSocket the headers were sent with the handshake, so each call loads the session again.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import { SessionClosedError, SessionGoneError } from "../../SessionError.ts"
import { Exchange, type Ongoing } from "../http/exchange.ts"
import * as Log from "../http/log.ts"
import { AtomicSession } from "../request/atomic.ts"
import type { CommitFailure, Committed } from "../request/committing.ts"
import * as Intent from "../request/intent.ts"
import { RequestSession, type Step } from "../request/requestSession.ts"
import * as State from "../request/state.ts"
import * as Errors from "./errors.ts"

/** The session of a call, from the request's session in its context. `undefined` if that session is not the request's. */
export const begin = (
  session: RequestSession,
  context: Context.Context<never>,
  isStream: boolean
): CallSession | undefined => {
  const { client } = session
  const request = Context.getOrUndefined(context as Context.Context<HttpServerRequest>, HttpServerRequest)
  if (!(client instanceof Exchange)) return request === undefined ? new CallSession(session) : undefined
  // A session from the context in which the server was built is not the request's.
  if (client.request.source !== request?.source) return undefined
  if (client.isUpgraded) return new CallSession(loadedAnew(client))
  const call = new CallSession(session)
  if (isStream && !client.isAnswered) (client.ongoing ??= new Set()).add(call)
  return call
}

/** The current session of the handshake's cookie. No page is shown, so flash messages stay. */
const loadedAnew = (exchange: Exchange): RequestSession => {
  const session = new RequestSession(exchange.session.environment, {
    present: () => exchange.present(),
    input: Effect.succeed({}),
    messages: "stay",
    takesCookie: false
  })
  session.phase = "late"
  return session
}

export class CallSession extends AtomicSession implements Ongoing {
  readonly #request: RequestSession
  #isOver = false

  constructor(request: RequestSession) {
    super(request)
    this.#request = request
  }

  override get phase(): State.Phase {
    return this.#isOver ? "closed" : this.#phaseOfRequest
  }

  /** While the headers are being decided, as if they had been sent. */
  get #phaseOfRequest(): State.Phase {
    const { client, phase } = this.#request
    return phase === "closed" && client instanceof Exchange && client.isAnswering ? "late" : phase
  }

  protected override tried(steps: ReadonlyArray<Step>): ReadonlyArray<Step> {
    return steps.length === 0 ? steps : [...steps, (session) => this.#inTime(session)]
  }

  /** Changes made before the headers are sent may need a cookie. */
  #inTime({ isStateless, state }: RequestSession): Exit.Exit<void, SessionClosedError> {
    const phase = this.#phaseOfRequest
    const isInTime = State.canChange(state, phase, isStateless) &&
      (phase === "open" || !Intent.setsLifetime(state as State.Existing))
    return isInTime ? Exit.void : Exit.fail(new SessionClosedError({ operation: "commit" }))
  }

  /** If it fails, the call retries when it ends. */
  saveSoFar(clock: Clock.Clock): Effect.Effect<unknown> {
    return this.#isOver ? Exit.void : Effect.exit(this.#committed(clock))
  }

  /** An answer of the application is committed before it is sent. A session error, a defect or an interruption is not. */
  ended<A, E>(exit: Exit.Exit<A, E>, clock: Clock.Clock): Effect.Effect<A, E | Failure> {
    this.#isOver = true
    if (Exit.isFailure(exit) && !isAnswer(exit.cause)) return exit
    const hasChanges = this.steps!.length > 0
    return Effect.flatMap(
      this.#committed(clock),
      (committed): Exit.Exit<A, E | SessionGoneError> =>
        committed === "Dropped" && hasChanges ? Exit.fail(new SessionGoneError({})) : exit
    )
  }

  // The client does not learn why it failed, so log it.
  #committed(clock: Clock.Clock): Effect.Effect<Committed, CommitFailure | SessionClosedError> {
    return Effect.tapCause(this.commit(clock), Log.failedCommit)
  }
}

/** What a call can fail with when it ends. */
export type Failure = CommitFailure | SessionClosedError | SessionGoneError

const isAnswer = ({ reasons }: Cause.Cause<unknown>): boolean =>
  reasons.length > 0 && reasons.every((reason) => Cause.isFailReason(reason) && !Errors.isOne(reason.error))

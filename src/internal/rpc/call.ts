/**
 * The session of one call of a procedure.
 *
 * Over HTTP it is a part of the session of the request, which counts as a whole: several calls may have come with the request,
 * and each succeeds or fails by itself. Where answers are framed, the headers go out with the first of them, and a call that
 * goes on can save only what needs no cookie. In a WebSocket, where they have been out since the handshake, each call loads the session
 * anew.
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

/** The session of a call, in whose context that of its request is. None, if that is of something else than the request. */
export const begin = (
  session: RequestSession,
  context: Context.Context<never>,
  isStream: boolean
): CallSession | undefined => {
  const { client } = session
  const request = Context.getOrUndefined(context as Context.Context<HttpServerRequest>, HttpServerRequest)
  if (!(client instanceof Exchange)) return request === undefined ? new CallSession(session) : undefined
  // A session in the context that the server was built in is not one of the request.
  if (client.request.source !== request?.source) return undefined
  if (client.isUpgraded) return new CallSession(loadedAnew(client))
  const call = new CallSession(session)
  if (isStream && !client.isAnswered) (client.ongoing ??= new Set()).add(call)
  return call
}

/** That of the cookie of the handshake, as it is now. Nobody is shown a page. */
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

  /** While it is being decided what the headers are, as if they were out. */
  get #phaseOfRequest(): State.Phase {
    const { client, phase } = this.#request
    return phase === "closed" && client instanceof Exchange && client.isAnswering ? "late" : phase
  }

  protected override tried(steps: ReadonlyArray<Step>): ReadonlyArray<Step> {
    return steps.length === 0 ? steps : [...steps, (session) => this.#inTime(session)]
  }

  /** What was changed before the headers went out may need a cookie. */
  #inTime({ isStateless, state }: RequestSession): Exit.Exit<void, SessionClosedError> {
    const phase = this.#phaseOfRequest
    const isInTime = State.canChange(state, phase, isStateless) &&
      (phase === "open" || !Intent.setsLifetime(state as State.Existing))
    return isInTime ? Exit.void : Exit.fail(new SessionClosedError({ operation: "commit" }))
  }

  /** If it fails, the call tries again when it ends. */
  saveSoFar(clock: Clock.Clock): Effect.Effect<unknown> {
    return this.#isOver ? Exit.void : Effect.exit(this.#committed(clock))
  }

  /** An answer of the application commits, before it goes out; an error of the session, a defect and an interruption do not. */
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

  // The client is not told why it failed, so the log is.
  #committed(clock: Clock.Clock): Effect.Effect<Committed, CommitFailure | SessionClosedError> {
    return Effect.tapCause(this.commit(clock), Log.failedCommit)
  }
}

/** What a call can fail with when it ends. */
export type Failure = CommitFailure | SessionClosedError | SessionGoneError

const isAnswer = ({ reasons }: Cause.Cause<unknown>): boolean =>
  reasons.length > 0 && reasons.every((reason) => Cause.isFailReason(reason) && !Errors.isOne(reason.error))

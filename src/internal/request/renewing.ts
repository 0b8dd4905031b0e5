/**
 * Renewing a value once, however many requests find that it is time: of the servers, the one that has the lease does it, and
 * within this process all requests wait for the same flight. It goes on when the client of its request has gone: a secret that
 * was renewed and is lost may have been the last one.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { SessionGoneError, SessionRenewError } from "../../SessionError.ts"
import * as TimeLimit from "../concurrency/timeLimit.ts"
import * as Lease from "../record/lease.ts"
import * as Identifier from "../token/identifier.ts"
import { type Aside, type AsideFailure, commit, done, isOwn } from "./aside.ts"
import type { RequestSession } from "./requestSession.ts"
import * as State from "./state.ts"

export interface Renewal<E, R> {
  readonly key: string
  readonly field: string
  readonly lease: Duration.Duration
  /** Whether it is time to renew what has this text. */
  readonly isDue: (text: string) => boolean
  /** The text of what comes next. */
  readonly renew: (text: string) => Effect.Effect<string, E, R>
}

export type RenewalFailure = AsideFailure | SessionRenewError

type Renewed<E, R = never> = Effect.Effect<string | undefined, E | RenewalFailure, R>

/** The text after a renewal of this one, by whomever; nothing if there is no value any more. */
export const renewed = <E, R>(session: RequestSession, from: string, renewal: Renewal<E, R>): Renewed<E, R> =>
  Effect.withFiber((fiber) => {
    const known = rememberedIn(session, from, renewal, fiber.getRef(Clock.Clock))
    if (known === undefined) return inFlight(session, from, renewal, fiber)
    return Effect.flatMap(
      adopting(session, from, known, renewal),
      (text) =>
        text === undefined || !renewal.isDue(text) ? Effect.succeed(text) : inFlight(session, text, renewal, fiber)
    )
  })

// -----------------------------------------------------------------------------
// in this process
// -----------------------------------------------------------------------------

type Flight = Deferred.Deferred<string | undefined, unknown>

/** Those of a store, by session and field; or those of a session, where nobody else can know of the value. */
const flights = new WeakMap<object, Map<string, Flight>>()

const inFlight = <E, R>(
  session: RequestSession,
  from: string,
  renewal: Renewal<E, R>,
  fiber: Fiber.Fiber<unknown, unknown>
): Renewed<E, R> => {
  const { environment: { store }, loaded } = session
  const { field } = renewal
  const isShared = store !== undefined && !isOwn(loaded, [field])
  const ofPlace = placeOf(flights, isShared ? store : session)
  const name = nameOf(session, field)
  const underway = ofPlace.get(name)
  if (underway !== undefined) return following(session, from, renewal, underway)
  const flight: Flight = Deferred.makeUnsafe()
  ofPlace.set(name, flight)
  const flown = isShared && !session.isStateless ? withLease(session, from, renewal) : alone(session, from, renewal)
  // A fiber of its own, which nobody interrupts.
  Effect.runForkWith(fiber.context)(flown as Renewed<E>).addObserver((exit) => {
    ofPlace.delete(name)
    Deferred.doneUnsafe(flight, exit)
  })
  return Deferred.await(flight) as Renewed<E>
}

const placeOf = <A>(places: WeakMap<object, Map<string, A>>, place: object): Map<string, A> => {
  const known = places.get(place)
  if (known !== undefined) return known
  const made = new Map<string, A>()
  places.set(place, made)
  return made
}

const nameOf = ({ loaded }: RequestSession, field: string): string => `${State.storedKeyOf(loaded) ?? ""} ${field}`

/** Another request renews it. What it fails with is an error of that request, unless the session is gone for both. */
const following = (
  session: RequestSession,
  from: string,
  renewal: Pick<Renewal<unknown, unknown>, "key" | "field">,
  flight: Flight
): Renewed<never> =>
  Effect.matchCauseEffect(Deferred.await(flight), {
    onFailure: (cause): Renewed<never> => {
      const error = Cause.squash(cause)
      return Effect.fail(
        error instanceof SessionRenewError || error instanceof SessionGoneError
          ? error
          : new SessionRenewError({ key: renewal.key, reason: "failed", cause: error })
      )
    },
    onSuccess: (to) => to === undefined ? Effect.undefined : adopting(session, from, to, renewal)
  })

/** Another request has renewed it: the store tells what is there now, or the cookie of this one gets it too. */
const adopting = (
  session: RequestSession,
  from: string,
  to: string,
  { field }: Pick<Renewal<unknown, unknown>, "field">
): Renewed<never> =>
  commit<string | undefined>(session, {
    reads: [field],
    decide: (fields) =>
      fields.get(field) === from
        ? { answer: to, writes: new Map([[field, to]]) }
        : { answer: fields.get(field) }
  })

// -----------------------------------------------------------------------------
// the renewal
// -----------------------------------------------------------------------------

/** Where no other process can know of the value, or the session is at the client. */
const alone = <E, R>(session: RequestSession, from: string, renewal: Renewal<E, R>): Renewed<E, R> =>
  Effect.flatMap(inTime(renewal, from), (to) => Effect.map(replacing(session, from, to, renewal), ({ text }) => text))

/** Of all processes, the one that gets the lease. The others wait, until there is another value or the lease is free. */
const withLease = Effect.fnUntraced(function*<E, R>(
  session: RequestSession,
  from: string,
  renewal: Renewal<E, R>
): Effect.fn.Return<string | undefined, E | RenewalFailure, R> {
  const { environment: { settings } } = session
  const owner = Identifier.random()
  const patience = Duration.toMillis(Duration.sum(renewal.lease, settings.timeLimit))
  const end = (yield* Clock.currentTimeMillis) + patience
  for (let pause = 20;; pause = Math.min(2 * pause, 500)) {
    const now = yield* Clock.currentTimeMillis
    const taken = yield* commit(session, taking(from, owner, renewal, now))
    if (taken._tag === "Changed") return taken.text
    if (taken._tag === "Taken") break
    if (now >= end) return yield* timedOut(renewal)
    yield* Effect.sleep(pause)
  }
  const to = yield* Effect.onError(
    inTime(renewal, from),
    () => Effect.ignore(commit(session, releasing(owner, renewal)))
  )
  const { isDone, isTold, text } = yield* replacing(session, from, to, renewal, owner)
  return isDone || isTold ? text : yield* new SessionGoneError({})
})

/** Who takes longer than the lease may not be the only one any more. */
const inTime = <E, R>(renewal: Renewal<E, R>, from: string): Effect.Effect<string, E | SessionRenewError, R> =>
  TimeLimit.make(renewal.lease)(Effect.suspend(() => renewal.renew(from)), () => timedOut(renewal))

const timedOut = ({ key }: Renewal<unknown, unknown>) => new SessionRenewError({ key, reason: "timeout" })

type Taking = { readonly _tag: "Taken" | "Held" } | { readonly _tag: "Changed"; readonly text: string | undefined }

const taking = (
  from: string,
  owner: string,
  { field, lease }: Renewal<unknown, unknown>,
  now: number
): Aside<Taking> => {
  const leaseField = Lease.fieldOf(field)
  const mine = Lease.encode({ owner, until: now + Duration.toMillis(lease) })
  return {
    reads: [field, leaseField],
    guesses: [leaseField],
    decide: (fields) => {
      const text = fields.get(field)
      if (text !== from) return { answer: { _tag: "Changed", text } }
      const held = Lease.decode(fields.get(leaseField))
      return held !== undefined && now < held.until
        ? { answer: { _tag: "Held" } }
        : { answer: { _tag: "Taken" }, writes: new Map([[leaseField, mine]]) }
    }
  }
}

/** Others need not wait for the end of the lease. */
const releasing = (owner: string, { field }: Renewal<unknown, unknown>): Aside<void> => {
  const leaseField = Lease.fieldOf(field)
  return {
    reads: [leaseField],
    decide: (fields) =>
      Lease.decode(fields.get(leaseField))?.owner === owner
        ? { answer: undefined, writes: new Map([[leaseField, undefined]]) }
        : { answer: undefined },
    follows: true
  }
}

interface Replaced {
  readonly isDone: boolean
  /** Whether the text is that of the session, and not of one that another request has made of it. */
  readonly isTold: boolean
  readonly text: string | undefined
}

/**
 * Puts the new value in the place of the one that it was made of, unless somebody else has the lease by now. If the store fails,
 * it is tried again: the old value may be worth nothing any more.
 */
const replacing = (
  session: RequestSession,
  from: string,
  to: string,
  { field }: Renewal<unknown, unknown>,
  owner?: string
): Effect.Effect<Replaced, AsideFailure> => {
  const leaseField = Lease.fieldOf(field)
  const replace: Aside<Omit<Replaced, "isTold">> = {
    reads: owner === undefined ? [field] : [field, leaseField],
    decide: (fields) => {
      const text = fields.get(field)
      const holder = owner && Lease.decode(fields.get(leaseField))
      if (text !== from || holder && holder.owner !== owner) return { answer: { isDone: false, text } }
      const writes = new Map<string, string | undefined>([[field, to]])
      return { answer: { isDone: true, text: to }, writes: holder ? writes.set(leaseField, undefined) : writes }
    },
    follows: true
  }
  return done(session, replace).pipe(
    Effect.retry({ schedule: Schedule.exponential("50 millis"), times: 5, while: isOfStore }),
    Effect.map(({ answer, moved }) => ({ ...answer, isTold: moved !== undefined || owner === undefined })),
    Effect.tap(() => remember(session, from, to, field))
  )
}

const isOfStore = ({ _tag }: AsideFailure): boolean => _tag === "SessionStoreError"

// -----------------------------------------------------------------------------
// sessions at the client
// -----------------------------------------------------------------------------

/** What a value has become, for clients that come with the cookie from before. */
interface Remembered {
  readonly from: string
  readonly to: string
  readonly until: number
}

const remembered = new WeakMap<object, Map<string, Remembered>>()

const remember = (
  session: RequestSession,
  from: string,
  to: string,
  field: string
): Effect.Effect<void> => {
  const { environment: { settings, store } } = session
  return store === undefined || !session.isStateless ? Effect.void : Effect.clockWith((clock) => {
    const now = clock.currentTimeMillisUnsafe()
    const ofStore = placeOf(remembered, store)
    // The oldest are first.
    for (const [name, { until }] of ofStore) {
      if (now < until) break
      ofStore.delete(name)
    }
    const name = nameOf(session, field)
    ofStore.delete(name)
    ofStore.set(name, { from, to, until: now + Duration.toMillis(settings.supersededFor) })
    return Effect.void
  })
}

const rememberedIn = (
  session: RequestSession,
  from: string,
  { field }: Renewal<unknown, unknown>,
  clock: Clock.Clock
): string | undefined => {
  const { environment: { store } } = session
  const known = store && remembered.get(store)?.get(nameOf(session, field))
  return known?.from === from && clock.currentTimeMillisUnsafe() < known.until ? known.to : undefined
}

/**
 * What all stores on a server have in common: from the token to the key in the store, expiry, regeneration, retries and
 * time limits.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { requireSecret, SessionConfig, type Settings } from "../../SessionConfig.ts"
import { SessionStoreError, SessionTooLargeError, type StoreOperation } from "../../SessionError.ts"
import type {
  Backend,
  Gone,
  Loaded,
  NotFoundReason,
  Operations,
  SessionStore,
  Taken,
  Written
} from "../../SessionStore.ts"
import * as Change from "../record/change.ts"
import * as Expiry from "../record/expiry.ts"
import * as Identifier from "../token/identifier.ts"
import * as KeyRing from "../token/keyRing.ts"
import * as Protection from "../token/protection.ts"
import * as TimeLimit from "./timeLimit.ts"

const TypeId = "~effect-session/SessionStore"

export const gone: Gone = { _tag: "Gone" }
export const taken: Taken = { _tag: "Taken" }
export const superseded: Loaded = { _tag: "Superseded" }
export const written = (token?: string): Written =>
  token === undefined ? unchanged : { _tag: "Written", token: Redacted.make(token) }
const unchanged: Written = { _tag: "Written", token: undefined }

const notFoundBecause = (reason: NotFoundReason): Loaded => ({ _tag: "NotFound", reason })
export const notFound: { readonly [Reason in NotFoundReason]: Loaded } = {
  malformed: notFoundBecause("malformed"),
  tampered: notFoundBecause("tampered"),
  unknown: notFoundBecause("unknown"),
  expired: notFoundBecause("expired")
}

// -----------------------------------------------------------------------------
// time limits and retries
// -----------------------------------------------------------------------------

const repeatable: ReadonlySet<StoreOperation> = new Set(["load", "touch", "destroy"])

/** The others are several: each of those may keep the time limit while all together do not. */
const ofOneStep: ReadonlySet<StoreOperation> = new Set(["load", "create", "update", "touch"])

type Guard = (
  operation: StoreOperation
) => <A>(effect: Effect.Effect<A, unknown>) => Effect.Effect<A, SessionStoreError | SessionTooLargeError>

const makeGuard = (driver: string, { retries, timeLimit }: Settings, keepsTimeLimit: boolean): Guard => {
  const within = TimeLimit.make(timeLimit)
  return (operation) => {
    const failed = (cause: unknown) => new SessionStoreError({ driver, operation, cause })
    const timedOut = () => failed(TimeLimit.noAnswer(timeLimit))
    const onCause = (cause: Cause.Cause<unknown>) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      // A driver that throws has failed as well.
      const error = Cause.squash(cause)
      const isOurs = error instanceof SessionStoreError || error instanceof SessionTooLargeError
      return Effect.fail(isOurs ? error : failed(error))
    }
    const isRepeated = retries > 0 && repeatable.has(operation)
    if (keepsTimeLimit && !isRepeated && ofOneStep.has(operation)) {
      return (effect) => Effect.catchCause(effect, onCause)
    }
    return (effect) =>
      Effect.catchCause(within(isRepeated ? Effect.retry(effect, { times: retries }) : effect, timedOut), onCause)
  }
}

const guarded = (store: Operations, guard: Guard): SessionStore => {
  const load = guard("load")
  const create = guard("create")
  const update = guard("update")
  const touch = guard("touch")
  const regenerate = guard("regenerate")
  const destroy = guard("destroy")
  return {
    [TypeId]: TypeId,
    driver: store.driver,
    stateless: store.stateless,
    load: (token) => onlyStoreError(load(store.load(token))),
    create: (id, record) => create(store.create(id, record)),
    update: (id, change, record) => update(store.update(id, change, record)),
    touch: (id, record) => touch(store.touch(id, record)),
    regenerate: (id, newId, change, record) => regenerate(store.regenerate(id, newId, change, record)),
    destroy: (id, record) => onlyStoreError(destroy(store.destroy(id, record)))
  }
}

// Nothing is too large to be loaded or destroyed.
const onlyStoreError = <A>(effect: Effect.Effect<A, SessionStoreError | SessionTooLargeError>) =>
  effect as Effect.Effect<A, SessionStoreError>

export const make = (
  store: Operations,
  { keepsTimeLimit = false }: { readonly keepsTimeLimit?: boolean } = {}
): Effect.Effect<SessionStore, never, SessionConfig> =>
  Effect.map(SessionConfig, (settings) => guarded(store, makeGuard(store.driver, settings, keepsTimeLimit)))

// -----------------------------------------------------------------------------
// the store of a back end
// -----------------------------------------------------------------------------

export const fromBackend = Effect.fnUntraced(function*(backend: Backend) {
  const settings = yield* SessionConfig
  const protection = yield* makeProtection(settings)
  return yield* make(operations(backend, protection, settings), backend)
})

const makeProtection = Effect.fnUntraced(function*(settings: Settings) {
  const { cookie, id, secret } = settings
  if (id.protection === "none") return Protection.none
  if (settings.enabled) {
    yield* requireSecret(settings, `id.protection ${JSON.stringify(id.protection)}`)
  }
  const keys = KeyRing.make(secret, id.protection === "signed" ? "sign-id" : "seal-id")
  // Without a secret the sessions are switched off, and no token is ever looked at.
  if (keys === undefined) return Protection.none
  return id.protection === "signed" ? Protection.signed(keys, cookie.name) : Protection.encrypted(keys, cookie.name)
})

const operations = (
  backend: Backend,
  protection: Protection.Protection,
  settings: Settings
): Operations => {
  const expiry = Expiry.make(settings)
  const supersededFor = Duration.toMillis(settings.supersededFor)
  const keyOf = (id: Redacted.Redacted<string>) => Identifier.hash(Redacted.value(id))
  const tokenOf = (id: Redacted.Redacted<string>) => written(protection.protect(Redacted.value(id)))

  const load = (token: Redacted.Redacted<string>) =>
    Effect.withFiber((fiber) => {
      const opened = protection.open(Redacted.value(token))
      if (opened._tag === "Rejected") return Effect.succeed(notFound[opened.reason])
      return Effect.map(backend.load(Identifier.hash(opened.id)), (stored): Loaded => {
        if (stored === undefined) return notFound.unknown
        const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
        if ("supersededUntil" in stored) return now < stored.supersededUntil ? superseded : notFound.unknown
        if (expiry.isExpired(stored, now)) return notFound.expired
        const renewed = opened.outdated ? Redacted.make(protection.protect(opened.id)) : undefined
        return { _tag: "Found", id: Redacted.make(opened.id), record: stored, renewed }
      })
    })

  const regenerate = Effect.fnUntraced(function*(
    id: Redacted.Redacted<string>,
    newId: Redacted.Redacted<string>,
    change: Change.Change,
    record: Parameters<SessionStore["regenerate"]>[3]
  ) {
    const key = keyOf(newId)
    if (!(yield* backend.create(key, record))) return taken
    const now = yield* Clock.currentTimeMillis
    const supersededUntil = Math.min(now + supersededFor, record.expiresAt)
    const old = yield* backend.supersede(keyOf(id), { supersededUntil, successor: key })
    if (old === undefined) {
      yield* backend.destroy(key)
      return gone
    }
    // What others committed between this request's load and now; only this request knows of it any more.
    const missed = Change.difference(record.fields, Change.apply(old.fields, change))
    const touch = old.expiresAt > record.expiresAt
    if (touch || !Change.isEmpty(missed)) {
      yield* Effect.retry(backend.update(key, { ...missed, touch }, old), { times: 2 })
    }
    return tokenOf(newId)
  })

  /** Who ends a session that another request has just given a new id means that one as well. */
  const destroy = (key: string): Effect.Effect<void, unknown> =>
    Effect.flatMap(
      backend.destroy(key),
      (mark) => mark !== undefined && Identifier.isHash(mark.successor) ? destroy(mark.successor) : Effect.void
    )

  return {
    driver: backend.driver,
    stateless: false,
    load,
    create: (id, record) =>
      Effect.map(Effect.suspend(() => backend.create(keyOf(id), record)), (created) => created ? tokenOf(id) : taken),
    update: (id, change, record) => existing(Effect.suspend(() => backend.update(keyOf(id), change, record))),
    touch: (id, record) => existing(Effect.suspend(() => backend.touch(keyOf(id), record))),
    regenerate,
    destroy: (id) => Effect.suspend(() => destroy(keyOf(id)))
  }
}

const existing = <E>(wasThere: Effect.Effect<boolean, E>) =>
  Effect.map(wasThere, (wasThere) => wasThere ? unchanged : gone)

// -----------------------------------------------------------------------------
// sessions that are switched off
// -----------------------------------------------------------------------------

/** Where sessions are switched off (`enabled: false`), nothing asks the store, so none is connected. */
export const inert = (driver: string): SessionStore => ({
  [TypeId]: TypeId,
  driver,
  stateless: false,
  load: () => Effect.succeed(notFound.unknown),
  create: () => Effect.succeed(unchanged),
  update: () => Effect.succeed(gone),
  touch: () => Effect.succeed(gone),
  regenerate: () => Effect.succeed(gone),
  destroy: () => Effect.void
})

/**
 * The store of a back end: tokens and keys, expiry, and regeneration.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { SessionConfig, type Settings } from "../../SessionConfig.ts"
import type {
  Backend,
  Conflict,
  Gone,
  Loaded,
  Operations,
  SupersededRecord,
  Taken,
  Watched,
  Written
} from "../../SessionStore.ts"
import * as Afresh from "../concurrency/afresh.ts"
import * as TimeLimit from "../concurrency/timeLimit.ts"
import { requireSecret } from "../config/secret.ts"
import * as Change from "../record/change.ts"
import * as Expiry from "../record/expiry.ts"
import * as Meta from "../record/meta.ts"
import * as Owner from "../record/owner.ts"
import type { Fields, SessionRecord, Times } from "../record/record.ts"
import * as KeyRing from "../token/keyRing.ts"
import * as Protection from "../token/protection.ts"
import { Id, Token } from "../token/secret.ts"
import {
  conflict,
  expired,
  gone,
  isConflict,
  notOurs,
  superseded,
  taken,
  unchanged,
  unknown,
  written
} from "./answers.ts"
import * as Guard from "./guard.ts"
import * as Owners from "./owners.ts"
import * as Peek from "./peek.ts"
import * as Successor from "./successor.ts"

export const fromBackend = Effect.fnUntraced(function*(backend: Backend) {
  const settings = yield* SessionConfig
  const protection = yield* makeProtection(settings)
  return yield* Guard.make(operations(backend, protection, settings), {
    keepsTimeLimit: backend.keepsTimeLimit ?? false,
    regeneratesInOneStep: backend.regenerate !== undefined
  })
})

const makeProtection = Effect.fnUntraced(function*(settings: Settings) {
  const { cookie, id, secret } = settings
  if (id.protection === "none") return Protection.none
  if (settings.enabled) {
    yield* requireSecret(settings, `id.protection ${JSON.stringify(id.protection)}`)
  }
  const keys = KeyRing.make(secret, id.protection === "signed" ? "sign-id" : "seal-id")
  // Without a secret, sessions are turned off, and no token is ever read.
  if (keys === undefined) return Protection.none
  return id.protection === "signed" ? Protection.signed(keys, cookie.name) : Protection.encrypted(keys, cookie.name)
})

const writtenWithoutToken = Exit.succeed(unchanged)

type Regenerate = NonNullable<Backend["regenerate"]>

const operations = (
  backend: Backend,
  protection: Protection.Protection,
  settings: Settings
): Operations => {
  const expiry = Expiry.make(settings)
  const within = TimeLimit.make(settings.timeLimit)
  const supersededFor = Duration.toMillis(settings.supersededFor)
  const tokenOf = (id: Id) => written(protection.protect(id.text))
  const { owners: index } = backend
  const owners = index &&
    Owners.make(backend, index, settings, expiry, Guard.ofOwners(backend.driver, settings))

  const load = ({ text: token }: Token) =>
    Effect.withFiber((fiber) => {
      const opened = protection.open(token)
      if (opened._tag === "Rejected") return Effect.succeed(notOurs[opened.reason])
      const id = new Id(opened.id)
      return Effect.map(backend.load(id.key), (stored): Loaded => {
        if (stored === undefined) return unknown(id)
        const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
        if ("supersededUntil" in stored) {
          return now < stored.supersededUntil && !Successor.isEnd(stored.successor) ? superseded(id) : unknown(id)
        }
        if (expiry.isExpired(stored, now)) return expired(id, stored)
        const renewed = opened.outdated ? new Token(protection.protect(opened.id)) : undefined
        return { _tag: "Found", id, record: stored, renewed }
      })
    })

  const regenerate = (id: Id, newId: Id, record: SessionRecord, before: Fields, overwritten: Change.Overwritten = []) =>
    Effect.withFiber((fiber) => {
      const { key } = newId
      const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
      const mark = {
        supersededUntil: Math.min(now + supersededFor, record.expiresAt),
        successor: Successor.encode({ key, overwritten })
      }
      return Effect.flatMap(
        replaced(id.key, key, record, mark, before),
        (answer): ReturnType<typeof regenerateAgain> =>
          answer === "taken"
            ? inTime(Afresh.reading(regenerateAgain(id.key, newId, record, before)))
            : Effect.succeed(answer === true ? tokenOf(newId) : answer === false ? gone : answer)
      )
    })

  /** Several steps, although the guard expects a single one that keeps the time limit. */
  const inTime = <A>(steps: Effect.Effect<A, unknown>) => within(steps, () => TimeLimit.noAnswer(settings.timeLimit))

  const replaced: Regenerate = (...parameters) =>
    backend.regenerate === undefined ? stepByStep(...parameters) : backend.regenerate(...parameters)

  const stepByStep: Regenerate = Effect.fnUntraced(function*(key, newKey, record, mark, before) {
    if (!(yield* backend.create(newKey, record))) return "taken"
    const old = yield* backend.supersede(key, mark, before)
    if (old === undefined || isConflict(old)) {
      yield* backend.destroy(newKey)
      return old ?? false
    }
    // Another request has extended the session further.
    if (old.expiresAt > record.expiresAt) yield* Effect.retry(backend.touch(newKey, old), { times: 2 })
    return true
  })

  /**
   * Something is stored under the key of a new id. It is a mark if the owner's sessions were ended in advance. It is
   * this very session if the answer to a first attempt was lost: another id would appear next to it in the owner's
   * list.
   */
  const notNew = Effect.fnUntraced(function*(
    id: Id,
    record: SessionRecord
  ): Effect.fn.Return<Written | Gone | Taken, unknown> {
    const { key } = id
    const owner = record.fields.get(Meta.owner)
    if (owner === undefined) return taken
    const stored = yield* seeNow(key)
    if (Owners.isBuried(stored)) return gone
    if (stored === undefined || "successor" in stored || stored.fields.get(Meta.owner) !== owner) return taken
    const all = { ...Change.none, clear: true, set: record.fields, touch: true }
    return (yield* backend.update(key, all, record)) === true ? tokenOf(id) : gone
  })

  /**
   * If the driver allows inconsistent loads, the mark could be missed, and the session would be created under another
   * id.
   */
  const seeNow = (key: string) =>
    backend.peek === undefined
      ? backend.load(key)
      : Effect.map(backend.peek([key], [Meta.owner]), (found) => found.get(key))

  /** The new id is in use. It may be this very session, if the answer to a first attempt was lost. */
  const regenerateAgain = Effect.fnUntraced(function*(
    old: string,
    newId: Id,
    record: SessionRecord,
    before: Fields
  ): Effect.fn.Return<Written | Gone | Taken | Conflict, unknown> {
    const key = newId.key
    const mark = yield* backend.load(old)
    // Only that id may have been ended in advance, not the owner's session, which can get another one.
    if (mark !== undefined && "fields" in mark && isSameOwner(mark, record)) return taken
    if (mark === undefined || !("successor" in mark) || Successor.decode(mark.successor)?.key !== key) {
      return yield* notNew(newId, record)
    }
    // This leaves the mark and confirms it, since a back end that waits for replicas may have given up.
    yield* backend.destroy(old)
    const stored = yield* backend.load(key)
    if (stored === undefined || "successor" in stored) return gone
    if (!Change.isSame(stored.fields, before)) return conflict(stored)
    const change = { ...Change.difference(before, record.fields), touch: true }
    const updated = yield* backend.update(key, change, record)
    return updated === true ? tokenOf(newId) : updated === false ? gone : updated
  })

  /**
   * An exception in a driver is a failure too. `Effect.suspend` would catch it as well, but allocates 130 bytes per
   * commit.
   */
  const tryToUpdate: Backend["update"] = (key, change, times) => {
    try {
      return backend.update(key, change, times)
    } catch (cause) {
      return Exit.die(cause)
    }
  }

  const update = (key: string, change: Change.Change, times: Times, isSuccessor: boolean) =>
    Effect.flatMap(
      tryToUpdate(key, change, times),
      (answer): Effect.Effect<Written | Gone | Conflict, unknown> =>
        answer === true
          ? writtenWithoutToken
          : answer === false
          ? inTime(Afresh.reading(findSuccessor(key)))
          : Effect.succeed(isSuccessor ? { ...answer, successor: key } : answer)
    )

  /** Finds out what happened to a session that is no longer under its key. */
  const findSuccessor = (
    key: string,
    overwritten: Change.Overwritten = [],
    left = 10
  ): Effect.Effect<Gone | Conflict, unknown> =>
    Effect.flatMap(Effect.zip(backend.load(key), Clock.currentTimeMillis), ([stored, now]) => {
      if (stored === undefined || left === 0) return Effect.succeed(gone)
      if ("fields" in stored) {
        return Effect.succeed(
          expiry.isExpired(stored, now) ? gone : { ...conflict(stored), successor: key, overwritten }
        )
      }
      const next = now < stored.supersededUntil ? Successor.goingOn(stored.successor) : undefined
      return next === undefined
        ? Effect.succeed(gone)
        : findSuccessor(next.key, Change.both(overwritten, next.overwritten), left - 1)
    })

  /** Ending a session that another request has just regenerated ends its successor too. */
  const destroy = (key: string): Effect.Effect<void, unknown> =>
    Effect.flatMap(Effect.zip(backend.destroy(key), Clock.currentTimeMillis), ([mark, now]) => {
      const next = mark === undefined || now >= mark.supersededUntil ? undefined : Successor.goingOn(mark.successor)
      return next === undefined ? Effect.void : destroy(next.key)
    })

  const peek = Peek.of(backend)

  const look = (sessions: ReadonlyArray<Watched>) =>
    Effect.map(
      Effect.zip(peek(sessions.map(({ key }) => key), Meta.all), Clock.currentTimeMillis),
      ([stored, now]) =>
        new Map(sessions.flatMap(({ key }) => {
          const current = keyNow(key, stored.get(key), now)
          return current === undefined ? [] : [[key, current] as const]
        }))
    )

  const keyNow = (key: string, stored: SessionRecord | SupersededRecord | undefined, now: number) => {
    if (stored === undefined) return undefined
    if ("fields" in stored) return expiry.isExpired(stored, now) ? undefined : key
    return now < stored.supersededUntil ? Successor.goingOn(stored.successor)?.key : undefined
  }

  return {
    driver: backend.driver,
    stateless: false,
    owners,
    load,
    create: (id, record) =>
      Effect.flatMap(
        Effect.suspend(() => backend.create(id.key, record)),
        (created): Effect.Effect<Written | Gone | Taken, unknown> =>
          created ? Effect.succeed(tokenOf(id)) : inTime(Afresh.reading(notNew(id, record)))
      ),
    update: (id, change, record, successor) => update(successor ?? id.key, change, record, successor !== undefined),
    touch: (id, record) =>
      Effect.map(Effect.suspend(() => backend.touch(id.key, record)), (wasThere) => wasThere ? unchanged : gone),
    regenerate,
    destroy: (id) => Effect.suspend(() => destroy(id.key)),
    look
  }
}

const isSameOwner = (one: SessionRecord, other: SessionRecord): boolean => {
  const owner = Owner.of(one.fields)
  return owner !== undefined && owner.id === Owner.of(other.fields)?.id
}

/**
 * What a database's error means for the statement.
 */
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"

/** A row with this key exists. */
export const isTaken = ({ reason }: SqlError): boolean => reason._tag === "UniqueViolation"

const isDisturbed = ({ reason }: SqlError): boolean =>
  reason._tag === "DeadlockError" || reason._tag === "SerializationError"

const isLocked = ({ reason }: SqlError): boolean =>
  reason._tag === "LockTimeoutError" ||
  // For clients that do not distinguish the errors of SQLite.
  reason.cause instanceof Error && /database (table )?is locked/.test(reason.cause.message)

/** The database has undone the statement because of others, so it can be repeated. One of them always succeeds. */
export const untilUndisturbed = <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> =>
  Effect.catchIf(effect, isDisturbed, () => untilUndisturbed(effect))

/**
 * Another process has locked the SQLite file. Its `busy_timeout` would wait too, but block this process. This way other requests
 * continue. The time limit ends it.
 */
export const untilFree = <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> =>
  Effect.catchIf(effect, isLocked, () => Effect.delay(untilFree(effect), "10 millis"))

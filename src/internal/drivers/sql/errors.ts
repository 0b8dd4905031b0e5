/**
 * What an error of a database says of the statement that it has refused.
 */
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"

/** There is a row with this key. */
export const isTaken = ({ reason }: SqlError): boolean => reason._tag === "UniqueViolation"

const isDisturbed = ({ reason }: SqlError): boolean =>
  reason._tag === "DeadlockError" || reason._tag === "SerializationError"

const isLocked = ({ reason }: SqlError): boolean =>
  reason._tag === "LockTimeoutError" ||
  // Where a client does not tell one error of SQLite from another.
  reason.cause instanceof Error && /database (table )?is locked/.test(reason.cause.message)

/** What the database has undone, as others were in its way, has not happened: once more. One of them always gets through. */
export const untilUndisturbed = <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> =>
  Effect.catchIf(effect, isDisturbed, () => untilUndisturbed(effect))

/**
 * Another process has locked all of a SQLite file. Its own `busy_timeout` would wait too, but stop everything else in this
 * process meanwhile; here other requests go on. The time limit ends it.
 */
export const untilFree = <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> =>
  Effect.catchIf(effect, isLocked, () => Effect.delay(untilFree(effect), "10 millis"))

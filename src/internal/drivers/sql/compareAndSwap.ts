/**
 * Commits for a database that can't change single fields exactly. A change is applied to the row as it was read, and written only if
 * the row is still the same. If another commit came in between, it is applied again to the result of that.
 */
import * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Conflict } from "../../../SessionStore.ts"
import * as Change from "../../record/change.ts"
import type { Fields, SessionRecord, Times } from "../../record/record.ts"
import { conflict, isConflict } from "../../store/answers.ts"
import type { Commits, Dialect, Table } from "./dialect.ts"
import { type Row, toMark, toSession, toText } from "./rows.ts"

type Step<A> = (row: Row, session: SessionRecord) => Effect.Effect<A, SqlError>

export const make = (table: Table, { greatest, key: keyColumn }: Pick<Dialect, "greatest" | "key">): Commits => {
  const write = `UPDATE ${table.name} ` +
    `SET touched_at = ${greatest}(touched_at, ?), expires_at = ${greatest}(expires_at, ?), fields = ? ` +
    `WHERE ${keyColumn} = ? AND fields = ?`

  // Compares the time too, because superseding a session needs its expiry. As a sum, so that no index applies: MySQL would use
  // that, and lock out new sessions with a similar expiry for as long as this statement waits.
  const mark = `UPDATE ${table.name} SET superseded_until = ?, expires_at = ?, fields = ? ` +
    `WHERE ${keyColumn} = ? AND fields = ? AND expires_at + 0 = ?`

  /** Repeats a step until it succeeds, and returns the session as it was. */
  const swap = (
    key: string,
    isExpected: (fields: Fields) => boolean,
    step: Step<boolean>
  ): Effect.Effect<SessionRecord | Conflict | undefined, SqlError> =>
    Effect.flatMap(table.row(key), (row) => {
      const session = toSession(row)
      if (row === undefined || session === undefined) return Effect.undefined
      if (!isExpected(session.fields)) return Effect.succeed(conflict(session))
      return Effect.flatMap(
        step(row, session),
        (isTaken) => isTaken ? Effect.succeed(session) : swap(key, isExpected, step)
      )
    })

  const writing = (key: string, change: Change.Change, times: Times): Step<boolean> => (row, session) => {
    const { expiresAt, fields, touchedAt } = Change.merge(session, change, times)
    const text = toText(fields)
    // Some clients report no row for a statement that changes nothing.
    const isThere = text === row.fields && touchedAt === session.touchedAt && expiresAt === session.expiresAt
    return isThere ? Effect.succeed(true) : table.changes(write, [touchedAt, expiresAt, text, key, row.fields])
  }

  return {
    update: (key, change, times) =>
      Effect.map(
        swap(key, (fields) => Change.isExpected(fields, change.expect), writing(key, change, times)),
        (session) => isConflict(session) ? session : session !== undefined
      ),
    supersede: (key, { successor, supersededUntil }, expected) =>
      swap(
        key,
        (fields) => Change.isSame(fields, expected),
        (row, { expiresAt }) =>
          table.changes(mark, [supersededUntil, supersededUntil, toMark(successor), key, row.fields, expiresAt])
      ),
    regenerate: undefined
  }
}

/**
 * The differences between databases: the table, and how a session in it is changed.
 */
import type * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Constructor, Statement } from "effect/sql/Statement"
import type { Backend } from "../../../SessionStore.ts"
import type { Row } from "./rows.ts"

export interface Dialect {
  /** The column `key`, a reserved word in some of them. */
  readonly key: string
  /** The column `fields`, as text. */
  readonly fields: string
  /** The function that returns the greater of two numbers. */
  readonly greatest: string
  /** The placeholder of a parameter, counting from 1. */
  readonly parameter: (index: number) => string
  /** The end of an INSERT that keeps an existing row. Without it, the INSERT fails. */
  readonly orNothing: string
  /** The end of an INSERT that overwrites these columns of an existing row. */
  readonly orReplace: (key: string, columns: ReadonlyArray<string>) => string
  /**
   * The column `fields` as text, reduced to these fields if that is faster than sending all. The parameters are the first of the
   * statement. A value that is not an object stays as it is.
   */
  readonly picked: (names: ReadonlyArray<string>) => { readonly text: string; readonly parameters: Parameters }
  /** Runs a statement and returns whether it changed a row. */
  readonly changes: (send: Send, text: string, parameters: Parameters) => Effect.Effect<boolean, SqlError>
  readonly commits: (table: Table) => Commits
  /** The type of the column `fields` and a query for it, `undefined` if any text type will do. */
  readonly type: { readonly expected: string; readonly query: (table: string) => string } | undefined
  /** Whether a client has a single connection. */
  readonly hasOneConnection: boolean
  /** Whether a writing process locks out the others. */
  readonly isLockedAsAWhole: boolean
  /** Whether creating a table ends the transaction. */
  readonly endsTransactions: boolean
  /** The statements that create both tables, if they don't exist. */
  readonly create: (sql: Constructor, table: string) => ReadonlyArray<Statement<object>>
}

export type Parameters = ReadonlyArray<unknown>

/** Sends statements to the database. */
export interface Send {
  readonly rows: <A extends object>(text: string, parameters: Parameters) => Effect.Effect<ReadonlyArray<A>, SqlError>
  /** Returns the client's raw result. */
  readonly raw: (text: string, parameters: Parameters) => Effect.Effect<unknown, SqlError>
}

/** The table, for statements of a dialect. */
export interface Table {
  /** The quoted name. */
  readonly name: string
  readonly rows: Send["rows"]
  readonly changes: (text: string, parameters: Parameters) => Effect.Effect<boolean, SqlError>
  /** The row of a key. */
  readonly row: (key: string) => Effect.Effect<Row | undefined, SqlError>
}

/** The operations that read the fields of a session before they write. */
export interface Commits {
  readonly update: Sent<Backend["update"]>
  readonly supersede: Sent<Backend["supersede"]>
  readonly regenerate: Sent<NonNullable<Backend["regenerate"]>> | undefined
}

type Sent<Operation> = Operation extends (...parameters: infer P) => Effect.Effect<infer A, unknown>
  ? (...parameters: P) => Effect.Effect<A, SqlError>
  : never

// -----------------------------------------------------------------------------
// names
// -----------------------------------------------------------------------------

// The prefix comes first: PostgreSQL truncates long names, and the result must differ from the table's name.
export const indexOf = (table: string): string => `idx_${withoutSchema(table)}_expires_at`

export const ownersOf = (table: string): string => `${schemaOf(table)}owners_of_${withoutSchema(table)}`

export const schemaOf = (table: string): string => table.slice(0, table.lastIndexOf(".") + 1)

export const withoutSchema = (table: string): string => table.slice(table.lastIndexOf(".") + 1)

/** The syntax of PostgreSQL and SQLite. */
export const onConflict: Dialect["orReplace"] = (key, columns) =>
  ` ON CONFLICT (${key}) DO UPDATE SET ${columns.map((column) => `${column} = excluded.${column}`).join(", ")}`

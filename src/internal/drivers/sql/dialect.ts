/**
 * In what the databases differ: the table, and how a session in it is changed.
 */
import type * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"
import type { Constructor, Statement } from "effect/sql/Statement"
import type { Backend } from "../../../SessionStore.ts"
import type { Row } from "./rows.ts"

export interface Dialect {
  /** The column `key`, which is a word of the language in some of them. */
  readonly key: string
  /** The column `fields`, read as a text. */
  readonly fields: string
  /** The function that gives the greater one of two numbers. */
  readonly greatest: string
  /** What stands for a parameter, the first of which is 1. */
  readonly parameter: (index: number) => string
  /** What an INSERT has at its end to leave a row that is there alone; without it, the INSERT fails. */
  readonly orNothing: string
  /** What an INSERT has at its end to write these columns over those of the row that has the same key. */
  readonly orReplace: (key: string, columns: ReadonlyArray<string>) => string
  /**
   * The column `fields`, as a text, without others than these, if leaving them out is faster than sending them. The parameters are
   * the first ones of the statement. What is no object stays as it is.
   */
  readonly picked: (names: ReadonlyArray<string>) => { readonly text: string; readonly parameters: Parameters }
  /** Runs a statement that changes rows, and says whether there was one. */
  readonly changes: (send: Send, text: string, parameters: Parameters) => Effect.Effect<boolean, SqlError>
  readonly commits: (table: Table) => Commits
  /** The type of the column `fields`, and a query that answers with what it is; where any text will do, nothing. */
  readonly type: { readonly expected: string; readonly query: (table: string) => string } | undefined
  /** Whether a client has only one connection. */
  readonly hasOneConnection: boolean
  /** Whether a process that writes locks the others out. */
  readonly isLockedAsAWhole: boolean
  /** Whether a statement that makes a table ends the transaction that it is in. */
  readonly endsTransactions: boolean
  /** The statements that make the table and the one of the owners, if they are not there. */
  readonly create: (sql: Constructor, table: string) => ReadonlyArray<Statement<object>>
}

export type Parameters = ReadonlyArray<unknown>

/** What sends statements to the database. */
export interface Send {
  readonly rows: <A extends object>(text: string, parameters: Parameters) => Effect.Effect<ReadonlyArray<A>, SqlError>
  /** The answer is what the client itself has got. */
  readonly raw: (text: string, parameters: Parameters) => Effect.Effect<unknown, SqlError>
}

/** The table, for statements of a dialect's own. */
export interface Table {
  /** Its name, in quotes. */
  readonly name: string
  readonly rows: Send["rows"]
  readonly changes: (text: string, parameters: Parameters) => Effect.Effect<boolean, SqlError>
  /** The row of a key. */
  readonly row: (key: string) => Effect.Effect<Row | undefined, SqlError>
}

/** The operations that look at the fields of a session before they write. */
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

// The word before comes first, as PostgreSQL cuts off what is too long, and it must not be the table's name then.
export const indexOf = (table: string): string => `idx_${withoutSchema(table)}_expires_at`

export const ownersOf = (table: string): string => `${schemaOf(table)}owners_of_${withoutSchema(table)}`

export const schemaOf = (table: string): string => table.slice(0, table.lastIndexOf(".") + 1)

export const withoutSchema = (table: string): string => table.slice(table.lastIndexOf(".") + 1)

/** As PostgreSQL and SQLite say it. */
export const onConflict: Dialect["orReplace"] = (key, columns) =>
  ` ON CONFLICT (${key}) DO UPDATE SET ${columns.map((column) => `${column} = excluded.${column}`).join(", ")}`

/**
 * In what the databases differ: how a transaction begins and locks a row, and the table.
 */
import type { SqlClient } from "effect/sql/SqlClient"
import type { Constructor, Statement } from "effect/sql/Statement"

export interface Dialect {
  /** How a transaction begins; if `undefined`, as the client does it. */
  readonly begin: string | undefined
  /** What a SELECT has at its end to lock the row. */
  readonly forUpdate: string
  /** The function that gives the greater one of two numbers. */
  readonly greatest: string
  /** Whether a statement that changes rows can give them back. */
  readonly hasReturning: boolean
  /** Whether a client has only one connection. */
  readonly hasOneConnection: boolean
  /** Whether a process that writes locks the others out. */
  readonly isLockedAsAWhole: boolean
  /** The statements that make the table, if it is not there. */
  readonly create: (sql: Constructor, table: string) => ReadonlyArray<Statement<object>>
}

/** `undefined` for a database that is not supported. */
export const of = (sql: SqlClient): Dialect | undefined =>
  sql.onDialectOrElse({
    pg: () => postgresql,
    mysql: () => mysql,
    sqlite: () => sqlite,
    orElse: () => undefined
  })

export const postgresql: Dialect = {
  // Whatever the database's default is: who has waited for a row sees it as it is by now.
  begin: "BEGIN ISOLATION LEVEL READ COMMITTED",
  forUpdate: " FOR UPDATE",
  greatest: "GREATEST",
  hasReturning: true,
  hasOneConnection: false,
  isLockedAsAWhole: false,
  create: (sql, table) => [
    sql`CREATE TABLE IF NOT EXISTS ${sql(table)} (
  ${sql("key")} TEXT PRIMARY KEY,
  created_at BIGINT NOT NULL,
  touched_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  superseded_until BIGINT,
  fields TEXT NOT NULL
)`,
    // It is in the schema of its table, so its own name has none.
    sql`CREATE INDEX IF NOT EXISTS ${sql(indexOf(withoutSchema(table)))} ON ${sql(table)} (expires_at)`
  ]
}

export const mysql: Dialect = {
  begin: undefined,
  forUpdate: " FOR UPDATE",
  greatest: "GREATEST",
  hasReturning: false,
  hasOneConnection: false,
  isLockedAsAWhole: false,
  create: (sql, table) => [
    sql`CREATE TABLE IF NOT EXISTS ${sql(table)} (
  ${sql("key")} VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  created_at BIGINT NOT NULL,
  touched_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  superseded_until BIGINT,
  fields LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  INDEX ${sql(indexOf(withoutSchema(table)))} (expires_at)
) ENGINE = InnoDB`
  ]
}

export const sqlite: Dialect = {
  // With the right to write from the beginning: to ask for it later fails if another process has written meanwhile.
  begin: "BEGIN IMMEDIATE",
  forUpdate: "",
  greatest: "MAX",
  hasReturning: true,
  hasOneConnection: true,
  isLockedAsAWhole: true,
  create: (sql, table) => [
    sql`CREATE TABLE IF NOT EXISTS ${sql(table)} (
  ${sql("key")} TEXT NOT NULL PRIMARY KEY,
  created_at INTEGER NOT NULL,
  touched_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  superseded_until INTEGER,
  fields TEXT NOT NULL
)`,
    // Here it is the other way round: the name of the index has the schema, and its table has none.
    sql`CREATE INDEX IF NOT EXISTS ${sql(schemaOf(table) + indexOf(withoutSchema(table)))} ON ${
      sql(withoutSchema(table))
    } (expires_at)`
  ]
}

// The word before comes first, as a database cuts off what is too long, and it must not be the table's name then.
const indexOf = (table: string): string => `idx_${table}_expires_at`

const schemaOf = (table: string): string => table.slice(0, table.lastIndexOf(".") + 1)

const withoutSchema = (table: string): string => table.slice(table.lastIndexOf(".") + 1)

/**
 * What servers of all databases have in common, for tests that run on each of them.
 */
import type { Effect, Layer } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"

export interface SqlServer {
  /** A client with a pool of its own, as each server has, on tables that all tests of the file share. */
  readonly client: (options?: PoolOptions) => Layer.Layer<SqlClient>
  /** The same, on a schema of the test's own. */
  readonly clientOn: (schema: string, options?: PoolOptions) => Layer.Layer<SqlClient>
  /** A client whose transactions are serializable by default. */
  readonly serializable: () => Layer.Layer<SqlClient>
  /** A client on a schema, whose transactions change nothing by default. */
  readonly readOnlyOn: (schema: string) => Layer.Layer<SqlClient>
  /** Runs a statement, past the driver. */
  readonly query: <A extends object>(statement: string) => Effect.Effect<ReadonlyArray<A>>
  /** A new schema, which MySQL calls a database. */
  readonly schema: Effect.Effect<string>
  /** Waits until so many connections wait for the lock of a row or a table. */
  readonly waitForLocks: (count: number) => Effect.Effect<void>
}

export interface PoolOptions {
  readonly maxConnections?: number
  readonly username?: string
  readonly port?: number
}

/** A database, and how a file has started it. */
export interface Database {
  readonly database: string
  readonly server: () => SqlServer
}

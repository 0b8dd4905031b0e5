/**
 * The driver that is written by hand keeps every law, also with two servers on one file.
 */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as SessionOwnersTest from "effect-session/SessionOwnersTest"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as SqliteLayer from "../../examples/driver/sqliteLayer.ts"

const file = join(mkdtempSync(join(tmpdir(), "effect-session-driver-")), "sessions.db")

const dump = Effect.sync(() => {
  const database = new DatabaseSync(file)
  const tables = ["sessions", "owners"].map((table) => database.prepare(`SELECT * FROM ${table}`).all())
  database.close()
  return JSON.stringify(tables)
})

SessionStoreTest.suite({ describe, it }, "the driver by hand", { layer: SqliteLayer.layer(file), dump })

SessionOwnersTest.suite({ describe, it }, "the driver by hand", { layer: SqliteLayer.layer(file), dump })

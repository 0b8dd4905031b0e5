/**
 * A complete driver: sessions in SQLite, with `node:sqlite` of Node.js. The library's `SqlLayer` does the same on any database of
 * `effect/sql`. This one shows how to write a driver.
 */
import { Clock, Effect, Schedule } from "effect"
import { SessionStore } from "effect-session"
import { DatabaseSync } from "node:sqlite"

// A row is a session, or the mark of one that got a new id, which has a successor.
const tables = `
  CREATE TABLE IF NOT EXISTS sessions (
    key TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    touched_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    fields TEXT NOT NULL,
    successor TEXT
  ) STRICT;
  CREATE TABLE IF NOT EXISTS owners (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (owner, at, key)
  ) STRICT;
`

interface Row {
  readonly created_at: number
  readonly touched_at: number
  readonly expires_at: number
  readonly fields: string
  readonly successor: string | null
}

type Stored = SessionStore.SessionRecord | SessionStore.SupersededRecord

const fromRow = (row: Row): Stored =>
  row.successor !== null ? { supersededUntil: row.expires_at, successor: row.successor } : {
    createdAt: row.created_at,
    touchedAt: row.touched_at,
    expiresAt: row.expires_at,
    fields: new Map(JSON.parse(row.fields))
  }

const isRecord = (stored: Stored | undefined): stored is SessionStore.SessionRecord =>
  stored !== undefined && "fields" in stored

const conflict = (record: SessionStore.SessionRecord): SessionStore.Conflict => ({ _tag: "Conflict", record })

const backendOn = (database: DatabaseSync): SessionStore.Backend & { readonly owners: SessionStore.OwnerIndex } => {
  const select = database.prepare("SELECT * FROM sessions WHERE key = ?")
  const replace = database.prepare("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?)")
  const remove = database.prepare("DELETE FROM sessions WHERE key = ?")
  const addEntry = database.prepare("INSERT OR REPLACE INTO owners VALUES (?, ?, ?, ?)")
  const countEntries = database.prepare("SELECT count(*) AS count FROM owners WHERE owner = ?")
  const listEntries = database.prepare(
    "SELECT key, at, until FROM owners WHERE owner = ? AND (at, key) < (?, ?) ORDER BY at DESC, key DESC LIMIT ?"
  )
  const removeEntry = database.prepare("DELETE FROM owners WHERE owner = ? AND at = ? AND key = ?")

  const read = (key: string): Stored | undefined => {
    const row = select.get(key)
    return row === undefined ? undefined : fromRow(row as unknown as Row)
  }

  const write = (key: string, { createdAt, expiresAt, fields, touchedAt }: SessionStore.SessionRecord) =>
    replace.run(key, createdAt, touchedAt, expiresAt, JSON.stringify([...fields]), null)

  const mark = (key: string, { successor, supersededUntil }: SessionStore.SupersededRecord) =>
    replace.run(key, 0, 0, supersededUntil, "[]", successor)

  const attempt = <A>(step: () => A): Effect.Effect<A, unknown> => Effect.try({ try: step, catch: (error) => error })

  /** Runs as one step, for other processes too: nobody writes between its reads and its writes. */
  const atOnce = <A>(step: () => A): Effect.Effect<A, unknown> =>
    attempt(() => {
      database.exec("BEGIN IMMEDIATE")
      try {
        const answer = step()
        database.exec("COMMIT")
        return answer
      } catch (error) {
        database.exec("ROLLBACK")
        throw error
      }
    })

  return {
    driver: "node-sqlite",
    load: (key) => attempt(() => read(key)),
    create: (key, record) =>
      atOnce(() => {
        if (read(key) !== undefined) return false
        write(key, record)
        return true
      }),
    update: (key, change, times) =>
      atOnce(() => {
        const stored = read(key)
        if (!isRecord(stored)) return false
        if (!SessionStore.isExpected(stored.fields, change.expect)) return conflict(stored)
        write(key, SessionStore.merge(stored, change, times))
        return true
      }),
    touch: (key, { expiresAt, touchedAt }) =>
      atOnce(() => {
        const stored = read(key)
        if (!isRecord(stored)) return false
        write(key, {
          ...stored,
          touchedAt: Math.max(stored.touchedAt, touchedAt),
          expiresAt: Math.max(stored.expiresAt, expiresAt)
        })
        return true
      }),
    supersede: (key, superseded, fields) =>
      atOnce(() => {
        const stored = read(key)
        if (!isRecord(stored)) return undefined
        const isSame = stored.fields.size === fields.size && SessionStore.isExpected(stored.fields, fields)
        if (!isSame) return conflict(stored)
        mark(key, superseded)
        return stored
      }),
    destroy: (key) =>
      atOnce(() => {
        const stored = read(key)
        if (stored !== undefined && !isRecord(stored)) return stored
        remove.run(key)
        return undefined
      }),
    owners: {
      add: (owner, { at, key, until }, limit) =>
        atOnce(() => {
          addEntry.run(owner, key, at, until)
          return limit !== undefined && Number(countEntries.get(owner)?.["count"]) > limit
        }),
      list: (owner, limit, after) =>
        attempt(() => {
          const { at, key } = after ?? { at: Number.MAX_SAFE_INTEGER, key: "" }
          return listEntries.all(owner, at, key, limit) as unknown as Array<SessionStore.OwnerEntry>
        }),
      remove: (owner, entries) =>
        atOnce(() => {
          for (const { at, key } of entries) removeEntry.run(owner, at, key)
        }),
      bury: (key, superseded) =>
        atOnce(() => {
          mark(key, superseded)
        })
    }
  }
}

/** Sessions in an SQLite database file, which several processes on one machine can share. */
export const layer = (file: string) =>
  SessionStore.layer(
    Effect.gen(function*() {
      const database = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(file, { timeout: 1_000 })),
        (database) => Effect.sync(() => database.close())
      )
      database.exec(`PRAGMA journal_mode = WAL; ${tables}`)
      // Expired sessions can't be loaded anyway. This only frees space.
      const sweep = Effect.map(Clock.currentTimeMillis, (now) => {
        database.prepare("DELETE FROM sessions WHERE expires_at <= ?").run(now)
        database.prepare("DELETE FROM owners WHERE until <= ?").run(now)
      })
      yield* Effect.forkScoped(Effect.repeat(sweep, Schedule.spaced("10 minutes")))
      return yield* SessionStore.fromBackend(backendOn(database))
    })
  )

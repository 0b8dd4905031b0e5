/**
 * What an error of the database says, where an administrator has added something to the table: why it has failed, and
 * nothing of the session.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Layer, Schema } from "effect"
import { Session, SessionKey } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { SqlClient } from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { startMariadb } from "../../support/mariadbServer.ts"
import { observe } from "../../support/observe.ts"
import { startPostgres } from "../../support/postgresServer.ts"
import { shared } from "../../support/redisServer.ts"
import { basicRoutes, post } from "../../support/routes.ts"
import { cookieOf, serve } from "../../support/server.ts"
import { sqliteClient } from "../../support/sqliteClient.ts"
import type { SqlServer } from "../../support/sqlServer.ts"
import { migrate, sqlStore } from "../../support/sqlStore.ts"

/** A client on a schema of its own. */
const on = (server: () => SqlServer) =>
  Layer.unwrap(Effect.suspend(() => Effect.map(server().schema, (schema) => server().clientOn(schema))))

const mariadb = shared(startMariadb())

const onPostgres = on(shared(startPostgres()))
const onMariadb = on(mariadb)

/** Its errors have the statement with all of its values in it. */
const onUnprepared = Layer.unwrap(
  Effect.suspend(() => Effect.map(mariadb().schema, (database) => mariadb().client({ isPrepared: false, database })))
)

const password = "hunter2-secret-token"

const Token = SessionKey.make("oauth_token", Schema.String)

const trigger = (name: string, more = "") => [
  `CREATE FUNCTION ${name}() RETURNS trigger AS $$ BEGIN
     IF octet_length(NEW.fields::text) < 20 THEN RETURN NEW; END IF;
     RAISE EXCEPTION 'refused' USING DETAIL = NEW.fields::text, HINT = NEW.fields::text;
   END $$ LANGUAGE plpgsql`,
  `CREATE CONSTRAINT TRIGGER ${name} AFTER INSERT OR UPDATE ON effect_sessions ${more} FOR EACH ROW EXECUTE FUNCTION ${name}()`
]

const check = ["ALTER TABLE effect_sessions ADD CONSTRAINT lim CHECK (octet_length(fields::text) < 20)"]

const checkOfMysql = ["ALTER TABLE effect_sessions ADD CONSTRAINT lim CHECK (octet_length(fields) < 20)"]

const triggersOfMysql = ["INSERT", "UPDATE"].map((event) =>
  `CREATE TRIGGER refuse_${event} BEFORE ${event} ON effect_sessions FOR EACH ROW
   BEGIN
     IF octet_length(NEW.fields) >= 20 THEN
       SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused', CONSTRAINT_NAME = 'lim', COLUMN_NAME = 'fields';
     END IF;
   END`
)

const cases = [
  { what: "a CHECK constraint", client: onPostgres, statements: check, says: "lim" },
  { what: "a trigger", client: onPostgres, statements: trigger("refuse"), says: "refused" },
  {
    what: "a trigger that fails at the COMMIT",
    client: onPostgres,
    statements: trigger("refuse_later", "DEFERRABLE INITIALLY DEFERRED"),
    says: "refused"
  },
  {
    what: "another type of the column",
    client: onPostgres,
    statements: ["ALTER TABLE effect_sessions ALTER COLUMN fields TYPE INTEGER USING 1"],
    says: "integer"
  },
  { what: "a CHECK constraint on MariaDB", client: onMariadb, statements: checkOfMysql, says: "lim" },
  { what: "a CHECK constraint on MariaDB, unprepared,", client: onUnprepared, statements: checkOfMysql, says: "lim" },
  { what: "a trigger on MariaDB", client: onMariadb, statements: triggersOfMysql, says: "refused" },
  {
    what: "another type of the column on MariaDB",
    client: onMariadb,
    statements: ["DELETE FROM effect_sessions", "ALTER TABLE effect_sessions MODIFY fields INTEGER NOT NULL"],
    says: "integer"
  },
  {
    what: "a shorter column on MariaDB",
    client: onMariadb,
    statements: ["ALTER TABLE effect_sessions MODIFY fields VARCHAR(20) NOT NULL"],
    says: "too long"
  },
  {
    what: "a trigger on SQLite",
    client: sqliteClient(),
    statements: [
      `CREATE TRIGGER refuse BEFORE INSERT ON effect_sessions WHEN length(NEW.fields) > 20
       BEGIN SELECT RAISE(FAIL, 'refused'); END`,
      `CREATE TRIGGER refuse_too BEFORE UPDATE ON effect_sessions WHEN length(NEW.fields) > 20
       BEGIN SELECT RAISE(FAIL, 'refused'); END`
    ],
    says: "refused"
  }
]

describe.each(cases)("$what that an administrator has added", ({ client, says, statements }) => {
  it.effect("is in the log and in the error when it refuses a session, and nothing of the session is", () => {
    const observed = observe()
    return Effect.gen(function*() {
      let error: unknown
      const put = Session.put(Token, password)
      const own = HttpRouter.add(
        "POST",
        "/own",
        Effect.andThen(put, Session.commit).pipe(
          Effect.catch((failure) => Effect.sync(() => void (error = failure))),
          Effect.as(HttpServerResponse.empty({ status: 500 }))
        )
      )
      const context = yield* Layer.build(Layer.provideMerge(migrate(), client))
      const sql = Context.get(context, SqlClient)
      const routes = Layer.mergeAll(basicRoutes, own, post("/put", put))
      const server = yield* serve(routes, { store: sqlStore(Layer.succeedContext(context)) })
      const cookie = cookieOf(yield* server.post("/count"))
      for (const statement of statements) yield* sql.unsafe(statement).unprepared
      for (const sent of [{}, { cookie }]) {
        assert.strictEqual((yield* server.post("/put", sent)).status, 503)
        yield* server.post("/own", sent)
        const texts = [
          inspect(error, { depth: null, showHidden: true }),
          JSON.stringify(error),
          Cause.pretty(Cause.fail(error))
        ]
        assert.include(texts[0], says)
        assert.notInclude(texts.join(), password)
      }
      assert.include(observed.text(), says)
      assert.notInclude(observed.text(), password)
    }).pipe(Effect.provide(observed.layer))
  })
})

const references = [
  { database: "PostgreSQL", client: onPostgres, type: "TEXT" },
  { database: "MariaDB", client: onMariadb, type: "VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin" }
]

describe.each(references)("a table on $database that refers to the sessions", ({ client, type }) => {
  it.effect("keeps them from being deleted, and the warning has no key", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const context = yield* Layer.build(Layer.provideMerge(migrate(), client))
      const sql = Context.get(context, SqlClient)
      const server = yield* serve(basicRoutes, {
        store: sqlStore(Layer.succeedContext(context)),
        config: { age: "1 minute" }
      })
      yield* server.post("/count")
      const key = sql("key")
      yield* sql`CREATE TABLE devices (
        session ${sql.literal(type)}, FOREIGN KEY (session) REFERENCES effect_sessions (${key})
      )`
      yield* sql`INSERT INTO devices SELECT ${key} FROM effect_sessions`
      const [row] = yield* sql<{ readonly key: string }>`SELECT ${key} FROM effect_sessions`
      yield* TestClock.adjust("1 hour").pipe(
        Effect.andThen(TestClock.withLive(Effect.sleep("20 millis"))),
        Effect.repeat({ until: () => observed.text().includes("could not be deleted") })
      )
      assert.include(observed.text(), "devices")
      assert.notInclude(observed.text(), row!.key)
    }).pipe(Effect.provide(observed.layer))
  })
})

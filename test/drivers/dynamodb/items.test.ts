/**
 * What is sent to DynamoDB, and what is stored there.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Fiber, Schema } from "effect"
import { SessionError } from "effect-session"
import * as Change from "../../../src/internal/record/change.ts"
import { AnyText } from "../../support/arbitraries.ts"
import { startDynamo, table } from "../../support/dynamoServer.ts"
import { buildStore } from "../../support/dynamoStore.ts"
import { shared } from "../../support/redisServer.ts"
import { adding, both, createSession, expecting, type Session, setting, times } from "../../support/storedSession.ts"

const server = shared(startDynamo())

/** A store that has made its first request already. */
const start = Effect.suspend(() => Effect.tap(buildStore(server()), () => Effect.sync(() => server().newRequests())))

const itemOf = ({ key }: Session, prefix = "") =>
  Effect.map(server().items(), (items) => items.find((item) => item["id"]!.S === prefix + key)!)

const written = { _tag: "Written", token: undefined } as const
const gone = { _tag: "Gone" } as const

const later = { touchedAt: times.touchedAt + 60_000, expiresAt: times.expiresAt + 60_000 }
const latest = { touchedAt: later.touchedAt + 60_000, expiresAt: later.expiresAt + 60_000 }

const removing = (field: string) => Change.remove(Change.none, field)

/** As many fields as are asked for, with their numbers as values. */
const fieldsNamed = (name: string, count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`${name}${index}`, `${index}`]))

describe("the requests of", () => {
  it.effect("the start: one of each kind, for an item that is never there and that stays so", () =>
    Effect.gen(function*() {
      const key = { id: { S: "shop:~" }, sort: { S: "session" } }
      const isThere = { ConditionExpression: "attribute_exists(id)" }
      server().newRequests()
      yield* buildStore(server(), { prefix: "shop:" })
      const requests = server().newRequests().map(({ body, operation }) => [operation, body] as const)
      // All but the first are sent at the same time.
      const order = ["GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "BatchGetItem", "BatchWriteItem"]
      assert.deepStrictEqual(requests.toSorted(([one], [other]) => order.indexOf(one) - order.indexOf(other)), [
        ["GetItem", { TableName: table, Key: key, ConsistentRead: true }],
        ["PutItem", { TableName: table, Item: key, ...isThere }],
        ["UpdateItem", {
          TableName: table,
          Key: key,
          UpdateExpression: "SET touchedAt=:now",
          ExpressionAttributeValues: { ":now": { N: "0" } },
          ...isThere
        }],
        ["DeleteItem", { TableName: table, Key: key, ...isThere }],
        ["Query", {
          TableName: table,
          ConsistentRead: true,
          KeyConditionExpression: "id = :id",
          ExpressionAttributeValues: { ":id": key.id },
          Limit: 1
        }],
        ["BatchGetItem", { RequestItems: { [table]: { ConsistentRead: true, Keys: [key] } } }],
        ["BatchWriteItem", { RequestItems: { [table]: [{ DeleteRequest: { Key: key } }] } }]
      ])
      assert.isEmpty((yield* server().items()).filter(({ id }) => id!.S === "shop:~"))
    }))

  it.effect("an operation: one, and two for regenerating", () =>
    Effect.gen(function*() {
      const old = yield* createSession(yield* start, { a: "1" })
      server().newRequests()
      yield* old.regenerate(both(setting({ b: "\"x\"" }), adding("a", 1)))
      assert.deepStrictEqual(server().newOperations(), ["PutItem", "PutItem"], "regenerate")
      const session = yield* createSession(yield* start, { a: "1" })
      assert.deepStrictEqual(server().newOperations(), ["PutItem"], "create")
      yield* session.stored
      assert.deepStrictEqual(server().newOperations(), ["GetItem"], "load")
      yield* session.commit({ ...both(setting({ b: "\"x\"" }), adding("a", 1)), touch: true }, later)
      assert.deepStrictEqual(server().newOperations(), ["UpdateItem"], "update")
      yield* session.touch(latest)
      assert.deepStrictEqual(server().newOperations(), ["UpdateItem"], "touch")
      yield* session.destroy
      assert.deepStrictEqual(server().newOperations(), ["DeleteItem"], "destroy")
    }))

  it.effect("regenerating what another request has changed meanwhile: three, and nothing is changed", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start)
      yield* session.commit(setting({ other: "1" }))
      server().newRequests()
      assert.strictEqual((yield* session.regenerate())._tag, "Conflict")
      assert.deepStrictEqual(server().newOperations(), ["PutItem", "PutItem", "DeleteItem"])
    }))

  it.effect("destroying what another request has regenerated meanwhile: two, and only the mark is left", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start)
      const before = (yield* server().items()).length
      yield* session.regenerate()
      server().newRequests()
      yield* session.destroy
      assert.deepStrictEqual(server().newOperations(), ["DeleteItem", "DeleteItem"])
      assert.strictEqual((yield* server().items()).length, before)
      assert.isUndefined(yield* session.stored)
    }))

  it.effect("a commit to a session that is gone: two, as it may have been regenerated; and a touch: two", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start)
      yield* session.destroy
      server().newRequests()
      assert.deepStrictEqual(yield* session.commit(setting({ a: "1" })), gone)
      assert.deepStrictEqual(server().newOperations(), ["UpdateItem", "GetItem"])
      assert.deepStrictEqual(yield* session.touch(later), gone)
      assert.deepStrictEqual(server().newOperations(), ["UpdateItem", "GetItem"])
    }))

  it.effect("a touch that comes too late: one, or two with a change", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start)
      yield* session.touch(latest)
      server().newRequests()
      assert.deepStrictEqual(yield* session.touch(later), written)
      assert.deepStrictEqual(server().newOperations(), ["UpdateItem"])
      assert.deepStrictEqual(yield* session.commit({ ...setting({ a: "1" }), touch: true }, later), written)
      assert.deepStrictEqual(server().newOperations(), ["UpdateItem", "UpdateItem"])
      assert.deepStrictEqual(yield* session.stored, { ...times, ...latest, fields: new Map([["a", "1"]]) })
    }))

  it.effect("a commit that has to read: consistent ones, whatever the settings say", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* buildStore(server(), { consistentRead: false }), { a: "\"x\"" })
      server().newRequests()
      yield* session.commit(adding("a", 1))
      const reads = server().newRequests().filter(({ operation }) => operation === "GetItem")
      assert.deepStrictEqual(reads.map(({ body }) => body["ConsistentRead"]), [true])
    }))

  it.effect("reading: a consistent one, unless the settings say otherwise", () =>
    Effect.gen(function*() {
      for (const consistentRead of [true, false]) {
        const session = yield* createSession(yield* buildStore(server(), { consistentRead }))
        server().newRequests()
        yield* session.stored
        assert.deepStrictEqual(server().newRequests().map(({ body }) => body["ConsistentRead"]), [consistentRead])
      }
    }))
})

describe("an item", () => {
  it.effect("has the prefix in its id, times in milliseconds, and the time to live in seconds: rounded up, and an hour", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* buildStore(server(), { prefix: "shop:" }), { a: "1" })
      const { lastCommit, ...item } = yield* itemOf(session, "shop:")
      assert.match(lastCommit!.S!, /^[\w-]{16}$/)
      assert.deepStrictEqual(item, {
        id: { S: `shop:${session.key}` },
        sort: { S: "session" },
        createdAt: { N: "1700000000000" },
        touchedAt: { N: "1700000000000" },
        expiresAt: { N: "1700003600001" },
        ttl: { N: "1700007201" },
        data: { M: { a: { N: "1" } } }
      })
    }))

  it.effect("has the time to live in the attribute of the settings, which touching and regenerating set as well", () =>
    Effect.gen(function*() {
      const store = yield* buildStore(server(), { ttlAttribute: "expires at" }, { supersededFor: "1 minute" })
      const session = yield* createSession(store)
      const ttl = Effect.map(itemOf(session), (item) => item["expires at"]?.N)
      assert.strictEqual(yield* ttl, "1700007201")
      yield* session.touch(later)
      assert.strictEqual(yield* ttl, "1700007261")
      // The test's clock stands at the start of the epoch.
      yield* session.regenerate()
      assert.strictEqual(yield* ttl, "3660")
    }))

  it.effect("of a session that was regenerated has nothing of it any more", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start, { a: "1" })
      server().newRequests()
      yield* session.regenerate()
      const { S: successor } = (server().newRequests()[0]!.body["Item"] as { readonly id: { readonly S: string } }).id
      assert.deepStrictEqual(yield* itemOf(session), {
        id: { S: session.key },
        sort: { S: "session" },
        supersededUntil: { N: "30000" },
        successor: { S: successor },
        ttl: { N: "3630" }
      })
    }))

  it.effect("has numbers as numbers, and everything else as JSON text", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start, {
        integer: "-5",
        fraction: "1.5e-7",
        large: "1e+21",
        text: "\"5\"",
        null: "null",
        list: "[5]",
        "too large": "1e+126",
        "too small": "1e-131",
        "other spelling": "5.0",
        "negative zero": "-0"
      })
      assert.deepStrictEqual((yield* itemOf(session))["data"]!.M, {
        integer: { N: "-5" },
        fraction: { N: "0.00000015" },
        large: { N: "1000000000000000000000" },
        text: { S: "\"5\"" },
        null: { S: "null" },
        list: { S: "[5]" },
        "too large": { S: "1e+126" },
        "too small": { S: "1e-131" },
        "other spelling": { S: "5.0" },
        "negative zero": { S: "-0" }
      })
      assert.deepStrictEqual((yield* session.stored)!.fields, session.record.fields)
    }))

  it.effect("that somebody has damaged is no session, and a commit to it finds none", () =>
    Effect.gen(function*() {
      const store = yield* start
      for (const attribute of ["createdAt", "touchedAt", "expiresAt", "lastCommit", "data"]) {
        const session = yield* createSession(store, { a: "1" })
        const { [attribute]: _, ...damaged } = yield* itemOf(session)
        yield* server().ask((dynamo) => dynamo.putItem({ TableName: table, Item: damaged }))
        assert.isUndefined(yield* session.stored, `without ${attribute}`)
        // Without one of the times alone, nobody looks at it.
        if (attribute === "lastCommit" || attribute === "data") {
          assert.deepStrictEqual(yield* session.commit(setting({ b: "1" })), gone)
          assert.deepStrictEqual(yield* itemOf(session), damaged)
        }
      }
    }))

  it.effect("with a value of another type has no JSON there, and all the rest", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start, { a: "1" })
      yield* server().ask((dynamo) =>
        dynamo.updateItem({
          TableName: table,
          Key: { id: { S: session.key }, sort: { S: "session" } },
          UpdateExpression: "SET #data.b = :b",
          ExpressionAttributeNames: { "#data": "data" },
          ExpressionAttributeValues: { ":b": { BOOL: true } }
        })
      )
      assert.deepStrictEqual(yield* session.fields, { a: "1", b: "" })
    }))
})

describe("what goes in comes out", () => {
  it.effect.prop(
    "fields of any name, with texts",
    [AnyText, AnyText, AnyText],
    ([name, other, text]) =>
      Effect.scoped(Effect.gen(function*() {
        const value = JSON.stringify(text)
        const created = yield* createSession(yield* buildStore(server()), { [name]: value })
        assert.deepStrictEqual((yield* created.stored)!.fields, new Map([[name, value]]))
        yield* created.commit(setting({ [other]: value }))
        assert.deepStrictEqual((yield* created.stored)!.fields, new Map([[name, value], [other, value]]))
        yield* created.commit(removing(name))
        yield* created.commit(adding(`${name}+`, 1))
        assert.deepStrictEqual(
          yield* created.fields,
          Object.fromEntries([[other, value], [`${name}+`, "1"]].filter(([field]) => field !== name))
        )
      })),
    { arbitrary: { runs: 30 } }
  )

  const names = [
    "",
    "~",
    "~~",
    "~\"",
    "~\"\"",
    "~\"__proto__\"",
    "__proto__",
    "\ud800",
    "~\ud800",
    "a.b[0]",
    "#0",
    ":0"
  ]
  it.effect("fields of names that DynamoDB or the SDK can't hold", () =>
    Effect.gen(function*() {
      const store = yield* start
      const fields = new Map(names.map((name, index) => [name, `${index}`]))
      const whole = yield* createSession(store, Object.fromEntries(fields))
      assert.deepStrictEqual((yield* whole.stored)!.fields, fields)
      const empty = yield* createSession(store)
      server().newRequests()
      yield* empty.commit({ ...Change.none, set: fields })
      assert.deepStrictEqual((yield* empty.stored)!.fields, fields)
      yield* empty.commit({ ...Change.none, increment: new Map(names.map((name) => [name, { by: 1, initial: 0 }])) })
      assert.deepStrictEqual(
        (yield* empty.stored)!.fields,
        new Map(names.map((name, index) => [name, `${index + 1}`]))
      )
      yield* empty.commit({ ...Change.none, remove: new Set(names) })
      assert.deepStrictEqual((yield* empty.stored)!.fields, new Map())
      const inPlace = ["UpdateItem", "GetItem"]
      assert.deepStrictEqual(server().newOperations(), [...inPlace, ...inPlace, ...inPlace])
    }))

  it.effect.prop(
    "numbers",
    [Arbitrary.schema(Schema.Finite), Arbitrary.schema(Schema.Finite)],
    ([one, other]) =>
      Effect.scoped(Effect.gen(function*() {
        const [first, second] = [JSON.stringify(one), JSON.stringify(other)]
        const created = yield* createSession(yield* buildStore(server()), { first })
        yield* created.commit(setting({ second }))
        assert.deepStrictEqual(yield* created.fields, { first, second })
      })),
    { arbitrary: { runs: 100 } }
  )

  it.effect("no name and no value is in an expression", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start, { gone: "1" })
      server().newRequests()
      const change = both(both(setting({ "a, b = :c": "\"xyz\"" }), adding("SET", 3, 40)), removing("gone"))
      yield* session.commit({ ...change, touch: true }, later)
      const { body } = server().newRequests()[0]!
      assert.deepStrictEqual(
        body["UpdateExpression"],
        [
          "SET #commit=:commit",
          "#0=:1",
          "#2=:3",
          "#4=:5",
          "#6.#7=:8",
          "#a=if_not_exists(#a,:b)+:c REMOVE #6.#9"
        ].join(",").replaceAll("#a", "#6.#a")
      )
      assert.deepStrictEqual(
        body["ConditionExpression"],
        "attribute_exists(#commit) AND #commit <> :commit AND #0 <= :1 AND #2 <= :3"
      )
    }))
})

describe("times only move forward", () => {
  it.effect("each by itself", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start)
      const mixed = { touchedAt: latest.touchedAt, expiresAt: times.expiresAt - 60_000 }
      assert.deepStrictEqual(yield* session.touch(mixed), written)
      assert.deepInclude(yield* session.stored, { touchedAt: latest.touchedAt, expiresAt: times.expiresAt })
      assert.deepStrictEqual(yield* session.commit({ ...setting({ a: "1" }), touch: true }, later), written)
      assert.deepInclude(yield* session.stored, { touchedAt: latest.touchedAt, expiresAt: later.expiresAt })
    }))

  it.effect("in whatever order many requests come", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start)
      const offsets = [5, 1, 9, 3, 7, 2, 8, 4, 6, 0]
      const answers = yield* Effect.forEach(
        offsets,
        (offset) =>
          session.commit({ ...setting({ [`field${offset}`]: `${offset}` }), touch: true }, {
            touchedAt: times.touchedAt + offset,
            expiresAt: times.expiresAt + offset
          }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(answers, offsets.map(() => written))
      assert.deepInclude(yield* session.stored, { touchedAt: times.touchedAt + 9, expiresAt: times.expiresAt + 9 })
      assert.deepStrictEqual(yield* session.fields, fieldsNamed("field", 10))
    }))

  it.effect("and a commit without a touch leaves them alone", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start)
      yield* session.commit(setting({ a: "1" }), latest)
      assert.deepStrictEqual(yield* session.stored, { ...times, fields: new Map([["a", "1"]]) })
    }))
})

describe("an increment", () => {
  const cases: ReadonlyArray<readonly [name: string, stored: string, by: number, sum: string]> = [
    ["of a number beyond those of DynamoDB", "1e+300", 1e300, "2e+300"],
    ["by a number beyond them", "1", 1e300, "1e+300"],
    ["by a number that is too small for them", "0", 1e-200, "1e-200"],
    ["of a text begins at the initial value, as in every driver", "\"seven\"", 2, "42"],
    ["of null as well", "null", 2, "42"],
    ["of a list as well", "[1]", 2, "42"]
  ]
  for (const [name, stored, by, sum] of cases) {
    it.effect(`${name}, and the rest of the commit is written with it`, () =>
      Effect.gen(function*() {
        const session = yield* createSession(yield* start, { count: stored, removed: "1" })
        const change = both(both(setting({ a: "1" }), adding("count", by, 40)), removing("removed"))
        assert.deepStrictEqual(yield* session.commit({ ...change, touch: true }, later), written)
        assert.deepStrictEqual(yield* session.stored, {
          ...times,
          ...later,
          fields: new Map([["a", "1"], ["count", sum]].toSorted() as Array<[string, string]>)
        })
      }))
  }

  it.effect("is exact for decimal numbers", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start, { count: "0.1" })
      yield* session.commit(adding("count", 0.2))
      assert.deepStrictEqual(yield* session.fields, { count: "0.3" })
    }))

  it.effect("of a session that is gone, beyond the numbers of DynamoDB, finds nothing", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start, { count: "\"seven\"" })
      yield* session.destroy
      assert.deepStrictEqual(yield* session.commit(adding("count", 1e300)), gone)
      assert.isUndefined(yield* itemOf(session))
    }))
})

describe("clear", () => {
  it.effect("leaves what the same commit sets and adds", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start, { a: "1", b: "2", count: "3" })
      const change = { ...both(setting({ c: "\"x\"" }), adding("count", 1, 10)), clear: true }
      assert.deepStrictEqual(yield* session.commit(change), written)
      assert.deepStrictEqual(yield* session.fields, { c: "\"x\"", count: "11" })
      assert.deepStrictEqual(yield* session.commit({ ...Change.none, clear: true }), written)
      assert.deepStrictEqual(yield* session.fields, {})
    }))
})

describe("a commit of many fields", () => {
  it.effect("keeps to the limits of expressions, and is written whole", () =>
    Effect.gen(function*() {
      const store = yield* start
      for (const count of [1, 60, 119, 120, 121, 500]) {
        const session = yield* createSession(store, { gone: "1", ...fieldsNamed("sum", count) })
        const fields = Object.keys(fieldsNamed("sum", count))
        const change: Change.Change = {
          ...Change.none,
          touch: true,
          remove: new Set(["gone"]),
          increment: new Map(fields.map((field) => [field, { by: 0.5, initial: 0 }]))
        }
        assert.deepStrictEqual(yield* session.commit(change, later), written)
        const stored = (yield* session.stored)!
        assert.strictEqual(stored.fields.size, count)
        assert.isTrue(fields.every((field, index) => stored.fields.get(field) === `${index + 0.5}`))
        for (const { body } of server().newRequests()) {
          const expression = String(body["UpdateExpression"] ?? "")
          assert.isAtMost(Buffer.byteLength(expression), 4096)
          assert.isAtMost(expression.match(/if_not_exists|[+]/g)?.length ?? 0, 300)
        }
      }
    }))

  it.effect("merges with all that come at the same time, large and small", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* start, yield* start]
      const session = yield* createSession(one, { count: "0" })
      const commits = Array.from({ length: 10 }, (_, index) => [
        session.commit(both(setting(fieldsNamed(`large${index}-`, 150)), adding("count", 1))),
        session.commit(both(setting(fieldsNamed(`small${index}-`, 3)), adding("count", 1))),
        other.update(session.id, both(setting(fieldsNamed(`other${index}-`, 150)), adding("count", 1)), session.record)
      ]).flat()
      const answers = yield* Effect.all(commits, { concurrency: "unbounded" })
      assert.deepStrictEqual(answers, commits.map(() => written))
      const { fields } = (yield* session.stored)!
      assert.strictEqual(fields.get("count"), "30")
      assert.strictEqual(fields.size, 1 + 10 * (150 + 3 + 150))
    }))

  it.effect("waits for those of the same server, so that none is written in vain", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start)
      server().newRequests()
      const commits = Array.from({ length: 20 }, (_, index) => session.commit(setting(fieldsNamed(`${index}-`, 150))))
      yield* Effect.all(commits, { concurrency: "unbounded" })
      assert.deepStrictEqual(server().newOperations(), commits.flatMap(() => ["GetItem", "PutItem"]))
      assert.strictEqual((yield* session.stored)!.fields.size, 20 * 150)
    }))

  it.effect("that another one comes in between is merged again", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start, { count: "1" })
      server().newRequests()
      const writing = server().holds("PutItem")
      const large = yield* Effect.forkChild(
        session.commit(both(setting(fieldsNamed("large", 150)), adding("count", 1)))
      )
      yield* writing.reached
      yield* session.commit(both(setting({ small: "1" }), adding("count", 1)))
      yield* session.touch(latest)
      yield* writing.release
      assert.deepStrictEqual(yield* Fiber.join(large), written)
      const firstTry = ["GetItem", "PutItem"]
      const others = ["UpdateItem", "UpdateItem"]
      assert.deepStrictEqual(server().newOperations(), [...firstTry, ...others, "GetItem", "PutItem"])
      const stored = (yield* session.stored)!
      assert.strictEqual(stored.fields.get("count"), "3")
      assert.strictEqual(stored.fields.size, 152)
      assert.deepInclude(stored, latest)
    }))

  it.effect.each([
    { how: "destroyed", end: (session: Session) => session.destroy as Effect.Effect<unknown, unknown>, answer: "Gone" },
    {
      how: "regenerated",
      end: (session: Session) => session.regenerate() as Effect.Effect<unknown, unknown>,
      answer: "Conflict"
    }
  ])("to a session that is $how meanwhile does not bring it back", ({ answer, end }) =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start)
      const writing = server().holds("PutItem")
      const large = yield* Effect.forkChild(session.commit(setting(fieldsNamed("large", 150))))
      yield* writing.reached
      yield* end(session)
      yield* writing.release
      assert.strictEqual((yield* Fiber.join(large))._tag, answer)
      assert.isUndefined(yield* session.stored)
    }))
})

describe("a commit that expects something", () => {
  it.effect("costs no request more, whether it is written or not", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start, { a: "1", b: "\"x\"" })
      server().newRequests()
      const change = setting({ a: "2" })
      assert.deepStrictEqual(
        yield* session.commit(expecting({ a: "1", b: "\"x\"", c: undefined }, change)),
        written
      )
      const { body } = server().newRequests()[0]!
      assert.strictEqual(
        body["ConditionExpression"],
        "attribute_exists(#commit) AND #commit <> :commit AND #0.#3=:4 AND #0.#5=:6 AND attribute_not_exists(#0.#7)"
      )
      const record = (yield* session.stored)!
      server().newRequests()
      const conflict = { _tag: "Conflict", record } as const
      assert.deepStrictEqual(yield* session.commit(expecting({ a: "1" }, change)), conflict)
      assert.deepStrictEqual(yield* session.commit({ ...expecting({ a: "1" }, change), touch: true }, later), conflict)
      assert.deepStrictEqual(server().newOperations(), ["UpdateItem", "UpdateItem"])
      assert.deepStrictEqual(yield* session.regenerate(expecting({ a: "1" }, change)), conflict)
      assert.deepStrictEqual(server().newOperations(), ["PutItem", "PutItem", "DeleteItem"])
      assert.strictEqual((yield* session.regenerate(expecting({ a: "2", c: undefined }, change)))._tag, "Written")
      assert.deepStrictEqual(server().newOperations(), ["PutItem", "PutItem"])
    }))

  it.effect("and comes too late to extend the session: the rest is written, if it is as expected", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start, { a: "1" })
      yield* session.touch(latest)
      server().newRequests()
      const change = { ...setting({ a: "2" }), touch: true }
      assert.strictEqual((yield* session.commit(expecting({ a: "3" }, change), later))._tag, "Conflict")
      assert.deepStrictEqual(server().newOperations(), ["UpdateItem"])
      assert.deepStrictEqual(yield* session.commit(expecting({ a: "1" }, change), later), written)
      assert.deepStrictEqual(server().newOperations(), ["UpdateItem", "UpdateItem"])
      assert.deepStrictEqual(yield* session.stored, { ...times, ...latest, fields: new Map([["a", "2"]]) })
    }))

  it.effect("keeps to the limits of expressions, however much that is", () =>
    Effect.gen(function*() {
      const store = yield* start
      for (const count of [1, 60, 119, 120, 121, 500]) {
        const there = fieldsNamed("sum", count)
        const absent = Object.fromEntries(Object.keys(fieldsNamed("absent", count)).map((name) => [name, undefined]))
        for (const expected of [there, absent, { ...there, ...absent }]) {
          const session = yield* createSession(store, { a: "1", ...there })
          const change = setting({ a: "2" })
          for (const wrong of [{ a: "3" }, { a: undefined }]) {
            assert.strictEqual((yield* session.commit(expecting({ ...expected, ...wrong }, change)))._tag, "Conflict")
            assert.strictEqual(
              (yield* session.regenerate(expecting({ ...expected, ...wrong }, change)))._tag,
              "Conflict"
            )
          }
          assert.deepStrictEqual(yield* session.commit(expecting(expected, change)), written)
          assert.strictEqual((yield* session.stored)!.fields.get("a"), "2")
          assert.strictEqual((yield* session.regenerate(expecting({ ...expected, a: "2" }, change)))._tag, "Written")
        }
      }
      for (const { body } of server().newRequests()) {
        const condition = String(body["ConditionExpression"] ?? "")
        assert.isAtMost(Buffer.byteLength(condition), 4096)
        assert.isAtMost(condition.match(/attribute_|AND|[<=]+/g)?.length ?? 0, 300)
      }
    }))

  const damages = [
    {
      damage: "a number with more digits than JavaScript has",
      value: { N: "0.10000000000000000000000000001" },
      text: "0.1"
    },
    {
      damage: "a number that is rounded to one that DynamoDB does not have",
      value: { N: `9.${"9".repeat(37)}e125` },
      text: "1e+126"
    },
    { damage: "another type", value: { BOOL: true }, text: "" }
  ]
  it.effect.each(damages)("takes a field as it was loaded: $damage", ({ text, value }) =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start)
      const damage = server().ask((dynamo) =>
        dynamo.updateItem({
          TableName: table,
          Key: { id: { S: session.key }, sort: { S: "session" } },
          UpdateExpression: "SET #data.a = :a",
          ExpressionAttributeNames: { "#data": "data" },
          ExpressionAttributeValues: { ":a": value as { readonly N: string } }
        })
      )
      yield* damage
      assert.deepStrictEqual(yield* session.fields, { a: text })
      assert.deepStrictEqual(yield* session.commit(expecting({ a: text }, setting({ b: "1" }))), written)
      yield* damage
      const late = { ...expecting({ a: text }, setting({ c: "1" })), touch: true }
      assert.deepStrictEqual(yield* session.commit(late, later), written)
      assert.deepStrictEqual(yield* session.fields, { a: text, b: "1", c: "1" })
      yield* damage
      assert.strictEqual((yield* session.commit(expecting({ a: "7" }, setting({ d: "1" }))))._tag, "Conflict")
      assert.strictEqual(
        (yield* session.regenerate(expecting({ a: text, b: "1", c: "1" }, Change.none)))._tag,
        "Written"
      )
    }))
})

describe("a session of", () => {
  const text = (kilobytes: number) => JSON.stringify("x".repeat(kilobytes * 1024))
  const limit = 400 * 1024

  it.effect("100 kB and of 390 kB is kept", () =>
    Effect.gen(function*() {
      const store = yield* start
      for (const size of [100, 390]) {
        const created = yield* createSession(store, { a: text(size) })
        assert.deepStrictEqual((yield* created.stored)!.fields, created.record.fields)
        const updated = yield* createSession(store)
        yield* updated.commit(setting({ a: text(size) }))
        assert.deepStrictEqual((yield* updated.stored)!.fields, created.record.fields)
        yield* updated.touch(later)
        yield* updated.regenerate(setting({ a: text(size) }))
      }
    }))

  it.effect("401 kB is refused with both sizes, and nothing is stored", () =>
    Effect.gen(function*() {
      const store = yield* start
      const before = (yield* server().items()).length
      const error = yield* Effect.flip(createSession(store, { a: text(401) }))
      assert.instanceOf(error, SessionError.SessionTooLargeError)
      assert.strictEqual(error.limit, limit)
      assert.isAtLeast(error.size, 401 * 1024)
      assert.isAtMost(error.size, 401 * 1024 + 200)
      assert.strictEqual((yield* server().items()).length, before)
    }))

  it.effect("390 kB to which 11 more come is refused with both sizes, and stays as it was", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* start, { a: text(390) })
      for (const change of [setting({ b: text(11) }), setting({ b: text(11), ...fieldsNamed("c", 150) })]) {
        const error = yield* Effect.flip(session.commit(change))
        assert.instanceOf(error, SessionError.SessionTooLargeError)
        assert.deepStrictEqual([error.driver, error.limit], ["dynamodb", limit])
        assert.isAtLeast(error.size, 401 * 1024)
        assert.isAtMost(error.size, 401 * 1024 + 2500)
        assert.deepStrictEqual((yield* session.stored)!.fields, session.record.fields)
      }
    }))
})

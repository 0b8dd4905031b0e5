/**
 * The index of owners in DynamoDB, and what is sent for it.
 */
import type { AttributeValue } from "@aws-sdk/client-dynamodb"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Redacted } from "effect"
import { DynamoLayer, Session, SessionConfig, Sessions, SessionStore } from "effect-session"
import { TestClock } from "effect/testing"
import * as DynamoBackend from "../../../src/internal/drivers/dynamodb/backend.ts"
import * as DynamoClient from "../../../src/internal/drivers/dynamodb/client.ts"
import * as DynamoItems from "../../../src/internal/drivers/dynamodb/items.ts"
import * as Identifier from "../../../src/internal/token/identifier.ts"
import { secret } from "../../support/config.ts"
import { type DynamoServer, keys, startDynamo, table } from "../../support/dynamoServer.ts"
import * as OwnerIndexTest from "../../support/ownerIndex.ts"
import * as OwnerLaws from "../../support/ownerLaws.ts"
import { shared } from "../../support/redisServer.ts"
import { newId, times } from "../../support/storedSession.ts"

const server = shared(startDynamo())

const settings = { table, prefix: "shop:", ttlAttribute: "ttl", consistentRead: false }

const credentials = {
  accessKeyId: Redacted.make(keys.accessKeyId),
  secretAccessKey: Redacted.make(keys.secretAccessKey),
  sessionToken: undefined
}

const backendOf = (server: DynamoServer) =>
  Effect.map(
    DynamoClient.connect(
      { table, endpoint: server.url, region: "eu-west-1", maxAttempts: undefined, credentials },
      Duration.seconds(5)
    ),
    ({ dynamo }) => {
      const { peek, ...backend } = DynamoBackend.make(dynamo, settings)
      return { ...backend, peek: peek! }
    }
  )

OwnerIndexTest.suite("owners in DynamoDB:", {
  backend: Effect.suspend(() => backendOf(server())),
  isForSeveral: true
})

describe("the sessions of an owner, in DynamoDB", () => {
  OwnerLaws.suite(() => Effect.suspend(() => backendOf(server())), { orders: 20 })
})

describe("a login that its owner has ended in advance", () => {
  it.effect("gets no session, even if loading lags behind, as it may without consistentRead", () =>
    Effect.gen(function*() {
      const backend = yield* backendOf(server())
      const lagging = { ...backend, load: () => Effect.undefined }
      const store = yield* SessionStore.fromBackend(lagging)
      const id = newId()
      yield* backend.owners.bury(id.key, { supersededUntil: now, successor: "" })
      const record = recordOf({ "~owner": JSON.stringify({ id: "Ada", until: now }) })
      assert.deepStrictEqual(yield* store.create(id, record), { _tag: "Gone" })
    }).pipe(Effect.provide(SessionConfig.layer({ secret }))))
})

/** A server of its own, with a back end that has made no request yet. */
const start = Effect.gen(function*() {
  const server = yield* startDynamo()
  return { server, backend: yield* backendOf(server) }
})

const newHash = (): string => Identifier.drawBytes(32).toString("base64url")

const now = 1_700_000_000_000

const entriesOf = (count: number): ReadonlyArray<SessionStore.OwnerEntry> =>
  Array.from({ length: count }, (_, index) => ({ key: newHash(), at: now - index, until: now + 1 }))

const recordOf = (fields: Readonly<Record<string, string>>) => ({ ...times, fields: new Map(Object.entries(fields)) })

describe("the requests of", () => {
  it.effect("adding an entry: one, and one that counts where there is a limit", () =>
    Effect.gen(function*() {
      const { backend: { owners }, server } = yield* start
      const [one, other] = entriesOf(2)
      yield* owners.add("owner", one!, undefined)
      assert.deepStrictEqual(server.newOperations(), ["PutItem"])
      assert.isTrue(yield* owners.add("owner", other!, 1))
      const [added, counted] = server.newRequests()
      assert.strictEqual(added!.operation, "PutItem")
      assert.deepStrictEqual([counted!.operation, counted!.body], ["Query", {
        TableName: table,
        ConsistentRead: true,
        KeyConditionExpression: "id = :id",
        ExpressionAttributeValues: { ":id": { S: "shop:owner:owner" } },
        Select: "COUNT",
        Limit: 2
      }])
    }))

  it.effect("a page of the list: one, and it is read consistently whatever the settings say", () =>
    Effect.gen(function*() {
      const { backend: { owners }, server } = yield* start
      const entries = entriesOf(5)
      yield* Effect.forEach(entries, (entry) => owners.add("owner", entry, undefined))
      server.newRequests()
      assert.deepStrictEqual(yield* owners.list("owner", 2), entries.slice(0, 2))
      assert.deepStrictEqual(yield* owners.list("owner", 100, entries[1]), entries.slice(2))
      const requests = server.newRequests()
      assert.deepStrictEqual(requests.map(({ body, operation }) => [operation, body["ConsistentRead"]]), [
        ["Query", true],
        ["Query", true]
      ])
    }))

  it.effect("removing entries: one for each 25, and none where there are none", () =>
    Effect.gen(function*() {
      const { backend: { owners }, server } = yield* start
      for (const [count, requests] of [[0, 0], [1, 1], [25, 1], [26, 2], [100, 4]] as const) {
        const entries = entriesOf(count)
        yield* owners.remove("owner", [...entries, ...entries])
        assert.deepStrictEqual(server.newOperations(), Array.from({ length: requests }, () => "BatchWriteItem"))
      }
    }))

  it.effect("burying: one", () =>
    Effect.gen(function*() {
      const { backend: { owners }, server } = yield* start
      const key = newHash()
      yield* owners.bury(key, { supersededUntil: now, successor: "" })
      assert.deepStrictEqual(server.newOperations(), ["PutItem"])
      assert.deepStrictEqual(yield* server.items(), [{
        id: { S: `shop:${key}` },
        sort: { S: "session" },
        supersededUntil: { N: `${now}` },
        successor: { S: "" },
        ttl: { N: "1700003600" }
      }])
    }))

  it.effect("looking at sessions: one for each 100, consistent, for what is asked and no more; and none for none", () =>
    Effect.gen(function*() {
      const { backend, server } = yield* start
      const key = newHash()
      yield* backend.create(key, recordOf({ a: "1", secret: "2" }))
      server.newRequests()
      assert.deepStrictEqual(
        yield* backend.peek([key, key], ["a", "__proto__", "a"]),
        new Map([[key, recordOf({ a: "1" })]])
      )
      assert.deepStrictEqual(server.newRequests().map(({ body, operation }) => [operation, body]), [["BatchGetItem", {
        RequestItems: {
          [table]: {
            ConsistentRead: true,
            ProjectionExpression: "#commit,#0,#1,#2,#3,#4,#5,#6.#7,#6.#8",
            ExpressionAttributeNames: {
              "#commit": "lastCommit",
              "#0": "id",
              "#1": "createdAt",
              "#2": "touchedAt",
              "#3": "expiresAt",
              "#4": "supersededUntil",
              "#5": "successor",
              "#6": "data",
              "#7": "a",
              "#8": "~\"__proto__\""
            },
            Keys: [{ id: { S: `shop:${key}` }, sort: { S: "session" } }]
          }
        }
      }]])
      for (const [count, requests] of [[0, 0], [100, 1], [101, 2]] as const) {
        yield* backend.peek(Array.from({ length: count }, newHash), [])
        assert.deepStrictEqual(server.newOperations(), Array.from({ length: requests }, () => "BatchGetItem"))
      }
    }))
})

describe("what an owner's sessions cost:", () => {
  const onServer = (server: DynamoServer, options: SessionConfig.Options = {}) =>
    Layer.provideMerge(DynamoLayer.layer(server.options), SessionConfig.layer({ secret, ...options }))

  const login = Sessions.create(Session.login("Ada"))

  it.live("a login takes one request more, reading none, and ending all of them one each and four more", () =>
    Effect.gen(function*() {
      const server = yield* startDynamo()
      yield* Effect.gen(function*() {
        server.newRequests()
        const { token } = yield* login
        assert.deepStrictEqual(server.newOperations(), ["PutItem", "PutItem"], "a login")
        yield* Effect.scoped(Sessions.open({ token }, { readonly: true }))
        assert.deepStrictEqual(server.newOperations(), ["GetItem"], "reading")
        yield* login
        server.newRequests()
        assert.lengthOf((yield* Sessions.list("Ada")).sessions, 2)
        assert.deepStrictEqual(server.newOperations(), ["Query", "BatchGetItem"], "listing")
        assert.strictEqual(yield* Sessions.destroyAll("Ada"), 2)
        assert.deepStrictEqual(
          server.newOperations(),
          ["Query", "BatchGetItem", "PutItem", "PutItem", "BatchWriteItem", "Query"],
          "ending"
        )
        const { load } = yield* SessionStore.SessionStore
        assert.strictEqual((yield* load(new SessionStore.Token(Redacted.value(token))))._tag, "NotFound")
      }).pipe(Effect.provide(onServer(server)))
    }))

  it.live("a login with a limit takes another one, which counts", () =>
    Effect.gen(function*() {
      const server = yield* startDynamo()
      yield* Effect.gen(function*() {
        server.newRequests()
        yield* login
        assert.deepStrictEqual(server.newOperations(), ["PutItem", "Query", "PutItem"])
      }).pipe(Effect.provide(onServer(server, { owner: { limit: 3 } })))
    }))
})

describe("an entry", () => {
  it.effect("is an item that is sorted by its time and its key, and that DynamoDB removes an hour after the entry's time", () =>
    Effect.gen(function*() {
      const { backend: { owners }, server } = yield* start
      const entry = { key: newHash(), at: now, until: now + 1 }
      yield* owners.add("owner", entry, undefined)
      assert.deepStrictEqual(yield* server.items(), [{
        id: { S: "shop:owner:owner" },
        sort: { S: `0001700000000000.${entry.key}` },
        expiresAt: { N: `${now + 1}` },
        ttl: { N: "1700003601" }
      }])
    }))

  it.effect("that is damaged is ignored, and the others are listed", () =>
    Effect.gen(function*() {
      const { backend: { owners }, server } = yield* start
      const entries = entriesOf(1)
      yield* owners.add("owner", entries[0]!, undefined)
      const id = { S: "shop:owner:owner" }
      const damaged = [
        { id, sort: { S: "0" }, expiresAt: { N: "1" } },
        { id, sort: { S: "session" }, expiresAt: { N: "1" } },
        { id, sort: { S: `0001700000000001.${newHash()}` } }
      ]
      for (const Item of damaged) yield* server.ask((dynamo) => dynamo.putItem({ TableName: table, Item }))
      assert.deepStrictEqual(yield* owners.list("owner", 100), entries)
    }))
})

describe("10,000 entries of one owner", () => {
  it.live("are listed, counted and removed, though no answer of DynamoDB's holds them", () =>
    Effect.gen(function*() {
      const { backend: { owners }, server } = yield* start
      const entries = entriesOf(10_000)
      const { toEntryItem } = DynamoItems.forTable(settings)
      // 25 at once, as adding them one by one takes longer.
      const puts = entries.map((entry) => ({
        PutRequest: { Item: toEntryItem("owner", entry) as Record<string, AttributeValue> }
      }))
      for (let index = 0; index < puts.length; index += 25) {
        const RequestItems = { [table]: puts.slice(index, index + 25) }
        yield* server.ask((dynamo) => dynamo.batchWriteItem({ RequestItems }))
      }
      server.newRequests()
      assert.deepStrictEqual(yield* owners.list("owner", 20_000), entries)
      assert.deepStrictEqual(server.newOperations(), ["Query", "Query"])
      assert.isTrue(yield* owners.add("owner", entries[0]!, 9999))
      assert.isFalse(yield* owners.add("owner", entries[0]!, 10_000))
      assert.deepStrictEqual(yield* owners.list("owner", 2, entries[9996]), entries.slice(9997, 9999))
      yield* owners.remove("owner", entries)
      assert.deepStrictEqual(yield* owners.list("owner", 1), [])
    }), 60_000)
})

describe("what DynamoDB leaves undone of a batch", () => {
  it.live("is removed with the next request, and nothing else comes again", () =>
    Effect.gen(function*() {
      const { backend: { owners }, server } = yield* start
      const entries = entriesOf(25)
      yield* Effect.forEach(entries, (entry) => owners.add("owner", entry, undefined))
      server.newRequests()
      server.disturbs("BatchWriteItem", { carriesOut: 20 }, { carriesOut: 0 })
      yield* owners.remove("owner", entries)
      const sent = server.newRequests().map(({ body }) =>
        (body["RequestItems"] as Record<string, Array<unknown>>)[table]
      )
      assert.deepStrictEqual(sent.map((items) => items!.length), [25, 5, 5])
      assert.deepStrictEqual(yield* owners.list("owner", 100), [])
    }))

  it.live("is looked at with the next request, for the same fields", () =>
    Effect.gen(function*() {
      const { backend, server } = yield* start
      const keys = Array.from({ length: 10 }, newHash)
      yield* Effect.forEach(keys, (key, index) => backend.create(key, recordOf({ a: `${index}`, secret: "1" })))
      server.newRequests()
      server.disturbs("BatchGetItem", { carriesOut: 6 }, { carriesOut: 0 })
      const found = yield* backend.peek(keys, ["a"])
      assert.deepStrictEqual(new Map(found), new Map(keys.map((key, index) => [key, recordOf({ a: `${index}` })])))
      assert.deepStrictEqual(server.newOperations(), ["BatchGetItem", "BatchGetItem", "BatchGetItem"])
    }))

  it.live("because the sessions are too large for one answer is no more than another request", () =>
    Effect.gen(function*() {
      const { backend, server } = yield* start
      const keys = Array.from({ length: 20 }, newHash)
      const large = JSON.stringify("x".repeat(100_000))
      yield* Effect.forEach(keys, (key) => backend.create(key, recordOf({ a: large })))
      server.newRequests()
      const found = yield* backend.peek(keys, ["a"])
      assert.deepStrictEqual([...found.keys()].toSorted(), keys.toSorted())
      assert.deepStrictEqual(server.newOperations(), ["BatchGetItem", "BatchGetItem"])
    }))

  it.effect("again and again is an error that says so", () =>
    Effect.gen(function*() {
      const { backend: { owners }, server } = yield* start
      server.breaks({ carriesOut: 0 })
      const removing = yield* Effect.forkChild(Effect.flip(owners.remove("owner", entriesOf(1))))
      while (removing.pollUnsafe() === undefined) {
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* TestClock.adjust("4 seconds")
      }
      assert.strictEqual(
        String(yield* Fiber.join(removing)),
        "DynamoError: DynamoDB is throttling requests: a part was left unprocessed 8 times"
      )
      assert.lengthOf(server.newRequests(), 8)
    }))
})

describe("the operations of owners", () => {
  it.effect("do what they should once if an answer is lost, and the SDK sends the request again", () =>
    Effect.gen(function*() {
      const { backend: { load, owners, peek }, server } = yield* start
      const entries = entriesOf(3)
      const key = newHash()
      const mark = { supersededUntil: now, successor: "" }
      for (const operation of ["PutItem", "BatchWriteItem", "Query", "BatchGetItem"]) {
        server.disturbs(operation, "loses the answer")
      }
      assert.isFalse(yield* owners.add("owner", entries[0]!, 1))
      assert.deepStrictEqual(server.newOperations(), ["PutItem", "PutItem", "Query", "Query"])
      yield* Effect.forEach(entries, (entry) => owners.add("owner", entry, undefined))
      assert.deepStrictEqual(yield* owners.list("owner", 100), entries)
      yield* owners.remove("owner", entries.slice(1))
      assert.deepStrictEqual(yield* owners.list("owner", 100), entries.slice(0, 1))
      server.disturbs("PutItem", "loses the answer")
      yield* owners.bury(key, mark)
      assert.deepStrictEqual(yield* load(key), mark)
      assert.deepStrictEqual(yield* peek([key], []), new Map([[key, mark]]))
    }))

  it.effect("fail with what DynamoDB says", () =>
    Effect.gen(function*() {
      const { backend: { owners, peek }, server } = yield* start
      const [entry] = entriesOf(1) as [SessionStore.OwnerEntry]
      server.allows([])
      const operations: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>]> = [
        ["PutItem", owners.add("owner", entry, 1)],
        ["PutItem", owners.bury(entry.key, { supersededUntil: now, successor: "" })],
        ["Query", owners.list("owner", 100)],
        ["BatchWriteItem", owners.remove("owner", [entry])],
        ["BatchGetItem", peek([entry.key], [])]
      ]
      for (const [name, operation] of operations) {
        assert.match(
          String(yield* Effect.flip(operation)),
          new RegExp(`^DynamoError: No permission for dynamodb:${name} on "${table}": `)
        )
      }
    }))
})

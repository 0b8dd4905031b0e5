/**
 * Four times as much work costs four times as much, whatever it is that a request does many times.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { MemoryLayer, Session, SessionKey } from "effect-session"
import * as Change from "../../src/internal/record/change.ts"
import * as Flash from "../../src/internal/record/flash.ts"
import * as Record from "../../src/internal/record/record.ts"
import * as Outcome from "../../src/internal/request/outcomes.ts"
import { Id, Token } from "../../src/internal/token/secret.ts"
import { assertLinear } from "../support/allocations.ts"
import { application, newSession, visit, withSession } from "../support/visits.ts"

const many = 2_000

const keys = Array.from(
  { length: many },
  (_, index) => SessionKey.make(`key ${index}`, Schema.Number).pipe(SessionKey.withDefault(() => 0))
)
const One = SessionKey.make("one", Schema.Number).pipe(SessionKey.withDefault(() => 0))
const Limited = SessionKey.make("limited", Schema.Int.check(Schema.isLessThan(1e9))).pipe(
  SessionKey.withDefault(() => 0)
)

type Operation = (index: number) => Effect.Effect<unknown, unknown, Session.Session>

const again = (operation: Operation) => (times: number) =>
  Effect.forEach(Array.from({ length: times }, (_, index) => index), operation, { discard: true })

const half = (operation: Operation) => (times: number) => again(operation)(times / 2)

const form = { title: "A title", password: "hunter2" }

const operations: Readonly<Record<string, (times: number) => Effect.Effect<unknown, unknown, Session.Session>>> = {
  "put, of as many keys": again((index) => Session.put(keys[index]!, index)),
  "put, of one key": again((index) => Session.put(One, index)),
  "forget": again((index) => Session.forget(keys[index]!)),
  "increment, of as many keys": again((index) => Session.increment(keys[index]!)),
  "increment, of one key": again(() => Session.increment(One)),
  "increment, of a key with a limit": again(() => Session.increment(Limited)),
  "modify, of as many keys": again((index) => Session.modify(keys[index]!, (value) => value + 1)),
  "modify, of one key": again(() => Session.modify(One, (value) => value + 1)),
  "put and pull": again((index) => Effect.andThen(Session.put(keys[index]!, 1), Session.pull(keys[index]!))),
  "flash": again((index) => Session.flash(`message ${index}`, index)),
  "flash, of one message": again((index) => Session.flash("message", index)),
  "flashAll": again((index) => Session.flashAll({ ...form, [`field ${index}`]: index })),
  "flashOnly and flashExcept": again((index) =>
    Effect.andThen(Session.flashOnly(["title"], form), Session.flashExcept(["title"], { ...form, [`f ${index}`]: 1 }))
  ),
  "reflash": again(() => Session.reflash),
  "clear and put": again((index) => Effect.andThen(Session.clear, Session.put(keys[index]!, index))),
  "put, with a clear in between": (times) =>
    Effect.andThen(
      half((index) => Session.modify(keys[index]!, (value) => value + 1))(times),
      Effect.andThen(Session.clear, half((index) => Session.put(keys[index]!, 1))(times))
    ),
  "put, with get, has and a view in between": again((index) =>
    Effect.gen(function*() {
      yield* Session.put(keys[index]!, index)
      yield* Session.get(One)
      yield* Session.has(keys[index]!)
      yield* Session.getOrElse(One, () => 1)
      const view = yield* Session.view
      view.get(keys[index]!)
      view.has(One)
    })
  ),
  "put, with a commit in between": (times) =>
    Effect.andThen(
      half((index) => Session.put(keys[index]!, index))(times),
      Effect.andThen(Session.commit, half((index) => Session.increment(keys[index]!))(times))
    ),
  "put of one key and commit": again((index) => Effect.andThen(Session.put(One, index), Session.commit)),
  "put and rollback": again((index) => Effect.andThen(Session.put(keys[index]!, index), Session.rollback)),
  "touch and sessionId": again(() => Effect.andThen(Session.touch, Session.sessionId)),
  "atomic, as often": again((index) => Session.atomic(Session.put(keys[index]!, index))),
  "atomic, around all": (times) => Session.atomic(again((index) => Session.put(keys[index]!, index))(times)),
  "atomic, as often in another one": (times) =>
    Session.atomic(again((index) => Session.atomic(Session.put(keys[index]!, index)))(times)),
  "regenerate, destroy and put": again((index) =>
    Effect.andThen(Session.regenerate, index % 2 === 0 ? Session.destroy : Session.put(One, index))
  )
}

describe("a request that does many times", () => {
  for (const [name, operation] of Object.entries(operations)) {
    it(`${name}: the cost grows with their number`, () =>
      assertLinear((times) =>
        Effect.runPromise(
          Effect.flatMap(
            newSession(Session.flash({ message: "from before", other: 1 })),
            (token) => visit(token, operation(times))
          ).pipe(Effect.provide(application(MemoryLayer.layer())))
        )
      ))
  }

  it("rewrites that have to be done again: the cost grows with their number", () =>
    assertLinear((times) =>
      Effect.runPromise(
        Effect.gen(function*() {
          const token = yield* newSession(Session.put(One, 1))
          yield* visit(
            token,
            Effect.andThen(
              again((index) => Session.modify(index % 2 === 0 ? One : keys[index]!, (value) => value + 1))(times),
              visit(token, Session.put(One, 100))
            )
          )
          assert.strictEqual(yield* withSession(token, One), 100 + times / 2)
        }).pipe(Effect.provide(application(MemoryLayer.layer())))
      )
    ))
})

describe("a record of many fields", () => {
  const fieldsOf = (times: number, name: (index: number) => string = (index) => `field ${index}`): Record.Fields =>
    new Map(Array.from({ length: times }, (_, index) => [name(index), `{"message ${index}":${index}}`]))
  const recordOf = (fields: Record.Fields): Record.SessionRecord => ({
    createdAt: 0,
    touchedAt: 0,
    expiresAt: 1,
    fields
  })

  const works: Readonly<Record<string, (times: number) => unknown>> = {
    "is encoded and decoded": (times) => Record.decode(Record.encode(recordOf(fieldsOf(times)))),
    "is merged": (times) => {
      const fields = fieldsOf(times)
      const set = fieldsOf(times, (index) => `field ${index * 2}`)
      const expect = fieldsOf(times)
      const change = { ...Change.none, set, remove: new Set(fieldsOf(times / 2).keys()), expect }
      assert.isTrue(Change.isExpected(fields, expect))
      return Change.merge(recordOf(fields), change, { createdAt: 0, touchedAt: 0, expiresAt: 1 })
    },
    "is compared": (times) => Change.isSame(fieldsOf(times), fieldsOf(times)),
    "has flash messages of many requests": (times) => {
      const id = new Id("id")
      return Outcome.found(
        { id, record: recordOf(fieldsOf(times, Flash.fieldName)), renewed: undefined },
        new Token("token"),
        false
      )
    }
  }

  for (const [name, work] of Object.entries(works)) {
    it(`${name}: the cost grows with their number`, () => assertLinear(async (times) => work(times)))
  }
})

/**
 * Logins and logouts: what becomes of each value, by the scope of its key, of the id, of the owner, and of the cookie.
 */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Exit, Layer, Option, Redacted, Schema } from "effect"
import {
  Session,
  SessionConfig,
  SessionError,
  type SessionEvent,
  SessionKey,
  Sessions,
  SessionStore
} from "effect-session"
import { TestClock } from "effect/testing"
import { setTimeOfDay } from "../support/clock.ts"
import { secret } from "../support/config.ts"
import { storesWithRedis } from "../support/drivers.ts"
import { rowsBehind } from "../support/tables.ts"

const stores = storesWithRedis()

const keys = {
  login: SessionKey.make("mine", Schema.String),
  visitor: SessionKey.make("mine", Schema.String, { scope: "visitor" }),
  device: SessionKey.make("mine", Schema.String, { scope: "device" })
}

const scopes = ["login", "visitor", "device"] as const

const Basket = SessionKey.make("basket", Schema.Record(Schema.String, Schema.Int), { scope: "visitor" }).pipe(
  SessionKey.withDefault((): Readonly<Record<string, number>> => ({}))
)
const Draft = SessionKey.make("draft", Schema.String)

type Services = SessionStore.SessionStore | SessionConfig.SessionConfig
type Work = Effect.Effect<unknown, unknown, Session.Session>

const test = (
  makeStore: typeof stores["MemoryLayer"],
  title: string,
  effect: () => Effect.Effect<unknown, unknown, Services>
) =>
  it.effect(title, () =>
    Effect.andThen(
      setTimeOfDay,
      Effect.provide(
        Effect.suspend(effect),
        Layer.suspend(() => Layer.provideMerge(makeStore(), SessionConfig.layer({ secret })))
      )
    ))

/** One request after the other, each with the cookies that the one before it has left. */
const browser = () => {
  let cookies = ""
  return <A, E>(work: Effect.Effect<A, E, Session.Session>) =>
    Effect.gen(function*() {
      const { setCookie, value } = yield* Sessions.modify({ cookies }, work)
      for (const header of Redacted.value(setCookie)) {
        cookies = header.includes("Max-Age=0") ? "" : header.split(";", 1)[0]!
      }
      return { value, cookies }
    })
}

const putAll = Effect.forEach(scopes, (scope) => Session.put(keys[scope], scope), { discard: true })

const seenScopes = Effect.map(
  Effect.filter(scopes, (scope) => Session.has(keys[scope])),
  (seen) => seen as ReadonlyArray<string>
)

// -----------------------------------------------------------------------------
// the table of docs/authentication.md
// -----------------------------------------------------------------------------

const as = (owner: string) => Session.login(owner, { methods: ["password"] })

/** Who has put the values, and what happens afterwards; each step is a request. */
const transitions: Readonly<
  Record<string, { readonly before: ReadonlyArray<Work>; readonly after: ReadonlyArray<Work> }>
> = {
  "a visitor logs in": { before: [], after: [as("ada")] },
  "Ada logs in again": { before: [as("ada")], after: [as("ada")] },
  "Ada logs out": { before: [as("ada")], after: [Session.logout] },
  "Ada logs out, and in again": { before: [as("ada")], after: [Session.logout, as("ada")] },
  "Grace logs in, and Ada has not logged out": { before: [as("ada")], after: [as("grace")] },
  "Ada logs out, and Grace logs in": { before: [as("ada")], after: [Session.logout, as("grace")] },
  "a visitor logs out": { before: [], after: [Session.logout] }
}

const table = rowsBehind("authentication.md", "scopes")

it("docs/authentication.md has a row for each transition, and a column for each scope", () => {
  assert.deepStrictEqual(table[0], ["", ...scopes.map((scope) => `\`"${scope}"\``)])
  assert.deepStrictEqual(table.slice(2).map(([what]) => what), Object.keys(transitions))
})

for (const [driver, makeStore] of Object.entries(stores)) {
  describe(`scopes, with the ${driver}`, () => {
    for (const [what, { after, before }] of Object.entries(transitions)) {
      const row = table.find(([title]) => title === what)?.slice(1) ?? []
      const kept: ReadonlyArray<string> = scopes.filter((_, index) => row[index] === "stays")

      test(makeStore, `${what}: what stays has the scope ${kept.join(", ")}`, () =>
        Effect.gen(function*() {
          const request = browser()
          for (const step of before) yield* request(step)
          yield* request(putAll)
          for (const step of after) yield* request(step)
          assert.deepStrictEqual((yield* request(seenScopes)).value, kept)
        }))

      test(makeStore, `${what}, all in one request: the same`, () =>
        Effect.gen(function*() {
          const request = browser()
          const steps = [...before, putAll, ...after]
          assert.deepStrictEqual(
            (yield* request(Effect.andThen(Effect.all(steps, { discard: true }), seenScopes))).value,
            kept
          )
          assert.deepStrictEqual((yield* request(seenScopes)).value, kept)
        }))
    }

    test(
      makeStore,
      "what a visitor has put after a logout is the next owner's, and what the last one has left is not",
      () =>
        Effect.gen(function*() {
          const Wishes = SessionKey.make("wishes", Schema.String, { scope: "visitor" })
          const request = browser()
          yield* request(Effect.andThen(as("ada"), Session.put(Basket, { tea: 1 })))
          yield* request(Session.logout)
          yield* request(Effect.andThen(Session.put(Wishes, "coffee"), Session.put(Draft, "a draft")))
          assert.deepStrictEqual((yield* request(Session.all)).value, {
            basket: { tea: 1 },
            wishes: "coffee",
            draft: "a draft"
          })
          yield* request(as("grace"))
          assert.deepStrictEqual((yield* request(Session.all)).value, { wishes: "coffee", draft: "a draft" })
        })
    )

    test(
      makeStore,
      "who has logged out stays known through another logout, and through a new id",
      () =>
        Effect.gen(function*() {
          const request = browser()
          yield* request(Effect.andThen(as("ada"), putAll))
          for (const step of [Session.logout, Session.logout, Session.regenerate, as("grace")]) yield* request(step)
          assert.deepStrictEqual((yield* request(seenScopes)).value, ["device"])
        })
    )
  })
}

/**
 * A session in a cookie, as the client has it in its hands.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { CookieLayer, SessionConfig, type SessionStore } from "effect-session"
import * as Identifier from "../../../src/internal/token/identifier.ts"
import { Id, Token } from "../../../src/internal/token/secret.ts"
import { bitFlips, extensions, otherSpellings, textFlips, truncations } from "../../support/alterations.ts"
import { otherSecret, secret } from "../../support/config.ts"

/** The store of an application with this configuration. */
const storeOf = (options: SessionConfig.Options) =>
  Effect.provide(CookieLayer.make(), SessionConfig.layer({ secret, ...options }))

const record: SessionStore.SessionRecord = {
  createdAt: 0,
  touchedAt: 0,
  expiresAt: 3_600_000,
  fields: new Map([["name", "\"Ada\""], ["admin", "true"]])
}

const id = new Id(Identifier.random())

const tokenFrom = (store: SessionStore.SessionStore) =>
  Effect.flatMap(
    store.create(id, record),
    (written) => written._tag === "Written" ? Effect.succeed(written.token!.text) : Effect.die("The id is taken")
  )

const load = (store: SessionStore.SessionStore, token: string) => store.load(new Token(token))

const reason = (store: SessionStore.SessionStore, token: string) =>
  Effect.map(load(store, token), (loaded) => loaded._tag === "NotFound" ? loaded.reason : loaded._tag)

describe("a session in a cookie", () => {
  it.effect("comes out of the cookie as it went in", () =>
    Effect.gen(function*() {
      const store = yield* storeOf({})
      const loaded = yield* load(store, yield* tokenFrom(store))
      assert.deepStrictEqual(loaded, { _tag: "Found", id, record, renewed: undefined })
    }))

  it.effect("V9.1.1, V9.1.2, V7.2.1 with any bit of it flipped is no session, and nothing throws", () =>
    Effect.gen(function*() {
      const store = yield* storeOf({})
      const token = yield* tokenFrom(store)
      for (const flipped of bitFlips(token)) assert.strictEqual(yield* reason(store, flipped), "tampered")
      for (const flipped of textFlips(token)) {
        assert.include(["tampered", "malformed"], yield* reason(store, flipped), flipped)
      }
    }))

  it.effect("V9.1.1 cut short, made longer or spelled otherwise is no session", () =>
    Effect.gen(function*() {
      const store = yield* storeOf({})
      const token = yield* tokenFrom(store)
      for (const altered of [...truncations(token), ...extensions(token), ...otherSpellings(token)]) {
        assert.include(["tampered", "malformed"], yield* reason(store, altered), altered)
      }
    }))

  it.effect("V9.2.2 is none under another cookie's name, and none for another secret", () =>
    Effect.gen(function*() {
      const token = yield* Effect.flatMap(storeOf({}), tokenFrom)
      assert.strictEqual(yield* reason(yield* storeOf({ cookie: { name: "admin" } }), token), "tampered")
      assert.strictEqual(yield* reason(yield* storeOf({ secret: otherSecret }), token), "tampered")
    }))

  it.effect("V11.2.2 of a secret that is being retired opens, and comes with a new cookie", () =>
    Effect.gen(function*() {
      const token = yield* Effect.flatMap(storeOf({ secret: otherSecret }), tokenFrom)
      const rotated = yield* storeOf({ secret: [secret, otherSecret] })
      const loaded = yield* load(rotated, token)
      assert.strictEqual(loaded._tag, "Found")
      const renewed = loaded._tag === "Found" ? loaded.renewed!.text : ""
      const after = yield* storeOf({ secret })
      assert.deepStrictEqual(yield* load(after, renewed), { _tag: "Found", id, record, renewed: undefined })
      assert.strictEqual(yield* reason(after, token), "tampered")
    }))

  it.effect("holds nothing that can be read, and is different each time", () =>
    Effect.gen(function*() {
      const store = yield* storeOf({})
      const tokens = yield* Effect.replicateEffect(tokenFrom(store), 100)
      assert.strictEqual(new Set(tokens).size, 100)
      for (const token of tokens) {
        const bytes = Buffer.from(token, "base64url").toString("latin1")
        for (const inside of [id.text, "Ada", "admin", "3600000"]) assert.notInclude(bytes, inside)
      }
    }))

  it.effect("of a megabyte, or of any other shape, is malformed", () =>
    Effect.gen(function*() {
      const store = yield* storeOf({ cookie: { chunks: 4 } })
      for (const token of ["", "A", "A".repeat(43), "A".repeat(1_000_000), "ä".repeat(100), "\ud800".repeat(100)]) {
        assert.strictEqual(yield* reason(store, token), "malformed", token.slice(0, 50))
      }
    }))
})

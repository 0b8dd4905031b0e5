/**
 * What the store makes of its back end where one of several steps fails.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { SessionConfig, SessionStore } from "effect-session"
import * as MemoryBackend from "../../src/internal/drivers/memory/backend.ts"
import { createSession, newId } from "../support/storedSession.ts"

describe("a logout under the old id, just after a login", () => {
  for (const retries of [0, 1]) {
    it.effect(`that fails halfway ends the session when it is tried again (${retries} retries)`, () =>
      Effect.gen(function*() {
        const memory = MemoryBackend.make(10)
        let failures = 0
        const backend: SessionStore.Backend = {
          ...memory,
          destroy: (key) =>
            Effect.flatMap(memory.load(key), (stored) =>
              stored !== undefined && "fields" in stored && failures-- > 0
                ? Effect.fail(new Error("No answer"))
                : memory.destroy(key))
        }
        const store = yield* SessionStore.fromBackend(backend)
        const { id, record } = yield* createSession(store)
        const regenerated = yield* store.regenerate(id, newId(), record, record.fields)
        assert(regenerated._tag === "Written" && regenerated.token !== undefined)
        failures = 1
        const first = yield* Effect.exit(store.destroy(id, record))
        assert.strictEqual(first._tag, retries === 0 ? "Failure" : "Success")
        if (retries === 0) yield* store.destroy(id, record)
        assert.strictEqual((yield* store.load(regenerated.token))._tag, "NotFound")
      }).pipe(
        Effect.provide(SessionConfig.layer({ id: { protection: "none" }, age: "never", absoluteAge: "never", retries }))
      ))
  }
})

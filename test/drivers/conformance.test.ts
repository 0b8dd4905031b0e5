import { describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { CookieLayer, MemoryLayer, SessionStore } from "effect-session"
import * as SessionOwnersTest from "effect-session/SessionOwnersTest"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { KeyValueStore, Persistence } from "effect/persistence"

SessionStoreTest.suite({ describe, it }, "MemoryLayer", { layer: MemoryLayer.layer() })

SessionOwnersTest.suite({ describe, it }, "MemoryLayer", {
  layer: MemoryLayer.layer(),
  skip: [
    "a login is in the list at once, also that of another server",
    "another server knows at once that all sessions, or all others, have ended"
  ]
})

SessionStoreTest.suite({ describe, it }, "CookieLayer", { layer: CookieLayer.layer() })

SessionStoreTest.suite({ describe, it }, "CookieLayer.layerShared", {
  layer: CookieLayer.layerShared.pipe(
    Layer.provide(Persistence.layerBackingKvs),
    Layer.provide(KeyValueStore.layerMemory)
  )
})

SessionOwnersTest.suiteWithoutIndex({ describe, it }, "CookieLayer.layerShared in memory", {
  layer: Layer.provide(
    CookieLayer.layerShared,
    Layer.succeedContext(Effect.runSync(Effect.scoped(Layer.build(Persistence.layerBackingMemory))))
  )
})

const values = new Map<string, Parameters<SessionStore.Driver["write"]>[1]>()

SessionStoreTest.suite({ describe, it }, "fromDriver", {
  layer: Layer.effect(
    SessionStore.SessionStore,
    SessionStore.fromDriver({
      // Each call gives way to the others, as a store on a network does.
      read: (id) => Effect.andThen(Effect.yieldNow, Effect.sync(() => values.get(id))),
      write: (id, session) => Effect.andThen(Effect.yieldNow, Effect.sync(() => void values.set(id, session))),
      destroy: (id) => Effect.andThen(Effect.yieldNow, Effect.sync(() => void values.delete(id))),
      touch: (id, session) => Effect.andThen(Effect.yieldNow, Effect.sync(() => void values.set(id, session)))
    })
  ),
  dump: Effect.sync(() => JSON.stringify([...values]))
})

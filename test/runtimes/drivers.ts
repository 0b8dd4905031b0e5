/**
 * What is tried of each driver in another runtime: the laws of the conformance suites, and the races over HTTP.
 */
import { Layer } from "effect"
import { CookieLayer, MemoryLayer } from "effect-session"
import * as SessionOwnersTest from "effect-session/SessionOwnersTest"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import type { Persistence } from "effect/persistence"
import { races } from "../support/races.ts"
import type { OwnerStoreLayer } from "../support/server.ts"
import { describe, it } from "./runner.ts"

const runner = { describe, it }

export const memory = () => {
  SessionStoreTest.suite(runner, "MemoryLayer", { layer: MemoryLayer.layer() })
  SessionOwnersTest.suite(runner, "MemoryLayer", {
    layer: MemoryLayer.layer(),
    skip: [
      "a login is in the list at once, also that of another server",
      "another server knows at once that all sessions, or all others, have ended"
    ]
  })
  races("the MemoryLayer", { store: () => MemoryLayer.layer(), servers: [1] })
}

export const cookie = () => {
  SessionStoreTest.suite(runner, "CookieLayer", { layer: CookieLayer.layer() })
  races("the CookieLayer", { store: () => CookieLayer.layer(), servers: [1], stateless: true })
}

/** The CookieLayer with its revocations in a place of the runtime's. */
export const cookieWith = (place: Layer.Layer<Persistence.BackingPersistence>): void => {
  const layer = Layer.provide(CookieLayer.layerShared, place)
  SessionStoreTest.suite(runner, "CookieLayer.layerShared", { layer })
  SessionOwnersTest.suiteWithoutIndex(runner, "CookieLayer.layerShared", { layer })
  races("CookieLayer.layerShared", { store: () => layer, servers: [2], stateless: true })
}

/** A store that several servers share. */
export const shared = (name: string, layer: OwnerStoreLayer): void => {
  SessionStoreTest.suite(runner, name, { layer })
  SessionOwnersTest.suite(runner, name, { layer })
  races(name, { store: () => layer, servers: [2] })
}

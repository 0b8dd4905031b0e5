/**
 * Sessions in a KeyValueStore over HTTP: requests of one session at the same time.
 */
import { Layer } from "effect"
import { KeyValueLayer } from "effect-session"
import { KeyValueStore } from "effect/persistence"
import { ownerRaces } from "../../support/ownerRaces.ts"
import { races } from "../../support/races.ts"

// One server has the store for itself: a KeyValueStore has nothing that two of them could take turns with.
races("the KeyValueLayer", {
  store: () => Layer.provide(KeyValueLayer.layer(), KeyValueStore.layerMemory),
  servers: [1]
})

ownerRaces("the KeyValueLayer", {
  store: () => Layer.provide(KeyValueLayer.layer(), KeyValueStore.layerMemory),
  servers: 1
})

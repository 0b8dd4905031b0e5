import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer } from "effect"
import { FileLayer } from "effect-session"
import * as SessionStoreTest from "effect-session/SessionStoreTest"

const TemporaryFileLayer = Layer.unwrap(
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return FileLayer.layer({ location: yield* fs.makeTempDirectoryScoped({ prefix: "effect-session-" }) })
  })
).pipe(Layer.provide(NodeServices.layer))

SessionStoreTest.suite("FileLayer", { layer: TemporaryFileLayer })

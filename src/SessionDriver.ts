/**
 * The driver that the configuration names, so that one build of an application runs with any of them.
 *
 * **When to use**
 *
 * Use it if operations decide where sessions are kept. An application that always uses the same driver provides that
 * driver's Layer, and a bundle of it then carries no other driver.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as CookieLayer from "./CookieLayer.ts"
import * as DynamoLayer from "./DynamoLayer.ts"
import * as FileLayer from "./FileLayer.ts"
import * as MemoryLayer from "./MemoryLayer.ts"
import * as RedisLayer from "./RedisLayer.ts"
import { type drivers, SessionConfig } from "./SessionConfig.ts"
import type { SessionConfigError } from "./SessionError.ts"
import type { SessionStore } from "./SessionStore.ts"

// Each driver imports its client when it is built, so that nobody loads one that is not used.
const layers: {
  readonly [Type in (typeof drivers)[number]]: (options: never) => Layer.Layer<
    SessionStore,
    SessionConfigError,
    SessionConfig | FileSystem.FileSystem | Path.Path
  >
} = {
  cookie: CookieLayer.layer,
  dynamodb: DynamoLayer.layer,
  file: FileLayer.layer,
  memory: MemoryLayer.layer,
  redis: RedisLayer.layer
}

/**
 * The driver that the configuration names with `store.type` (the environment variable `SESSION_DRIVER`), with its own
 * settings from `store`. By default the CookieLayer. The file system, which only the FileLayer uses, comes with the services
 * of a platform.
 *
 * **Example**
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { SessionConfig, SessionDriver } from "effect-session"
 *
 * const Sessions = SessionDriver.layerConfig.pipe(
 *   Layer.provide(NodeServices.layer),
 *   Layer.provideMerge(SessionConfig.layerConfig())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig: Layer.Layer<
  SessionStore,
  SessionConfigError,
  SessionConfig | FileSystem.FileSystem | Path.Path
> = Layer.unwrap(
  Effect.gen(function*() {
    const { options, type } = (yield* SessionConfig).store
    return layers[type](Redacted.value(options) as never)
  })
)

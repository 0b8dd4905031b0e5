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
import { type drivers, SessionConfig } from "./SessionConfig.ts"
import type { SessionConfigError } from "./SessionError.ts"
import type { SessionStore } from "./SessionStore.ts"

// Imported when chosen, so that nobody loads the client of a driver that is not used.
const layers: {
  readonly [Type in (typeof drivers)[number]]: () => Promise<{
    readonly layer: (options: never) => Layer.Layer<
      SessionStore,
      SessionConfigError,
      SessionConfig | FileSystem.FileSystem | Path.Path
    >
  }>
} = {
  cookie: () => import("./CookieLayer.ts"),
  dynamodb: () => import("./DynamoLayer.ts"),
  file: () => import("./FileLayer.ts"),
  memory: () => import("./MemoryLayer.ts"),
  redis: () => import("./RedisLayer.ts")
}

/**
 * The driver that the configuration names with `store.type` (the environment variable `SESSION_DRIVER`), with its own
 * settings from `store`. By default the CookieLayer. The file system, which only the FileLayer uses, comes with any
 * platform's HTTP server.
 *
 * **Example**
 *
 * ```ts
 * import { Layer } from "effect"
 * import { SessionConfig, SessionDriver } from "effect-session"
 *
 * const Sessions = SessionDriver.layerConfig.pipe(
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
    const driver = yield* Effect.promise(layers[type])
    return driver.layer(Redacted.value(options) as never)
  })
)

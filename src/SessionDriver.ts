/**
 * Builds the driver that the configuration names, so that one build of an application can run with any driver.
 *
 * **When to use**
 *
 * Use it if the driver is chosen at deployment. If your application always uses the same driver, provide that driver's
 * Layer: a bundle then contains no other driver.
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
import * as Setting from "./internal/config/settings.ts"
import * as MemoryLayer from "./MemoryLayer.ts"
import * as RedisLayer from "./RedisLayer.ts"
import { type drivers, SessionConfig } from "./SessionConfig.ts"
import { SessionConfigError } from "./SessionError.ts"
import type { SessionIndex, SessionOwners } from "./SessionOwners.ts"
import type { SessionStore } from "./SessionStore.ts"

type Type = (typeof drivers)[number]

type Driver<Provided> = (
  options: never
) => Layer.Layer<Provided, SessionConfigError, SessionConfig | FileSystem.FileSystem | Path.Path>

// Each driver imports its client when it is built, so unused clients are never loaded.
const layersWithOwners: {
  readonly [T in Exclude<Type, "cookie">]: Driver<SessionStore | SessionOwners | SessionIndex>
} = {
  dynamodb: DynamoLayer.layer,
  file: FileLayer.layer,
  memory: MemoryLayer.layer,
  redis: RedisLayer.layer
}

const layers: { readonly [T in Type]: Driver<SessionStore> } = { cookie: CookieLayer.layer, ...layersWithOwners }

/**
 * The driver named by the setting `store.type` (the environment variable `SESSION_DRIVER`), with its own settings from
 * `store`. The default is CookieLayer. It needs the platform's file system, which only FileLayer uses.
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

/**
 * Like {@link layerConfig}, with support for owners, for applications that list or end an owner's sessions. The
 * configuration must then name a driver: the default, `"cookie"`, is a `SessionConfigError`, because a server can't
 * list the sessions that are held in cookies.
 *
 * **Example**
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { SessionConfig, SessionDriver } from "effect-session"
 *
 * const Sessions = SessionDriver.layerConfigWithOwners.pipe(
 *   Layer.provide(NodeServices.layer),
 *   Layer.provideMerge(SessionConfig.layerConfig({ store: { type: "memory" } }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfigWithOwners: Layer.Layer<
  SessionStore | SessionOwners | SessionIndex,
  SessionConfigError,
  SessionConfig | FileSystem.FileSystem | Path.Path
> = Layer.unwrap(
  Effect.gen(function*() {
    const { options, type } = (yield* SessionConfig).store
    if (type === "cookie") return yield* new SessionConfigError({ mistakes: [noOwners()] })
    return layersWithOwners[type](Redacted.value(options) as never)
  })
)

const noOwners = () =>
  Setting.mistake(
    ["store", "type"],
    "cookie",
    "Sessions in cookies have no lists of a user's sessions, which this application needs. " +
      Setting.writeOneOf(Object.keys(layersWithOwners))
  )

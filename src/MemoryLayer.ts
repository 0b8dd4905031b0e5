/**
 * Sessions in the memory of the process: for development, tests, and servers of one process whose sessions may end with
 * it. Merges, increments in place, and is swept.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Setting from "./internal/config/settings.ts"
import * as Change from "./internal/record/change.ts"
import * as Record from "./internal/record/record.ts"
import type { DurationInput, SessionConfig } from "./SessionConfig.ts"
import type { SessionConfigError } from "./SessionError.ts"
import * as SessionStore from "./SessionStore.ts"

/**
 * The settings of the memory store.
 *
 * - `capacity`: the most sessions it holds, default `100_000`. When it is full, creating a session is a
 *   `SessionStoreError`: no session that is alive is thrown out for a new one.
 * - `sweepEvery`: how often expired sessions are removed, default 1 minute. They are gone for everybody before that.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly capacity?: number
  readonly sweepEvery?: DurationInput
}

const Options = Schema.Struct({
  capacity: Setting.integer({ minimum: 1, maximum: 16_000_000 }, 100_000),
  sweepEvery: Setting.duration("1 minute")
})

/**
 * A store in memory that lives as long as its scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: Options
) => Effect.Effect<SessionStore.SessionStore, SessionConfigError, SessionConfig | Scope.Scope> = Effect.fnUntraced(
  function*(options = {}) {
    const { capacity, sweepEvery } = yield* Effect.fromResult(Setting.decode(Options, options, ["store"]))
    const entries = new Map<string, Entry>()
    yield* Effect.forkScoped(Effect.repeat(sweep(entries), Schedule.spaced(sweepEvery)))
    return yield* SessionStore.fromBackend(makeBackend(entries, capacity))
  }
)

/**
 * Sessions in memory.
 *
 * **Example**
 *
 * ```ts
 * import { Layer } from "effect"
 * import { MemoryLayer, SessionConfig } from "effect-session"
 *
 * const Sessions = MemoryLayer.layer({ capacity: 10_000 }).pipe(
 *   Layer.provideMerge(SessionConfig.layerConfig())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options
): Layer.Layer<SessionStore.SessionStore, SessionConfigError, SessionConfig> =>
  Layer.effect(SessionStore.SessionStore, make(options))

/**
 * As {@link layer}, with each setting from a `Config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<SessionStore.SessionStore, SessionConfigError | Config.ConfigError, SessionConfig> =>
  Layer.effect(SessionStore.SessionStore, Effect.flatMap(Config.unwrap(options), make))

// A record is kept as one text: a Map for each of a million sessions would take several times what is in it.
type Entry =
  | { readonly _tag: "Record"; readonly expiresAt: number; readonly text: string }
  | { readonly _tag: "Superseded"; readonly expiresAt: number; readonly mark: SessionStore.SupersededRecord }

const makeBackend = (entries: Map<string, Entry>, capacity: number): SessionStore.Backend => {
  const recordAt = (key: string) => {
    const entry = entries.get(key)
    return entry?._tag === "Record" ? Record.decode(entry.text) : undefined
  }
  const put = (key: string, record: Record.SessionRecord) =>
    entries.set(key, { _tag: "Record", expiresAt: record.expiresAt, text: Record.encode(record) })
  const mergeInto = (key: string, change: Change.Change, times: Record.Times) => {
    const stored = recordAt(key)
    if (stored === undefined) return false
    put(key, Change.merge(stored, change, times))
    return true
  }
  return {
    driver: "memory",
    keepsTimeLimit: true,
    load: (key) =>
      Effect.sync(() => {
        const entry = entries.get(key)
        return entry?._tag === "Superseded" ? entry.mark : recordAt(key)
      }),
    create: (key, record) =>
      Effect.suspend(() => {
        if (entries.has(key)) return Effect.succeed(false)
        if (entries.size >= capacity) return Effect.fail(new Error(`It holds ${capacity} sessions and is full`))
        put(key, record)
        return Effect.succeed(true)
      }),
    update: (key, change, times) => Effect.sync(() => mergeInto(key, change, times)),
    touch: (key, times) => Effect.sync(() => mergeInto(key, Change.onlyTouch, times)),
    supersede: (key, mark) =>
      Effect.sync(() => {
        const stored = recordAt(key)
        if (stored !== undefined) entries.set(key, { _tag: "Superseded", expiresAt: mark.supersededUntil, mark })
        return stored
      }),
    destroy: (key) =>
      Effect.sync(() => {
        const entry = entries.get(key)
        entries.delete(key)
        return entry?._tag === "Superseded" ? entry.mark : undefined
      })
  }
}

/** Removes the expired, a few thousand at a time, so that requests are served in between. */
const sweep = Effect.fnUntraced(function*(entries: Map<string, Entry>) {
  const now = yield* Clock.currentTimeMillis
  let seen = 0
  for (const [key, { expiresAt }] of entries) {
    if (expiresAt <= now) entries.delete(key)
    if (++seen % 5_000 === 0) yield* Effect.yieldNow
  }
})

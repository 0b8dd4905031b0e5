/**
 * A back end made of the four functions read, write, destroy and touch: it merges by reading and writing, one at a time
 * for each key.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Backend, Driver, SupersededRecord } from "../SessionStore.ts"
import * as Change from "./change.ts"
import * as KeyLock from "./keyLock.ts"
import type { SessionRecord } from "./record.ts"

export const make = (driver: Driver): Backend => {
  const locked = KeyLock.make()

  const load = (key: string) =>
    Effect.map(driver.read(key), (values) => values == null ? undefined : fromValues(values))
  const write = (key: string, record: SessionRecord) => driver.write(key, toValues(record), record.expiresAt)

  /** Writes what `f` makes of the record, if there is one; the answer is the record that was there. */
  const modify = (key: string, f: (record: SessionRecord) => Effect.Effect<void, unknown>) =>
    locked(key)(Effect.flatMap(load(key), (stored) =>
      stored === undefined || "supersededUntil" in stored
        ? Effect.succeed(undefined)
        : Effect.as(f(stored), stored)))

  const wasThere = Effect.map((stored: SessionRecord | undefined) => stored !== undefined)

  return {
    driver: driver.driver ?? "custom",
    load,
    create: (key, record) =>
      locked(key)(
        Effect.flatMap(driver.read(key), (values) =>
          values == null ? Effect.as(write(key, record), true) : Effect.succeed(false))
      ),
    update: (key, change, times) => wasThere(modify(key, (stored) => write(key, Change.merge(stored, change, times)))),
    touch: (key, times) =>
      wasThere(modify(key, (stored) => {
        const touched = Change.merge(stored, Change.onlyTouch, times)
        return driver.touch(key, toValues(touched), touched.expiresAt)
      })),
    supersede: (key, until) => modify(key, () => driver.write(key, { supersededUntil: until }, until)),
    destroy: (key) => locked(key)(driver.destroy(key))
  }
}

const toValues = (
  { createdAt, expiresAt, fields, touchedAt }: SessionRecord
): { readonly [key: string]: Schema.Json } => ({
  createdAt,
  touchedAt,
  expiresAt,
  data: Object.fromEntries([...fields].map(([name, text]) => [name, JSON.parse(text)]))
})

// What somebody else has damaged is no session.
const fromValues = (values: { readonly [key: string]: Schema.Json }): SessionRecord | SupersededRecord | undefined => {
  if (isSuperseded(values)) return values
  if (!isStored(values)) return undefined
  const { createdAt, data, expiresAt, touchedAt } = values
  const fields = new Map(Object.entries(data).map(([name, value]) => [name, JSON.stringify(value)]))
  return { createdAt, touchedAt, expiresAt, fields }
}

const isSuperseded = Schema.is(Schema.Struct({ supersededUntil: Schema.Number }))

const isStored = Schema.is(
  Schema.Struct({
    createdAt: Schema.Number,
    touchedAt: Schema.Number,
    expiresAt: Schema.Number,
    data: Schema.JsonObject
  })
)

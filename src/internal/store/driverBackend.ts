/**
 * A back end made of the four functions read, write, destroy and touch: it merges by reading and writing, one at a time
 * for each key.
 */
import * as Effect from "effect/Effect"
import type { Backend, Driver } from "../../SessionStore.ts"
import * as Change from "../record/change.ts"
import type { SessionRecord } from "../record/record.ts"
import * as Document from "./document.ts"
import * as KeyLock from "./keyLock.ts"

export const make = (driver: Driver, locked: KeyLock.KeyLock = KeyLock.make()): Backend => {
  const load = (key: string) =>
    Effect.map(driver.read(key), (document) => document == null ? undefined : Document.toRecord(document))
  const write = (key: string, record: SessionRecord) => driver.write(key, Document.fromRecord(record), record.expiresAt)

  /** Does what `f` does with the record, if there is one; the answer is the record that was there. */
  const modify = (key: string, f: (record: SessionRecord) => Effect.Effect<void, unknown>) =>
    locked(key)(
      Effect.flatMap(load(key), (stored) =>
        stored === undefined || "supersededUntil" in stored
          ? Effect.succeed(undefined)
          : Effect.as(f(stored), stored))
    )

  const wasThere = Effect.map((stored: SessionRecord | undefined) => stored !== undefined)

  return {
    driver: driver.driver ?? "custom",
    load,
    create: (key, record) =>
      locked(key)(
        Effect.flatMap(driver.read(key), (document) =>
          document == null ? Effect.as(write(key, record), true) : Effect.succeed(false))
      ),
    update: (key, change, times) => wasThere(modify(key, (stored) => write(key, Change.merge(stored, change, times)))),
    touch: (key, times) =>
      wasThere(modify(key, (stored) => {
        const touched = Change.merge(stored, Change.onlyTouch, times)
        return driver.touch(key, Document.fromRecord(touched), touched.expiresAt)
      })),
    supersede: (key, mark) => modify(key, () => driver.write(key, Document.fromMark(mark), mark.supersededUntil)),
    destroy: (key) =>
      locked(key)(
        Effect.flatMap(load(key), (stored) =>
          Effect.as(driver.destroy(key), stored !== undefined && "successor" in stored ? stored : undefined))
      )
  }
}

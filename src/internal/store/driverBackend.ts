/**
 * A back end made of the four functions read, write, destroy and touch: it merges by reading and writing, one at a time
 * for each key.
 */
import * as Effect from "effect/Effect"
import type { Backend, Conflict, Driver } from "../../SessionStore.ts"
import * as KeyLock from "../concurrency/keyLock.ts"
import * as Change from "../record/change.ts"
import type { Fields, SessionRecord } from "../record/record.ts"
import { conflict, isConflict } from "./answers.ts"
import * as Document from "./document.ts"

export const make = (driver: Driver, locked: KeyLock.KeyLock = KeyLock.make()): Backend => {
  const load = (key: string) =>
    Effect.map(driver.read(key), (document) => document == null ? undefined : Document.toRecord(document))
  const write = (key: string, record: SessionRecord) => driver.write(key, Document.fromRecord(record), record.expiresAt)

  /** Does what `f` does with the record, if there is one that is as expected; the answer is the record that was there. */
  const modify = (
    key: string,
    isExpected: (fields: Fields) => boolean,
    f: (record: SessionRecord) => Effect.Effect<void, unknown>
  ): Effect.Effect<SessionRecord | Conflict | undefined, unknown> =>
    locked(key)(
      Effect.flatMap(load(key), (stored): Effect.Effect<SessionRecord | Conflict | undefined, unknown> =>
        stored === undefined || "supersededUntil" in stored
          ? Effect.undefined
          : isExpected(stored.fields)
          ? Effect.as(f(stored), stored)
          : Effect.succeed(conflict(stored)))
    )

  return {
    driver: driver.driver ?? "custom",
    load,
    create: (key, record) =>
      locked(key)(
        Effect.flatMap(driver.read(key), (document) =>
          document == null ? Effect.as(write(key, record), true) : Effect.succeed(false))
      ),
    update: (key, change, times) =>
      Effect.map(
        modify(key, (fields) =>
          Change.isExpected(fields, change.expect), (stored) =>
          write(key, Change.merge(stored, change, times))),
        (stored) =>
          isConflict(stored) ? stored : stored !== undefined
      ),
    touch: (key, times) =>
      Effect.map(
        modify(key, () => true, (stored) => {
          const touched = Change.merge(stored, Change.onlyTouch, times)
          return driver.touch(key, Document.fromRecord(touched), touched.expiresAt)
        }),
        (stored) => stored !== undefined
      ),
    supersede: (key, mark, expected) =>
      modify(
        key,
        (fields) => Change.isSame(fields, expected),
        () => driver.write(key, Document.fromMark(mark), mark.supersededUntil)
      ),
    destroy: (key) =>
      locked(key)(
        Effect.flatMap(load(key), (stored) =>
          stored !== undefined && "successor" in stored
            ? Effect.succeed(stored)
            : Effect.as(driver.destroy(key), undefined))
      )
  }
}

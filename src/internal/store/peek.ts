/**
 * Looks at several sessions at once, even if a back end reads them one by one.
 */
import * as Effect from "effect/Effect"
import type { Backend, SupersededRecord } from "../../SessionStore.ts"
import type { SessionRecord } from "../record/record.ts"

type Stored = SessionRecord | SupersededRecord

type Peek = NonNullable<Backend["peek"]>

export const of = (backend: Backend): Peek => backend.peek ?? oneByOne(backend.load)

export const oneByOne = (
  load: (key: string) => Effect.Effect<Stored | undefined, unknown>
): Peek =>
(keys, names) =>
  Effect.map(
    Effect.forEach(
      keys,
      (key) => Effect.map(load(key), (stored) => stored === undefined ? [] : [[key, only(stored, names)] as const]),
      { concurrency: 10 }
    ),
    (found) => new Map(found.flat())
  )

/** A session with only some of its fields. */
export const only = <A extends Stored>(stored: A, names: ReadonlyArray<string>): A =>
  "successor" in stored ? stored : {
    ...stored,
    fields: new Map(names.flatMap((name) => {
      const text = stored.fields.get(name)
      return text === undefined ? [] : [[name, text] as const]
    }))
  }

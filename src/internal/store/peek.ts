/**
 * Looking at several sessions at once.
 */
import * as Effect from "effect/Effect"
import type { Backend, SupersededRecord } from "../../SessionStore.ts"
import type { SessionRecord } from "../record/record.ts"

type Peek = NonNullable<Backend["peek"]>

/** For a back end that can't look at several, one by one. */
export const peekOf = (backend: Backend): Peek => backend.peek ?? ((keys) => loadEach(backend, keys))

const loadEach = (
  backend: Backend,
  keys: ReadonlyArray<string>
): Effect.Effect<ReadonlyMap<string, SessionRecord | SupersededRecord>, unknown> =>
  Effect.map(
    Effect.forEach(keys, (key) => Effect.map(backend.load(key), (stored) => [key, stored] as const), {
      concurrency: 10
    }),
    (all) => new Map(all.flatMap(([key, stored]) => stored === undefined ? [] : [[key, stored] as const]))
  )

/**
 * Where sessions are switched off (`enabled: false`), nothing asks the store, so none is connected.
 */
import * as Effect from "effect/Effect"
import type { SessionOwners } from "../../SessionOwners.ts"
import type { SessionStore } from "../../SessionStore.ts"
import { gone, notFound, unchanged } from "./answers.ts"

const owners: SessionOwners = {
  "~effect-session/SessionOwners": "~effect-session/SessionOwners",
  add: () => Effect.void,
  remove: () => Effect.void,
  list: () => Effect.succeed({ sessions: [], next: undefined }),
  find: () => Effect.undefined,
  end: () => Effect.succeed([])
}

export const make = (driver: string): SessionStore & { readonly owners: SessionOwners } => ({
  "~effect-session/SessionStore": "~effect-session/SessionStore",
  driver,
  stateless: false,
  owners,
  load: () => Effect.succeed(notFound.unknown),
  create: () => Effect.succeed(unchanged),
  update: () => Effect.succeed(gone),
  touch: () => Effect.succeed(gone),
  regenerate: () => Effect.succeed(gone),
  destroy: () => Effect.void
})

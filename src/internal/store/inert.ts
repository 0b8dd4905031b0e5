/**
 * If sessions are turned off (`enabled: false`), the store is never used, so it is not connected.
 */
import * as Effect from "effect/Effect"
import * as SessionOwners from "../../SessionOwners.ts"
import type { WithIndex } from "../../SessionStore.ts"
import { gone, unchanged } from "./answers.ts"

export const make = (driver: string): WithIndex => ({
  "~effect-session/SessionStore": "~effect-session/SessionStore",
  driver,
  stateless: false,
  owners: SessionOwners.none,
  load: () => Effect.succeed({ _tag: "NotFound", reason: "unknown" }),
  create: () => Effect.succeed(unchanged),
  update: () => Effect.succeed(gone),
  touch: () => Effect.succeed(gone),
  regenerate: () => Effect.succeed(gone),
  destroy: () => Effect.void
})

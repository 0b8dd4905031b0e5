/**
 * Shared by the sessions of all requests of an application.
 */
import * as Effect from "effect/Effect"
import type { Settings } from "../../SessionConfig.ts"
import type { SessionStore } from "../../SessionStore.ts"
import * as TimeLimit from "../concurrency/timeLimit.ts"
import * as Expiry from "../record/expiry.ts"
import type { Fields } from "../record/record.ts"
import * as Identifier from "../token/identifier.ts"
import { Id } from "../token/secret.ts"
import * as Events from "./events.ts"
import * as Observability from "./observability.ts"

export interface Environment {
  readonly settings: Settings
  /** The store; `undefined` for a session that ends with its request. */
  readonly store: SessionStore | undefined
  /** The initial state of a new session. */
  readonly initial: Fields | undefined
  readonly expiry: Expiry.Expiry
  /** The subscribers of session events. */
  readonly listeners: Events.Listeners
  /** Generates the id of a session. */
  readonly drawId: Effect.Effect<Id>
  /** How long a commit waits for its turn. */
  readonly patience: TimeLimit.TimeLimit
  /** Whether to warn again that sessions can't be extended. */
  readonly mayWarn: (now: number) => boolean
  readonly storeTimes: Observability.StoreTimes
}

export const make = (
  settings: Settings,
  store: SessionStore | undefined,
  generateId: Effect.Effect<string>,
  initial?: Fields
): Environment => ({
  settings,
  store: settings.enabled ? store : undefined,
  initial,
  expiry: Expiry.make(settings),
  listeners: store === undefined ? new Events.Listeners() : Events.listenersOf(store),
  drawId: Effect.map(generateId, (id) => {
    if (Identifier.isWellFormed(id)) return new Id(id)
    throw new Error("SessionConfig.GenerateId: an id must be 22 to 128 base64url characters")
  }),
  patience: TimeLimit.make(settings.timeLimit),
  mayWarn: Observability.oncePerMinute(),
  storeTimes: Observability.storeTimes(store?.driver ?? "none")
})

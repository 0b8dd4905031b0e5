/**
 * Session errors as procedures declare them. A client gets the tag, and nothing that reveals the store, keys or the server's
 * configuration.
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import {
  SessionClosedError,
  SessionConflictError,
  SessionGoneError,
  SessionLifetimeError,
  SessionLimitError,
  SessionOwnerError,
  SessionReadonlyError,
  SessionStoreError,
  SessionTooLargeError,
  SessionValueError
} from "../../SessionError.ts"

/** An error of which only these fields are sent. `decode` creates the client's error from them. */
const partly = <E extends Schema.Top, const Tag extends string, Fields extends Schema.Struct.Fields>(
  error: E,
  tag: Tag,
  fields: Fields,
  decode: (sent: Schema.Struct<Fields & { readonly _tag: Schema.tag<Tag> }>["Type"]) => E["Type"]
) => {
  const sent = Schema.Struct({ ...fields, _tag: Schema.tag(tag) })
  return sent.pipe(
    Schema.decodeTo(
      Schema.toType(error),
      // The error has more fields than are sent.
      SchemaTransformation.transform({
        decode: decode as never,
        encode: pick([...Object.keys(fields), "_tag"]) as never
      })
    )
  )
}

const pick = (names: ReadonlyArray<string>) => (error: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(names.map((name) => [name, error[name]]))

const notSent = "(known to the server only)"

export const all = Schema.Union([
  partly(
    SessionStoreError,
    "SessionStoreError",
    {},
    () => new SessionStoreError({ driver: "remote", operation: "load", cause: undefined })
  ),
  partly(
    SessionConflictError,
    "SessionConflictError",
    { reason: SessionConflictError.fields.reason },
    ({ reason }) => new SessionConflictError({ reason })
  ),
  partly(
    SessionValueError,
    "SessionValueError",
    { operation: SessionValueError.fields.operation },
    ({ operation }) => new SessionValueError({ key: notSent, operation, path: [], expected: "" })
  ),
  partly(
    SessionTooLargeError,
    "SessionTooLargeError",
    { size: SessionTooLargeError.fields.size, limit: SessionTooLargeError.fields.limit },
    ({ limit, size }) => new SessionTooLargeError({ driver: "remote", size, limit })
  ),
  SessionGoneError,
  SessionClosedError,
  SessionReadonlyError,
  SessionLifetimeError,
  SessionOwnerError,
  SessionLimitError
])

/** What a procedure behind the middleware may fail with without declaring it. */
export type SessionFailure = typeof all.Type

export const isOne: (error: unknown) => error is SessionFailure = Schema.is(all)

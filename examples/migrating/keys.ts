/**
 * The keys of three releases. They have the same names, so they are the same slots of a session.
 *
 * The first release stores a customer's name as one text, the third one as two. The second one comes between them, so that every
 * running server can read what the others write.
 */
import { Effect, Schema, SchemaTransformation } from "effect"
import { SessionKey } from "effect-session"

export const Visits = SessionKey.make("visits", Schema.Int).pipe(SessionKey.withDefault(() => 0))

// -----------------------------------------------------------------------------
// a value that is split
// -----------------------------------------------------------------------------

/** How the first release stores a customer. */
const OneName = Schema.Struct({ name: Schema.String })

/** How the third one does, and what the code uses from the second one on. */
const TwoNames = Schema.Struct({ given: Schema.String, family: Schema.String })

export type Customer = typeof TwoNames.Type

const split = (name: string): Customer => {
  const space = name.lastIndexOf(" ")
  return { given: name.slice(0, Math.max(space, 0)), family: name.slice(space + 1) }
}

const join = ({ family, given }: Customer): string => `${given} ${family}`.trimStart()

/** Two names, stored as one. */
const TwoNamesAsOne = OneName.pipe(
  Schema.decodeTo(
    TwoNames,
    SchemaTransformation.transform({
      decode: ({ name }) => split(name),
      encode: (customer) => ({ name: join(customer) })
    })
  )
)

// A union reads all of its shapes and writes the first.
export const Customer1 = SessionKey.make("customer", OneName)
export const Customer2 = SessionKey.make("customer", Schema.Union([TwoNamesAsOne, TwoNames]))
export const Customer3 = SessionKey.make("customer", Schema.Union([TwoNames, TwoNamesAsOne]))

// -----------------------------------------------------------------------------
// a field that is added, and one that is renamed
// -----------------------------------------------------------------------------

export const Settings1 = SessionKey.make("settings", Schema.Struct({ theme: Schema.String })).pipe(
  SessionKey.withDefault(() => ({ theme: "light" }))
)

/** `language` is new. `colors` was `theme`, and still is in the store. */
export const Settings2 = SessionKey.make(
  "settings",
  Schema.Struct({
    colors: Schema.String,
    language: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("en")))
  }).pipe(Schema.encodeKeys({ colors: "theme" }))
).pipe(SessionKey.withDefault(() => ({ colors: "light", language: "en" })))

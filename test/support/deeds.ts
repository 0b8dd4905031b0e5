/**
 * What requests do to the fields of a session, as plain functions on texts: what a draft, or a whole session, has to come to.
 */
import { Arbitrary, Exit } from "effect"
import { SessionError } from "effect-session"
import type { Rewrite } from "../../src/internal/record/draft.ts"
import type { Fields } from "../../src/internal/record/record.ts"
import { intBetween, oneOf } from "./arbitraries.ts"

export const refusal = Symbol("refusal")

/** What becomes of a text. */
export type OnText = (text: string | undefined) => string | undefined | typeof refusal

/** A function depends on what it sees; the others don't. */
export type Deed =
  | { readonly kind: "set" | "add" | "function"; readonly field: string; readonly run: OnText }
  | { readonly kind: "clear"; readonly keeps?: ReadonlyArray<string> }
  | { readonly kind: "end"; readonly reach: Scope }

export type Scope = "login" | "visitor" | "device"

export const scopeOf = (field: string): Scope =>
  field.startsWith("~v.") ? "visitor" : field.startsWith("~d.") ? "device" : "login"

/** Whether a field goes when all goes that has this scope, or one before it. */
export const ends = (field: string, reach: Scope): boolean => {
  const order = ["login", "visitor", "device"]
  return order.indexOf(scopeOf(field)) <= order.indexOf(reach)
}

/**
 * The fields after these deeds, one after the other; nothing if one of them is refused. Of fields that end by their scope, only
 * those go that the request knows of; the others are as if it had done nothing to them, unless it clears all of them.
 */
export const fieldsAfter = (
  fields: Fields,
  deeds: ReadonlyArray<Deed>,
  isKnown: (field: string) => boolean = () => true
): Fields | undefined => {
  const after = new Map(fields)
  const unknown = new Set<string>()
  let isCleared = false
  for (const deed of deeds) {
    if (deed.kind === "end") {
      for (const field of new Set([...after.keys(), ...fields.keys()])) {
        if (!ends(field, deed.reach)) continue
        after.delete(field)
        if (!isCleared && !isKnown(field)) unknown.add(field)
      }
      continue
    }
    if (deed.kind === "clear") {
      for (const field of after.keys()) if (deed.keeps?.includes(field) !== true) after.delete(field)
      unknown.clear()
      isCleared = true
      continue
    }
    const text = deed.run(after.get(deed.field))
    unknown.delete(deed.field)
    if (text === refusal) return undefined
    if (text === undefined) after.delete(deed.field)
    else after.set(deed.field, text)
  }
  for (const field of unknown) {
    const text = fields.get(field)
    if (text !== undefined) after.set(field, text)
  }
  return after
}

/** What functions have seen that had not been put there by one of the deeds before. */
export const seenBy = (deeds: ReadonlyArray<Deed>, fields: Fields): ReadonlyMap<string, string | undefined> => {
  const seen = new Map<string, string | undefined>()
  const own = new Set<string>()
  const reach: Array<Scope> = []
  for (const deed of deeds) {
    if (deed.kind === "clear") {
      // What is kept is as it was, whatever that is.
      const kept = deed.keeps?.filter((field) => !own.has(field) && !reach.some((reach) => ends(field, reach)))
      kept?.forEach((field) => seen.set(field, fields.get(field)))
      return seen
    }
    if (deed.kind === "end") {
      reach.push(deed.reach)
      continue
    }
    if (reach.some((reach) => ends(deed.field, reach))) continue
    if (deed.kind === "set") own.add(deed.field)
    else if (deed.kind === "function" && !own.has(deed.field)) seen.set(deed.field, fields.get(deed.field))
  }
  return seen
}

/** The same fields, but with what is expected. */
export const meeting = (fields: Fields, expected: ReadonlyMap<string, string | undefined>): Fields =>
  fieldsAfter(fields, [...expected].map(([field, text]): Deed => ({ kind: "set", field, run: () => text })))!

export const sorted = (fields: ReadonlyMap<string, string | undefined>) =>
  [...fields].toSorted(([one], [other]) => one < other ? -1 : 1)

// -----------------------------------------------------------------------------
// any of them
// -----------------------------------------------------------------------------

export interface OnField {
  readonly kind: "put" | "remove" | "add" | "append" | "orNothing" | "notOfTwo" | "take"
  readonly field: string
  readonly text: string
  readonly by: number
  /** Where an addition begins if there is no number. */
  readonly initial: number
}

/** Few fields and few values, so that they meet. */
export const FieldName = oneOf(["a", "b", "~v.a", "~d.a", "~flash:1"])
export const FieldText = oneOf(["1", "2", "\"text\""])

export const OnField: Arbitrary.Arbitrary<OnField> = Arbitrary.all({
  kind: oneOf(["put", "remove", "add", "append", "orNothing", "notOfTwo", "take"]),
  field: FieldName,
  text: FieldText,
  by: intBetween(-2, 2),
  initial: oneOf([10, 20])
})

/** The deed, of a request that sees `seen` in the field. */
export const deedOf = ({ by, field, initial, kind, text }: OnField, seen: string | undefined): Deed => {
  switch (kind) {
    case "put":
      return { kind: "set", field, run: () => text }
    case "remove":
      return { kind: "set", field, run: () => undefined }
    case "add":
      return { kind: "add", field, run: (before) => String((isNumber(before) ? Number(before) : initial) + by) }
    case "append":
      return { kind: "function", field, run: (before) => `${before ?? ""}+` }
    case "orNothing":
      return { kind: "function", field, run: (before) => before === "2" ? undefined : "2" }
    case "notOfTwo":
      return { kind: "function", field, run: (before) => before === "2" ? refusal : "5" }
    case "take":
      return { kind: "function", field, run: (before) => before === seen ? undefined : refusal }
  }
}

const isNumber = (text: string | undefined): boolean => text !== undefined && /^-?\d+$/.test(text)

/** What a rewrite of the library fails with where the deed is refused. */
export const refused = new SessionError.SessionConflictError({ reason: "taken", key: "a" })

export const asRewrite = (run: OnText): Rewrite => (text) => {
  const next = run(text)
  return next === refusal ? Exit.fail(refused) : Exit.succeed(next)
}

/**
 * Values for property tests.
 */
import { Arbitrary, Schema } from "effect"

const CodeUnit = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff }))

/** Any text that JavaScript can hold, with halves of surrogate pairs, control characters and all languages. */
export const AnyText: Arbitrary.Arbitrary<string> = Arbitrary.map(
  Arbitrary.all([Arbitrary.schema(Schema.String), Arbitrary.array(Arbitrary.schema(CodeUnit))]),
  ([text, units]) => text + String.fromCharCode(...units)
)

/** A whole number from one bound to the other. */
export const intBetween = (minimum: number, maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

export const oneOf = <const A>(values: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(intBetween(0, values.length - 1), (index) => values[index]!)

/**
 * Leaves out names of one character that JSON writes as an escape: V8 13.6, the one of Node.js 24, sometimes reads such a name as
 * a backslash.
 */
export const readable = <A>(values: Arbitrary.Arbitrary<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.filter(values, (value) => !/"\\(?:u[0-9a-f]{4}|.)":/.test(jsonOf(value)))

const jsonOf = (value: unknown): string =>
  JSON.stringify(value, (_, part) => typeof part === "bigint" ? String(part) : part) ?? ""

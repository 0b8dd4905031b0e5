/**
 * Converts between the values of a key and the stored JSON text, with the key's schema. An error says where the problem is and
 * what was expected, and never contains the value.
 */
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { SessionValueError } from "../../SessionError.ts"
import { deepest, howDeep, isTooDeep, parse } from "./record.ts"

export interface Codec<A> {
  readonly decode: (text: string) => Exit.Exit<A, SessionValueError>
  readonly encode: (value: A) => Exit.Exit<string, SessionValueError>
}

export const make = <A>(key: string, schema: Schema.Codec<A, unknown>): Codec<A> => {
  const json = Schema.toCodecJson(schema)
  const decode = Schema.decodeUnknownResult(json)
  const encode = Schema.encodeUnknownResult(json)
  const failed = (operation: "decode" | "encode", expected: string) =>
    Exit.fail(new SessionValueError({ key, operation, path: [], expected }))
  return {
    decode: (text) => {
      const value = parse(text)
      if (value === undefined) return failed("decode", "Expected JSON text")
      const result = attempt(decode, value)
      if (result === undefined) return failed("decode", howToWriteSchema)
      return Result.isSuccess(result)
        ? Exit.succeed(result.success)
        : Exit.fail(mismatch(key, "decode", result.failure))
    },
    encode: (value) => {
      const result = attempt(encode, value)
      if (result === undefined) return failed("encode", isTooDeep(value) ? howDeep : howToWriteSchema)
      if (Result.isFailure(result)) return Exit.fail(mismatch(key, "encode", result.failure))
      const text = attempt(toText, result.success)
      if (text === tooDeep) return failed("encode", howDeep)
      return text === undefined ? failed("encode", howToWriteSchema) : Exit.succeed(text)
    }
  }
}

const tooDeep: unique symbol = Symbol("too deep")

/** A value that can be written must be readable later, even with less of the stack left. */
const toText = (encoded: unknown): string | undefined | typeof tooDeep => {
  const text = JSON.stringify(encoded) as string | undefined
  // A short text can't hold that many brackets.
  return text !== undefined && text.length > 2 * deepest && isTooDeep(encoded) ? tooDeep : text
}

const howToWriteSchema =
  "Expected a schema that encodes to JSON and decodes from it, synchronously and without throwing"

/** `undefined` if it throws, for example because the schema decodes asynchronously or the value is not JSON. */
const attempt = <A, B>(f: (value: A) => B, value: A): B | undefined => {
  try {
    return f(value)
  } catch {
    return undefined
  }
}

// Issues contain the input only if the parser is asked to report it.
const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const mismatch = (key: string, operation: "decode" | "encode", { issue }: Schema.SchemaError): SessionValueError => {
  const first = formatIssue(issue).issues[0]!
  return new SessionValueError({
    key,
    operation,
    path: (first.path ?? []).map(String),
    expected: first.message
  })
}

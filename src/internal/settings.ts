/**
 * Decoding settings: the same schemas whether they come from code, from a JSON document or from a ConfigProvider, and
 * for each mistake a sentence that says what was found and what to write.
 */
import type * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as String from "effect/String"
import { type ConfigMistake, SessionConfigError } from "../SessionError.ts"

// -----------------------------------------------------------------------------
// kinds of values
// -----------------------------------------------------------------------------

/** What somebody wrote, parsed; or the sentence that says what to write instead. */
type Parsed<A> = Result.Result<A, string>

const kind = <A>(target: Schema.Codec<A>, parse: (written: unknown) => Parsed<A>) =>
  Schema.Unknown.pipe(
    Schema.decodeTo(
      target,
      SchemaTransformation.transformEffect<A, unknown>({
        decode: (written, options) =>
          Effect.fromResult(
            Result.mapError(parse(written), (message) => new SchemaIssue.InvalidValue({ message }, written, options))
          ),
        encode: Effect.succeed
      })
    )
  )

const withDefault = <A>(schema: ReturnType<typeof kind<A>>, standard: A) =>
  schema.pipe(Schema.withDecodingDefaultType(Effect.succeed(standard)))

export const flag = (standard: boolean) =>
  withDefault(
    kind(
      Schema.Boolean,
      (written) =>
        written === true || written === "true"
          ? Result.succeed(true)
          : written === false || written === "false"
          ? Result.succeed(false)
          : Result.fail("Write true or false")
    ),
    standard
  )

export const oneOf = <const Choices extends ReadonlyArray<string>>(choices: Choices, standard: Choices[number]) =>
  withDefault(
    kind<Choices[number]>(Schema.Literals(choices), (written) =>
      choices.includes(written as string)
        ? Result.succeed(written as Choices[number])
        : Result.fail(`Write one of ${choices.map((choice) => JSON.stringify(choice)).join(", ")}`)),
    standard
  )

export const integer = (bounds: { readonly minimum: number; readonly maximum: number }, standard: number) =>
  withDefault(
    kind(Schema.Int, (written) => {
      const number = typeof written === "string" && written.trim() !== "" ? Number(written) : written
      return typeof number === "number" && Number.isInteger(number) &&
          number >= bounds.minimum && number <= bounds.maximum
        ? Result.succeed(number)
        : Result.fail(`Write a whole number from ${bounds.minimum} to ${bounds.maximum}`)
    }),
    standard
  )

export const duration = (standard: Duration.Input) => withDefault(anyDuration, Duration.fromInputUnsafe(standard))

const howToWriteDuration = "Write a duration with its unit, such as \"2 hours\", \"30m\" or \"7 days\", or \"never\""

const durationPattern = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d|w|milli|second|minute|hour|day|week)s?$/

const milliseconds: Record<string, number> = {
  ms: 1,
  milli: 1,
  s: 1_000,
  second: 1_000,
  m: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  w: 604_800_000,
  week: 604_800_000
}

const parseDuration = (written: unknown): Duration.Duration | undefined => {
  if (Duration.isDuration(written)) return written
  if (written === "never") return Duration.infinity
  if (typeof written === "string") {
    const [, amount, unit] = durationPattern.exec(written.trim()) ?? []
    return amount === undefined ? undefined : Duration.millis(Number(amount) * milliseconds[unit!]!)
  }
  return undefined
}

export const anyDuration = kind(Schema.Duration, (written) => {
  if (
    Predicate.isNumber(written) || Predicate.isBigInt(written) || (Predicate.isString(written) && /^\d+$/.test(written))
  ) {
    return Result.fail(`A bare number does not say its unit. ${howToWriteDuration}`)
  }
  const parsed = parseDuration(written)
  return parsed !== undefined && Duration.isPositive(parsed) ? Result.succeed(parsed) : Result.fail(howToWriteDuration)
})

export const text = (pattern: RegExp, write: string) =>
  kind(
    Schema.String,
    (written) => typeof written === "string" && pattern.test(written) ? Result.succeed(written) : Result.fail(write)
  )

export const textOr = (pattern: RegExp, write: string, standard: string) => withDefault(text(pattern, write), standard)

export const words = (standard: ReadonlyArray<string>) =>
  withDefault(
    kind<ReadonlyArray<string>>(Schema.Array(Schema.String), (written) => {
      const list = typeof written === "string" ? written.split(",").map((word) => word.trim()) : written
      return Array.isArray(list) && list.every((word) => typeof word === "string" && word !== "")
        ? Result.succeed(list)
        : Result.fail("Write a list of names (in an environment variable, with commas between them)")
    }),
    standard
  )

export const secrets = withDefault(
  kind<ReadonlyArray<Redacted.Redacted<string>>>(Schema.Array(Schema.Redacted(Schema.String)), (written) => {
    const list = (Array.isArray(written) ? written : [written]).map((secret) =>
      Redacted.isRedacted(secret) ? Redacted.value(secret) : secret
    )
    return list.every((secret) => typeof secret === "string" && secret.length >= 32)
      ? Result.succeed(list.map((secret) => Redacted.make(secret as string)))
      : Result.fail(howToMakeSecret)
  }),
  []
)

export const howToMakeSecret =
  "Write at least 32 characters that nobody can guess; `npx effect-session secret` makes some. " +
  "Of several secrets, the first one is for new sessions and all of them are accepted"

/** Settings that belong together; each has its own default. */
export const group = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Struct(fields).pipe(Schema.withDecodingDefault(Effect.succeed({} as never)))

// -----------------------------------------------------------------------------
// decoding
// -----------------------------------------------------------------------------

/** Decodes a document, all mistakes at once. `prefix` is where the document stands among the settings. */
export const decode = <A>(
  schema: Schema.Codec<A, unknown>,
  document: unknown,
  prefix: ReadonlyArray<string> = []
): Result.Result<A, SessionConfigError> =>
  Result.mapError(
    Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })(document),
    ({ issue }) =>
      new SessionConfigError({
        mistakes: formatIssue(issue).issues.map(({ message, path }) => {
          const keys = (path ?? []).map((segment) => globalThis.String(segment))
          return mistake([...prefix, ...keys], valueAt(document, keys), message)
        })
      })
  )

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) =>
    issue._tag === "UnexpectedKey"
      ? "There is no such setting; README has the table of all settings"
      : issue._tag === "InvalidType"
      ? "Write an object with settings"
      : SchemaIssue.defaultLeafHook(issue)
})

/** One mistake, at a setting, with what was found there. */
export const mistake = (path: ReadonlyArray<string>, found: unknown, write: string): ConfigMistake => ({
  setting: path.length === 0 ? "the configuration" : `${path.join(".")} (${environmentName(path)})`,
  found: path[0] === "secret" ? describeSecret(found) : describe(found),
  write
})

const describe = (found: unknown): string => {
  if (found === undefined) return "nothing"
  // What is not plain data may hold anything, a password for instance.
  const text = Predicate.isObjectOrArray(found) ? (Array.isArray(found) ? "a list" : "an object") : show(found)
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

const show = (found: unknown): string => typeof found === "string" ? JSON.stringify(found) : globalThis.String(found)

const describeSecret = (found: unknown): string => {
  const list = (Array.isArray(found) ? found : [found]).map((one) =>
    Redacted.isRedacted(one) ? Redacted.value(one) : one
  )
  if (list.every((one) => one === undefined)) return "nothing"
  return list.map((one) => typeof one === "string" ? `a text of ${one.length} characters` : `a ${typeof one}`)
    .join(", ")
}

const valueAt = (document: unknown, path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>(
    (value, key) => Predicate.isObjectOrArray(value) ? (value as Record<string, unknown>)[key] : undefined,
    document
  )

// -----------------------------------------------------------------------------
// ConfigProvider
// -----------------------------------------------------------------------------

/** The environment variable of a setting: `cookie.sameSite` is `SESSION_COOKIE_SAME_SITE`. */
export const environmentName = (path: ReadonlyArray<string>): string => {
  const name = canonicalName(path)
  return name === "STORE_TYPE" ? "SESSION_DRIVER" : `SESSION_${name}`
}

const canonicalName = (path: ReadonlyArray<string>): string => path.map(String.configCase).join("_")

// Desktops set SESSION_MANAGER, which has nothing to do with HTTP.
const foreign = new Set(["MANAGER"])

/**
 * The document of settings that a provider holds: all there is under `session` (a JSON or YAML file) or `SESSION_` (the
 * environment). What has no setting stays in the document under its own name, so that decoding reports it.
 */
export const documentFrom = Effect.fnUntraced(function*(
  provider: ConfigProvider.ConfigProvider,
  known: ReadonlyArray<ReadonlyArray<string>>
) {
  const leaves = [
    ...(yield* leavesBelow(provider, ["session"], [])),
    ...(yield* leavesBelow(provider, ["SESSION"], []))
  ]
  const pathOf = new Map(known.map((path) => [canonicalName(path), path]))
  pathOf.set("DRIVER", ["store", "type"])
  return leaves.reduce<Document>((document, { path, value }) => {
    const name = canonicalName(path)
    if (foreign.has(name)) return document
    if (/^SECRET_\d+$/.test(name)) return insert(document, ["secret"], [...secretsIn(document), value])
    if (name === "SECRET") return insert(document, ["secret"], [value, ...secretsIn(document)])
    const storeSetting = /^STORE_(.+)$/.exec(name)?.[1]
    return insert(
      document,
      pathOf.get(name) ?? (storeSetting ? ["store", String.camelCase(storeSetting)] : path),
      value
    )
  }, {})
})

interface Document {
  readonly [key: string]: unknown
}

const secretsIn = (document: Document): ReadonlyArray<unknown> => (document["secret"] as Array<unknown>) ?? []

const insert = (document: Document, [key, ...rest]: ReadonlyArray<string>, value: unknown): Document => ({
  ...document,
  [key!]: rest.length === 0 ? value : insert((document[key!] ?? {}) as Document, rest, value)
})

interface Leaf {
  readonly path: ReadonlyArray<string>
  readonly value: string
}

const leavesBelow: (
  provider: ConfigProvider.ConfigProvider,
  root: ReadonlyArray<string>,
  path: ReadonlyArray<string | number>
) => Effect.Effect<ReadonlyArray<Leaf>, ConfigProvider.SourceError> = Effect.fnUntraced(
  function*(provider, root, path) {
    const node = yield* provider.load([...root, ...path])
    if (node === undefined) return []
    const own = node.value === undefined ? [] : [{ path: path.map(globalThis.String), value: node.value }]
    const children = node._tag === "Record"
      ? [...node.keys]
      : node._tag === "Array"
      ? Array.from({ length: node.length }, (_, index) => index)
      : []
    const below = yield* Effect.forEach(children, (child) => leavesBelow(provider, root, [...path, child]))
    return [...own, ...below.flat()]
  }
)

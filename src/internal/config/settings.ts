/**
 * Decodes settings with the same schemas, whether they come from code, from a JSON document or from a ConfigProvider.
 * Each mistake becomes a sentence with what was found and how to fix it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as String from "effect/String"
import { type ConfigMistake, SessionConfigError } from "../../SessionError.ts"

// -----------------------------------------------------------------------------
// kinds of values
// -----------------------------------------------------------------------------

/** Parses what was written, or fails with the sentence that says what to write instead. */
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
        : Result.fail(writeOneOf(choices))),
    standard
  )

export const writeOneOf = (choices: ReadonlyArray<string>): string =>
  `Write one of ${choices.map((choice) => JSON.stringify(choice)).join(", ")}`

interface Bounds {
  readonly minimum: number
  readonly maximum: number
}

export const integer = (bounds: Bounds, standard: number) => withDefault(anyInteger(bounds), standard)

export const anyInteger = ({ maximum, minimum }: Bounds) =>
  kind(Schema.Int, (written) => {
    const number = typeof written === "string" && written.trim() !== "" ? Number(written) : written
    return typeof number === "number" && Number.isInteger(number) && number >= minimum && number <= maximum
      ? Result.succeed(number)
      : Result.fail(`Write a whole number from ${minimum} to ${maximum}`)
  })

/** A maximum count, or no limit. */
export const count = ({ maximum, minimum }: Bounds) =>
  withDefault(
    kind(Schema.Number, (written) => {
      if (written === "unlimited") return Result.succeed(Infinity)
      const number = typeof written === "string" && written.trim() !== "" ? Number(written) : written
      return typeof number === "number" && Number.isInteger(number) && number >= minimum && number <= maximum
        ? Result.succeed(number)
        : Result.fail(`Write a whole number from ${minimum} to ${maximum}, or "unlimited"`)
    }),
    Infinity
  )

export const duration = (standard: Duration.Input) => withDefault(anyDuration, Duration.fromInputUnsafe(standard))

const howToWriteDuration =
  "Write a duration longer than zero with its unit, such as \"2 hours\", \"30m\" or \"7 days\", or \"never\""

const durationPattern = /^(\d+(?:\.\d+)?) ?(?:(ms|s|m|h|d|w)|(milli|second|minute|hour|day|week)s?)$/

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

export const parseDuration = (written: unknown): Duration.Duration | undefined => {
  if (Duration.isDuration(written)) return written
  if (written === "never") return Duration.infinity
  if (typeof written === "string") {
    const [, amount, short, long] = durationPattern.exec(written.trim()) ?? []
    // In whole milliseconds, the unit of clocks and stores.
    return amount === undefined
      ? undefined
      : Duration.millis(Math.round(Number(amount) * milliseconds[short ?? long!]!))
  }
  return undefined
}

/** A duration longer than zero. */
export const durationOf = (written: unknown): Parsed<Duration.Duration> => {
  const isBare = typeof written === "string"
    ? /^[+-]?[\d.]+$/.test(written.trim())
    : Predicate.isNumber(written) || Predicate.isBigInt(written)
  if (isBare) return Result.fail(`A bare number has no unit. ${howToWriteDuration}`)
  const parsed = parseDuration(written)
  return parsed !== undefined && Duration.isPositive(parsed) ? Result.succeed(parsed) : Result.fail(howToWriteDuration)
}

/** A duration passed to a function. Throws unless it is finite and longer than zero. */
export const durationFor = (call: string, written: unknown): Duration.Duration => {
  const parsed = parseDuration(written)
  if (parsed !== undefined && Duration.isFinite(parsed) && Duration.isPositive(parsed)) return parsed
  throw new Error(
    `${call}(${describe(written)}): write a duration longer than zero with its unit, such as "10 minutes"`
  )
}

export const anyDuration = kind(Schema.Duration, durationOf)

export const howToWriteSize = "Write a size such as 65536 (bytes), \"64 KiB\" or \"1 MB\", or \"unlimited\""

const bytes: Record<string, number> = { "": 1, B: 1, kB: 1_000, KiB: 1_024, MB: 1_000_000, MiB: 1_048_576 }

/** The number of bytes, if it is one. */
export const parseSize = (written: unknown): number | undefined => {
  if (written === "unlimited") return Infinity
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)?$/.exec(globalThis.String(written).trim()) ?? []
  const size = Math.floor(Number(amount) * (bytes[unit] ?? Number.NaN))
  return size >= 1 ? size : undefined
}

/** A number of bytes. */
export const size = (standard: number) =>
  withDefault(
    kind(Schema.Number, (written) => {
      const size = parseSize(written)
      return size === undefined ? Result.fail(howToWriteSize) : Result.succeed(size)
    }),
    standard
  )

export const text = (pattern: Pick<RegExp, "test">, write: string) =>
  kind(
    Schema.String,
    (written) => typeof written === "string" && pattern.test(written) ? Result.succeed(written) : Result.fail(write)
  ).pipe(Schema.annotateKey({ messageMissingKey: write }))

export const textOr = (pattern: Pick<RegExp, "test">, write: string, standard: string) =>
  withDefault(text(pattern, write), standard)

/** Strings of one form; in an environment variable, separated by commas. */
export const list = (pattern: RegExp, write: string) =>
  kind<ReadonlyArray<string>>(Schema.Array(Schema.String), (written) => {
    const list = typeof written === "string" ? written.split(",").map((text) => text.trim()) : written
    return Array.isArray(list) && list.every((text) => typeof text === "string" && pattern.test(text))
      ? Result.succeed(list)
      : Result.fail(write)
  })

export const words = (standard: ReadonlyArray<string>) =>
  withDefault(list(/./, "Write a list of names (in an environment variable, separated by commas)"), standard)

/** Some of these choices, in order, without duplicates. */
export const someOf = <const Choices extends ReadonlyArray<string>>(
  choices: Choices,
  standard: ReadonlyArray<Choices[number]>
) => {
  const write =
    `Write a list of one or more of ${choices.map((choice) => JSON.stringify(choice)).join(", ")}, each once ` +
    "(in an environment variable, separated by commas)"
  return withDefault(
    kind<ReadonlyArray<Choices[number]>>(Schema.Array(Schema.Literals(choices)), (written) => {
      const list = typeof written === "string" ? written.split(",").map((text) => text.trim()) : written
      const isRight = Array.isArray(list) && list.length > 0 && new Set(list).size === list.length &&
        list.every((choice) => choices.includes(choice))
      return isRight ? Result.succeed(list) : Result.fail(write)
    }),
    standard
  )
}

/** Origins of web pages, as browsers write them. */
export const origins = withDefault(
  kind<ReadonlyArray<string>>(Schema.Array(Schema.String), (written) => {
    const list = typeof written === "string" ? written.split(",").map((text) => text.trim()) : written
    const parsed = Array.isArray(list) ? list.map(parseOrigin) : [undefined]
    return parsed.every(Predicate.isNotUndefined) ? Result.succeed(parsed) : Result.fail(howToWriteOrigins)
  }),
  []
)

const howToWriteOrigins =
  "Write a list of origins such as \"https://shop.example\", each with its scheme, and its port if it " +
  "is not the default one, but without a path (in an environment variable, separated by commas)"

const parseOrigin = (written: unknown): string | undefined =>
  typeof written === "string" && /^https?:\/\/[^\s/?#@\\*]+\/?$/i.test(written) && URL.canParse(written)
    ? new URL(written).origin
    : undefined

export const hidden = (write: string) =>
  kind<Redacted.Redacted<string>>(Schema.Redacted(Schema.String), (written) => {
    const text = Redacted.isRedacted(written) ? Redacted.value(written) : written
    return typeof text === "string" && text !== "" ? Result.succeed(Redacted.make(text)) : Result.fail(write)
  })

export const password = hidden("Write a password, or leave it out")

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
  "Write at least 32 unguessable characters; `npx effect-session secret` prints a new secret. " +
  "Of several secrets, new sessions use the first, and all are accepted"

/** A group of settings, each with its own default. */
export const group = <Fields extends Schema.Struct.Fields>(fields: Fields) => {
  const settings = Schema.Struct(fields)
  return settings.pipe(Schema.withDecodingDefaultTypeKey(Schema.decodeUnknownEffect(settings)({})))
}

// -----------------------------------------------------------------------------
// decoding
// -----------------------------------------------------------------------------

/**
 * Decodes a document and reports all mistakes at once. `prefix` is the document's path among the settings, and `known`
 * are the paths of all settings.
 */
export const decode = <A>(
  schema: Schema.Codec<A, unknown>,
  document: unknown,
  prefix: ReadonlyArray<string> = [],
  known: ReadonlyArray<ReadonlyArray<string>> = pathsIn(schema.ast).map((path) => [...prefix, ...path])
): Result.Result<A, SessionConfigError> =>
  Result.mapError(
    Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })(withoutUndefined(document)),
    ({ issue }) => {
      const mistakes = formatIssue(issue).issues.map(({ message, path = [] }) => {
        const keys = path.map((segment) => globalThis.String(segment))
        const at = [...prefix, ...keys]
        const found = valueAt(document, keys)
        return message === noSuchSetting
          ? unknownSetting(at, found, known)
          : message === notAnObject
          ? { ...mistake(at, undefined, writeSettingsBelow(at, known)), found: shapeOf(found) }
          : mistake(at, found, message)
      })
      return new SessionConfigError({ mistakes })
    }
  )

const noSuchSetting = "There is no such setting"
const notAnObject = "Not an object"

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) =>
    issue._tag === "UnexpectedKey"
      ? noSuchSetting
      : issue._tag === "InvalidType" && SchemaAST.isObjects(issue.ast)
      ? notAnObject
      : SchemaIssue.defaultLeafHook(issue)
})

/** `undefined` counts as not written: it may come from a missing environment variable. */
const withoutUndefined = (document: unknown): unknown =>
  isPlainObject(document)
    ? Object.fromEntries(
      Object.entries(document).flatMap(([name, value]) => value === undefined ? [] : [[name, withoutUndefined(value)]])
    )
    : document

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** The path of every setting in a schema. */
const pathsIn = (ast: SchemaAST.AST): ReadonlyArray<ReadonlyArray<string>> =>
  SchemaAST.isObjects(ast)
    ? ast.propertySignatures.flatMap(({ name, type }) =>
      pathsIn(type).map((path) => [globalThis.String(name), ...path])
    )
    : [[]]

export const valueAt = (document: unknown, path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>(
    (value, key) => Predicate.isObjectOrArray(value) ? (value as Record<string, unknown>)[key] : undefined,
    document
  )

// -----------------------------------------------------------------------------
// mistakes
// -----------------------------------------------------------------------------

/** A mistake in a setting, with what was found there. */
export const mistake = (path: ReadonlyArray<string>, found: unknown, write: string): ConfigMistake => ({
  setting: path.length === 0 ? "the configuration" : nameOf(path),
  found: mayBeSecret.test(path.join(".")) ? shapeOf(found) : describe(found),
  write
})

/** The name may be a misspelling of another setting, perhaps a secret, so its value is never shown. */
const unknownSetting = (
  path: ReadonlyArray<string>,
  found: unknown,
  known: ReadonlyArray<ReadonlyArray<string>>
): ConfigMistake => {
  const isGroup = known.some((other) => isBelow(other, path))
  return {
    setting: nameOf(path),
    found: shapeOf(found),
    write: isGroup ? writeSettingsBelow(path, known) : `${noSuchSetting}. ${whatThereIs(path, known)}`
  }
}

const whatThereIs = (path: ReadonlyArray<string>, known: ReadonlyArray<ReadonlyArray<string>>): string => {
  const meant = nearest(path, known)
  if (meant !== undefined) return `Did you mean ${nameOf(meant)}?`
  const siblings = known.filter((other) => isBelow(other, path.slice(0, -1)))
    .map((other) => other.slice(0, path.length))
  const group = nearest(path, siblings)
  return group !== undefined
    ? `Did you mean ${group.join(".")}?`
    : `The settings are: ${[...new Set(siblings.map((path) => path.join(".")))].join(", ")}`
}

const writeSettingsBelow = (path: ReadonlyArray<string>, known: ReadonlyArray<ReadonlyArray<string>>): string => {
  const below = known.filter((other) => path.length > 0 && isBelow(other, path))
  return below.length === 0
    ? "Write an object with settings"
    : `Write its settings individually: ${below.map(nameOf).join(", ")}`
}

const isBelow = (path: ReadonlyArray<string>, group: ReadonlyArray<string>): boolean =>
  group.length < path.length &&
  group.every((segment, index) => canonicalName([segment]) === canonicalName([path[index]!]))

/** The environment variable of a setting: `cookie.sameSite` is `SESSION_COOKIE_SAME_SITE`. */
export const environmentName = (path: ReadonlyArray<string>): string => {
  const name = canonicalName(path)
  return name === "STORE_TYPE" ? "SESSION_DRIVER" : `SESSION_${name}`
}

// A name in all capitals comes from the environment, and stays as it is.
export const canonicalName = (path: ReadonlyArray<string>): string =>
  path.map((segment) => /^[A-Z0-9_]*$/.test(segment) ? segment : String.configCase(segment)).join("_")

const nameOf = (path: ReadonlyArray<string>): string => `${path.join(".")} (${environmentName(path)})`

// A URL may contain a password, in any setting.
const mayBeSecret = /secret|pass|token|credential|key|ur[il]|tls\./i
const urlWithPassword = /:\/\/[^/]*@/

/** Describes what was found, without anything that may be secret. */
export const describe = (found: unknown): string => {
  if (Duration.isDuration(found)) return Duration.format(found)
  if (Array.isArray(found) && found.length > 0) return `a list of ${found.map(describeElement).join(", ")}`
  if (found === undefined || Predicate.isObjectOrArray(found)) return shapeOf(found)
  if (typeof found !== "string") return globalThis.String(found)
  if (urlWithPassword.test(found)) return shapeOf(found)
  return JSON.stringify(found.length > 80 ? `${found.slice(0, 77)}…` : found)
}

// An address with a port can't be a password; anything else may be one in the wrong place.
const addressPattern = /^[\w.:[\]-]+:\d{1,5}$/

const describeElement = (found: unknown): string =>
  typeof found === "string" && addressPattern.test(found) ? describe(found) : shapeOf(found)

const shapeOf = (found: unknown): string => {
  if (found === undefined) return "nothing"
  if (found === null) return "null"
  if (typeof found === "string") return `a text of ${found.length} character${found.length === 1 ? "" : "s"}`
  if (Redacted.isRedacted(found)) return shapeOf(Redacted.value(found))
  if (!Array.isArray(found)) return typeof found === "object" ? "an object" : `a ${typeof found}`
  return found.length === 0 ? "an empty list" : `a list of ${found.map(shapeOf).join(", ")}`
}

/** The setting whose name differs only in case and separators, or in at most two letters. */
const nearest = (
  path: ReadonlyArray<string>,
  known: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<string> | undefined => {
  const letters = lettersOf(path)
  const last = lettersOf(path.slice(-1))
  const distances = known.map((other) => ({
    other,
    distance: lettersOf(other.slice(-1)) === last ? 0 : editDistance(lettersOf(other), letters)
  }))
  return distances.filter(({ distance }) => distance <= 2 && distance * 3 <= letters.length)
    .toSorted((one, other) => one.distance - other.distance)[0]?.other
}

const lettersOf = (path: ReadonlyArray<string>): string => path.join("").toLowerCase().replace(/[^a-z]/g, "")

/**
 * The Levenshtein distance: how many letters must be inserted, removed or replaced. Effect has it only inside its
 * command-line module, and a package for it would be one more dependency.
 */
const editDistance = (one: string, other: string): number => {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let i = 0; i < one.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < other.length; j++) {
      next.push(Math.min(row[j + 1]! + 1, next[j]! + 1, row[j]! + (one[i] === other[j] ? 0 : 1)))
    }
    row = next
  }
  return row[other.length]!
}

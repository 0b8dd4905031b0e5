/**
 * The settings of sessions: their schema, their defaults, and the Layers that provide them, from code, from a JSON
 * document or from any ConfigProvider. README has the table of all settings.
 *
 * Every mistake is found when the Layer is built, so a server with a wrong configuration does not start: it says which
 * setting, what was found, and what to write.
 *
 * @since 0.1.0
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Crypto from "node:crypto"
import * as Setting from "./internal/config/settings.ts"
import { documentsFrom } from "./internal/config/sources.ts"
import * as Identifier from "./internal/token/identifier.ts"
import { type ConfigMistake, SessionConfigError } from "./SessionError.ts"

// -----------------------------------------------------------------------------
// schema
// -----------------------------------------------------------------------------

/**
 * The drivers that `store.type` knows.
 *
 * @since 0.1.0
 * @category models
 */
export const drivers = ["cookie", "dynamodb", "file", "memory", "redis"] as const

/**
 * How a client can present its session: in the cookie, in the header `Authorization: Bearer`, or in a header of its own.
 *
 * @since 0.1.0
 * @category models
 */
export const transports = ["cookie", "bearer", "header"] as const

/**
 * How a client can present its session.
 *
 * @since 0.1.0
 * @category models
 */
export type Transport = typeof transports[number]

const idFields = {
  protection: Setting.oneOf(["signed", "encrypted", "none"], "signed")
}

const cookieFields = {
  // A token of RFC 9110; the length leaves room for a signed id in 4,096 bytes with much to spare.
  name: Setting.textOr(
    /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/,
    "Write a name such as \"session\", of at most 256 letters, digits and !#$%&'*+-.^_`|~ (RFC 6265)",
    "session"
  ),
  path: Setting.textOr(
    /^\/[\x20-\x3a\x3c-\x7e]{0,1023}$/,
    "Write a path that begins with \"/\", of at most 1,024 ASCII characters, without \";\"",
    "/"
  ),
  domain: Schema.optionalKey(
    Setting.text(
      /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$/,
      "Write a host name such as \"example.com\", or leave it out for a cookie of this host alone"
    )
  ),
  httpOnly: Setting.flag(true),
  secure: Setting.flag(true),
  sameSite: Setting.oneOf(["lax", "strict", "none"], "lax"),
  partitioned: Setting.flag(false),
  persistence: Setting.oneOf(["persistent", "browser"], "persistent"),
  chunks: Setting.integer({ minimum: 1, maximum: 4 }, 1)
}

const flashFields = {
  except: Setting.words([
    "password",
    "passwd",
    "pwd",
    "pass",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "csrf",
    "xsrf",
    "otp",
    "pin",
    "cvv",
    "cvc",
    "card",
    "cardnumber",
    "ssn",
    "apikey",
    "authorization"
  ]),
  sizeLimit: Setting.size(16_384)
}

const ownerFields = {
  limit: Setting.count({ minimum: 1, maximum: 1_000 }),
  policy: Setting.oneOf(["refuse", "evict"], "refuse")
}

const csrfFields = {
  origins: Setting.origins,
  sameSite: Setting.oneOf(["refuse", "allow"], "refuse"),
  forwarded: Setting.flag(false),
  header: Setting.textOr(
    /^[a-z0-9-]{1,64}$/,
    "Write the name of a header in lower case such as \"x-csrf-token\", of at most 64 letters, digits and hyphens",
    "x-csrf-token"
  ),
  field: Setting.textOr(
    /^[A-Za-z0-9_-]{1,64}$/,
    "Write the name of a form field such as \"_csrf\", of at most 64 letters, digits, underscores and hyphens",
    "_csrf"
  )
}

const headerFields = {
  name: Setting.textOr(
    /^(?!(?:authorization|cookie|set-cookie)$)[a-z0-9-]{1,64}$/,
    "Write the name of a header of your own in lower case such as \"x-session-token\", of at most 64 letters, digits and hyphens",
    "x-session-token"
  )
}

const storeFields = {
  type: Setting.oneOf(drivers, "cookie")
}

const plainFields = {
  enabled: Setting.flag(true),
  secret: Setting.secrets,
  age: Setting.duration("2 hours"),
  absoluteAge: Setting.duration("7 days"),
  maximumAge: Schema.optionalKey(Setting.anyDuration),
  maximumAbsoluteAge: Schema.optionalKey(Setting.anyDuration),
  touchEvery: Schema.optionalKey(Setting.anyDuration),
  rolling: Setting.oneOf(["onUse", "always", "never"], "onUse"),
  saveUninitialized: Setting.flag(false),
  supersededFor: Setting.duration("30 seconds"),
  timeLimit: Setting.duration("5 seconds"),
  sizeLimit: Setting.size(65_536),
  retries: Setting.integer({ minimum: 0, maximum: 10 }, 0),
  transports: Setting.someOf(transports, ["cookie"])
}

const groups = {
  id: idFields,
  cookie: cookieFields,
  flash: flashFields,
  owner: ownerFields,
  csrf: csrfFields,
  header: headerFields,
  store: storeFields
}

const Written = Schema.Struct({
  ...plainFields,
  id: Setting.group(idFields),
  cookie: Setting.group(cookieFields),
  flash: Setting.group(flashFields),
  owner: Setting.group(ownerFields),
  csrf: Setting.group(csrfFields),
  header: Setting.group(headerFields)
})

/**
 * When a request extends the session's life: `"onUse"` when it uses the session, `"always"` even when it does not (which
 * costs a store call for every request), or `"never"`, so that a session ends `age` after its creation.
 *
 * @since 0.1.0
 * @category models
 */
export type Rolling = "onUse" | "always" | "never"

/**
 * The settings, decoded. README's table has the meaning of each.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings extends Required<typeof Written.Type> {
  /**
   * The driver that `SessionDriver.layerConfig` builds, and its own settings as they were written: the driver decodes them.
   * They are Redacted, as a password may be among them.
   */
  readonly store: {
    readonly type: typeof drivers[number]
    readonly options: Redacted.Redacted<{ readonly [setting: string]: unknown }>
  }
}

/**
 * A duration as it is written in settings: with its unit, or "never".
 *
 * @since 0.1.0
 * @category models
 */
export type DurationInput = Duration.Duration | `${number}${"" | " "}${Unit}` | "never"

type Unit = "ms" | "s" | "m" | "h" | "d" | "w" | `${"milli" | "second" | "minute" | "hour" | "day" | "week"}${"" | "s"}`

/**
 * A size as it is written in settings: a number of bytes, a text with its unit (1 kB are 1,000 bytes, 1 KiB are 1,024), or
 * "unlimited".
 *
 * @since 0.1.0
 * @category models
 */
export type SizeInput = number | `${number}${"" | " "}${"B" | "kB" | "KiB" | "MB" | "MiB"}` | "unlimited"

/**
 * The settings as they are written in code. All are optional, but `secret` is needed wherever something is signed or
 * sealed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly enabled?: boolean
  readonly secret?: string | Redacted.Redacted<string> | ReadonlyArray<string | Redacted.Redacted<string>>
  readonly age?: DurationInput
  readonly absoluteAge?: DurationInput
  readonly maximumAge?: DurationInput
  readonly maximumAbsoluteAge?: DurationInput
  readonly touchEvery?: DurationInput
  readonly rolling?: Rolling
  readonly saveUninitialized?: boolean
  readonly supersededFor?: DurationInput
  readonly timeLimit?: DurationInput
  readonly sizeLimit?: SizeInput
  readonly retries?: number
  readonly transports?: ReadonlyArray<Transport>
  readonly id?: { readonly protection?: Settings["id"]["protection"] }
  readonly cookie?: Partial<Settings["cookie"]>
  readonly flash?: Partial<Omit<Settings["flash"], "sizeLimit">> & { readonly sizeLimit?: SizeInput }
  readonly owner?: Partial<Omit<Settings["owner"], "limit">> & { readonly limit?: number | "unlimited" }
  readonly csrf?: Partial<Settings["csrf"]>
  readonly header?: Partial<Settings["header"]>
  readonly store?: { readonly type: typeof drivers[number]; readonly [setting: string]: unknown }
}

// -----------------------------------------------------------------------------
// service
// -----------------------------------------------------------------------------

/**
 * The settings that the middleware and the drivers of an application share.
 *
 * @since 0.1.0
 * @category services
 */
export class SessionConfig extends Context.Service<SessionConfig, Settings>()("effect-session/SessionConfig") {}

/**
 * Makes the id of a session. By default 256 random bits, base64url. Whatever takes its place must be unguessable, and
 * consist of 22 to 128 characters of base64url.
 *
 * @since 0.1.0
 * @category references
 */
export const GenerateId: Context.Reference<Effect.Effect<string>> = Context.Reference("effect-session/GenerateId", {
  defaultValue: () => Effect.sync(Identifier.random)
})

/**
 * Decodes a document of settings, such as a parsed JSON file. What is not a setting is a mistake.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { SessionConfig } from "effect-session"
 *
 * const settings = SessionConfig.decode(JSON.parse(`{ "age": "30 minutes", "cookie": { "sameSite": "strict" } }`))
 *
 * Effect.runSync(settings).cookie.sameSite // "strict"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const decode = (document: unknown): Effect.Effect<Settings, SessionConfigError> =>
  Effect.fromResult(decodeDocument(document))

const decodeDocument = (document: unknown): Result.Result<Settings, SessionConfigError> => {
  const { store = {}, ...written } = isDocument(document) ? document : {}
  const own = Setting.decode(Written, isDocument(document) ? written : document, [], settingPaths)
  const driver = decodeStore(store)
  if (Result.isFailure(own) || Result.isFailure(driver)) {
    return Result.fail(new SessionConfigError({ mistakes: [...mistakesOf(own), ...mistakesOf(driver)] }))
  }
  const settings: Settings = {
    ...own.success,
    maximumAge: own.success.maximumAge ?? own.success.age,
    maximumAbsoluteAge: own.success.maximumAbsoluteAge ?? own.success.absoluteAge,
    touchEvery: own.success.touchEvery ?? defaultTouchEvery(own.success.age),
    store: driver.success
  }
  const mistakes = contradictions(settings, document)
  return mistakes.length === 0 ? Result.succeed(settings) : Result.fail(new SessionConfigError({ mistakes }))
}

/** Only the type: the other settings are for the driver to decode. */
const decodeStore = (store: unknown): Result.Result<Settings["store"], SessionConfigError> => {
  const { type, ...options } = isDocument(store) ? store : {}
  if (type === undefined && Object.keys(options).length > 0) {
    const write = `The settings of a driver need its name. ${Setting.writeOneOf(drivers)}`
    return Result.fail(new SessionConfigError({ mistakes: [Setting.mistake(["store", "type"], type, write)] }))
  }
  const driver = Setting.decode(Schema.Struct(storeFields), isDocument(store) ? { type } : store, ["store"])
  return Result.map(driver, ({ type }) => ({ type, options: Redacted.make(options) }))
}

const mistakesOf = (result: Result.Result<unknown, SessionConfigError>): ReadonlyArray<ConfigMistake> =>
  Result.isFailure(result) ? result.failure.mistakes : []

const isDocument = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A tenth of `age`, a minute at most. */
const defaultTouchEvery = (age: Duration.Duration): Duration.Duration =>
  Duration.min(Duration.minutes(1), Duration.times(age, 0.1))

/** What is wrong only together: the rules of RFC 6265bis and its successors for prefixes and attributes, and timeouts that can't both hold. */
const contradictions = (
  { absoluteAge, age, cookie, maximumAbsoluteAge, maximumAge, touchEvery }: Settings,
  document: unknown
): ReadonlyArray<ConfigMistake> => {
  const name = cookie.name.toLowerCase()
  const rules: ReadonlyArray<readonly [broken: boolean, path: ReadonlyArray<string>, write: string]> = [
    [
      cookie.sameSite === "none" && !cookie.secure,
      ["cookie", "sameSite"],
      "Browsers refuse it without cookie.secure: set cookie.secure to true, or write \"lax\""
    ],
    [
      cookie.partitioned && !cookie.secure,
      ["cookie", "partitioned"],
      "Browsers refuse it without cookie.secure: set cookie.secure to true, or write false"
    ],
    [
      /^__(?:secure|host|http)-/.test(name) && !cookie.secure,
      ["cookie", "name"],
      "A name with this prefix needs cookie.secure: set it to true, or write another name such as \"session\""
    ],
    [
      name.startsWith("__host-") && (cookie.path !== "/" || cookie.domain !== undefined),
      ["cookie", "name"],
      "A name that begins with \"__Host-\" needs cookie.path \"/\" and no cookie.domain. " +
      "Change them, or write another name such as \"session\""
    ],
    [
      /^__(?:host-)?http-/.test(name) && !cookie.httpOnly,
      ["cookie", "name"],
      "A name with this prefix needs cookie.httpOnly: set it to true, or write another name such as \"session\""
    ],
    [
      Duration.isGreaterThan(age, absoluteAge),
      ["age"],
      `An age of ${show(age)} is longer than absoluteAge, which is ${show(absoluteAge)}. ` +
      "Write a shorter age, or a longer absoluteAge (SESSION_ABSOLUTE_AGE)"
    ],
    [
      Duration.isLessThan(maximumAge, age),
      ["maximumAge"],
      `Write no less than age, which is ${
        show(age)
      }, or leave it out: without it, sessions can only be given a shorter age`
    ],
    [
      Duration.isLessThan(maximumAbsoluteAge, absoluteAge),
      ["maximumAbsoluteAge"],
      `Write no less than absoluteAge, which is ${
        show(absoluteAge)
      }, or leave it out: without it, sessions can only be ` +
      "given a shorter absoluteAge"
    ],
    [
      // Otherwise it is the age itself that is too long.
      Duration.isGreaterThan(maximumAge, age) && Duration.isGreaterThan(maximumAge, maximumAbsoluteAge),
      ["maximumAge"],
      `A maximumAge of ${show(maximumAge)} is longer than maximumAbsoluteAge, which is ${show(maximumAbsoluteAge)}. ` +
      "Write a shorter maximumAge, or a longer maximumAbsoluteAge (SESSION_MAXIMUM_ABSOLUTE_AGE)"
    ],
    [
      Duration.isGreaterThanOrEqualTo(touchEvery, age),
      ["touchEvery"],
      `Write less than age, which is ${show(age)}, or sessions in use would expire`
    ]
  ]
  return rules.flatMap(([broken, path, write]) =>
    broken ? [Setting.mistake(path, Setting.valueAt(document, path), write)] : []
  )
}

const show = (duration: Duration.Duration): string => Duration.isFinite(duration) ? Duration.format(duration) : "never"

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * The settings from code.
 *
 * **Example**
 *
 * ```ts
 * import { SessionConfig } from "effect-session"
 *
 * const Config = SessionConfig.layer({
 *   secret: "at least thirty-two characters, but not these",
 *   age: "30 minutes",
 *   cookie: { name: "__Host-Http-session" }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<SessionConfig, SessionConfigError> =>
  Layer.effect(SessionConfig, Effect.tap(decode(options), warned))

/**
 * The settings from the current ConfigProvider: environment variables such as `SESSION_SECRET`, `SESSION_AGE` and
 * `SESSION_COOKIE_NAME`, or what a document has under `session`. What the provider holds wins over `defaults`.
 *
 * **Example**
 *
 * ```ts
 * import { SessionConfig } from "effect-session"
 *
 * const Config = SessionConfig.layerConfig({ age: "30 minutes" })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  defaults: Options = {}
): Layer.Layer<SessionConfig, SessionConfigError | ConfigProvider.SourceError> =>
  Layer.effect(
    SessionConfig,
    Effect.gen(function*() {
      const provider = yield* ConfigProvider.ConfigProvider
      const documents = yield* documentsFrom(provider, settingPaths)
      return yield* Effect.tap(decode(documents.reduce(overlay, defaults)), warned)
    })
  )

/** What browsers may refuse, and a server can't tell from here. */
const warned = ({ cookie: { domain } }: Settings): Effect.Effect<void> =>
  domain === undefined || domain.includes(".") ? Effect.void : Effect.logWarning(
    `cookie.domain (SESSION_COOKIE_DOMAIN): found ${
      JSON.stringify(domain)
    }, a name without a dot. Browsers may refuse ` +
      "such a cookie. Leave it out for a cookie of this host alone"
  )

/** The path of every setting, but for those of the drivers. */
const settingPaths: ReadonlyArray<ReadonlyArray<string>> = [
  ...Object.keys(plainFields).map((name) => [name]),
  ...Object.entries(groups).flatMap(([group, fields]) => Object.keys(fields).map((name) => [group, name]))
]

const overlay = (below: unknown, above: unknown): unknown => {
  if (!isDocument(below) || !isDocument(above)) return isDocument(below) ? above : below
  const merged = Object.keys(groups).flatMap((name) => {
    const [lower, upper] = [below[name], above[name]]
    // What was set for one driver is nothing to another.
    const isOther = name === "store" && isDocument(upper) && "type" in upper && isDocument(lower) &&
      lower["type"] !== upper["type"]
    return isDocument(lower) && isDocument(upper) && !isOther ? [[name, combine(lower, upper)]] : []
  })
  return { ...below, ...above, ...Object.fromEntries(merged) }
}

/** The settings of a group, the later over the earlier; a driver may have groups within its own. */
const combine = (below: Record<string, unknown>, above: Record<string, unknown>): Record<string, unknown> => ({
  ...below,
  ...Object.fromEntries(
    Object.entries(above).map(([name, upper]) => {
      const lower = below[name]
      return [name, isGroup(lower) && isGroup(upper) ? combine(lower, upper) : upper]
    })
  )
})

const isGroup = (value: unknown): value is Record<string, unknown> =>
  isDocument(value) && Object.getPrototypeOf(value) === Object.prototype

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

/**
 * A new secret: 32 bytes from the operating system's generator, base64url. Also `npx effect-session secret`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const generateSecret: Effect.Effect<Redacted.Redacted<string>> = Effect.sync(() =>
  Redacted.make(Crypto.randomBytes(32).toString("base64url"))
)

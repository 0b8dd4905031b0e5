/**
 * The settings of sessions: their schema, their defaults, and the Layers that provide them, from code, from a JSON
 * document or from any ConfigProvider. docs/reference/settings.md lists all of them.
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
 * The settings, decoded. {@link Options} has the meaning of each.
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
  /**
   * `false` switches sessions off: no cookie and no call of the store. Every request has a session of its own, which ends with
   * it, so routes go on working.
   */
  readonly enabled?: boolean

  /**
   * At least 32 characters that nobody can guess, or a list of such secrets. It is needed wherever something is signed or sealed.
   * The first one is for new sessions, and all of them are accepted. In the environment, a list is `SESSION_SECRET_0`,
   * `SESSION_SECRET_1` and so on.
   */
  readonly secret?: string | Redacted.Redacted<string> | ReadonlyArray<string | Redacted.Redacted<string>>

  /** The idle timeout: how long after its last use a session ends. */
  readonly age?: DurationInput

  /** The absolute timeout: how long after its creation a session ends, however much it is used. */
  readonly absoluteAge?: DurationInput

  /** The longest idle timeout that `Session.setLifetime` can give to a session. If you leave it out, it is `age`. */
  readonly maximumAge?: DurationInput

  /**
   * The longest absolute timeout that `Session.setLifetime` can give to a session. If you leave it out, it is `absoluteAge`.
   * `CookieLayer` remembers for that long that a session has ended.
   */
  readonly maximumAbsoluteAge?: DurationInput

  /** How often the life of a session in use is extended, at most. If you leave it out, a tenth of `age`, but a minute at most. */
  readonly touchEvery?: DurationInput

  /**
   * Which requests extend the life of a session: `"onUse"` those that use it, `"always"` all of them, at the price of a call of
   * the store for each, and `"never"` none, so that a session ends `age` after its creation.
   */
  readonly rolling?: Rolling

  /** Whether a session is stored before anything has been put into it. */
  readonly saveUninitialized?: boolean

  /**
   * For how long after a session has got another id, as at a login, requests with the old one are treated as late: they send no
   * cookie, and those that began before can still change the session.
   */
  readonly supersededFor?: DurationInput

  /** The time limit of each operation of the store. */
  readonly timeLimit?: DurationInput

  /**
   * The most bytes that a session may take in a store on a server: names and values, as JSON in UTF-8. Beyond that, a commit
   * fails with a `SessionTooLargeError`. In cookies, the size of the cookie is the limit.
   */
  readonly sizeLimit?: SizeInput

  /** How often an operation that can be repeated (load, touch and destroy) is tried again, within the time limit. */
  readonly retries?: number

  /**
   * How clients can present their sessions: `"cookie"`, `"bearer"` (`Authorization: Bearer`) or `"header"`. The first one of the
   * list that a request has counts. In the environment, they have commas between them.
   */
  readonly transports?: ReadonlyArray<Transport>

  readonly id?: {
    /** How the id is protected in the cookie: `"signed"`, `"encrypted"` or `"none"`. */
    readonly protection?: Settings["id"]["protection"]
  }

  readonly cookie?: {
    /**
     * The name of the cookie. If all of a host is served by `https`, `"__Host-Http-session"` is better: browsers let no other host
     * and no script set it.
     */
    readonly name?: string

    /** The path for which browsers send the cookie. */
    readonly path?: string

    /** The domain for whose hosts browsers send the cookie. Without it, the cookie is for its own host alone. */
    readonly domain?: string

    /** Whether scripts of the page can't read the cookie. */
    readonly httpOnly?: boolean

    /** Whether browsers send the cookie over `https` alone. Use `false` only to develop on plain `http`. */
    readonly secure?: boolean

    /** Whether requests from other sites have the cookie: `"lax"`, `"strict"` or `"none"`. */
    readonly sameSite?: Settings["cookie"]["sameSite"]

    /** Whether the cookie is kept apart for each site that yours is embedded in (CHIPS). */
    readonly partitioned?: boolean

    /**
     * `"persistent"`: the cookie lasts as long as the session. `"browser"`: it ends with the browser, and the timeouts of the
     * session hold as well.
     */
    readonly persistence?: Settings["cookie"]["persistence"]

    /**
     * How many cookies `CookieLayer` may divide a session among, 4 at most. Node.js refuses requests whose headers exceed 16 KiB,
     * unless its `maxHeaderSize` allows more.
     */
    readonly chunks?: number
  }

  readonly flash?: {
    /**
     * `Session.flashAll` leaves out the fields of a form whose names have one of these words in them, such as `newPassword` or
     * `csrf_token`. In the environment, they have commas between them.
     */
    readonly except?: ReadonlyArray<string>

    /** The most bytes of JSON that are kept of a form that is flashed. The longest fields are left out first. */
    readonly sizeLimit?: SizeInput
  }

  readonly owner?: {
    /** How many sessions an owner may have, up to 1,000, or `"unlimited"`. Not with `CookieLayer`. */
    readonly limit?: number | "unlimited"

    /**
     * What a login beyond the limit does: `"refuse"` fails with a `SessionLimitError`, and `"evict"` ends the session that has
     * been unused for longest.
     */
    readonly policy?: Settings["owner"]["policy"]
  }

  readonly csrf?: {
    /** Origins beside the server's own that may send requests which change something, such as `"https://partner.example"`. */
    readonly origins?: ReadonlyArray<string>

    /** Whether the other hosts of the same site may do so as well: `"refuse"` or `"allow"`. */
    readonly sameSite?: Settings["csrf"]["sameSite"]

    /** Whether a proxy sets `X-Forwarded-Host` and `X-Forwarded-Proto` on every request, whatever the client has sent. */
    readonly forwarded?: boolean

    /** The header for a token of `Csrf`. */
    readonly header?: string

    /** The form field for a token of `Csrf`. */
    readonly field?: string
  }

  readonly header?: {
    /** The header of the transport `"header"`. For `"bearer"`, another token goes out in it. */
    readonly name?: string
  }

  /**
   * The driver that `SessionDriver.layerConfig` builds, by its `type`, and the settings of that driver. They are also the options
   * of the driver's own Layer.
   */
  readonly store?: {
    /** The driver: `"cookie"`, `"dynamodb"`, `"file"`, `"memory"` or `"redis"`. */
    readonly type: typeof drivers[number]
    readonly [setting: string]: unknown
  }
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

/** What is wrong only together: the rules of RFC 6265bis for prefixes and attributes, and timeouts that can't both hold. */
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

/**
 * The settings of sessions: their schema, their defaults, and the Layers that provide them from code, from a JSON
 * document or from any ConfigProvider. docs/reference/settings.md lists all of them.
 *
 * Mistakes are found when the Layer is built, so a server with an invalid configuration does not start. The error lists
 * every mistake: the setting, the value found, and how to fix it.
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
 * The drivers that `store.type` can name.
 *
 * @since 0.1.0
 * @category models
 */
export const drivers = ["cookie", "dynamodb", "file", "memory", "redis"] as const

/**
 * How a client can present its session: in the cookie, in the header `Authorization: Bearer`, or in a custom header.
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
  // A token as defined by RFC 9110. The length leaves ample room for a signed id within 4,096 bytes.
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
      "Write a host name such as \"example.com\", or leave it out for a host-only cookie"
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
    "Write the name of a header in lower case, such as \"x-csrf-token\", of at most 64 letters, digits and hyphens",
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
    "Write the name of a custom header in lower case, such as \"x-session-token\", of at most 64 letters, digits and hyphens",
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
 * When a request extends the session's life: `"onUse"`, if it uses the session; `"always"`, even if it does not, which
 * costs a store call per request; `"never"`, so a session expires `age` after its creation.
 *
 * @since 0.1.0
 * @category models
 */
export type Rolling = "onUse" | "always" | "never"

/**
 * The decoded settings. {@link Options} describes each of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings extends Required<typeof Written.Type> {
  /**
   * The driver that `SessionDriver.layerConfig` builds, and its own settings as written, which the driver decodes. They
   * are Redacted because they may contain a password.
   */
  readonly store: {
    readonly type: typeof drivers[number]
    readonly options: Redacted.Redacted<{ readonly [setting: string]: unknown }>
  }
}

/**
 * A duration as written in settings: with its unit, or `"never"`.
 *
 * @since 0.1.0
 * @category models
 */
export type DurationInput = Duration.Duration | `${number}${"" | " "}${Unit}` | "never"

type Unit = "ms" | "s" | "m" | "h" | "d" | "w" | `${"milli" | "second" | "minute" | "hour" | "day" | "week"}${"" | "s"}`

/**
 * A size as written in settings: a number of bytes, a string with a unit (1 kB is 1,000 bytes, 1 KiB is 1,024 bytes),
 * or `"unlimited"`.
 *
 * @since 0.1.0
 * @category models
 */
export type SizeInput = number | `${number}${"" | " "}${"B" | "kB" | "KiB" | "MB" | "MiB"}` | "unlimited"

/**
 * The settings as written in code. All are optional, but signing and encrypting need a `secret`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * `false` turns sessions off: no cookies and no store calls. Routes keep working, because each request gets its own
   * session that ends with it.
   */
  readonly enabled?: boolean

  /**
   * A secret of at least 32 unguessable characters, or a list of secrets: new sessions use the first, and all are
   * accepted. It is required for signing and encrypting. In the environment, write a list as `SESSION_SECRET_0`,
   * `SESSION_SECRET_1` and so on.
   */
  readonly secret?: string | Redacted.Redacted<string> | ReadonlyArray<string | Redacted.Redacted<string>>

  /** The idle timeout: how long after its last use a session expires. */
  readonly age?: DurationInput

  /** The absolute timeout: how long after its creation a session expires, even if it is in use. */
  readonly absoluteAge?: DurationInput

  /** The longest idle timeout that `Session.setLifetime` can give to a session. Defaults to `age`. */
  readonly maximumAge?: DurationInput

  /**
   * The longest absolute timeout that `Session.setLifetime` can give to a session. Defaults to `absoluteAge`.
   * `CookieLayer` remembers ended sessions for this long.
   */
  readonly maximumAbsoluteAge?: DurationInput

  /** How often, at most, the life of a session in use is extended. Defaults to a tenth of `age`, at most one minute. */
  readonly touchEvery?: DurationInput

  /**
   * Which requests extend the life of a session: `"onUse"`, those that use it; `"always"`, all of them, which costs a
   * store call per request; `"never"`, none, so a session expires `age` after its creation.
   */
  readonly rolling?: Rolling

  /** Whether a new session is stored even if it is empty. */
  readonly saveUninitialized?: boolean

  /**
   * How long requests with an old id are tolerated after a session has got a new one, as at a login. They send no
   * cookie, and those that began before can still change the session.
   */
  readonly supersededFor?: DurationInput

  /** The time limit for each store operation. */
  readonly timeLimit?: DurationInput

  /**
   * The maximum size of a session in a store on a server, counting names and values as JSON in UTF-8. A commit that
   * exceeds it fails with a `SessionTooLargeError`. With `CookieLayer`, the cookie's size is the limit.
   */
  readonly sizeLimit?: SizeInput

  /** How often a failed load, touch or destroy is retried within the time limit. */
  readonly retries?: number

  /**
   * How clients can present their sessions: `"cookie"`, `"bearer"` (`Authorization: Bearer`) or `"header"`. If a
   * request has several, the first in the list counts. In the environment, separate them with commas.
   */
  readonly transports?: ReadonlyArray<Transport>

  readonly id?: {
    /** How the id is protected in the cookie: `"signed"`, `"encrypted"` or `"none"`. */
    readonly protection?: Settings["id"]["protection"]
  }

  readonly cookie?: {
    /**
     * The name of the cookie. If the whole host is served over HTTPS, prefer `"__Host-Http-session"`: browsers let no
     * other host and no script set it.
     */
    readonly name?: string

    /** The path that browsers send the cookie for. */
    readonly path?: string

    /** The domain whose hosts browsers send the cookie to. Without it, the cookie is host-only. */
    readonly domain?: string

    /** Whether the cookie is hidden from scripts. */
    readonly httpOnly?: boolean

    /** Whether browsers send the cookie over HTTPS only. Use `false` only for development over plain HTTP. */
    readonly secure?: boolean

    /** Whether browsers send the cookie with requests from other sites: `"lax"`, `"strict"` or `"none"`. */
    readonly sameSite?: Settings["cookie"]["sameSite"]

    /** Whether browsers keep a separate cookie for each site that embeds yours (CHIPS). */
    readonly partitioned?: boolean

    /**
     * `"persistent"`: the cookie lasts as long as the session. `"browser"`: it is deleted when the browser closes; the
     * session's timeouts still apply.
     */
    readonly persistence?: Settings["cookie"]["persistence"]

    /**
     * How many cookies `CookieLayer` may split a session into, at most 4. Node.js rejects requests whose headers exceed
     * 16 KiB, unless you raise its `maxHeaderSize`.
     */
    readonly chunks?: number
  }

  readonly flash?: {
    /**
     * `Session.flashAll` leaves out form fields whose names contain one of these words, such as `newPassword` or
     * `csrf_token`. In the environment, separate them with commas.
     */
    readonly except?: ReadonlyArray<string>

    /** The maximum size of a flashed form as JSON. The longest fields are left out first. */
    readonly sizeLimit?: SizeInput
  }

  readonly owner?: {
    /** How many sessions an owner may have, up to 1,000, or `"unlimited"`. Not supported by `CookieLayer`. */
    readonly limit?: number | "unlimited"

    /**
     * What a login beyond the limit does: `"refuse"` fails with a `SessionLimitError`, `"evict"` ends the least
     * recently used session.
     */
    readonly policy?: Settings["owner"]["policy"]
  }

  readonly csrf?: {
    /** Other origins that may send requests that change something, such as `"https://partner.example"`. */
    readonly origins?: ReadonlyArray<string>

    /** Whether other hosts of the same site may do so too: `"refuse"` or `"allow"`. */
    readonly sameSite?: Settings["csrf"]["sameSite"]

    /**
     * Whether a proxy in front of the server sets `X-Forwarded-Host` and `X-Forwarded-Proto` on every request,
     * overwriting what the client sent.
     */
    readonly forwarded?: boolean

    /** The header that carries a token of `Csrf`. */
    readonly header?: string

    /** The form field that carries a token of `Csrf`. */
    readonly field?: string
  }

  readonly header?: {
    /** The header of the transport `"header"`. With `"bearer"`, new tokens are sent to the client in this header. */
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
 * Makes the id of a session: by default 256 random bits in base64url. A replacement must be unguessable and return 22
 * to 128 base64url characters.
 *
 * @since 0.1.0
 * @category references
 */
export const GenerateId: Context.Reference<Effect.Effect<string>> = Context.Reference("effect-session/GenerateId", {
  defaultValue: () => Effect.sync(Identifier.random)
})

/**
 * Decodes a document of settings, such as a parsed JSON file. An unknown setting is a mistake.
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

/** Decode only the type: the driver decodes its other settings. */
const decodeStore = (store: unknown): Result.Result<Settings["store"], SessionConfigError> => {
  const { type, ...options } = isDocument(store) ? store : {}
  if (type === undefined && Object.keys(options).length > 0) {
    const write = `The settings of a driver need its type. ${Setting.writeOneOf(drivers)}`
    return Result.fail(new SessionConfigError({ mistakes: [Setting.mistake(["store", "type"], type, write)] }))
  }
  const driver = Setting.decode(Schema.Struct(storeFields), isDocument(store) ? { type } : store, ["store"])
  return Result.map(driver, ({ type }) => ({ type, options: Redacted.make(options) }))
}

const mistakesOf = (result: Result.Result<unknown, SessionConfigError>): ReadonlyArray<ConfigMistake> =>
  Result.isFailure(result) ? result.failure.mistakes : []

const isDocument = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A tenth of `age`, at most one minute. */
const defaultTouchEvery = (age: Duration.Duration): Duration.Duration =>
  Duration.min(Duration.minutes(1), Duration.times(age, 0.1))

/**
 * Settings that are wrong only in combination: the rules of RFC 6265bis for prefixes and attributes, and contradictory
 * timeouts.
 */
const contradictions = (
  { absoluteAge, age, cookie, maximumAbsoluteAge, maximumAge, touchEvery }: Settings,
  document: unknown
): ReadonlyArray<ConfigMistake> => {
  const name = cookie.name.toLowerCase()
  const rules: ReadonlyArray<readonly [broken: boolean, path: ReadonlyArray<string>, write: string]> = [
    [
      cookie.sameSite === "none" && !cookie.secure,
      ["cookie", "sameSite"],
      "Browsers reject it without cookie.secure: set cookie.secure to true, or write \"lax\""
    ],
    [
      cookie.partitioned && !cookie.secure,
      ["cookie", "partitioned"],
      "Browsers reject it without cookie.secure: set cookie.secure to true, or write false"
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
      // Otherwise the age itself is too long.
      Duration.isGreaterThan(maximumAge, age) && Duration.isGreaterThan(maximumAge, maximumAbsoluteAge),
      ["maximumAge"],
      `A maximumAge of ${show(maximumAge)} is longer than maximumAbsoluteAge, which is ${show(maximumAbsoluteAge)}. ` +
      "Write a shorter maximumAge, or a longer maximumAbsoluteAge (SESSION_MAXIMUM_ABSOLUTE_AGE)"
    ],
    [
      Duration.isGreaterThanOrEqualTo(touchEvery, age),
      ["touchEvery"],
      `Write less than age, which is ${show(age)}: otherwise sessions in use would expire`
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
 * Provides the settings from code.
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
 * Provides the settings from the current ConfigProvider: environment variables such as `SESSION_SECRET`, `SESSION_AGE`
 * and `SESSION_COOKIE_NAME`, or the key `session` of a document. The provider's values override `defaults`.
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

/** Settings that browsers may reject, which the server can't check. */
const warned = ({ cookie: { domain } }: Settings): Effect.Effect<void> =>
  domain === undefined || domain.includes(".") ? Effect.void : Effect.logWarning(
    `cookie.domain (SESSION_COOKIE_DOMAIN): found ${
      JSON.stringify(domain)
    }, a name without a dot. Browsers may refuse ` +
      "such a cookie. Leave it out for a host-only cookie"
  )

/** The paths of all settings except those of the drivers. */
const settingPaths: ReadonlyArray<ReadonlyArray<string>> = [
  ...Object.keys(plainFields).map((name) => [name]),
  ...Object.entries(groups).flatMap(([group, fields]) => Object.keys(fields).map((name) => [group, name]))
]

const overlay = (below: unknown, above: unknown): unknown => {
  if (!isDocument(below) || !isDocument(above)) return isDocument(below) ? above : below
  const merged = Object.keys(groups).flatMap((name) => {
    const [lower, upper] = [below[name], above[name]]
    // The settings of one driver do not apply to another.
    const isOther = name === "store" && isDocument(upper) && "type" in upper && isDocument(lower) &&
      lower["type"] !== upper["type"]
    return isDocument(lower) && isDocument(upper) && !isOther ? [[name, combine(lower, upper)]] : []
  })
  return { ...below, ...above, ...Object.fromEntries(merged) }
}

/** Merges the settings of a group, later ones over earlier ones. A driver's settings may have groups of their own. */
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
 * Generates a new secret: 32 bytes from the operating system's random generator, in base64url. `npx effect-session
 * secret` prints one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const generateSecret: Effect.Effect<Redacted.Redacted<string>> = Effect.sync(() =>
  Redacted.make(Crypto.randomBytes(32).toString("base64url"))
)

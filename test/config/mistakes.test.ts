/**
 * What a user reads who made a mistake in the configuration: for each mistake one line, with the setting, its
 * environment variable, what was found and what to write.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Logger, Redacted } from "effect"
import { SessionConfig, type SessionError } from "effect-session"
import { inspect } from "node:util"
import { errorIn, fromCode, fromDocument, fromEnvironment, mistakesIn, secret } from "../support/config.ts"

type Case = readonly [name: string, document: unknown, ...mistakes: ReadonlyArray<string>]

const writeDuration =
  "Write a duration longer than zero with its unit, such as \"2 hours\", \"30m\" or \"7 days\", or \"never\""

const writeSecret = "Write at least 32 unguessable characters; `npx effect-session secret` prints a new secret. " +
  "Of several secrets, new sessions use the first, and all are accepted"

const writeName = "Write a name such as \"session\", of at most 256 letters, digits and !#$%&'*+-.^_`|~ (RFC 6265)"

const writePath = "Write a path that begins with \"/\", of at most 1,024 ASCII characters, without \";\""

const writeDomain = "Write a host name such as \"example.com\", or leave it out for a host-only cookie"

const allSettings = "enabled, secret, age, absoluteAge, maximumAge, maximumAbsoluteAge, touchEvery, rolling, " +
  "saveUninitialized, supersededFor, timeLimit, sizeLimit, retries, transports, id, cookie, flash, owner, csrf, header, store"

const cookieSettings = "cookie.name, cookie.path, cookie.domain, cookie.httpOnly, cookie.secure, cookie.sameSite, " +
  "cookie.partitioned, cookie.persistence, cookie.chunks"

const writeCookieSettings = "Write its settings individually: cookie.name (SESSION_COOKIE_NAME), " +
  "cookie.path (SESSION_COOKIE_PATH), cookie.domain (SESSION_COOKIE_DOMAIN), " +
  "cookie.httpOnly (SESSION_COOKIE_HTTP_ONLY), cookie.secure (SESSION_COOKIE_SECURE), " +
  "cookie.sameSite (SESSION_COOKIE_SAME_SITE), cookie.partitioned (SESSION_COOKIE_PARTITIONED), " +
  "cookie.persistence (SESSION_COOKIE_PERSISTENCE), cookie.chunks (SESSION_COOKIE_CHUNKS)"

const tests = (
  cases: ReadonlyArray<Case>,
  settings: (written: unknown) => Effect.Effect<unknown, unknown> = SessionConfig.decode
) => {
  for (const [name, document, ...mistakes] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* mistakesIn(settings(document)), mistakes)
      }))
  }
}

describe("documents that are none", () => {
  tests([
    ["nothing at all", undefined, "the configuration: found nothing. Write an object with settings"],
    ["null", null, "the configuration: found null. Write an object with settings"],
    ["a text", "2 hours", "the configuration: found a text of 7 characters. Write an object with settings"],
    ["a list", [{ age: "2h" }], "the configuration: found a list of an object. Write an object with settings"],
    [
      "a text for a group",
      { cookie: "sid" },
      `cookie (SESSION_COOKIE): found a text of 3 characters. ${writeCookieSettings}`
    ],
    ["null for a group", { cookie: null }, `cookie (SESSION_COOKIE): found null. ${writeCookieSettings}`],
    ["a list for a group", { cookie: [] }, `cookie (SESSION_COOKIE): found an empty list. ${writeCookieSettings}`]
  ])
  tests([
    [
      "a text under `session` of a provider",
      "x",
      "the configuration: found a text of 1 character. Write an object with settings"
    ]
  ], fromDocument)
})

describe("transports", () => {
  const write = "Write a list of one or more of \"cookie\", \"bearer\", \"header\", each once " +
    "(in an environment variable, separated by commas)"
  const writeHeader = "Write the name of a custom header in lower case, such as \"x-session-token\", " +
    "of at most 64 letters, digits and hyphens"
  tests([
    ["none at all", { transports: [] }, `transports (SESSION_TRANSPORTS): found an empty list. ${write}`],
    ["one that there is not", { transports: "cookies" }, `transports (SESSION_TRANSPORTS): found "cookies". ${write}`],
    [
      "one of them twice",
      { transports: "cookie,cookie" },
      `transports (SESSION_TRANSPORTS): found "cookie,cookie". ${write}`
    ],
    [
      "a header that has another meaning",
      { header: { name: "authorization" } },
      `header.name (SESSION_HEADER_NAME): found "authorization". ${writeHeader}`
    ],
    [
      "a header in capitals",
      { header: { name: "X-Session" } },
      `header.name (SESSION_HEADER_NAME): found "X-Session". ${writeHeader}`
    ]
  ])
})

describe("V7.1.1 timeouts", () => {
  const bare = `A bare number has no unit. ${writeDuration}`
  tests([
    ["a bare number is rejected, and the reason is its unit", { age: 3600 }, `age (SESSION_AGE): found 3600. ${bare}`],
    ["also as a text, as it comes from the environment", { age: "3600" }, `age (SESSION_AGE): found "3600". ${bare}`],
    ["also with a sign or a fraction", { age: "-1.5" }, `age (SESSION_AGE): found "-1.5". ${bare}`],
    ["also as a bigint", { age: 3600n }, `age (SESSION_AGE): found 3600. ${bare}`],
    ["zero does not mean never", { age: 0 }, `age (SESSION_AGE): found 0. ${bare}`],
    ["zero with a unit neither", { age: "0s" }, `age (SESSION_AGE): found "0s". ${writeDuration}`],
    ["an age below zero", { age: "-5 minutes" }, `age (SESSION_AGE): found "-5 minutes". ${writeDuration}`],
    ["a unit that is none", { age: "2 hrs" }, `age (SESSION_AGE): found "2 hrs". ${writeDuration}`],
    ["two units", { age: "2h30m" }, `age (SESSION_AGE): found "2h30m". ${writeDuration}`],
    ["another word for never", { age: "forever" }, `age (SESSION_AGE): found "forever". ${writeDuration}`],
    [
      "null does not mean never",
      { absoluteAge: null },
      `absoluteAge (SESSION_ABSOLUTE_AGE): found null. ${writeDuration}`
    ],
    ["an object", { timeLimit: { seconds: 5 } }, `timeLimit (SESSION_TIME_LIMIT): found an object. ${writeDuration}`],
    [
      "an age longer than the absolute one",
      { age: "8 days" },
      "age (SESSION_AGE): found \"8 days\". An age of 8d is longer than absoluteAge, which is 7d. " +
      "Write a shorter age, or a longer absoluteAge (SESSION_ABSOLUTE_AGE)"
    ],
    [
      "an age of never where the absolute one is not",
      { age: "never" },
      "age (SESSION_AGE): found \"never\". An age of never is longer than absoluteAge, which is 7d. " +
      "Write a shorter age, or a longer absoluteAge (SESSION_ABSOLUTE_AGE)"
    ],
    [
      "an absolute age shorter than the age that is the default",
      { absoluteAge: "1 hour" },
      "age (SESSION_AGE): found nothing. An age of 2h is longer than absoluteAge, which is 1h. " +
      "Write a shorter age, or a longer absoluteAge (SESSION_ABSOLUTE_AGE)"
    ],
    [
      "a touch as rare as the age",
      { touchEvery: "2 hours" },
      "touchEvery (SESSION_TOUCH_EVERY): found \"2 hours\". " +
      "Write less than age, which is 2h: otherwise sessions in use would expire"
    ],
    [
      "no touch at all",
      { touchEvery: "never" },
      "touchEvery (SESSION_TOUCH_EVERY): found \"never\". " +
      "Write less than age, which is 2h: otherwise sessions in use would expire"
    ],
    [
      "a maximum below the age",
      { maximumAge: "1 hour" },
      "maximumAge (SESSION_MAXIMUM_AGE): found \"1 hour\". Write no less than age, which is 2h, or leave it out: " +
      "without it, sessions can only be given a shorter age"
    ],
    [
      "a maximum below the absolute age",
      { maximumAbsoluteAge: "6 days" },
      "maximumAbsoluteAge (SESSION_MAXIMUM_ABSOLUTE_AGE): found \"6 days\". Write no less than absoluteAge, which is 7d, " +
      "or leave it out: without it, sessions can only be given a shorter absoluteAge"
    ],
    [
      "a maximum that no session can reach",
      { maximumAge: "30 days" },
      "maximumAge (SESSION_MAXIMUM_AGE): found \"30 days\". A maximumAge of 30d is longer than maximumAbsoluteAge, which " +
      "is 7d. Write a shorter maximumAge, or a longer maximumAbsoluteAge (SESSION_MAXIMUM_ABSOLUTE_AGE)"
    ],
    [
      "a maximum of zero",
      { maximumAge: "0 days" },
      `maximumAge (SESSION_MAXIMUM_AGE): found "0 days". ${writeDuration}`
    ],
    ["a touch at every request", { touchEvery: "0s" }, `touchEvery (SESSION_TOUCH_EVERY): found "0s". ${writeDuration}`]
  ])

  tests([
    ["a Duration of zero in code", { age: Duration.zero }, `age (SESSION_AGE): found 0. ${writeDuration}`],
    ["a Duration below zero in code", { age: Duration.seconds(-5) }, `age (SESSION_AGE): found -5s. ${writeDuration}`]
  ], (options) => fromCode(options as SessionConfig.Options))
})

describe("sizes", () => {
  const write = "Write a size such as 65536 (bytes), \"64 KiB\" or \"1 MB\", or \"unlimited\""

  tests([
    ["zero", { sizeLimit: 0 }, `sizeLimit (SESSION_SIZE_LIMIT): found 0. ${write}`],
    ["less than a byte", { sizeLimit: 0.5 }, `sizeLimit (SESSION_SIZE_LIMIT): found 0.5. ${write}`],
    ["a negative one", { sizeLimit: -1 }, `sizeLimit (SESSION_SIZE_LIMIT): found -1. ${write}`],
    ["another unit", { sizeLimit: "1 GB" }, `sizeLimit (SESSION_SIZE_LIMIT): found "1 GB". ${write}`],
    ["a unit in another case", { sizeLimit: "64 kb" }, `sizeLimit (SESSION_SIZE_LIMIT): found "64 kb". ${write}`],
    [
      "the name that every object has",
      { sizeLimit: "1 toString" },
      `sizeLimit (SESSION_SIZE_LIMIT): found "1 toString". ${write}`
    ],
    ["the word for durations", { sizeLimit: "never" }, `sizeLimit (SESSION_SIZE_LIMIT): found "never". ${write}`],
    ["null", { sizeLimit: null }, `sizeLimit (SESSION_SIZE_LIMIT): found null. ${write}`],
    [
      "one of a group",
      { flash: { sizeLimit: Infinity } },
      `flash.sizeLimit (SESSION_FLASH_SIZE_LIMIT): found Infinity. ${write}`
    ]
  ])

  for (
    const [written, bytes] of [
      [1, 1],
      ["1000", 1_000],
      ["64 KiB", 65_536],
      ["64KiB", 65_536],
      ["1.5 kB", 1_500],
      ["2 MiB", 2_097_152],
      ["3 MB", 3_000_000],
      ["10 B", 10],
      ["unlimited", Infinity]
    ] as const
  ) {
    it.effect(`${JSON.stringify(written)} are ${bytes} bytes`, () =>
      Effect.map(SessionConfig.decode({ sizeLimit: written }), ({ sizeLimit }) => assert.strictEqual(sizeLimit, bytes)))
  }
})

describe("choices and numbers", () => {
  tests([
    [
      "a choice that is none",
      { rolling: "sometimes" },
      "rolling (SESSION_ROLLING): found \"sometimes\". Write one of \"onUse\", \"always\", \"never\""
    ],
    [
      "a choice in another case",
      { cookie: { sameSite: "Lax" } },
      "cookie.sameSite (SESSION_COOKIE_SAME_SITE): found \"Lax\". Write one of \"lax\", \"strict\", \"none\""
    ],
    [
      "a choice as a boolean",
      { cookie: { sameSite: true } },
      "cookie.sameSite (SESSION_COOKIE_SAME_SITE): found true. Write one of \"lax\", \"strict\", \"none\""
    ],
    [
      "a protection that is none",
      { id: { protection: "sign" } },
      "id.protection (SESSION_ID_PROTECTION): found \"sign\". Write one of \"signed\", \"encrypted\", \"none\""
    ],
    [
      "a persistence that is none",
      { cookie: { persistence: "session" } },
      "cookie.persistence (SESSION_COOKIE_PERSISTENCE): found \"session\". Write one of \"persistent\", \"browser\""
    ],
    ["yes for true", { enabled: "yes" }, "enabled (SESSION_ENABLED): found \"yes\". Write true or false"],
    ["1 for true", { cookie: { secure: 1 } }, "cookie.secure (SESSION_COOKIE_SECURE): found 1. Write true or false"],
    ["too many retries", { retries: 11 }, "retries (SESSION_RETRIES): found 11. Write a whole number from 0 to 10"],
    ["retries below zero", { retries: -1 }, "retries (SESSION_RETRIES): found -1. Write a whole number from 0 to 10"],
    [
      "retries that are no number",
      { retries: "many" },
      "retries (SESSION_RETRIES): found \"many\". Write a whole number from 0 to 10"
    ],
    [
      "half a chunk",
      { cookie: { chunks: 1.5 } },
      "cookie.chunks (SESSION_COOKIE_CHUNKS): found 1.5. Write a whole number from 1 to 4"
    ],
    [
      "too many chunks",
      { cookie: { chunks: "5" } },
      "cookie.chunks (SESSION_COOKIE_CHUNKS): found \"5\". Write a whole number from 1 to 4"
    ],
    [
      "no session for an owner",
      { owner: { limit: 0 } },
      "owner.limit (SESSION_OWNER_LIMIT): found 0. Write a whole number from 1 to 1000, or \"unlimited\""
    ],
    [
      "fewer sessions than none",
      { owner: { limit: -3 } },
      "owner.limit (SESSION_OWNER_LIMIT): found -3. Write a whole number from 1 to 1000, or \"unlimited\""
    ],
    [
      "half a session",
      { owner: { limit: "1.5" } },
      "owner.limit (SESSION_OWNER_LIMIT): found \"1.5\". Write a whole number from 1 to 1000, or \"unlimited\""
    ],
    [
      "more sessions than can be counted",
      { owner: { limit: 1001 } },
      "owner.limit (SESSION_OWNER_LIMIT): found 1001. Write a whole number from 1 to 1000, or \"unlimited\""
    ],
    [
      "a policy that there is not",
      { owner: { policy: "endOldest" } },
      "owner.policy (SESSION_OWNER_POLICY): found \"endOldest\". Write one of \"refuse\", \"evict\""
    ],
    [
      "siblings that are neither refused nor allowed",
      { csrf: { sameSite: "lax" } },
      "csrf.sameSite (SESSION_CSRF_SAME_SITE): found \"lax\". Write one of \"refuse\", \"allow\""
    ],
    ...[
      "shop.example",
      "https://shop.example/cart",
      "https://*.example",
      "null",
      "*",
      "https://a@b.example",
      "https://["
    ].map((
      origin
    ): [string, object, string] => [
      `not an origin: ${origin}`,
      { csrf: { origins: [origin] } },
      `csrf.origins (SESSION_CSRF_ORIGINS): found a list of a text of ${origin.length} character${
        origin.length === 1 ? "" : "s"
      }. Write a list of origins such as "https://shop.example", each with its scheme, and its port if it is not the default ` +
      "one, but without a path (in an environment variable, separated by commas)"
    ]),
    [
      "not the name of a header",
      { csrf: { header: "X CSRF" } },
      "csrf.header (SESSION_CSRF_HEADER): found \"X CSRF\". Write the name of a header in lower case, such as " +
      "\"x-csrf-token\", of at most 64 letters, digits and hyphens"
    ],
    [
      "a field that HTML would have to escape",
      { csrf: { field: "\">" } },
      "csrf.field (SESSION_CSRF_FIELD): found \"\\\">\". Write the name of a form field such as \"_csrf\", of at most 64 " +
      "letters, digits, underscores and hyphens"
    ],
    [
      "an empty name in a list",
      { flash: { except: ["a", ""] } },
      "flash.except (SESSION_FLASH_EXCEPT): found a list of a text of 1 character, a text of 0 characters. " +
      "Write a list of names (in an environment variable, separated by commas)"
    ]
  ])
})

describe("the cookie", () => {
  const name = (found: string) => `cookie.name (SESSION_COOKIE_NAME): found ${found}. ${writeName}`
  const path = (found: string) => `cookie.path (SESSION_COOKIE_PATH): found ${found}. ${writePath}`
  const domain = (found: string) => `cookie.domain (SESSION_COOKIE_DOMAIN): found ${found}. ${writeDomain}`

  tests([
    ["no name", { cookie: { name: "" } }, name("\"\"")],
    ["a name with a space", { cookie: { name: "my session" } }, name("\"my session\"")],
    ["a name with a semicolon", { cookie: { name: "a;b" } }, name("\"a;b\"")],
    ["a name with an equals sign", { cookie: { name: "a=b" } }, name("\"a=b\"")],
    ["a name beyond ASCII", { cookie: { name: "sitzung-ä" } }, name("\"sitzung-ä\"")],
    ["a name with a line break", { cookie: { name: "a\nSet-Cookie: b" } }, name("\"a\\nSet-Cookie: b\"")],
    ["a name of 257 characters", { cookie: { name: "n".repeat(257) } }, name(`"${"n".repeat(77)}…"`)],
    ["a path without a slash", { cookie: { path: "app" } }, path("\"app\"")],
    ["a path with a semicolon", { cookie: { path: "/a;b" } }, path("\"/a;b\"")],
    ["a path with a line break", { cookie: { path: "/\n" } }, path("\"/\\n\"")],
    ["a path beyond ASCII", { cookie: { path: "/ä" } }, path("\"/ä\"")],
    ["V3.3.5 a path of 1,025 bytes", { cookie: { path: `/${"p".repeat(1024)}` } }, path(`"/${"p".repeat(76)}…"`)],
    ["no domain", { cookie: { domain: "" } }, domain("\"\"")],
    ["a domain that begins with a dot", { cookie: { domain: ".example.com" } }, domain("\".example.com\"")],
    ["a URL for a domain", { cookie: { domain: "https://example.com" } }, domain("\"https://example.com\"")],
    ["a domain with a port", { cookie: { domain: "localhost:3000" } }, domain("\"localhost:3000\"")],
    ["a domain with a line break", { cookie: { domain: "example.com\n" } }, domain("\"example.com\\n\"")],
    [
      "a domain of 254 bytes",
      { cookie: { domain: `${"d.".repeat(126)}de` } },
      domain(`"${"d.".repeat(39).slice(0, 77)}…"`)
    ]
  ])

  it.effect("V3.3.5 the longest path and domain that a cookie may have are accepted", () =>
    Effect.gen(function*() {
      const longest = { name: "n".repeat(256), path: `/${"p".repeat(1023)}`, domain: `${"d.".repeat(126)}d` }
      const { cookie } = yield* SessionConfig.decode({ cookie: longest })
      assert.deepInclude(cookie, longest)
    }))

  const prefix =
    "A name with this prefix needs cookie.secure: set it to true, or write another name such as \"session\""
  const host = "A name that begins with \"__Host-\" needs cookie.path \"/\" and no cookie.domain. " +
    "Change them, or write another name such as \"session\""
  const http =
    "A name with this prefix needs cookie.httpOnly: set it to true, or write another name such as \"session\""
  const named = (name: string, rule: string) => `cookie.name (SESSION_COOKIE_NAME): found "${name}". ${rule}`

  tests([
    [
      "V3.3.2 SameSite=None without Secure",
      { cookie: { sameSite: "none", secure: false } },
      "cookie.sameSite (SESSION_COOKIE_SAME_SITE): found \"none\". " +
      "Browsers reject it without cookie.secure: set cookie.secure to true, or write \"lax\""
    ],
    [
      "Partitioned without Secure",
      { cookie: { partitioned: true, secure: false } },
      "cookie.partitioned (SESSION_COOKIE_PARTITIONED): found true. " +
      "Browsers reject it without cookie.secure: set cookie.secure to true, or write false"
    ],
    ...["__Secure-sid", "__SECURE-sid", "__secure-sid", "__sEcUrE-"].map((name): Case => [
      `V3.3.1 ${name} without Secure`,
      { cookie: { name, secure: false } },
      named(name, prefix)
    ]),
    ...["__Host-sid", "__HOST-sid", "__host-sid", "__hOsT-"].flatMap((name): ReadonlyArray<Case> => [
      [`V3.3.3 ${name} without Secure`, { cookie: { name, secure: false } }, named(name, prefix)],
      [`V3.3.3 ${name} with a path`, { cookie: { name, path: "/app" } }, named(name, host)],
      [`V3.3.3 ${name} with a domain`, { cookie: { name, domain: "example.com" } }, named(name, host)],
      [
        `V3.3.3 ${name} with everything wrong`,
        { cookie: { name, domain: "example.com", path: "/app", secure: false } },
        named(name, prefix),
        named(name, host)
      ]
    ]),
    ...["__Http-sid", "__HTTP-sid", "__http-sid", "__hTtP-"].flatMap((name): ReadonlyArray<Case> => [
      [`${name} without Secure`, { cookie: { name, secure: false } }, named(name, prefix)],
      [`${name} without HttpOnly`, { cookie: { name, httpOnly: false } }, named(name, http)]
    ]),
    ...["__Host-Http-sid", "__HOST-HTTP-sid", "__host-http-sid", "__hOsT-hTtP-"].flatMap((
      name
    ): ReadonlyArray<Case> => [
      [`${name} without Secure`, { cookie: { name, secure: false } }, named(name, prefix)],
      [`${name} without HttpOnly`, { cookie: { name, httpOnly: false } }, named(name, http)],
      [`${name} with a path`, { cookie: { name, path: "/app" } }, named(name, host)],
      [`${name} with a domain`, { cookie: { name, domain: "example.com" } }, named(name, host)],
      [
        `${name} with everything wrong`,
        { cookie: { name, domain: "example.com", path: "/app", secure: false, httpOnly: false } },
        named(name, prefix),
        named(name, host),
        named(name, http)
      ]
    ])
  ])

  it.effect("a name with __Http- may have a path and a domain", () =>
    Effect.gen(function*() {
      const document = { cookie: { name: "__Http-sid", path: "/app", domain: "example.com" } }
      assert.deepInclude((yield* SessionConfig.decode(document)).cookie, document.cookie)
    }))

  it.effect("a domain without a dot is a warning at the start, and any other is none", () =>
    Effect.gen(function*() {
      const warnings: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => void warnings.push(logLevel, message))
      const start = <E>(layer: Layer.Layer<SessionConfig.SessionConfig, E>) =>
        Effect.scoped(Layer.build(Layer.provide(layer, Logger.layer([logger]))))
      yield* start(SessionConfig.layer({ cookie: { domain: "shop.example" } }))
      yield* start(SessionConfig.layer())
      assert.deepStrictEqual(warnings, [])
      const warning =
        "cookie.domain (SESSION_COOKIE_DOMAIN): found \"localhost\", a name without a dot. Browsers may refuse " +
        "such a cookie. Leave it out for a host-only cookie"
      yield* start(SessionConfig.layer({ cookie: { domain: "localhost" } }))
      yield* start(SessionConfig.layerConfig({ cookie: { domain: "localhost" } }))
      assert.deepStrictEqual(warnings, ["Warn", [warning], "Warn", [warning]])
    }))

  const accepted = [
    "__Host-sid",
    "__host-sid",
    "__Secure-sid",
    "__SECURE-",
    "Host-sid",
    "__Hostsid",
    "__Http-sid",
    "__Host-Http-sid",
    "__HOST-http-"
  ]
  for (const name of accepted) {
    it.effect(`V3.3.1, V3.3.3 ${name} is accepted where the rules of its prefix hold`, () =>
      Effect.gen(function*() {
        const { cookie } = yield* SessionConfig.decode({ cookie: { name } })
        assert.strictEqual(cookie.name, name)
      }))
  }

  it.effect("V3.3.1 __Secure- may have a path and a domain", () =>
    Effect.gen(function*() {
      const { cookie } = yield* SessionConfig.decode({
        cookie: { name: "__Secure-sid", path: "/app", domain: "example.com", sameSite: "none" }
      })
      assert.strictEqual(cookie.sameSite, "none")
    }))
})

describe("secrets that are none", () => {
  const found = (what: string) => `secret (SESSION_SECRET): found ${what}. ${writeSecret}`
  tests([
    ["an empty one", { secret: "" }, found("a text of 0 characters")],
    ["one of 31 characters", { secret: "s".repeat(31) }, found("a text of 31 characters")],
    ["a number", { secret: 12345 }, found("a number")],
    ["null", { secret: null }, found("null")],
    ["an object", { secret: { value: secret } }, found("an object")],
    [
      "a short one among others",
      { secret: [secret, "short"] },
      found("a list of a text of 50 characters, a text of 5 characters")
    ],
    ["a redacted short one", { secret: Redacted.make("short") }, found("a text of 5 characters")]
  ])
  tests([
    ["a short one in the environment", { SESSION_SECRET: "short" }, found("a text of 5 characters")],
    [
      "a short one of several in the environment",
      { SESSION_SECRET_0: secret, SESSION_SECRET_1: "short" },
      found("a list of a text of 50 characters, a text of 5 characters")
    ]
  ], (env) => fromEnvironment(env as Record<string, string>))

  it.effect("32 characters are enough", () =>
    Effect.gen(function*() {
      const settings = yield* fromCode({ secret: "s".repeat(32) })
      assert.deepStrictEqual(settings.secret.map(Redacted.value), ["s".repeat(32)])
    }))
})

describe("settings that there are not", () => {
  const noSetting = (setting: string, found: string, hint: string) =>
    `${setting}: found ${found}. There is no such setting. ${hint}`

  tests([
    [
      "a typo",
      { sercet: secret },
      noSetting("sercet (SESSION_SERCET)", "a text of 50 characters", "Did you mean secret (SESSION_SECRET)?")
    ],
    [
      "another case",
      { cookie: { samesite: "lax" } },
      noSetting(
        "cookie.samesite (SESSION_COOKIE_SAMESITE)",
        "a text of 3 characters",
        "Did you mean cookie.sameSite (SESSION_COOKIE_SAME_SITE)?"
      )
    ],
    [
      "a group left out",
      { httpOnly: true },
      noSetting("httpOnly (SESSION_HTTP_ONLY)", "a boolean", "Did you mean cookie.httpOnly (SESSION_COOKIE_HTTP_ONLY)?")
    ],
    [
      "a group and a setting in one word",
      { cookieName: "sid" },
      noSetting(
        "cookieName (SESSION_COOKIE_NAME)",
        "a text of 3 characters",
        "Did you mean cookie.name (SESSION_COOKIE_NAME)?"
      )
    ],
    [
      "a setting in the wrong group",
      { cookie: { age: "2h" } },
      noSetting("cookie.age (SESSION_COOKIE_AGE)", "a text of 2 characters", "Did you mean age (SESSION_AGE)?")
    ],
    [
      "a typo in a group's name",
      { cokie: { name: "sid" } },
      noSetting("cokie (SESSION_COKIE)", "an object", "Did you mean cookie?")
    ],
    [
      "nothing like any setting",
      { ttl: 5 },
      noSetting("ttl (SESSION_TTL)", "a number", `The settings are: ${allSettings}`)
    ],
    [
      "nothing like any setting of its group",
      { cookie: { ttl: 5 } },
      noSetting("cookie.ttl (SESSION_COOKIE_TTL)", "a number", `The settings are: ${cookieSettings}`)
    ],
    [
      "the name that every object has",
      JSON.parse("{ \"__proto__\": { \"age\": \"2h\" } }"),
      noSetting("__proto__ (SESSION_PROTO)", "an object", `The settings are: ${allSettings}`)
    ]
  ])

  tests([
    [
      "a typo under `session` of a provider",
      { cookie: { samesite: "lax" } },
      noSetting(
        "cookie.samesite (SESSION_COOKIE_SAMESITE)",
        "a text of 3 characters",
        "Did you mean cookie.sameSite (SESSION_COOKIE_SAME_SITE)?"
      )
    ]
  ], fromDocument)

  tests([
    [
      "a typo in a variable",
      { SESSION_SERCET: secret },
      noSetting("SERCET (SESSION_SERCET)", "a text of 50 characters", "Did you mean secret (SESSION_SECRET)?")
    ],
    [
      "an underscore too few",
      { SESSION_COOKIE_SAMESITE: "lax" },
      noSetting(
        "cookie.SAMESITE (SESSION_COOKIE_SAMESITE)",
        "a text of 3 characters",
        "Did you mean cookie.sameSite (SESSION_COOKIE_SAME_SITE)?"
      )
    ],
    [
      "an underscore too many",
      { SESSION__AGE: "2h" },
      noSetting("_AGE (SESSION__AGE)", "a text of 2 characters", "Did you mean age (SESSION_AGE)?")
    ],
    [
      "a variable for a group",
      { SESSION_COOKIE: "sid" },
      `COOKIE (SESSION_COOKIE): found a text of 3 characters. ${writeCookieSettings}`
    ],
    [
      "a variable for the driver",
      { SESSION_STORE: "memory" },
      "STORE (SESSION_STORE): found a text of 6 characters. Write its settings individually: store.type (SESSION_DRIVER)"
    ],
    [
      "variables that are nothing like a setting, each by its own name",
      { SESSION_SECRET_KEY: secret, SESSION_TTL: "5", SESSION_TTL_MIN: "5" },
      noSetting("SECRET_KEY (SESSION_SECRET_KEY)", "a text of 50 characters", `The settings are: ${allSettings}`),
      noSetting("TTL (SESSION_TTL)", "a text of 1 character", `The settings are: ${allSettings}`),
      noSetting("TTL_MIN (SESSION_TTL_MIN)", "a text of 1 character", `The settings are: ${allSettings}`)
    ]
  ], (env) => fromEnvironment(env as Record<string, string>))

  tests([
    [
      "a typo in code",
      { touchevery: "5s" },
      noSetting(
        "touchevery (SESSION_TOUCHEVERY)",
        "a text of 2 characters",
        "Did you mean touchEvery (SESSION_TOUCH_EVERY)?"
      )
    ]
  ], (options) => fromCode(options as SessionConfig.Options))
})

describe("the driver", () => {
  const types = SessionConfig.drivers.map((driver) => JSON.stringify(driver)).join(", ")
  tests([
    [
      "one that there is not",
      { store: { type: "redsi" } },
      `store.type (SESSION_DRIVER): found "redsi". Write one of ${types}`
    ],
    ["no text", { store: { type: 5 } }, `store.type (SESSION_DRIVER): found 5. Write one of ${types}`],
    [
      "null",
      { store: null },
      "store (SESSION_STORE): found null. Write its settings individually: store.type (SESSION_DRIVER)"
    ],
    [
      "a text for its settings, which may be a URL with a password",
      { store: "redis://:hunter2@host" },
      "store (SESSION_STORE): found a text of 21 characters. Write its settings individually: store.type (SESSION_DRIVER)"
    ],
    [
      "settings without the driver that they are for",
      { store: { table: "sessions" } },
      `store.type (SESSION_DRIVER): found nothing. The settings of a driver need its type. Write one of ${types}`
    ]
  ])
  tests([
    [
      "one that there is not, in the environment",
      { SESSION_DRIVER: "redsi" },
      `store.type (SESSION_DRIVER): found "redsi". Write one of ${types}`
    ]
  ], (env) => fromEnvironment(env as Record<string, string>))
})

describe("several mistakes", () => {
  it.effect("are told all at once, also within one group", () =>
    Effect.gen(function*() {
      const { message, mistakes } = yield* errorIn(SessionConfig.decode({
        secret: "short",
        age: 5,
        retires: 3,
        cookie: { name: ";", path: "app", foo: 1 },
        flash: { except: [1] },
        store: { type: "redsi" }
      }))
      assert.sameMembers(mistakes.map(({ setting }) => setting), [
        "secret (SESSION_SECRET)",
        "age (SESSION_AGE)",
        "retires (SESSION_RETIRES)",
        "cookie.name (SESSION_COOKIE_NAME)",
        "cookie.path (SESSION_COOKIE_PATH)",
        "cookie.foo (SESSION_COOKIE_FOO)",
        "flash.except (SESSION_FLASH_EXCEPT)",
        "store.type (SESSION_DRIVER)"
      ])
      assert.strictEqual(message.split("\n")[0], "The session configuration has 8 mistakes:")
      assert.strictEqual(message.split("\n").length, 9)
    }))

  it.effect("contradictions as well", () =>
    Effect.gen(function*() {
      const { mistakes } = yield* errorIn(SessionConfig.decode({
        age: "8 days",
        touchEvery: "8 days",
        cookie: { name: "__Host-sid", path: "/app", sameSite: "none", partitioned: true, secure: false }
      }))
      assert.deepStrictEqual(mistakes.map(({ setting }) => setting.split(" ")[0]), [
        "cookie.sameSite",
        "cookie.partitioned",
        "cookie.name",
        "cookie.name",
        "age",
        "touchEvery"
      ])
    }))

  it.effect("one of them reads so", () =>
    Effect.gen(function*() {
      const { message } = yield* errorIn(SessionConfig.decode({ retries: 11 }))
      assert.strictEqual(
        message,
        "The session configuration has a mistake:\n" +
          "  retries (SESSION_RETRIES): found 11. Write a whole number from 0 to 10"
      )
    }))
})

describe("a secret is in no error", () => {
  const confidential = "hunter2-hunter2"

  /** Wherever somebody may write it, by mistake or on purpose. */
  const documents: ReadonlyArray<unknown> = [
    { secret: confidential },
    { secret: [confidential, secret] },
    { secret: Redacted.make(confidential) },
    { secret: [Redacted.make(confidential)] },
    { secret: { value: confidential } },
    { secret: { [confidential]: 1 } },
    { sercet: confidential },
    { secrets: [confidential] },
    { cookie: { secret: confidential } },
    { cookie: confidential },
    { store: { type: "memory", password: confidential }, age: 5 },
    { store: { password: confidential } },
    { store: { type: { password: confidential } } },
    { store: `redis://:${confidential}@localhost` },
    { store: [confidential] },
    { flash: { except: [confidential, 1] } },
    { id: { protection: [confidential] } },
    confidential,
    [confidential]
  ]

  const assertHidden = (error: SessionError.SessionConfigError) => {
    const shown = [
      error.message,
      error.stack,
      `${error}`,
      JSON.stringify(error),
      JSON.stringify(Exit.fail(error)),
      inspect(error, { depth: 10, showHidden: true }),
      inspect(Exit.fail(error), { depth: 10, showHidden: true }),
      inspect(error.cause, { depth: 10 })
    ].join("\n")
    assert.include(shown, "SessionConfigError")
    assert.notInclude(shown, confidential)
  }

  documents.forEach((document, index) => {
    it.effect(`in document ${index + 1}: ${JSON.stringify(document)}`, () =>
      Effect.gen(function*() {
        assertHidden(yield* errorIn(SessionConfig.decode(document)))
        assertHidden(yield* errorIn(fromCode(document as SessionConfig.Options)))
      }))
  })

  for (
    const variable of [
      "SESSION_SECRET",
      "SESSION_SECRET_0",
      "SESSION_SECRET_KEY",
      "SESSION_SERCET",
      "SESSION_COOKIE",
      "SESSION_COOKIE_SECRET",
      "SESSION_STORE",
      "SESSION_PASSWORD"
    ]
  ) {
    it.effect(`in the variable ${variable}`, () =>
      Effect.gen(function*() {
        assertHidden(yield* errorIn(fromEnvironment({ [variable]: confidential })))
        assertHidden(yield* errorIn(fromEnvironment({ [variable]: confidential, SESSION_AGE: "5" })))
      }))
  }
})

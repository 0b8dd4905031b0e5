/**
 * Where settings come from: code, a JSON document, and every kind of ConfigProvider.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, FileSystem, Redacted } from "effect"
import { SessionConfig } from "effect-session"
import { at, fromCode, fromDocument, fromEnvironment, otherSecret, secret, settingsFrom } from "../support/config.ts"

interface Example {
  readonly setting: string
  readonly variable: string
  /** As it is written in code and in JSON; in the environment it is a text. */
  readonly written: string | number | boolean | ReadonlyArray<string>
  readonly decoded: unknown
}

/** None of the values is the default. */
const examples: ReadonlyArray<Example> = [
  { setting: "enabled", variable: "SESSION_ENABLED", written: false, decoded: false },
  { setting: "secret", variable: "SESSION_SECRET", written: secret, decoded: [secret] },
  { setting: "age", variable: "SESSION_AGE", written: "30 minutes", decoded: Duration.minutes(30) },
  { setting: "absoluteAge", variable: "SESSION_ABSOLUTE_AGE", written: "never", decoded: Duration.infinity },
  { setting: "maximumAge", variable: "SESSION_MAXIMUM_AGE", written: "5 days", decoded: Duration.days(5) },
  {
    setting: "maximumAbsoluteAge",
    variable: "SESSION_MAXIMUM_ABSOLUTE_AGE",
    written: "30 days",
    decoded: Duration.days(30)
  },
  { setting: "touchEvery", variable: "SESSION_TOUCH_EVERY", written: "5s", decoded: Duration.seconds(5) },
  { setting: "rolling", variable: "SESSION_ROLLING", written: "always", decoded: "always" },
  { setting: "saveUninitialized", variable: "SESSION_SAVE_UNINITIALIZED", written: true, decoded: true },
  { setting: "supersededFor", variable: "SESSION_SUPERSEDED_FOR", written: "1 minute", decoded: Duration.minutes(1) },
  { setting: "timeLimit", variable: "SESSION_TIME_LIMIT", written: "250 ms", decoded: Duration.millis(250) },
  { setting: "sizeLimit", variable: "SESSION_SIZE_LIMIT", written: "1 MB", decoded: 1_000_000 },
  { setting: "retries", variable: "SESSION_RETRIES", written: 3, decoded: 3 },
  {
    setting: "transports",
    variable: "SESSION_TRANSPORTS",
    written: ["bearer", "cookie"],
    decoded: ["bearer", "cookie"]
  },
  { setting: "id.protection", variable: "SESSION_ID_PROTECTION", written: "encrypted", decoded: "encrypted" },
  { setting: "cookie.name", variable: "SESSION_COOKIE_NAME", written: "sid", decoded: "sid" },
  { setting: "cookie.path", variable: "SESSION_COOKIE_PATH", written: "/app", decoded: "/app" },
  { setting: "cookie.domain", variable: "SESSION_COOKIE_DOMAIN", written: "example.com", decoded: "example.com" },
  { setting: "cookie.httpOnly", variable: "SESSION_COOKIE_HTTP_ONLY", written: false, decoded: false },
  { setting: "cookie.secure", variable: "SESSION_COOKIE_SECURE", written: false, decoded: false },
  { setting: "cookie.sameSite", variable: "SESSION_COOKIE_SAME_SITE", written: "strict", decoded: "strict" },
  { setting: "cookie.partitioned", variable: "SESSION_COOKIE_PARTITIONED", written: true, decoded: true },
  { setting: "cookie.persistence", variable: "SESSION_COOKIE_PERSISTENCE", written: "browser", decoded: "browser" },
  { setting: "cookie.chunks", variable: "SESSION_COOKIE_CHUNKS", written: 4, decoded: 4 },
  { setting: "flash.except", variable: "SESSION_FLASH_EXCEPT", written: ["a", "b c"], decoded: ["a", "b c"] },
  { setting: "flash.sizeLimit", variable: "SESSION_FLASH_SIZE_LIMIT", written: 2_000, decoded: 2_000 },
  { setting: "owner.limit", variable: "SESSION_OWNER_LIMIT", written: 5, decoded: 5 },
  { setting: "owner.policy", variable: "SESSION_OWNER_POLICY", written: "evict", decoded: "evict" },
  {
    setting: "csrf.origins",
    variable: "SESSION_CSRF_ORIGINS",
    written: "https://shop.example, HTTP://localhost:80/",
    decoded: ["https://shop.example", "http://localhost"]
  },
  { setting: "csrf.sameSite", variable: "SESSION_CSRF_SAME_SITE", written: "allow", decoded: "allow" },
  { setting: "csrf.forwarded", variable: "SESSION_CSRF_FORWARDED", written: true, decoded: true },
  { setting: "csrf.header", variable: "SESSION_CSRF_HEADER", written: "x-xsrf-token", decoded: "x-xsrf-token" },
  { setting: "csrf.field", variable: "SESSION_CSRF_FIELD", written: "token", decoded: "token" },
  { setting: "header.name", variable: "SESSION_HEADER_NAME", written: "x-session", decoded: "x-session" },
  { setting: "store.type", variable: "SESSION_DRIVER", written: "memory", decoded: "memory" }
]

/** A document with this one setting. */
const documentOf = ({ setting, written }: Example): Record<string, unknown> => {
  const [first, second] = setting.split(".")
  return second === undefined ? { [first!]: written } : { [first!]: { [second]: written } }
}

const textOf = ({ written }: Example): string => Array.isArray(written) ? written.join(", ") : `${written}`

const variablesOf = (example: Example): Record<string, string> => ({ [example.variable]: textOf(example) })

/** The same names in capitals, as a provider with `constantCase` asks for them. */
const capitals = (document: unknown): unknown =>
  typeof document !== "object" || document === null || Array.isArray(document) ? document : Object.fromEntries(
    Object.entries(document).map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase(),
      capitals(value)
    ])
  )

const capitalsProvider = (document: unknown) =>
  ConfigProvider.constantCase(ConfigProvider.fromUnknown({ SESSION: capitals(document) }))

type Source = (example: Example) => Effect.Effect<SessionConfig.Settings, unknown>

const sources: ReadonlyArray<readonly [name: string, source: Source]> = [
  ["code", (example) => fromCode(documentOf(example))],
  ["a JSON document", (example) => SessionConfig.decode(JSON.parse(JSON.stringify(documentOf(example))))],
  ["environment variables", (example) => fromEnvironment(variablesOf(example))],
  ["a document under `session` of a provider", (example) => fromDocument(documentOf(example))],
  [
    "a .env file",
    (example) =>
      settingsFrom(ConfigProvider.fromDotEnvContents(`# settings\n${example.variable}="${textOf(example)}"\nOTHER=1\n`))
  ],
  ["a provider with constantCase", (example) => settingsFrom(capitalsProvider(documentOf(example)))],
  [
    "environment variables with constantCase",
    (example) => settingsFrom(ConfigProvider.constantCase(ConfigProvider.fromEnv({ env: variablesOf(example) })))
  ],
  [
    "a provider nested under a prefix",
    (example) =>
      settingsFrom(
        ConfigProvider.nested(
          ConfigProvider.fromEnv({ env: { [`SHOP_${example.variable}`]: textOf(example) } }),
          "SHOP"
        )
      )
  ],
  [
    "a document nested under a path",
    (example) =>
      settingsFrom(
        ConfigProvider.nested(ConfigProvider.fromUnknown({ shop: { web: { session: documentOf(example) } } }), [
          "shop",
          "web"
        ])
      )
  ]
]

/** The settings of the driver as they were written. */
const storeOf = ({ store }: SessionConfig.Settings) => ({ type: store.type, ...Redacted.value(store.options) })

describe("every setting can be written", () => {
  for (const [name, source] of sources) {
    describe(`in ${name}`, () => {
      for (const example of examples) {
        it.effect(example.setting, () =>
          Effect.gen(function*() {
            const settings = yield* source(example)
            expect(at(settings, example.setting)).toEqual(example.decoded)
          }))
      }
    })
  }

  it.effect("and the examples leave none out", () =>
    Effect.gen(function*() {
      const { store, ...settings } = yield* SessionConfig.decode({ cookie: { domain: "example.com" } })
      const paths = Object.entries({ ...settings, store: { type: store.type } }).flatMap(([name, value]) =>
        Object.getPrototypeOf(value) === Object.prototype ? Object.keys(value).map((inner) => `${name}.${inner}`) : name
      )
      expect(paths.toSorted()).toEqual(examples.map(({ setting }) => setting).toSorted())
    }))
})

describe("durations", () => {
  const written: ReadonlyArray<readonly [string, Duration.Duration]> = [
    ["1ms", Duration.millis(1)],
    ["1 milli", Duration.millis(1)],
    ["15 millis", Duration.millis(15)],
    ["90s", Duration.seconds(90)],
    ["1 second", Duration.seconds(1)],
    ["90 seconds", Duration.seconds(90)],
    ["30m", Duration.minutes(30)],
    ["1 minute", Duration.minutes(1)],
    ["2h", Duration.hours(2)],
    ["2 h", Duration.hours(2)],
    ["2 hours", Duration.hours(2)],
    ["1.5 hours", Duration.minutes(90)],
    ["1d", Duration.days(1)],
    ["7 days", Duration.days(7)],
    ["1w", Duration.weeks(1)],
    ["2 weeks", Duration.weeks(2)],
    [" 3 days ", Duration.days(3)],
    ["never", Duration.infinity]
  ]

  for (const [text, duration] of written) {
    it.effect(`${JSON.stringify(text)} is ${Duration.format(duration)}`, () =>
      Effect.gen(function*() {
        const settings = yield* SessionConfig.decode({
          age: text,
          absoluteAge: "never",
          touchEvery: Duration.micros(500n)
        })
        expect(settings.age).toEqual(duration)
      }))
  }

  it.effect("can be Durations in code", () =>
    Effect.gen(function*() {
      const settings = yield* fromCode({ age: Duration.minutes(7), timeLimit: Duration.infinity })
      expect(settings.age).toEqual(Duration.minutes(7))
      expect(settings.timeLimit).toEqual(Duration.infinity)
    }))
})

describe("defaults", () => {
  it.effect("V7.1.1 an idle and an absolute timeout hold where nobody wrote one", () =>
    Effect.gen(function*() {
      const { absoluteAge, age, touchEvery } = yield* SessionConfig.decode({})
      expect([age, absoluteAge, touchEvery]).toEqual([Duration.hours(2), Duration.days(7), Duration.minutes(1)])
    }))

  it.effect("V3.3.1, V3.3.2, V3.3.4 the cookie is Secure, HttpOnly and SameSite=Lax where nobody wrote anything", () =>
    Effect.gen(function*() {
      const { cookie, enabled, id, store } = yield* SessionConfig.decode({})
      expect(cookie).toEqual({
        name: "session",
        path: "/",
        httpOnly: true,
        secure: true,
        sameSite: "lax",
        partitioned: false,
        persistence: "persistent",
        chunks: 1
      })
      expect([enabled, id.protection, store.type]).toEqual([true, "signed", "cookie"])
    }))

  it.effect("a session can be given no longer life than others have, where nobody wrote a maximum", () =>
    Effect.gen(function*() {
      const { maximumAbsoluteAge, maximumAge } = yield* SessionConfig.decode({ age: "5 minutes", absoluteAge: "never" })
      expect([maximumAge, maximumAbsoluteAge]).toEqual([Duration.minutes(5), Duration.infinity])
    }))

  it.effect("a session in use is touched each minute, and more often where its age is short", () =>
    Effect.gen(function*() {
      const { touchEvery } = yield* SessionConfig.decode({ age: "5 minutes" })
      expect(touchEvery).toEqual(Duration.seconds(30))
      const never = yield* SessionConfig.decode({ age: "never", absoluteAge: "never" })
      expect(never.touchEvery).toEqual(Duration.minutes(1))
    }))

  it.effect("what is undefined counts as not written", () =>
    Effect.gen(function*() {
      const document = { age: undefined, touchEvery: undefined, cookie: { domain: undefined, name: undefined } }
      expect(yield* SessionConfig.decode({ ...document, store: undefined, secret: undefined }))
        .toEqual(yield* SessionConfig.decode({}))
    }))
})

describe("what the provider holds wins over the defaults in code", () => {
  const defaults: SessionConfig.Options = {
    secret: otherSecret,
    age: "10 minutes",
    cookie: { name: "code", path: "/code" },
    flash: { except: ["code"] }
  }

  it.effect("setting by setting, also within a group", () =>
    Effect.gen(function*() {
      const settings = yield* fromEnvironment({ SESSION_COOKIE_NAME: "env", SESSION_FLASH_EXCEPT: "env" }, defaults)
      expect(settings.cookie).toMatchObject({ name: "env", path: "/code" })
      expect(settings.age).toEqual(Duration.minutes(10))
      expect(settings.flash.except).toEqual(["env"])
    }))

  it.effect("SESSION_SECRET takes the place of all secrets in code", () =>
    Effect.gen(function*() {
      const settings = yield* fromEnvironment({ SESSION_SECRET: secret }, { secret: [otherSecret, otherSecret] })
      assert.deepStrictEqual(settings.secret.map(Redacted.value), [secret])
    }))

  it.effect("a variable wins over a document of the same provider", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.orElse(
        ConfigProvider.fromEnv({ env: { SESSION_SECRET: secret, SESSION_COOKIE_NAME: "env" } }),
        ConfigProvider.fromUnknown({ session: { secret: otherSecret, cookie: { name: "file", path: "/file" } } })
      )
      const settings = yield* settingsFrom(provider, defaults)
      assert.deepStrictEqual(settings.secret.map(Redacted.value), [secret])
      expect(settings.cookie).toMatchObject({ name: "env", path: "/file" })
    }))

  it.effect("an empty list in a document is no less a value than any other", () =>
    Effect.gen(function*() {
      const settings = yield* fromDocument({ flash: { except: [] } }, defaults)
      expect(settings.flash.except).toEqual([])
    }))

  it.effect("what code set for one driver is not handed to another", () =>
    Effect.gen(function*() {
      const same = yield* fromEnvironment({ SESSION_STORE_SWEEP_EVERY: "1s" }, {
        store: { type: "memory", capacity: 5 }
      })
      expect(storeOf(same)).toEqual({ type: "memory", capacity: 5, sweepEvery: "1s" })
      const other = yield* fromEnvironment({ SESSION_DRIVER: "cookie" }, { store: { type: "memory", capacity: 5 } })
      expect(storeOf(other)).toEqual({ type: "cookie" })
    }))
})

describe("the environment", () => {
  it.effect("several secrets for a rotation, the newest first, in variables with numbers", () =>
    Effect.gen(function*() {
      const third = `${secret} 3`
      const secrets = (env: Record<string, string>) =>
        Effect.map(fromEnvironment(env), ({ secret }) => secret.map(Redacted.value))
      assert.deepStrictEqual(yield* secrets({ SESSION_SECRET_1: otherSecret, SESSION_SECRET_0: secret }), [
        secret,
        otherSecret
      ])
      assert.deepStrictEqual(yield* secrets({ SESSION_SECRET: secret, SESSION_SECRET_1: otherSecret }), [
        secret,
        otherSecret
      ])
      assert.deepStrictEqual(
        yield* secrets({ SESSION_SECRET_10: third, SESSION_SECRET_9: otherSecret, SESSION_SECRET_0: secret }),
        [secret, otherSecret, third]
      )
    }))

  it.effect("several secrets in a document, and with constantCase each of them once", () =>
    Effect.gen(function*() {
      const secrets = [secret, otherSecret]
      const document = yield* fromDocument({ secret: secrets })
      assert.deepStrictEqual(document.secret.map(Redacted.value), secrets)
      const env = { SESSION_SECRET_0: secret, SESSION_SECRET_1: otherSecret }
      const constant = yield* settingsFrom(ConfigProvider.constantCase(ConfigProvider.fromEnv({ env })))
      assert.deepStrictEqual(constant.secret.map(Redacted.value), secrets)
    }))

  it.effect("the driver is SESSION_DRIVER, its settings are SESSION_STORE_…", () =>
    Effect.gen(function*() {
      const settings = yield* fromEnvironment({ SESSION_DRIVER: "memory", SESSION_STORE_SWEEP_EVERY: "5s" })
      expect(storeOf(settings)).toEqual({ type: "memory", sweepEvery: "5s" })
    }))

  it.effect("SESSION_MANAGER and SESSION, which desktops set, are not for this library", () =>
    Effect.gen(function*() {
      const desktop = { SESSION_MANAGER: "local/host:@/tmp/.ICE-unix/1,unix/host:/tmp/.ICE-unix/1", SESSION: "plasma" }
      expect(yield* fromEnvironment(desktop)).toEqual(yield* SessionConfig.decode({}))
    }))

  it.effect("an empty variable is one that is not there", () =>
    Effect.gen(function*() {
      expect(yield* fromEnvironment({ SESSION_SECRET: "", SESSION_AGE: "", SESSION_FLASH_EXCEPT: "" }))
        .toEqual(yield* SessionConfig.decode({}))
    }))
})

describe("documents", () => {
  it.effect("the settings of a driver keep their form, whatever it is", () =>
    Effect.gen(function*() {
      const store = { type: "memory", table: "sessions", aws: { region: "eu-central-1" }, nodes: [{ host: "a" }] }
      expect(storeOf(yield* SessionConfig.decode({ store }))).toEqual(store)
      expect(storeOf(yield* fromDocument({ store }))).toEqual(store)
    }))

  it.effect("a directory of files, as secrets are mounted in containers, is a provider as well", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const directory = yield* files.makeTempDirectoryScoped()
      yield* files.makeDirectory(`${directory}/session`)
      yield* files.writeFileString(`${directory}/session/secret`, `${secret}\n`)
      yield* files.writeFileString(`${directory}/session/age`, "5 minutes\n")
      const settings = yield* settingsFrom(yield* ConfigProvider.fromDir({ rootPath: directory }))
      assert.deepStrictEqual(settings.secret.map(Redacted.value), [secret])
      expect(settings.age).toEqual(Duration.minutes(5))
    }).pipe(Effect.provide(NodeServices.layer)))
})

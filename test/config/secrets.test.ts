/**
 * Making secrets, and who can't do without one.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Redacted } from "effect"
import { CookieLayer, MemoryLayer, SessionConfig, SessionDriver, type SessionError, SessionStore } from "effect-session"
import { Persistence } from "effect/persistence"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { fromCode, fromEnvironment, mistakesIn, secret } from "../support/config.ts"

describe("SessionConfig.generateSecret", () => {
  it.effect("V11.5.1 makes 32 bytes, and never the same twice", () =>
    Effect.gen(function*() {
      const made = yield* Effect.replicateEffect(SessionConfig.generateSecret, 1_000)
      const secrets = made.map(Redacted.value)
      for (const one of secrets) {
        assert.match(one, /^[A-Za-z0-9_-]{43}$/)
        assert.lengthOf(Buffer.from(one, "base64url"), 32)
      }
      assert.strictEqual(new Set(secrets).size, 1_000)
    }))

  it.effect("is accepted as a secret, in code and in the environment", () =>
    Effect.gen(function*() {
      const made = yield* SessionConfig.generateSecret
      const value = Redacted.value(made)
      const settings = [
        yield* fromCode({ secret: made }),
        yield* fromCode({ secret: [made] }),
        yield* fromEnvironment({ SESSION_SECRET: value })
      ]
      assert.deepStrictEqual(settings.map(({ secret }) => secret.map(Redacted.value)), [[value], [value], [value]])
    }))

  it.effect("shows its secret to nobody who prints it", () =>
    Effect.gen(function*() {
      const made = yield* SessionConfig.generateSecret
      assert.notInclude(`${made} ${JSON.stringify(made)}`, Redacted.value(made))
    }))
})

describe("the command effect-session", () => {
  const root = fileURLToPath(new URL("../..", import.meta.url))
  const run = (...programArguments: ReadonlyArray<string>) =>
    Effect.promise(() =>
      promisify(execFile)(process.execPath, ["--conditions=effect-session/source", "src/bin.ts", ...programArguments], {
        cwd: root
      }).then((output) => ({ code: 0, ...output }), (error: { code: number; stdout: string; stderr: string }) => error)
    )

  it.effect("prints a new secret, one line and nothing else", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* run("secret"), yield* run("secret")]
      assert.match(one.stdout, /^[A-Za-z0-9_-]{43}\n$/)
      assert.deepInclude(one, { code: 0, stderr: "" })
      assert.notStrictEqual(one.stdout, other.stdout)
      const settings = yield* fromEnvironment({ SESSION_SECRET: one.stdout.trim() })
      assert.lengthOf(settings.secret, 1)
    }))

  for (const wrong of [[], ["secrets"], ["secret", "2"], ["--help"]]) {
    it.effect(`explains itself and fails when called with ${JSON.stringify(wrong)}`, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* run(...wrong)
        assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
        assert.strictEqual(stderr, "Usage: effect-session secret\n\nPrints a new secret for SESSION_SECRET.\n")
      }))
  }
})

type StoreLayer<R> = Layer.Layer<SessionStore.SessionStore, SessionError.SessionConfigError, R>

const build = (store: StoreLayer<SessionConfig.SessionConfig>, options: SessionConfig.Options) =>
  Effect.scoped(Layer.build(Layer.provide(store, SessionConfig.layer(options))))

describe("a driver without a secret", () => {
  const write = "needs a secret. Write at least 32 unguessable characters; `npx effect-session secret` prints a new " +
    "secret. Of several secrets, new sessions use the first, and all are accepted"
  const mistake = (why: string) => [`secret (SESSION_SECRET): found nothing. ${why} ${write}`]

  const custom = Layer.effect(
    SessionStore.SessionStore,
    SessionStore.fromDriver({
      read: () => Effect.succeed(null),
      write: () => Effect.void,
      destroy: () => Effect.void,
      touch: () => Effect.void
    })
  )
  const shared = CookieLayer.layerShared.pipe(Layer.provide(Persistence.layerBackingMemory))

  const onServer = { "the memory store": MemoryLayer.layer(), "a driver of four functions": custom }
  const inCookie = {
    "the cookie store": CookieLayer.layer(),
    "the shared cookie store": shared,
    "the driver of the configuration": Layer.provide(SessionDriver.layerConfig, NodeServices.layer)
  }

  for (const [name, store] of Object.entries(onServer)) {
    for (const protection of ["signed", "encrypted"] as const) {
      it.effect(`does not start: ${name} with ${protection} ids`, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(
            yield* mistakesIn(build(store, { id: { protection } })),
            mistake(`id.protection "${protection}"`)
          )
          assert.isTrue(Exit.isSuccess(yield* Effect.exit(build(store, { secret, id: { protection } }))))
        }))
    }

    it.effect(`starts: ${name} with ids that are not protected`, () => build(store, { id: { protection: "none" } }))
  }

  for (const [name, store] of Object.entries(inCookie)) {
    for (const protection of ["signed", "encrypted", "none"] as const) {
      it.effect(`does not start: ${name}, whatever id.protection is (${protection})`, () =>
        Effect.gen(function*() {
          const found = yield* mistakesIn(build(store, { id: { protection } }))
          assert.deepStrictEqual(found, mistake("The cookie store"))
          assert.isTrue(Exit.isSuccess(yield* Effect.exit(build(store, { secret, id: { protection } }))))
        }))
    }
  }

  for (const [name, store] of Object.entries({ ...onServer, ...inCookie })) {
    it.effect(`starts where sessions are switched off: ${name}`, () => build(store, { enabled: false }))
  }
})

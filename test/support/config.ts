/**
 * Settings from each place where they can be written, and what is wrong with them.
 */
import { ConfigProvider, Effect, Redacted } from "effect"
import { SessionConfig, SessionError } from "effect-session"

/** For tests only. */
export const secret = "thirty-two characters at the least, for tests only"
export const otherSecret = "another thirty-two characters, for a rotation of the first"

type Settings = SessionConfig.Settings

/** The settings that an application gets with a provider in place. */
export const settingsFrom = (provider: ConfigProvider.ConfigProvider, defaults?: SessionConfig.Options) =>
  Effect.provide(SessionConfig.SessionConfig, SessionConfig.layerConfig(defaults)).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, provider)
  )

export const fromEnvironment = (env: Record<string, string>, defaults?: SessionConfig.Options) =>
  settingsFrom(ConfigProvider.fromEnv({ env }), defaults)

export const fromDocument = (document: unknown, defaults?: SessionConfig.Options) =>
  settingsFrom(ConfigProvider.fromUnknown({ session: document }), defaults)

export const fromCode = (options: SessionConfig.Options) =>
  Effect.provide(SessionConfig.SessionConfig, SessionConfig.layer(options))

/** A value at a path of the settings, such as `cookie.name`; of `secret`, what is in it. */
export const at = (settings: Settings, path: string): unknown =>
  path === "secret"
    ? settings.secret.map(Redacted.value)
    : path.split(".").reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], settings)

/** The error of a configuration with mistakes; one without is a failure of the test. */
export const errorIn = <R>(
  settings: Effect.Effect<unknown, unknown, R>
): Effect.Effect<SessionError.SessionConfigError, never, R> =>
  Effect.matchEffect(settings, {
    onSuccess: () => Effect.die(new Error("There is no mistake in it")),
    onFailure: (error) => error instanceof SessionError.SessionConfigError ? Effect.succeed(error) : Effect.die(error)
  })

/** Each mistake as the line of the message that tells it. */
export const mistakesIn = <R>(
  settings: Effect.Effect<unknown, unknown, R>
): Effect.Effect<ReadonlyArray<string>, never, R> =>
  Effect.map(errorIn(settings), ({ message }) => message.split("\n").slice(1).map((line) => line.trimStart()))

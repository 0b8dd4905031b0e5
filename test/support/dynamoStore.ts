/**
 * A store on a DynamoDB of the tests'.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import type { SessionError } from "effect-session"
import { DynamoLayer, SessionConfig, SessionStore } from "effect-session"
import { secret } from "./config.ts"
import type { DynamoServer } from "./dynamoServer.ts"

export const buildStore = (
  server: DynamoServer,
  options: Partial<DynamoLayer.Options> = {},
  config: SessionConfig.Options = {}
): Effect.Effect<SessionStore.SessionStore, SessionError.SessionConfigError, Scope.Scope> =>
  Layer.build(
    Layer.provide(
      DynamoLayer.layer({ ...server.options, ...options }),
      SessionConfig.layer({
        secret,
        age: "never",
        absoluteAge: "never",
        touchEvery: "1 minute",
        // What an item can hold is the limit here.
        sizeLimit: "unlimited",
        ...config
      })
    )
  ).pipe(Effect.map((context) => Context.get(context, SessionStore.SessionStore)))

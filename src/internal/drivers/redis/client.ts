/**
 * A client that answers with promises, ioredis or node-redis, as the Redis driver uses it: every command ends within the
 * time limit.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { RedisError } from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import * as TimeLimit from "../../concurrency/timeLimit.ts"
import { withoutValues } from "../../store/withoutValues.ts"
import { type Client, isUnknownScript } from "./backend.ts"
import * as Replica from "./replica.ts"
import type { Script } from "./scripts.ts"
import * as TryOut from "./tryOut.ts"

/** What the driver uses of a client of ioredis. */
export interface IoRedis {
  readonly call: (command: string, ...parameters: ReadonlyArray<string>) => Promise<unknown>
}

/** What the driver uses of a client of node-redis. */
export interface NodeRedis {
  readonly sendCommand: (commandAndParameters: ReadonlyArray<string>) => Promise<unknown>
}

export const make = (
  client: IoRedis | NodeRedis,
  timeLimit: Duration.Duration,
  onReadOnly: () => void = () => {}
): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.map(TimeLimit.makeForPromises(timeLimit), (limited): Client => {
    const send = ("call" in client
      ? (command, ...parameters) => client.call(command, ...parameters)
      : (...commandAndParameters) => client.sendCommand(commandAndParameters)) as Send
    const failed = (cause: unknown) => new RedisError({ cause: withoutValues(cause) })
    const refused = (cause: unknown) => {
      if (Replica.isReadOnly(cause)) onReadOnly()
      return failed(cause)
    }
    const timedOut = () => failed(TimeLimit.noAnswer(timeLimit))
    return {
      keepsTimeLimit: true,
      send: <A>(...commandAndParameters: readonly [string, ...ReadonlyArray<string>]) =>
        limited<A, RedisError>(() => send(...commandAndParameters), failed, timedOut),
      evaluate: <A>(script: Script, ...keyAndParameters: readonly [string, ...ReadonlyArray<string>]) =>
        limited<A, RedisError>(
          () => send("EVALSHA", script.sha, "1", ...keyAndParameters),
          Replica.breaksOff(script) ? refused : failed,
          timedOut,
          (cause) => isUnknownScript(cause) ? () => send("EVAL", script.text, "1", ...keyAndParameters) : undefined
        )
    }
  })

type Send = <A>(command: string, ...parameters: ReadonlyArray<string>) => Promise<A>

/** Whether the client has refused a command as it has no connection yet, and may have one in a moment. */
export const isConnecting = (error: unknown): boolean => TryOut.reasonOf(error).includes("enableOfflineQueue")

/** What a client of ioredis said last, as long as the scope: a command that it refuses does not say why. */
export const lastErrorOf = (client: object): Effect.Effect<() => unknown, never, Scope.Scope> => {
  const emitter = client as Partial<Record<"on" | "off", (event: "error", listener: (error: unknown) => void) => void>>
  let last: unknown
  const listener = (error: unknown) => {
    last = withoutValues(error)
  }
  return Effect.acquireRelease(
    Effect.sync(() => {
      if ("call" in client) emitter.on?.("error", listener)
      return () => last
    }),
    () => Effect.sync(() => emitter.off?.("error", listener))
  )
}

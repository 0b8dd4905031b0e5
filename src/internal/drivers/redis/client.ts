/**
 * A promise-based client, ioredis or node-redis, for the Redis driver: every command ends within the time limit.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { RedisError } from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import * as TimeLimit from "../../concurrency/timeLimit.ts"
import { withoutValues } from "../../store/withoutValues.ts"
import {
  type Call,
  type Client,
  type Command,
  type Hash,
  isOfAnotherType,
  isUnknownScript,
  withText
} from "./backend.ts"
import * as Replica from "./replica.ts"
import type { Script } from "./scripts.ts"
import * as TryOut from "./tryOut.ts"

/** The part of an ioredis client that the driver uses. */
export interface IoRedis {
  readonly call: (command: string, ...parameters: ReadonlyArray<string>) => Promise<unknown>
}

/** The part of a node-redis client that the driver uses. */
export interface NodeRedis {
  readonly sendCommand: (
    commandAndParameters: ReadonlyArray<string>,
    options?: { readonly typeMapping: { readonly [type: number]: ArrayConstructor } }
  ) => Promise<unknown>
}

export const make = (
  client: IoRedis | NodeRedis,
  timeLimit: Duration.Duration,
  onReadOnly: () => void = () => {}
): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.map(TimeLimit.makeForPromises(timeLimit), (limited): Client => {
    const ask: <Answer>(command: Command) => Promise<Answer> = "call" in client
      ? (command) => client.call(...command) as Promise<never>
      : (command) => client.sendCommand(command, withArrays) as Promise<never>
    const failed = (cause: unknown) => Exit.fail(new RedisError({ cause: withoutValues(cause) }))
    const refused = (cause: unknown) => {
      if (Replica.isReadOnly(cause)) onReadOnly()
      return failed(cause)
    }
    const timedOut = () => new RedisError({ cause: TimeLimit.noAnswer(timeLimit) })
    const send = limited<Command, unknown, unknown, RedisError>({ ask, read: (answer) => answer, failed, timedOut })
    return {
      keepsTimeLimit: true,
      send: <A>(...command: Command) => send(command) as Effect.Effect<A, RedisError>,
      load: <A>(read: (hash: Hash) => A) =>
        limited<string, Hash, A | undefined, RedisError>({
          ask: (key) => ask(["HGETALL", key]),
          read,
          failed: (cause) => isOfAnotherType(cause) ? Exit.succeed(undefined) : failed(cause),
          timedOut
        }),
      script: <Answer, A>(script: Script, read: (answer: Answer) => A) =>
        limited<Call, Answer, A, RedisError>({
          ask: (call, clock) => ask(call(clock.currentTimeMillisUnsafe())),
          read,
          failed: Replica.breaksOff(script) ? refused : failed,
          timedOut,
          again: (cause, call, clock) =>
            isUnknownScript(cause) ? ask(withText(script, call(clock.currentTimeMillisUnsafe()))) : undefined
        })
    }
  })

/** Returns hashes as arrays of names and values, which cost less than objects: `%` is the type of a map in RESP3. */
const withArrays = { typeMapping: { ["%".charCodeAt(0)]: Array } }

/** Whether the client rejected a command only because it is still connecting. */
export const isConnecting = (error: unknown): boolean => TryOut.reasonOf(error).includes("enableOfflineQueue")

/** The last error of an ioredis client, until the scope closes: a rejected command does not contain the reason. */
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

/**
 * What must not come back after a failover waits for replicas. `WAIT` goes by the writes of its own connection, and holds up
 * all that comes after it there: so it follows its script on a connection that nothing else uses.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Redis, RedisError } from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import * as TimeLimit from "../../concurrency/timeLimit.ts"
import { withoutValues } from "../../store/withoutValues.ts"
import { type Confirm, type Confirmed, isUnknownScript } from "./backend.ts"
import type { IoRedis, NodeRedis } from "./client.ts"
import * as Replica from "./replica.ts"

export interface Wait {
  /** How many replicas must confirm. */
  readonly waitForReplicas: number
  readonly waitAtMost: Duration.Duration
}

const toParameters = ({ waitAtMost, waitForReplicas }: Wait) => {
  // 0 is for ever.
  const milliseconds = Duration.isFinite(waitAtMost) ? Math.max(1, Math.round(Duration.toMillis(waitAtMost))) : 0
  return [`${waitForReplicas}`, `${milliseconds}`] as const
}

const toAnswer = <A>(answer: A, confirmed: unknown): Confirmed<A> => ({ answer, replicas: Number(confirmed) })

/** On a client of its own. */
export const make = (
  client: IoRedis | NodeRedis,
  timeLimit: Duration.Duration,
  wait: Wait,
  onReadOnly: () => void
): Effect.Effect<Confirm, never, Scope.Scope> =>
  Effect.map(TimeLimit.makeForPromises(timeLimit), (limited): Confirm => {
    const waiting = ["WAIT", ...toParameters(wait)] as const
    const both = (
      "call" in client
        ? async (...command: ReadonlyArray<string>) => {
          // Also on a Cluster, a pipeline goes through one connection: to the node that has the key.
          const answers = await (client as IoRedis & WithPipeline).pipeline([["call", ...command], [
            "call",
            ...waiting
          ]])
            .exec()
          for (const [error] of answers!) if (error !== null) throw error
          return toAnswer(answers![0]![1], answers![1]![1])
        }
        : async (...command: ReadonlyArray<string>) => {
          const [answer, confirmed] = await Promise.all([client.sendCommand(command), client.sendCommand(waiting)])
          return toAnswer(answer, confirmed)
        }
    ) as <A>(...command: ReadonlyArray<string>) => Promise<Confirmed<A>>
    const failed = (cause: unknown) => {
      if (Replica.isReadOnly(cause)) onReadOnly()
      return new RedisError({ cause: withoutValues(cause) })
    }
    const timedOut = () => failed(TimeLimit.noAnswer(timeLimit))
    return <A>({ sha, text }: Parameters<Confirm>[0], ...keyAndParameters: ReadonlyArray<string>) =>
      limited<Confirmed<A>, RedisError>(
        () => both("EVALSHA", sha, "1", ...keyAndParameters),
        failed,
        timedOut,
        (cause) => {
          if (isUnknownScript(cause)) return () => both("EVAL", text, "1", ...keyAndParameters)
          // A pipeline does not follow the key to where it has moved, but a single command does, and the client learns it.
          if (!("call" in client) || !/MOVED|ASK/.test(String(cause))) return undefined
          return async () => {
            await client.call("HGETALL", keyAndParameters[0]!)
            return both("EVAL", text, "1", ...keyAndParameters)
          }
        }
      )
  })

interface WithPipeline {
  readonly pipeline: (commands: ReadonlyArray<ReadonlyArray<string>>) => {
    readonly exec: () => Promise<ReadonlyArray<readonly [error: Error | null, answer: unknown]> | null>
  }
}

/** On a connection that the service reserves. */
export const fromService = (
  redis: Pick<Redis["Service"], "reserve">,
  wait: Wait,
  onReadOnly: () => void
): Confirm =>
<A>({ sha, text }: Parameters<Confirm>[0], ...keyAndParameters: ReadonlyArray<string>) =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* redis.reserve
    const answer = yield* Effect.catchIf(
      connection.send<A>("EVALSHA", sha, "1", ...keyAndParameters),
      (error) => {
        if (Replica.isReadOnly(error.cause)) onReadOnly()
        return isUnknownScript(error.cause)
      },
      () => connection.send<A>("EVAL", text, "1", ...keyAndParameters)
    )
    return toAnswer(answer, yield* connection.send("WAIT", ...toParameters(wait)))
  }))

/** A second client like the caller's, connected, for as long as the scope. */
export const duplicate = (client: IoRedis | NodeRedis): Effect.Effect<IoRedis | NodeRedis, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const original = client as unknown as Inner
    if (typeof original.duplicate !== "function") return yield* Effect.fail(new Error("it can't be duplicated"))
    const copy = yield* Effect.acquireRelease(
      // The caller's own tells what there is to tell.
      Effect.sync(() => original.duplicate().on("error", () => {})),
      (copy) => Effect.sync(() => "call" in copy ? copy.disconnect() : copy.isOpen && copy.destroy())
    )
    if (!("call" in copy) || copy.status === "wait") {
      yield* Effect.tryPromise({ try: () => copy.connect(), catch: (error) => error })
    } else if (copy.status !== "ready") {
      yield* Effect.callback<void>((resume) => void copy.on("ready", () => resume(Effect.void)))
    }
    return copy as unknown as IoRedis | NodeRedis
  })

interface Inner {
  readonly duplicate: () => Inner
  readonly on: (event: "error" | "ready", listener: () => void) => Inner
  readonly connect: () => Promise<unknown>
  readonly status?: string
  readonly isOpen: boolean
  readonly destroy: () => void
  readonly disconnect: () => void
}

/**
 * Waits for replicas, so that an ended session does not come back after a failover. `WAIT` covers the writes of its own
 * connection and blocks all later commands there, so it follows its script on a dedicated connection.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type Redis, RedisError } from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import * as TimeLimit from "../../concurrency/timeLimit.ts"
import { withoutValues } from "../../store/withoutValues.ts"
import { type Call, type Command, type Confirm, type Confirmed, isUnknownScript, withText } from "./backend.ts"
import type { IoRedis, NodeRedis } from "./client.ts"
import * as Replica from "./replica.ts"
import type { Script } from "./scripts.ts"

export interface Wait {
  /** How many replicas must confirm. */
  readonly waitForReplicas: number
  readonly waitAtMost: Duration.Duration
}

const toParameters = ({ waitAtMost, waitForReplicas }: Wait) => {
  // 0 means forever.
  const milliseconds = Duration.isFinite(waitAtMost) ? Math.max(1, Math.round(Duration.toMillis(waitAtMost))) : 0
  return [`${waitForReplicas}`, `${milliseconds}`] as const
}

const toAnswer = <Answer>(answer: Answer, confirmed: unknown): Confirmed<Answer> => ({
  answer,
  replicas: Number(confirmed)
})

/** On a separate client. */
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
        ? async (command: Command) => {
          // Even on a Cluster, a pipeline uses one connection, to the node that has the key.
          const answers = await (client as IoRedis & WithPipeline).pipeline([["call", ...command], [
            "call",
            ...waiting
          ]])
            .exec()
          for (const [error] of answers!) if (error !== null) throw error
          return toAnswer(answers![0]![1], answers![1]![1])
        }
        : async (command: Command) => {
          const [answer, confirmed] = await Promise.all([client.sendCommand(command), client.sendCommand(waiting)])
          return toAnswer(answer, confirmed)
        }
    ) as <Answer>(command: Command) => Promise<Confirmed<Answer>>
    const failed = (cause: unknown) => {
      if (Replica.isReadOnly(cause)) onReadOnly()
      return Exit.fail(new RedisError({ cause: withoutValues(cause) }))
    }
    return <Answer>(script: Script) =>
      limited<Call, Confirmed<Answer>, Confirmed<Answer>, RedisError>({
        ask: (call, clock) => both(call(clock.currentTimeMillisUnsafe())),
        read: (confirmed) => confirmed,
        failed,
        timedOut: () => new RedisError({ cause: TimeLimit.noAnswer(timeLimit) }),
        again: (cause, call, clock) => {
          const command = withText(script, call(clock.currentTimeMillisUnsafe()))
          if (isUnknownScript(cause)) return both(command)
          // A pipeline does not follow a moved key, but a single command does, and the client learns the new node.
          if (!("call" in client) || !/MOVED|ASK/.test(String(cause))) return undefined
          return client.call("EXISTS", command[3]!).then(() => both(command))
        }
      })
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
<Answer>(script: Script) =>
(call) =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* redis.reserve
    const command = call(yield* Clock.currentTimeMillis)
    const answer = yield* Effect.catchIf(
      connection.send<Answer>(...command),
      (error) => {
        if (Replica.isReadOnly(error.cause)) onReadOnly()
        return isUnknownScript(error.cause)
      },
      () => connection.send<Answer>(...withText(script, command))
    )
    return toAnswer(answer, yield* connection.send("WAIT", ...toParameters(wait)))
  }))

/** A connected copy of the caller's client, until the scope closes. */
export const duplicate = (client: IoRedis | NodeRedis): Effect.Effect<IoRedis | NodeRedis, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const original = client as unknown as Inner
    if (typeof original.duplicate !== "function") return yield* Effect.fail(new Error("the client can't be duplicated"))
    const copy = yield* Effect.acquireRelease(
      // The caller's client already reports errors.
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

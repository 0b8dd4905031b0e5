/**
 * At startup, tests everything that requests will need from Redis, so that a server whose logins would fail does not
 * start, and explains the problem in a sentence.
 */
import * as Effect from "effect/Effect"
import * as Scripts from "./scripts.ts"

/** The commands that the driver's Redis user needs, without those of the client itself. */
export const needed: ReadonlyArray<string> = ["hgetall", "evalsha", "eval", "zrevrangebyscore", ...Scripts.commands]

type Send = (command: string, ...parameters: ReadonlyArray<string>) => Effect.Effect<unknown, unknown>

/** Some commands are rejected. The message is that of Redis for the first one. */
export class Refused extends Error {
  readonly commands: ReadonlyArray<string>
  constructor(commands: ReadonlyArray<string>, message: string) {
    super(message)
    this.commands = commands
  }
}

/**
 * Fails with the reason why the driver would not work; otherwise returns whether a script may have two keys. `key` is
 * the prefix of keys that are never used, and what the test stores there is removed at once.
 */
export const tryOut = (send: Send, key: string, waits: boolean): Effect.Effect<boolean, unknown> =>
  Effect.gen(function*() {
    const refused: Array<readonly [command: string, message: string]> = []
    const attempt = (command: string, ...parameters: ReadonlyArray<string>) =>
      Effect.catchIf(send(command, ...parameters), (error) => isRefusal(reasonOf(error)), (error) => {
        refused.push([command.toLowerCase(), reasonOf(error)])
        return Effect.succeed([])
      })
    const { sha, text } = Scripts.tryOut
    // They differ only in the last character, so a Cluster has them in different slots.
    const [one, two] = [`${key}1`, `${key}2`] as const
    yield* attempt("HGETALL", one)
    const ofTwo = hasHashTag(key)
      ? undefined
      : yield* Effect.catchIf(attempt("EVAL", text, "2", one, two), isOfTwoSlots, () => Effect.undefined)
    const answers = [
      ofTwo ?? (yield* attempt("EVAL", text, "1", one)),
      // After it, because it needs the script that EVAL has loaded.
      yield* attempt("EVALSHA", sha, "1", one)
    ]
    // Waits for no replica, and answers at once.
    if (waits) yield* attempt("WAIT", "0", "1")
    const [failures = []] = (answers as ReadonlyArray<ReadonlyArray<string>>).filter(({ length }) => length > 0)
    for (let index = 0; index < failures.length; index += 2) {
      const message = failures[index + 1]!
      // A server with full memory still allows reads and logouts.
      if (/OOM|WRONGTYPE/.test(message)) continue
      if (!isRefusal(message)) return yield* Effect.fail(new Error(message))
      refused.push([failures[index]!.toLowerCase(), message])
    }
    const [first] = refused
    if (first !== undefined) {
      return yield* Effect.fail(new Refused([...new Set(refused.map(([command]) => command))], first[1]))
    }
    return ofTwo !== undefined
  })

/**
 * All keys are in one slot of a Cluster. A script with two keys then works, except while the slot moves to another
 * server: Redis rejects it if one key has moved and the other has not.
 */
const hasHashTag = (key: string): boolean => /\{[^}]+\}/.test(key)

// By a Cluster, or by ioredis with automatic pipelining.
const isOfTwoSlots = (error: unknown): boolean => /CROSSSLOT|same slot/.test(reasonOf(error))

const refusals = /NOPERM|ACL failure|can't run this command|unknown command/i

const isRefusal = (message: string): boolean => refusals.test(message) && !aboutKeys.test(message)

const aboutKeys = /access.* keys?\b/i

/** What is wrong according to Redis: which setting, and how to fix it. */
export const explain = (
  error: unknown,
  { isTheCallers = false, prefix, waits }: {
    readonly prefix: string
    readonly waits: boolean
    readonly isTheCallers?: boolean
  }
): { readonly about: About; readonly write: string } => {
  const reason = reasonOf(error)
  if (error instanceof Refused) {
    const commands = [...needed, ...waits ? ["wait"] : []].map((command) => `+${command}`).join(" ")
    return {
      about: "user",
      write: `Redis does not let this user run ${error.commands.join(", ")} (${reason}). The user needs ${commands}`
    }
  }
  const [, about, write] = hints(reason, prefix, isTheCallers).find(([pattern]) => pattern.test(reason)) ??
    [undefined, "address", `Redis does not answer ${isTheCallers ? "through the client" : "there"}: ${reason}`] as const
  return { about, write }
}

type About = "address" | "user" | "noPassword" | "password" | "sentinelPassword" | "sentinelName" | "db" | "cluster"

const hints = (
  reason: string,
  prefix: string,
  isTheCallers: boolean
): ReadonlyArray<readonly [pattern: RegExp, about: About, write: string]> => [
  [/sentinels.*(NOAUTH|WRONGPASS)/, "sentinelPassword", "The Sentinels reject the password"],
  [/NOAUTH/, "noPassword", "Redis requires a password"],
  [
    /WRONGPASS|invalid username-password|without any password/,
    "password",
    "Redis does not accept this user name and password"
  ],
  [aboutKeys, "user", `Redis does not let this user access the keys of the prefix: it needs ~${prefix}* (${reason})`],
  [/DB index/, "db", "Redis has no database with this number (there are 16 by default)"],
  [/No such master/, "sentinelName", "The Sentinels do not monitor a master with this name"],
  [
    /MOVED/,
    "cluster",
    `The server is a node of a Cluster: ${
      isTheCallers ? "take a Cluster of ioredis" : "write its address here, and nowhere else"
    }`
  ],
  [
    /cluster support disabled/,
    "cluster",
    "The server is not part of a Cluster: write store.url or store.host instead"
  ],
  [
    /READONLY/,
    "address",
    `The server is a replica, which takes no changes: ${
      isTheCallers ? "connect to" : "write the address of"
    } its master`
  ],
  [/^[A-Z]+ /, "address", `Redis reports an error: ${reason}`]
]

/** Whether the message is from Redis itself. */
export const isReply = (error: unknown): boolean => error instanceof Refused || /^[A-Z]+ /.test(reasonOf(error))

export const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  // For a Cluster, the error of its last node; for the `Redis` service, the error of the client.
  const { cause, lastNodeError } = error as { readonly cause?: unknown; readonly lastNodeError?: unknown }
  if (lastNodeError !== undefined) return reasonOf(lastNodeError)
  return error.message === "" || "_tag" in error && cause !== undefined ? reasonOf(cause) : error.message
}

// bunRedis.ts
import { RedisClient } from "bun"
import { Effect, Layer } from "effect"
import { Redis } from "effect/persistence"

const attempt = <A>(run: () => Promise<A>) =>
  Effect.tryPromise({ try: run, catch: (cause) => new Redis.RedisError({ cause }) })

const connectTo = (url: string) =>
  attempt(async () => {
    // What is asked for while there is no connection fails at once, and is not done later.
    const client = new RedisClient(url, { enableOfflineQueue: false })
    await client.connect()
    const send = <A>(command: string, ...parameters: ReadonlyArray<string>) =>
      attempt(() => client.send(command, [...parameters]) as Promise<A>)
    return { client, send, close: Effect.sync(() => client.close()) }
  })

/** The `Redis` service of Effect on Bun's own client. */
export const layer = (url: string) =>
  Layer.effect(
    Redis.Redis,
    Effect.gen(function*() {
      const connect = Effect.acquireRelease(connectTo(url), ({ close }) => close)
      const { send } = yield* connect
      return yield* Redis.make({
        send,
        connect: connectTo(url),
        subscribe: (channel, onMessage) =>
          Effect.gen(function*() {
            const { client } = yield* connect
            yield* attempt(() => client.subscribe(channel, (message) => onMessage({ channel, message })))
            return Effect.never
          })
      })
    })
  )

// revocations.ts
import { Clock, Duration, Effect, Layer } from "effect"
import { Persistence } from "effect/persistence"

/** What is asked of the place: a Durable Object, as below, or a namespace of Workers KV. */
export interface Place {
  readonly get: (key: string) => Promise<string | null>
  readonly put: (key: string, text: string, options: { readonly expiration?: number }) => Promise<void>
  readonly delete: (key: string) => Promise<void>
}

const attempt = <A>(run: () => Promise<A>) =>
  Effect.tryPromise({
    try: run,
    catch: (cause) => new Persistence.PersistenceError({ message: "The place of the revocations has failed", cause })
  })

/** Remembers ended sessions there, for `CookieLayer.layerShared`. */
// It asks for the place each time: the stub of a Durable Object belongs to the request that has made it.
export const layer = (placeOf: (key: string) => Place) =>
  Layer.succeed(Persistence.BackingPersistence, {
    make: (name) => {
      const keyOf = (key: string) => `${name}:${key}`
      const get = (key: string) =>
        Effect.gen(function*() {
          const text = yield* attempt(() => placeOf(key).get(keyOf(key)))
          if (text === null) return undefined
          const [value, until]: [object, number | null] = JSON.parse(text)
          return until === null || until > (yield* Clock.currentTimeMillis) ? value : undefined
        })
      const set = (key: string, value: object, ttl: Duration.Duration | undefined) =>
        Effect.gen(function*() {
          const until = ttl === undefined ? null : (yield* Clock.currentTimeMillis) + Duration.toMillis(ttl)
          // Workers KV takes no moment that comes within a minute.
          const options = until === null ? {} : { expiration: Math.ceil(until / 1000) + 60 }
          yield* attempt(() => placeOf(key).put(keyOf(key), JSON.stringify([value, until]), options))
        })
      return Effect.succeed({
        get,
        getMany: (keys) => Effect.forEach(keys, get, { concurrency: "unbounded" }),
        set,
        setMany: (entries) => Effect.forEach(entries, ([key, value, ttl]) => set(key, value, ttl), { discard: true }),
        remove: (key) => attempt(() => placeOf(key).delete(keyOf(key))),
        clear: Effect.die("Revocations are never all forgotten")
      })
    }
  })

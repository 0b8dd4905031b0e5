/**
 * A typed client that keeps its session because its HttpClient keeps the cookie.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Ref, Stream } from "effect"
import { type Cookies, FetchHttpClient, HttpClient } from "effect/http"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { Shop } from "./api.ts"

const Protocol = Layer.unwrap(
  Effect.gen(function*() {
    const url = yield* Config.String("URL").pipe(Config.withDefault("http://127.0.0.1:3000/rpc"))
    const cookies = yield* Ref.make<ReadonlyArray<Cookies.Cookie>>([])
    return RpcClient.layerProtocolHttp({ url, transformClient: HttpClient.withCookiesRef(cookies) })
  })
).pipe(Layer.provide([FetchHttpClient.layer, RpcSerialization.layerNdjson]))

const program = Effect.gen(function*() {
  const shop = yield* RpcClient.make(Shop)
  const order = Stream.runForEach(shop.order(), (line) => Console.log(line))

  yield* shop.add({ product: "tea" })
  const count = yield* shop.add({ product: "honey" })
  yield* Console.log(`${count} products in the cart`)

  yield* order.pipe(
    Effect.catchTag("SessionUnauthenticatedError", () =>
      Effect.gen(function*() {
        yield* Console.log("Please log in first")
        // The session gets another id, and keeps its cart.
        yield* shop.login({ name: "Ada" })
        yield* order
      }))
  )
  const next = yield* shop.add({ product: "milk" })
  yield* Console.log(`${next} product in the cart`)
})

program.pipe(Effect.scoped, Effect.provide(Protocol), NodeRuntime.runMain)

import { Layer } from "effect"
import { RedisLayer } from "effect-session"
import * as BunRedis from "../../examples/runtimes/bunRedis.ts"
import { shared } from "./drivers.ts"
import { run } from "./program.ts"

await run({
  bunRedis: (url) =>
    shared("RedisLayer on Bun's client", Layer.provide(RedisLayer.layerRedis(), Layer.orDie(BunRedis.layer(url))))
})

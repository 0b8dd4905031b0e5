import { CookieLayer, MemoryLayer, RedisLayer } from "effect-session"
import { shared, startRedis } from "./redisServer.ts"
import type { StoreLayer } from "./server.ts"

/** The drivers that need nothing but the process: with one the session is on the server, with the other at the client. */
export const drivers = [
  { driver: "MemoryLayer", make: MemoryLayer.make(), makeStore: (): StoreLayer => MemoryLayer.layer() },
  { driver: "CookieLayer", make: CookieLayer.make(), makeStore: (): StoreLayer => CookieLayer.layer() }
]

/** These two, and a real Redis that runs for as long as the tests of the file that asks. */
export const storesWithRedis = (): Readonly<Record<"MemoryLayer" | "RedisLayer" | "CookieLayer", () => StoreLayer>> => {
  const redis = shared(startRedis())
  return {
    MemoryLayer: () => MemoryLayer.layer(),
    RedisLayer: () => RedisLayer.layer({ url: redis().url }),
    CookieLayer: () => CookieLayer.layer()
  }
}

import { CookieLayer, MemoryLayer } from "effect-session"
import type { StoreLayer } from "./server.ts"

/** The drivers that need nothing but the process: with one the session is on the server, with the other at the client. */
export const drivers = [
  { driver: "MemoryLayer", make: MemoryLayer.make(), makeStore: (): StoreLayer => MemoryLayer.layer() },
  { driver: "CookieLayer", make: CookieLayer.make(), makeStore: (): StoreLayer => CookieLayer.layer() }
]

// server.ts
import { Layer, ManagedRuntime } from "effect"
import { MemoryLayer, SessionConfig } from "effect-session"
import { HttpRouter, HttpServer } from "effect/http"
import { Routes } from "./cart.ts"

const services = ManagedRuntime.make(
  Layer.mergeAll(MemoryLayer.layer(), HttpServer.layerServices).pipe(
    Layer.provideMerge(SessionConfig.layerConfig())
  )
)

// A wrong setting, or a store that can't be reached, stops the server here, before the port opens.
const context = await services.context()

const { handler } = HttpRouter.toWebHandler(Layer.provide(Routes, Layer.succeedContext(context)))

process.once("SIGTERM", () => services.dispose().finally(() => process.exit()))

export default { port: 3000, fetch: handler }

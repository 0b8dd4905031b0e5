import * as RedisLayer from "effect-session/RedisLayer"
import * as Config from "effect/Config"
import { start } from "./app.ts"

start(RedisLayer.layerConfig({ url: Config.String("REDIS_URL") }))

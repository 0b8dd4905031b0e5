import * as SessionDriver from "effect-session/SessionDriver"
import { start } from "./app.ts"

start(SessionDriver.layerConfig)

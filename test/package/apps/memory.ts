import * as MemoryLayer from "effect-session/MemoryLayer"
import { start } from "./app.ts"

start(MemoryLayer.layer())

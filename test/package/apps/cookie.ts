import * as CookieLayer from "effect-session/CookieLayer"
import { start } from "./app.ts"

start(CookieLayer.layer())

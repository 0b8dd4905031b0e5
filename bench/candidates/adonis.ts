/** @adonisjs/session on AdonisJS's own server; the variant is the store. */
import { Ignitor } from "@adonisjs/core"
import { defineConfig as defineEncryption, drivers } from "@adonisjs/core/encryption"
import { defineConfig as defineHttp, type HttpContext, type Router } from "@adonisjs/core/http"
import { defineConfig as defineLogger } from "@adonisjs/core/logger"
import { defineConfig as defineRedis } from "@adonisjs/redis"
import type { InferConnections } from "@adonisjs/redis/types"
import { defineConfig as defineSession, stores } from "@adonisjs/session"
import { createServer, type Server } from "node:http"
import { folder, nextPage, ready, redisUrl, secret, variant } from "../candidate.ts"
import { contentOf } from "../content.ts"
import { scenario, type Visit } from "../scenarios.ts"

const settings = {
  store: variant as "redis" | "cookie" | "file",
  age: "2h",
  cookie: { path: "/", httpOnly: true, secure: false, sameSite: "lax" }
} as const

const { hostname, port } = new URL(redisUrl)

const redis = defineRedis({
  connection: "main",
  connections: { main: { host: hostname, port: Number(port), keyPrefix: "adonis:" } }
})

declare module "@adonisjs/redis/types" {
  interface RedisConnections extends InferConnections<typeof redis> {}
}

const config = {
  app: { http: defineHttp({ cookie: { secure: false } }) },
  encryption: defineEncryption({
    default: "gcm",
    list: { gcm: drivers.aes256gcm({ id: "gcm", keys: [secret] }) }
  }),
  logger: defineLogger({ default: "app", loggers: { app: { enabled: false } } }),
  redis,
  session: defineSession({
    ...settings,
    stores: {
      redis: stores.redis({ connection: "main" }),
      cookie: stores.cookie(),
      file: stores.file({ location: folder })
    }
  })
}

const providers = [
  () => import("@adonisjs/core/providers/app_provider"),
  () => import("@adonisjs/redis/redis_provider"),
  () => import("@adonisjs/session/session_provider")
]

type Handler = (context: HttpContext) => string | Promise<string>

const visitOf = ({ session }: HttpContext): Visit => ({
  get: async (key) => session.get(key),
  put: async (key, value) => session.put(key, value),
  increment: async (key) => session.increment(key),
  append: async (key, value) => session.put(key, [...session.get(key, []), value]),
  all: async () => session.all(),
  regenerate: async () => session.regenerate(),
  // The store removes a session that is empty.
  destroy: async () => session.clear()
})

const handlers: Readonly<Record<string, Handler>> = {
  "/untouched": () => "ok",
  "/read": ({ session }) => session.get("page", ""),
  "/write": ({ session }) => {
    session.put("page", nextPage())
    return "ok"
  },
  "/increment": ({ session }) => {
    session.increment("count")
    return "ok"
  },
  "/login": ({ session }) => {
    session.regenerate()
    session.put("user", "ada")
    return "ok"
  },
  "/fill": ({ request, session }) => {
    for (const [name, value] of Object.entries(contentOf(Number(request.input("bytes"))))) session.put(name, value)
    return "ok"
  },
  "/scenarios/:name": (context) => scenario(visitOf(context), context.request.url(true))
}

const routes = (router: Router) => {
  const middleware = router.named({ session: () => import("@adonisjs/session/session_middleware") })
  router.get("/bare", () => "ok")
  router.group(() => {
    for (const [path, handler] of Object.entries(handlers)) router.get(path, handler)
  }).use(middleware.session())
}

process.env["HOST"] = "127.0.0.1"
process.env["PORT"] = "0"

let server: Server
const ignitor = new Ignitor(new URL(".", import.meta.url)).tap((app) => {
  app.rcContents({ providers })
  app.useConfig(config)
  app.booted(async () => routes(await app.container.make("router")))
  // Its own messages to the parent process are none that the benchmark knows.
  app.notify = () => {}
})
await ignitor.httpServer().start((handle) => server = createServer(handle))
ready(server!, settings)

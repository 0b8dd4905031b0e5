/** fastify, with @fastify/session on connect-redis, or with @fastify/secure-session; the variant says which. */
import cookie from "@fastify/cookie"
import secureSession from "@fastify/secure-session"
import session from "@fastify/session"
import { RedisStore } from "connect-redis"
import fastify, { type FastifyInstance, type FastifyRequest } from "fastify"
import { createClient } from "redis"
import { nextPage, nodeRedisOptions, ready, secret, variant } from "../candidate.ts"
import { contentOf } from "../content.ts"
import { scenario, type Visit } from "../scenarios.ts"

declare module "fastify" {
  interface Session {
    [field: string]: unknown
    page: string
    count: number
    list: ReadonlyArray<string>
    user: string
  }
  interface FastifyRequest {
    sealed: secureSession.Session<Record<string, string | number>>
  }
}

interface Fill {
  readonly Querystring: { readonly bytes: string }
}

// By default every request writes the session and sends the cookie; without `rolling` it does not, and who only reads
// does not extend the session's life either.
const stored = {
  rolling: variant === "rolling",
  saveUninitialized: false,
  cookie: { maxAge: 7_200_000, sameSite: "lax", secure: false }
} as const

// Both plugins declare a `session` for the requests of all servers.
const sessionOf = (request: FastifyRequest) => request.session as unknown as session.FastifySessionObject

const storedRoutes = async (app: FastifyInstance) => {
  const client = createClient(nodeRedisOptions)
  client.on("error", () => {})
  await client.connect()
  await app.register(cookie)
  await app.register(session, { ...stored, secret, store: new RedisStore({ client, prefix: "fastify:" }) })
  app.get("/untouched", (_, reply) => void reply.send("ok"))
  app.get("/read", (request, reply) => void reply.send(sessionOf(request).page))
  app.get("/write", (request, reply) => {
    sessionOf(request).page = nextPage()
    reply.send("ok")
  })
  app.get("/increment", (request, reply) => {
    const session = sessionOf(request)
    session.count = (session.count ?? 0) + 1
    reply.send("ok")
  })
  app.get("/login", (request, reply) => {
    sessionOf(request).regenerate((error) => {
      if (error) return void reply.send(error)
      sessionOf(request).user = "ada"
      reply.send("ok")
    })
  })
  app.get<Fill>("/fill", (request, reply) => {
    Object.assign(sessionOf(request), contentOf(Number(request.query.bytes)))
    reply.send("ok")
  })
  app.get("/scenarios/:name", (request) => scenario(visitOf(request), request.url))
}

const visitOf = (request: FastifyRequest): Visit => ({
  get: async (key) => sessionOf(request).get(key),
  put: async (key, value) => sessionOf(request).set(key, value),
  increment: async () => sessionOf(request).count = (sessionOf(request).count ?? 0) + 1,
  append: async (_, value) => sessionOf(request).list = [...sessionOf(request).list ?? [], value],
  all: async () => ({ ...sessionOf(request) }),
  regenerate: () => sessionOf(request).regenerate(),
  destroy: () => sessionOf(request).destroy()
})

const sealed = {
  sessionName: "sealed",
  expiry: 7_200,
  cookie: { path: "/", httpOnly: true, maxAge: 7_200, sameSite: "lax", secure: false }
} as const

const sealedRoutes = async (app: FastifyInstance) => {
  await app.register(secureSession, { ...sealed, key: Buffer.from(secret).subarray(0, 32) })
  app.get("/untouched", (_, reply) => void reply.send("ok"))
  app.get("/read", (request, reply) => void reply.send(request.sealed.get("page")))
  app.get("/write", (request, reply) => {
    request.sealed.set("page", nextPage())
    reply.send("ok")
  })
  app.get("/increment", (request, reply) => {
    request.sealed.set("count", Number(request.sealed.get("count") ?? 0) + 1)
    reply.send("ok")
  })
  app.get("/login", (request, reply) => {
    request.sealed.regenerate()
    request.sealed.set("user", "ada")
    reply.send("ok")
  })
  app.get<Fill>("/fill", (request, reply) => {
    for (const [name, value] of Object.entries(contentOf(Number(request.query.bytes)))) request.sealed.set(name, value)
    reply.send("ok")
  })
}

const variants = {
  rolling: { routes: storedRoutes, settings: stored },
  session: { routes: storedRoutes, settings: stored },
  "secure-session": { routes: sealedRoutes, settings: sealed }
}
const { routes, settings } = variants[variant as keyof typeof variants]

const app = fastify()
app.get("/bare", (_, reply) => void reply.send("ok"))
app.register(routes)
await app.listen({ port: 0, host: "127.0.0.1" })
ready(app.server, settings)

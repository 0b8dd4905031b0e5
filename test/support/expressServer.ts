/**
 * A real Express server with express-session and connect-redis, as one may be that somebody comes from.
 */
import { RedisStore } from "connect-redis"
import { Effect, type Scope } from "effect"
import express from "express"
import session from "express-session"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { connectNodeRedis } from "./redisServer.ts"
import { type Browser, browserOf } from "./server.ts"

declare module "express-session" {
  interface SessionData {
    userId: string
    cart: Record<string, number>
    visits: number
    lastOrder: Date
    anything: unknown
  }
}

export interface ExpressServer {
  readonly url: string
  readonly browser: () => Browser
}

export interface Options {
  readonly secret?: string | Array<string>
  readonly cookie?: session.CookieOptions
}

/** `POST /login?user=…` begins a session, `GET /` shows what is in it, `POST /logout` ends it. */
export const startExpress = Effect.fnUntraced(function*(
  redisUrl: string,
  { cookie, secret = expressSecret }: Options = {}
): Effect.fn.Return<ExpressServer, never, Scope.Scope> {
  const client = yield* connectNodeRedis({ url: redisUrl })
  const app = express()
  app.use(session({
    secret,
    resave: false,
    saveUninitialized: false,
    store: new RedisStore({ client }),
    ...(cookie && { cookie })
  }))
  app.post("/login", (request, response, next) => {
    request.session.regenerate((error) => {
      if (error) return next(error)
      request.session.userId = String(request.query["user"])
      request.session.cart = { tea: 2 }
      request.session.visits = 5
      request.session.lastOrder = new Date("2026-01-31T12:00:00Z")
      request.session.anything = request.query["anything"]
      response.sendStatus(204)
    })
  })
  app.get("/", ({ session: { cart, lastOrder, userId, visits } }, response) => {
    response.json({ userId, visits, cart, lastOrder })
  })
  app.post("/logout", (request, response, next) => {
    request.session.destroy((error) => error ? next(error) : response.sendStatus(204))
  })
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => app.listen(0, "127.0.0.1")),
    (server) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  yield* Effect.promise(() => once(server, "listening"))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, browser: () => browserOf(url) }
})

export const expressSecret = "the secret of an Express server"

/**
 * A real server with iron-session, as one may be that somebody comes from.
 */
import { Effect } from "effect"
import { getIronSession, type SessionOptions } from "iron-session"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { browserOf } from "./server.ts"

interface Data {
  userId: string
  cart: Record<string, number>
  visits: number
  lastOrder: string
}

export const ironPassword = "the password of iron-session, of 32 characters"

/** Each request begins a session. */
export const startIron = Effect.fnUntraced(function*(password: SessionOptions["password"] = ironPassword) {
  const server = yield* Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = createServer(async (request, response) => {
        const session = await getIronSession<Data>(request, response, { cookieName: "iron", password })
        Object.assign(session, { userId: "ada", cart: { tea: 2 }, visits: 5, lastOrder: "2026-01-31T12:00:00.000Z" })
        await session.save()
        response.end()
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => void server.close())
  )
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { browser: () => browserOf(url) }
})

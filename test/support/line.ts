/**
 * The line between a browser and a server, as a proxy on a port of its own: a test holds what is on it, or cuts it. A server
 * on a slow line does not learn at once that the client has gone, and neither does this one.
 */
import { Effect, type Scope } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { buffer } from "node:stream/consumers"

/** Where something can be held: a request before the server has it, in its handler, or the response on its way back. */
export type Place = "request" | "handler" | "response"

export interface Held {
  /** Waits for it to come there. */
  readonly reached: Promise<void>
  readonly release: () => void
}

export interface Cut {
  /** Waits for a response to be lost. */
  readonly reached: Promise<void>
  readonly mend: () => void
}

export interface Line {
  readonly url: string
  readonly leadsTo: (url: string) => void
  /** Holds the next form that is posted to a path. Several of them are held one after the other. */
  readonly hold: (place: Place, path: string) => Held
  /** Cuts the connection, from now on, where a response to a form that is posted to a path should come. */
  readonly cut: (path: string) => Cut
  /** For a handler to call: waits if it is to be held. */
  readonly passes: (place: Place, path: string) => Promise<void>
}

export const startLine: Effect.Effect<Line, never, Scope.Scope> = Effect.gen(function*() {
  const holds = new Map<string, Array<() => Promise<void>>>()
  const cuts = new Map<string, () => void>()
  let target = ""

  const passes: Line["passes"] = async (place, path) => await holds.get(`${place} ${path}`)?.shift()?.()

  const server = yield* Effect.acquireRelease(
    Effect.callback<Http.Server>((resume) => {
      const server = Http.createServer((request, response) => {
        forward(request, response).catch(() => response.destroy())
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )

  const forward = async (request: Http.IncomingMessage, response: Http.ServerResponse) => {
    const { headers, method, url: path = "" } = request
    const body = await buffer(request)
    if (method === "POST") await passes("request", path)
    const answer = await send(target + path, { method, headers }, body)
    const content = await buffer(answer)
    if (method === "POST") {
      await passes("response", path)
      const cut = cuts.get(path)
      if (cut !== undefined) {
        response.destroy()
        return cut()
      }
    }
    response.writeHead(answer.statusCode!, answer.headers).end(content)
  }

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    leadsTo: (url) => void (target = url),
    hold: (place, path) => {
      const reached = Promise.withResolvers<void>()
      const released = Promise.withResolvers<void>()
      const hold = () => {
        reached.resolve()
        return released.promise
      }
      const key = `${place} ${path}`
      holds.set(key, [...holds.get(key) ?? [], hold])
      return { reached: reached.promise, release: released.resolve }
    },
    cut: (path) => {
      const reached = Promise.withResolvers<void>()
      cuts.set(path, reached.resolve)
      return { reached: reached.promise, mend: () => void cuts.delete(path) }
    },
    passes
  }
})

const send = (url: string, options: Http.RequestOptions, body: Buffer): Promise<Http.IncomingMessage> =>
  new Promise((resolve, reject) =>
    Http.request(url, { ...options, agent: false }, resolve).on("error", reject).end(body)
  )

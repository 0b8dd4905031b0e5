/**
 * A wire between a client and a server that a test can disturb: connections to its port lead to the server.
 */
import { Deferred, Effect, type Scope } from "effect"
import { connect, createServer, type Socket } from "node:net"

export interface Wire {
  readonly port: number
  /** New connections lead there from now on. */
  readonly leadTo: (port: number) => void
  /** The connections that there are fall silent without being closed, as if a machine had gone; new ones work. */
  readonly fallSilent: () => void
  /**
   * The server gets the next request with this text in it, but its answer does not arrive: the connection breaks.
   * Waits for that.
   */
  readonly loseAnswerTo: (text: string) => Effect.Effect<void>
}

/** Lays a wire from a port to a server, for as long as the scope. */
export const layWire = Effect.fnUntraced(
  function*(port: number, server: number): Effect.fn.Return<Wire, never, Scope.Scope> {
    let target = server
    let losing: { readonly text: string; readonly lost: Deferred.Deferred<void> } | undefined
    const silent = new WeakSet<Socket>()
    const sockets = new Set<Socket>()

    const join = (client: Socket) => {
      const upstream = connect(target, "127.0.0.1")
      let lost: Deferred.Deferred<void> | undefined
      const both = [client, upstream]
      for (const socket of both) {
        sockets.add(socket)
        socket.setNoDelay(true)
        // A connection that breaks is broken on both sides, and that is all there is to say.
        socket.on("error", () => {})
        socket.on("close", () => {
          sockets.delete(socket)
          for (const other of both) {
            if (!silent.has(other)) other.destroy()
          }
        })
      }
      client.on("data", (data) => {
        if (silent.has(client)) return
        if (losing !== undefined && data.includes(losing.text)) {
          lost = losing.lost
          losing = undefined
        }
        upstream.write(data)
      })
      upstream.on("data", (data) => {
        if (silent.has(client)) return
        if (lost === undefined) {
          client.write(data)
        } else {
          client.destroy()
          Deferred.doneUnsafe(lost, Effect.void)
        }
      })
    }

    yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const listener = createServer(join)
        listener.listen(port, "127.0.0.1", () => resume(Effect.succeed(listener)))
      }),
      (listener) =>
        Effect.callback<void>((resume) => {
          listener.close(() => resume(Effect.void))
          for (const socket of sockets) socket.destroy()
        })
    )
    return {
      port,
      leadTo: (port) => void (target = port),
      fallSilent: () => sockets.forEach((socket) => silent.add(socket)),
      loseAnswerTo: (text) => {
        const lost = Deferred.makeUnsafe<void>()
        losing = { text, lost }
        return Deferred.await(lost)
      }
    }
  }
)

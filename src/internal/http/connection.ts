/**
 * The connection of a client, as far as Effect's sockets do not see it: what waits there to be sent. A client that does not read
 * must not fill the memory of the server.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"

/** What is asked of the socket below a request of Node.js. */
interface TcpSocket {
  readonly writableNeedDrain: boolean
  readonly destroyed: boolean
  readonly on: (event: string, listener: () => void) => void
  readonly off: (event: string, listener: () => void) => void
  readonly setKeepAlive: (on: boolean, afterMillis: number) => void
  readonly destroy: () => void
}

export interface Connection {
  /** Whether it is over. */
  readonly isGone: () => boolean
  /** Waits until the client has taken what was sent to it; if it does not within this time, the connection is broken off. */
  readonly drained: (limit: Duration.Duration) => Effect.Effect<void>
  /** Breaks it off, without a word. */
  readonly breakOff: Effect.Effect<void>
  /** Has the operating system find out that a client is gone which says nothing, such as one that has lost its network. */
  readonly keepAlive: Effect.Effect<void>
}

/** Where there is no such socket, as on other servers than that of Node.js, nothing waits here. */
export const of = ({ source }: HttpServerRequest): Connection => {
  const { socket } = source as { readonly socket?: TcpSocket }
  return typeof socket?.writableNeedDrain === "boolean" ? ofNode(socket) : unknown
}

const unknown: Connection = {
  isGone: () => false,
  drained: () => Effect.void,
  breakOff: Effect.void,
  keepAlive: Effect.void
}

const ofNode = (socket: TcpSocket): Connection => {
  const breakOff = Effect.sync(() => socket.destroy())
  return {
    isGone: () => socket.destroyed,
    breakOff,
    drained: (limit) =>
      Effect.suspend(() =>
        socket.writableNeedDrain && !socket.destroyed
          ? Effect.timeoutOrElse(whenDrained(socket), { duration: limit, orElse: () => breakOff })
          : Effect.void
      ),
    keepAlive: Effect.sync(() => socket.setKeepAlive(true, keepAliveAfter))
  }
}

const keepAliveAfter = Duration.toMillis("30 seconds")

const whenDrained = (socket: TcpSocket): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const events = ["drain", "close"]
    const over = () => resume(Effect.void)
    for (const event of events) socket.on(event, over)
    return Effect.sync(() => {
      for (const event of events) socket.off(event, over)
    })
  })

/**
 * The part of a client's connection that Effect's sockets don't expose: the data waiting to be sent. A client that does not read
 * must not fill the server's memory.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"

/** The part of a Node.js socket that is used here. */
interface TcpSocket {
  readonly writableNeedDrain: boolean
  readonly destroyed: boolean
  readonly on: (event: string, listener: () => void) => void
  readonly off: (event: string, listener: () => void) => void
  readonly setKeepAlive: (on: boolean, afterMillis: number) => void
  readonly destroy: () => void
}

export interface Connection {
  /** Whether it is closed. */
  readonly isGone: () => boolean
  /** Waits until the client has received what was sent. If it doesn't within this time, the connection is closed. */
  readonly drained: (limit: Duration.Duration) => Effect.Effect<void>
  /** Closes it abruptly. */
  readonly breakOff: Effect.Effect<void>
  /** Lets the operating system detect clients that vanish silently, such as one that has lost its network. */
  readonly keepAlive: Effect.Effect<void>
}

/** Without such a socket, as on servers other than Node.js's, nothing waits here. */
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

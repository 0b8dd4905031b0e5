/**
 * Clients of WebSockets: the one that Node.js has, and one that says byte by byte what it likes.
 */
import { Deferred, Effect, Queue, type Scope } from "effect"
import { randomBytes } from "node:crypto"
import * as Http from "node:http"
import type { Socket } from "node:net"
import type { Server } from "./server.ts"

type Address = Pick<Server, "url">

export interface Sent {
  readonly cookie?: string | undefined
  readonly headers?: Http.OutgoingHttpHeaders
}

// -----------------------------------------------------------------------------
// a client as it should be
// -----------------------------------------------------------------------------

export interface Closing {
  readonly code: number
  readonly reason: string
}

export interface Client {
  readonly send: (message: string | Uint8Array<ArrayBuffer>) => Effect.Effect<void>
  /** The next message that comes. */
  readonly next: Effect.Effect<string>
  /** Sends a message and waits for the next one that comes. */
  readonly say: (message: string) => Effect.Effect<string>
  /** Waits until it is closed. */
  readonly closed: Effect.Effect<Closing>
  readonly isClosed: () => boolean
  /** How many messages have come that nobody has asked for. */
  readonly waiting: () => number
  readonly close: Effect.Effect<Closing>
}

/** Opens a socket, for as long as the scope; one that is refused is an error. */
export const openSocket = (
  { url }: Address,
  path: string,
  { cookie, headers }: Sent = {}
): Effect.Effect<Client, Error, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Opened, Error>((resume) => {
        // Its options are those of undici, which the types of the DOM do not know.
        const client = new WebSocket(
          url.replace("http:", "ws:") + path,
          { headers: { ...headers, ...(cookie !== undefined && { cookie }) } } as unknown as string
        )
        client.binaryType = "arraybuffer"
        const messages = Effect.runSync(Queue.unbounded<string>())
        const closing = Deferred.makeUnsafe<Closing>()
        client.addEventListener("message", ({ data }) => {
          Queue.offerUnsafe(messages, typeof data === "string" ? data : Buffer.from(data as ArrayBuffer).toString())
        })
        client.addEventListener("close", ({ code, reason }) =>
          Deferred.doneUnsafe(closing, Effect.succeed({ code, reason })))
        client.addEventListener("error", () =>
          resume(Effect.fail(new Error("The socket was refused"))))
        client.addEventListener("open", () => resume(Effect.succeed({ client, closing, messages })))
      }),
      ({ client }) => Effect.sync(() => client.close())
    ),
    ({ client, closing, messages }) => {
      const send: Client["send"] = (message) => Effect.sync(() => client.send(message))
      const next = Queue.take(messages)
      return {
        send,
        next,
        say: (message) => Effect.andThen(send(message), next),
        closed: Deferred.await(closing),
        isClosed: () => Deferred.isDoneUnsafe(closing),
        waiting: () => Queue.sizeUnsafe(messages),
        close: Effect.andThen(Effect.sync(() => client.close(1000)), Deferred.await(closing))
      }
    }
  )

interface Opened {
  readonly client: WebSocket
  readonly closing: Deferred.Deferred<Closing>
  readonly messages: Queue.Queue<string>
}

// -----------------------------------------------------------------------------
// bytes
// -----------------------------------------------------------------------------

export interface Handshake {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  /** The connection, if the server has agreed. */
  readonly wire: Wire | undefined
}

export interface Wire {
  readonly socket: Socket
  readonly write: (bytes: Uint8Array) => Effect.Effect<void>
  /** Waits until the connection is over. */
  readonly over: Effect.Effect<void>
  /** What has come, if anybody has read it. */
  readonly received: () => Buffer
}

/** Asks for a WebSocket, or for what the headers say, and reads nothing of what follows unless that is asked for. */
export const handshake = (
  { url }: Address,
  path: string,
  { cookie, headers }: Sent = {}
): Effect.Effect<Handshake, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Handshake, Error>((resume) => {
      const request = Http.request(url + path, {
        agent: false,
        headers: {
          connection: "Upgrade",
          upgrade: "websocket",
          "sec-websocket-version": "13",
          "sec-websocket-key": randomBytes(16).toString("base64"),
          ...headers,
          ...(cookie !== undefined && { cookie })
        }
      })
      request.on("error", (error) => resume(Effect.fail(error)))
      request.on("response", ({ headers, statusCode }) => {
        resume(Effect.succeed({ status: statusCode!, headers, wire: undefined }))
        request.destroy()
      })
      request.on("upgrade", ({ headers, statusCode }, socket) =>
        resume(Effect.succeed({ status: statusCode!, headers, wire: wireOf(socket as Socket) })))
      request.end()
    }),
    ({ wire }) =>
      Effect.sync(() =>
        wire?.socket.destroy()
      )
  )

const wireOf = (socket: Socket): Wire => {
  const over = Deferred.makeUnsafe<void>()
  const chunks: Array<Buffer> = []
  socket.on("error", () => {})
  socket.on("close", () => Deferred.doneUnsafe(over, Effect.void))
  return {
    socket,
    write: (bytes) => Effect.sync(() => void socket.write(bytes)),
    over: Effect.andThen(
      Effect.sync(() => socket.on("data", (chunk: Buffer) => chunks.push(chunk))),
      Deferred.await(over)
    ),
    received: () => Buffer.concat(chunks)
  }
}

/** A frame as a client sends it (RFC 6455, section 5.2): its first byte, and what it holds. */
export const frame = (first: number, payload: Uint8Array): Buffer => {
  const length = Buffer.from(
    payload.length < 126
      ? [0x80 | payload.length]
      : payload.length < 65_536
      ? [0x80 | 126, payload.length >> 8, payload.length & 255]
      : [0x80 | 127, 0, 0, 0, 0, ...new Uint8Array(Uint32Array.of(payload.length).buffer).toReversed()]
  )
  // A mask of zeros.
  return Buffer.concat([Buffer.of(first), length, Buffer.alloc(4), payload])
}

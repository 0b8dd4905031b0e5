/**
 * Requests whose response nobody may ever see, or that show no page: they must not use up what is shown once.
 */
import type { Headers } from "effect/http/Headers"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { Messages } from "../request/requestSession.ts"

/** What becomes of the flash messages that are waiting. */
export const messagesFor = ({ headers, method }: HttpServerRequest): Messages =>
  isPrefetch(headers) ? "wait" : method === "HEAD" || isForScript(headers) ? "stay" : "leave"

/** A WebSocket, or the events of an `EventSource`, which a script of a page opens. */
const isForScript = (headers: Headers): boolean =>
  headers["upgrade"] !== undefined || headers["accept"] === "text/event-stream"

const isPrefetch = (headers: Headers): boolean => {
  for (const name of saysPrefetch) {
    const said = headers[name]
    if (said !== undefined && prefetch.test(said)) return true
  }
  return false
}

/** Browsers send the first; before that they sent one of the next three; scripts, which can't set it, send the last. */
const saysPrefetch = ["sec-purpose", "purpose", "x-moz", "x-purpose", "x-sec-purpose"]

// Not where it is used: V8 would make it anew each time.
const prefetch = /prefetch|prerender|preview/i

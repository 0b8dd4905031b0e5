/**
 * Requests whose response may never be seen, or that show no page. They must not consume flash messages.
 */
import type { Headers } from "effect/http/Headers"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { Messages } from "../request/requestSession.ts"

/** What happens to pending flash messages. */
export const messagesFor = ({ headers, method }: HttpServerRequest): Messages =>
  isPrefetch(headers) ? "wait" : method === "HEAD" || isForScript(headers) ? "stay" : "leave"

/** A WebSocket or an `EventSource`, which a script on a page opens. */
const isForScript = (headers: Headers): boolean =>
  headers["upgrade"] !== undefined || headers["accept"] === "text/event-stream"

const isPrefetch = (headers: Headers): boolean => {
  for (const name of saysPrefetch) {
    const said = headers[name]
    if (said !== undefined && prefetch.test(said)) return true
  }
  return false
}

/** Browsers send the first, and formerly one of the next three. Scripts can't set those, and send the last. */
const saysPrefetch = ["sec-purpose", "purpose", "x-moz", "x-purpose", "x-sec-purpose"]

// Not inline, because V8 would create it each time.
const prefetch = /prefetch|prerender|preview/i

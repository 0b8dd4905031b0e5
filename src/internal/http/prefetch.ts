/**
 * Requests whose response nobody may ever see: they must not use up what is shown once.
 */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { Messages } from "../request/requestSession.ts"

/** What becomes of the flash messages that are waiting. */
export const messagesFor = ({ headers, method }: HttpServerRequest): Messages =>
  saysPrefetch.some((name) => /prefetch|prerender|preview/i.test(headers[name] ?? ""))
    ? "wait"
    : method === "HEAD"
    ? "stay"
    : "leave"

/** Browsers send the first; before that they sent one of the next three; scripts, which can't set it, send the last. */
const saysPrefetch = ["sec-purpose", "purpose", "x-moz", "x-purpose", "x-sec-purpose"]

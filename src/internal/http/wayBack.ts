/**
 * The way to a login and back, which must not lead to another site (an open redirect).
 */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"

/** Longer ones are no path that a person was going to, and a header has its limits. */
const longest = 2_000

/** ASCII that can be seen, but for the backslash, which browsers take for a slash. */
const readable = /^\/[!-[\]-~]*$/

/**
 * Two slashes begin a host where they stand at the start, and get there by a normalized "/..//"; so none may stand in a row at
 * all. Proxies and routers decode what is encoded, some of them twice: a slash, a backslash or a control character counts as
 * well if it is encoded, no matter how often.
 */
const ambiguous = /\/\/|%(?:25)*(?:2f|5c|[01][0-9a-f]|7f)/i

/** Whether a browser that is sent there stays on the server that sends it, whatever is between the two. */
export const isOwnPath = (text: string): boolean =>
  text.length <= longest && readable.test(text) && !ambiguous.test(pathOf(text))

/** What follows is for the application alone: a query may hold anything. */
const pathOf = (text: string) => text.slice(0, text.search(/[?#]|$/))

/** The login page, which is told where the browser was going. */
export const toLogin = (login: string, request: HttpServerRequest): string => {
  const to = isRepeatable(request) ? withoutHost(request.originalUrl) : ownReferrer(request)
  return to === undefined || !isOwnPath(to)
    ? login
    : `${login}${login.includes("?") ? "&" : "?"}to=${encodeURIComponent(to)}`
}

const isRepeatable = ({ method }: HttpServerRequest) => method === "GET" || method === "HEAD"

// A `url` has lost what routers take off it. The original one has a host, where there is any: that of the client's choice.
const withoutHost = (url: string) => url.startsWith("/") ? url : inside(URL.parse(url))

/** The page that the request came from. Behind a proxy nobody knows the scheme, so the host has to do. */
const ownReferrer = ({ headers }: HttpServerRequest) => {
  const referrer = URL.parse(headers["referer"] ?? "")
  return referrer !== null && referrer.host === headers["host"] ? inside(referrer) : undefined
}

const inside = (url: URL | null) => url === null ? undefined : url.pathname + url.search

/**
 * The way to a login and back, which must not lead to another site (an open redirect).
 */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"

/** Nobody navigates to a longer path, and headers have limits. */
const longest = 2_000

/** Visible ASCII except the backslash, which browsers treat as a slash. */
const readable = /^\/[!-[\]-~]*$/

/**
 * Two slashes at the start begin a host, and normalizing "/..//" moves them there, so two in a row are not allowed anywhere.
 * Proxies and routers decode paths, some of them twice, so encoded slashes, backslashes and control characters count too, however
 * often they are encoded.
 */
const ambiguous = /\/\/|%(?:25)*(?:2f|5c|[01][0-9a-f]|7f)/i

/** Whether a browser that is redirected there stays on this server, whatever proxies are in between. */
export const isOwnPath = (text: string): boolean =>
  text.length <= longest && readable.test(text) && !ambiguous.test(pathOf(text))

/** The rest concerns only the application: a query may contain anything. */
const pathOf = (text: string) => text.slice(0, text.search(/[?#]|$/))

/** The login page, with the way back in its query. */
export const toLogin = (login: string, request: HttpServerRequest): string => {
  const to = isRepeatable(request) ? withoutHost(request.originalUrl) : ownReferrer(request)
  return to === undefined || !isOwnPath(to)
    ? login
    : `${login}${login.includes("?") ? "&" : "?"}to=${encodeURIComponent(to)}`
}

const isRepeatable = ({ method }: HttpServerRequest) => method === "GET" || method === "HEAD"

// Routers strip prefixes from `url`. The original URL may have a host, which the client can choose freely.
const withoutHost = (url: string) => url.startsWith("/") ? url : inside(URL.parse(url))

/** The page that the request came from. Behind a proxy the scheme is unknown, so only the host is compared. */
const ownReferrer = ({ headers }: HttpServerRequest) => {
  const referrer = URL.parse(headers["referer"] ?? "")
  return referrer !== null && referrer.host === headers["host"] ? inside(referrer) : undefined
}

const inside = (url: URL | null) => url === null ? undefined : url.pathname + url.search

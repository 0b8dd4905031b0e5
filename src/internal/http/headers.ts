/**
 * The headers of a response that is changed after the application has made it.
 */
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

type Response = HttpServerResponse.HttpServerResponse

/** Another body or other cookies would bring back the headers of the body, over those that the application has set. */
export const withItsHeaders = (response: Response, changed: Response): Response =>
  HttpServerResponse.setHeaders(changed, response.headers)

/** A shared cache must not hand one client's cookie to another (OWASP ASVS 5.0, V14.3.2). */
export const notCached = (response: Response): Response =>
  response.headers["cache-control"] === undefined
    ? HttpServerResponse.setHeader(response, "cache-control", "no-store")
    : response

/** Gives an error what others have said in the response that it replaces, apart from what was about its content. */
export const withHeadersOf = (replaced: Response, error: Response): Response => {
  const native = nativeHeaders(replaced)
  const cookies = Cookies.merge(Cookies.fromSetCookie(native.getSetCookie()), replaced.cookies)
  native.delete("set-cookie")
  const kept = [...native, ...Object.entries(replaced.headers)].filter(([name]) => isKept(name))
  const headers = Headers.setAll(Headers.fromInput(kept), { ...error.headers, "cache-control": "no-store" })
  return HttpServerResponse.setHeaders(HttpServerResponse.mergeCookies(error, cookies), headers)
}

/** A response of the web platform inside the application's has headers of its own. */
const nativeHeaders = ({ body }: Response): globalThis.Headers =>
  new globalThis.Headers(
    body._tag === "Raw" && body.body instanceof globalThis.Response ? body.body.headers : undefined
  )

const isKept = (name: string): boolean => !aboutTheContent.has(name) && !name.endsWith("cache-control")

const aboutTheContent = new Set([
  // What the content is, and what of it is sent (RFC 9110, sections 8 and 14; RFC 6266 for the disposition).
  "content-type",
  "content-length",
  "content-encoding",
  "content-language",
  "content-location",
  "content-range",
  "content-disposition",
  "accept-ranges",
  // Its version: a 503 that has the validators of the page would be taken for the page (RFC 9110, section 8.8).
  "etag",
  "last-modified",
  // Its checksum (RFC 9530, and what was there before).
  "content-digest",
  "repr-digest",
  "digest",
  "content-md5",
  // How it is transferred, and which fields follow it (RFC 9110, section 6.6.2; RFC 9112, section 6.1).
  "transfer-encoding",
  "trailer",
  // How long it may be kept (RFC 9111, sections 5.1 to 5.4). Cache-Control, of whatever cache (RFC 9213), is replaced.
  "expires",
  "age",
  "pragma",
  "surrogate-control",
  "x-accel-expires",
  // Where the client or the proxy finds something else instead: a redirect that does not happen (RFC 9110, section
  // 10.2.2), a file that a proxy would send in the place of the error.
  "location",
  "refresh",
  "x-accel-redirect",
  "x-sendfile"
])

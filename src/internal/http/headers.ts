/**
 * The headers of a response that is changed after the application has made it.
 */
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

type Response = HttpServerResponse.HttpServerResponse

/** A response that nobody else has yet, so it can be changed. A copy for each change would cost some 200 bytes. */
export interface Draft extends Response {
  readonly headers: Headers.Headers & Record<string, string>
  cookies: Cookies.Cookies
}

/** A copy of the response with a header. */
export const draftWith = (response: Response, name: string, value: string): Draft =>
  HttpServerResponse.setHeader(response, name, value) as Draft

/** Setting another body would replace headers that the application has set. */
export const withItsHeaders = (response: Response, changed: Response): Response =>
  HttpServerResponse.setHeaders(changed, response.headers)

/** The value that the client will read. */
export const valueOf = (response: Response, name: string): string | undefined =>
  response.headers[name] ?? nativeOf(response)?.headers.get(name) ?? undefined

/** The headers with such a name that the client will get. Usually there are none, and then nothing is allocated. */
export const namesIn = (response: Response, isWanted: (name: string) => boolean): ReadonlyArray<string> => {
  let names = none
  for (const name in response.headers) if (isWanted(name)) names = [...names, name]
  const native = nativeOf(response)
  return native === undefined ? names : [...new Set([...names, ...[...native.headers.keys()].filter(isWanted)])]
}

const none: ReadonlyArray<string> = []

/** The status that the client will read. */
export const statusOf = (response: Response): number => {
  const native = nativeOf(response)
  // A status without a body takes precedence over that of the inner response.
  return native === undefined || withoutBody.has(response.status) ? response.status : native.status
}

const withoutBody = new Set([204, 205, 304])

/** A web `Response` inside the application's response, with its own status and headers. */
const nativeOf = ({ body }: Response): globalThis.Response | undefined =>
  body._tag === "Raw" && body.body instanceof globalThis.Response ? body.body : undefined

/** Copies headers to an error from the response that it replaces, except those about the content. */
export const withHeadersOf = (replaced: Response, error: Response): Response => {
  const native = new globalThis.Headers(nativeOf(replaced)?.headers)
  const cookies = Cookies.merge(Cookies.fromSetCookie(native.getSetCookie()), replaced.cookies)
  native.delete("set-cookie")
  const kept = [...native, ...Object.entries(replaced.headers)].filter(([name]) => isKept(name))
  const headers = Headers.setAll(Headers.fromInput(kept), { ...error.headers, "cache-control": "no-store" })
  return HttpServerResponse.setHeaders(HttpServerResponse.mergeCookies(error, cookies), headers)
}

const isKept = (name: string): boolean => !aboutTheContent.has(name) && !name.endsWith("cache-control")

const aboutTheContent = new Set([
  // The content, and which part of it is sent (RFC 9110, sections 8 and 14; RFC 6266 for the disposition).
  "content-type",
  "content-length",
  "content-encoding",
  "content-language",
  "content-location",
  "content-range",
  "content-disposition",
  "accept-ranges",
  // Its version: a 503 with the validators of the page would be mistaken for the page (RFC 9110, section 8.8).
  "etag",
  "last-modified",
  // Its checksum (RFC 9530 and its predecessors).
  "content-digest",
  "repr-digest",
  "digest",
  "content-md5",
  // How it is transferred, and its trailers (RFC 9110, section 6.6.2; RFC 9112, section 6.1).
  "transfer-encoding",
  "trailer",
  // How long it may be stored (RFC 9111, sections 5.1 to 5.4). Cache-Control, for whatever cache (RFC 9213), is replaced.
  "expires",
  "age",
  "pragma",
  "surrogate-control",
  "edge-control",
  "x-accel-expires",
  // Where the client or a proxy finds something else: a redirect that does not happen (RFC 9110, section 10.2.2), a file
  // that a proxy would send instead of the error.
  "location",
  "refresh",
  "x-accel-redirect",
  "x-sendfile"
])
